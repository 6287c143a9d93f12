"""What gradient_check says of right layers, and of what cannot be judged."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest

from handgrad.numerics import gradient_check


def check(function, derivative, x, **options):
    return gradient_check(function, x, gradient=lambda dy, x: dy * derivative(x), **options)


# --- right


@pytest.mark.parametrize("name", ["Linear", "Tanh", "ReLU", "Softmax", "BatchNorm"])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_right_layers(zoo, x, name, scale):
    report = gradient_check(getattr(zoo, name)(), scale * x)
    assert report, str(report)
    assert {part.method for part in report} == {"complex step"}
    assert all(part.error < 1e-9 and part.checked == part.total for part in report)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
@pytest.mark.parametrize("function", [lambda x: x**3, lambda x: np.abs(x) ** 3], ids=["complex", "differences"])
def test_huge_and_small_scales(x, scale, function):
    sign = np.sign if function(np.array(-1.0)) > 0 else np.ones_like
    assert check(function, lambda x: 3 * x**2 * sign(x), scale * x)
    assert check(lambda x: scale * function(x), lambda x: scale * 3 * x**2 * sign(x), x)
    assert check(lambda x: function(x / scale), lambda x: 3 * x**2 * sign(x) / scale**3, scale * x)
    wrong = check(lambda x: function(x / scale), lambda x: 3.01 * x**2 * sign(x) / scale**3, scale * x)
    assert wrong.verdict == "wrong"


def test_dropout_keeps_its_mask(zoo, x):
    layer = zoo.Dropout()
    report = gradient_check(layer, x)
    assert report
    assert "each evaluation started from the same state" in report.notes[0]
    backward = type("Forgetful", (zoo.Dropout,), {"backward": lambda self, dy: dy})
    assert gradient_check(backward(), x).verdict == "wrong"


def test_running_averages_do_not_drift(zoo, x):
    class Normalised(zoo.Layer):
        """Uses the running mean that it updates: a second forward gives something else."""

        mean = 0.0

        def forward(self, x):
            self.mean = 0.9 * self.mean + 0.1 * x.mean()
            return np.tanh(x - self.mean)

        def backward(self, dy):
            slope = dy * (1 - self.forward_value**2)
            return slope - 0.1 * slope.sum() / slope.size

    class Kept(Normalised):
        def forward(self, x):
            self.forward_value = super().forward(x)
            return self.forward_value

    layer = Kept()
    assert gradient_check(layer, x)
    assert layer.mean == 0.0


@pytest.mark.parametrize("shape", [(0, 3), (1, 3), (2, 4, 3), (3,), ()])
def test_shapes(shape):
    x = np.random.default_rng(0).standard_normal(shape)
    report = check(np.tanh, lambda x: 1 - np.tanh(x) ** 2, x)
    assert report
    assert report["x"].checked == report["x"].total == x.size
    if x.size:
        wrong = check(np.tanh, lambda x: 1 + np.tanh(x) ** 2, x)
        assert wrong.verdict == "wrong"
        assert len(wrong["x"].index) == len(shape)


def test_an_empty_batch_still_checks_shape_and_parameters(zoo):
    empty = np.zeros((0, 3))
    report = gradient_check(zoo.Linear(), empty)
    assert report
    assert report["x"].reason == "empty: only the shape was checked"
    assert report["weight"].checked == 9
    assert gradient_check(np.tanh, empty, gradient=lambda dy, x: np.zeros((0, 2))).verdict == "wrong"
    averaged = type("Averaged", (zoo.Linear,), {"backward": lambda s, dy: averaging(s, dy)})

    def averaging(self, dy):
        self.weight.grad, self.bias.grad = dy.T @ self.x, dy.sum(0) / len(dy)
        return dy @ self.weight.value

    assert "backward gives nan in bias[0]" in gradient_check(averaged(), empty)["bias"].reason


def test_a_batch_of_one(zoo):
    x = np.array([[0.3, -0.2, 1.0]])
    for name in ("Linear", "Softmax", "BatchNorm"):
        assert gradient_check(getattr(zoo, name)(), x)


@pytest.mark.parametrize("smooth", [np.tanh, lambda x: np.tanh(np.abs(x))], ids=["complex", "differences"])
@pytest.mark.parametrize("scale", [1.0, 1e-4])
def test_gradients_that_vanish_are_right(zoo, x, smooth, scale):
    """A bias before batch normalisation: backward and differences give their own rounding of 0."""

    class Unused(zoo.Linear):
        def __init__(self):
            super().__init__()
            self.norm = zoo.BatchNorm()
            self.norm.eps = 1e-4 * scale  # small inputs make large gradients inside, which leave more rounding
            self.unused = zoo.Parameter(np.ones(2))

        def forward(self, x):
            self.before = x
            return self.norm.forward(super().forward(smooth(x)))

        def backward(self, dy):
            self.unused.grad = np.zeros(2)
            dx = super().backward(self.norm.backward(dy))
            sign = np.sign(self.before) if smooth is not np.tanh else 1.0
            return dx * sign * (1 - np.tanh(self.before) ** 2)

    report = gradient_check(Unused(), scale * x)
    assert report, str(report)
    assert report["bias"].error == 0.0
    assert report["bias"].reason == "the gradient vanishes here"
    assert report["unused"].error == 0.0

    class Constant(Unused):
        def backward(self, dy):
            dx = super().backward(dy)
            self.unused.grad = np.full(2, 1e-3)
            return dx

    assert gradient_check(Constant(), x)["unused"].verdict == "wrong"


def test_functions_that_only_look_analytic(x):
    """They accept complex numbers and drop imaginary parts on the way: differences find that out."""
    for function, derivative in [
        (lambda x: np.tanh(x) + np.abs(x), lambda x: 1 - np.tanh(x) ** 2 + np.sign(x)),
        (lambda x: x * x.real, lambda x: 2 * x),
        (lambda x: x + 1j * 0 if np.iscomplexobj(x) else x + 0.0 * x, lambda x: np.ones_like(x)),
        (lambda x: np.tanh(np.asarray(x, dtype=np.float64)), lambda x: 1 - np.tanh(x) ** 2),
        (lambda x: x * x.conj(), lambda x: 2 * x),
    ]:
        assert check(function, derivative, x)
        assert check(function, lambda x, d=derivative: 1.001 * d(x), x).verdict == "wrong"
    assert check(lambda x: np.tanh(x) + np.abs(x), lambda x: 1.0, x)["x"].method == "central differences"


def test_var_over_complex_numbers(x):
    """np.var takes the modulus: as batch normalisation is often written."""

    def standardise(x):
        return (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)

    def gradient(dy, x):
        xhat, std = standardise(x), np.sqrt(x.var(0) + 1e-5)
        return (dy - dy.mean(0) - xhat * (dy * xhat).mean(0)) / std

    report = gradient_check(standardise, x, gradient=gradient)
    assert report
    assert report["x"].method == "central differences"


def test_smooth_to_first_order_only(x):
    """ELU's second derivative jumps at 0; its first does not."""
    x[0, 0], x[1, 1] = 0.0, 1e-9
    elu = lambda x: np.where(x.real > 0, x, np.expm1(np.minimum(x.real, 0) + 1j * x.imag).real)  # noqa: E731
    assert check(elu, lambda x: np.where(x > 0, 1.0, np.exp(np.minimum(x, 0))), x)


def test_only_a_sample_of_a_big_part_is_checked(zoo):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 40))
    report = gradient_check(zoo.Linear(40, 30), x, samples=17)
    assert report
    assert [(part.checked, part.total) for part in report] == [(17, 80), (17, 1200), (17, 30)]

    class LastWrong(zoo.Linear):
        def backward(self, dy):
            dx = super().backward(dy)
            self.weight.grad[-1, -1] += 1
            self.bias.grad[0] += 1
            return dx

    report = gradient_check(LastWrong(40, 30), x, samples=2)
    assert report["weight"].index == (29, 39)
    assert report["bias"].index == (0,)
    assert gradient_check(LastWrong(40, 30), x, samples=1)["bias"].checked == 1


def test_the_seed_decides(zoo, x):
    bug = lambda dy, x: dy * 1.1  # noqa: E731
    one, two = (gradient_check(np.tanh, x, gradient=bug, seed=5) for _ in range(2))
    assert one.to_dict() == two.to_dict()
    assert gradient_check(np.tanh, x, gradient=bug, seed=6).to_dict() != one.to_dict()
    generator = np.random.default_rng(5)
    assert gradient_check(np.tanh, x, gradient=bug, seed=generator).to_dict() == one.to_dict()
    assert generator.random() != np.random.default_rng(5).random()


# --- nothing of the caller's changes


def test_object_and_inputs_stay_as_they_are(zoo, x):
    layer = zoo.BatchNorm()
    layer.forward(x)
    layer.gamma.grad = np.full(3, 7.0)
    before, clean = copy.deepcopy(layer), x.copy()
    gamma = layer.gamma.value
    gradient_check(layer, x)
    assert layer.gamma.value is gamma
    np.testing.assert_array_equal(layer.gamma.value, before.gamma.value)
    np.testing.assert_array_equal(layer.gamma.grad, before.gamma.grad)
    np.testing.assert_array_equal(layer.running_mean, before.running_mean)
    np.testing.assert_array_equal(layer.xhat, before.xhat)
    np.testing.assert_array_equal(x, clean)

    dropout = zoo.Dropout()
    gradient_check(dropout, x)
    assert dropout.rng.random() == np.random.default_rng(3).random()


def test_changed_inputs_are_a_fault(zoo, x):
    class InPlace(zoo.ReLU):
        def forward(self, x):
            x[x < 0] = 0
            self.x = x
            return x

    clean = x.copy()
    report = gradient_check(InPlace(), x)
    np.testing.assert_array_equal(x, clean)
    assert report["x"].verdict == "right"
    assert report["x"].checked == report["x"].total  # at clean inputs; at the changed ones it would sit on kinks
    assert not report
    assert report.faults == ("changes its input in forward",)
    assert "changes its input in forward" in report.notes

    def in_backward(self, dy):
        self.x *= 2
        return dy * (self.x > 0)

    def upstream(self, dy):
        dy[self.x <= 0] = 0
        return dy

    for backward, fault in [
        (in_backward, "changes its input in backward"),
        (upstream, "changes the upstream gradient dy in backward"),
    ]:
        report = gradient_check(type("Careless", (zoo.ReLU,), {"backward": backward})(), x)
        assert report["x"].verdict == "right"
        assert report.faults == (fault,)
        assert not report


def test_a_function_that_changes_its_input_is_judged_at_clean_ones(x):
    def square(x):
        x *= x
        return x

    report = gradient_check(square, x, gradient=lambda dy, x: 2 * x * dy)
    assert report.verdict == "right"
    assert report.faults == ("changes its input in forward",)


def test_a_changed_parameter_is_a_fault(zoo, x):
    class Impatient(zoo.Linear):
        def backward(self, dy):
            dx = super().backward(dy)
            self.weight.value -= 0.1 * self.weight.grad
            return dx

    report = gradient_check(Impatient(), x)
    assert report.verdict == "right"
    assert report.faults == ("changes its parameter weight",)
    assert not report


# --- cannot judge


@pytest.mark.parametrize(
    ("function", "derivative"),
    [
        (lambda x: np.maximum(x, 0), lambda x: x > 0),
        (np.abs, np.sign),
        (lambda x: np.where(x > 0, x, 0.1 * x), lambda x: np.where(x > 0, 1, 0.1)),
    ],
    ids=["relu", "abs", "leaky relu"],
)
def test_kinks(x, function, derivative):
    x[2, 1] = 0.0
    report = check(function, derivative, x)
    assert report
    assert report["x"].checked == 14
    assert "kink at x[2, 1]: slope" in report["x"].reason

    nowhere = check(function, derivative, np.zeros((2, 2)))
    assert nowhere.verdict == "cannot judge"
    assert not nowhere
    assert "kink at x[0, 0]" in nowhere["x"].reason
    assert "(and 3 more)" in nowhere["x"].reason
    assert nowhere["x"].error is None


@pytest.mark.parametrize("distance", 10.0 ** -np.arange(1, 16))
def test_near_a_kink_nothing_right_is_called_wrong(distance):
    x = np.array([1.0, distance, -distance, -1.0])
    for function, derivative in [(lambda x: np.maximum(x, 0), lambda x: x > 0), (np.abs, np.sign)]:
        part = check(function, derivative, x)["x"]
        assert part.verdict == "right"
        assert part.checked == 4 or (distance < 3e-9 and part.reason.startswith("not judged: "))


def test_ties_of_a_maximum():
    x = np.array([[1.0, 1.0, 0.2], [0.5, 0.1, -0.3]])

    def gradient(dy, x):
        dx = np.zeros_like(x)
        dx[np.arange(len(x)), x.argmax(axis=1)] = dy
        return dx

    report = gradient_check(lambda x: x.max(axis=1), x, gradient=gradient)
    assert report
    assert report["x"].checked == 4
    assert "kink at x[0, 0]" in report["x"].reason


def test_a_jump_is_no_derivative():
    report = check(lambda x: np.sign(x) + x, lambda x: np.ones_like(x), np.array([0.0, 1.0]))
    assert report["x"].verdict == "right"
    assert report["x"].checked == 1


def test_randomness(zoo, x):
    fresh = np.random.default_rng()

    class Unseeded(zoo.Dropout):
        def forward(self, x):
            self.mask = np.random.default_rng().random(x.shape) > 0.5
            return x * self.mask

    for layer in (Unseeded(), lambda x: x * (fresh.random(x.shape) > 0.5)):
        options = {} if isinstance(layer, Unseeded) else {"gradient": lambda dy, x: dy}
        report = gradient_check(layer, x, **options)
        assert report.verdict == "cannot judge"
        assert "randomness" in report["x"].reason
        assert "pass a seeded generator" in report["x"].reason


def test_global_randomness(zoo, x):
    class Global(zoo.Dropout):
        def forward(self, x):
            self.mask = np.random.rand(*x.shape) > 0.5  # noqa: NPY002
            return x * self.mask

    report = gradient_check(Global(), x)
    assert report.verdict == "cannot judge"
    assert "randomness" in report["x"].reason


def test_rare_randomness_is_not_called_wrong(zoo):
    """It shows in one forward of six only, and so mostly passes the first test."""
    for seed in range(20):
        rng = np.random.default_rng(seed)

        def forward(x, rng=rng):
            return x * (rng.random() > 1 / 6)

        report = gradient_check(forward, np.ones(3), gradient=lambda dy, x: dy)
        assert report.verdict != "wrong"


@pytest.mark.parametrize("call", range(4, 12))
def test_one_forward_that_differs_is_randomness(zoo, x, call):
    """Also where it is the very forward that backward belongs to: the fifth or sixth."""
    calls = iter(range(1000))

    class Once(zoo.Tanh):
        def forward(self, x):
            self.gain = 3.0 if next(calls) == call else 1.0
            return super().forward(self.gain * x)

        def backward(self, dy):
            return self.gain * super().backward(dy)

    report = gradient_check(Once(), x)
    assert report.verdict != "wrong"


def test_a_forward_that_drifts_later_is_not_called_wrong(x):
    calls = iter(range(10**6))

    def forward(x):
        return x * (2.0 if next(calls) > 10 else 1.0)

    report = gradient_check(forward, x, gradient=lambda dy, x: dy)
    assert report.verdict == "cannot judge"
    assert "does not always give the same output" in report["x"].reason


def test_steps_as_fine_as_a_quantiser_are_no_slope():
    for seed in range(18):
        x = np.random.default_rng(seed).standard_normal((4, 3))
        report = check(lambda x: np.floor(x * 5e4), np.zeros_like, x, seed=seed)
        assert report.verdict != "wrong", str(report)


def test_a_layer_that_returns_the_same_array_each_time(zoo, x):
    class Reusing(zoo.Tanh):
        def forward(self, x):
            if np.iscomplexobj(x):
                raise TypeError("real only")
            self.work = getattr(self, "work", np.empty(x.shape))
            self.y = np.tanh(x, out=self.work)
            return self.work

    assert gradient_check(Reusing(), x)
    assert gradient_check(Reusing(), x)["x"].method == "central differences"


def test_float32_output(x):
    square = lambda x: x.astype(np.float32) ** 2  # noqa: E731
    report = check(square, lambda x: 2 * x, x)
    assert report.verdict == "cannot judge"
    assert "float32 rounding" in report["x"].reason
    assert check(square, lambda x: 2.001 * x, x).verdict == "cannot judge"
    assert check(square, lambda x: 2.2 * x, x).verdict == "wrong"


def test_float32_inside():
    """Output in float64, digits of float32: whatever the point, a right gradient is never called wrong."""
    weight = np.float32([[0.3, -1.1], [0.8, 0.4], [-0.6, 1.7]])
    for seed in range(10):
        x = np.random.default_rng(seed).standard_normal((4, 3))
        for function, gradient in [
            (lambda x: (x.astype(np.float32) ** 2).astype(float), lambda dy, x: dy * 2 * x),
            (lambda x: np.tanh(x.astype(np.float32)) + x, lambda dy, x: dy * (2 - np.tanh(x) ** 2)),
            (lambda x: (x.astype(np.float32) @ weight).astype(float), lambda dy, x: dy @ weight.T),
        ]:
            report = gradient_check(function, x, gradient=gradient, seed=seed)
            assert report.verdict == "cannot judge", str(report)
            assert "does it compute in float32?" in report["x"].reason
            wrong = gradient_check(function, x, gradient=lambda dy, x, g=gradient: 1.2 * g(dy, x), seed=seed)
            assert wrong.verdict == "wrong"


def test_a_few_lost_digits_are_not_float32(x):
    """exp(x) - 1 near 0 keeps ten digits; a steep function bends within small shifts."""
    assert check(lambda x: np.exp(np.abs(x)) - 1, lambda x: np.exp(np.abs(x)) * np.sign(x), 1e-6 * x)
    steep = lambda x: np.tanh(3e4 * (np.abs(x) - 0.5))  # noqa: E731
    near = 0.5 + np.array([1e-5, 2e-5, -3e-5])
    assert check(steep, lambda x: 3e4 * (1 - steep(x) ** 2), near)
    assert check(steep, lambda x: 3.1e4 * (1 - steep(x) ** 2), near).verdict == "wrong"


def test_float32_gradient(x):
    report = gradient_check(np.tanh, x, gradient=lambda dy, x: (dy * (1 - np.tanh(x) ** 2)).astype(np.float32))
    assert report.verdict == "cannot judge"
    assert "float32 rounding" in report["x"].reason


def test_float32_inputs_and_parameters_are_checked_in_float64(zoo, x):
    layer = zoo.Linear()
    layer.weight.value = layer.weight.value.astype(np.float32)
    layer.bias.value = layer.bias.value.astype(np.float16)
    report = gradient_check(layer, x.astype(np.float32))
    assert report
    assert all(part.error < 1e-12 for part in report)
    assert layer.weight.value.dtype == np.float32


def test_huge_values_hide_the_derivative(x):
    report = check(lambda x: np.abs(x) + 1e12, np.sign, x)
    assert report.verdict == "cannot judge"
    assert "rounding" in report["x"].reason
    assert check(lambda x: np.abs(x) + 1e12, lambda x: 1e6 * np.sign(x), x).verdict == "wrong"


def test_values_that_are_not_finite(x):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = check(np.log, lambda x: 1 / x, x - x.max() - 1)
        assert report.verdict == "cannot judge"
        assert "forward gives nan at output[0, 0]" in report["x"].reason
        edge = check(np.sqrt, lambda x: 0.5 / np.sqrt(x + (x == 0)), np.array([0.0]))
    assert edge.verdict == "cannot judge"
    assert "forward is not finite on both sides of x[0]" in edge["x"].reason


def test_a_domain_that_ends_nearby():
    x = np.array([1e-3, 0.5, 1e-5])
    assert check(np.sqrt, lambda x: 0.5 / np.sqrt(x), x)

    def strict(x):
        if np.any(np.real(x) <= 0):
            raise ValueError("positive, please")
        return np.log(np.abs(x))

    assert check(strict, lambda x: 1 / x, x)


def test_a_derivative_of_0_leaves_backward_its_rounding_and_nothing_more(zoo, x):
    constant = lambda x: 0.0 * np.abs(x) + 1  # noqa: E731
    for factor in (1e-5, 1e-9, 1e-11):
        report = gradient_check(constant, x, gradient=lambda dy, x, f=factor: f * dy)
        assert report.verdict == "wrong"
        assert "the derivative is 0" in report["x"].reason
    dead = gradient_check(zoo.ReLU(), -np.abs(x))
    assert dead
    assert dead["x"].reason == "the gradient vanishes here"


@pytest.mark.parametrize("seed", range(30))
def test_right_networks_with_kinks_are_never_called_wrong(zoo, seed):
    """ReLU networks, some inputs exactly 0, over eight orders of magnitude."""
    rng = np.random.default_rng(seed)

    class Network(zoo.Layer):
        def __init__(self):
            self.layers = [zoo.Linear(4, 4, seed), zoo.BatchNorm(4, seed), zoo.ReLU(), zoo.Linear(4, 4), zoo.ReLU()]
            self.layers = self.layers if seed % 2 else [*self.layers[:1], *self.layers[2:]]

        def named_parameters(self):
            return [(f"{i}.{n}", p) for i, layer in enumerate(self.layers) for n, p in layer.named_parameters()]

        def forward(self, x):
            for layer in self.layers:
                x = layer.forward(x)
            return x

        def backward(self, dy):
            for layer in self.layers[::-1]:
                dy = layer.backward(dy)
            return dy

    x = rng.standard_normal((int(rng.integers(1, 6)), 4)) * 10.0 ** rng.uniform(-4, 4)
    x[rng.random(x.shape) < 0.2] = 0.0
    report = gradient_check(Network(), x, seed=seed, samples=10)
    assert report.verdict != "wrong", str(report)
    assert sum(part.checked for part in report) > 0.5 * sum(min(10, part.total) for part in report)

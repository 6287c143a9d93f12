"""What can be checked, how it is called, and what is said of what cannot."""

from __future__ import annotations

import re

import numpy as np
import pytest

from handgrad.numerics import gradient_check

LABELS = np.array([0, 2, 1, 1, 0])


def test_parts_and_their_names(zoo, x):
    assert [part.name for part in gradient_check(zoo.Linear(), x)] == ["x", "weight", "bias"]
    report = gradient_check(
        lambda a, k, b: a @ b * k, (x, 2, np.eye(3)), gradient=lambda dy, a, k, b: (dy @ b.T * k, None, a.T @ dy * k)
    )
    assert report
    assert [part.name for part in report] == ["input 0", "input 2"]

    class Named(zoo.Tanh):
        def named_parameters(self):
            return [("x", self.scale)]

    layer = Named()
    layer.scale = zoo.Parameter(np.ones(3))
    assert [part.name for part in gradient_check(layer, x)] == ["input 0", "x"]


def test_parameters_without_names(zoo, x):
    class Listed(zoo.Linear):
        named_parameters = None

        def parameters(self):
            return [self.weight, self.bias, self.weight]

    Listed.named_parameters = property(lambda self: (_ for _ in ()).throw(AttributeError))
    report = gradient_check(Listed(), x)
    assert report
    assert [part.name for part in report] == ["x", "parameter 0", "parameter 1"]


class Foreign:
    """Dictionaries params and grads, dx returned: the interface of a course."""

    def __init__(self, dtype=np.float64):
        rng = np.random.default_rng(0)
        self.params = {"W": rng.standard_normal((3, 2)).astype(dtype), "b": rng.standard_normal((1, 2)).astype(dtype)}
        self.grads = {"W": np.zeros((3, 2), dtype), "b": np.zeros((1, 2), dtype)}

    def forward(self, x):
        self.x = x
        return x @ self.params["W"] + self.params["b"]

    def backward(self, dout):
        self.grads["W"] = self.x.T @ dout
        self.grads["b"] = dout.sum(axis=0, keepdims=True)
        return dout @ self.params["W"].T


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_layers_with_dictionaries(x, dtype):
    layer = Foreign(dtype)
    weight, held = layer.params["W"], layer.params["W"].copy()
    report = gradient_check(layer, x)
    assert report
    assert [part.name for part in report] == ["x", "W", "b"]
    assert layer.params["W"] is weight
    np.testing.assert_array_equal(weight, held)

    class Broken(Foreign):
        def backward(self, dout):
            dx = super().backward(dout)
            self.grads["b"] = dout.mean(axis=0, keepdims=True)
            return dx

    assert gradient_check(Broken(dtype), x)["b"].verdict == "wrong"


def test_arrays_perturbed_in_place_when_the_layer_holds_them_twice(x):
    class Twice(Foreign):
        def __init__(self):
            super().__init__()
            self.W = self.params["W"]

        def forward(self, x):
            self.x = x
            return x @ self.W + self.params["b"]

    report = gradient_check(Twice(), x)
    assert report
    assert report["W"].method == "central differences"  # the copy in complex numbers is not seen by this forward


def test_gradients_written_in_place_under_another_name(x):
    class Held(Foreign):
        def __init__(self):
            super().__init__()
            self.dW = self.grads["W"]

        def backward(self, dout):
            dx = super().backward(dout)
            self.grads["W"] = self.dW
            self.dW[...] = self.x.T @ dout
            return dx

    class Alias(Held):
        def backward(self, dout):
            self.dW[...] = self.x.T @ dout
            self.grads["b"] = dout.sum(axis=0, keepdims=True)
            return dout @ self.params["W"].T

    assert gradient_check(Held(), x)
    assert gradient_check(Alias(), x)


def test_gradients_that_are_no_numbers(x):
    class Objects(Foreign):
        def backward(self, dout):
            dx = super().backward(dout)
            self.grads["W"] = self.grads["W"].astype(object)
            return dx

    report = gradient_check(Objects(), x)
    assert report["W"].reason == "backward gives object values, expected floating point"
    assert report["x"].verdict == report["b"].verdict == "right"


def test_gradients_never_stored(x):
    class Forgetful(Foreign):
        def backward(self, dout):
            return dout @ self.params["W"].T

    report = gradient_check(Forgetful(), x)
    assert report["x"].verdict == "right"
    assert report["W"].verdict == report["b"].verdict == "wrong"
    assert "backward never stores a gradient of W" in report.notes

    class NoKey(Foreign):
        def backward(self, dout):
            dx = super().backward(dout)
            del self.grads["b"]
            return dx

    assert gradient_check(NoKey(), x)["b"].reason == "backward never stores its gradient (it is None)"


def test_gradients_that_are_added_up(x):
    class Adding(Foreign):
        def backward(self, dout):
            self.grads["W"] += self.x.T @ dout
            self.grads["b"] += dout.sum(axis=0, keepdims=True)
            return dout @ self.params["W"].T

    report = gradient_check(Adding(), x)
    assert report
    assert "backward adds to the gradient of W: judged from zero" in report.notes


def test_a_module_that_is_called(x):
    class Called:
        def __call__(self, x):
            self.x = x
            return x**2

        def backward(self, dy):
            return 2 * dy * self.x

    assert gradient_check(Called(), x)


@pytest.mark.parametrize("target", [LABELS, np.eye(3)[LABELS]], ids=["labels", "one-hot"])
def test_losses(zoo, x, target):
    class Upstream(zoo.CrossEntropy):
        def backward(self, dy):
            return dy * super().backward()

    class Default(Upstream):
        def backward(self, dy=1.0):
            return dy * zoo.CrossEntropy.backward(self)

    class Option(zoo.CrossEntropy):
        def backward(self, verbose=False):
            return super().backward()

    class Course(zoo.CrossEntropy):
        def backward(self, x, target):
            self.forward(x, target)
            return super().backward()

    for kind in (zoo.CrossEntropy, Upstream, Default, Option, Course):
        report = gradient_check(kind(), (x, target))
        assert report, str(report)
        assert [part.name for part in report] == ["x" if target is LABELS else "input 0"]
        assert report.notes == ()
        doubled = type("Doubled", (kind,), {})
        doubled.backward = {
            "CrossEntropy": lambda s: 2 * zoo.CrossEntropy.backward(s),
            "Upstream": lambda s, dy: 2 * Upstream.backward(s, dy),
            "Default": lambda s, dy=1.0: 2 * Default.backward(s, dy),
            "Option": lambda s, verbose=False: 2 * Option.backward(s),
            "Course": lambda s, x, target: 2 * Course.backward(s, x, target),
        }[kind.__name__]
        assert "2 times the derivative" in gradient_check(doubled(), (x, target)).parts[0].reason


def test_a_loss_that_ignores_its_upstream_gradient(zoo, x):
    class Deaf(zoo.CrossEntropy):
        def backward(self, dy=1.0):
            return super().backward()

    assert gradient_check(Deaf(), (x, LABELS)).verdict == "wrong"


def test_a_loss_with_a_value_for_each_sample(zoo, x):
    class PerSample(zoo.CrossEntropy):
        def forward(self, x, target):
            super().forward(x, target)
            return -np.log(self.p[np.arange(len(x)), target])

        def backward(self):
            return self.p - self.target

    report = gradient_check(PerSample(), (x, LABELS))
    assert report
    assert "the gradient of the sum of forward's values" in report.notes[0]


def test_a_backward_that_wants_dy_and_the_inputs(x):
    class Stateless:
        def forward(self, a, b):
            return a * b

        def backward(self, dy, a, b):
            return dy * b, dy * a

    assert gradient_check(Stateless(), (x, x + 1))


def test_several_inputs(zoo, x):
    class Product:
        def forward(self, a, b):
            self.a, self.b = a, b
            return a * b

        def backward(self, dy):
            return dy * self.b, dy * self.a

    report = gradient_check(Product(), (x, x[::-1] + 1))
    assert report
    assert [part.name for part in report] == ["input 0", "input 1"]
    assert gradient_check(Product(), [x, x[::-1] + 1])

    exchanged = type("Exchanged", (Product,), {"backward": lambda s, dy: (dy * s.a, dy * s.b)})
    assert gradient_check(exchanged(), (x, x[::-1] + 1)).verdict == "wrong"
    first = type("First", (Product,), {"backward": lambda s, dy: dy * s.b})
    report = gradient_check(first(), (x, x + 1))
    assert [part.name for part in report] == ["input 0"]
    assert report.notes == ("backward returns no gradient of input 1, so it is not judged",)
    three = type("Three", (Product,), {"backward": lambda s, dy: (dy, dy, dy)})
    assert gradient_check(three(), (x, x))["input 1"].reason == "backward returns 3 gradients for 2 inputs"


def test_an_embedding_has_parameters_only(zoo):
    class Embedding(zoo.Layer):
        def __init__(self):
            self.weight = zoo.Parameter(np.arange(8.0).reshape(4, 2))

        def forward(self, index):
            self.index = index
            return self.weight.value[index]

        def backward(self, dy):
            self.weight.grad = np.zeros((4, 2))
            np.add.at(self.weight.grad, self.index, dy)

    report = gradient_check(Embedding(), np.array([0, 3, 3]))
    assert report
    assert [part.name for part in report] == ["weight"]


def test_functions_that_return_value_and_gradient(x):
    assert gradient_check(lambda x: (np.sum(x**2), 2 * x), x)
    assert gradient_check(lambda x: (np.sum(x**2), x), x).verdict == "wrong"
    report = gradient_check(lambda a, b: (np.sum(a * b), (b, a)), (x, x + 1))
    assert report
    assert len(report.parts) == 2
    assert gradient_check(lambda a, b: (np.sum(a * b), (b, None)), (x, x + 1)).parts[0].verdict == "right"


def test_inputs_of_other_kinds():
    assert gradient_check(np.sin, 0.5, gradient=lambda dy, x: dy * np.cos(x))
    assert gradient_check(np.sin, [0.5, 0.7], gradient=lambda dy, x: dy * np.cos(x))
    assert gradient_check(np.sin, np.asfortranarray(np.ones((2, 3))).T[::-1], gradient=lambda dy, x: dy * np.cos(x))


def test_no_copy_for_each_evaluation_of_a_plain_layer(zoo, x):
    copies = []

    class Counting(zoo.Linear):
        def __deepcopy__(self, memo):
            copies.append(1)
            new = Counting()
            for name, parameter in self.named_parameters():
                getattr(new, name).value = parameter.value.copy()
            return new

    assert gradient_check(Counting(), x)
    assert len(copies) < 25  # and hundreds of evaluations


class Uncopyable:
    def __init__(self):
        self.handle = (i for i in range(3))

    def forward(self, x):
        return x

    def backward(self, dy):
        return dy


def test_what_cannot_be_checked(zoo, x):
    with pytest.raises(TypeError, match=r"Linear is a class: pass an instance, such as Linear\(\.\.\.\)"):
        gradient_check(zoo.Linear, x)
    with pytest.raises(TypeError, match="cannot check a str: expected a layer with forward and backward"):
        gradient_check("layer", x)
    with pytest.raises(TypeError, match="gradient= belongs to a plain function, but Tanh has its own backward"):
        gradient_check(zoo.Tanh(), x, gradient=lambda dy, x: dy)
    with pytest.raises(TypeError, match=r"gradient= is a ndarray, expected a function gradient|parameter 'gradient'"):
        gradient_check(np.tanh, x, gradient=x)
    with pytest.raises(TypeError, match=r"Uncopyable cannot be copied \(its attribute handle=.* is the reason\)"):
        gradient_check(Uncopyable(), x)
    with pytest.raises(TypeError, match="give it a __deepcopy__ method"):
        gradient_check(Uncopyable(), x)
    with pytest.raises(ValueError, match=r"no gradient of tanh to check: pass gradient=g"):
        gradient_check(np.tanh, x)
    with pytest.raises(ValueError, match=r"with a value of shape \(5, 3\), expected a scalar"):
        gradient_check(lambda x: (x, x), x)
    with pytest.raises(ValueError, match=r"nothing to differentiate: the inputs are int64.*astype\(float\)"):
        gradient_check(zoo.Tanh(), np.arange(3))
    with pytest.raises(ValueError, match="input 0 is complex128: gradients are checked for real inputs"):
        gradient_check(zoo.Tanh(), x + 1j)
    with pytest.raises(TypeError, match="returns int64 values, which have no derivative"):
        gradient_check(lambda x: x.argmax(1), x, gradient=lambda dy, x: x)
    with pytest.raises(TypeError, match=r"returns a list of 2, expected one array: wrap it in a function"):
        gradient_check(lambda x: [x, x], x, gradient=lambda dy, x: x)
    for name in ("samples", "draws"):
        with pytest.raises(ValueError, match=f"{name}=0 must be at least 1"):
            gradient_check(zoo.Tanh(), x, **{name: 0})


def test_signatures_that_are_not_understood(zoo, x):
    class Many(zoo.Tanh):
        def backward(self, dy, cache, context):
            return dy

    class NotHolding(zoo.Tanh):
        def named_parameters(self):
            return [("weight", np.ones(3))]

    with pytest.raises(
        TypeError, match=r"Many.backward takes 3 arguments \(dy, cache, context\) for 1 inputs: expected"
    ):
        gradient_check(Many(), x)
    with pytest.raises(TypeError, match=r"parameter weight of type ndarray without \.value: expected objects"):
        gradient_check(NotHolding(), x)


def test_errors_of_the_layer_itself_are_findings(zoo, x):
    report = gradient_check(zoo.Linear(4, 2), x)
    assert report.verdict == "cannot judge"
    assert [part.name for part in report] == ["x", "weight", "bias"]
    assert re.match(r"forward raises ValueError: matmul: .* \(conftest.py, line \d+\)$", report["x"].reason)


@pytest.mark.parametrize("error", [AssertionError("too long"), RuntimeError("too long"), KeyError("too long")])
@pytest.mark.parametrize(("method", "verdict"), [("forward", "cannot judge"), ("backward", "wrong")])
def test_whatever_a_layer_raises_is_a_finding(zoo, x, error, method, verdict):
    def raising(self, x):
        raise error

    report = gradient_check(type("Raising", (zoo.Linear,), {method: raising})(), x)
    assert {part.verdict for part in report} == {verdict}
    said = rf"{method} raises {type(error).__name__}: '?too long'? \(test_subjects.py, line \d+\)"
    assert all(re.fullmatch(said, part.reason) for part in report)
    assert "too long" in str(report)
    if method == "forward":
        function = gradient_check(lambda x: raising(None, x), x, gradient=lambda dy, x: dy)
    else:
        function = gradient_check(np.sin, x, gradient=raising)
    assert function.verdict == verdict


def test_a_layer_that_refuses_what_lies_beside_the_input():
    def positive(x):
        assert np.all(np.real(x) > 0), "positive, please"
        return np.log(x)

    x = np.array([1e-3, 0.5, 1e-7])
    assert gradient_check(positive, x, gradient=lambda dy, x: dy / x)
    assert gradient_check(positive, x, gradient=lambda dy, x: -dy / x).verdict == "wrong"


class PReLU:
    """y = x, or a x where x < 0; `a` in whatever form."""

    def __init__(self, a, factor=1.0):
        self.params, self.grads, self.factor = {"a": a}, {}, factor

    def forward(self, x):
        self.x = x
        return np.where(np.real(x) > 0, x, np.asarray(self.params["a"]) * x)

    def backward(self, dy):
        a, da = np.asarray(self.params["a"]), dy * self.x * (self.x <= 0)
        self.grads = {"a": self.factor * (da.sum(axis=0) if a.ndim else float(da.sum()))}
        return np.where(self.x > 0, dy, a * dy)


HELD = {
    "float": 0.25,
    "np.float64": np.float64(0.25),
    "np.float32": np.float32(0.25),
    "list": [0.25, 0.5, 0.1],
    "integers": np.array([1, 2, 3]),
    "integer": 2,
    "0-d": np.array(0.25),
}


@pytest.mark.parametrize("kind", HELD)
def test_parameters_that_are_no_arrays_of_floats_are_checked(x, kind):
    report = gradient_check(PReLU(HELD[kind]), x)
    assert report, str(report)
    assert report["a"].checked == np.size(HELD[kind])
    wrong = gradient_check(PReLU(HELD[kind], 1.001), x)
    assert [part.verdict for part in wrong] == ["right", "wrong"]


class Attribute:
    """The same, as plain attributes a and da."""

    def __init__(self, a, factor=1.0):
        self.a, self.da, self.factor = a, None, factor

    def forward(self, x):
        self.x = x
        return np.where(np.real(x) > 0, x, np.asarray(self.a) * x)

    def backward(self, dy):
        da = dy * self.x * (self.x <= 0)
        self.da = self.factor * (da.sum(axis=0) if np.ndim(self.a) else da.sum())
        self.dx = np.where(self.x > 0, dy, np.asarray(self.a) * dy)
        return self.dx


@pytest.mark.parametrize("kind", [kind for kind in HELD if kind != "integer"])
def test_parameters_that_are_plain_attributes(x, kind):
    layer = Attribute(HELD[kind])
    layer.backward(layer.forward(x))  # x and dx are there, too, and are no parameter
    report = gradient_check(layer, x)
    assert report, str(report)
    assert [part.name for part in report] == ["x", "a"]
    assert gradient_check(Attribute(HELD[kind], 1.001), x)["a"].verdict == "wrong"


def test_parameters_of_layers_inside(zoo, x):
    class Network:
        def __init__(self, factor=1.0):
            self.first = PReLU(0.3)
            self.rest = [Attribute(0.2), Attribute([0.1, 0.2, 0.3], factor)]

        def forward(self, x):
            for layer in (self.first, *self.rest):
                x = layer.forward(x)
            return x

        def backward(self, dy):
            for layer in (*self.rest[::-1], self.first):
                dy = layer.backward(dy)
            return dy

    report = gradient_check(Network(), x)
    assert report, str(report)
    assert [part.name for part in report] == ["x", "first.a", "rest.0.a", "rest.1.a"]
    assert gradient_check(Network(1.1), x)["rest.1.a"].verdict == "wrong"


def test_lists_of_parameters_and_gradients(x):
    class Listed:
        def __init__(self):
            self.params, self.grads = [np.eye(3), np.ones(3)], []

        def forward(self, x):
            self.x = x
            return x @ self.params[0] + self.params[1]

        def backward(self, dy):
            self.grads = [self.x.T @ dy, dy.mean(axis=0)]
            return dy @ self.params[0].T

    report = gradient_check(Listed(), x)
    assert [(part.name, part.verdict) for part in report] == [
        ("x", "right"),
        ("params[0]", "right"),
        ("params[1]", "wrong"),
    ]


def test_parameters_that_cannot_be_checked_are_said(x):
    class Odd(PReLU):
        def __init__(self, name, value):
            super().__init__(0.25)
            self.params[name] = value

    class Indexing(Odd):
        def forward(self, x):
            return super().forward(x)[:, self.params["columns"]]

        def backward(self, dy):
            whole = np.zeros(self.x.shape)
            whole[:, self.params["columns"]] = dy
            return super().backward(whole)

    for layer, name, reason in [
        (Odd("mode", "fast"), "mode", "not checked: it is a str, which contains no real numbers to differentiate by"),
        (
            Odd("z", np.ones(2, complex)),
            "z",
            "not checked: it is a ndarray of complex128, which contains no real numbers",
        ),
        (Odd("steps", 3), "steps", "not checked: it is a int, and backward stores no gradient for it"),
        (
            Indexing("columns", [2, 0]),
            "columns",
            "not checked: it is a list, and forward does not accept a float64 array",
        ),
    ]:
        report = gradient_check(layer, x)
        assert not report
        assert report.verdict == "cannot judge"
        assert report["x"].verdict == report["a"].verdict == "right"
        assert report[name].reason.startswith(reason)
    assert gradient_check(Odd("bias", None), x)


def test_what_a_layer_keeps_from_its_first_input_is_stale(zoo, x):
    class First(zoo.Tanh):
        kept = None

        def forward(self, x):
            y = super().forward(x)
            if self.kept is None:
                self.kept = y
            return y

        def backward(self, dy):
            return dy * (1 - self.kept**2)

    for inputs in (x, x[:1], x[:1, :1], np.ones((2, 3))):
        assert gradient_check(First(), inputs).verdict == "wrong"

    class FirstMask(zoo.ReLU):
        def forward(self, x):
            self.first = getattr(self, "first", x)
            return np.maximum(x, 0)

        def backward(self, dy):
            return dy * (self.first > 0)

    assert gradient_check(FirstMask(), x).verdict == "wrong"

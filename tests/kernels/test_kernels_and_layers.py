"""Every kernel computes the same as its layer, loss or update rule in `nn`. NumPy and compiled kernels run with one and
two threads, with new and reused memory, on the examples of `tests/examples.py`. The thresholds for multithreading and
splitting are lowered so that both are used."""

from __future__ import annotations

import itertools
from collections import Counter

import jaxtyping
import numpy as np
import pytest
from tests.examples import LAYERS, LOSSES, OPTIMIZERS, LayerExample, LossExample, read_only

from handgrad import nn
from handgrad.kernels import (
    FlatParameters,
    Kernel,
    Kernels,
    LossKernel,
    OptimizerKernel,
    batchnorm2d,
    convolution_algorithms,
    convolution_costs,
    linear,
    optimizers,
    pooling,
    sequential,
)
from handgrad.kernels.kernel import NUMBA_KERNELS, NUMPY_KERNELS
from handgrad.kernels.workers import Workers

try:
    import handgrad.kernels.compiled  # noqa: F401  (registers its kernels)
except ModuleNotFoundError:  # without numba
    FORMS = (False,)
else:
    #: Whether kernels are taken in their compiled form.
    FORMS = (False, True)
#: Compiled or not, how many threads, whether memory is reused.
WAYS = list(itertools.product(FORMS, (1, 2), (False, True)))
#: As an engine computes.
ENGINE = [(compiled, 2, True) for compiled in FORMS]

#: Relative to the largest number, and of numbers below 1 to 1: where they cancel, rounding is all that is left.
TOLERANCE = {np.float64: 1e-12, np.float32: 4e-6}
BATCHES = (5, 2, 9, 9, 0, 5, 1, 9, 2)


def made(example):
    """The layer, loss or update rule of an example."""
    if isinstance(example, LayerExample):
        return example.layer()
    return example.make() if isinstance(example, LossExample) else example.optimizer([nn.Parameter(np.ones(3))])


def over(examples, ways=WAYS):
    """Parametrises over examples and ways to compute them, including compiled kernels if there are any."""
    cases = []
    for way, example in itertools.product(ways, examples):
        thing = made(example)
        kinds = map(type, thing.modules()) if isinstance(thing, nn.Layer) else [type(thing)]
        if not way[0] or not NUMBA_KERNELS.keys().isdisjoint(kinds):
            cases.append(pytest.param(way, example, id=f"{named(way)}-{example.name.replace(' ', '-')}"))
    return pytest.mark.parametrize(("kernels", "example"), cases, indirect=["kernels"])


def named(way: tuple[bool, int, bool]) -> str:
    compiled, threads, reuse = way
    return f"{'numba' if compiled else 'numpy'}-{threads}-{'reused' if reuse else 'fresh'}"


in_every_way = pytest.mark.parametrize("kernels", WAYS, ids=named, indirect=True)
as_an_engine = pytest.mark.parametrize("kernels", ENGINE, ids=named, indirect=True)


@pytest.fixture
def kernels(request):
    """Disables the checks of shape annotations, which take most of the time."""
    compiled, threads, reuse = request.param
    jaxtyping.config.update("jaxtyping_disable", request.param not in ENGINE)
    yield Kernels(threads, compiled=compiled, reuse=reuse)
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(autouse=True)
def much_shared_and_cut(monkeypatch):
    monkeypatch.setattr(linear, "MIN_MULTIPLY_ADDS_PER_THREAD", 1)
    monkeypatch.setattr(sequential, "MIN_NUMBERS_PER_THREAD", 1)
    monkeypatch.setattr(optimizers, "BLOCK", 16)
    for rule in (optimizers.SweepKernel, optimizers.SGDKernel):
        monkeypatch.setattr(rule, "min_numbers_per_thread", 1)
    monkeypatch.setattr(batchnorm2d.BatchNorm2dKernel, "BLOCK", 20)
    monkeypatch.setattr(pooling._WindowPoolKernel, "BLOCK", 1)
    for name in ("ROWS", "NUMBERS"):
        monkeypatch.setattr(convolution_algorithms.Im2col, name, 1)
    monkeypatch.setattr(convolution_algorithms.Winograd, "CHUNK", 1)
    monkeypatch.setattr(convolution_algorithms.Winograd, "BLOCK", 300)


@pytest.fixture
def agree(close):
    def agree(actual, expected, dtype=np.float64, factor: float = 1.0) -> None:
        actual, expected = np.asarray(actual), np.asarray(expected)
        assert actual.shape == expected.shape
        assert actual.dtype == expected.dtype
        # The 1 that both are given is the scale of numbers that are all smaller.
        close(np.append(actual, 1), np.append(expected, 1), factor * TOLERANCE[dtype])

    return agree


@pytest.fixture
def same(agree):
    """Runs a layer, and a kernel of an equal layer, on the same batch and compares their complete state."""

    def same(layer: nn.Layer, kernel: Kernel, x, dtype=np.float64, factor: float = 1.0) -> None:
        for parameter in kernel.layer.parameters():
            parameter.grad.fill(np.nan)
        y = layer.forward(x)
        agree(kernel.forward(x), y, dtype, factor)
        dy = read_only(np.random.default_rng(1).standard_normal(y.shape).astype(y.dtype))
        agree(kernel.backward(dy), layer.backward(dy), dtype, factor)
        for (name, ours), (_, theirs) in zip(kernel.layer.named_parameters(), layer.named_parameters(), strict=True):
            assert not np.isnan(ours.grad).any(), name
            agree(ours.grad, theirs.grad, dtype, factor)
            np.testing.assert_array_equal(ours.value, theirs.value)
        for (_, ours), (_, theirs) in zip(kernel.layer.named_buffers(), layer.named_buffers(), strict=True):
            agree(ours, theirs, dtype, factor)
        for ours, theirs in zip(kernel.layer.modules(), layer.modules(), strict=True):
            if isinstance(theirs, nn.Dropout):
                assert ours.rng.bit_generator.state == theirs.rng.bit_generator.state

    return same


# -- layers -----------------------------------------------------------------------------------------------------------


def settings(kernel: Kernel, example: LayerExample):
    """The algorithms of a convolution, with their additional tolerance in float32."""
    if not isinstance(kernel.layer, nn.Conv2d):
        yield 1.0
        return
    for algorithm in convolution_costs(kernel.geometry(*example.shape[1:]), 9):
        kernel.algorithm = algorithm
        yield 5.0 if algorithm == "winograd-4x4" else 1.0


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@over(LAYERS)
def test_layers(kernels, example, dtype, same):
    layer, kernel = example.layer(dtype), kernels.lend(example.layer(dtype))
    for factor in settings(kernel, example):
        for step, n in enumerate(BATCHES):
            if n >= example.smallest_batch:
                same(layer, kernel, example.input(n, dtype, step), dtype, factor if dtype is np.float32 else 1.0)


MODELS = 3


@pytest.mark.parametrize("shared", [False, True], ids=["batches-apart", "one-batch"])
@over([example for example in LAYERS if example.stacks])
def test_stacked_models(kernels, example, shared, same):
    layer, kernel = example.layer(), kernels.lend(example.layer())
    for each in (layer, kernel.layer):
        if each.parameters():
            flat = FlatParameters(each, MODELS, np.float64)
            flat.values *= np.random.default_rng(5).uniform(0.5, 1.5, flat.values.shape)
            flat.grads.fill(np.nan)
    for step, n in enumerate(BATCHES):
        if n >= example.smallest_batch:
            same(layer, kernel, example.input(n, seed=step, models=() if shared else (MODELS,)))


def layouts(array: np.ndarray) -> list[np.ndarray]:
    """The same values with a different memory layout."""
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    wide[..., ::2] = array
    others = [np.asfortranarray(array), wide[..., ::2], array[::-1].copy()[::-1]]
    if array.ndim == 4:
        others.append(np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2))
    return others


@over(LAYERS, ENGINE)
def test_any_memory_layout(kernels, example, agree):
    layer, kernel = example.layer(), kernels.lend(example.layer())
    x = example.input()
    y = layer.forward(x)
    dy = np.random.default_rng(1).standard_normal(y.shape)
    dx = layer.backward(dy)
    for laid_x, laid_dy in zip(layouts(x), layouts(dy), strict=False):  # of images there is one more
        kernel = kernels.lend(example.layer())
        agree(kernel.forward(laid_x), y)
        agree(kernel.backward(laid_dy), dx)
        for ours, theirs in zip(kernel.layer.parameters(), layer.parameters(), strict=True):
            agree(ours.grad, theirs.grad)


@pytest.mark.parametrize(("of_x", "of_parameters"), [(np.float64, np.float32), (np.float32, np.float64)])
@over([example for example in LAYERS if example.layer().parameters()], ENGINE)
def test_parameters_of_another_dtype(kernels, example, of_x, of_parameters, agree):
    """Results have the dtype of the input."""
    layer, kernel = example.layer(of_parameters), kernels.lend(example.layer(of_parameters))
    x = example.input(dtype=of_x)
    y = layer.forward(x)
    agree(kernel.forward(x), y, np.float32)
    agree(kernel.backward(y), layer.backward(y), np.float32)
    for ours, theirs in zip(kernel.layer.parameters(), layer.parameters(), strict=True):
        agree(ours.grad, theirs.grad, np.float32)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@over([example for example in LAYERS if not example.random], ENGINE)
def test_numbers_that_are_not_finite(kernels, example, value):
    """A NaN is propagated, and an infinite value gives the same as in the layer, or NaN."""
    layer, kernel = example.layer(), kernels.lend(example.layer())
    x = example.input().copy()
    x[(1, *(0 for _ in example.shape))] = value
    with np.errstate(all="ignore"):
        ours, theirs = kernel.forward(x), layer.forward(x)
    if np.isnan(value) or not isinstance(layer, nn.Conv2d):  # an algorithm may multiply by 0, or add where none does
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
        np.testing.assert_allclose(ours, theirs, rtol=1e-10)
    np.testing.assert_array_equal(np.isfinite(ours[0]), np.isfinite(theirs[0]))


@over(LAYERS, ENGINE)
def test_mistakes_are_told_as_the_layer_tells_them(kernels, example, unchecked):
    layer, kernel = example.layer(), kernels.lend(example.layer())
    with pytest.raises(RuntimeError, match="backward was called before forward"):
        kernel.backward(np.zeros((2, *example.shape)))
    wrong = [np.zeros((3, *example.shape), int)]
    if example.wrong_shape:
        wrong.append(np.zeros((3, *example.wrong_shape)))
    for x in wrong:
        with pytest.raises((TypeError, ValueError)) as told:
            layer.forward(x)
        with pytest.raises(told.type) as repeated:
            kernel.forward(x)
        assert str(repeated.value) == str(told.value)
    y = layer.forward(example.input())
    kernel.forward(example.input())
    for dy in (y[:-1], np.append(y, y, axis=-1), y[0]):
        with pytest.raises(ValueError, match="got dy with shape=") as told:
            layer.backward(dy)
        with pytest.raises(ValueError, match="got dy with shape=") as repeated:
            kernel.backward(dy)
        assert str(repeated.value) == str(told.value)


# -- networks ---------------------------------------------------------------------------------------------------------


class Own(nn.Layer):
    """A custom layer without a kernel."""

    parameter_names = ("scale",)

    def __init__(self) -> None:
        self.scale = nn.Parameter(np.full(5, 2.0))

    def forward(self, x):
        self._keep(x)
        return x * self.scale.value

    def backward(self, dy):
        (x,) = self._recall()
        self.scale.grad[...] = (x * dy).sum(axis=0)
        return dy * self.scale.value


class Shifted(nn.Linear):
    """Differs from `nn.Linear`, so its kernel must not be used."""

    def forward(self, x):
        return super().forward(x) + 1


NETWORKS = {
    "own layers": lambda: nn.Sequential(
        nn.Linear(4, 5, rng=0), Own(), nn.ReLU(), nn.RMSNorm(5), nn.GroupNorm(1, 5), Shifted(5, 3, rng=1), nn.ReLU()
    ),
    "ReLU behind Linear": lambda: nn.Sequential(
        nn.Linear(4, 6, rng=0), nn.ReLU(), nn.Residual(nn.Linear(6, 6, bias=False, rng=1), nn.ReLU()), nn.ReLU()
    ),
    "ReLU behind BatchNorm1d": lambda: nn.Sequential(
        nn.Linear(4, 6, bias=False, rng=0),
        nn.BatchNorm1d(6),
        nn.ReLU(),
        nn.BatchNorm1d(6),
        nn.ReLU(),
        nn.Dropout(0.2, rng=1),
    ),
    "ReLU first": lambda: nn.Sequential(nn.ReLU(), nn.LayerNorm(4), nn.ReLU(), nn.ReLU(), nn.Softmax()),
}
IMAGE_NETWORKS = {
    "ReLU behind BatchNorm2d": lambda: nn.Sequential(
        nn.BatchNorm2d(2),
        nn.ReLU(),
        nn.Conv2d(2, 3, 3, padding=1, rng=0),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.Residual(nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 3, 3, padding=1, bias=False, rng=1)),
        nn.ReLU(),
        nn.MaxPool2d(2),
    ),
    "images to rows": lambda: nn.Sequential(
        nn.Conv2d(2, 3, 1, rng=0),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(12, 3, rng=1),
        nn.ReLU(),
    ),
    "global pooling": lambda: nn.Sequential(
        nn.Conv2d(2, 4, 3, rng=0), nn.BatchNorm2d(4), nn.ReLU(), nn.GlobalAvgPool2d(), nn.Linear(4, 3, rng=1)
    ),
}


@in_every_way
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluating"])
@pytest.mark.parametrize("name", [*NETWORKS, *IMAGE_NETWORKS])
def test_networks(kernels, name, training, same):
    def network():
        example = LayerExample(name, lambda _: {**NETWORKS, **IMAGE_NETWORKS}[name](), None, training=training)
        return example.layer()

    layer, kernel = network(), kernels.lend(network())
    shape = (4,) if name in NETWORKS else (2, 4, 5)
    for step, n in enumerate((5, 2, 9, 5, 9, 2)):
        x = np.random.default_rng(step).standard_normal((n, *shape))
        # batch normalisation of two samples magnifies what went before: by 1/sqrt(eps) where they are alike
        same(layer, kernel, read_only(x), factor=100)


@as_an_engine
def test_a_layer_without_a_kernel_runs_as_it_is(kernels):
    network = NETWORKS["own layers"]()
    parts = {type(part.layer): part for part in kernels.lend(network).parts}
    for kind in (Own, Shifted, *(kind for kind in (nn.RMSNorm, nn.GroupNorm) if kind not in NUMPY_KERNELS)):
        assert type(parts[kind]) is Kernel
        assert not parts[kind].fuses_relu
    assert type(parts[nn.Linear]) is NUMPY_KERNELS[nn.Linear]


@pytest.mark.parametrize("compiled", FORMS)
def test_no_subclass_gets_the_kernel_of_its_base(compiled):
    """A subclass computes something different."""
    for example in (*LAYERS, *LOSSES, *OPTIMIZERS):
        thing = made(example)
        thing.__class__ = type("Derived", (type(thing),), {})
        state = getattr(thing, "state", None)
        assert type(Kernels(compiled=compiled).lend(thing)) in (Kernel, LossKernel, OptimizerKernel)
        assert getattr(thing, "state", None) is state


@pytest.mark.parametrize("compiled", FORMS)
def test_every_kernel_is_exercised_above(compiled):
    kernels = Kernels(compiled=compiled)
    lent = [kernels.lend(made(example)) for example in (*LAYERS, *LOSSES, *OPTIMIZERS)]
    exercised = {
        type(part) for kernel in lent for part in (kernel.kernels() if isinstance(kernel, Kernel) else [kernel])
    }
    registry = NUMPY_KERNELS | NUMBA_KERNELS if compiled else NUMPY_KERNELS
    assert len(registry) > 20
    assert exercised >= set(registry.values())


def test_work_is_shared_and_cut_above(monkeypatch):
    """The thresholds are low enough that all divisible work is divided."""
    shared = Counter()
    run = Workers.run

    def counted(self, function, parts):
        parts = list(parts)
        shared[function.__qualname__ if hasattr(function, "__qualname__") else "jobs"] += len(parts) > 1
        run(self, function, parts)

    monkeypatch.setattr(Workers, "run", counted)
    kernels = Kernels(2)
    sharing = {
        linear.LinearKernel: "Linear",
        sequential.ResidualKernel: "Residual of activations",
        batchnorm2d.BatchNorm2dKernel: "BatchNorm2d",
        pooling.MaxPool2dKernel: "MaxPool2d",
        pooling.AvgPool2dKernel: "AvgPool2d",
    }
    for kind, name in sharing.items():
        example = next(example for example in LAYERS if example.name == name)
        kernel = kernels.lend(example.layer())
        assert type(kernel) is kind
        shared.clear()
        y = kernel.forward(example.input(9))
        assert shared.total() > 0, f"forward of {name}"
        shared.clear()
        kernel.backward(np.ones_like(y))
        assert shared.total() > 0, f"backward of {name}"
    example = next(example for example in LAYERS if example.name == "Conv2d 3x3")
    for algorithm in ("im2col", "winograd-2x2", "winograd-4x4"):  # taps: test_images.py, with many channels
        kernel = kernels.lend(example.layer())
        kernel.algorithm = algorithm
        shared.clear()
        kernel.backward(np.ones_like(kernel.forward(example.input(9))))
        assert shared.total() >= 3, algorithm
    rule = kernels.lend(nn.SGD([nn.Parameter(np.ones(200))], 0.1))
    shared.clear()
    rule.step()
    assert shared.total() == 1
    assert sum(len(blocks) for blocks, _ in rule._shares) > 2


# -- losses -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("checked", [False, True], ids=["labels-to-check", "labels-checked"])
@over(LOSSES)
def test_losses(kernels, example, checked, dtype, agree):
    loss, kernel = example.make(), kernels.lend(example.make())
    kernel.checked_labels = checked
    for n in (5, 2, 9, 1, 5, 9, 2):
        x = example.input(n, 4, dtype)
        targets = example.targets(n, 4, dtype)
        targets["int32 classes"] = targets["classes"].astype(np.int32)
        for target in targets.values():
            for weight in (None, np.linspace(0, 2, len(x)).astype(np.float32)):
                agree(kernel.forward(x, target, weight), loss.forward(x, target, weight), dtype)
                agree(kernel.backward(), loss.backward(), dtype)


@over(LOSSES)
def test_losses_of_stacked_models(kernels, example, agree):
    loss, kernel = example.make(), kernels.lend(example.make())
    for n in (5, 9, 2):
        x = example.input(n, models=(MODELS,))
        for target in example.targets(n).values():
            if target.ndim == 2:
                target = np.stack([np.roll(target, m, axis=0) for m in range(MODELS)])
            for weight in (None, np.linspace(0, 2, x.shape[1])):
                agree(kernel.forward(x, target, weight), loss.forward(x, target, weight))
                agree(kernel.backward(), loss.backward())


@over(LOSSES)
def test_mistakes_are_told_as_the_loss_tells_them(kernels, example, unchecked):
    loss, kernel = example.make(), kernels.lend(example.make())
    with pytest.raises(RuntimeError, match="backward was called before forward"):
        kernel.backward()
    x = example.input(3, 4)
    for target in (np.array([0, 4, 1]), np.array([0, -1, 1]), np.array([0, 1]), np.ones((3, 5)), np.ones((2, 4))):
        with pytest.raises((ValueError, IndexError)) as told:
            loss.forward(x, target)
        with pytest.raises(told.type) as repeated:
            kernel.forward(x, target)
        assert str(repeated.value) == str(told.value)


# -- update rules -----------------------------------------------------------------------------------------------------

#: Those of the first lie in one piece however they are cut, as compiled rules want them; those of the second do not.
SHAPES = ((203,), (1, 150), (1,), ()), ((3, 50), (3, 3, 4), (40,))


def parameters(dtype, shapes) -> list[nn.Parameter]:
    rng = np.random.default_rng(0)
    return [nn.Parameter(rng.standard_normal(shape).astype(dtype)) for shape in shapes]


def gradients(rule: nn.Optimizer, like: nn.Optimizer, step: int) -> None:
    """Noisy gradients of a quadratic function at the current point, for both."""
    rng = np.random.default_rng(1000 + step)
    for ours, theirs in zip(rule.parameters, like.parameters, strict=True):
        theirs.grad[...] = theirs.value + rng.standard_normal(theirs.value.shape)
        ours.grad[...] = theirs.grad


@pytest.mark.parametrize("shapes", SHAPES, ids=["in-one-piece", "in-pieces"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@over(OPTIMIZERS)
def test_update_rules(kernels, example, dtype, shapes, agree):
    rule, other = (example.optimizer(parameters(dtype, shapes)) for _ in range(2))
    kernel = kernels.lend(other)
    for step in range(12):
        for each in (rule, kernel.rule):
            each.learning_rate = example.learning_rate / (1 + step // 4)
        gradients(kernel.rule, rule, step)
        rule.step()
        kernel.step()
        assert kernel.rule.steps == rule.steps
        for ours, theirs in zip(kernel.rule.parameters, rule.parameters, strict=True):
            agree(ours.value, theirs.value, dtype)
            np.testing.assert_array_equal(ours.grad, theirs.grad)
        assert_same_state(kernel, rule, dtype, agree)


def assert_same_state(kernel, rule, dtype, agree) -> None:
    state = kernel.state
    if isinstance(rule, nn.Adam):  # the kernel carries the sums of which the rule carries the averages
        assert state.keys() == {"exp_sum", "exp_sq_sum"}
        names = zip(("exp_avg", "exp_avg_sq"), state.values(), rule.betas, strict=True)
        state = {name: [(1 - beta) * array for array in arrays] for name, arrays, beta in names}
    assert state.keys() == rule.state.keys()
    for name, arrays in rule.state.items():
        for ours, theirs in zip(state[name], arrays, strict=True):
            agree(np.asarray(ours, dtype), theirs, dtype)


@over(OPTIMIZERS)
def test_update_rules_with_a_learning_rate_per_model(kernels, example, agree):
    walk_with_rates(kernels, example, ((MODELS, 50), (MODELS, 1)), agree)


@as_an_engine
def test_update_rules_with_a_learning_rate_per_model_of_several_axes(kernels, agree):
    for example in OPTIMIZERS:
        walk_with_rates(kernels, example, ((MODELS, 2, 4), (MODELS, MODELS, 4)), agree)


def walk_with_rates(kernels, example, shapes, agree) -> None:
    rates = np.array([[0.1], [0.0], [0.01]])
    rule = example.optimizer(parameters(np.float64, shapes), rates)
    kernel = kernels.lend(example.optimizer(parameters(np.float64, shapes), rates))
    for step in range(4):
        gradients(kernel.rule, rule, step)
        rule.step()
        kernel.step()
        for ours, theirs in zip(kernel.rule.parameters, rule.parameters, strict=True):
            agree(ours.value, theirs.value)


@as_an_engine
def test_a_rule_without_a_kernel_steps_itself(kernels):
    rule, other = (nn.Muon(parameters(np.float64, ((4, 5), (6, 3))), 0.1) for _ in range(2))
    kernel = kernels.lend(other)
    assert type(kernel) is OptimizerKernel
    assert kernel.state is other.state
    for step in range(3):
        gradients(other, rule, step)
        rule.step()
        kernel.step()
    assert kernel.rule.steps == 3
    for ours, theirs in zip(other.parameters, rule.parameters, strict=True):
        np.testing.assert_array_equal(ours.value, theirs.value)


@as_an_engine
@pytest.mark.parametrize("make", [nn.ReLU, nn.CrossEntropy, lambda: nn.SGD([], 0.1)])
def test_what_is_lent_knows_what_it_computes(kernels, make):
    thing = make()
    kernel = kernels.lend(thing)
    assert next(getattr(kernel, name) for name in ("layer", "loss", "rule") if hasattr(kernel, name)) is thing
    if isinstance(kernel, OptimizerKernel):
        kernel.step()
        assert thing.steps == 1

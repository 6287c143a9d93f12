"""Compares the compiled kernels (the extra `fast`) with the NumPy kernels that they derive from.
`test_kernels_and_layers.py` compares both with the layers."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch

from handgrad import nn
from handgrad.kernels import FlatParameters, Kernels, LinearKernel, losses
from handgrad.kernels.kernel import NUMBA_KERNELS, NUMPY_KERNELS

pytest.importorskip("numba")
compiled_rows, compiled_images = (
    pytest.importorskip(f"handgrad.kernels.{name}") for name in ("compiled", "compiled_images")
)

D = 5

LAYERS = {
    "ReLU": nn.ReLU,
    "LeakyReLU": nn.LeakyReLU,
    "LeakyReLU steep": lambda: nn.LeakyReLU(1.5),
    "ELU": nn.ELU,
    "ELU alpha": lambda: nn.ELU(2.5),
    "Sigmoid": nn.Sigmoid,
    "Tanh": nn.Tanh,
    "SiLU": nn.SiLU,
    "GELU": nn.GELU,
    "GELU tanh": lambda: nn.GELU("tanh"),
    "Dropout": lambda: nn.Dropout(0.3, rng=7),
    "Dropout of nothing": lambda: nn.Dropout(0.0, rng=7),
    "BatchNorm1d": lambda: nn.BatchNorm1d(D),
    "BatchNorm1d biased": lambda: nn.BatchNorm1d(D, 0.1, 0.4, running_variance="biased"),
    "BatchNorm1d rectifying": lambda: nn.BatchNorm1d(D),
    "LayerNorm": lambda: nn.LayerNorm(D),
}
IMAGE_LAYERS = {
    "Conv2d": (lambda: nn.Conv2d(5, 7, 3, padding=1, rng=0), (3, 5, 8, 8)),
    "Conv2d of odd sizes": (lambda: nn.Conv2d(3, 2, 3, padding=(2, 0), rng=0), (2, 3, 7, 9)),
    "Conv2d of many channels": (
        lambda: nn.Conv2d(70, 530, 3, padding=1, rng=0),
        (2, 70, 3, 6),
    ),
    "Conv2d of a run and more": (
        lambda: nn.Conv2d(530, 64, 3, padding=(1, 0), bias=False, rng=0),
        (2, 530, 5, 4),
    ),
    "Conv2d otherwise": (lambda: nn.Conv2d(4, 6, 3, stride=2, rng=0), (2, 4, 7, 7)),
    "MaxPool2d": (lambda: nn.MaxPool2d(3, 2, 1), (3, 5, 8, 8)),
    "MaxPool2d of odd sizes": (lambda: nn.MaxPool2d((2, 3), (1, 2), (1, 0)), (2, 70, 7, 9)),
    "MaxPool2d of large windows": (lambda: nn.MaxPool2d(12, 5, 6), (2, 3, 13, 15)),
}
RULES = {
    "SGD": (nn.SGD, {}),
    "SGD decay": (nn.SGD, {"weight_decay": 0.1}),
    "SGD momentum": (nn.SGD, {"momentum": 0.9, "weight_decay": 0.1}),
    "SGD nesterov": (nn.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    "Adam": (nn.Adam, {}),
    "Adam options": (nn.Adam, {"betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
    "AdamW": (nn.AdamW, {"weight_decay": 0.1}),
    "RMSprop": (nn.RMSprop, {}),
    "RMSprop options": (nn.RMSprop, {"alpha": 0.9, "eps": 1e-4, "weight_decay": 0.1}),
    "RMSprop momentum": (nn.RMSprop, {"momentum": 0.5}),
    "RMSprop centered": (nn.RMSprop, {"centered": True, "weight_decay": 0.1}),
    "Adadelta": (nn.Adadelta, {}),
    "Adadelta options": (nn.Adadelta, {"rho": 0.8, "eps": 1e-3, "weight_decay": 0.1}),
}
#: What a compiled kernel need not ask its base for. (Momentum and centring of RMSprop are left to the base.)
COMPILED_METHODS = {
    **dict.fromkeys(("ReLU", "LeakyReLU"), ("_function", "_chain")),
    **dict.fromkeys(("ELU", "Sigmoid", "Tanh"), ("_chain",)),
    "Dropout": ("forward",),
    **dict.fromkeys(("SiLU", "BatchNorm1d", "LayerNorm"), ("forward", "backward")),
    "GELU": ("forward",),
    "SoftmaxCrossEntropy": ("forward", "backward"),
    "Conv2d": (),  # its algorithm is compiled
    "MaxPool2d": ("forward", "backward"),
    **dict.fromkeys(("SGD", "Adam", "AdamW", "RMSprop", "Adadelta"), ("_sweep", "_update")),
}


def pair(make, threads: int = 1, prepare=lambda thing: thing):
    """A NumPy kernel and a compiled one, of separate but equal layers."""
    base, compiled = (Kernels(threads, compiled=compiled).lend(prepare(make())) for compiled in (False, True))
    kind = type(getattr(base, "layer", None) or getattr(base, "loss", None) or base.rule)
    assert type(base) is NUMPY_KERNELS[kind]
    assert type(compiled) is NUMBA_KERNELS[kind]
    return base, compiled


def layer_pair(name, dtype=np.float32):
    """The kernels of one of `LAYERS`, whose parameters are random."""
    base, compiled = pair(LAYERS[name], prepare=functools.partial(prepared, dtype=dtype))
    for kernel in (base, compiled):
        kernel.fuses_relu = "rectifying" in name
    return base, compiled


def image_pair(name, dtype=np.float32, threads=1):
    """The kernels of one of `IMAGE_LAYERS`, and the shape of its images."""
    make, shape = IMAGE_LAYERS[name]
    base, compiled = pair(make, threads, functools.partial(prepared, dtype=dtype))
    if name.startswith("Conv2d"):
        for kernel in (base, compiled):
            kernel.algorithm = "im2col" if name == "Conv2d otherwise" else "winograd-4x4"
    return base, compiled, shape


def forbid(monkeypatch, compiled) -> None:
    """Makes the base class fail, so that the compiled kernel must do the work itself."""
    kind = next(kind for kind, own in NUMBA_KERNELS.items() if own is type(compiled))

    def asked(*_, **__):
        raise AssertionError(f"the NumPy kernel of {kind.__name__} was asked")

    for name in COMPILED_METHODS[kind.__name__]:
        owner = next(c for c in NUMPY_KERNELS[kind].__mro__ if name in vars(c))
        monkeypatch.setattr(owner, name, asked)


def prepared(layer: nn.Layer, dtype) -> nn.Layer:
    for i, parameter in enumerate(layer.parameters()):
        parameter.value += np.random.default_rng(i).standard_normal(parameter.value.shape).astype(np.float32)
    return layer.astype(dtype)


def results(kernel, x, dy) -> dict[str, np.ndarray]:
    y = kernel.forward(x)
    dx = kernel.backward(dy)
    gradients = {f"d{name}": parameter.grad for name, parameter in kernel.layer.named_parameters()}
    return {"y": y, "dx": dx, **gradients, **dict(kernel.layer.named_buffers())}


def assert_close(actual, expected, dtype) -> None:
    tolerance = {np.float32: 1e-5, np.float64: 1e-13}[dtype]
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        assert actual[name].dtype == array.dtype, name
        np.testing.assert_allclose(actual[name], array, rtol=tolerance, atol=tolerance, err_msg=name)


def drawn(shape, dtype, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def test_every_compiled_kernel_is_tested_here():
    tested = {type(make()) for make in LAYERS.values()} | {rule for rule, _ in RULES.values()}
    tested |= {type(make()) for make, _ in IMAGE_LAYERS.values()}
    assert {*tested, nn.SoftmaxCrossEntropy} == set(NUMBA_KERNELS)
    assert {kind.__name__ for kind in NUMBA_KERNELS} == set(COMPILED_METHODS)
    for kind, compiled in NUMBA_KERNELS.items():
        assert issubclass(compiled, NUMPY_KERNELS[kind])
        assert compiled.__name__ == NUMPY_KERNELS[kind].__name__


def test_what_has_no_compiled_kernel_has_the_numpy_one():
    assert type(Kernels(compiled=True).lend(nn.Linear(2, 3, rng=0))) is LinearKernel


# -- layers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 7, 300])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", LAYERS)
def test_layers(name, dtype, n, monkeypatch):
    base, compiled = layer_pair(name, dtype)
    batches = [(3 * drawn((n, D), dtype, seed), drawn((n, D), dtype, 10 + seed)) for seed in range(3)]
    expected = [{name: a.copy() for name, a in results(base, *batch).items()} for batch in batches]
    if name != "Dropout of nothing" and (name, dtype) != ("GELU", np.float64):
        forbid(monkeypatch, compiled)
    for batch, wanted in zip(batches, expected, strict=True):
        assert_close(results(compiled, *batch), wanted, dtype)


@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("name", LAYERS)
def test_no_sample_and_one(name, n):
    base, compiled = layer_pair(name)
    if isinstance(base.layer, nn.BatchNorm1d) and n < (2 if base.layer.running_variance == "unbiased" else 1):
        with pytest.raises(ValueError, match=f"got a training batch of N={n}, expected at least"):
            compiled.forward(drawn((n, D), np.float32))
        return
    batch = drawn((n, D), np.float32), drawn((n, D), np.float32, 1)
    assert_close(results(compiled, *batch), results(base, *batch), np.float32)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e4, -1e4, 3e38])
@pytest.mark.parametrize("name", LAYERS)
def test_numbers_at_the_edge(name, value):
    base, compiled = layer_pair(name)
    x, dy = drawn((6, D), np.float32), drawn((6, D), np.float32, 1)
    x[2, 3] = value
    with np.errstate(all="ignore"):
        expected = results(base, x, dy)
        actual = results(compiled, x, dy)
        assert_close(actual, expected, np.float32)


@pytest.mark.parametrize("name", LAYERS)
def test_evaluation(name):
    base, compiled = layer_pair(name)
    for kernel in (base, compiled):
        kernel.forward(drawn((6, D), np.float32))
        kernel.layer.eval()
    batch = drawn((6, D), np.float32, 1), drawn((6, D), np.float32, 2)
    expected, actual = results(base, *batch), results(compiled, *batch)
    assert_close(actual, expected, np.float32)


@pytest.mark.parametrize("dtype", [np.float16, ">f4", np.complex128])
@pytest.mark.parametrize("name", LAYERS)
def test_other_dtypes_are_the_bases(name, dtype):
    base, compiled = pair(LAYERS[name])
    x, dy = (drawn((6, D), np.float64, seed).astype(dtype) for seed in range(2))
    if x.dtype.kind == "c":  # layers take a complex input, for a complex step, but keep no complex gradient
        expected, actual = {"y": base.forward(x)}, {"y": compiled.forward(x)}
    else:
        expected, actual = results(base, x, dy), results(compiled, x, dy)
    for part, array in expected.items():
        assert actual[part].dtype == array.dtype
        np.testing.assert_array_equal(actual[part], array, err_msg=part)


@pytest.mark.parametrize("kind", ["BatchNorm1d", "LayerNorm"])
@pytest.mark.parametrize("shared", [True, False])
def test_stacked_models(kind, shared):
    base, compiled = layer_pair(kind)
    for kernel in (base, compiled):
        flat = FlatParameters(kernel.layer, 3)
        flat.values[...] = drawn(flat.values.shape, np.float32, 3)
    x, dy = drawn((6, D) if shared else (3, 6, D), np.float32), drawn((3, 6, D), np.float32, 1)
    assert_close(results(compiled, x, dy), results(base, x, dy), np.float32)


@pytest.mark.parametrize("kind", ["ReLU", "Tanh", "GELU", "Dropout"])
def test_more_axes(kind):
    base, compiled = layer_pair(kind)
    x, dy = drawn((2, 3, 4, D), np.float32), drawn((2, 3, 4, D), np.float32, 1)
    assert_close(results(compiled, x, dy), results(base, x, dy), np.float32)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 300_001])
@pytest.mark.parametrize("p", [0.0, 0.2, 0.999])
def test_dropout_draws_the_same_masks(p, size):
    base, compiled = pair(lambda: nn.Dropout(p, rng=3))
    ones = np.ones((1, size), np.float32)
    for _ in range(3):
        np.testing.assert_array_equal(compiled.forward(ones), base.forward(ones))
    assert compiled.layer.rng.bit_generator.state == base.layer.rng.bit_generator.state


def test_a_gradient_of_another_shape():
    for kind in ("ReLU", "SiLU", "GELU", "BatchNorm1d", "LayerNorm"):
        _, compiled = layer_pair(kind)
        compiled.forward(drawn((6, D), np.float32))
        with pytest.raises(ValueError, match=r"backward got dy with shape=\(4, 5\), expected \(6, 5\), the shape of"):
            compiled.backward(drawn((4, D), np.float32))


# -- images -----------------------------------------------------------------------------------------------------------


def images(shape, out, dtype, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """x and dy with channels last in memory, and with ties."""
    x, dy = drawn(shape, dtype, seed), drawn(out, dtype, 10 + seed)
    return tuple(np.ascontiguousarray(a.round(1).transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) for a in (x, dy))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", IMAGE_LAYERS)
def test_images(name, dtype, threads, monkeypatch):
    base, compiled, shape = image_pair(name, dtype, threads)
    out = base.forward(drawn(shape, dtype)).shape
    batches = [images(shape, out, dtype, seed) for seed in range(2)]
    expected = [{name: a.copy() for name, a in results(base, *batch).items()} for batch in batches]
    forbid(monkeypatch, compiled)
    for name, method in vars(compiled_images.Winograd4x4).items():
        if name.startswith("_transform"):
            owner = next(c for c in compiled_images.NumpyWinograd4x4.__mro__ if name in vars(c))
            assert method is not vars(owner)[name]
            monkeypatch.setattr(owner, name, None)
    for batch, wanted in zip(batches, expected, strict=True):
        scale = {name: max(1.0, np.abs(a).max()) for name, a in wanted.items()}
        actual = results(compiled, *batch)
        assert_close(
            {name: a / scale[name] for name, a in actual.items()},
            {name: a / scale[name] for name, a in wanted.items()},
            dtype,
        )


def test_every_transform_has_a_kernel():
    transforms = {name for c in compiled_images.NumpyWinograd4x4.__mro__ for name in vars(c) if "_transform_" in name}
    assert {name for name in vars(compiled_images.Winograd4x4) if "_transform_" in name} == transforms
    assert len(transforms) == 6


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["MaxPool2d", "MaxPool2d of odd sizes"])
def test_maxima_at_the_edge(kind, value):
    base, compiled, shape = image_pair(kind)
    x = drawn(shape, np.float32)
    x[0, 1, 2:5, 3] = value
    x[1, 2] = value
    np.testing.assert_array_equal(compiled.forward(x), base.forward(x))
    twin, twin_x = (
        torch.nn.MaxPool2d(base.layer.kernel_size, base.layer.stride, base.layer.padding),
        torch.tensor(x, requires_grad=True),
    )
    y = twin(twin_x)
    dy = drawn(y.shape, np.float32, 1)
    y.backward(torch.from_numpy(dy))
    np.testing.assert_allclose(compiled.backward(dy), twin_x.grad.numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, ">f4", np.complex128])
@pytest.mark.parametrize("kind", ["Conv2d", "MaxPool2d"])
def test_images_of_other_dtypes_are_the_bases(kind, dtype):
    base, compiled, shape = image_pair(kind)
    for kernel in (base, compiled):
        kernel.layer.astype(dtype)
    x = drawn(shape, np.float64).astype(dtype)
    expected, actual = base.forward(x), compiled.forward(x)
    assert actual.dtype == expected.dtype
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("kind", ["Conv2d", "MaxPool2d"])
def test_images_with_a_gradient_of_another_shape(kind):
    _, compiled, shape = image_pair(kind)
    y = compiled.forward(drawn(shape, np.float32))
    with pytest.raises(ValueError, match="backward got dy with shape="):
        compiled.backward(y[:1].copy())


# -- the loss ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 301])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax_cross_entropy(dtype, smoothing, n, monkeypatch):
    base, compiled = pair(lambda: nn.SoftmaxCrossEntropy(smoothing))
    x, labels = 5 * drawn((n, 7), dtype), np.random.default_rng(1).integers(0, 7, n)
    loss, dx = base.forward(x, labels), base.backward()
    forbid(monkeypatch, compiled)
    actual = compiled.forward(x, labels)
    assert actual.dtype == dtype
    tolerance = {np.float32: 2e-6, np.float64: 1e-14}[dtype]
    assert actual == pytest.approx(loss, rel=tolerance)
    np.testing.assert_allclose(compiled.backward(), dx, rtol=10 * tolerance, atol=tolerance / n)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e4, -1e4])
def test_scores_at_the_edge(value):
    base, compiled = pair(nn.SoftmaxCrossEntropy)
    for column in range(4):
        x = drawn((6, 4), np.float32)
        x[2, column] = value
        with np.errstate(all="ignore"):
            expected, actual = base.forward(x, np.full(6, 1)), compiled.forward(x, np.full(6, 1))
            np.testing.assert_allclose(actual, expected, rtol=1e-6)
            np.testing.assert_allclose(compiled.backward(), base.backward(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("target", ["int32 classes", "rows", "stacked"])
def test_other_targets_are_the_bases(target):
    base, compiled = pair(nn.SoftmaxCrossEntropy)
    x = drawn((2, 6, 4) if target == "stacked" else (6, 4), np.float32)
    t = {"int32 classes": np.arange(6, dtype=np.int32) % 4, "rows": np.eye(4, dtype=np.float32)[np.arange(6) % 4]}
    t = t.get(target, np.arange(6) % 4)
    compiled.forward(drawn((6, 4), np.float32), np.arange(6) % 4)  # what was kept of it must not be used below
    np.testing.assert_array_equal(compiled.forward(x, t), base.forward(x, t))
    np.testing.assert_array_equal(compiled.backward(), base.backward())


@pytest.mark.parametrize("labels", [[0, 4], [-1, 0]])
def test_classes_that_there_are_not(labels):
    _, compiled = pair(nn.SoftmaxCrossEntropy)
    with pytest.raises(ValueError, match=r"the loss got class -?\d, expected classes 0 to 3"):
        compiled.forward(drawn((2, 4), np.float32), np.array(labels))


@pytest.mark.parametrize("target", ["classes", "int32 classes"])
def test_labels_that_were_checked_are_not_looked_at_again(target, monkeypatch):
    """An engine checks all labels once, when the data are loaded."""
    dtype = np.int64 if target == "classes" else np.int32
    x, labels = drawn((6, 4), np.float32), (np.arange(6) % 4).astype(dtype)
    for kernel in pair(nn.SoftmaxCrossEntropy):
        expected = kernel.forward(x, labels)
        kernel.checked_labels = True
        with monkeypatch.context() as patch:
            for module in (losses, compiled_rows):
                patch.setattr(module, "check_labels", None)
            assert kernel.forward(x, labels) == expected


# -- update rules -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("rule", "options"), RULES.values(), ids=RULES)
def test_rules_give_the_same_bits(rule, options, dtype, monkeypatch):
    """Many steps with a changing learning rate, for parameters of several shapes."""
    shapes = ((1, 1003), (4, 5), (3,), ())
    base, compiled = pair(lambda: rule([nn.Parameter(drawn(shape, dtype)) for shape in shapes], 0.02, **options))

    def run(kernel):
        for step in range(12):
            kernel.rule.learning_rate = 0.02 / (1 + step)
            for i, parameter in enumerate(kernel.rule.parameters):
                parameter.grad[...] = drawn(parameter.value.shape, dtype, 100 * step + i) * 10.0 ** (step % 5 - 3)
            kernel.step()

    run(base)
    if not {"momentum", "centered"} & options.keys() or rule is nn.SGD:
        forbid(monkeypatch, compiled)
    run(compiled)
    for a, b in zip(base.rule.parameters, compiled.rule.parameters, strict=True):
        np.testing.assert_array_equal(a.value, b.value)
    assert compiled.state.keys() == base.state.keys()
    for name, arrays in base.state.items():
        for own, array in zip(compiled.state[name], arrays, strict=True):
            np.testing.assert_array_equal(own, array, err_msg=name)


@pytest.mark.parametrize(("rule", "options"), RULES.values(), ids=RULES)
def test_models_with_rates_of_their_own_are_the_bases(rule, options):
    rates = np.array([[0.1], [0.0], [0.01]])
    base, compiled = pair(lambda: rule([nn.Parameter(drawn((3, 50), np.float64))], rates, **options))
    for kernel in (base, compiled):
        for step in range(4):
            kernel.rule.parameters[0].grad[...] = drawn((3, 50), np.float64, step)
            kernel.step()
    np.testing.assert_array_equal(base.rule.parameters[0].value, compiled.rule.parameters[0].value)


@pytest.mark.parametrize(("rule", "options"), RULES.values(), ids=RULES)
def test_gradients_that_are_not_finite(rule, options):
    base, compiled = pair(lambda: rule([nn.Parameter(drawn(9, np.float32))], 0.1, **options))
    with np.errstate(all="ignore"):
        for kernel in (base, compiled):
            kernel.rule.parameters[0].grad[...] = [np.nan, np.inf, -np.inf, 3e38, 1e-45, 0, -0.0, 1, -1]
            kernel.step()
    np.testing.assert_array_equal(base.rule.parameters[0].value, compiled.rule.parameters[0].value)

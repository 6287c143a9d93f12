"""Every function of `handgrad.torch` with inputs, over which the tests of this folder run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import handgrad.torch as ht

torch.set_num_threads(1)


@dataclass(frozen=True)
class FunctionExample:
    """A function and what to apply it to.

    Arguments:
        function: called as `function.apply(*inputs(), *constants())`.
        shapes: of the inputs that have a gradient.
        constants: the arguments after them, float64 where they are floating.
        reference: the same from differentiable operations of PyTorch.
        prepare: makes inputs of the function's domain out of standard normal draws.
    """

    name: str
    function: type[torch.autograd.Function]
    shapes: tuple[tuple[int, ...], ...]
    reference: Callable[..., torch.Tensor]
    constants: Callable[[], tuple] = tuple
    prepare: Callable[[torch.Tensor], torch.Tensor] = lambda x: x

    def inputs(self, seed: int = 0, dtype=torch.float64) -> list[torch.Tensor]:
        generator = torch.Generator().manual_seed(seed)
        return [
            self.prepare(torch.randn(shape, generator=generator, dtype=torch.float64)).to(dtype)
            for shape in self.shapes
        ]

    def __call__(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.function.apply(*inputs, *self.constants())


F = torch.nn.functional
CLASSES = torch.tensor([2, 0, 3, 1, 1])
SOFT = torch.rand(5, 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def _away_from_0(x: torch.Tensor) -> torch.Tensor:
    """Excludes kinks, where numerical derivatives are wrong."""
    return x + 0.1 * x.sign()


def _distinct(x: torch.Tensor) -> torch.Tensor:
    """No two values are close to each other, so the maximum of a window is unambiguous."""
    return x.flatten().argsort().argsort().reshape(x.shape).double() / 10 - 2


def _fixed(n: int) -> Callable[[], tuple]:
    generator = torch.Generator().manual_seed(9)
    mean = torch.randn(n, generator=generator, dtype=torch.float64)
    variance = torch.rand(n, generator=generator, dtype=torch.float64) + 0.5
    return lambda: (mean, variance, 1e-3)


def _elementwise(name, function, reference, constants=tuple, prepare=lambda x: x) -> FunctionExample:
    return FunctionExample(name, function, ((3, 4),), reference, constants, prepare)


def _conv(name, weight, image=(2, 4, 5, 6), bias=True, **options) -> FunctionExample:
    options = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1, **options}
    values = tuple(options.values())
    if bias:
        return FunctionExample(
            name,
            ht.Conv2dFunction,
            (image, weight, weight[:1]),
            lambda x, w, b, *rest: F.conv2d(x, w, b, *rest),
            lambda: values,
        )
    return FunctionExample(
        name, ht.Conv2dFunction, (image, weight), lambda x, w, *rest: F.conv2d(x, w, *rest), lambda: (None, *values)
    )


MASK = (torch.rand(3, 4, generator=torch.Generator().manual_seed(3)) > 0.3).double() / 0.7
POOL = ((3, 3), (2, 2), (1, 1))

FUNCTIONS = (
    FunctionExample("linear", ht.LinearFunction, ((5, 4), (3, 4), (3,)), F.linear),
    FunctionExample("linear without bias", ht.LinearFunction, ((5, 4), (3, 4)), F.linear),
    FunctionExample(
        "batch norm",
        ht.BatchNormFunction,
        ((6, 3), (3,), (3,)),
        lambda x, w, b, eps: F.batch_norm(x, None, None, w, b, training=True, eps=eps),
        lambda: (1e-2,),
    ),
    FunctionExample(
        "batch norm of images",
        ht.BatchNormFunction,
        ((2, 3, 2, 3), (3,), (3,)),
        lambda x, w, b, eps: F.batch_norm(x, None, None, w, b, training=True, eps=eps),
        lambda: (1e-5,),
    ),
    FunctionExample(
        "fixed norm",
        ht.FixedNormFunction,
        ((4, 3), (3,), (3,)),
        lambda x, w, b, mean, variance, eps: F.batch_norm(x, mean, variance, w, b, eps=eps),
        _fixed(3),
    ),
    FunctionExample(
        "fixed norm of images",
        ht.FixedNormFunction,
        ((2, 3, 2, 2), (3,), (3,)),
        lambda x, w, b, mean, variance, eps: F.batch_norm(x, mean, variance, w, b, eps=eps),
        _fixed(3),
    ),
    FunctionExample(
        "GroupNorm",
        ht.GroupNormFunction,
        ((5, 6), (6,), (6,)),
        lambda x, weight, bias, groups: F.group_norm(x, groups, weight, bias),
        lambda: (2,),
    ),
    FunctionExample(
        "GroupNorm of images",
        ht.GroupNormFunction,
        ((2, 4, 3, 2), (4,), (4,)),
        lambda x, weight, bias, groups, eps: F.group_norm(x, groups, weight, bias, eps),
        lambda: (2, 1e-3),
    ),
    FunctionExample("RMSNorm", ht.RMSNormFunction, ((5, 4), (4,)), lambda x, weight: F.rms_norm(x, (4,), weight, 1e-5)),
    FunctionExample(
        "layer norm",
        ht.LayerNormFunction,
        ((3, 5), (5,), (5,)),
        lambda x, w, b, eps: F.layer_norm(x, (5,), w, b, eps),
        lambda: (1e-2,),
    ),
    FunctionExample(
        "layer norm of three axes",
        ht.LayerNormFunction,
        ((2, 3, 4), (4,), (4,)),
        lambda x, w, b, eps: F.layer_norm(x, (4,), w, b, eps),
        lambda: (1e-5,),
    ),
    _elementwise("identity", ht.IdentityFunction, lambda x: x),
    _elementwise("relu", ht.ReLUFunction, F.relu, prepare=_away_from_0),
    _elementwise("leaky relu", ht.LeakyReLUFunction, F.leaky_relu, lambda: (0.2,), _away_from_0),
    _elementwise("elu", ht.ELUFunction, F.elu, lambda: (1.5,), _away_from_0),
    _elementwise("sigmoid", ht.SigmoidFunction, torch.sigmoid),
    _elementwise("tanh", ht.TanhFunction, torch.tanh),
    _elementwise("gelu", ht.GELUFunction, lambda x, form: F.gelu(x, approximate=form), lambda: ("tanh",)),
    _elementwise("gelu exact", ht.GELUFunction, lambda x, form: F.gelu(x, approximate=form), lambda: ("none",)),
    _elementwise("silu", ht.SiLUFunction, F.silu),
    _elementwise("softplus", ht.SoftplusFunction, F.softplus),
    _elementwise("softplus 3", ht.SoftplusFunction, F.softplus, lambda: (3.0, 2.0)),
    _elementwise("softmax", ht.SoftmaxFunction, lambda x: torch.softmax(x, -1)),
    _elementwise("log softmax", ht.LogSoftmaxFunction, lambda x: torch.log_softmax(x, -1)),
    _elementwise("dropout", ht.DropoutFunction, torch.mul, lambda: (MASK,)),
    FunctionExample("flatten", ht.FlattenFunction, ((2, 3, 2, 2),), lambda x: x.flatten(1)),
    FunctionExample("residual", ht.ResidualFunction, ((2, 3), (2, 3)), torch.add),
    _conv("convolution", (3, 4, 3, 3), padding=(1, 1)),
    _conv("convolution 1x1", (3, 4, 1, 1)),
    _conv("convolution 1x1 strided", (3, 4, 1, 1), stride=(2, 2)),
    _conv("convolution strided", (2, 4, 2, 3), stride=(2, 1), padding=(0, 2)),
    _conv("convolution dilated", (2, 4, 2, 2), dilation=(2, 3), bias=False),
    _conv("convolution in groups", (6, 2, 3, 2), groups=2, padding=(1, 0)),
    _conv("convolution depthwise", (4, 1, 2, 2), groups=4, bias=False),
    FunctionExample(
        "max pool",
        ht.MaxPool2dFunction,
        ((2, 2, 5, 6),),
        lambda x, k, s, p: F.max_pool2d(x, k, s, p),
        lambda: POOL,
        _distinct,
    ),
    FunctionExample(
        "max pool oblong",
        ht.MaxPool2dFunction,
        ((1, 2, 6, 5),),
        lambda x, k, s, p: F.max_pool2d(x, k, s, p),
        lambda: ((3, 2), (1, 2), (0, 1)),
        _distinct,
    ),
    FunctionExample(
        "avg pool", ht.AvgPool2dFunction, ((2, 2, 5, 6),), lambda x, k, s, p: F.avg_pool2d(x, k, s, p), lambda: POOL
    ),
    FunctionExample(
        "avg pool oblong",
        ht.AvgPool2dFunction,
        ((1, 2, 6, 5),),
        lambda x, k, s, p: F.avg_pool2d(x, k, s, p),
        lambda: ((3, 2), (1, 2), (0, 1)),
    ),
    FunctionExample("global avg pool", ht.GlobalAvgPool2dFunction, ((2, 3, 2, 4),), lambda x: x.mean((2, 3))),
    FunctionExample(
        "cross-entropy",
        ht.CrossEntropyFunction,
        ((5, 4),),
        lambda x, t: -x[torch.arange(5), t].log().mean(),
        lambda: (CLASSES,),
        lambda x: torch.softmax(x, -1),
    ),
    FunctionExample(
        "cross-entropy of rows",
        ht.CrossEntropyFunction,
        ((5, 4),),
        lambda x, t: -(t * x.log()).sum(-1).mean(),
        lambda: (SOFT,),
        lambda x: torch.softmax(x, -1),
    ),
    FunctionExample(
        "softmax cross-entropy", ht.SoftmaxCrossEntropyFunction, ((5, 4),), F.cross_entropy, lambda: (CLASSES,)
    ),
    FunctionExample(
        "softmax cross-entropy of rows", ht.SoftmaxCrossEntropyFunction, ((5, 4),), F.cross_entropy, lambda: (SOFT,)
    ),
    FunctionExample(
        "softmax cross-entropy smoothed",
        ht.SoftmaxCrossEntropyFunction,
        ((5, 4),),
        lambda x, t, smoothing: F.cross_entropy(x, t, label_smoothing=smoothing),
        lambda: (CLASSES, 0.2),
    ),
    FunctionExample(
        "negative log-likelihood", ht.NegativeLogLikelihoodFunction, ((5, 4),), F.nll_loss, lambda: (CLASSES,)
    ),
    FunctionExample(
        "negative log-likelihood of rows",
        ht.NegativeLogLikelihoodFunction,
        ((5, 4),),
        lambda x, t: -(t * x).sum(-1).mean(),
        lambda: (SOFT,),
    ),
    FunctionExample("mean squared error", ht.MeanSquaredErrorFunction, ((5, 4),), F.mse_loss, lambda: (SOFT,)),
    FunctionExample("mean absolute error", ht.MeanAbsoluteErrorFunction, ((5, 4),), F.l1_loss, lambda: (SOFT,)),
    FunctionExample(
        "huber",
        ht.HuberFunction,
        ((5, 4),),
        lambda x, t, delta: F.huber_loss(x, t, delta=delta),
        lambda: (SOFT, 0.5),
    ),
    FunctionExample(
        "mean squared error of classes",
        ht.MeanSquaredErrorFunction,
        ((5, 4),),
        lambda x, t: F.mse_loss(x, F.one_hot(t, 4).to(x.dtype)),
        lambda: (CLASSES,),
    ),
)


@pytest.fixture(params=FUNCTIONS, ids=[example.name.replace(" ", "-") for example in FUNCTIONS])
def example(request) -> FunctionExample:
    return request.param


@pytest.fixture
def examples() -> tuple[FunctionExample, ...]:
    """The whole registry."""
    return FUNCTIONS


class _Recorder(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))

    @property
    def forbidden(self) -> list[str]:
        """Kernels that are themselves a derivative, a normalisation, a loss or a softmax."""
        words = (
            "backward",
            "norm",
            "softmax",
            "nll_loss",
            "mse_loss",
            "dropout",
            "pool",
            "convolution",
            "gelu",
            "silu",
        )
        length = "linalg_vector_norm"  # of a row: a sum of squares and its root, nothing is normalised
        return [name for name in self.names if any(word in name.replace(length, "") for word in words)]


@pytest.fixture
def recording():
    """Records the names of the ATen kernels that run within a block."""

    @contextmanager
    def recording() -> Iterator[_Recorder]:
        with _Recorder() as recorder:
            yield recorder

    return recording

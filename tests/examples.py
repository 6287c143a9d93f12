"""One example of every layer, loss and optimiser: the suites of `nn` and of `kernels` run over all of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from handgrad import nn

torch.set_num_threads(1)


@dataclass(frozen=True)
class LayerExample:
    """A layer, how to make it again exactly as it was, and its PyTorch twin.

    Arguments:
        make: called with the generator of the layer's own randomness (dropout masks).
        twin: the same layer in PyTorch, which takes the state dict; None where there is none to compare with.
        shape: of one sample.
        smallest_batch: the smallest that the layer takes.
        stacks: whether it takes a leading axis of models.
        wrong_shape: of one sample, that the layer refuses; None where any will do.
        random: whether it draws something at each forward.
        float32_error: how far from PyTorch's its output may be in float32, relative to the largest number.
    """

    name: str
    make: Callable[[np.random.Generator], nn.Layer]
    twin: Callable[[], torch.nn.Module] | None
    shape: tuple[int, ...] = (4,)
    smallest_batch: int = 0
    training: bool = True
    stacks: bool = True
    wrong_shape: tuple[int, ...] | None = None
    random: bool = False
    float32_error: float = 2e-6

    def layer(self, dtype=np.float64, rng: np.random.Generator | int = 7) -> nn.Layer:
        """A new layer with parameters and buffers that are neither 0 nor 1, the same at every call."""
        layer = self.make(np.random.default_rng(rng))
        randomise(layer, 3)
        return layer.astype(dtype).train(self.training)

    def input(self, n: int = 6, dtype=np.float64, seed: int = 0, models: tuple[int, ...] = ()) -> np.ndarray:
        """Read-only, so that a layer that writes to its input fails."""
        return read_only(np.random.default_rng(seed).standard_normal((*models, n, *self.shape)).astype(dtype))

    def run(self, x, dy, **options) -> dict[str, np.ndarray]:
        """Whatever a new layer gives: y, dx and the gradients."""
        layer = self.layer(**options)
        y, dx = layer.forward(x), layer.backward(dy)
        return {"y": y, "dx": dx, **{f"d{name}": p.grad.copy() for name, p in layer.named_parameters()}}

    def upstream(self, x: np.ndarray, seed: int = 1) -> np.ndarray:
        y = self.layer(x.dtype).forward(x)
        return read_only(np.random.default_rng(seed).standard_normal(y.shape).astype(x.dtype))


def read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def randomise(layer: nn.Layer, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _, parameter in layer.named_parameters():
        parameter.value[...] = rng.uniform(0.5, 1.5, parameter.value.shape) * rng.choice((-1, 1), parameter.value.shape)
    for name, buffer in layer.named_buffers():
        if buffer.dtype.kind == "f":
            buffer[...] = rng.uniform(0.5, 1.5, buffer.shape)
        else:
            assert name.endswith("num_batches_tracked")


def _network(rng: np.random.Generator) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(4, 5, bias=False, rng=0),
        nn.BatchNorm1d(5),
        nn.ELU(),
        nn.Dropout(0.3, rng=rng),
        nn.Linear(5, 3, rng=1),
    )


class _TorchResidual(torch.nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


LAYERS = (
    LayerExample("Linear", lambda _: nn.Linear(4, 3, rng=0), lambda: torch.nn.Linear(4, 3), wrong_shape=(5,)),
    LayerExample(
        "Linear without bias",
        lambda _: nn.Linear(4, 3, bias=False, rng=0),
        lambda: torch.nn.Linear(4, 3, bias=False),
        wrong_shape=(3,),
    ),
    LayerExample("Identity", lambda _: nn.Identity(), torch.nn.Identity),
    LayerExample("ReLU", lambda _: nn.ReLU(), torch.nn.ReLU),
    LayerExample("LeakyReLU", lambda _: nn.LeakyReLU(), torch.nn.LeakyReLU),
    LayerExample("LeakyReLU 0.3", lambda _: nn.LeakyReLU(0.3), lambda: torch.nn.LeakyReLU(0.3)),
    LayerExample("ELU", lambda _: nn.ELU(), torch.nn.ELU),
    LayerExample("ELU 2.5", lambda _: nn.ELU(2.5), lambda: torch.nn.ELU(2.5)),
    LayerExample("Sigmoid", lambda _: nn.Sigmoid(), torch.nn.Sigmoid),
    LayerExample("Tanh", lambda _: nn.Tanh(), torch.nn.Tanh),
    LayerExample("SiLU", lambda _: nn.SiLU(), torch.nn.SiLU),
    LayerExample("GELU tanh", lambda _: nn.GELU("tanh"), lambda: torch.nn.GELU(approximate="tanh")),
    LayerExample("GELU", lambda _: nn.GELU(), torch.nn.GELU),
    LayerExample("Softplus", lambda _: nn.Softplus(), torch.nn.Softplus),
    LayerExample("Softplus 2.5", lambda _: nn.Softplus(2.5, 1.0), lambda: torch.nn.Softplus(2.5, 1.0)),
    LayerExample("Softmax", lambda _: nn.Softmax(), lambda: torch.nn.Softmax(dim=-1)),
    LayerExample("LogSoftmax", lambda _: nn.LogSoftmax(), lambda: torch.nn.LogSoftmax(dim=-1)),
    LayerExample("Dropout", lambda rng: nn.Dropout(0.3, rng=rng), None, random=True),
    LayerExample(
        "Dropout evaluating",
        lambda rng: nn.Dropout(0.3, rng=rng),
        lambda: torch.nn.Dropout(0.3).eval(),
        training=False,
    ),
    LayerExample("Dropout of nothing", lambda rng: nn.Dropout(0.0, rng=rng), lambda: torch.nn.Dropout(0.0)),
    LayerExample(
        "BatchNorm1d",
        lambda _: nn.BatchNorm1d(4),
        lambda: torch.nn.BatchNorm1d(4),
        smallest_batch=2,
        wrong_shape=(3,),
    ),
    LayerExample("BatchNorm1d biased", lambda _: nn.BatchNorm1d(4, running_variance="biased"), None, smallest_batch=1),
    LayerExample(
        "BatchNorm1d evaluating",
        lambda _: nn.BatchNorm1d(4, eps=0.1),
        lambda: torch.nn.BatchNorm1d(4, eps=0.1).eval(),
        training=False,
        wrong_shape=(1,),
    ),
    LayerExample("LayerNorm", lambda _: nn.LayerNorm(4), lambda: torch.nn.LayerNorm(4), wrong_shape=(5,)),
    LayerExample("GroupNorm", lambda _: nn.GroupNorm(2, 6), lambda: torch.nn.GroupNorm(2, 6), shape=(6,)),
    LayerExample("RMSNorm", lambda _: nn.RMSNorm(4), lambda: torch.nn.RMSNorm(4, eps=1e-5), wrong_shape=(5,)),
    LayerExample("Flatten", lambda _: nn.Flatten(), torch.nn.Flatten, shape=(2, 3, 2), stacks=False),
    LayerExample("Sequential", _network, None, smallest_batch=2, wrong_shape=(5,), random=True),
    LayerExample(
        "Sequential evaluating",
        _network,
        lambda: torch.nn.Sequential(
            torch.nn.Linear(4, 5, bias=False),
            torch.nn.BatchNorm1d(5),
            torch.nn.ELU(),
            torch.nn.Dropout(),
            torch.nn.Linear(5, 3),
        ).eval(),
        training=False,
        wrong_shape=(3,),
    ),
    LayerExample(
        "Residual",
        lambda _: nn.Residual(nn.Linear(4, 5, rng=0), nn.Tanh(), nn.Linear(5, 4, rng=1)),
        lambda: _TorchResidual(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 4)),
        wrong_shape=(3,),
    ),
    LayerExample(
        "Residual in Sequential",
        lambda _: nn.Sequential(nn.Linear(4, 3, rng=0), nn.Residual(nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 3))),
        lambda: torch.nn.Sequential(
            torch.nn.Linear(4, 3),
            _TorchResidual(torch.nn.BatchNorm1d(3), torch.nn.ReLU(), torch.nn.Linear(3, 3)),
        ),
        smallest_batch=2,
        wrong_shape=(5,),
    ),
    LayerExample("Residual of activations", lambda _: nn.Residual(nn.ReLU(), nn.Tanh()), None),
)


def _convolution(name: str, size: tuple[int, int], *sizes, **options) -> LayerExample:
    """A convolution of images of this size."""
    return LayerExample(
        name,
        lambda _: nn.Conv2d(*sizes, **options, rng=0),
        lambda: torch.nn.Conv2d(*sizes, **options),
        shape=(sizes[0], *size),
        stacks=False,
    )


def _of_images(name: str, make, twin, shape: tuple[int, ...] = (2, 4, 3), **options) -> LayerExample:
    return LayerExample(name, lambda _: make(), twin, shape=shape, stacks=False, **options)


# What images that do not fit are told is tested in test_images.py.
LAYERS = (
    *LAYERS,
    _convolution("Conv2d", (3, 4), 2, 3, (3, 2), stride=(1, 2), padding=1),
    _convolution("Conv2d of groups", (2, 3), 4, 2, 2, dilation=2, padding=1, groups=2, bias=False),
    _convolution("Conv2d 1x1", (3, 2), 3, 4, 1),
    _convolution("Conv2d of stride 2", (4, 3), 2, 3, (2, 3), stride=2, padding=1),
    _convolution("Conv2d 3x3", (5, 6), 1, 2, 3, padding=1),
    _of_images("MaxPool2d", lambda: nn.MaxPool2d(3, 2, 1), lambda: torch.nn.MaxPool2d(3, 2, 1)),
    _of_images("AvgPool2d", lambda: nn.AvgPool2d(3, 2, 1), lambda: torch.nn.AvgPool2d(3, 2, 1)),
    _of_images(
        "GlobalAvgPool2d",
        nn.GlobalAvgPool2d,
        lambda: torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()),
    ),
    _of_images("GroupNorm of images", lambda: nn.GroupNorm(1, 2), lambda: torch.nn.GroupNorm(1, 2)),
    _of_images("BatchNorm2d", lambda: nn.BatchNorm2d(2), lambda: torch.nn.BatchNorm2d(2), smallest_batch=1),
    _of_images("BatchNorm2d biased", lambda: nn.BatchNorm2d(2, running_variance="biased"), None, smallest_batch=1),
    _of_images(
        "BatchNorm2d evaluating",
        lambda: nn.BatchNorm2d(2, eps=0.1),
        lambda: torch.nn.BatchNorm2d(2, eps=0.1).eval(),
        training=False,
    ),
)


@dataclass(frozen=True)
class LossExample:
    """A loss and its PyTorch twin.

    Arguments:
        by_definition: (x, t) of one sample, lists of K numbers -> its loss and its gradient, of which a batch has the
            means.
        twin: (x, target as rows) -> the loss as a tensor.
        probabilities: whether it takes probabilities rather than scores.
    """

    name: str
    make: Callable[[], nn.Loss]
    by_definition: Callable[[list[float], list[float]], tuple[float, list[float]]]
    twin: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    probabilities: bool = False

    def input(self, n: int = 6, k: int = 4, dtype=np.float64, models: tuple[int, ...] = ()) -> np.ndarray:
        x = np.random.default_rng(0).standard_normal((*models, n, k))
        if self.probabilities:
            x = np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)
        return read_only(x.astype(dtype))

    @staticmethod
    def targets(n: int = 6, k: int = 4, dtype=np.float64) -> dict[str, np.ndarray]:
        """The kinds of targets; the first two mean the same."""
        rng = np.random.default_rng(1)
        classes = rng.integers(0, k, n)
        soft = rng.uniform(0.1, 1, (n, k))
        targets = {
            "classes": classes,
            "one-hot": np.eye(k, dtype=dtype)[classes],
            "integer one-hot": np.eye(k, dtype=np.int64)[classes],
            "soft": (soft / soft.sum(axis=-1, keepdims=True)).astype(dtype),
            "rows of another sum": soft.astype(dtype),
        }
        return {name: read_only(target) for name, target in targets.items()}


def _softmax_cross_entropy(x: list[float], t: list[float], smoothing: float = 0.0) -> tuple[float, list[float]]:
    total = sum(math.exp(v) for v in x)
    t = [(1 - smoothing) * v + smoothing / len(x) for v in t]
    loss = -sum(tv * math.log(math.exp(v) / total) for v, tv in zip(x, t, strict=True))
    return loss, [sum(t) * math.exp(v) / total - tv for v, tv in zip(x, t, strict=True)]


def _cross_entropy(x: list[float], t: list[float]) -> tuple[float, list[float]]:
    pairs = list(zip(x, t, strict=True))
    return -sum(tv * math.log(v) for v, tv in pairs), [-tv / v for v, tv in pairs]


def _negative_log_likelihood(x: list[float], t: list[float]) -> tuple[float, list[float]]:
    return -sum(tv * v for v, tv in zip(x, t, strict=True)), [-tv for tv in t]


def _mean_squared_error(x: list[float], t: list[float]) -> tuple[float, list[float]]:
    differences = [v - tv for v, tv in zip(x, t, strict=True)]
    return sum(d**2 for d in differences) / len(x), [2 * d / len(x) for d in differences]


def _mean_absolute_error(x: list[float], t: list[float]) -> tuple[float, list[float]]:
    differences = [v - tv for v, tv in zip(x, t, strict=True)]
    return sum(map(abs, differences)) / len(x), [math.copysign(1, d) / len(x) for d in differences]


def _huber(x: list[float], t: list[float], delta: float) -> tuple[float, list[float]]:
    loss, gradient = 0.0, []
    for v, tv in zip(x, t, strict=True):
        near = abs(v - tv) <= delta
        loss += ((v - tv) ** 2 / 2 if near else delta * abs(v - tv) - delta**2 / 2) / len(x)
        gradient.append((v - tv if near else math.copysign(delta, v - tv)) / len(x))
    return loss, gradient


LOSSES = (
    LossExample(
        "SoftmaxCrossEntropy",
        nn.SoftmaxCrossEntropy,
        _softmax_cross_entropy,
        lambda x, t: -(t * torch.nn.functional.log_softmax(x, -1)).sum(-1).mean(-1),
    ),
    LossExample(
        "SoftmaxCrossEntropy(label_smoothing=0.1)",
        lambda: nn.SoftmaxCrossEntropy(0.1),
        lambda x, t: _softmax_cross_entropy(x, t, 0.1),
        lambda x, t: torch.nn.functional.cross_entropy(x, t, label_smoothing=0.1),
    ),
    LossExample(
        "CrossEntropy",
        nn.CrossEntropy,
        _cross_entropy,
        lambda x, t: -(t * x.log()).sum(-1).mean(-1),
        probabilities=True,
    ),
    LossExample(
        "NegativeLogLikelihood",
        nn.NegativeLogLikelihood,
        _negative_log_likelihood,
        lambda x, t: -(t * x).sum(-1).mean(-1),
    ),
    LossExample("MeanSquaredError", nn.MeanSquaredError, _mean_squared_error, torch.nn.MSELoss()),
    LossExample("MeanAbsoluteError", nn.MeanAbsoluteError, _mean_absolute_error, torch.nn.L1Loss()),
    LossExample(
        "Huber(delta=0.5)", lambda: nn.Huber(0.5), lambda x, t: _huber(x, t, 0.5), torch.nn.HuberLoss(delta=0.5)
    ),
)


@dataclass(frozen=True)
class OptimizerExample:
    """An optimiser with its settings and its PyTorch twin."""

    name: str
    make: Callable[..., nn.Optimizer]
    twin: Callable[..., torch.optim.Optimizer]
    learning_rate: float = 0.01
    options: dict = field(default_factory=dict)

    def optimizer(self, parameters, learning_rate=None) -> nn.Optimizer:
        return self.make(parameters, self.learning_rate if learning_rate is None else learning_rate, **self.options)

    def torch_optimizer(self, tensors) -> torch.optim.Optimizer:
        return self.twin(tensors, self.learning_rate, **self.options)


OPTIMIZERS = (
    OptimizerExample("SGD", nn.SGD, torch.optim.SGD),
    OptimizerExample("SGD decay", nn.SGD, torch.optim.SGD, options={"weight_decay": 0.1}),
    OptimizerExample("SGD momentum", nn.SGD, torch.optim.SGD, options={"momentum": 0.9}),
    OptimizerExample("SGD momentum decay", nn.SGD, torch.optim.SGD, options={"momentum": 0.8, "weight_decay": 0.1}),
    OptimizerExample("SGD nesterov", nn.SGD, torch.optim.SGD, options={"momentum": 0.9, "nesterov": True}),
    OptimizerExample(
        "SGD nesterov decay",
        nn.SGD,
        torch.optim.SGD,
        options={"momentum": 0.7, "nesterov": True, "weight_decay": 0.05},
    ),
    OptimizerExample("Adam", nn.Adam, torch.optim.Adam),
    OptimizerExample("Adam decay", nn.Adam, torch.optim.Adam, options={"weight_decay": 0.1}),
    OptimizerExample("Adam options", nn.Adam, torch.optim.Adam, options={"betas": (0.8, 0.95), "eps": 1e-3}),
    OptimizerExample("AdamW", nn.AdamW, torch.optim.AdamW, options={"weight_decay": 0.0}),
    OptimizerExample("AdamW decay", nn.AdamW, torch.optim.AdamW, options={"weight_decay": 0.1}),
    OptimizerExample("RMSprop", nn.RMSprop, torch.optim.RMSprop),
    OptimizerExample(
        "RMSprop options", nn.RMSprop, torch.optim.RMSprop, options={"alpha": 0.9, "eps": 1e-4, "weight_decay": 0.1}
    ),
    OptimizerExample("RMSprop momentum", nn.RMSprop, torch.optim.RMSprop, options={"momentum": 0.9}),
    OptimizerExample("RMSprop centered", nn.RMSprop, torch.optim.RMSprop, options={"centered": True}),
    OptimizerExample(
        "RMSprop centered momentum", nn.RMSprop, torch.optim.RMSprop, options={"centered": True, "momentum": 0.5}
    ),
    OptimizerExample("Adadelta", nn.Adadelta, torch.optim.Adadelta, learning_rate=1.0),
    OptimizerExample(
        "Adadelta options", nn.Adadelta, torch.optim.Adadelta, options={"rho": 0.8, "eps": 1e-3, "weight_decay": 0.1}
    ),
)

"""One example of every layer, loss and optimiser: the suites of this folder run over all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
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
    LayerExample("Softmax", lambda _: nn.Softmax(), lambda: torch.nn.Softmax(dim=-1)),
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
)


@dataclass(frozen=True)
class LossExample:
    """A loss and its PyTorch twin.

    Arguments:
        probabilities: whether it takes probabilities rather than scores.
        twin: (x, target as rows) -> the loss as a tensor.
    """

    name: str
    make: Callable[[], nn.Loss]
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


LOSSES = (
    LossExample(
        "SoftmaxCrossEntropy",
        nn.SoftmaxCrossEntropy,
        lambda x, t: -(t * torch.nn.functional.log_softmax(x, -1)).sum(-1).mean(-1),
    ),
    LossExample(
        "CrossEntropy",
        nn.CrossEntropy,
        lambda x, t: -(t * x.log()).sum(-1).mean(-1),
        probabilities=True,
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
)


def _of(examples) -> dict:
    return {"params": examples, "ids": [example.name.replace(" ", "-") for example in examples]}


@pytest.fixture(**_of(LAYERS))
def example(request) -> LayerExample:
    return request.param


@pytest.fixture(**_of([e for e in LAYERS if e.twin is not None]))
def twinned(request) -> LayerExample:
    return request.param


@pytest.fixture(**_of([e for e in LAYERS if e.stacks]))
def stacking(request) -> LayerExample:
    return request.param


@pytest.fixture(**_of([e for e in LAYERS if e.layer().parameters()]))
def parametric(request) -> LayerExample:
    return request.param


@pytest.fixture(**_of([e for e in LAYERS if not (e.random or e.smallest_batch)]))
def sample_by_sample(request) -> LayerExample:
    """Layers in which samples do not meet and nothing moves from call to call."""
    return request.param


@pytest.fixture(**_of([e for e in LAYERS if e.stacks and not e.random]))
def stacking_alike(request) -> LayerExample:
    """Layers of which every model does the same."""
    return request.param


@pytest.fixture(**_of([e for e in LAYERS if e.wrong_shape is not None]))
def choosy(request) -> LayerExample:
    return request.param


@pytest.fixture(**_of(LOSSES))
def loss_example(request) -> LossExample:
    return request.param


@pytest.fixture(**_of(OPTIMIZERS))
def optimizer_example(request) -> OptimizerExample:
    return request.param


@pytest.fixture
def examples() -> dict[str, tuple]:
    """The whole registry."""
    return {"layers": LAYERS, "losses": LOSSES, "optimizers": OPTIMIZERS}


@pytest.fixture
def close() -> Callable[..., None]:
    """Asserts that the relative error max|a - b| / max(max|a|, max|b|, 1e-8) is below a tolerance."""

    def close(actual, expected, tolerance: float = 1e-12) -> None:
        actual, expected = np.asarray(actual), np.asarray(expected)
        assert actual.shape == expected.shape
        largest = max(np.abs(actual).max(initial=0), np.abs(expected).max(initial=0), 1e-8)
        error = np.abs(actual - expected).max(initial=0) / largest
        assert error < tolerance, f"relative error {error:.1e}, expected less than {tolerance:.0e}"

    return close


def leaves(layer: nn.Layer) -> Iterator[nn.Layer]:
    """The layers that compute, of a layer or a network."""
    for inner in getattr(layer, "layers", ()):
        yield from leaves(inner)
    if not isinstance(layer, nn.Sequential):
        yield layer


@pytest.fixture
def lend() -> Callable[[nn.Layer], nn.Arena]:
    """Gives a layer, or all layers of a network, work arrays from one arena."""

    def lend(layer: nn.Layer) -> nn.Arena:
        arena = nn.Arena()
        for leaf in leaves(layer):
            leaf.work = arena.workspace()
        return arena

    return lend

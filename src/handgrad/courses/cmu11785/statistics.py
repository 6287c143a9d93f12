"""The last task of the handout: `get_training_stats` on MNIST with the settings of the handout, and its four plots."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from handgrad import data
from handgrad.courses.cmu11785.activation import Identity, Sigmoid
from handgrad.courses.cmu11785.loss import SoftmaxCrossEntropy
from handgrad.courses.cmu11785.mlp import MLP
from handgrad.courses.cmu11785.training import get_training_stats, random_normal_weight_init, zeros_bias_init
from handgrad.courses.files import write_all
from handgrad.figures import drawn, save_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: The four arrays returned by `get_training_stats`, in order, with the approximate final values in the handout.
NAMES = ("training_losses", "training_errors", "validation_losses", "validation_errors")
EXPECTED = {"training_losses": 0.3, "training_errors": 0.1, "validation_losses": 0.3, "validation_errors": 0.1}


def handout_network(num_bn_layers: int = 0) -> MLP:
    """The network of the handout for MNIST: 784-64-64-32-10, sigmoids, learning rate 0.008, momentum 0.9."""
    activations = [Sigmoid(), Sigmoid(), Sigmoid(), Identity()]
    return MLP(
        784, 10, [64, 64, 32], activations, random_normal_weight_init, zeros_bias_init, SoftmaxCrossEntropy(), 0.008,
        momentum=0.9, num_bn_layers=num_bn_layers,
    )  # fmt: skip


def load_mnist(
    data_dir: str | Path | None = None, *, offline: bool = False
) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """MNIST in the form that `get_training_stats` expects: 50,000 training, 10,000 validation and 10,000 test samples.

    Returns: ((trainx, trainy), (valx, valy), (testx, testy)): pixels from 0 to 1, float32 `(n, 784)`; one-hot labels
        `(n, 10)`.
    Raises: DataError if the files are missing or damaged.
    """
    mnist = data.load(
        "mnist",
        data_dir=data_dir,
        offline=offline,
        preprocessing="unit",
        validation_size=10_000,
        validation_split="end",
    )
    sets = []
    for split in ("train", "validation", "test"):
        indices = mnist.indices(split)
        sets.append((mnist.gather(indices).reshape(len(indices), -1), np.eye(10)[mnist.targets(indices)]))
    return tuple(sets)


def epochs(
    mlp: MLP, dset: Any, nepochs: int, batch_size: int, statistics: dict[str, list[float]]
) -> Iterator[dict[str, float]]:
    """`get_training_stats` one epoch at a time: appends to `statistics` and yields the four values of each."""
    for _ in range(nepochs):
        arrays = get_training_stats(mlp, dset, 1, batch_size)
        figures = {name: float(array[0]) for name, array in zip(NAMES, arrays, strict=True)}
        for name, value in figures.items():
            statistics.setdefault(name, []).append(value)
        yield figures


def draw(statistics: dict[str, list[float]], directory: str | Path) -> list[Path]:
    """Draws the four plots of the handout, `training_losses.png` and so on, each with one array against the epoch.

    Returns: the paths of the files.
    Raises: HandgradError if they cannot be written.
    """
    contents = {Path(directory) / f"{name}.png": _png(_plot(name, statistics[name])) for name in NAMES}
    write_all(contents)
    return list(contents)


@drawn
def _plot(name: str, values: list[float]) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(5, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(range(1, len(values) + 1), values, marker="o" if len(values) == 1 else "", linewidth=1.8)
    label = "mean loss per sample" if name.endswith("losses") else "share misclassified"
    axes.set(title=name.replace("_", " "), xlabel="epoch", ylabel=label, ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _png(figure: Figure) -> bytes:
    image = io.BytesIO()
    save_png(figure, image, dpi=120)
    return image.getvalue()

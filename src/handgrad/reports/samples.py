"""The parts of a report that need the data set: predictions for single samples, and activations and gradients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from handgrad._typing import Array, Bool, Float, Integer, Num
from handgrad.architectures import Architecture
from handgrad.data import Dataset, TableEncoder
from handgrad.data.frames import FrameDataset
from handgrad.engines import DivergedError
from handgrad.errors import HandgradError
from handgrad.training import Run
from handgrad.training.batches import BatchOrder
from handgrad.training.doctor.inside import Inside, LayerLook
from handgrad.training.doctor.patient import PROBE_BYTES, update_ratios
from handgrad.training.loop import fitted_to, new_engine
from handgrad.training.run import nearest_probabilities

#: Largest number of samples that are predicted one by one; of more, a random subset of this size is drawn.
MAX_PREDICTED = 20_000
#: Largest number of samples for activations and gradients.
PROBE = 512
#: Number of confidence bins, as in Guo et al. (2017).
BINS = 15

_CHUNK = 512


@dataclass(frozen=True)
class Judged:
    """The predictions of a network for samples of one split.

    Arguments:
        split: name of the split.
        indices: indices into the data set (n,).
        outputs: probabilities (n, K), or predicted targets (n, T) in the units of the targets.
        truth: class indices (n,), or targets (n, T).
        of: number of samples in the split; larger than n if only a subset was predicted.
    """

    split: str
    indices: Integer[Array, "n"]
    outputs: Float[Array, "n K"]
    truth: Num[Array, "n *T"]
    of: int

    @cached_property
    def given(self) -> Integer[Array, "n"]:
        """The predicted class of each sample."""
        return self.outputs.argmax(axis=1)

    @cached_property
    def confidence(self) -> Float[Array, "n"]:
        """The predicted probability of that class."""
        return self.outputs.max(axis=1).astype(np.float64)

    @cached_property
    def right(self) -> Bool[Array, "n"]:
        return self.given == self.truth

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())


def judge(run: Run, dataset: Dataset, split: str) -> Judged:
    """The predictions of a run's network, with the weights of the last step, for the samples of a split."""
    indices = everything = dataset.indices(split)
    if len(everything) > MAX_PREDICTED:
        indices = np.sort(np.random.default_rng(len(everything)).choice(everything, MAX_PREDICTED, replace=False))
    try:
        engine = run.engine("last")
    except HandgradError:  # trained on a device or with a library that is not available
        engine = run.engine("last", engine="numpy")
    with threadpool_limits(1, user_api="blas"):  # engines divide the work themselves
        parts = [engine.predict(dataset.gather(indices[i : i + _CHUNK])) for i in range(0, len(indices), _CHUNK)]
    scores = np.concatenate(parts)
    if dataset.task == "regression":
        scaling = dataset.target_scaling
        assert scaling is not None  # always set for a regression
        outputs = scores / scaling.scale + scaling.shift
    elif run.config.loss == "mse":
        outputs = nearest_probabilities(scores)
    else:
        outputs = np.exp(scores - scores.max(axis=1, keepdims=True))
        outputs /= outputs.sum(axis=1, keepdims=True)
    return Judged(split, indices, outputs, dataset.targets(indices), len(everything))


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram: accuracy by confidence.

    Arguments:
        edges: edges of the confidence bins (B + 1,).
        count: number of samples in each bin (B,).
        accuracy: accuracy in each bin (B,); NaN for an empty bin.
        confidence: mean confidence in each bin (B,); NaN for an empty bin.
    """

    edges: Float[Array, "B+1"]
    count: Integer[Array, "B"]
    accuracy: Float[Array, "B"]
    confidence: Float[Array, "B"]

    @property
    def error(self) -> float:
        """The expected calibration error: Σ count/n |accuracy - confidence| over the bins."""
        filled = self.count > 0
        gaps = np.abs(self.accuracy[filled] - self.confidence[filled])
        return float((self.count[filled] * gaps).sum() / self.count.sum())


def reliability(confidence: Float[Array, "n"], right: Bool[Array, "n"], bins: int = BINS) -> Reliability:
    """The reliability diagram, with confidence bins (a, b] of equal width.

    Source: Guo, Pleiss, Sun, Weinberger (2017), On calibration of modern neural networks, equations 2, 3 and 5.
    """
    edges = np.linspace(0, 1, bins + 1)
    places = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    count = np.bincount(places, minlength=bins)
    with np.errstate(invalid="ignore"):
        accuracy = np.bincount(places, weights=right, minlength=bins) / count
        mean = np.bincount(places, weights=confidence, minlength=bins) / count
    return Reliability(edges, count, accuracy, mean)


def worst(judged: Judged, most: int) -> Integer[Array, "m"]:
    """Rows of the worst samples. For classification, the misclassified samples, most confident first. For regression,
    the samples with the largest errors, measured in standard deviations of each target."""
    if judged.truth.ndim > 1:
        spread = judged.truth.std(axis=0)
        far = np.square((judged.outputs - judged.truth) / np.where(spread > 0, spread, 1)).sum(axis=1)
        return np.argsort(-far, kind="stable")[:most]
    wrong = np.flatnonzero(~judged.right)
    return wrong[np.argsort(-judged.confidence[wrong], kind="stable")][:most]


def decoded(encoder: TableEncoder, row: Float[Array, "D"]) -> list[str]:
    """Decodes a row of features into the cells of the original table, one string per column."""
    cells, at = [], 0
    for column in encoder.columns:
        part = row[at : at + len(column.features)]
        at += len(part)
        if column.kind == "number":
            cells.append("missing" if column.flag and part[1] else f"{part[0]:.6g}")
        else:
            cells.append((column.values[int(part.argmax())] or "missing") if part.any() else "another value")
    return cells


def raw_sample(dataset: Dataset, index: int) -> Num[Array, "*shape"]:
    """One raw input; for speech, the window around a frame."""
    if isinstance(dataset, FrameDataset):
        return dataset.inputs.take(dataset.rows(np.array([index])))[0]
    return dataset.inputs[index]


def place(dataset: Dataset, index: int) -> str:
    """The utterance and frame number of a speech frame; empty for other samples."""
    if isinstance(dataset, FrameDataset):
        utterance = int(np.searchsorted(dataset.offsets, index, side="right")) - 1
        return f"frame {index - int(dataset.offsets[utterance]):,} of utterance {utterance + 1:,}"
    return ""


def as_gray(values: Num[Array, "..."], low: float, high: float) -> np.ndarray:
    """Values as bytes, from `low` (black) to `high` (white)."""
    scaled = (np.asarray(values, np.float64) - low) / (high - low if high > low else 1.0)
    return np.rint(255 * scaled.clip(0, 1)).astype(np.uint8)


def picture(dataset: Dataset, index: int) -> np.ndarray | None:
    """A sample as a picture (H, W) or (H, W, 3), uint8; None if it is a row of numbers."""
    raw = raw_sample(dataset, index)
    if isinstance(dataset, FrameDataset):
        return as_gray(raw.T[::-1], float(raw.min()), float(raw.max()))  # time across, low bands below
    if raw.ndim != 3:
        return None
    if raw.dtype == np.uint8:
        low, high = 0.0, dataset.value_range
    else:
        low, high = float(raw.min()), float(raw.max())
    pixels = as_gray(raw, low, high)
    return np.moveaxis(pixels, 0, -1) if len(pixels) == 3 else pixels[0]


# -- inside -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Insight:
    """Activations, gradients and updates of a network at its last step.

    Arguments:
        layers: the layers, in the order of the forward pass.
        updates: for each weight, by name, the size of the next update relative to the size of the weight.
        learning_rate: learning rate of that update.
        samples: number of training samples used.
    """

    layers: Sequence[LayerLook]
    updates: dict[str, float]
    learning_rate: float | None
    samples: int

    def rows(self) -> list[dict[str, Any]]:
        """One mapping per layer with name and kind and, if known, `activation`, `gradient`, `update` and `dead`."""
        made = []
        for layer in self.layers:
            row = {"name": layer.name, "kind": layer.kind, "activation": layer.spread, "gradient": layer.gradient}
            row["update"] = self.updates.get(f"{layer.name}.weight")
            row["dead"] = None if not layer.units or layer.dead is None else layer.dead / layer.units
            made.append({k: v for k, v in row.items() if v is not None and (isinstance(v, str) or math.isfinite(v))})
        return made


def look_inside(run: Run, dataset: Dataset) -> Insight:
    """Activations, gradients and updates by layer, with the weights of a run's last step.

    Raises: HandgradError if the layers cannot be inspected.
    """
    config = fitted_to(run.config, dataset)
    state, about = run.folder.arrays("model.safetensors")
    architecture = Architecture.from_dict(about["architecture"])
    dtype: Any = np.dtype("float64" if config.precision == "float64" else "float32")
    inside = Inside(architecture, dtype, config.loss_spec(dataset.task))
    train = dataset.indices("train")
    most = max(2, min(PROBE, PROBE_BYTES // max(1, inside.bytes_per_sample), len(train)))
    indices = np.sort(np.random.default_rng(config.seeds()["data_seed"]).choice(train, most, replace=False))
    targets = dataset.targets(indices)
    if dataset.target_scaling is not None:
        targets = dataset.target_scaling.apply(targets, dtype=dtype)
    with threadpool_limits(1, user_api="blas"):
        look = inside.look(state, dataset.gather(indices, dtype=dtype), targets, training=False)
        updates, rate = _one_more_step(run, config, dataset)
    return Insight(look.layers, updates, rate, most)


def _one_more_step(run: Run, config, dataset: Dataset) -> tuple[dict[str, float], float | None]:
    """The relative update of each weight in one more step, taken by a new engine from the run's checkpoint; empty if
    there is no checkpoint."""
    rate = run.metrics[-1].get("learning_rate") if run.metrics else None  # an imported network has no checkpoint
    if rate is None or not run.folder.has_checkpoint():
        return {}, None
    try:
        arrays, about = run.folder.load_checkpoint()
        engine = new_engine(config, dataset)
        engine.restore(arrays, about["engine"])
        order = BatchOrder(dataset.indices("train"), config.batch_size, config.seeds()["data_seed"])
        before = engine.state_dict()
        engine.train(order.batches(about["step"], about["step"] + 1), np.array([rate]))
        return update_ratios(before, engine.state_dict()), rate
    except (HandgradError, DivergedError, KeyError, ValueError):
        return {}, None  # device or optimiser not available on this machine: show the layers without it

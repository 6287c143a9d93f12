"""Metrics, computed from the sums returned by engines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from handgrad._typing import Array, Float, Integer
from handgrad.data import Dataset
from handgrad.engines import Figures

#: The splits in display order.
SPLITS = ("train", "validation", "test")

#: The metrics of each task besides the loss; the first determines the best evaluation.
MEASURES = {"classification": ("accuracy",), "regression": ("rmse", "mae", "r2")}

#: Metrics for which lower is better.
ERRORS = ("rmse", "mae", "loss")


def better(measure: str, record: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether an evaluation is better than another, by a metric such as `test_accuracy` or `validation_rmse`."""
    less = measure.rpartition("_")[2] in ERRORS
    return record[measure] < other[measure] if less else record[measure] > other[measure]


def averages(figures: Figures, dataset: Dataset, indices: Integer[Array, "n"]) -> dict[str, float]:
    """Mean loss and accuracy; for regression, loss, RMSE, MAE and R² (means over several targets).

    Formula: RMSE = √(1/N Σ (y - t)²), MAE = 1/N Σ |y - t|, R² = 1 - Σ (y - t)² / Σ (t - mean t)², as scikit-learn's
    `root_mean_squared_error`, `mean_absolute_error` and `r2_score`, in the unit of the target.

    Arguments:
        figures: results of an evaluation of the samples at `indices`.
    """
    samples = figures.samples * len(figures.loss)
    loss = {"loss": float(figures.loss.sum()) / samples}
    if figures.errors is None:
        return {**loss, "accuracy": int(figures.correct.sum()) / samples}
    return loss | _means(_of_targets(figures.errors.sum(axis=0), samples, _spread(dataset.targets(indices))))


def training_averages(
    loss: float, correct: int, errors: Float[Array, "2 T"], samples: int, dataset: Dataset
) -> dict[str, float]:
    """The same, from the sums over training batches; R² is relative to the variance of all training targets."""
    mean = {"loss": loss / samples}
    if dataset.target_scaling is None:
        return {**mean, "accuracy": correct / samples}
    spread = samples / dataset.target_scaling.scale.astype(np.float64) ** 2
    return mean | _means(_of_targets(errors, samples, spread))


def details(figures: Figures, dataset: Dataset, indices: Integer[Array, "n"]) -> dict[str, Any]:
    """Detailed results for each class or target, as a JSON value.

    Returns: for classification, `classes` with precision, recall, F1 (0 for 0/0) and support (number of samples) of
    each class by name, and `confusion` with the number of samples of class i (row) classified as j (column); empty if
    there are too many classes for a confusion matrix. For regression, `targets` with RMSE, MAE and R² of each.
    """
    if figures.errors is not None:
        sums = figures.errors.sum(axis=0)
        rows = _of_targets(sums, figures.samples, _spread(dataset.targets(indices)))
        return {"targets": dict(zip(dataset.classes, rows, strict=True))}
    if figures.confusion is None:
        return {}
    table = figures.confusion
    right, given, support = np.diag(table), table.sum(axis=0), table.sum(axis=1)
    columns = {
        "precision": right / np.maximum(given, 1),
        "recall": right / np.maximum(support, 1),
        "f1": 2 * right / np.maximum(given + support, 1),
        "support": support,
    }
    names = _distinct(dataset.classes)
    classes = {name: {key: column[k].item() for key, column in columns.items()} for k, name in enumerate(names)}
    return {"classes": classes, "confusion": table.tolist()}


def _distinct(names: tuple[str, ...]) -> list[str]:
    return [name if names.count(name) == 1 else f"{name} ({k})" for k, name in enumerate(names)]


def _spread(targets: Float[Array, "n T"]) -> Float[Array, "T"]:
    """Σ (t - mean t)² of each target."""
    targets = targets.astype(np.float64)
    return ((targets - targets.mean(axis=0)) ** 2).sum(axis=0)


def _of_targets(errors: Float[Array, "2 T"], samples: int, spread: Float[Array, "T"]) -> list[dict[str, float]]:
    squares, distances = errors
    # for constant targets, R² is 1 for perfect predictions and 0 for others, as in scikit-learn
    r2 = np.where(spread > 0, 1 - squares / np.where(spread > 0, spread, 1), squares == 0)
    columns = (np.sqrt(squares / samples), distances / samples, r2)
    return [dict(zip(MEASURES["regression"], map(float, row), strict=True)) for row in zip(*columns, strict=True)]


def _means(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in MEASURES["regression"]}

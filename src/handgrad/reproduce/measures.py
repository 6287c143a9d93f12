"""Measures: how a value is computed from a run.

A measure is a string: `last test_accuracy` (last evaluation), `best test_accuracy` (largest value of all evaluations,
or smallest for losses), `step 500 test_accuracy`, `mean test_accuracy` (over all evaluations),
`setting learning_rate`, or the name of a function of `RECORD_FUNCTIONS` or `NETWORK_FUNCTIONS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from handgrad import nn
from handgrad.architectures import LayerSpec
from handgrad.data import Dataset
from handgrad.training import Run, TrainConfig

Records = Sequence[Mapping[str, Any]]


def from_records(measure: str, records: Records) -> float:
    """Computes a measure from the evaluations of a run."""
    if measure in RECORD_FUNCTIONS:
        return RECORD_FUNCTIONS[measure](records)
    how, _, name = measure.partition(" ")
    if how == "step":
        at, _, name = name.partition(" ")
        return next((_value(record, name) for record in records if record["step"] == int(at)), math.nan)
    if how == "last":
        return _value(records[-1], name)
    values = [_value(record, name) for record in records]
    if how == "mean":
        return math.fsum(values) / len(values)
    return min(values) if name.endswith(("loss", "error")) else max(values)  # best


def _value(record: Mapping[str, Any], name: str) -> float:
    """A metric of an evaluation. The error is 1 - accuracy; `loss_and_accuracy` is the sum of both."""
    split, _, quantity = name.partition("_")
    if quantity == "error":
        return 1 - record[f"{split}_accuracy"]
    if quantity == "loss_and_accuracy":
        return record[f"{split}_loss"] + record[f"{split}_accuracy"]
    return record[name]


def _lowest(records: Records) -> int:
    """Index of the evaluation with the smallest test loss."""
    return min(range(len(records)), key=lambda i: records[i]["test_loss"])


def loss_rise(records: Records) -> float:
    """The increase of the test loss from its minimum to the last step."""
    return records[-1]["test_loss"] - records[_lowest(records)]["test_loss"]


def accuracy_change_after_lowest_loss(records: Records) -> float:
    """The change of the test accuracy from the minimum of the test loss to the last step."""
    return records[-1]["test_accuracy"] - records[_lowest(records)]["test_accuracy"]


def step_of_lowest_loss(records: Records) -> float:
    """The share of all steps up to the minimum of the test loss."""
    return records[_lowest(records)]["step"] / records[-1]["step"]


def steps_after_lowest_loss(records: Records) -> float:
    """The share of all steps after the minimum of the test loss."""
    return 1 - step_of_lowest_loss(records)


def _at_share(records: Records, share: float) -> float:
    """The test accuracy at the evaluation nearest to this share of the steps."""
    at = share * records[-1]["step"]
    return min(records, key=lambda record: abs(record["step"] - at))["test_accuracy"]


def gain_at_end(records: Records) -> float:
    """The increase of the test accuracy in the last fifth of the steps."""
    return _at_share(records, 1.0) - _at_share(records, 0.8)


def gain_of_first_fifth(records: Records) -> float:
    """The increase of the test accuracy above chance in the first fifth of the steps, minus the later increase."""
    first = _at_share(records, 0.2)
    return (first - 0.1) - (_at_share(records, 1.0) - first)


def test_above_train_share(records: Records) -> float:
    """The share of the evaluations up to step 1,000 in which the test accuracy is above the training accuracy."""
    early = [record for record in records if record["step"] <= 1000]
    return sum(record["test_accuracy"] > record["train_accuracy"] for record in early) / len(early)


#: Functions of the evaluations.
RECORD_FUNCTIONS: dict[str, Callable[[Records], float]] = {
    "rise of the test loss": loss_rise,
    "change of the test accuracy after the smallest test loss": accuracy_change_after_lowest_loss,
    "share of the steps before the smallest test loss": step_of_lowest_loss,
    "share of the steps after the smallest test loss": steps_after_lowest_loss,
    "gain of the test accuracy in the last fifth of the steps": gain_at_end,
    "gain of the first fifth over the others": gain_of_first_fifth,
    "share of the first 1,000 steps with test above training accuracy": test_above_train_share,
}


def _activations(run: Run, dataset: Dataset) -> np.ndarray:
    """The outputs of all hidden activations of an MLP for 1,000 test inputs, concatenated."""
    indices = dataset.indices("test")[:1000]
    x = dataset.gather(indices).reshape(len(indices), -1)
    outputs = []
    for layer in run.network.layers:
        x = layer.forward(x)
        if isinstance(layer, (nn.ELU, nn.Tanh)):
            outputs.append(x.ravel())
    return np.concatenate(outputs)


def share_at_floor(run: Run, dataset: Dataset) -> float:
    """The share of the activations within 0.1 of ELU's floor of -1."""
    return float((_activations(run, dataset) < -0.9).mean())


def share_of_small_weights(run: Run, dataset: Dataset) -> float:
    """The share of the weights of the last layer whose absolute value is below 1% of the largest one."""
    weight = np.abs(run.network.layers[-1].parameters()[0].value)
    return float((weight < 0.01 * weight.max()).mean())


#: Functions of the trained network.
NETWORK_FUNCTIONS: dict[str, Callable[[Run, Dataset], float]] = {
    "share of the activations at ELU's floor": share_at_floor,
    "share of the weights near 0": share_of_small_weights,
}


def measured(measure: str, run: Run, dataset: Callable[[], Dataset]) -> float:
    """Computes a measure of a finished run.

    Arguments:
        dataset: returns the data set of the run, for measures of the trained network.
    """
    if measure in NETWORK_FUNCTIONS:
        return NETWORK_FUNCTIONS[measure](run, dataset())
    return from_records(measure, run.metrics)


def setting(measure: str, config: TrainConfig) -> float | str:
    """The value of `setting NAME` of a configuration, a number or a string. `setting layer I` describes a layer of its
    network on CIFAR-10, not counting normalisation and activations."""
    name = measure.removeprefix("setting ")
    if name.startswith("layer "):
        return _layers(config)[int(name.removeprefix("layer ")) - 1]
    value = getattr(config, name)
    return ",".join(map(str, value)) if isinstance(value, tuple) else value


def _layers(config: TrainConfig) -> list[str]:
    network = config.architecture((3, 32, 32), 10)
    return [
        _in_words(layer) for layer in network.layers if layer.kind in ("conv2d", "max_pool2d", "avg_pool2d", "linear")
    ]


def _in_words(layer: LayerSpec) -> str:
    options = layer.options
    if layer.kind == "linear":
        return f"linear {options['in_features']}/{options['out_features']}"
    name = {"conv2d": "conv", "max_pool2d": "maxpool", "avg_pool2d": "avgpool"}[layer.kind]
    channels = f" {options['in_channels']}/{options['out_channels']}" if layer.kind == "conv2d" else ""
    kernel, stride, padding = options["kernel_size"], options.get("stride"), options.get("padding", 0)
    return f"{name} {kernel}x{kernel} stride {stride or 1} padding {padding}{channels}"

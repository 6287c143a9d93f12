"""The data of an export: a trained network with its preprocessing and class names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from handgrad import nn
from handgrad._typing import Array, Float, Shaped
from handgrad.architectures import KINDS, Architecture, Row
from handgrad.engines.numpy import build
from handgrad.errors import ConfigError, RunError
from handgrad.nn.softmax import softmax
from handgrad.training import Run, TrainConfig
from handgrad.training.run import nearest_probabilities


@dataclass(frozen=True)
class Item:
    """One layer of a network in a traversal.

    Arguments:
        name: as in the state dict: `3`, or `3.0` inside a residual block.
        layer: the layer itself with its options.
        row: its kind and shapes.
        children: the nested layers.
    """

    name: str
    layer: Any
    row: Row
    children: tuple[Item, ...] = ()

    @property
    def title(self) -> str:
        """A one-line description: `0: Linear(64, 100)`."""
        what = "Residual: x + f(x)" if self.children else repr(self.layer)
        return f"{self.name}: {what}"

    @property
    def rows(self) -> bool:
        """Whether the input of the layer is (N, D), not images (N, C, H, W)."""
        return len(self.row.input_shape) == 1


def listed(names: Iterable[str]) -> str:
    """Names separated by commas; those that contain a comma or a quotation mark are quoted."""
    return ", ".join(json.dumps(name, ensure_ascii=False) if re.search('[,"]', name) else name for name in names)


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network with its metadata.

    Arguments:
        name: a short name for titles.
        architecture: the network as data.
        state: parameters and buffers under PyTorch's names.
        config: the settings of the run.
        shift, scale: preprocessing: (x - shift) * scale, broadcast to one raw input.
        input_shape: of one raw input.
        classes: names of the classes or, for regression, of the targets.
        task: `classification` or `regression`.
        value_range: the largest raw value (images).
        table: the encoding of tables (`data.tables.TableEncoder.to_dict()`), or None.
        target_shift, target_scale: for regression, targets are outputs / target_scale + target_shift.
        summary: summary of the run; empty if there is none.
        weights: `best` or `last`, the corresponding evaluation of the summary.
    """

    name: str
    architecture: Architecture
    state: dict[str, Shaped[Array, "..."]]
    config: TrainConfig
    shift: Float[Array, "..."]
    scale: Float[Array, "..."]
    input_shape: tuple[int, ...]
    classes: tuple[str, ...]
    task: str = "classification"
    value_range: float = 1.0
    table: dict[str, Any] | None = None
    target_shift: Float[Array, "..."] | None = None
    target_scale: Float[Array, "..."] | None = None
    summary: dict[str, Any] = field(default_factory=dict)
    weights: str = "best"

    @property
    def regression(self) -> bool:
        return self.task == "regression"

    @property
    def names_constant(self) -> str:
        """The constant of an exported file that holds the names of the outputs."""
        return "TARGETS" if self.regression else "CLASSES"

    @property
    def output(self) -> str:
        """The kind of the outputs: `targets`, `scores`, `log-probabilities`, `probabilities`, or `outputs` for a
        classifier trained with the mean squared error."""
        if self.regression:
            return "targets"
        last = self.architecture.layers[-1].kind if self.architecture.layers else ""
        if last in ("log_softmax", "softmax"):
            return {"log_softmax": "log-probabilities", "softmax": "probabilities"}[last]
        return "outputs" if self.config.loss_spec().name == "mse" else "scores"

    @property
    def frames(self) -> bool:
        """Whether an input is a window of speech frames."""
        return self.config.on_frames

    @property
    def figures(self) -> dict[str, Any]:
        """The evaluation of the weights, if the run has finished."""
        return self.summary.get(self.weights) or {}

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the inputs of the network, for tables."""
        return tuple(_feature_names(self.table)) if self.table else ()

    def network(self) -> nn.Sequential:
        """The network itself, in evaluation mode."""
        network = build(self.architecture, init="zeros")
        network.load_state_dict(self.state)
        network.eval()
        return network

    def user_values(self, outputs: Float[Array, "N K"]) -> Float[Array, "N K"]:
        """Converts the network's output to probabilities, or to targets in their original units."""
        if self.output == "targets":
            if self.target_scale is None or self.target_shift is None:
                return outputs
            return outputs / self.target_scale + self.target_shift
        return {
            "scores": softmax,
            "log-probabilities": np.exp,
            "probabilities": lambda outputs: outputs,
            "outputs": nearest_probabilities,
        }[self.output](outputs)

    def items(self) -> list[Item]:
        """The layers in the order of the forward pass.

        Raises:
            ConfigError: there is a custom layer, which no format supports.
        """
        rows = iter(self.architecture.rows())
        for spec in self.architecture.rows():
            if not isinstance(KINDS[spec.kind].layer, str):
                raise ConfigError(
                    f"layer {spec.name} ({spec.kind}) is a custom layer class, which cannot be exported: "
                    "only its weights can, with --to safetensors"
                )
        return list(_items(build(self.architecture, init="zeros"), rows))


def _items(layers: nn.Sequential, rows: Iterator[Row]) -> Iterator[Item]:
    for layer in layers:
        row = next(rows)
        children = tuple(_items(layer, rows)) if isinstance(layer, nn.Residual) else ()
        yield Item(row.name, layer, row, children)


def _in_order(state: dict[str, Shaped[Array, "..."]]) -> dict[str, Shaped[Array, "..."]]:
    """The state in float32, layer by layer, weights first (the order in a safetensors file is different)."""

    def place(name: str) -> tuple:
        *layers, kind = name.split(".")
        kinds = ("weight", "bias", "running_mean", "running_var")
        return [int(number) for number in layers], kinds.index(kind) if kind in kinds else len(kinds), kind

    ordered = {name: state[name] for name in sorted(state, key=place)}
    return {name: array.astype(np.float32) if array.dtype.kind == "f" else array for name, array in ordered.items()}


def _feature_names(table: dict[str, Any]) -> Iterator[str]:
    for column in table["columns"]:
        if column["kind"] == "number":
            yield column["name"]
            if column.get("flag"):
                yield f"{column['name']} is missing"
        else:
            for value in column["values"]:
                yield f"{column['name']}={value}" if value else f"{column['name']} is missing"


def trained(run: Run, weights: str = "best") -> Trained:
    """The data of a run for export.

    Arguments:
        run: the run.
        weights: `best`, of the best evaluation, or `last`, of the last step.

    Raises:
        RunError: the run has no such weights yet, or a file in its folder is damaged.
    """
    if weights not in ("best", "last"):
        raise ConfigError(f"weights={weights!r}: expected best or last")
    path = run.path / ("model.safetensors" if weights == "last" else "best.safetensors")
    if not path.exists():
        raise RunError(
            f"{run.path} has no {path.name} yet: finish the run with handgrad train --run-dir {run.path} --resume"
        )
    state, about = run.folder.arrays(path.name)
    architecture = Architecture.from_dict(about["architecture"])
    arrays, prepared = run.folder.arrays("preprocessing.safetensors")
    return Trained(
        name=run.path.resolve().name,
        architecture=architecture,
        state=_in_order(state),
        config=run.config,
        shift=arrays["shift"],
        scale=arrays["scale"],
        input_shape=tuple(prepared["input_shape"]),
        classes=tuple(map(str, prepared["classes"])),
        task=prepared.get("task", "classification"),
        value_range=prepared["value_range"],
        table=run.folder.json("table.json"),
        target_shift=arrays.get("target_shift"),
        target_scale=arrays.get("target_scale"),
        summary=run.folder.json("summary.json") or {},
        weights=weights,
    )

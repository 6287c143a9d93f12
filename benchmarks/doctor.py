"""Measures false alarms and detection rates of the doctor on healthy and broken runs that no check was tuned on.

`python -m benchmarks.doctor [--json] [--quick] [--only healthy|broken] [--seed N]`

The settings of every run are drawn at random: data seed, initial weights, width, depth, activation, optimiser, rate,
batch size. Ten healthy runs of each architecture are trained and examined as `handgrad doctor RUN` would; every
diagnosis is a false alarm. A run counts as healthy where it ends above 0.9 on the test set; another is drawn in place
of one that does not. Then each way of breaking is applied to three healthy settings of its architecture. It is *first*
where the doctor names it first, *named* where it is among the diagnoses, *seen* where there are others only, and
*missed* where there are none.

The checks' limits were chosen with the settings in `tests/training`; what is drawn here was run once they stood.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from handgrad import data
from handgrad.data import Dataset
from handgrad.errors import NonFiniteError
from handgrad.training import TrainConfig, load_run, train
from handgrad.training.doctor import PROBLEM, Report, examine, examine_run

Settings = dict[str, Any]

ARCHITECTURES = (
    *(f"mlp, {norm}" for norm in ("none", "batch", "layer", "group", "rms")),
    *(f"cnn, {norm}" for norm in ("none", "batch", "group")),
    *(f"{model}, {norm}" for model in ("vgg", "preact-resnet") for norm in ("batch", "group")),
)

#: Number of steps per run; the image networks take long per step.
STEPS = {"mlp": 1500, "cnn": 600, "vgg": 300, "preact-resnet": 200}
#: Test accuracy above which a run counts as healthy.
HEALTHY = 0.9
#: Steps of the doctor's trials.
BUDGET = {"mlp": 1000, "cnn": 400, "vgg": 400, "preact-resnet": 400}


def healthy(architecture: str, rng: random.Random) -> Settings:
    """Reasonable settings for this architecture."""
    model, norm = architecture.split(", ")
    settings: Settings = {
        "dataset": "digits",
        "seed": rng.randrange(10**6),
        "batch_size": rng.choice((24, 48, 96)),
        "preprocessing": rng.choice(("unit", "standard")),
        "max_steps": STEPS[model],
        "eval_freq": STEPS[model] // 10,
        "schedule": "cosine",
        **rng.choice(
            (
                {"optimizer": "adam", "learning_rate": 3e-3},
                {"optimizer": "adamw", "learning_rate": 2e-3, "weight_decay": 1e-2},
                {"optimizer": "sgd", "learning_rate": 0.05, "momentum": 0.9},
            )
        ),
    }
    if model == "mlp":
        depth = rng.choice((1, 2, 3))
        return settings | {
            "norm": norm,
            "hidden_units": tuple(rng.choice((48, 80, 112)) for _ in range(depth)),
            "activation": rng.choice(("relu", "tanh", "gelu", "elu", "leaky_relu")),
            "dropout": rng.choice((0.0, 0.0, 0.25)),
        }
    if model == "cnn":
        return settings | {
            "model": model,
            "norm": norm,
            "channels": (rng.choice((8, 16)), rng.choice((16, 32))),  # a third stage would leave one pixel of 8x8
            "blocks": 0 if norm == "none" else rng.choice((0, 0, 1)),
            "activation": rng.choice(("relu", "silu", "elu")),
        }
    if architecture == "vgg, group":  # with the settings above, one in seven trains it in so few steps
        settings |= {"batch_size": rng.choice((24, 48)), "max_steps": 500, "eval_freq": 50}
        settings = settle(settings, {"optimizer": "adam", "weight_decay": 0.0, "learning_rate": 1e-3})
        return settings | {"model": model, "norm": norm, "width": 8}
    return settings | {"model": model, "norm": norm, "width": rng.choice((4, 8))}


# -- ways of breaking -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Way:
    """One way of breaking a run.

    Attributes:
        name: description.
        expected: the correct diagnoses.
        architecture: the architecture.
        change: settings that override the healthy ones.
        data: change of the data set.
        weights: change of the weights of the trained network.
    """

    name: str
    expected: tuple[str, ...]
    architecture: str = "mlp, none"
    change: Settings = dataclasses.field(default_factory=dict)
    data: Callable[[Dataset, np.random.Generator], Dataset] | None = None
    weights: Callable[[dict[str, np.ndarray]], object] | None = None


def _on(split: str, how: Callable[[np.ndarray, np.random.Generator], np.ndarray], share: float = 1.0):
    """Alters some inputs of a split."""

    def change(dataset: Dataset, rng: np.random.Generator) -> Dataset:
        indices = dataset.indices(split)
        chosen = indices[rng.random(len(indices)) < share]
        inputs = dataset.inputs.astype(np.float32)
        inputs[chosen] = how(inputs[chosen], rng)
        return dataclasses.replace(dataset, inputs=inputs)

    return change


def _labels(split: str, how: Callable[[np.ndarray, np.random.Generator], np.ndarray]):
    def change(dataset: Dataset, rng: np.random.Generator) -> Dataset:
        labels = dataset.labels.copy()
        labels[dataset.indices(split)] = how(dataset.targets(dataset.indices(split)), rng)
        return dataclasses.replace(dataset, labels=labels)

    return change


def _everywhere(how: Callable[[np.ndarray], np.ndarray]):
    return lambda dataset, rng: dataclasses.replace(dataset, inputs=how(dataset.inputs.astype(np.float32)))


def _exchanged(dataset: Dataset, rng: np.random.Generator) -> Dataset:
    order = np.concatenate([dataset.indices("test"), dataset.indices("train")])
    count = len(dataset.indices("test"))
    splits = {"train": range(count), "test": range(count, len(order))}
    return dataclasses.replace(dataset, inputs=dataset.inputs[order], labels=dataset.labels[order], splits=splits)


def _leak(dataset: Dataset, rng: np.random.Generator) -> Dataset:
    test = dataset.indices("test")[::3]
    chosen = rng.choice(dataset.indices("train"), len(test), replace=False)
    inputs, labels = dataset.inputs.copy(), dataset.labels.copy()
    inputs[test], labels[test] = inputs[chosen], labels[chosen]
    return dataclasses.replace(dataset, inputs=inputs, labels=labels)


def _repeat(dataset: Dataset, rng: np.random.Generator) -> Dataset:
    train = dataset.indices("train")
    source = rng.choice(train, len(train) // 4, replace=False)[np.arange(len(train)) % (len(train) // 4)]
    inputs, labels = dataset.inputs.copy(), dataset.labels.copy()
    inputs[train], labels[train] = dataset.inputs[source], dataset.labels[source]
    return dataclasses.replace(dataset, inputs=inputs, labels=labels)


def _one_nan(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    x[rng.integers(len(x)), 0, 2, 2] = np.nan
    return x


def _scaled(name: str, factor: float) -> Callable[[dict[str, np.ndarray]], object]:
    return lambda state: state[name].__imul__(np.float32(factor))


def _moved(name: str, by: float) -> Callable[[dict[str, np.ndarray]], object]:
    return lambda state: state[name].__iadd__(np.float32(by))


def _nan(state: dict[str, np.ndarray]) -> None:
    state["0.weight"][3, 5] = np.nan


_ADAM, _SGD = {"optimizer": "adam", "weight_decay": 0.0}, {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0}
_TOO_SMALL = ("batch-too-small",)

WAYS = (
    # the step size
    Way("Adam, rate 0.7", ("learning-rate-too-high",), change={**_ADAM, "learning_rate": 0.7}),
    Way("Adam, rate 2e-6", ("learning-rate-too-low",), change={**_ADAM, "learning_rate": 2e-6}),
    Way("SGD, rate 60", ("learning-rate-too-high",), change={**_SGD, "learning_rate": 60.0}),
    Way("SGD, rate 3e-5", ("learning-rate-too-low",), change={**_SGD, "learning_rate": 3e-5}),
    Way("SGD, rate 1e22", ("learning-rate-too-high", "diverges"), change={**_SGD, "learning_rate": 1e22}),
    Way("Adam, rate 2e-6, layer norm", ("learning-rate-too-low",), "mlp, layer", {**_ADAM, "learning_rate": 2e-6}),
    Way("vgg, Adam, rate 1e-7", ("learning-rate-too-low",), "vgg, batch", {**_ADAM, "learning_rate": 1e-7}),
    Way("resnet, SGD, rate 2e4", ("learning-rate-too-high",), "preact-resnet, group", {**_SGD, "learning_rate": 2e4}),
    # initial weights and signal
    Way("all weights zero", ("units-identical",), change={"init": "zeros"}),
    Way("weights N(0, 2e-5)", ("init-too-small",), change={"init": "normal:2e-5", **_SGD, "learning_rate": 0.05}),
    Way("weights N(0, 5)", ("init-too-large",), change={"init": "normal:5", **_SGD, "learning_rate": 0.05}),
    Way(
        "five layers N(0, 0.8)",
        ("signal-grows", "init-too-large"),
        change={"init": "normal:0.8", "hidden_units": (80,) * 5, **_SGD, "learning_rate": 0.02},
    ),
    Way(
        "twelve sigmoid layers",
        ("signal-fades", "gradient-vanishes"),
        change={"activation": "sigmoid", "hidden_units": (48,) * 12, "dropout": 0.0},
    ),
    Way("two hidden units", ("cannot-learn-one-batch",), change={"hidden_units": (1, 1), "dropout": 0.0}),
    # normalisation
    Way("batches of 2, batch norm", _TOO_SMALL, "mlp, batch", {"batch_size": 2}),
    Way("batches of 3, batch norm", _TOO_SMALL, "mlp, batch", {"batch_size": 3}),
    Way("batches of 2, vgg", _TOO_SMALL, "vgg, batch", {"batch_size": 2}),
    Way("batches of 2, resnet", _TOO_SMALL, "preact-resnet, batch", {"batch_size": 2}),
    Way("running mean shifted", ("normalization-gap",), "mlp, batch", weights=_moved("1.running_mean", 5.0)),
    Way("running variance / 400", ("normalization-gap",), "mlp, batch", weights=_scaled("1.running_var", 1 / 400)),
    # dropout
    Way("dropout 0.95", ("dropout-too-high",), change={"dropout": 0.95}),
    Way("dropout 0.97, batch norm", ("dropout-too-high",), "mlp, batch", {"dropout": 0.97}),
    Way("dropout 0.8 in five layers", ("dropout-too-high",), change={"dropout": 0.8, "hidden_units": (80,) * 5}),
    # inputs
    Way("inputs times 40", ("inputs-too-large",), data=_everywhere(lambda x: 40 * x)),
    Way("inputs plus 80", ("inputs-not-centred", "inputs-too-large"), data=_everywhere(lambda x: x + 80)),
    Way("one NaN", ("inputs-not-finite",), data=_on("train", _one_nan)),
    Way("all images black", ("inputs-constant",), data=_on("train", lambda x, rng: 0 * x)),
    Way(
        "four live pixels",
        ("features-constant",),
        data=_everywhere(lambda x: x * (np.arange(64).reshape(8, 8) // 4 == 7)),
    ),
    Way(
        "right half copies the left",
        ("features-repeated",),
        data=_everywhere(lambda x: np.concatenate([x[..., :4], x[..., :4]], axis=3)),
    ),
    Way("test images times 20", ("test-inputs-differ", "train-test-differ"), data=_on("test", lambda x, rng: 20 * x)),
    Way("half the training images inverted", ("train-test-differ",), data=_on("train", lambda x, rng: 16 - x, 0.5)),
    Way(
        "half the training images flipped vertically",
        ("train-test-differ",),
        data=_on("train", lambda x, rng: x[:, :, ::-1], 0.5),
    ),
    Way(
        "half the training images noisy",
        ("train-test-differ",),
        data=_on("train", lambda x, rng: x + rng.normal(0, 5, x.shape).astype(np.float32), 0.5),
    ),
    Way("test images shifted", ("train-test-differ",), data=_on("test", lambda x, rng: np.roll(x, 2, 2))),
    # labels and splits
    Way("training labels shuffled", ("labels-unrelated",), data=_labels("train", lambda y, rng: rng.permutation(y))),
    Way("test labels shuffled", ("test-labels-unrelated",), data=_labels("test", lambda y, rng: rng.permutation(y))),
    Way("one class", ("one-class-only",), data=_labels("train", lambda y, rng: 0 * y + 6)),
    Way("no 4 and no 9", ("classes-missing",), data=_labels("train", lambda y, rng: np.where(y % 5 == 4, 0, y))),
    Way(
        "96% of one class",
        ("classes-unbalanced",),
        data=_labels("train", lambda y, rng: np.where(rng.random(len(y)) < 0.96, 2, y)),
    ),
    Way("splits swapped", ("training-set-smaller",), data=_exchanged),
    Way("a third of the test set in the training set", ("test-in-train",), data=_leak),
    Way("training samples repeated four times", ("samples-repeated",), data=_repeat),
    # trained weights
    Way("a NaN weight", ("weights-not-finite",), weights=_nan),
    Way("bias of -500", ("units-dead",), "mlp, batch", {"activation": "relu"}, weights=_moved("1.bias", -500.0)),
    Way(
        "tanh, weights times 2000",
        ("units-saturated",),
        change={"activation": "tanh"},
        weights=_scaled("0.weight", 2000.0),
    ),
)


# -- running and examining --------------------------------------------------------------------------------------------


def settle(settings: Settings, change: Settings) -> Settings:
    """The settings with a change over them, without those that contradict it."""
    merged = {**settings, **change}
    if merged["optimizer"] != "sgd":
        merged.pop("momentum", None)
    return merged


def report_on_run(settings: Settings, folder: Path, budget: int, weights=None) -> Report:
    """Trains and then examines the run."""
    with contextlib.suppress(NonFiniteError):
        train(run_dir=folder, **settings)
        if weights is not None:
            _change_weights(folder / "model.safetensors", weights)
    return examine_run(load_run(folder, trust=True), budget=budget)


def _change_weights(path: Path, change) -> None:
    with safe_open(path, framework="numpy") as opened:
        about = opened.metadata()
    state = load_file(path)
    change(state)
    save_file(state, path, metadata=about)


def healthy_runs(count: int, seed: int) -> Iterator[dict[str, Any]]:
    for architecture in ARCHITECTURES:
        rng = random.Random(f"{seed} {architecture}")
        budget = BUDGET[architecture.split(",")[0]]
        found = drawn = 0
        while found < count:
            settings = healthy(architecture, rng)
            drawn += 1
            if drawn > 5 * count:
                raise RuntimeError(f"{architecture}: only {found} of {drawn} drawn settings end above {HEALTHY}")
            with tempfile.TemporaryDirectory() as folder:
                try:
                    run = train(run_dir=Path(folder) / "run", **settings)
                except NonFiniteError:
                    continue
                accuracy = run.summary["last"]["test_accuracy"]
                if accuracy < HEALTHY:
                    continue
                report = examine_run(run, budget=budget)
            found += 1
            yield {
                "architecture": architecture,
                "drawn": drawn,
                "accuracy": accuracy,
                "diagnoses": report.diagnoses,
                "evidence": [f.evidence for verdict in ("problem", "warning") for f in report.having(verdict)],
                "settings": settings,
            }


def broken_runs(count: int, seed: int) -> Iterator[dict[str, Any]]:
    for way in WAYS:
        rng = random.Random(f"{seed} {way.name}")
        budget = BUDGET[way.architecture.split(",")[0]]
        for i in range(count):
            settings = settle(healthy(way.architecture, rng), way.change)
            if way.data is None:
                with tempfile.TemporaryDirectory() as folder:
                    report = report_on_run(settings, Path(folder) / "run", budget, way.weights)
            else:
                config = TrainConfig.from_settings(settings)
                raw = data.load("digits", preprocessing=config.preprocessing)
                report = examine(
                    config, dataset=way.data(raw, np.random.default_rng(rng.randrange(10**6))), budget=budget
                )
            yield {
                "way": way.name,
                "architecture": way.architecture,
                "run": i,
                "expected": way.expected,
                "diagnoses": report.diagnoses,
                "problem": report.verdict == PROBLEM,
                "how": how_well(report.diagnoses, way.expected),
                "settings": settings,
            }


def how_well(diagnoses: list[str], expected: tuple[str, ...]) -> str:
    if not diagnoses:
        return "missed"
    if diagnoses[0] in expected:
        return "first"
    return "named" if set(diagnoses) & set(expected) else "seen"


def healthy_table(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| architecture | healthy runs | of so many drawn | test accuracy | false alarms |",
        "|---|---|---|---|---|",
    ]
    for architecture in dict.fromkeys(row["architecture"] for row in rows):
        own = [row for row in rows if row["architecture"] == architecture]
        accuracies = [row["accuracy"] for row in own]
        alarms = [name for row in own for name in row["diagnoses"]]
        said = ", ".join(f"{name} ({alarms.count(name)})" for name in dict.fromkeys(alarms)) or "none"
        drawn = max(row["drawn"] for row in own)
        lines.append(
            f"| {architecture} | {len(own)} | {drawn} | {min(accuracies):.3f} to {max(accuracies):.3f} | {said} |"
        )
    return lines


def broken_table(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| broken | network | the name that is right | first | named | seen | missed |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(row["way"] for row in rows):
        own = [row for row in rows if row["way"] == name]
        counts = " | ".join(str(sum(row["how"] == how for row in own) or "") for how in HOW)
        lines.append(f"| {name} | {own[0]['architecture']} | {' or '.join(own[0]['expected'])} | {counts} |")
    total = " | ".join(str(sum(row["how"] == how for row in rows)) for how in HOW)
    return [*lines, f"| all {len(rows)} runs | | | {total} |"]


HOW = ("first", "named", "seen", "missed")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="every run as a line of JSON")
    parser.add_argument("--quick", action="store_true", help="two healthy runs of each architecture, one of each way")
    parser.add_argument("--seed", type=int, default=1, help="which settings are drawn")
    parser.add_argument("--only", choices=("healthy", "broken"), help="one of the two tables")
    given = parser.parse_args(arguments)
    alarms = missed = 0
    if given.only != "broken":
        rows = _told(healthy_runs(2 if given.quick else 10, given.seed), given.json)
        alarms = sum(bool(row["diagnoses"]) for row in rows)
        if not given.json:
            print("\n".join([*healthy_table(rows), ""]))
    if given.only != "healthy":
        rows = _told(broken_runs(1 if given.quick else 3, given.seed), given.json)
        missed = sum(row["how"] == "missed" for row in rows)
        if not given.json:
            print("\n".join(broken_table(rows)))
    return int(alarms > 0 or missed > 0)


def _told(runs: Iterator[dict[str, Any]], as_json: bool) -> list[dict[str, Any]]:
    """Runs the benchmark and prints each run: as JSON, or on stderr if the doctor was wrong."""
    rows = []
    for row in runs:
        rows.append(row)
        if as_json:
            print(json.dumps(row), flush=True)
        elif row["diagnoses"] and "way" not in row:
            print(
                f"false alarm: {row['architecture']}: {row['diagnoses']} {row['evidence']}", file=sys.stderr, flush=True
            )
        elif row.get("how") in ("seen", "missed"):
            print(f"{row['how']}: {row['way']}: {row['diagnoses']}", file=sys.stderr, flush=True)
    return rows


if __name__ == "__main__":
    sys.exit(main())

"""Importing weights: a run folder from a safetensors or .pt file of any origin."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import handgrad
from handgrad.architectures import Architecture
from handgrad.data import Dataset
from handgrad.engines import Engine, check_dataset, make_engine
from handgrad.errors import ConfigError, DataError, RunError
from handgrad.export.libraries import require
from handgrad.nn.layer import check_state
from handgrad.training import Run, TrainConfig, load_run, merge_settings
from handgrad.training.judging import MEASURES, averages, details
from handgrad.training.loop import threads_of
from handgrad.training.run import RunFolder, load_dataset

State = dict[str, np.ndarray]

#: Buffers that `export --to torch` adds.
_OWN_BUFFERS = ("shift", "scale", "target_shift", "target_scale")
_WITHOUT_SOFTMAX = "the last layer, softmax, is left out: predict and export turn scores into probabilities"
#: Keys under which training scripts store the state dict in a .pt file.
_NESTED = ("state_dict", "model_state_dict", "model", "network")


def import_weights(
    file: str | Path, run_dir: str | Path, *, arch: str | Path | None = None, **settings: Any
) -> tuple[Run, list[str]]:
    """Creates a run folder from weights that were trained elsewhere, for evaluate, predict and export.

    Arguments:
        file: a .safetensors file, or a .pt or .pth file with a state dict (which requires PyTorch).
        run_dir: the run folder, which must not exist.
        arch: the network of the weights: a run folder or its `config.toml`, or a .json file with an architecture
            (`Architecture.to_dict()`); None if it is given by `settings` or by the file itself, like those of
            `export --to safetensors`.
        settings: fields of `TrainConfig`, which override `arch`: the network (`hidden_units`, …), and the data
            (`dataset`, …), which determine class names and preprocessing.

    Returns: the run, and remarks about the conversion.

    Raises:
        ConfigError: the architecture is unknown or does not match the weights.
        DataError: the file cannot be read.
        RunError: the run folder already exists or cannot be written.
    """
    file, run_dir = Path(file), Path(run_dir)
    if run_dir.exists():
        raise RunError(f"{run_dir} already exists: choose another --run-dir")
    state, inside = read_state(file)
    config, described = _described(arch, settings)
    described = described or (inside if arch is None else None)
    if described is None and arch is None and not settings:
        raise ConfigError(
            f"{file} does not specify the network of its weights: give --arch (a run folder, a config.toml or an "
            "architecture as .json), or settings such as --dataset mnist --hidden-units 256,128"
        )
    dataset = load_dataset(config)
    architecture = described or config.architecture(dataset.input_shape, len(dataset.classes))
    softmax = bool(architecture.layers) and architecture.layers[-1].kind == "softmax"
    if softmax:  # the network of a run returns scores or log-probabilities
        architecture = replace(architecture, layers=architecture.layers[:-1])
    config = replace(config, engine="numpy", precision="float32", device=None, compile=False, gradients=None)
    loss = config.loss_spec(dataset.task)
    check_dataset(architecture, dataset, loss)
    engine = make_engine(config.engine_spec(), architecture, config.optimizer_spec(), loss)
    fitted, matched = match_names(state, engine.state_dict(), str(file), ordered=file.suffix != ".safetensors")
    notes = [*matched, _WITHOUT_SOFTMAX] if softmax else matched
    engine.load_state_dict(fitted)
    engine.load(dataset)
    _write(run_dir, config, dataset, engine, file)
    return load_run(run_dir), notes


def _described(arch: str | Path | None, settings: Mapping[str, Any]) -> tuple[TrainConfig, Architecture | None]:
    """The settings, and the architecture if it is given directly."""
    if arch is None:
        return TrainConfig.from_settings(merge_settings(None, None, settings)), None
    arch = Path(arch)
    if not arch.exists():
        raise ConfigError(f"arch={arch} does not exist: expected a run folder, or a .toml or .json file")
    if arch.is_dir():
        arch = arch / "config.toml"
        if not arch.exists():
            raise ConfigError(f"arch={arch.parent} is not a run folder: it has no config.toml")
    if arch.suffix == ".toml":
        return TrainConfig.from_settings(merge_settings(None, arch, settings), str(arch)), None
    if arch.suffix != ".json":
        raise ConfigError(f"arch={arch}: expected a run folder, a .toml file of settings or an architecture as .json")
    if not {"dataset", "data", "recipe"} & settings.keys():
        raise ConfigError(
            f"arch={arch} does not specify the data set of the weights: add it, as --dataset mnist; class names and "
            "preprocessing are taken from it"
        )
    try:
        described = Architecture.from_dict(json.loads(arch.read_text(encoding="utf-8")))
    except ConfigError as error:
        raise ConfigError(f"{arch}: {error}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError(
            f'{arch} describes no architecture ({error!r:.100}): expected {{"name": ..., "input_shape": [...], '
            '"layers": [{"kind": "linear", "in_features": ..., "out_features": ...}, ...]}'
        ) from None
    return TrainConfig.from_settings(merge_settings(None, None, settings)), described


def read_state(file: Path) -> tuple[State, Architecture | None]:
    """The arrays of a file by name, floating-point ones in float32, and the architecture if the file contains it.

    Raises:
        DataError: there is no such file, it is damaged, or it contains other objects than arrays.
        ConfigError: it is a .pt file, and PyTorch is not installed.
    """
    if not file.is_file():
        raise DataError(f"there is no file {file}")
    if file.suffix == ".safetensors":
        state, architecture = _read_safetensors(file)
    elif file.suffix in (".pt", ".pth"):
        state, architecture = _read_pt(file), None
    else:
        raise DataError(f"{file}: expected a .safetensors, .pt or .pth file")
    if not state:
        raise DataError(f"{file} contains no arrays: expected the weights of a network")
    for name, array in state.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise DataError(f"{file}: {name} contains NaN or infinity: the network was broken when it was saved")
    return state, architecture


def _read_safetensors(file: Path) -> tuple[State, Architecture | None]:
    from safetensors import SafetensorError, safe_open

    architecture = None
    try:
        with safe_open(file, framework="numpy") as opened:
            about = json.loads((opened.metadata() or {}).get("handgrad", "{}"))
            state = {name: _in_float32(opened.get_tensor(name)) for name in opened.keys()}  # noqa: SIM118
        if "architecture" in about:
            architecture = Architecture.from_dict(about["architecture"])
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"cannot read {file}: {error}; expected a safetensors file of float or integer arrays"
        ) from None
    return state, architecture


def _in_float32(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def _read_pt(file: Path) -> State:
    """A state dict, read with PyTorch's `weights_only=True`, which does not execute code from the file."""
    try:
        (torch,) = require("torch", extra="torch", why=f"reading {file.name}")
    except ConfigError as error:
        raise ConfigError(f"{error}; or save the weights as .safetensors, which requires nothing") from None
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # any error of zip, pickle and PyTorch
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"cannot read {file} as weights alone: {reason}. Save the state dict alone: "
            "torch.save(network.state_dict(), FILE)"
        ) from None
    for key in _NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise DataError(
            f"{file} contains a {type(content).__name__} with other values than tensors: expected a state dict, as "
            "torch.save(network.state_dict(), FILE) writes it"
        )
    state = {}
    for name, tensor in content.items():
        floating = tensor.is_floating_point()
        state[str(name)] = (tensor.float() if floating else tensor).numpy()
    return state


def match_names(state: State, own: State, where: str, *, ordered: bool) -> tuple[State, list[str]]:
    """The state under the names of handgrad's network, and remarks about the conversion.

    Names are matched directly, without a common prefix (`module.`, `network.`), or, if the names of the layers differ
    (`fc1.weight`), by the shapes of the layers, with equal shapes in order.

    Arguments:
        own: the state of handgrad's network, for names and shapes.
        ordered: whether the names are in the order of the layers, as in a .pt file; otherwise the names of layers with
            equal shapes must differ only in numbers.

    Raises:
        ConfigError: the weights do not match the network.
    """
    state = {name: array for name, array in state.items() if name not in _OWN_BUFFERS}
    notes: list[str] = []
    counters = {name: array for name, array in own.items() if name.endswith("num_batches_tracked")}
    prefix = _common_prefix(state)
    if prefix and not own.keys() <= state.keys() | counters.keys():
        state = {name.removeprefix(prefix): array for name, array in state.items()}
        notes.append(f"names without the common prefix {prefix!r}")
    if not own.keys() <= state.keys() | counters.keys():
        pairs = _by_shape(state, own, ordered=ordered)
        if pairs:
            state = {to: state[name] for name, to in pairs.items()}
            layers = {to.rpartition(".")[0]: name.rpartition(".")[0] for name, to in pairs.items()}
            shown = [f"{layers[to]} -> {to}" for to in sorted(layers, key=_natural)]
            notes.append(f"layers by their shapes and order: {', '.join(shown)}")
    complete = {**{name: array for name, array in counters.items() if name not in state}, **state}
    try:
        check_state({name: array.shape for name, array in own.items()}, complete)
    except ValueError as error:
        raise ConfigError(
            f"{where}: {error}. It has {_listed(state)}; this network has {_listed(own)}. See handgrad show for its "
            "layers, and --arch"
        ) from None
    return complete, notes


def _common_prefix(state: Mapping[str, Any]) -> str:
    """The common prefix of all names before the numbers or names of the layers: `module.`, `model.network.`, or
    empty."""
    firsts = {name.partition(".")[0] for name in state}
    prefix = ""
    while len(firsts) == 1 and all(name.removeprefix(prefix).count(".") > 1 for name in state):
        prefix += f"{firsts.pop()}."
        firsts = {name.removeprefix(prefix).partition(".")[0] for name in state}
    return prefix


def _by_shape(state: State, own: State, *, ordered: bool) -> dict[str, str] | None:
    """The mapping from names in the file to handgrad's names: layers of equal shapes are paired in order. None if
    there is no one-to-one mapping, or the order is unknown."""
    theirs, ours = _layers(state), _layers(own)
    if theirs.keys() != ours.keys():
        return None
    pairs: dict[str, str] = {}
    for shapes, wanted in ours.items():
        given = theirs[shapes]
        distinguishable = ordered or len({re.sub(r"\d+", "", layer) for layer in given}) == 1
        if len(given) != len(wanted) or not distinguishable:
            return None
        given, wanted = given if ordered else sorted(given, key=_natural), sorted(wanted, key=_natural)
        for layer, to in zip(given, wanted, strict=True):
            pairs |= {f"{layer}.{kind}".lstrip("."): f"{to}.{kind}" for kind, _ in shapes}
    return pairs


def _layers(state: State) -> dict[tuple, list[str]]:
    """The layers of a state, by the names and shapes of their arrays."""
    inside: dict[str, list[tuple[str, tuple[int, ...]]]] = {}
    for name, array in state.items():
        layer, _, kind = name.rpartition(".")
        if kind != "num_batches_tracked":
            inside.setdefault(layer, []).append((kind, array.shape))
    layers: dict[tuple, list[str]] = {}
    for layer, shapes in inside.items():
        layers.setdefault(tuple(sorted(shapes)), []).append(layer)
    return layers


def _natural(layer: str) -> list[Any]:
    """A sort key that orders numbers in names by value: fc2 before fc10."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", layer)]


def _listed(state: State) -> str:
    names = [f"{name} {'x'.join(map(str, array.shape)) or 'scalar'}" for name, array in list(state.items())[:6]]
    return ", ".join(names) + (f" and {len(state) - 6} more" if len(state) > 6 else "")


def _write(run_dir: Path, config: TrainConfig, dataset: Dataset, engine: Engine, file: Path) -> None:
    """Creates the run folder at a temporary path and moves it when it is complete."""
    record: dict[str, Any] = {"step": 0, "epoch": 0.0}
    found: dict[str, Any] = {}
    for split in ("train", "validation", "test"):
        record |= {f"{split}_{name}": None for name in ("loss", *MEASURES[dataset.task])}
        if split in dataset.splits and split != "train":
            indices = dataset.indices(split)
            figures = engine.evaluate(indices)
            record |= {f"{split}_{name}": value for name, value in averages(figures, dataset, indices).items()}
            found[split] = details(figures, dataset, indices)
    record |= {"learning_rate": None, "seconds": 0.0}
    try:
        run_dir.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=run_dir.parent, prefix=f".{run_dir.name}.", suffix=".part"))
    except OSError as error:
        raise RunError(f"cannot create the run folder {run_dir}: {error.strerror}. Choose another --run-dir") from None
    try:
        temporary.chmod(0o755)
        folder = RunFolder(temporary)
        folder.create(config)
        folder.save_preprocessing(dataset)
        folder.save_model("best", engine, 0)
        folder.save_model("model", engine, 0)
        folder.append_metrics(record)
        folder.save_checkpoint(*_checkpoint(config, engine, record, found))
        folder.save_summary(_summary(config, dataset, engine, record, found, file))
        temporary.replace(run_dir)
    except OSError as error:
        raise RunError(f"cannot write {run_dir}: {error.strerror}. Choose another --run-dir") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _checkpoint(
    config: TrainConfig, engine: Engine, record: dict[str, Any], found: dict[str, Any]
) -> tuple[State, dict[str, Any]]:
    """The checkpoint for training from these weights with `--resume`."""
    arrays, settings = engine.checkpoint()
    return arrays, {
        "engine": settings,
        "architecture": engine.architecture.to_dict(),
        "threads": threads_of(config),
        "step": 0,
        "loss_sum": 0.0,
        "correct": 0,
        "samples": 0,
        "schedule": config.learning_rates(1).state(),
        "best": record,
        "details": {"best": found, "last": found},
        "seconds": 0.0,
        "seconds_inside": 0.0,
        "seconds_training": 0.0,
    }


def _summary(
    config: TrainConfig, dataset: Dataset, engine: Engine, record: dict[str, Any], found: dict[str, Any], file: Path
) -> dict[str, Any]:
    return {
        "best": record,
        "last": record,
        "selected_by": f"{'validation' if 'validation' in dataset.splits else 'test'}_{MEASURES[dataset.task][0]}",
        "task": dataset.task,
        "imported_from": file.name,
        "recipe": config.recipe,
        "dataset": config.dataset,
        "engine": engine.name,
        "parameters": engine.architecture.parameters,
        "steps": 0,
        "seconds": 0.0,
        "samples_per_second": 0.0,
        "seconds_outside_steps": 0.0,
        "seeds": config.seeds(),
        "threads": threads_of(config),
        "versions": {"handgrad": handgrad.__version__, "numpy": np.__version__},
        "details": {"best": found, "last": found},
    }

"""The run folder: the files of a run, written so that no completed work is lost if the process is killed.

`config.toml`, `metrics.jsonl` (a line per evaluation), `summary.json`, `curves.png`, `model.safetensors` (the weights
of the last step), `best.safetensors` (of the best evaluation), `preprocessing.safetensors`, and `checkpoint/`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from handgrad._typing import Array, Bool, Float, Integer, Num, Shaped
from handgrad.architectures import Architecture
from handgrad.data import (
    Augmentation,
    Dataset,
    Preprocessing,
    Table,
    TableEncoder,
    assemble,
    digest,
    is_frame,
    load,
    read,
)
from handgrad.data.lock import exclusive
from handgrad.engines import Engine, EngineSpec, OptimizerSpec, make_engine
from handgrad.engines.numpy import build
from handgrad.errors import ConfigError, DataError, RunError
from handgrad.training import checksums
from handgrad.training.config import IN_MEMORY, TrainConfig, config_from_file
from handgrad.training.display import run_html, showing_itself
from handgrad.training.judging import averages, details

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from handgrad import nn

#: Version of the folder layout; folders with another version are rejected.
FORMAT = 1

CHECKPOINT = "checkpoint/state.safetensors"
#: The previous checkpoint, which is offered if the last one is damaged.
PREVIOUS = "checkpoint/previous.safetensors"


@contextlib.contextmanager
def replacing(path: Path, advice: str = "Free some space or choose another --run-dir") -> Iterator[Path]:
    """A temporary path next to `path`, which replaces it when the block succeeds and is removed otherwise.

    Raises:
        RunError: the disk is full, or the folder cannot be written to.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
        temporary = None
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RunError(f"cannot write {path}: {reason}. {advice}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str, **options: str) -> None:
    """Replaces a text file atomically; options as for `replacing`."""
    with replacing(path, **options) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_figure(path: Path, draw: Callable[[], Figure], **options: str) -> str | None:
    """Draws a figure and replaces its file atomically; options as for `replacing`.

    Returns: None, or a one-line error message if it could not be drawn or written; an earlier file is removed in this
    case.
    """
    try:
        from handgrad.figures import save_png

        with replacing(path, **options) as temporary:
            save_png(draw(), temporary)
    except Exception as error:  # any error of matplotlib, its fonts and its settings
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        if isinstance(error, RunError):
            return str(error)
        return f"cannot draw {path}: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return None


def write_arrays(path: Path, arrays: dict[str, Shaped[Array, "..."]], about: dict[str, Any]) -> None:
    """Replaces a safetensors file atomically; its header contains `about`, a JSON value, the format version, and a
    checksum."""
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    header = {"handgrad": checksums.header(contiguous, {"format": FORMAT, **about})}
    with replacing(path) as temporary:
        save_file(contiguous, temporary, metadata=header)


def read_arrays(path: Path, trust: bool = False) -> tuple[dict[str, Shaped[Array, "..."]], dict[str, Any]]:
    """The arrays and metadata of a file written by `write_arrays`.

    Raises:
        RunError: there is no such file, it is damaged, or it was written by another version.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
        about = checksums.read_header(path, arrays, header.get("handgrad", "{}"), trust)
        if not isinstance(about, dict):
            raise ValueError("its header does not describe a run")
    except FileNotFoundError:
        raise RunError(f"there is no {path}: is {path.parent} a run folder?") from None
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        raise RunError(f"cannot read {path}: {error}. {checksums.DAMAGED}") from None
    if about.get("format") != FORMAT:
        raise RunError(
            f"{path} has format={about.get('format')}, this handgrad reads format={FORMAT}: "
            "use the version that wrote it, or train again"
        )
    return arrays, about


def _remove_empty(folders: list[Path]) -> None:
    with contextlib.suppress(OSError):  # one has files, as it should
        for folder in folders:
            folder.rmdir()


def is_there(path: str | Path) -> bool:
    """Whether a file or folder exists; false for impossible names, for example if they are too long."""
    return os.path.exists(path)  # noqa: PTH110 (`Path.exists` raises there)


def is_folder(path: str | Path) -> bool:
    """Whether a folder exists, likewise."""
    return os.path.isdir(path)  # noqa: PTH112


def _missing(path: Path) -> list[Path]:
    """The folders that must be created for this one, innermost first."""
    return [folder for folder in (path, *path.parents) if not is_there(folder)]


def _cannot_make(path: Path, error: OSError) -> str:
    return f"cannot create the run folder {path}: {error.strerror}. Choose another --run-dir"


class RunFolder:
    """Reading and writing the files of one run.

    Arguments:
        trust: whether to read files with a missing or wrong checksum.
    """

    def __init__(self, path: str | Path, *, trust: bool = False) -> None:
        if str(path) == "":
            raise ConfigError("run_dir='': expected the name of a folder; is a variable of your shell empty?")
        self.path, self.trust = Path(path), trust
        self.made: list[Path] = []  # folders created by `new`, innermost first

    @classmethod
    def new(cls, parent: Path, name: str) -> RunFolder:
        """Creates the first unused folder of NAME, NAME-2, NAME-3, …, immediately so that no other run uses it.

        Raises:
            RunError: it cannot be created.
        """
        for number in itertools.count(1):
            folder = cls(parent / (name if number == 1 else f"{name}-{number}"))
            if os.path.lexists(folder.path):
                continue
            made = _missing(folder.path)
            try:
                parent.mkdir(parents=True, exist_ok=True)
                with contextlib.suppress(FileExistsError, FileNotFoundError):
                    folder.path.mkdir()
                    folder.made = made
                    return folder
            except OSError as error:
                raise RunError(_cannot_make(folder.path, error)) from None
            # Another run was faster, or has removed the empty `parent`.
        raise AssertionError("unreachable")

    def discard(self) -> None:
        """Removes the folders created for a run that has not started."""
        _remove_empty(self.made)

    def exists(self) -> bool:
        return is_there(self.path / "config.toml")

    def leftovers(self) -> list[str]:
        """Files of a run without a configuration, which a new run must not continue."""
        return [name for name in (CHECKPOINT, "metrics.jsonl") if not self.exists() and is_there(self.path / name)]

    def create(self, config: TrainConfig) -> None:
        """Writes the configuration and removes incomplete files of a killed process."""
        for leftover in (*self.path.glob(".*.part"), *self.path.glob("checkpoint/.*.part")):
            leftover.unlink(missing_ok=True)
        write_text(self.path / "config.toml", checksums.toml_text(config.to_toml()))

    def config(self) -> TrainConfig:
        path = self.path / "config.toml"
        if not self.exists():
            if not is_there(self.path):
                raise RunError(f"there is no run folder {self.path}: expected one that handgrad train has written")
            raise RunError(f"{self.path} is not a run folder: it has no config.toml")
        settings = config_from_file(path)
        checksums.check_toml(path, self.trust)
        if settings.get("validation_size"):
            settings.setdefault("validation_split", "end")  # a run of an older version without this setting
        return TrainConfig.from_settings(settings, str(path))

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Prevents other processes from training in the same folder, and removes the folder if it remains empty.

        Raises:
            RunError: another process is training in it, or the folder cannot be created.
        """
        if is_there(self.path) and not self.path.is_dir():
            raise RunError(f"{self.path} is a file, expected a folder to write the run to")
        with contextlib.ExitStack() as stack:
            stack.callback(_remove_empty, [*self.made, *_missing(self.path)])
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                stack.enter_context(exclusive(self.path / ".lock", wait=False))
            except BlockingIOError:
                raise RunError(f"another process is training in {self.path}: wait for it, or stop it") from None
            except OSError as error:
                raise RunError(_cannot_make(self.path, error)) from None
            yield

    # -- metrics ------------------------------------------------------------------------------------------------------

    def metrics(self, at_least: int = 0) -> list[dict[str, Any]]:
        """The evaluations so far, without a truncated last line.

        Arguments:
            at_least: minimum number of evaluations.

        Raises:
            RunError: a line is damaged, or there are fewer.
        """
        path = self.path / "metrics.jsonl"
        records = []
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        for number, line in enumerate(lines, start=1):
            try:
                record = checksums.read_line(path, number, line.decode(), self.trust)
                if "step" not in record:
                    raise ValueError("it is not an evaluation")
            except (ValueError, RecursionError):
                if not line.endswith(b"\n"):
                    break
                raise RunError(f"{path}, line {number}, is not an evaluation: remove it, or train again") from None
            records.append(record)
        if len(records) < at_least and not self.trust:
            raise RunError(f"{path} has {len(records)} evaluations, {at_least} were made. {checksums.DAMAGED}")
        return records

    def append_metrics(self, record: dict[str, Any]) -> None:
        path = self.path / "metrics.jsonl"
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(checksums.line(record))
        except OSError as error:
            raise RunError(f"cannot write {path}: {error.strerror}. Free some space, then --resume") from error

    def keep_metrics(self, last_step: int, at_least: int = 0) -> list[dict[str, Any]]:
        """Removes the evaluations after `last_step`, which will be repeated, and returns the others; `at_least` as
        for `metrics`."""
        records = [record for record in self.metrics(at_least) if record["step"] <= last_step]
        if not records and not (self.path / "metrics.jsonl").exists():
            return []
        write_text(self.path / "metrics.jsonl", "".join(map(checksums.line, records)))
        return records

    # -- checkpoints and weights --------------------------------------------------------------------------------------

    def has_checkpoint(self) -> bool:
        return (self.path / CHECKPOINT).exists()

    def save_checkpoint(self, arrays: dict[str, Shaped[Array, "..."]], about: dict[str, Any]) -> None:
        path, previous = self.path / CHECKPOINT, self.path / PREVIOUS
        if path.exists():
            # Add a hard link instead of renaming the file, so that there is always a checkpoint.
            link = previous.with_name(f".{previous.name}.part")
            with contextlib.suppress(OSError):  # without hard links, only the last checkpoint is kept
                link.unlink(missing_ok=True)
                os.link(path, link)
                link.replace(previous)
        write_arrays(path, arrays, about)

    def load_checkpoint(self) -> tuple[dict[str, Shaped[Array, "..."]], dict[str, Any]]:
        try:
            return self.arrays(CHECKPOINT)
        except RunError as error:
            try:
                _, about = self.arrays(PREVIOUS)
            except RunError:
                raise error from None
            path, previous = self.path / CHECKPOINT, self.path / PREVIOUS
            raise RunError(
                f"{error}. The previous checkpoint is intact: mv {previous} {path}, and --resume continues from step "
                f"{about['step']}"
            ) from None

    def examined(self) -> dict[str, str]:
        """The state of each file of the run: "intact", "missing" (if the run should have it by now), or what is wrong
        with it."""
        readers: dict[str, Callable[[str], object]] = {
            "config.toml": lambda _: self.config(),
            "metrics.jsonl": lambda _: self.metrics((self.json("summary.json") or {}).get("evaluations", 0)),
            "summary.json": self.json,
            "table.json": self.json,
            **dict.fromkeys(("preprocessing.safetensors", CHECKPOINT, PREVIOUS), self.arrays),
            **dict.fromkeys(("model.safetensors", "best.safetensors"), self.arrays),
            **dict.fromkeys(("curves.png", "confusion.png"), self._verify_image),
        }
        found = {}
        for name, read_file in readers.items():
            if not (self.path / name).exists():
                if name in ("config.toml", "preprocessing.safetensors"):
                    found[name] = "missing"
                continue
            try:
                read_file(name)
                found[name] = "intact"
            except (RunError, ConfigError) as error:
                found[name] = str(error)
        return found

    def _verify_image(self, name: str) -> None:
        from PIL import Image

        try:
            with Image.open(self.path / name) as image:
                image.verify()
        except (OSError, SyntaxError) as error:
            raise RunError(f"{self.path / name} is damaged: {error}") from None

    def arrays(self, name: str) -> tuple[dict[str, Shaped[Array, "..."]], dict[str, Any]]:
        """The arrays and metadata of one of the run's files; raises the same errors as `read_arrays`."""
        return read_arrays(self.path / name, self.trust)

    def json(self, name: str) -> dict[str, Any] | None:
        """The object in one of the run's JSON files, or None if it does not exist. Raises RunError if it is damaged."""
        try:
            return checksums.read_json(self.path / name, self.trust)
        except FileNotFoundError:
            return None

    def save_model(self, name: str, engine: Engine, step: int) -> None:
        about = {"step": step, "architecture": engine.architecture.to_dict()}
        write_arrays(self.path / f"{name}.safetensors", engine.state_dict(), about)

    def save_preprocessing(self, dataset: Dataset) -> None:
        preprocessing = dataset.preprocessing
        about = {
            "kind": preprocessing.kind,
            "input_shape": list(dataset.input_shape),
            "value_range": dataset.value_range,
            "classes": list(dataset.classes),
        }
        about["bounded"] = dataset.inputs.dtype == np.uint8 and dataset.inputs.ndim == 4
        parts = [dataset.inputs[rows] for rows in _in_parts(dataset.splits["train"])]
        about["seen"] = [float(min(x.min() for x in parts)), float(max(x.max() for x in parts))]
        if dataset.inputs.ndim == 4 and dataset.inputs.shape[1] == 1:
            grounds = [_edge_brightness(x, dataset.value_range) for x in parts]
            about["ground"] = [float(min(g.min() for g in grounds)), float(max(g.max() for g in grounds))]
        arrays = {"shift": preprocessing.shift, "scale": preprocessing.scale}
        if (targets := dataset.target_scaling) is not None:
            about["task"] = dataset.task
            arrays |= {"target_shift": targets.shift, "target_scale": targets.scale}
        write_arrays(self.path / "preprocessing.safetensors", arrays, about)
        if dataset.encoder is not None:
            write_text(self.path / "table.json", checksums.json_text(dataset.encoder.to_dict()))

    def copy_preprocessing(self, other: RunFolder) -> None:
        """Copies the preprocessing of a run on the same data."""
        for name in ("preprocessing.safetensors", "table.json"):
            if (other.path / name).exists():
                with replacing(self.path / name) as temporary:
                    shutil.copyfile(other.path / name, temporary)

    def save_summary(self, summary: dict[str, Any]) -> None:
        write_text(self.path / "summary.json", checksums.json_text(summary))

    def save_curves(self, records: list[dict[str, Any]], title: str) -> str | None:
        """Draws `curves.png`; returns None or an error message, like `write_figure`."""

        def draw() -> Figure:
            from handgrad.figures import curves

            return curves(records, title=title)

        return write_figure(self.path / "curves.png", draw)

    def save_confusion(self, details: dict[str, Any], title: str) -> str | None:
        """Draws `confusion.png` for the last evaluation of the test set or, without one, the validation set; returns
        None or an error message."""
        last = details.get("last", {})
        split = "test" if "test" in last else "validation"
        table = last.get(split, {}).get("confusion")
        if table is None:
            return None

        def draw() -> Figure:
            from handgrad.figures import confusion

            return confusion(table, list(last[split]["classes"]), title=f"{title}: {split} set, last step")

        return write_figure(self.path / "confusion.png", draw)


def _in_parts(rows: range | Integer[Array, "m"]) -> Iterator[slice | Integer[Array, "p"]]:
    """Indices of the samples of a split: all at once, or in blocks if they are in a file."""
    if isinstance(rows, range):
        yield slice(rows.start, rows.stop)
    else:
        for i in range(0, len(rows), 4096):
            yield rows[i : i + 4096]


def _edge_brightness(images: Num[Array, "N 1 H W"], value_range: float) -> Float[Array, "N"]:
    """The brightness of each image along its edges, from 0 (black) to 1."""
    edges = (images[:, 0, 0], images[:, 0, -1], images[:, 0, :, 0], images[:, 0, :, -1])
    return np.concatenate(edges, axis=-1).mean(axis=-1, dtype=np.float64) / value_range


class InputWarning(UserWarning):
    """The inputs of `Run.predict` differ from the training data."""


class ReadOnlyFolder(RunFolder):
    """The run folder for processes that do not write."""

    def create(self, config: TrainConfig) -> None: ...

    def append_metrics(self, record: dict[str, Any]) -> None: ...

    def save_checkpoint(self, arrays: dict[str, Shaped[Array, "..."]], about: dict[str, Any]) -> None: ...

    def save_model(self, name: str, engine: Engine, step: int) -> None: ...

    def save_preprocessing(self, dataset: Dataset) -> None: ...

    def save_summary(self, summary: dict[str, Any]) -> None: ...

    def save_curves(self, records: list[dict[str, Any]], title: str) -> None:
        return None

    def save_confusion(self, details: dict[str, Any], title: str) -> None:
        return None


class Run:
    """A finished run, or one in progress, with its metrics and its network.

    Arguments:
        path: the run folder.
        trust: as for `load_run`.
    """

    def __init__(self, path: str | Path, *, trust: bool = False) -> None:
        self.folder = RunFolder(path, trust=trust)
        self.path = self.folder.path
        self.config = self.folder.config()

    @property
    def _how_to_resume(self) -> str:
        return f"resume with handgrad train --run-dir {self.path} --resume"

    @cached_property
    def metrics(self) -> list[dict[str, Any]]:
        """One dictionary per evaluation: the lines of `metrics.jsonl`."""
        summary = self.folder.json("summary.json") or {}
        return self.folder.metrics(at_least=summary.get("evaluations", 0))

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The `best` and `last` metrics and the duration of the run.

        Raises:
            RunError: the run has not finished.
        """
        summary = self.folder.json("summary.json")
        if summary is None:
            raise RunError(f"{self.path} has not finished: {self._how_to_resume}")
        return summary

    def engine(self, weights: str = "last", *, engine: str | None = None, device: str | None = None) -> Engine:
        """An engine with the network of the run, with the weights of the `last` step or of the `best` evaluation.

        Arguments:
            engine, device: by default, those used for training.
        """
        if weights not in ("last", "best"):
            raise ConfigError(f"weights={weights!r}: expected last or best")
        path = self.path / ("model.safetensors" if weights == "last" else "best.safetensors")
        if not path.exists():
            raise RunError(f"{self.path} has no {path.name} yet: {self._how_to_resume}")
        state, about = self.folder.arrays(path.name)
        architecture = Architecture.from_dict(about["architecture"])
        name = engine or self.config.engine
        precision = self.config.precision
        if name == self.config.engine:
            device = device or self.config.device
        elif name == "numpy" and precision in ("bf16", "fp16"):
            precision = "float32"  # the dtype of the parameters
        spec = EngineSpec(name, precision, device=device)
        made = make_engine(spec, architecture, OptimizerSpec(), self.config.loss_spec(self.task))
        made.load_state_dict(state)
        return made

    @cached_property
    def _preprocessing(self) -> tuple[Preprocessing, dict[str, Any]]:
        arrays, about = self.folder.arrays("preprocessing.safetensors")
        return Preprocessing(about["kind"], arrays["shift"], arrays["scale"]), about

    @cached_property
    def _target_scaling(self) -> Preprocessing | None:
        """For regression: the outputs of the network are (target - shift) * scale."""
        if self.task == "classification":
            return None
        arrays, _ = self.folder.arrays("preprocessing.safetensors")
        return Preprocessing("standard", arrays["target_shift"], arrays["target_scale"])

    @property
    def task(self) -> str:
        """`classification` or `regression`."""
        return self._preprocessing[1].get("task", "classification")

    @cached_property
    def encoder(self) -> TableEncoder | None:
        """The encoder of the inputs, if the network was trained on a table.

        Raises:
            RunError: `table.json` is damaged.
        """
        described = self.folder.json("table.json")
        try:
            return None if described is None else TableEncoder.from_dict(described)
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"cannot read {self.path / 'table.json'}: {error}. {checksums.DAMAGED}") from None

    @property
    def preprocessing(self) -> Preprocessing:
        """The preprocessing of the raw inputs."""
        return self._preprocessing[0]

    @property
    def classes(self) -> list[str]:
        """The names of the classes or, for regression, of the targets."""
        return self._preprocessing[1]["classes"]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one raw input: (C, H, W), (D,) for rows, (2 context + 1, F) for windows of frames."""
        return tuple(self._preprocessing[1]["input_shape"])

    @property
    def value_range(self) -> float:
        """The largest raw value of an input."""
        return self._preprocessing[1]["value_range"]

    def check_takes_samples(self) -> None:
        """Raises ConfigError if the network was trained on windows of frames, which require whole utterances."""
        if self.config.on_frames:
            raise ConfigError("a run on speech predicts whole utterances: use handgrad speech predict")

    def convolutions(self) -> dict[str, str]:
        """The algorithm of each convolution in the run; empty before its first checkpoint."""
        if not self.folder.has_checkpoint():
            return {}
        return self.folder.load_checkpoint()[1]["engine"].get("convolutions", {})

    def predict(
        self,
        inputs: Num[Array, "N ..."],
        weights: str = "last",
        *,
        engine: str | None = None,
        device: str | None = None,
    ) -> Float[Array, "N K"]:
        """Returns the probability of each class for raw inputs `(N, C, H, W)`, `(N, H, W, C)` (channels last),
        `(N, C·H·W)` or, of one channel, `(N, H, W)`, on the scale of the data set: the softmax of the scores or, for a
        network trained with `loss=mse`, the probabilities closest to its outputs. For regression, returns the targets
        `(N, T)` in their original units. If the network was trained on a table, pass a DataFrame with the columns of
        that table.

        Raises:
            ConfigError: the inputs have a different shape or scale than the data set.
            DataError: a column of a table is missing or has a different type than in training.

        Warns: InputWarning: the inputs contain values outside the range of the training data, or are light on dark
            instead of dark on light, or vice versa.
        """
        self.check_takes_samples()
        if is_frame(inputs):
            inputs, notes = self.encoded(inputs)
            for note in notes:
                warnings.warn(note, InputWarning, stacklevel=2)
        inputs = self._images(np.asarray(inputs))
        self._check_values(inputs)
        if (light := self.inverted(inputs)).any():
            warnings.warn(
                f"{int(light.sum())} of {len(inputs)} inputs have a light background and the training images a dark "
                "one, or vice versa: are they inverted?",
                InputWarning,
                stacklevel=2,
            )
        preprocessing, _ = self._preprocessing
        chosen = self.engine(weights, engine=engine, device=device)
        scores = chosen.predict(preprocessing.apply(inputs.astype(np.float32)))
        if (scaling := self._target_scaling) is not None:
            return (scores / scaling.scale + scaling.shift).astype(scores.dtype)
        if self.config.loss == "mse":
            return nearest_probabilities(scores)
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return scores / scores.sum(axis=-1, keepdims=True)

    def encoded(self, table: Any) -> tuple[Float[Array, "N D"], list[str]]:
        """Encodes a table as raw inputs of the network; also returns remarks about values unknown from training.

        Raises:
            ConfigError: the network was not trained on a table.
        """
        if self.encoder is None:
            raise ConfigError(
                f"inputs: a table, and {self.path} was trained on inputs of shape {self.input_shape}: give an array"
            )
        return self.encoder.transform(table if isinstance(table, Table) else Table.from_frame(table))

    def _images(self, inputs: np.ndarray) -> Num[Array, "N *shape"]:
        """The inputs in the input shape of the network."""
        if len(self.input_shape) != 3:
            return self._rows(inputs)
        channels, height, width = shape = self.input_shape
        if inputs.dtype.kind in "uif" and inputs.ndim > 1:
            if inputs.shape[1:] in (shape, (channels * height * width,)):
                return inputs.reshape(-1, *shape)
            if inputs.shape[1:] == (height, width, channels):
                return np.moveaxis(inputs, -1, 1)
            if channels == 1 and inputs.shape[1:] == (height, width):
                return inputs[:, np.newaxis]
        expected = ", ".join(map(str, ("N", *shape)))
        alone = inputs.shape in (shape, (height, width, channels), (channels * height * width,), (height, width))
        hint = "; one input needs an axis more: inputs[None]" if alone else ""
        raise ConfigError(f"inputs: shape={inputs.shape} dtype={inputs.dtype}, expected numbers ({expected}){hint}")

    def _rows(self, inputs: np.ndarray) -> Num[Array, "N D"]:
        shape = self.input_shape
        if inputs.dtype.kind in "buif" and inputs.shape[1:] == shape:
            return inputs
        expected = ", ".join(map(str, ("N", *shape)))
        hint = "; one input needs an axis more: inputs[None]" if inputs.shape == shape else ""
        raise ConfigError(f"inputs: shape={inputs.shape} dtype={inputs.dtype}, expected numbers ({expected}){hint}")

    def _check_values(self, inputs: Num[Array, "N *shape"]) -> None:
        if not (finite := np.isfinite(inputs)).all():
            raise ConfigError(
                f"inputs contain {inputs[~finite][0]} in sample {np.argwhere(~finite)[0, 0]}: expected finite numbers, "
                "raw values on the scale of the data set"
            )
        if not inputs.size or not self._preprocessing[1].get("bounded", True):
            return
        least, most = self._preprocessing[1].get("seen", (0.0, self.value_range))
        low, high = float(inputs.min()), float(inputs.max())
        slack = 1e-4 * self.value_range  # of rounding
        values = f"inputs contain values from {low:.4g} to {high:.4g}, the training data {least:.4g} to {most:.4g}"
        if low < min(0.0, least) - slack or high > max(self.value_range, most) + slack or 0 < high <= 1 < most:
            raise ConfigError(
                f"{values}: expected raw values from 0 to {self.value_range:g}, neither scaled nor standardised (the "
                "run does that itself)"
            )
        if low < least - slack or high > most + slack:
            warnings.warn(f"{values}: check the scale", InputWarning, stacklevel=3)

    def inverted(self, inputs: Num[Array, "N *shape"]) -> Bool[Array, "N"]:
        """A mask of the raw inputs that are dark on light instead of light on dark as in training, or vice versa,
        judged by the edges of single-channel images."""
        seen = self._preprocessing[1].get("ground")
        if seen is None:
            return np.zeros(len(inputs), bool)
        least, most = seen
        ground = _edge_brightness(inputs, self.value_range)

        def off(ground: Float[Array, "N"]) -> Float[Array, "N"]:
            return np.maximum(np.maximum(least - ground, ground - most), 0)

        return (off(ground) > 0.1) & (off(1 - ground) < off(ground))

    def evaluate(
        self,
        weights: str = "last",
        *,
        data_dir: str | None = None,
        offline: bool = False,
        engine: str | None = None,
        device: str | None = None,
        in_detail: bool = False,
        data: str | Path | tuple[Any, Any] | None = None,
        target: str = "",
    ) -> dict[str, dict[str, Any]]:
        """Computes loss and accuracy on every split of the data set: `{"test": {"loss": …, "accuracy": …}, …}`; for
        regression, loss, RMSE, MAE and R².

        Arguments:
            data: other samples, reported as "data": a file or folder of any kind that training supports, or arrays (x,
                y).
            target: the .npy file with the targets, if `data` is one with inputs.
            in_detail: also return the result of `training.judging.details`: precision, recall and F1 of each class and
                the confusion matrix; for regression, the metrics of each target.

        Warns: InputWarning: remarks about `data`, such as values that did not occur in training.
        """
        chosen = self.engine(weights, engine=engine, device=device)
        if data is not None:
            from handgrad.training.new_data import read_labelled  # which imports this module

            dataset = read_labelled(self, data, target)
            for note in dataset.notes:
                warnings.warn(note, InputWarning, stacklevel=2)
        else:
            dataset = load_dataset(self.config, data_dir=data_dir, offline=offline)
        chosen.load(dataset)
        judged = {}
        for split in dataset.splits:
            indices = dataset.indices(split)
            figures = chosen.evaluate(indices)
            judged[split] = averages(figures, dataset, indices)
            if in_detail:
                judged[split] |= details(figures, dataset, indices)
        return judged

    @cached_property
    def network(self) -> nn.Sequential:
        """The network with the weights of the last step, in evaluation mode: `forward` takes preprocessed inputs, as
        returned by `Dataset.gather`, in the input shape of the first layer."""
        state, about = self.folder.arrays("model.safetensors")
        dtype = np.float64 if self.config.precision == "float64" else np.float32
        network = build(Architecture.from_dict(about["architecture"]), init="zeros", dtype=dtype)
        network.load_state_dict(state)
        network.eval()
        return network

    def plot(self) -> Figure:
        """The curves of the evaluations so far, as a matplotlib figure; `figure.savefig(...)` writes it to a file."""
        from handgrad.figures import curves

        return showing_itself(curves(self.metrics, title=self._title))

    @property
    def _title(self) -> str:
        return self.config.recipe or self.config.dataset

    def _repr_html_(self) -> str:
        config, summary = self.config, self.folder.path / "summary.json"
        about = f"{self._title}: {config.model}, {config.optimizer}, {config.engine} engine"
        if summary.exists():
            columns = {
                f"last step ({self.summary['last']['step']:,})": self.summary["last"],
                f"best {self.summary['selected_by'].partition('_')[0]} ({self.summary['best']['step']:,})": (
                    self.summary["best"]
                ),
            }
            about += f", {self.summary['parameters']:,} parameters"
            note = f"{self.summary['steps']:,} steps in {self.summary['seconds']:.1f} s"
        else:
            records = self.folder.metrics()  # for a run in progress: the current weights
            columns = {f"step {records[-1]['step']:,}": records[-1]} if records else {}
            note = f"not finished: {self._how_to_resume}"
        curves = self.path / "curves.png"
        return run_html(str(self.path), about, columns, note, curves.read_bytes() if curves.exists() else None)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"


def nearest_probabilities(outputs: Float[Array, "N K"]) -> Float[Array, "N K"]:
    """The projection of the rows of `outputs` onto the probability simplex: max(0, outputs - θ).

    Source: Duchi, Shalev-Shwartz, Singer, Chandra (2008), Efficient projections onto the l1-ball, figure 1.
    """
    falling = -np.sort(-outputs, axis=-1)
    thresholds = (falling.cumsum(axis=-1) - 1) / np.arange(1, outputs.shape[-1] + 1)
    positive = (falling > thresholds).sum(axis=-1, keepdims=True)  # the number of positive entries
    theta = np.take_along_axis(thresholds, positive - 1, axis=-1)
    return np.maximum(outputs - theta, 0).astype(outputs.dtype)


def load_run(path: str | Path, *, trust: bool = False) -> Run:
    """Loads the run in a folder.

    Arguments:
        trust: also read files without a checksum (written by an older version or another program) or with a wrong one.

    Raises:
        RunError: the folder does not contain a run, or a file is damaged.
    """
    return Run(path, trust=trust)


def load_dataset(config: TrainConfig, *, data_dir: str | None = None, offline: bool = False) -> Dataset:
    """Loads the data set of a configuration with its preprocessing.

    Raises:
        DataError: it cannot be read, or does not match the checksum in the configuration.
    """
    if config.data is not None:
        return as_configured(config, _load_own(config))
    dataset = load(
        config.dataset,
        data_dir=data_dir or config.data_dir,
        offline=offline or config.offline,
        preprocessing=config.preprocessing,
        validation_size=config.validation_size,
        validation_split=config.validation_split,
        context=config.context,
    )
    return as_configured(config, dataset)


def _load_own(config: TrainConfig) -> Dataset:
    if config.data is None or config.data == IN_MEMORY:
        raise ConfigError(
            "the data are arrays that were passed from Python, not a file: pass them again, as x= and y= to "
            "handgrad.train or as data=(x, y) to Run.evaluate"
        )
    try:
        raw = read(config.data, config.reading())
    except DataError:
        if Path(config.data).is_file():
            check_unchanged(config, digest((Path(config.data),))[1])  # which then is the cause
        raise
    if config.data_sha256 is not None:
        check_unchanged(config, digest(raw.files)[1])
    return dataclasses.replace(assemble(raw, **config.splitting()), name=config.dataset)


def check_unchanged(config: TrainConfig, sha256: str) -> None:
    """Raises DataError if the data do not match the checksum in a configuration."""
    if config.data_sha256 not in (None, sha256):
        raise DataError(
            f"{config.data} has changed since the run began: its SHA-256 is {sha256[:12]}…, config.toml has "
            f"{config.data_sha256[:12]}…; restore the old data, or start a new run"
        )


def as_configured(config: TrainConfig, dataset: Dataset) -> Dataset:
    """A data set with the augmentation and the class weights of a configuration."""
    if (config.random_crop or config.horizontal_flip) and len(dataset.input_shape) != 3:
        name = "random_crop" if config.random_crop else "horizontal_flip"
        raise ConfigError(f"{name} applies to images, but {dataset.name} has rows of numbers: leave it out")
    augmentation = Augmentation(config.random_crop, config.horizontal_flip, config.seeds()["data_seed"])
    dataset = dataclasses.replace(dataset, augmentation=augmentation)
    return dataset.balanced() if config.class_weight == "balanced" else dataset

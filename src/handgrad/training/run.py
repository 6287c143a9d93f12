"""The run folder: what a run leaves, written so that a kill at any moment loses nothing that was finished.

`config.toml`, `metrics.jsonl` (a line per evaluation), `summary.json`, `curves.png`, `model.safetensors` (the weights
of the last step), `best.safetensors` (of the best evaluation), `preprocessing.safetensors`, and `checkpoint/`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from handgrad._typing import Array, Float, Num, Shaped
from handgrad.architectures import Architecture
from handgrad.data import Augmentation, Dataset, Preprocessing, load
from handgrad.data.lock import exclusive
from handgrad.engines import Engine, EngineSpec, Figures, OptimizerSpec, make_engine
from handgrad.errors import ConfigError, RunError
from handgrad.training.config import TrainConfig, config_from_file

#: Version of the folder's layout: a folder of another one is refused, not guessed at.
FORMAT = 1

CHECKPOINT = "checkpoint/state.safetensors"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, which takes its place when the block ends well and is removed when it does not.

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
        raise RunError(f"cannot write {path}: {reason}. Free some space or choose another --run-dir") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replaces a text file atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_arrays(path: Path, arrays: dict[str, Shaped[Array, "..."]], about: dict[str, Any]) -> None:
    """Replaces a safetensors file atomically; `about`, a JSON value, goes into its header with the format's version."""
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    header = {"handgrad": json.dumps({"format": FORMAT, **about})}
    with replacing(path) as temporary:
        save_file(contiguous, temporary, metadata=header)


def read_arrays(path: Path) -> tuple[dict[str, Shaped[Array, "..."]], dict[str, Any]]:
    """The arrays of a file that `write_arrays` wrote, and what it says about them.

    Raises:
        RunError: there is no such file, it is damaged, or another version wrote it.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            about = json.loads((file.metadata() or {}).get("handgrad", "{}"))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
    except FileNotFoundError:
        raise RunError(f"there is no {path}: is {path.parent} a run folder?") from None
    except (OSError, SafetensorError, ValueError) as error:
        raise RunError(f"cannot read {path}: {error}. The file is damaged: remove it or train anew") from None
    if about.get("format") != FORMAT:
        raise RunError(
            f"{path} has format={about.get('format')}, this handgrad reads format={FORMAT}: "
            "use the version that wrote it, or train anew"
        )
    return arrays, about


def _remove_empty(folders: list[Path]) -> None:
    with contextlib.suppress(OSError):  # one has files, as it should
        for folder in folders:
            folder.rmdir()


class RunFolder:
    """Reading and writing the files of one run."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def exists(self) -> bool:
        return (self.path / "config.toml").exists()

    def leftovers(self) -> list[str]:
        """Files of a run that has lost its configuration: one that begins must not go on with them."""
        return [name for name in (CHECKPOINT, "metrics.jsonl") if not self.exists() and (self.path / name).exists()]

    def create(self, config: TrainConfig) -> None:
        """Writes the configuration, and clears what a killed process left half-written."""
        for leftover in (*self.path.glob(".*.part"), *self.path.glob("checkpoint/.*.part")):
            leftover.unlink(missing_ok=True)
        write_text(self.path / "config.toml", config.to_toml())

    def config(self) -> TrainConfig:
        path = self.path / "config.toml"
        if not path.exists():
            raise RunError(f"{self.path} is no run folder: it has no config.toml")
        return TrainConfig.from_settings(config_from_file(path), str(path))

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keeps a second process from training in the same folder, and leaves no empty one behind.

        Raises:
            RunError: another process does so now, or the folder cannot be made.
        """
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self.path} is a file, expected a folder to write the run to")
        with contextlib.ExitStack() as stack:
            made = [path for path in (self.path, *self.path.parents) if not path.exists()]
            stack.callback(_remove_empty, made)
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                stack.enter_context(exclusive(self.path / ".lock", wait=False))
            except BlockingIOError:
                raise RunError(f"another process is training in {self.path}: wait for it, or stop it") from None
            except OSError as error:
                raise RunError(f"cannot make the run folder {self.path}: {error.strerror}") from None
            yield

    # -- metrics ------------------------------------------------------------------------------------------------------

    def metrics(self) -> list[dict[str, Any]]:
        """The evaluations so far; a last line that a kill cut short is left out."""
        path = self.path / "metrics.jsonl"
        if not path.exists():
            return []
        records = []
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(keepends=True), start=1):
            try:
                records.append(json.loads(line))
            except ValueError:
                if not line.endswith("\n"):
                    break
                raise RunError(f"{path}, line {number}, is not JSON: remove the line, or train anew") from None
        return records

    def append_metrics(self, record: dict[str, Any]) -> None:
        path = self.path / "metrics.jsonl"
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise RunError(f"cannot write {path}: {error.strerror}. Free some space, then --resume") from error

    def keep_metrics(self, last_step: int) -> list[dict[str, Any]]:
        """Drops the evaluations after `last_step` (they will be made again) and returns the others."""
        records = [record for record in self.metrics() if record["step"] <= last_step]
        if not records and not (self.path / "metrics.jsonl").exists():
            return []
        write_text(self.path / "metrics.jsonl", "".join(json.dumps(record) + "\n" for record in records))
        return records

    # -- checkpoints and weights --------------------------------------------------------------------------------------

    def has_checkpoint(self) -> bool:
        return (self.path / CHECKPOINT).exists()

    def save_checkpoint(self, arrays: dict[str, Shaped[Array, "..."]], about: dict[str, Any]) -> None:
        write_arrays(self.path / CHECKPOINT, arrays, about)

    def load_checkpoint(self) -> tuple[dict[str, Shaped[Array, "..."]], dict[str, Any]]:
        return read_arrays(self.path / CHECKPOINT)

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
        arrays = {"shift": preprocessing.shift, "scale": preprocessing.scale}
        write_arrays(self.path / "preprocessing.safetensors", arrays, about)

    def save_summary(self, summary: dict[str, Any]) -> None:
        write_text(self.path / "summary.json", json.dumps(summary, indent=2) + "\n")

    def save_curves(self, records: list[dict[str, Any]], title: str) -> None:
        from handgrad.figures import curves

        with replacing(self.path / "curves.png") as temporary:
            curves(records, title=title).savefig(temporary, format="png", dpi=150)


class Onlooker(RunFolder):
    """The folder of a run for those of its processes that write nothing."""

    def create(self, config: TrainConfig) -> None: ...

    def append_metrics(self, record: dict[str, Any]) -> None: ...

    def save_checkpoint(self, arrays: dict[str, Shaped[Array, "..."]], about: dict[str, Any]) -> None: ...

    def save_model(self, name: str, engine: Engine, step: int) -> None: ...

    def save_preprocessing(self, dataset: Dataset) -> None: ...

    def save_summary(self, summary: dict[str, Any]) -> None: ...

    def save_curves(self, records: list[dict[str, Any]], title: str) -> None: ...


class Run:
    """A run that was trained, or is under way: its figures, and its network ready for use.

    Arguments:
        path: the run folder.
    """

    def __init__(self, path: str | Path) -> None:
        self.folder = RunFolder(path)
        self.path = self.folder.path
        self.config = self.folder.config()

    @property
    def _how_to_go_on(self) -> str:
        return f"go on with handgrad train --run-dir {self.path} --resume"

    @cached_property
    def metrics(self) -> list[dict[str, Any]]:
        """One dictionary an evaluation: the lines of `metrics.jsonl`."""
        return self.folder.metrics()

    @cached_property
    def summary(self) -> dict[str, Any]:
        """`best` and `last` figures and what the run took.

        Raises:
            RunError: the run has not finished.
        """
        path = self.path / "summary.json"
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RunError(
                f"{self.path} has not finished: go on with handgrad train --run-dir {self.path} --resume"
            ) from None
        except ValueError as error:
            raise RunError(f"cannot read {path}: {error}") from None

    def engine(self, weights: str = "last", *, engine: str | None = None, device: str | None = None) -> Engine:
        """An engine with the run's network: the weights of the `last` step or of the `best` evaluation.

        Arguments:
            engine, device: which engine and where; by default those that trained the run.
        """
        if weights not in ("last", "best"):
            raise ConfigError(f"weights={weights!r}: expected last or best")
        path = self.path / ("model.safetensors" if weights == "last" else "best.safetensors")
        if not path.exists():
            raise RunError(f"{self.path} has no {path.name} yet: {self._how_to_go_on}")
        state, about = read_arrays(path)
        architecture = Architecture.from_dict(about["architecture"])
        name = engine or self.config.engine
        precision = self.config.precision
        if name == self.config.engine:
            device = device or self.config.device
        elif name == "numpy" and precision in ("bf16", "fp16"):
            precision = "float32"  # what the parameters are kept in
        spec = EngineSpec(name, precision, device=device)
        made = make_engine(spec, architecture, OptimizerSpec(), self.config.loss_spec())
        made.load_state_dict(state)
        return made

    @cached_property
    def _preprocessing(self) -> tuple[Preprocessing, dict[str, Any]]:
        arrays, about = read_arrays(self.path / "preprocessing.safetensors")
        return Preprocessing(about["kind"], arrays["shift"], arrays["scale"]), about

    @property
    def classes(self) -> list[str]:
        return self._preprocessing[1]["classes"]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one raw input."""
        return tuple(self._preprocessing[1]["input_shape"])

    @property
    def value_range(self) -> float:
        """The largest raw value of an input."""
        return self._preprocessing[1]["value_range"]

    def convolutions(self) -> dict[str, str]:
        """The algorithm of each convolution as the run settled it; nothing before its first checkpoint."""
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
        """The probability of each class for raw inputs `(N, C, H, W)`, or `(N, C·H·W)`, on the data set's own scale:
        the softmax of the scores, or, of a network trained with `loss=mse`, the probabilities nearest to its outputs.

        Raises:
            ConfigError: the inputs have another shape.
        """
        shape = self.input_shape
        inputs = np.asarray(inputs)
        if inputs.dtype.kind not in "uif" or inputs.ndim < 1 or inputs.size != len(inputs) * int(np.prod(shape)):
            expected = ", ".join(map(str, ("N", *shape)))
            raise ConfigError(f"inputs: shape={inputs.shape} dtype={inputs.dtype}, expected numbers ({expected})")
        if not np.isfinite(inputs).all():
            raise ConfigError("inputs hold values that are not finite: expected raw values of the data set's scale")
        preprocessing, _ = self._preprocessing
        chosen = self.engine(weights, engine=engine, device=device)
        scores = chosen.predict(preprocessing.apply(inputs.reshape(-1, *shape).astype(np.float32)))
        if self.config.loss == "mse":
            return _nearest_probabilities(scores)
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return scores / scores.sum(axis=-1, keepdims=True)

    def evaluate(
        self,
        weights: str = "last",
        *,
        data_dir: str | None = None,
        offline: bool = False,
        engine: str | None = None,
        device: str | None = None,
    ) -> dict[str, dict[str, float]]:
        """Loss and accuracy on every split of the run's data set: `{"test": {"loss": …, "accuracy": …}, …}`."""
        chosen = self.engine(weights, engine=engine, device=device)
        dataset = load_dataset(self.config, data_dir=data_dir, offline=offline)
        chosen.load(dataset)
        return {split: averages(chosen.evaluate(dataset.indices(split))) for split in dataset.splits}

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"


def _nearest_probabilities(outputs: Float[Array, "N K"]) -> Float[Array, "N K"]:
    """The rows that are nowhere negative, sum to 1 and lie nearest to those of `outputs`: max(0, outputs - θ).

    Source: Duchi, Shalev-Shwartz, Singer, Chandra (2008), Efficient projections onto the l1-ball, figure 1.
    """
    falling = -np.sort(-outputs, axis=-1)
    thresholds = (falling.cumsum(axis=-1) - 1) / np.arange(1, outputs.shape[-1] + 1)
    positive = (falling > thresholds).sum(axis=-1, keepdims=True)  # how many stay above 0
    theta = np.take_along_axis(thresholds, positive - 1, axis=-1)
    return np.maximum(outputs - theta, 0).astype(outputs.dtype)


def load_run(path: str | Path) -> Run:
    """The run in a folder.

    Raises:
        RunError: the folder holds no run.
    """
    return Run(path)


def load_dataset(config: TrainConfig, *, data_dir: str | None = None, offline: bool = False) -> Dataset:
    """The data set that a configuration names, preprocessed as it says."""
    dataset = load(
        config.dataset,
        data_dir=data_dir or config.data_dir,
        offline=offline or config.offline,
        preprocessing=config.preprocessing,
        validation_size=config.validation_size,
    )
    augmentation = Augmentation(config.random_crop, config.horizontal_flip, config.seeds()["data_seed"])
    return dataclasses.replace(dataset, augmentation=augmentation)


def averages(figures: Figures) -> dict[str, float]:
    """Loss and accuracy a sample."""
    samples = figures.samples * len(figures.loss)
    return {"loss": float(figures.loss.sum()) / samples, "accuracy": int(figures.correct.sum()) / samples}

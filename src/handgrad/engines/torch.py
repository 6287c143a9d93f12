"""The PyTorch engine: the same networks, weights, masks and update rules, on CPUs and GPUs.

It is equivalent to `handgrad.engines.numpy`: with the same seeds, both make the same steps up to rounding, and their
checkpoints are interchangeable. On a GPU, the data set is stored in the memory of the device, and nothing is read back
before the end of `train` or `evaluate`.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, distributed
from torch.nn.parallel import DistributedDataParallel

from handgrad import torch as hand
from handgrad._typing import Array, Float, Integer, Num, Shaped
from handgrad.architectures import Architecture
from handgrad.data import Dataset, FrameDataset
from handgrad.engines import (
    MAX_CONFUSION_CLASSES,
    DivergedError,
    EngineSpec,
    Figures,
    LossSpec,
    OptimizerSpec,
    check_dataset,
    engine_state,
)
from handgrad.engines.numpy import EVALUATION_BATCH
from handgrad.engines.numpy import build as build_numpy
from handgrad.engines.processes import Processes, local_rank, reporting_lost_processes
from handgrad.errors import ConfigError
from handgrad.nn.dropout import draw_mask
from handgrad.nn.layer import check_state
from handgrad.torch.losses import mean as weighted_mean
from handgrad.torch.synchronized import synchronized

#: Maximum number of output elements of a layer per evaluation batch: 128 MiB in float32.
EVALUATION_NUMBERS = 2**25

#: The augmentation of the images of a step: rows `(n, H)` and columns `(n, W)` to select from the padded images.
Changes = tuple[Tensor, Tensor]

#: Precision: (dtype of parameters and data, dtype of an autocast region or None).
_PRECISIONS = {
    "float32": (torch.float32, None),
    "float64": (torch.float64, None),
    "bf16": (torch.float32, torch.bfloat16),
    "fp16": (torch.float32, torch.float16),
}


class TorchEngine:
    """Trains an architecture with PyTorch.

    Arguments:
        architecture: the network; it ends in scores (logits).
        optimizer: the update rule.
        spec: precision (`bf16` and `fp16` are mixed: parameters in float32, fp16 with a scaled loss); device (`cpu`,
            `cuda`, `cuda:1` or `mps`); compile: compile the network with `torch.compile`; gradients: `autograd` (the
            default) for PyTorch's modules and gradients, `hand` for those of `handgrad.torch`; threads: on a CPU,
            PyTorch's number of threads (a setting of the whole process), None for no change.
        loss: cross-entropy by default.
        init: initialiser of the weights, as in `nn.parse_initializer`.
        init_seed: seed of the weights, drawn as the NumPy engine draws them.
        noise_seed: seed of the dropout masks. On a CPU they are bit-for-bit those of the NumPy engine; elsewhere they
            come from the generator of the device.
        processes: the processes of distributed training, already connected (`engines.processes.joined`): each processes
            its rows of every batch and its part of every evaluation, and all have the same network.

    Raises:
        ConfigError: the device is not available or does not support the precision, or the network has a layer that
            `handgrad.torch` does not have.
    """

    name = "torch"
    versions: ClassVar = {"torch": torch.__version__}

    def __init__(
        self,
        architecture: Architecture,
        optimizer: OptimizerSpec,
        spec: EngineSpec | None = None,
        loss: LossSpec | None = None,
        *,
        init: str = "kaiming",
        init_seed: int = 0,
        noise_seed: int = 0,
        processes: Processes | None = None,
    ) -> None:
        if not isinstance(init_seed, int):
            raise ConfigError("the torch engine trains one network at a time: stacked models need engine=numpy")
        spec = spec or EngineSpec("torch")
        device, gradients = spec.device or "cpu", spec.gradients or "autograd"
        self.architecture = architecture
        self.processes = processes or Processes()
        if self.processes.count > 1 and device == "cuda":
            device = f"cuda:{local_rank()}"
        self.device = check_device(device)
        self.dtype, self.autocast_dtype = _PRECISIONS[spec.precision]
        if self.device.type == "mps" and spec.precision == "float64":
            raise ConfigError("device=mps cannot compute in float64: use precision=float32 or device=cpu")
        if spec.threads is not None and self.device.type == "cpu":
            torch.set_num_threads(spec.threads)

        #: Whether the loss of each step is checked. This costs nothing on a CPU, but would stall a GPU at every step.
        self.checks_every_step = self.device.type == "cpu" and self.processes.count == 1
        self._shares_rows = self.processes.count > 1
        self._noise = np.random.default_rng(noise_seed)
        self._device_noise = None
        if self.device.type != "cpu":
            self._device_noise = torch.Generator(device=self.device)
            self._device_noise.manual_seed(noise_seed)
        with torch.random.fork_rng(devices=[]):  # torch.nn draws weights from PyTorch's generator; they are not used
            network = hand.build(architecture, gradients, masks=self._mask)
        self.network = network.to(self.device, self.dtype)
        drawn = build_numpy(architecture, init=init, init_rng=init_seed, dtype=_numpy_dtype(self.dtype))
        self.load_state_dict(drawn.state_dict())
        self._forward = self.network
        if self._shares_rows:
            synchronized(self.network)
            ours = [self.device] if self.device.type == "cuda" else None
            with reporting_lost_processes(), warnings.catch_warnings():
                # Running statistics are already equal in all processes, so only gradients are exchanged. (PyTorch 2.13
                # has a new name for this argument, which older versions do not support.)
                warnings.filterwarnings("ignore", message="`broadcast_buffers`", category=FutureWarning)
                self._forward = DistributedDataParallel(self.network, device_ids=ours, broadcast_buffers=False)
        if spec.compile:
            self._forward = torch.compile(self._forward)
        self._alone = self.network if self._shares_rows else self._forward
        self._loss_spec = loss or LossSpec()
        self.loss = _make_loss(self._loss_spec, gradients)

        self._parameters = list(self.network.parameters())
        self.rules = _make_rules(optimizer, dict(self.network.named_parameters()))
        self._betas, self.clip_norm = optimizer.betas, optimizer.clip_norm
        self.steps = 0
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=spec.precision == "fp16")
        self._dataset: _Resident | None = None

    # -- data ---------------------------------------------------------------------------------------------------------

    def load(self, dataset: Dataset) -> None:
        check_dataset(self.architecture, dataset, self._loss_spec)
        resident = _ResidentFrames if isinstance(dataset, FrameDataset) else _Resident
        self._dataset = resident(dataset, self.device, self.dtype)

    def _batch(self, indices: Tensor, changes: Changes | None = None) -> tuple[Tensor, Tensor]:
        """Samples and their labels or standardised targets, with the augmentation of a training step."""
        assert self._dataset is not None  # ensured by _indices
        x, labels = self._dataset.gather(indices, changes)
        return x.reshape(len(indices), *self.architecture.input_shape), labels

    def _indices(self, indices: np.ndarray) -> Tensor:
        if self._dataset is None:
            raise RuntimeError("the engine has no data: call load(dataset) first")
        return torch.from_numpy(np.ascontiguousarray(indices, np.int64)).to(self.device)

    @torch.compiler.disable()  # a compiled graph cannot contain a generator
    def _mask(self, x: Tensor, p: float) -> Tensor:
        if self._shares_rows:  # the rows of the mask that a single process would draw
            whole = x.new_empty(()).expand(self._batch_size, *x.shape[1:])
            return self._full_mask(whole, p)[self.processes.rows(self._batch_size)]
        return self._full_mask(x, p)

    def _full_mask(self, x: Tensor, p: float) -> Tensor:
        if self._device_noise is not None:
            return hand.draw_mask(x, p, self._device_noise)
        return torch.from_numpy(draw_mask(self._noise, p, tuple(x.shape), _numpy_dtype(x.dtype))).to(x.dtype)

    # -- training and evaluation --------------------------------------------------------------------------------------

    def train(self, indices: Integer[Array, "steps batch"], learning_rates: Float[Array, "steps"]) -> Figures:
        steps, batch = indices.shape
        rows = self.processes.rows(batch)
        if batch < self.processes.count:
            raise ConfigError(
                f"batch_size={batch}: expected at least {self.processes.count}, a sample for each of the processes"
            )
        self._batch_size = batch
        on_device = self._indices(indices[:, rows])
        assert self._dataset is not None
        changes = self._dataset.changes(self.steps, steps, batch)
        losses: list[Tensor] = []
        judged: list[Tensor] = []  # the predicted classes, or the sums of the errors of a regression
        weights, weighed = self._dataset.weights, self._shares_of_weights(indices, rows)
        if not self.network.training:
            self.network.train()
        with reporting_lost_processes():
            for step, own in enumerate(on_device.unbind()):
                x, labels = self._batch(own, _rows(changes[step], rows))
                loss, scores = self._forward_pass(x, labels, None if weights is None else weights[own])
                if self.checks_every_step and not math.isfinite(loss.item()):
                    raise self._diverged(step, x, self._figures(on_device, losses, judged, weighed, batch))
                self._update(loss, float(learning_rates[step]), weighed[step])
                losses.append(loss.detach())
                judged.append(self._judged(scores, labels))
                del x, labels, loss, scores  # before the next batch is created, which can then reuse the memory
        figures = self._figures(on_device, losses, judged, weighed, batch)
        if not np.isfinite(figures.loss).all():
            step = int(np.argmin(np.isfinite(figures.loss)))
            done = figures.first(step)
            whole = self._indices(indices[step])
            raise self._diverged(step, self._batch(whole, changes[step])[0], done)
        return figures

    def _shares_of_weights(self, indices: np.ndarray, rows: slice) -> Sequence[float]:
        """For each step, the fraction of the whole batch in this process, by number or by weight."""
        assert self._dataset is not None
        steps, batch = indices.shape
        weights = self._dataset.weights_on_host
        if not self._shares_rows or weights is None:
            return [(rows.stop - rows.start) / batch] * steps
        of_samples = weights[indices].astype(np.float64)
        return (of_samples[:, rows].sum(axis=1) / np.maximum(of_samples.sum(axis=1), 1e-300)).tolist()

    def _forward_pass(self, x: Tensor, labels: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The mean loss of a batch, and its scores."""
        with self._autocast():
            scores = (self._forward if self.network.training else self._alone)(x)
        scores = scores.to(self.dtype)
        return self.loss(scores, labels, weight), scores.detach()

    def _judged(self, scores: Tensor, labels: Tensor) -> Tensor:
        """The predicted classes `(N,)`; for regression, the sums of the squared and absolute errors over the samples
        `(2, T)`, in the units of the targets."""
        assert self._dataset is not None
        if self._dataset.target_scale is None:
            return scores.argmax(dim=-1)
        distance = (scores - labels).double() if self.device.type != "mps" else scores - labels
        distance = distance / self._dataset.target_scale
        return torch.stack([(distance * distance).sum(0), distance.abs().sum(0)])

    def _update(self, loss: Tensor, learning_rate: float, share: float) -> None:
        """Computes the gradients, given the fraction of the batch in this process, and runs one step of the update
        rules."""
        for parameter in self._parameters:  # zero_grad would take 30 microseconds, mostly for the profiler
            parameter.grad = None
        if self._shares_rows:  # processes are averaged, but a weighted sum is needed
            loss = loss * (share * self.processes.count)
        self.scaler.scale(loss).backward()
        if self.clip_norm is not None:
            for rule in self.rules:
                self.scaler.unscale_(rule.optimizer)
            torch.nn.utils.clip_grad_norm_(self._parameters, self.clip_norm)
        for rule in self.rules:
            for group in rule.optimizer.param_groups:
                group["lr"] = learning_rate
            self.scaler.step(rule.optimizer)
        self.scaler.update()
        self.steps += 1

    def _autocast(self):
        if self.autocast_dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.autocast_dtype)

    def _figures(
        self, indices: Tensor, losses: list[Tensor], judged: list[Tensor], shares: Sequence[float], batch: int
    ) -> Figures:
        """The results of the first steps of `indices`, the rows of this process in batches of size `batch`:
        everything that is read back from the device, in two transfers."""
        assert self._dataset is not None
        steps, regression = len(losses), self._dataset.target_scale is not None
        if not steps:
            errors = np.zeros((0, 2, *self.architecture.output_shape)) if regression else None
            return Figures(np.zeros(0), np.zeros(0, np.int64), batch, errors)
        loss = torch.stack(losses).cpu().double()
        loss *= torch.tensor(shares[:steps], dtype=torch.float64) * batch if self._shares_rows else batch
        if regression:
            sums = self._over_all(loss, torch.stack(judged).cpu().double())
            return Figures(sums[0], np.zeros(steps, np.int64), batch, sums[1])
        correct = (torch.stack(judged) == self._dataset.labels[indices[:steps]]).sum(dim=1)
        sums = self._over_all(loss, correct.cpu())
        return Figures(sums[0], sums[1], batch)

    def _over_all(self, *sums: Tensor) -> list[np.ndarray]:
        """The sums over all processes of values in main memory."""
        if self._shares_rows:
            with reporting_lost_processes():
                for tensor in sums:
                    distributed.all_reduce(tensor)
        return [tensor.numpy() for tensor in sums]

    @torch.no_grad()
    def evaluate(self, indices: Integer[Array, "..."]) -> Figures:
        samples = indices.size
        on_device = self._indices(indices.ravel()[self.processes.rows(samples)])
        assert self._dataset is not None
        losses, judged = [], []
        self.network.eval()
        for part in on_device.split(self._evaluation_batch()) if len(on_device) else ():
            x, labels = self._batch(part)
            loss, scores = self._forward_pass(x, labels)
            losses.append(loss * len(part))
            judged.append(self._judged(scores, labels))
        sums = torch.stack(losses).cpu().double().tolist() if losses else []
        total = torch.tensor([sum(sums)], dtype=torch.float64)
        k, nothing = self.architecture.output_shape[0], np.zeros(1, np.int64)
        if self._dataset.target_scale is not None:
            errors = torch.stack(judged).sum(0).cpu().double() if judged else torch.zeros(2, k, dtype=torch.float64)
            loss, errors = self._over_all(total, errors[None])
            return Figures(loss, nothing, samples, errors)
        labels, guesses = self._dataset.labels[on_device], torch.cat(judged) if judged else on_device
        if k > MAX_CONFUSION_CLASSES:
            loss, correct = self._over_all(total, (labels == guesses).sum().cpu().reshape(1))
            return Figures(loss, correct, samples)
        pairs = torch.zeros(k * k, dtype=torch.int64, device=self.device)
        pairs.scatter_add_(0, labels * k + guesses, torch.ones_like(labels))
        loss, confusion = self._over_all(total, pairs.cpu().reshape(k, k))
        return Figures(loss, nothing + np.trace(confusion), samples, confusion=confusion)

    @torch.no_grad()
    def predict(self, inputs: Num[Array, "N ..."]) -> Float[Array, "N K"]:
        self.network.eval()
        x = torch.from_numpy(np.array(inputs, _numpy_dtype(self.dtype)))
        x = x.reshape(len(x), *self.architecture.input_shape)
        parts = []
        for part in x.split(self._evaluation_batch()) if len(x) else ():
            with self._autocast():
                parts.append(self._alone(part.to(self.device)).to(self.dtype).cpu())
        if not parts:
            return np.empty((0, *self.architecture.output_shape), _numpy_dtype(self.dtype))
        return torch.cat(parts).numpy()

    def _evaluation_batch(self) -> int:
        widest = max((math.prod(row.output_shape) for row in self.architecture.rows()), default=1)
        return min(EVALUATION_BATCH, max(16, EVALUATION_NUMBERS // widest))

    def _diverged(self, step: int, x: Tensor, done: Figures) -> DivergedError:
        return DivergedError(step, self._why_not_finite(x), done)

    @torch.no_grad()
    def _why_not_finite(self, x: Tensor) -> str:
        """Runs the batch again and names the first layer with a non-finite output."""
        if not x.isfinite().all():
            return "the data contain values that are not finite: check the input files"
        advice = "the learning rate is most likely too high: try a tenth of it"
        found: list[str] = []

        def before(name: str, kind: str):
            def hook(module, args):
                for parameter_name, parameter in module.named_parameters(recurse=False):
                    if not found and not parameter.isfinite().all():
                        where = f"{name}.{parameter_name} of layer {name} ({kind})"
                        found.append(f"{where} is no longer finite after the last update")

            return hook

        def after(name: str, kind: str):
            def hook(module, args, y):
                if found or y.isfinite().all():
                    return
                weights = [float(parameter.abs().max()) for parameter in module.parameters()]
                sizes = f"inputs up to {float(args[0].abs().max()):.1e}"
                sizes += f", weights up to {max(weights):.1e}" if weights else ""
                found.append(f"layer {name} ({kind}) is the first whose output overflows ({sizes})")

            return hook

        modules = dict(self.network.named_modules())
        with contextlib.ExitStack() as stack:
            for row in self.architecture.rows():
                for handle in (
                    modules[row.name].register_forward_pre_hook(before(row.name, row.kind)),
                    modules[row.name].register_forward_hook(after(row.name, row.kind)),
                ):
                    stack.callback(handle.remove)
            self.network.train()
            shares, self._shares_rows = self._shares_rows, False  # every process runs the whole batch
            with self._autocast():
                scores = self.network(x)
            self._shares_rows = shares
        if not found:
            found.append(f"the scores are finite (up to {float(scores.abs().max()):.1e}) but their loss is not")
        return f"{found[0]}; {advice}"

    # -- state --------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Shaped[Array, "..."]]:
        return {name: _array(tensor) for name, tensor in self.network.state_dict().items()}

    def load_state_dict(self, state: dict[str, Shaped[Array, "..."]]) -> None:
        own = self.network.state_dict()
        check_state({name: tuple(tensor.shape) for name, tensor in own.items()}, state)
        for name, tensor in own.items():
            tensor.copy_(torch.from_numpy(np.array(state[name])))

    def checkpoint(self) -> tuple[dict[str, Shaped[Array, "..."]], dict[str, Any]]:
        arrays = {f"model/{name}": array for name, array in self.state_dict().items()}
        # The NumPy engine has a leading model axis and flat parameters.
        arrays.update((name, _array(tensor).reshape(1, -1)) for name, tensor in self._optimizer_state())
        settings = {"optimizer_steps": self.steps, "noise": self._noise.bit_generator.state}
        if self._device_noise is not None:
            arrays[f"noise/{self.device.type}"] = _array(self._device_noise.get_state())
        if self.scaler.is_enabled():
            settings["loss_scale"] = self.scaler.state_dict()
        return arrays, settings

    def restore(self, arrays: dict[str, Shaped[Array, "..."]], settings: dict[str, Any]) -> None:
        arrays = engine_state("torch", arrays, self._betas)
        self.load_state_dict({n.removeprefix("model/"): a for n, a in arrays.items() if n.startswith("model/")})
        for name, tensor in self._optimizer_state():
            tensor.copy_(torch.from_numpy(np.array(arrays[name])).reshape(tensor.shape))
        self.steps = settings["optimizer_steps"]
        for rule in self.rules:
            for parameter in rule.parameters.values():
                rule.optimizer.state[parameter]["step"].fill_(self.steps)
        self._noise.bit_generator.state = settings["noise"]
        if self._device_noise is not None and f"noise/{self.device.type}" in arrays:
            self._device_noise.set_state(torch.from_numpy(np.array(arrays[f"noise/{self.device.type}"])))
        if self.scaler.is_enabled() and "loss_scale" in settings:
            self.scaler.load_state_dict(settings["loss_scale"])

    def _optimizer_state(self) -> Iterator[tuple[str, Tensor]]:
        """The state of the update rules, as `optimizer/KIND/PARAMETER`."""
        for rule in self.rules:
            for kind, torch_name in rule.kinds.items():
                for name, parameter in rule.parameters.items():
                    yield f"optimizer/{kind}/{name}", rule.optimizer.state[parameter][torch_name]


def check_device(device: str) -> torch.device:
    """The device, if it is available.

    Raises:
        ConfigError: it is not available, or its kind is unknown.
    """
    kind, _, number = device.partition(":")
    there = {
        "cpu": lambda: 1,
        "cuda": torch.cuda.device_count,
        "mps": lambda: int(torch.backends.mps.is_available()),
    }
    if kind not in there or (number and not number.isdecimal()):
        raise ConfigError(f"device={device!r} is unknown, expected one of {', '.join(there)}")
    if int(number or 0) >= there[kind]():
        raise ConfigError(
            f"device={device} is not available: PyTorch {torch.__version__} finds no such device on this machine; "
            "use device=cpu"
        )
    return torch.device(device)


def _rows(changes: Changes | None, rows: slice) -> Changes | None:
    return None if changes is None else (changes[0][rows], changes[1][rows])


class _Resident:
    """A raw data set in the memory of a device; each batch is preprocessed when it is gathered."""

    def __init__(self, dataset: Dataset, device: torch.device, dtype: torch.dtype) -> None:
        self._store(dataset, device)
        self.labels = _shared(dataset.labels).to(device)
        self.weights_on_host = dataset.weights
        self.weights = None if dataset.weights is None else _shared(dataset.weights).to(device, dtype)
        self.target_scale = None
        if dataset.target_scaling is not None:
            shift, self.target_scale = (
                torch.from_numpy(np.array(part)).to(device, dtype)
                for part in (dataset.target_scaling.shift, dataset.target_scaling.scale)
            )
            self.labels = (self.labels.to(dtype) - shift) * self.target_scale
        self.augmentation = dataset.augmentation
        self.dtype = dtype
        shift, scale = dataset.preprocessing.shift, dataset.preprocessing.scale
        self.shift = torch.from_numpy(np.array(shift)).to(device, dtype) if np.any(shift) else None
        self.scale = torch.from_numpy(np.array(scale)).to(device, dtype) if np.any(scale != 1) else None

    def _store(self, dataset: Dataset, device: torch.device) -> None:
        self.inputs = _shared(dataset.inputs).to(device)

    def changes(self, first: int, steps: int, batch: int) -> Sequence[Changes | None]:
        """The augmentation of the steps starting at number `first`, drawn as by the data set and sent to the device
        in one transfer."""
        if not self.augmentation:
            return [None] * steps
        if self.inputs.ndim != 4:
            raise ConfigError(
                f"random_crop and horizontal_flip change images (C, H, W); these samples have "
                f"shape={tuple(self.inputs.shape[1:])}"
            )
        height, width = self.inputs.shape[2:]
        rows = np.empty((steps, batch, height), np.int64)
        columns = np.empty((steps, batch, width), np.int64)
        for step in range(steps):
            top, left, flips = self.augmentation.draw(batch, first + step)
            rows[step] = top[:, None] + np.arange(height)
            columns[step] = left[:, None] + np.where(flips[:, None], np.arange(width)[::-1], np.arange(width))
        device = self.inputs.device
        return list(zip(torch.from_numpy(rows).to(device), torch.from_numpy(columns).to(device), strict=True))

    def gather(self, indices: Tensor, changes: Changes | None = None) -> tuple[Tensor, Tensor]:
        """The preprocessed inputs and the labels at `indices`: (x - shift) * scale, computed in the dtype of the
        engine."""
        x = self._take(indices)
        if changes is not None:
            rows, columns = changes
            border = self.augmentation.random_crop
            padded = torch.nn.functional.pad(x, (border, border, border, border))
            n, c = (torch.arange(size, device=x.device) for size in x.shape[:2])
            x = padded[n[:, None, None, None], c[:, None, None], rows[:, None, :, None], columns[:, None, None, :]]
        x = x.to(self.dtype)
        if self.shift is not None:
            x = x.sub_(self.shift)
        if self.scale is not None:
            x = x.mul_(self.scale)
        return x, self.labels[indices]

    def _take(self, indices: Tensor) -> Tensor:
        return self.inputs[indices]


class _ResidentFrames(_Resident):
    """Frames from which windows are gathered: in the memory of a device, or on a CPU the arrays of the data set."""

    def _store(self, dataset: Dataset, device: torch.device) -> None:
        assert isinstance(dataset, FrameDataset)
        frames = dataset.inputs
        if not _has_own_memory(device):
            self.parts, starts = [_shared(part) for part in frames.parts], frames.starts
        else:
            whole = torch.empty(frames.shape, device=device)
            for part, own in zip(frames.parts, whole.split([len(part) for part in frames.parts]), strict=True):
                own.copy_(_shared(part))
            self.parts, starts = [whole], [0, len(whole)]
        self.bounds = list(itertools.pairwise(map(int, starts)))
        self.offsets = torch.from_numpy(dataset.offsets).to(device)
        self.around = torch.arange(-dataset.context, dataset.context + 1, device=device)

    def _take(self, indices: Tensor) -> Tensor:
        after = torch.searchsorted(self.offsets, indices, right=True)
        first, last = self.offsets[after - 1], self.offsets[after] - 1
        rows = (indices[:, None] + self.around).clamp(first[:, None], last[:, None])
        x = self._frames(rows.flatten())
        return x.reshape(*rows.shape, x.shape[-1])

    def _frames(self, rows: Tensor) -> Tensor:
        if len(self.parts) == 1 or not len(rows):
            return self.parts[0].index_select(0, rows)
        least, most = map(int, rows.aminmax())
        for part, (start, end) in zip(self.parts, self.bounds, strict=True):
            if start <= least and most < end:
                return part.index_select(0, rows - start)
        x = self.parts[0].new_empty((len(rows), self.parts[0].shape[1]))
        for part, (start, end) in zip(self.parts, self.bounds, strict=True):
            here = (start <= rows) & (rows < end)
            x[here] = part[rows[here] - start]
        return x


def _has_own_memory(device: torch.device) -> bool:
    return device.type != "cpu"


def _shared(array: np.ndarray) -> Tensor:
    """A tensor that shares the memory of the array and is only read."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.ascontiguousarray(array))


def _numpy_dtype(dtype: torch.dtype) -> Any:
    return np.float64 if dtype == torch.float64 else np.float32


def _array(tensor: Tensor) -> np.ndarray:
    return np.array(tensor.detach().cpu().numpy(), order="C")


def _make_loss(spec: LossSpec, gradients: str) -> Callable[..., Tensor]:
    by_hand = gradients == "hand"
    options = {
        "cross_entropy": {"label_smoothing": spec.label_smoothing},
        "huber": {"delta": spec.huber_delta},
    }.get(spec.name, {})
    if by_hand:
        makes = {
            **{"cross_entropy": hand.SoftmaxCrossEntropy, "nll": hand.NegativeLogLikelihood},
            **{"mse": hand.MeanSquaredError, "l1": hand.MeanAbsoluteError, "huber": hand.Huber},
        }
        return makes[spec.name](**options)
    functions = torch.nn.functional
    distances = {"mse": functions.mse_loss, "l1": functions.l1_loss, "huber": functions.huber_loss}
    classes = {"cross_entropy": functions.cross_entropy, "nll": functions.nll_loss}

    def loss(outputs: Tensor, labels: Tensor, weight: Tensor | None = None) -> Tensor:
        if spec.name in distances and labels.ndim == 1:
            labels = functions.one_hot(labels, outputs.shape[1]).to(outputs.dtype)
        of_batch = classes.get(spec.name) or distances[spec.name]
        if weight is None:
            return of_batch(outputs, labels, **options)
        of_samples = of_batch(outputs, labels, reduction="none", **options)
        return weighted_mean(of_samples.reshape(len(outputs), -1).mean(-1), weight)

    return loss


# -- update rules -----------------------------------------------------------------------------------------------------


@dataclass
class _Rule:
    """An optimiser, the parameters that it updates, by name, and its state as {name in a checkpoint, that of the
    NumPy engine if the state is the same: PyTorch's name}."""

    optimizer: torch.optim.Optimizer
    parameters: dict[str, torch.nn.Parameter]
    kinds: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # PyTorch creates the state in the first step; here it is created at once, for checkpoint and restore
        fused = self.optimizer.defaults.get("fused")
        for parameter in self.parameters.values():
            state = {"step": torch.zeros((), device=parameter.device if fused else "cpu")}
            state.update((name, torch.zeros_like(parameter)) for name in self.kinds.values())
            self.optimizer.state[parameter] = state


_ADAM = {"exp_avg": "exp_avg", "exp_avg_sq": "exp_avg_sq"}


def _make_rules(spec: OptimizerSpec, named: dict[str, torch.nn.Parameter]) -> list[_Rule]:
    decay, momentum = spec.weight_decay, spec.momentum or 0.0
    buffer = {"momentum": "momentum_buffer"} if momentum else {}
    device = next(iter(named.values())).device.type if named else "cpu"
    fast: dict[str, Any] = {"fused": True} if device in ("cpu", "cuda") else {"foreach": True}

    def rule(make: Callable[..., torch.optim.Optimizer], parameters, kinds, **options) -> _Rule:
        return _Rule(make(list(parameters.values()), 0.0, weight_decay=decay, **options), parameters, kinds)

    if spec.name == "sgd":
        return [rule(torch.optim.SGD, named, buffer, momentum=momentum, nesterov=spec.nesterov, **fast)]
    if spec.name == "adam":
        return [rule(torch.optim.Adam, named, _ADAM, betas=spec.betas, **fast)]
    if spec.name == "adamw":
        return [rule(torch.optim.AdamW, named, _ADAM, betas=spec.betas, **fast)]
    if spec.name == "rmsprop":
        kinds = {"square_avg": "square_avg", **buffer}
        return [rule(torch.optim.RMSprop, named, kinds, momentum=momentum, foreach=True)]
    if spec.name == "adadelta":
        kinds = {"square_avg": "square_avg", "acc_delta": "acc_delta"}
        return [rule(torch.optim.Adadelta, named, kinds, foreach=True)]
    assert spec.name == "muon", spec.name
    matrices = [name for name, parameter in named.items() if parameter.ndim > 1]
    hidden = {name: named[name] for name in matrices[1:-1]}
    rest = {name: parameter for name, parameter in named.items() if name not in hidden}
    muon_momentum = 0.95 if spec.momentum is None else spec.momentum
    rules = [rule(Muon, hidden, {"momentum": "momentum_buffer"}, momentum=muon_momentum)] if hidden else []
    return [*rules, rule(torch.optim.AdamW, rest, _ADAM, betas=spec.betas, **fast)]


class Muon(torch.optim.Optimizer):
    """`nn.Muon` with Nesterov's momentum and `adjust="match_rms_adamw"`, in PyTorch.

    PyTorch's Muon rounds the Newton-Schulz steps to bfloat16; this one computes in the dtype of the parameters, like
    the NumPy version.
    """

    def __init__(self, params, lr: float, *, momentum: float, weight_decay: float) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None) -> None:
        for group in self.param_groups:
            rate, momentum = group["lr"], group["momentum"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                b = self.state[parameter]["momentum_buffer"].mul_(momentum).add_(parameter.grad)
                d = (parameter.grad + momentum * b).flatten(1)
                if group["weight_decay"]:
                    parameter.mul_(1 - rate * group["weight_decay"])
                scale = 0.2 * math.sqrt(max(d.shape))
                parameter.sub_((rate * scale * _orthogonalized(d)).reshape(parameter.shape))


def _orthogonalized(d: Tensor) -> Tensor:
    """`d` with its singular values moved close to 1, as in `nn.Muon`."""
    a, b, c = 3.4445, -4.7750, 2.0315
    wide = d.shape[0] <= d.shape[1]
    x = d if wide else d.T
    x = x / (x * x).sum().sqrt().clamp(min=1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x if wide else x.T

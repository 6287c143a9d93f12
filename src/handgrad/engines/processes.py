"""Distributed training with several processes started by `torchrun`.

Each process makes the same steps on its own rows of every batch. The first one reads, writes and reports.
"""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Callable, Iterator
from typing import TypeVar

from handgrad.errors import ConfigError, HandgradError, RunError

T = TypeVar("T")


class Processes:
    """The processes of a run; a single one by default.

    Attributes:
        rank: number of this process, from 0.
        count: number of processes.
    """

    def __init__(self, rank: int = 0, count: int = 1) -> None:
        self.rank, self.count = rank, count

    def first(self, function: Callable[[], T]) -> T:
        """Calls the function only in the first process and returns its result in all. If it fails, the first process
        reports the error and the others exit silently (`SystemExit`)."""
        if self.count == 1:
            return function()
        import torch.distributed as distributed

        error, answer = None, [None, None]
        if self.rank == 0:
            try:
                answer = [function(), None]
            except HandgradError as failed:
                error, answer = failed, [None, getattr(failed, "exit_code", 2)]
        with reporting_lost_processes():
            distributed.broadcast_object_list(answer, src=0)
        value, exit_code = answer
        if error is not None:
            raise error
        if exit_code is not None:
            raise SystemExit(exit_code)
        return value  # pyright: ignore[reportReturnType]

    def largest(self, *values: float) -> list[float]:
        """The elementwise maximum over all processes."""
        if self.count == 1:
            return list(values)
        import torch

        tensor = torch.tensor(values, dtype=torch.float64)
        with reporting_lost_processes():
            torch.distributed.all_reduce(tensor, torch.distributed.ReduceOp.MAX)
        return tensor.tolist()

    def rows(self, n: int) -> slice:
        """The rows of this process out of n: without overlap and as even as possible."""
        return slice(self.rank * n // self.count, (self.rank + 1) * n // self.count)


def here() -> Processes:
    """The processes of this run, from the environment variables of `torchrun`."""
    if not {"RANK", "WORLD_SIZE", "MASTER_ADDR"} <= os.environ.keys():
        return Processes()
    return Processes(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))


@contextlib.contextmanager
def joined(engine: str) -> Iterator[Processes]:
    """Connects to the other processes, if there are any, and disconnects at the end.

    Arguments:
        engine: the engine; only `torch` supports several processes.

    Raises:
        ConfigError: a different engine, or PyTorch is not installed.
    """
    processes = here()
    if processes.count == 1:
        yield processes
        return
    if engine != "torch":
        raise ConfigError(
            f"engine={engine} trains in one process, and torchrun started {processes.count}: use --engine torch"
        )
    try:
        import torch
    except ModuleNotFoundError:
        raise ConfigError(
            'engine=torch requires PyTorch, which is not installed: pip install "handgrad[torch]"'
        ) from None
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank() % torch.cuda.device_count())
    # torchrun uses one store for all attempts. A restarted worker could find the address of a dead one in it and wait
    # for it, so every attempt uses its own names.
    store, _, _ = next(torch.distributed.rendezvous("env://"))  # pyright: ignore[reportPrivateImportUsage]
    prefix = f"handgrad, attempt {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')} of {processes.count}"
    store = torch.distributed.PrefixStore(prefix, store)  # pyright: ignore[reportPrivateImportUsage]
    torch.distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
        store=store,
        rank=processes.rank,
        world_size=processes.count,
    )
    try:
        yield processes
        gc.collect()  # networks that took part hold references to the connection and its threads in cycles
    finally:
        torch.distributed.destroy_process_group()


def local_rank() -> int:
    """Number of this process on its machine, which selects the GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


@contextlib.contextmanager
def reporting_lost_processes() -> Iterator[None]:
    """Reports on one line that another process is gone, instead of PyTorch's long message.

    Raises:
        RunError: a collective operation failed.
    """
    try:
        yield
    except RuntimeError as error:
        import torch

        text = str(error)
        if not isinstance(error, torch.distributed.DistError) and not any(
            word in text.lower() for word in ("gloo", "nccl", "connection closed", "connection reset")
        ):
            raise
        raise RunError(
            f"another process of this run ended or cannot be reached: {text.strip().splitlines()[0][:200]}. "
            "Resume from the last checkpoint with --resume"
        ) from None

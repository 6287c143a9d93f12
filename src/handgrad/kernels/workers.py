"""Threads that share the work of one kernel: NumPy releases the GIL inside its loops and matrix products."""

from __future__ import annotations

import contextvars
import functools
import itertools
import operator
import queue
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import TypeVar

Part = TypeVar("Part")


class Workers:
    """A fixed number of threads, including the caller's, that an engine lends to its kernels.

    With more than one thread, limit BLAS to one thread: two thread pools in one process disturb each other. Threads
    without work sleep; waking one takes 25 to 45 µs. They end with the object.

    Arguments:
        threads: number of threads, at least 1; with 1, all work is done in the caller's thread.

    Raises:
        ValueError: fewer than 1.
    """

    def __init__(self, threads: int = 1) -> None:
        if threads < 1:
            raise ValueError(f"Workers got threads={threads}, expected at least 1")
        self.threads = threads
        self._jobs: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        for _ in range(threads - 1):
            threading.Thread(target=_serve, args=(self._jobs, self._outcomes), name="handgrad", daemon=True).start()
        weakref.finalize(self, _stop, self._jobs, threads - 1)

    def run(self, function: Callable[[Part], object], parts: Iterable[Part]) -> None:
        """Calls `function` for each part, in the next free thread; returns when all are done.

        The parts must not depend on each other or on the thread.
        """
        parts = parts if isinstance(parts, list) else list(parts)
        helpers = min(self.threads, len(parts)) - 1
        if helpers < 1:
            for part in parts:
                function(part)
            return
        number = itertools.count()  # its next() is atomic, so no two threads get the same part

        def work() -> None:
            while (i := next(number)) < len(parts):
                function(parts[i])

        for _ in range(helpers):  # each with a copy of the context, which contains numpy.errstate
            self._jobs.put(functools.partial(contextvars.copy_context().run, work))
        try:
            work()
        finally:  # wait, so that no thread writes to work arrays any more
            errors = [error for _ in range(helpers) if (error := self._outcomes.get()) is not None]
        if errors:
            raise errors[0]

    def together(self, jobs: list[Callable[[], object]]) -> Callable[[], object]:
        """A function that runs all jobs, which are functions without arguments."""
        return jobs[0] if len(jobs) == 1 else functools.partial(self.run, operator.call, jobs)

    def split(self, n: int, least: int = 1) -> list[slice]:
        """`range(n)` divided into nearly equal slices, one per thread, or fewer if a slice would be shorter than
        `least`."""
        if self.threads == 1 or n < 2 * least:
            return [slice(0, n)]
        count = max(1, min(self.threads, n // max(least, 1)))
        edges = [n * i // count for i in range(count + 1)]
        return [slice(*edge) for edge in itertools.pairwise(edges)]


def _serve(jobs: queue.SimpleQueue, outcomes: queue.SimpleQueue) -> None:
    """The main loop of a thread. It must not reference the `Workers` object, which would then never be released."""
    while (job := jobs.get()) is not None:
        try:
            job()
            outcomes.put(None)
        except BaseException as error:  # raised by the caller
            outcomes.put(error)
        del job


def _stop(jobs: queue.SimpleQueue, threads: int) -> None:
    for _ in range(threads):
        jobs.put(None)


#: One thread.
SERIAL = Workers(1)

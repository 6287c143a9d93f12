"""A pool of aligner processes: if one crashes, its utterance is reported and a new process replaces it."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from handgrad._typing import Array, Float, Integer
from handgrad.speech.corpus import Utterance
from handgrad.speech.features import FEATURES

#: Timeout for aligners: alignment takes about a twentieth of the length of a recording.
_SECONDS_TO_ANSWER = 300.0
#: The command of a process; -P: do not import modules from the current folder.
COMMAND = [sys.executable, "-P", "-m", "handgrad.speech.worker"]
#: There is one process per core.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True, eq=False)
class Aligned:
    """The outcome of an utterance.

    Arguments:
        utterance: the utterance.
        error: the reason of a failure; empty on success.
        score: score of its alignment.
        notes: remarks.
        features: (T, 40) float32.
        labels: (T,) uint8.
    """

    utterance: Utterance
    error: str = ""
    score: float = 0.0
    notes: tuple[str, ...] = ()
    features: Float[Array, "T F"] | None = None
    labels: Integer[Array, "T"] | None = None


def align_all(
    utterances: Iterable[Utterance],
    processes: int,
    lexicon: Mapping[str, Sequence[str]],
    *,
    spell: bool = True,
    seconds_to_answer: float = _SECONDS_TO_ANSWER,
) -> Iterator[Aligned]:
    """Aligns utterances in this number of processes and yields each when it is done, in any order.

    If a process crashes or hangs, only its current utterance is lost.
    """
    settings = {"lexicon": {word: list(phones) for word, phones in lexicon.items()}, "spell": spell}
    todo = iter(utterances)
    lock = threading.Lock()
    # One thread per process. Results are consumed before new work starts, so that they do not accumulate in memory.
    done: queue.Queue[Aligned | None] = queue.Queue(2 * processes)
    workers = [_Worker(settings, seconds_to_answer) for _ in range(processes)]
    stop = threading.Event()

    def serve(worker: _Worker) -> None:
        with worker:
            while not stop.is_set():
                with lock:
                    utterance = next(todo, None)
                if utterance is None:
                    break
                result = worker.align(utterance)
                while not stop.is_set():
                    with contextlib.suppress(queue.Full):
                        done.put(result, timeout=0.1)
                        break
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                done.put(None, timeout=0.1)
                break

    threads = [threading.Thread(target=serve, args=(worker,), daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        running = len(threads)
        while running:
            result = done.get()
            if result is None:
                running -= 1
            else:
                yield result
    finally:
        stop.set()
        for worker in workers:
            worker.kill()
        for thread in threads:
            thread.join()


class _Worker:
    def __init__(self, settings: dict, seconds_to_answer: float) -> None:
        self.settings = settings
        self.seconds_to_answer = seconds_to_answer
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *_) -> None:
        self.kill()
        process = self.process
        if process is not None:
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
            self.process = None

    def kill(self) -> None:
        process = self.process
        if process is not None:
            process.kill()

    def align(self, utterance: Utterance) -> Aligned:
        hung = threading.Event()

        def give_up() -> None:
            hung.set()
            self.kill()

        timer = threading.Timer(self.seconds_to_answer, give_up)
        timer.daemon = True
        timer.start()
        try:
            return self._ask(utterance)
        except (OSError, ValueError, EOFError):
            process = self.process
            self.__exit__()
            if hung.is_set():
                return Aligned(utterance, f"the aligner did not answer within {self.seconds_to_answer:.0f} s")
            return Aligned(utterance, f"the aligner crashed on it ({_ending(process)})")
        finally:
            timer.cancel()

    def _ask(self, utterance: Utterance) -> Aligned:
        if self.process is None:
            environment = {**os.environ, **_ONE_THREAD}
            self.process = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
            self._send(self.settings)
        self._send(
            {
                "path": str(utterance.path),
                "start": utterance.start,
                "end": utterance.end,
                "text": utterance.text,
            }
        )
        answer = json.loads(self._read_line())
        if "error" in answer:
            return Aligned(utterance, answer["error"])
        frames = answer["frames"]
        features = np.frombuffer(self._read(frames * FEATURES * 4), "<f4").reshape(frames, FEATURES)
        labels = np.frombuffer(self._read(frames), np.uint8)
        return Aligned(utterance, "", answer["score"], tuple(answer["notes"]), features, labels)

    def _send(self, message: dict) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def _read_line(self) -> bytes:
        assert self.process is not None
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        return line

    def _read(self, count: int) -> bytes:
        assert self.process is not None
        assert self.process.stdout is not None
        content = self.process.stdout.read(count)
        if len(content) < count:
            raise EOFError
        return content


def _ending(process: subprocess.Popen[bytes] | None) -> str:
    code = process.returncode if process is not None else None
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
    return f"exit code {code}"

"""What a contract is: the names by which it is recognised, the probes to run, and the judgement of the results."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from handgrad.checking.contracts.source import Source
from handgrad.checking.probe import Observation, Probe
from handgrad.checking.results import Part
from handgrad.checking.sandbox import Limits


class Contract:
    """One course's interface, as found in one hand-in.

    A contract reads the hand-in as text only. `probes` says what to run on it in the sandbox; `judge` compares
    the results with its references.
    """

    #: Its name in the report, such as `cmu-2019`.
    name: str
    title: str
    #: The handout's points by group of parts; empty if the handout gives none.
    points: ClassVar[Mapping[str, float]] = {}

    #: Seed of all inputs; `check` sets a different one for each hand-in.
    seed: int = 0

    def __init__(self, source: Source) -> None:
        self.source = source

    def generator(self, *key: int | str) -> np.random.Generator:
        """The generator with that name: the same in each call, and different for each name."""
        words = [zlib.crc32(each.encode()) if isinstance(each, str) else each for each in key]
        return np.random.default_rng([self.seed, zlib.crc32(self.name.encode()), *words])

    @classmethod
    def recognise(cls, source: Source) -> Contract | None:
        """This contract on that hand-in if it contains the names of the contract; otherwise None."""
        raise NotImplementedError

    @property
    def paths(self) -> tuple[str, ...]:
        """Folders, relative to the hand-in, to put at the beginning of `sys.path`, in this order."""
        return (".",)

    @property
    def torch(self) -> bool:
        """Whether anything requires PyTorch; the probes say which."""
        return False

    def prepare(self, limits: Limits, means: Sequence[str]) -> None:
        """Prepares what must be known before the probes run; `seed` is set."""

    def make_trials(self) -> dict[str, Any]:
        """The trials to run, as lists by what they are used for."""
        raise NotImplementedError

    def trials(self) -> dict[str, Any]:
        """The trials, created once, so that probes and judgement use the same draws."""
        if not hasattr(self, "_trials"):
            self._trials = self.make_trials()
        return self._trials

    def probes(self) -> list[Probe]:
        return [each.probe for group in self.trials().values() for each in group]

    def judge(self, observations: Mapping[str, Observation]) -> list[Part]:
        """The verdict on each part. A probe that was not run may be missing in `observations`."""
        raise NotImplementedError

"""What a contract is: a set of names that it is recognised by, probes that are run, and a judgement of what came
back."""

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

    A contract reads the hand-in as text only. `probes` says what is to be run on it in the sandbox; `judge` compares
    what came back with references of its own.
    """

    #: What the report calls it, such as `cmu-2019`.
    name: str
    title: str
    #: The handout's points by group of parts; empty where the handout gives none.
    points: ClassVar[Mapping[str, float]] = {}

    #: What all inputs are drawn from; `check` sets one of its own for each hand-in.
    seed: int = 0

    def __init__(self, source: Source) -> None:
        self.source = source

    def generator(self, *key: int | str) -> np.random.Generator:
        """A generator for what has that name: the same at each call, and unlike that of any other name."""
        words = [zlib.crc32(each.encode()) if isinstance(each, str) else each for each in key]
        return np.random.default_rng([self.seed, zlib.crc32(self.name.encode()), *words])

    @classmethod
    def recognise(cls, source: Source) -> Contract | None:
        """This contract on that hand-in, if the names in it are the contract's; else None."""
        raise NotImplementedError

    @property
    def paths(self) -> tuple[str, ...]:
        """Folders of the hand-in, relative to it, that are to be put in front of `sys.path`, the first in front."""
        return (".",)

    @property
    def torch(self) -> bool:
        """Something of it needs PyTorch; its probes say which."""
        return False

    def prepare(self, limits: Limits, means: Sequence[str]) -> None:
        """What is to be known before the probes are run; `seed` is set."""

    def make_trials(self) -> dict[str, Any]:
        """What is run, as lists of trials by what is judged by them."""
        raise NotImplementedError

    def trials(self) -> dict[str, Any]:
        """The trials, built once, so that probes and judgement are of the same draws."""
        if not hasattr(self, "_trials"):
            self._trials = self.make_trials()
        return self._trials

    def probes(self) -> list[Probe]:
        return [each.probe for group in self.trials().values() for each in group]

    def judge(self, observations: Mapping[str, Observation]) -> list[Part]:
        """The verdict on each part. A probe that was not run may be missing in `observations`."""
        raise NotImplementedError

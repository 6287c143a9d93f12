"""Hand-ins of our own, broken on purpose: each mutation replaces a piece of text and names the bug that it makes.

They are run in this process by the worker's own interpreter of probes, because they are ours and there are
thousands; the sandbox has tests of its own.
"""

from __future__ import annotations

import importlib
import itertools
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from handgrad.checking import worker
from handgrad.checking.contracts import Contract, Source, recognise
from handgrad.checking.probe import Caught, Failure, Observation, Probe, Value
from handgrad.checking.results import Part

HANDINS = Path(__file__).parent / "handins"


class _Outbox:
    def send(self, *_, **__) -> None:
        """Nothing is sent anywhere."""


def observe(probes: Sequence[Probe], folder: Path, paths: Sequence[str], torch=None) -> dict[str, Observation]:
    """What the worker would send back, without a process of its own."""
    before, known = list(sys.path), set(sys.modules)
    sys.path[:0] = [str((folder / path).resolve()) for path in paths]
    cwd = Path.cwd()
    os.chdir(folder)
    importlib.invalidate_caches()
    found = {}
    try:
        for probe in probes:
            plan = {"name": probe.name, "operations": probe.operations, "seconds": 10}
            script = worker.Script(plan, dict(probe.arrays), np, torch, str(folder.resolve()), _Outbox())
            result = script.run()
            arrays = script.describe.arrays
            found[probe.name] = Observation(
                probe.name,
                {name: _value(data, arrays) for name, data in result["values"]},
                result["changed"],
                None if result["failure"] is None else Failure(**result["failure"]),
                tuple(Caught(**each) for each in result["warnings"]),
            )
    finally:
        os.chdir(cwd)
        sys.path[:] = before
        for name in [name for name in set(sys.modules) - known if _lies_in(sys.modules[name], folder.resolve())]:
            del sys.modules[name]
    return found


def _lies_in(module, folder: Path) -> bool:
    """Whether a module, or a package without an __init__.py, which has no file, comes from that folder."""
    places = [getattr(module, "__file__", None) or "", *getattr(module, "__path__", ())]
    return any(place.startswith(str(folder)) for place in places)


def _value(data: dict, arrays: list) -> Value:
    position = data.get("array")
    items = {key: _value(item, arrays) for key, item in data.get("items", ())}
    failure = data.get("failure")
    return Value(
        data["kind"],
        data.get("type", ""),
        None if position is None else arrays[position],
        items,
        data.get("length"),
        data.get("text", ""),
        None if failure is None else Failure(**failure),
        data.get("requires_grad", False),
    )


def judge(folder: Path, contract: Contract | None = None, torch=None, seed: int = 0) -> list[Part]:
    """The verdicts on a hand-in that can be trusted not to harm anybody."""
    contracts = [contract] if contract is not None else recognise(Source.read(folder))
    parts = []
    for each in contracts:
        each.seed = seed
        parts += each.judge(observe(each.probes(), folder, each.paths, torch))
    return parts


@dataclass(frozen=True)
class Mutation:
    """A replacement of text in one file, and the bug that it makes: any of these ids names it."""

    ids: tuple[str, ...]
    file: str
    old: str
    new: str
    parts: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.file}: {self.old.strip()!r} -> {self.new.strip()!r}"


def mutate(files: dict[str, str], mutations: Iterable[Mutation]) -> dict[str, str] | None:
    """The changed files; None where two mutations touch the same text."""
    changed = dict(files)
    for each in mutations:
        text = changed[each.file]
        if text.count(each.old) != 1:
            return None
        changed[each.file] = text.replace(each.old, each.new)
    return changed


def read(name: str) -> dict[str, str]:
    """The files of one of our hand-ins."""
    root = HANDINS / name
    return {path.relative_to(root).as_posix(): path.read_text() for path in sorted(root.rglob("*.py"))}


def run(files: dict[str, str], torch=None, seed: int = 0) -> list[Part]:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return judge(Path(folder), torch=torch, seed=seed)


def pairs(mutations: Sequence[Mutation]) -> Iterator[tuple[Mutation, Mutation]]:
    """Pairs that do not touch the same text."""
    for first, second in itertools.combinations(mutations, 2):
        overlap = first.old in second.old or second.old in first.old
        if first.file != second.file or not overlap:
            yield first, second

"""The programs in `course_programs`: what is expected of each, and how a report compares with it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.checking import mutation

from handgrad.checking import check
from handgrad.checking.results import Part

FOLDER = Path(__file__).parent / "course_programs"

#: Expectations that turned out to be wrong, and why; the frozen files are as they were.
CORRECTED: dict[str, tuple[str, str]] = {
    "cs231n/w22": (
        "right",
        "until 2017 the course's p was the share that is dropped: either is right if it is kept to",
    ),
    "cmu-2022/w20": (
        "MSELoss.backward",
        "loss and gradient do not belong together; which of the two is wrong cannot be said, for editions differ",
    ),
}


@dataclass(frozen=True)
class Program:
    """One program and what was expected of it before it ran, but for `CORRECTED`."""

    name: str
    right: bool
    parts: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    what: str = ""

    @property
    def course(self) -> str:
        return self.name.split("/")[0]

    @property
    def folder(self) -> Path:
        return FOLDER / self.name / "handin"

    @property
    def torch(self) -> bool:
        """Whether it needs PyTorch."""
        return any("import torch" in path.read_text() for path in self.folder.rglob("*.py"))

    @property
    def sandboxed(self) -> bool:
        """Whether it runs in the sandbox only: PyTorch's imports give warnings, which are errors here, and generators
        without a seed are seeded there."""
        return self.torch or any("default_rng()" in path.read_text() for path in self.folder.rglob("*.py"))

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Outcome:
    """A report beside what was expected."""

    detected: bool
    named: bool
    others: dict[str, tuple[str, ...]]
    """Parts called wrong that should not be."""
    unjudged: tuple[str, ...]


def programs() -> list[Program]:
    found = []
    for path in sorted(FOLDER.glob("*/*/expect.toml")):
        name = path.parent.relative_to(FOLDER).as_posix()
        read = tomllib.loads(path.read_text())
        right, parts = read["right"], tuple(read.get("parts", ()))
        if name in CORRECTED:
            right, parts = CORRECTED[name][0] == "right", (CORRECTED[name][0],)
        ids = tuple(id for id in read.get("ids", ()) if id != "unexplained")
        found.append(Program(name, right, () if right else parts, () if right else ids, read.get("what", "")))
    return found


def judged(program: Program, seed: int = 0) -> list[Part]:
    """The verdicts, in this process if that is enough, because the programs are ours."""
    if program.sandboxed:
        return list(check(program.folder, seed=seed).parts)
    return mutation.judge(program.folder, seed=seed)


def compare(program: Program, parts: Iterable[Part]) -> Outcome:
    """A loss's gradient, `NAME, gradient`, belongs to the function NAME."""
    parts = list(parts)
    wrong = {part.part: tuple(bug.id for bug in part.bugs) for part in parts if part.verdict == "wrong"}
    guilty = {name: ids for name, ids in wrong.items() if name.removesuffix(", gradient") in program.parts}
    named = any(set(ids) & set(program.ids) for ids in guilty.values())
    unjudged = tuple(part.part for part in parts if part.verdict == "cannot judge")
    return Outcome(bool(guilty), named, {k: v for k, v in wrong.items() if k not in guilty}, unjudged)

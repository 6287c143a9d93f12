"""`handgrad check --new-contract layer.py`: writes a course file from one correct solution, after checking the
solution against it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from handgrad.checking.checker import WrongReference, check, verify
from handgrad.checking.contracts import CourseFile
from handgrad.checking.contracts.new_contract import describe, written_course
from handgrad.checking.sandbox import Limits
from handgrad.errors import ConfigError

#: Sizes for parts that do not work with a single sample, such as a normalisation over the batch.
SEVERAL = {"N": [6, 5, 4, 3]}
#: Findings that do not name a specific bug.
UNNAMED = {"unexplained", "checker-failed", "wrong-shape"}


def new_course(path: str | Path, out: str | Path, limits: Limits | None = None) -> tuple[list[str], dict[str, str]]:
    """Writes the course file of a correct solution.

    Arguments:
        path: the solution, a file or a folder.
        out: path of the course file, which must not exist.
        limits: limits on the time and memory of the solution.

    Returns: the names of the described parts; the omitted parts and gradients, with reasons.

    Raises: ConfigError if the solution cannot be read, has no part, or has a bug that the checker finds. Nothing is
    written in these cases.
    """
    out = Path(out)
    if out.exists():
        raise ConfigError(f"{out} exists already: choose another --out, or remove it")
    if not out.parent.is_dir():
        raise ConfigError(f"out={out}: there is no folder {out.parent}; create it first")
    found = describe(path, limits)
    entries: list[dict[str, Any]] = []
    for one in found:
        entries += [{**entry, "points": 1} for entry in (one.entry, one.evaluated) if entry is not None]
    if not entries:
        why = "; ".join(f"{one.name}: {one.why}" for one in found[:3])
        raise ConfigError(
            f"new-contract={path}: no suitable inputs were found ({why}); "
            "describe the parts by hand, see docs/own-contract.md"
        )
    relative = Path(os.path.relpath(path, out.parent)).as_posix()
    with tempfile.TemporaryDirectory(prefix="handgrad-course-") as folder:
        draft = Path(folder) / out.name
        while True:
            draft.write_text(written_course(entries, str(Path(path).absolute()), out.name), "utf-8")
            course = CourseFile.read(draft)
            try:
                verify(course, limits or Limits())
                break
            except WrongReference as error:
                wrong = next((k for k, part in enumerate(course.parts) if error.part in part.names), None)
                if wrong is None or "sizes" in entries[wrong]:
                    text = _named_bug(path, error.part, limits) or str(error).partition("the reference ")[2]
                    raise ConfigError(f"new-contract={path}: {text}; a contract requires a correct solution") from None
                entries[wrong] = {**entries[wrong], "sizes": SEVERAL}
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(written_course(entries, relative, out.name), "utf-8")
        temporary.replace(out)
    except OSError as error:
        raise ConfigError(f"{out} cannot be written: {error.strerror or error}; choose another place") from None
    named = [one.name for one in found if one.entry is not None]
    left_out = {one.name: one.why for one in found if one.entry is None}
    for one in found:
        why = "no array that backward returns or stores in the layer has its shape and matches its gradient"
        left_out |= {f"the gradient of {name} in {one.name}": why for name in one.missing}
    return named, left_out


def _named_bug(path: str | Path, part: str, limits: Limits | None) -> str:
    """The bug that a check without a course file finds in a part, as it knows more layers. Empty if it finds none, or
    cannot name it either."""
    report = check(path, limits=limits)
    for one in report.parts:
        bugs = [bug for bug in one.bugs if bug.id not in UNNAMED]
        if one.part == part and one.verdict == "wrong" and bugs:
            return f"{Path(path).name} is wrong at {part}: {bugs[0].title}: {bugs[0].evidence}"
    return ""

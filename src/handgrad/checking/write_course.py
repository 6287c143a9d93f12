"""`handgrad check --new-contract layer.py`: a course file from one right solution, held to it before it is written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from handgrad.checking.checker import WrongReference, verify
from handgrad.checking.contracts import CourseFile
from handgrad.checking.contracts.new_contract import describe, written_course
from handgrad.checking.sandbox import Limits
from handgrad.errors import ConfigError

#: Where a single sample is none, as with a normalisation over the batch.
SEVERAL = {"N": [6, 5, 4, 3]}


def new_course(path: str | Path, out: str | Path, limits: Limits | None = None) -> tuple[list[str], dict[str, str]]:
    """Writes the course file of a right solution.

    Arguments:
        path: the solution, a file or a folder.
        out: where the course file goes; nothing may be there.
        limits: on the solution's time and memory.

    Returns: the names of the parts that it describes; what it leaves out, a part or the gradient of an argument, with
    why.

    Raises: ConfigError where the solution cannot be read, has no part, or the checker finds a bug in it; then
    nothing is written.
    """
    out = Path(out)
    if out.exists():
        raise ConfigError(f"{out} is there already: name another file with --out, or remove it")
    if not out.parent.is_dir():
        raise ConfigError(f"out={out}: there is no folder {out.parent}; make it first")
    found = describe(path, limits)
    entries: list[dict[str, Any]] = []
    for one in found:
        entries += [{**entry, "points": 1} for entry in (one.entry, one.evaluated) if entry is not None]
    if not entries:
        why = "; ".join(f"{one.name}: {one.why}" for one in found[:3])
        raise ConfigError(f"new-contract={path}: no inputs were found that it takes ({why})")
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
                    text = str(error).partition("the reference ")[2]
                    raise ConfigError(f"new-contract={path}: {text}; a contract needs a right solution") from None
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
        why = "nothing that backward returns or leaves in the layer has its shape and is its gradient"
        left_out |= {f"the gradient of {name} in {one.name}": why for name in one.lacking}
    return named, left_out

"""The bugs that the checker names, from `bugs.toml`: an id, words a student understands, and two hints.

The nudge says where to look and what to ask oneself; the full hint says what to change.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True)
class Bug:
    """One entry.

    Arguments:
        id: what it is counted by, the same from version to version.
        title: what a student reads first.
        fingerprint: what gives it away.
        nudge, full: the two hints.
        step: the derivation and its step (`handgrad derive NAME`) that goes wrong, where there is one.
    """

    id: str
    title: str
    fingerprint: str
    nudge: str
    full: str
    step: Sequence[str] = ()


def _read() -> dict[str, tuple[Bug, ...]]:
    text = (resources.files("handgrad.checking") / "bugs.toml").read_text(encoding="utf-8")
    return {
        section: tuple(Bug(id, **entry) for id, entry in entries.items())
        for section, entries in tomllib.loads(text).items()
    }


#: Sections of the documented list, in its order.
SECTIONS = _read()
BUGS: dict[str, Bug] = {bug.id: bug for bugs in SECTIONS.values() for bug in bugs}


def step_of(id: str) -> str:
    """The derivation's step that a bug goes wrong in: `handgrad derive batchnorm, step 9: gradient of the mean`."""
    if id not in BUGS or not BUGS[id].step:
        return ""
    from handgrad import derivations  # loads all of them, so only where one is asked for

    name, step = BUGS[id].step
    number = [one.name for one in derivations.get(name).steps].index(step) + 1
    return f"handgrad derive {name}, step {number}: {step}"


def as_markdown() -> str:
    """The documented list: a section each, a row a bug, which `bugs.md#ID` leads to."""
    lines = []
    for title, bugs in SECTIONS.items():
        lines += [f"## {title}", "", "| id | what it means | fingerprint | derivation |", "|---|---|---|---|"]
        for bug in bugs:
            where = f"`{bug.step[0]}`: {bug.step[1]}" if bug.step else ""
            lines.append(f'| <a id="{bug.id}"></a>`{bug.id}` | {bug.title} | {bug.fingerprint} | {where} |')
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"

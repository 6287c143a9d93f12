"""What an entry is: a table, a figure or a claim of a published document, as data."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from handgrad.errors import ConfigError

KINDS = ("table", "figure", "claim", "settings")

#: Changes to a run that no setting makes: see `handgrad.reproduce.running`.
VARIANTS = ("", "softmax-twice", "jpeg-again")

#: The documents, by the course and the date.
DOCUMENTS = {
    "uva-apr19-a": "UvA report A, April 2019",
    "uva-apr19-b": "UvA report B, April 2019",
    "uva-nov19": "UvA report, November 2019",
    "uva-2020": "UvA report, 2020",
    "cmu-f19": "CMU 11-785 Fall 2019, homework 1 handout",
    "data": "the data of these runs",
}


@dataclass(frozen=True)
class Case:
    """One configuration, which is trained with several seeds.

    Arguments:
        settings: as `TrainConfig.from_settings` takes them; with `recipe`, they go over the recipe's.
        variant: one of `VARIANTS`.
    """

    settings: Mapping[str, Any]
    variant: str = ""


@dataclass(frozen=True)
class Printed:
    """A value that the document prints.

    Arguments:
        case: which of the entry's cases it belongs to.
        measure: how ours is measured, see `handgrad.reproduce.measures`.
        value: the printed one; a text has to be equal.
        samples: over which the authors measured it; a training figure of one batch varies from batch to batch. None
            for the whole test set, which is the same for everyone.
        headline: whether the entry's verdict goes by it.
    """

    case: str
    measure: str
    value: float | str
    samples: int | None = None
    headline: bool = True


@dataclass(frozen=True)
class Statement:
    """A sentence that a claim stands for: a measure is larger in some cases than in others.

    Arguments:
        words: the sentence.
        measure: as for `Printed`.
        larger: cases.
        smaller: as many cases, each compared with the one at its place in `larger`; or a number.
    """

    words: str
    measure: str
    larger: tuple[str, ...]
    smaller: tuple[str, ...] | float


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A table, a figure or a claim.

    Arguments:
        name: DOCUMENT/NAME.
        kind: one of `KINDS`; `settings` prints how something was trained or built, and no result.
        title: one line.
        says: what the document says, in our words.
        cases: what is trained, by name; for a study its combinations, as
            `batch_size=32 learning_rate=3e-05`.
        printed: the document's values.
        statements: for a claim.
        study: what a study file of `handgrad search` holds, where a search trains the cases.
        seeds: runs of each case.
        notes: what differs from the document, or is not stated there.
        cannot: why it cannot be reproduced; "" where it can.
        panels: what its picture shows, as for `figures.cases_over_steps`.
    """

    name: str
    kind: str
    title: str
    says: str
    cases: Mapping[str, Case] = field(default_factory=dict)
    printed: tuple[Printed, ...] = ()
    statements: tuple[Statement, ...] = ()
    study: Mapping[str, Any] | None = None
    seeds: int = 3
    notes: tuple[str, ...] = ()
    cannot: str = ""
    panels: tuple[str, ...] = ("accuracy", "loss")

    @property
    def document(self) -> str:
        return self.name.partition("/")[0]

    @property
    def trains(self) -> bool:
        return self.kind != "settings" and not self.cannot


def all_entries() -> dict[str, Entry]:
    """Every entry by its name, in the order of the documents."""
    from handgrad.reproduce.documents import ENTRIES

    return {entry.name: entry for entry in ENTRIES}


def chosen_entries(names: Iterable[str]) -> list[Entry]:
    """The entries with these names; the name of a document stands for all of its entries.

    Raises:
        ConfigError: there is no such entry; the nearest names are given.
    """
    known, chosen = all_entries(), {}
    for name in names:
        of_document = [entry for entry in known.values() if entry.document == name.rstrip("/")]
        if name in known:
            chosen[name] = known[name]
        elif of_document:
            chosen |= {entry.name: entry for entry in of_document}
        else:
            near = difflib.get_close_matches(name, [*known, *DOCUMENTS], 3, 0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else "handgrad reproduce lists all of them"
            raise ConfigError(f"there is no table, figure or claim {name!r}: {hint}")
    return list(chosen.values())

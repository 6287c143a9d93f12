"""Entries: the tables, figures and claims of published documents, and our own records, described as data."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from handgrad.errors import ConfigError

KINDS = ("table", "figure", "claim", "settings", "record")

#: Changes to a run that no setting can make: see `handgrad.reproduce.running`.
VARIANTS = ("", "softmax-twice", "jpeg-again")

#: The documents, named by course and date.
DOCUMENTS = {
    "uva-apr19-a": "UvA report A, April 2019",
    "uva-apr19-b": "UvA report B, April 2019",
    "uva-nov19": "UvA report, November 2019",
    "uva-2020": "UvA report, 2020",
    "cmu-f19": "CMU 11-785 Fall 2019, homework 1 handout",
    "data": "the data of these runs",
    "records": "handgrad's records",
}


@dataclass(frozen=True)
class Case:
    """One configuration, trained with several seeds.

    Arguments:
        settings: settings for `TrainConfig.from_settings`; they override those of `recipe`, if it is given.
        variant: one of `VARIANTS`.
    """

    settings: Mapping[str, Any]
    variant: str = ""


@dataclass(frozen=True)
class Printed:
    """A value published in the document.

    Arguments:
        case: name of the entry's case that it belongs to.
        measure: how our value is measured, see `handgrad.reproduce.measures`.
        value: the published value; a string must be equal.
        samples: number of samples that the authors used. A training metric of one batch varies from batch to batch.
            None for the whole test set, which is the same for everyone.
        headline: whether it counts for the verdict of the entry.
    """

    case: str
    measure: str
    value: float | str
    samples: int | None = None
    headline: bool = True


@dataclass(frozen=True)
class Statement:
    """A statement of a claim: a measure is larger in some cases than in others; or the goal of a record: a measure is
    larger than a number.

    Arguments:
        words: the statement as a sentence.
        measure: see `Printed`.
        larger: the cases with the larger values.
        smaller: the cases with the smaller values, compared with `larger` element by element; or a number.
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
        kind: one of `KINDS`; `settings` states how something was trained or built, without a result; a `record` is the
            best test result of a kind of network, trained from one recipe.
        title: one-line title.
        says: what the document says, paraphrased.
        cases: the configurations to train, by name; for a study, its combinations, such as
            `batch_size=32 learning_rate=3e-05`.
        printed: the published values.
        statements: the statements of a claim.
        study: content of a study file of `handgrad search`, if a search trains the cases.
        seeds: number of runs per case.
        notes: differences from the document, and what it does not state.
        cannot: why it cannot be reproduced; "" if it can.
        panels: panels of its plot, see `figures.cases_over_steps`.
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
    """All entries by name, in the order of the documents."""
    from handgrad.reproduce.documents import ENTRIES

    return {entry.name: entry for entry in ENTRIES}


def chosen_entries(names: Iterable[str]) -> list[Entry]:
    """The entries with these names. The name of a document selects all of its entries.

    Raises:
        ConfigError: there is no such entry; the message suggests similar names.
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

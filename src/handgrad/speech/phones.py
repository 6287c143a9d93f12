"""The phones of the aligner and their states, which define the labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from handgrad._typing import Array, Integer

#: The context-independent phones of PocketSphinx's US English model, in its order: two noises (+NSN+ is noise, +SPN+ is
#: unintelligible speech), the 39 phones of the CMU dictionary, and silence.
PHONES = (
    *("+NSN+", "+SPN+", "AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER", "EY", "F", "G", "HH"),
    *("IH", "IY", "JH", "K", "L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "SIL", "T", "TH", "UH", "UW", "V"),
    *("W", "Y", "Z", "ZH"),
)
STATES_PER_PHONE = 3
SILENCE = "SIL"

#: The name of each label: label = 3 * phone + position.
STATES = tuple(f"{phone}_{position}" for phone in PHONES for position in range(STATES_PER_PHONE))


def segments(names: Sequence[str], labels: Integer[Array, "T"]) -> list[tuple[str, int, int]]:
    """Segments of consecutive frames of one phone: (phone, first frame, frame after the last), in order.

    A phone ends where another begins, or where its states start again, so repeated phones are separate segments.

    Arguments:
        names: names of the labels, as in `STATES`.
        labels: one per frame (T,).
    """
    phone_of, position_of = zip(*(_split(name) for name in names), strict=True)
    found: list[tuple[str, int, int]] = []
    last = 0
    for t, label in enumerate(np.asarray(labels).tolist()):
        phone, position = phone_of[label], position_of[label]
        if found and found[-1][0] == phone and position >= last:
            found[-1] = (phone, found[-1][1], t + 1)
        else:
            found.append((phone, t, t + 1))
        last = position
    return found


def _split(name: str) -> tuple[str, int]:
    phone, _, position = name.rpartition("_")
    return (phone, int(position)) if phone and position.isdecimal() else (name, 0)

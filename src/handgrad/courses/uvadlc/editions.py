"""The differences between the editions of the assignment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from handgrad.errors import ConfigError


@dataclass(frozen=True)
class UvaEdition:
    """One edition.

    Arguments:
        name: as in `handgrad courses export`.
        suffix: suffix of the names that differ from April 2019.
        learning_rate, max_steps, batch_size, eval_freq: defaults of the two MLP scripts.
        neg_slope: default of --neg_slope; None if there is no such flag.
    """

    name: str
    suffix: str
    learning_rate: float = 2e-3
    max_steps: int = 1500
    batch_size: int = 200
    eval_freq: int = 100
    neg_slope: float | None = None

    def mlp_flags(self) -> dict[str, Any]:
        """The defaults of the flags of the two MLP scripts."""
        flags = ("learning_rate", "max_steps", "batch_size", "eval_freq", "neg_slope")
        return {"dnn_hidden_units": "100", **{flag: getattr(self, flag) for flag in flags}}


UVA_EDITIONS = {
    edition.name: edition
    for edition in (
        UvaEdition("uva-apr19", ""),
        UvaEdition("uva-nov19", "November2019", neg_slope=0.02),
        UvaEdition("uva-2020", "2020", learning_rate=1e-3, max_steps=1400),
    )
}


def uva_edition(name: str) -> UvaEdition:
    """The edition with this name. Raises ConfigError for an unknown one."""
    if name not in UVA_EDITIONS:
        raise ConfigError(f"edition={name!r} is unknown, expected one of {', '.join(UVA_EDITIONS)}")
    return UVA_EDITIONS[name]

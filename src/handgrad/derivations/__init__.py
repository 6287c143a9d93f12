"""Executable derivations of every formula of `handgrad.nn`, with each step checked.

    >>> from handgrad import derivations
    >>> softmax = derivations.get("softmax")
    >>> all(result.ok for result in softmax.check(sizes={"N": 4, "K": 3}, seed=7))
    True

A derivation is a sequence of named steps. A step has a formula (LaTeX, and plain text for the terminal), a
justification, and an executable form. The executable form is compared at random points in float64 with the step that it
rewrites and with an independent numerical derivative.
"""

from __future__ import annotations

from importlib import import_module

from handgrad.derivations.derivation import D, Derivation, Link, Step, StepResult
from handgrad.derivations.naming import near_match
from handgrad.errors import ConfigError

__all__ = ["D", "Derivation", "Link", "Step", "StepResult", "get", "names", "topics"]

_MODULES = ("softmax", "activations", "linear", "normalization", "groupnorm", "convolution", "optimizers")


def topics() -> dict[str, list[Derivation]]:
    """All derivations by topic, in reading order."""
    listing: dict[str, list[Derivation]] = {}
    for module in _MODULES:
        for derivation in import_module(f"{__name__}.{module}").DERIVATIONS:
            listing.setdefault(derivation.topic, []).append(derivation)
    return listing


def names() -> list[str]:
    """The names of all derivations."""
    return [derivation.name for derivations in topics().values() for derivation in derivations]


def get(name: str) -> Derivation:
    """The derivation with this name.

    Raises:
        ConfigError: there is no such derivation; the message suggests the closest name.
    """
    known = {d.name: d for derivations in topics().values() for d in derivations}
    if name not in known:
        raise ConfigError(f"there is no derivation {name!r}: {near_match(name, known) or 'handgrad derive lists them'}")
    return known[name]

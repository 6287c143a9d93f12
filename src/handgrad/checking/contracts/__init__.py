"""The interfaces that the checker knows, each recognised by its names.

`recognise(Source.read(folder))` returns the contracts that a hand-in follows; each says what to run (`probes`) and
judges the results (`judge`).
"""

from __future__ import annotations

from handgrad.checking.contracts.cmu import CMU2019, CMU2020
from handgrad.checking.contracts.cmu_2022 import CMU2022
from handgrad.checking.contracts.contract import Contract
from handgrad.checking.contracts.course_file import CourseFile
from handgrad.checking.contracts.cs231n import CachedPairs, CS231n
from handgrad.checking.contracts.generic import FunctionGradient, GenericLayer
from handgrad.checking.contracts.source import Source
from handgrad.checking.contracts.torch_functions import TorchFunction, UvANorm
from handgrad.checking.contracts.uva import UvA2019April, UvA2019November, UvA2020, UvA2021

#: From the most to the least specific: if one of them recognises a hand-in, the generic ones are not tried.
CONTRACTS: tuple[type[Contract], ...] = (
    CMU2019,
    CMU2020,
    CMU2022,
    UvA2019April,
    UvA2019November,
    UvA2020,
    UvA2021,
    UvANorm,
    CS231n,
    TorchFunction,
    GenericLayer,
    CachedPairs,
    FunctionGradient,
)
GENERIC = (TorchFunction, GenericLayer, CachedPairs, FunctionGradient)


def gradient_contract(source: Source, function: str, gradient: str) -> Contract:
    """The contract of two functions, the second of which should be the gradient of the first."""
    return FunctionGradient.of(source, function, gradient)


def recognise(source: Source) -> list[Contract]:
    """The contracts whose names are in a hand-in. Empty if none is."""
    found: list[Contract] = []
    for kind in CONTRACTS:
        if kind in GENERIC and found:
            break
        contract = kind.recognise(source)
        if contract is not None:
            found.append(contract)
    if any(isinstance(one, CMU2022) for one in found):  # its activations may have a `derivative` of their own
        found = [one for one in found if not isinstance(one, CMU2019 | CMU2020)]
    return found


__all__ = ["CONTRACTS", "Contract", "CourseFile", "Source", "gradient_contract", "recognise"]

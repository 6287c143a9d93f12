"""Names the bug in an array by comparing it with the right value and with the result of every known mistake.

A `Subject` is one array that a hand-in computes: its right value, as a sum of terms, and the known mistakes ("slips").
`explain` looks for the smallest set of slips and factors that reproduces the observed arrays on several independent
random draws. Nothing is guessed: a set of slips must fit every draw.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

#: Largest relative error at which a hypothesis still fits.
TOLERANCE = 1e-6
#: Largest rounding error of a sum of numbers around 1 whose exact value is zero.
ROUNDING = 1e-14

Array = np.ndarray


class Draw:
    """One random trial: the input arrays by name, and the sizes (N, K, ...) that a wrong factor can consist of."""

    def __init__(self, sizes: Mapping[str, float] | None = None, **arrays: Any) -> None:
        self.sizes = dict(sizes or {})
        self.__dict__.update(arrays)

    if TYPE_CHECKING:

        def __setattr__(self, name: str, value: Any) -> None: ...

    def __getattr__(self, name: str) -> Any:  # only for unknown names
        raise AttributeError(f"this draw has no {name!r}, only {sorted(self.__dict__)}")

    def changed(self, **arrays: Any) -> Draw:
        """A copy of this trial in which the given arrays are replaced."""
        current = {name: value for name, value in self.__dict__.items() if name != "sizes"}
        return Draw(self.sizes, **{**current, **arrays})


@dataclass(frozen=True)
class Slip:
    """One known mistake: the id of the bug, the formula that was computed instead, and the options with which the
    model computes it."""

    bug: str
    instead: str
    options: Mapping[str, Any]


def slip(bug: str, instead: str, **options: Any) -> Slip:
    return Slip(bug, instead, options)


@dataclass(frozen=True)
class Subject:
    """One array that a hand-in computes.

    Arguments:
        name: the name that the student sees: "dW", "the output".
        compute: (draw, **options) -> the array, or its terms by name; without options, the right value.
        slips: the known mistakes. Two slips that set the same option exclude each other.
        factors: the bug that a wrong factor of the whole array indicates: "N", "1/N", "-1", "0", ... -> id.
        terms: the same for individual terms: term -> factor -> id.
        tolerance: largest relative error of a right value.
    """

    name: str
    compute: Callable[..., Any]
    slips: tuple[Slip, ...] = ()
    factors: Mapping[str, str] = field(default_factory=dict)
    terms: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    tolerance: float = TOLERANCE


@dataclass(frozen=True)
class Cause:
    """One bug, with its evidence."""

    bug: str
    evidence: str


@dataclass(frozen=True)
class Explanation:
    """The diagnosis of one array. It is right if `explained` is True and there are no causes."""

    causes: tuple[Cause, ...]
    explained: bool
    shape_differs: str = ""
    cost: float = 0.0
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def right(self) -> bool:
        return self.explained and not self.causes


DEFAULT_FACTORS = {
    "0": "all-zero",
    "-1": "sign-flipped",
    "c": "constant-factor",
    "N c": "batch-size-hard-coded",
    "N": "batch-mean-missing",
    "N^2": "batch-mean-missing",
    "1/N": "batch-mean-twice",
    "1/N^2": "batch-mean-twice",
    "K": "summed-over-classes",
    "1/K": "averaged-over-classes",
    "N/(N-1)": "bessel",
    "(N-1)/N": "bessel",
}

#: For an array that must not be averaged over the batch.
NOT_AVERAGED = {"1/N": "batch-mean-unwanted", "1/N^2": "batch-mean-unwanted", "N": "wrong-factor"}

SYMBOLS = {
    "N": "the batch size",
    "K": "the number of classes",
    "D": "the number of features",
    "lr": "the learning rate",
    "momentum": "the momentum",
    "1-momentum": "1 - momentum",
    "alpha": "alpha",
    "1-alpha": "1 - alpha",
}


def explain(
    subject: Subject,
    draws: Sequence[Draw],
    observed: Sequence[Array],
    *,
    given: Mapping[str, Any] | None = None,
    depth: int = 2,
    known: Collection[str] = (),
) -> Explanation:
    """Finds the smallest set of slips and factors that reproduces the observed arrays on every draw.

    Args:
        subject: the array that should have been computed.
        draws: the trials, of several sizes.
        observed: the arrays that the hand-in returned, one per draw.
        given: options that are always set and cost nothing (slips that were found in another array).
        depth: maximum number of simultaneous slips; factors do not count.
        known: bugs that were found in another array of the same layer: they cost almost nothing here.

    Returns:
        The explanation; its `explained` is False if nothing fits.
    """
    given = dict(given or {})
    arrays = [np.asarray(array) for array in observed]
    right = _fit(subject, draws, arrays, given, subject.tolerance, known=known)
    if right is not None and not right.causes:
        return right
    best = right
    for slips in _combinations(subject.slips, depth):
        if best is not None and best.cost <= (len(slips) if not known else 0.1 * len(slips)):
            break
        options = dict(given)
        for each in slips:
            options.update(each.options)
        found = _fit(subject, draws, arrays, options, TOLERANCE, slips, known)
        if found is not None and (best is None or found.cost < best.cost):
            best = found
    return best or Explanation((), explained=False)


def _combinations(slips: Sequence[Slip], depth: int) -> Iterable[tuple[Slip, ...]]:
    for count in range(1, depth + 1):
        for chosen in itertools.combinations(slips, count):
            names = [name for each in chosen for name in each.options]
            if len(set(names)) == len(names):
                yield chosen


def _fit(
    subject: Subject,
    draws: Sequence[Draw],
    observed: Sequence[Array],
    options: Mapping[str, Any],
    tolerance: float,
    slips: Sequence[Slip] = (),
    known: Collection[str] = (),
) -> Explanation | None:
    """Fits the model with these options to the observed arrays, with one factor per term; None if it does not fit."""
    coefficients: list[list[float]] = []
    names: list[str] = []
    differs = ""
    for draw, array in zip(draws, observed, strict=True):
        try:
            with np.errstate(all="ignore"):
                terms = subject.compute(draw, **options)
        except (ValueError, IndexError, np.linalg.LinAlgError):
            return None
        if not isinstance(terms, dict):
            terms = {"": terms}
        names = list(terms)
        shape = np.broadcast_shapes(*(np.shape(term) for term in terms.values()))
        same = reshaped(array, shape)
        if same is None:
            return None
        row = array.shape == (1, *shape)  # (1, n) instead of (n,) is accepted: courses use both
        if same.shape != array.shape and not row and not differs:
            differs = f"{array.shape} where {shape} was expected"
        stacked = [np.broadcast_to(np.asarray(term, dtype=np.float64), shape) for term in terms.values()]
        fitted = _coefficients(stacked, np.asarray(same, dtype=np.float64), tolerance)
        if fitted is None:
            return None
        coefficients.append(fitted)
    if not coefficients:
        return None
    causes: list[Cause] = [
        Cause(each.bug, f"{quoted(subject.name)} equals this on every random input: {each.instead}") for each in slips
    ]
    informative = [position for position, fitted in enumerate(coefficients) if not np.isnan(fitted).any()]
    if slips and not informative:
        return None
    sizes = [draws[position].sizes for position in informative]
    factors = {}
    for position, name in enumerate(names):
        keys = name_factor([coefficients[each][position] for each in informative], sizes) if informative else ()
        if keys is None:
            return None
        factors[name] = keys
    if len(set(factors.values())) == 1:  # if all terms have the same factor, it is a factor of the whole array
        factors = {"": factors[names[0]]}
    weights = [0.1 if each.bug in known else 1.0 for each in slips]
    for name, keys in factors.items():
        values = [coefficients[each][names.index(name) if name else 0] for each in informative]
        table = {**DEFAULT_FACTORS, **subject.factors, **(subject.terms.get(name, {}) if name else {})}
        what = quoted(subject.name) if not name else f"the term `{name}` of {quoted(subject.name)}"
        product = [key for key in keys if key not in ("-1", "0", "c", "N c")]
        named = [key for key in product if table.get(key, "wrong-factor") != "wrong-factor"]
        for key in keys:
            bug = table.get(key, "wrong-factor")
            # A product of two sizes is one finding, unless each factor has a bug of its own. N comes first.
            if len(product) < 2 or key not in product or key in (named if len(named) > 1 else product[:1]):
                whole = " * ".join(product) if len(product) > 1 and key in product and "c" not in keys else key
                evidence = _factor_evidence(what, whole, values, [draws[each] for each in informative])
                if whole != key and len(named) > 1:
                    evidence += f"; one of its factors is {key}"
                causes.append(Cause(bug, evidence))
            weights.append(0.1 if bug in known else 1.0 if key == "0" else 1.1 if key in table and key != "c" else 1.6)
    cost = sum(weights)
    return Explanation(tuple(causes), True, differs, cost, dict(options))


def _coefficients(terms: list[Array], observed: Array, tolerance: float) -> list[float] | None:
    """The factors of the terms for which their sum equals the observed array; all 1 if that fits."""
    total = np.sum(terms, axis=0)
    finite = np.isfinite(total)
    if not np.array_equal(finite, np.isfinite(observed)):
        return None
    ones = [1.0] * len(terms)
    if finite.all() and not np.any(np.abs(total) > ROUNDING) and not np.any(np.abs(observed) > ROUNDING):
        return [math.nan] * len(terms)  # both are zero: any factor fits
    if not finite.all():
        fits = np.array_equal(total[~finite], observed[~finite], equal_nan=True)
        scale = max(np.abs(observed[finite]).max(initial=0), 1e-8)
        close = np.abs(total[finite] - observed[finite]).max(initial=0) <= tolerance * scale
        return ones if fits and close else None
    scale = max(np.abs(observed).max(initial=0), np.abs(total).max(initial=0))
    if np.abs(total - observed).max(initial=0) <= tolerance * max(scale, 1e-8):
        return ones
    if observed.size <= len(terms) and len(terms) > 1:
        return None
    matrix = np.stack([term.ravel() for term in terms], axis=1)
    sizes = np.abs(matrix).max(axis=0, initial=0)
    if not np.isfinite(matrix).all() or (sizes == 0).any():
        return None
    solution, _, rank, _ = np.linalg.lstsq(matrix / sizes, observed.ravel(), rcond=1e-9)
    if rank < len(terms):
        return None
    error = np.abs(matrix / sizes @ solution - observed.ravel()).max(initial=0)
    if error > TOLERANCE * max(np.abs(observed).max(initial=0), 1e-12):
        return None
    solution = solution / sizes
    largest = np.abs(solution * sizes).max()
    return [
        0.0 if abs(c * size) <= 1e-9 * max(largest, scale) else float(c)
        for c, size in zip(solution, sizes, strict=True)
    ]


def name_factor(values: Sequence[float], sizes: Sequence[Mapping[str, float]]) -> tuple[str, ...] | None:
    """Splits a factor into symbols: () for 1, ("-1", "N"), ("1/K",), ("c",) for a constant; None if it is unknown."""
    if _close(values, [1.0] * len(values)):
        return ()
    if all(value == 0 for value in values):
        return ("0",)
    if any(value == 0 for value in values):
        return None
    signs = {math.copysign(1.0, value) for value in values}
    if len(signs) > 1:
        return None
    sign: tuple[str, ...] = ("-1",) if signs == {-1.0} else ()
    magnitudes = [abs(value) for value in values]
    if _close(magnitudes, [1.0] * len(values)):
        return sign
    # A constant is a simpler explanation than a size that has the same value in every draw.
    different = len({tuple(sorted(size.items())) for size in sizes}) > 1
    constant = _close(magnitudes, [magnitudes[0]] * len(values))
    if constant and different and len(values) > 1:
        simple = [key for key in _monomials(sizes[0]) if key not in ("N", "K", "D")]
        for key in simple:
            if _close(magnitudes, [_value(key, size) for size in sizes]):
                return (*sign, key)
        return (*sign, "c")
    for key in _monomials(sizes[0]):
        try:
            expected = [_value(key, size) for size in sizes]
        except ZeroDivisionError:
            continue
        if all(map(math.isfinite, expected)) and _close(magnitudes, expected):  # N / (N - 1) is infinite for one sample
            return (*sign, *_split(key))
    for symbol in ("N", "1/N"):
        if symbol.strip("1/") in sizes[0] and len(values) > 1:
            rest = [magnitude / _value(symbol, size) for magnitude, size in zip(magnitudes, sizes, strict=True)]
            if _close(rest, [rest[0]] * len(rest)):
                return (*sign, "N c") if symbol == "N" else (*sign, "1/N", "c")
    return (*sign, "c") if constant else None


def _split(key: str) -> tuple[str, ...]:
    """Splits a product of two sizes, because it is two mistakes: "1/N * 1/K" is "1/N" and "1/K"."""
    return tuple(key.split(" * "))


def _monomials(sizes: Mapping[str, float]) -> list[str]:
    single = []
    for symbol in sizes:
        single += [symbol, f"1/{symbol}"]
    squares = [f"{symbol}^2" for symbol in sizes] + [f"1/{symbol}^2" for symbol in sizes]
    bessel = ["N/(N-1)", "(N-1)/N"] if "N" in sizes else []
    products = [
        f"{first} * {second}"
        for first, second in itertools.combinations(single, 2)
        if first.strip("1/") != second.strip("1/")
    ]
    return single + bessel + squares + products


def _value(key: str, sizes: Mapping[str, float]) -> float:
    if " * " in key:
        first, second = key.split(" * ")
        return _value(first, sizes) * _value(second, sizes)
    if key == "N/(N-1)":
        return sizes["N"] / (sizes["N"] - 1) if sizes["N"] > 1 else math.inf
    if key == "(N-1)/N":
        return (sizes["N"] - 1) / sizes["N"]
    if key.startswith("1/"):
        return 1 / _value(key[2:], sizes)
    if key.endswith("^2"):
        return sizes[key[:-2]] ** 2
    return sizes[key]


def _close(values: Sequence[float], expected: Sequence[float]) -> bool:
    return all(abs(v - e) <= 1e-5 * abs(e) for v, e in zip(values, expected, strict=True))


def _factor_evidence(what: str, key: str, values: Sequence[float], draws: Sequence[Draw]) -> str:
    position = max(range(len(values)), key=lambda each: abs(math.log(abs(values[each]) or 1e-300)))
    value, sizes = values[position], draws[position].sizes
    if key == "0":
        return f"{what} is 0 everywhere" if not what.startswith("the term") else f"{what} is missing"
    if key == "-1":
        return f"{what} has the wrong sign on every random input"
    if key == "c":
        if not _close([abs(each) for each in values], [abs(values[0])] * len(values)):
            return f"{what} also has a constant factor of {number(abs(value) * sizes['N'])}"
        return f"{what} is {number(abs(value))} times the right value for every shape of the input"
    if key == "N c":
        constant = abs(value) / sizes["N"]
        inverse = f"divided by {number(1 / constant)}" if constant < 1 else f"multiplied by {number(constant)}"
        return (
            f"{what} is {number(abs(value))} times the right value at a batch size of {number(sizes['N'])}: "
            f"it is {inverse} for every batch size"
        )
    factor = _value(key, sizes)
    meaning = []
    for symbol, words in SYMBOLS.items():
        if (
            any(symbol == part.removeprefix("1/") for part in key.split(" * "))
            or symbol in key.replace("(N-1)", "N").split("/")
            or symbol == key
            or f"{symbol}^2" in key
        ):
            meaning.append(f"{words} is {number(sizes[symbol])}")
    reason = ", ".join(meaning)
    return f"{what} is {number(factor)} times the right value ({key}; {reason})"


def quoted(name: str) -> str:
    """Puts an identifier in backticks; a phrase such as "the output" stays unchanged."""
    return name if " " in name else f"`{name}`"


def number(value: float) -> str:
    """Formats a number for a message: integers without a decimal point, others with four significant digits."""
    return str(round(value)) if value == round(value) and abs(value) < 1e6 else f"{value:.4g}"


def reshaped(array: Array, shape: tuple[int, ...]) -> Array | None:
    """The array in the expected shape if the two shapes differ only in axes of length 1; otherwise None."""
    if array.shape == shape:
        return array
    squeezed = tuple(size for size in array.shape if size != 1)
    if squeezed == tuple(size for size in shape if size != 1):
        return array.reshape(shape)
    return None


def close(observed: Any, expected: Any, tolerance: float = TOLERANCE) -> bool:
    """Whether two arrays agree. The error is relative to the largest entry; axes of length 1 are ignored; NaN equals
    NaN."""
    expected = np.asarray(expected, dtype=np.float64)
    array = reshaped(np.asarray(observed), expected.shape)
    if array is None or array.dtype.kind not in "biuf":
        return False
    array = array.astype(np.float64)
    finite = np.isfinite(expected)
    if not np.array_equal(finite, np.isfinite(array)):
        return False
    scale = max(np.abs(expected[finite]).max(initial=0), 1e-12)
    return bool(np.abs(array[finite] - expected[finite]).max(initial=0) <= tolerance * scale)


def departure(name: str, observed: Array, expected: Array, landmarks: Mapping[str, Array] | None = None) -> str:
    """Describes where and by how much an array differs from the right one, for a bug without a name.

    Args:
        name: name of the array.
        observed: the array that the hand-in returned.
        expected: the right array.
        landmarks: arrays of the same shape by name. If the wrong entries are exactly those where one of them is
            negative or positive, the text says so.
    """
    array = reshaped(np.asarray(observed), np.shape(expected))
    if array is None:
        return f"{quoted(name)} has the shape {np.shape(observed)}, expected {np.shape(expected)}"
    array, expected = array.astype(np.float64), np.asarray(expected, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        wrong = ~(np.abs(array - expected) <= TOLERANCE * max(np.abs(expected).max(initial=0), 1e-12))
    if not wrong.any():
        return f"{quoted(name)} is right"
    index = tuple(int(each) for each in np.argwhere(wrong)[0])
    place = f"[{', '.join(map(str, index))}]" if index else ""
    where = f"{name}{place}" if " " in name else f"`{name}{place}`"
    text = (
        f"{where} is {array[index]:.6g}, expected {expected[index]:.6g}; "
        f"{int(wrong.sum())} of {wrong.size} entries are wrong"
    )
    for landmark, values in (landmarks or {}).items():
        if values.shape != wrong.shape or wrong.all():
            continue
        if np.array_equal(wrong, values < 0):
            return f"{text}, exactly those where {landmark} < 0"
        if np.array_equal(wrong, values > 0):
            return f"{text}, exactly those where {landmark} > 0"
    return text

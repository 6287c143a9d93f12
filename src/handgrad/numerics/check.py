"""`gradient_check`: checks whether backward computes the derivative of forward."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from handgrad.numerics.derivatives import (
    COMPLEX_STEP,
    Slope,
    relative_error,
    smallest_size,
    swept_slope,
    variable_scale,
)
from handgrad.numerics.report import GradientReport, PartReport
from handgrad.numerics.subjects import Bench, Gradients, LayerError, Subject, is_floating, make_subject

COMPLEX_TOLERANCE = 1e-9
DIFFERENCE_TOLERANCE = 1e-6
CONFIRMED = 1e-4  # how closely differences must agree with the complex step for it to be used
GROSS = 0.05  # the relative error above which a gradient in float32 is clearly wrong
LOW_EPSILONS = (2.0**-23, 2.0**-10)  # float32, float16
NUDGES = 6  # number of trials to measure the rounding of backward
NATURAL = 1e-9  # relative to the natural size of a gradient: how precisely a derivative must be known to be called 0
COMPLEX, DIFFERENCES = "complex step", "central differences"


def gradient_check(
    layer_or_function: Any,
    inputs: Any,
    *,
    gradient: Callable | None = None,
    seed: int | np.random.Generator = 0,
    samples: int = 50,
    draws: int = 2,
) -> GradientReport:
    """Compares a hand-written gradient with numerical derivatives and reports where it is wrong and by how much.

    For a random upstream gradient dy, the scalar L = sum(dy * forward(inputs)) is differentiated with respect to each
    entry of each floating-point input and parameter. The result is compared with that of backward(dy):

        error = max|analytic - numeric| / max(max|analytic|, max|numeric|, 1e-8)

    If forward is analytic and accepts complex numbers, the complex step is used (error < 1e-9 is right), otherwise
    central differences over a sweep of step sizes (< 1e-6). If a numerical derivative is inconclusive at this point,
    for example at a kink, the verdict is not "wrong" but "cannot judge", with the reason.

    Everything is computed in float64 on copies, so the object and the inputs are not modified. A random generator
    stored in the layer is reset for each evaluation, so that dropout always uses the same mask.

    Args:
        layer_or_function: one of

            - a layer: `forward(*inputs)` and `backward(dy)`, which returns dx (a tuple for several inputs; None for an
              input without a gradient); its parameters come from `named_parameters()` or `parameters()`, objects with
              `.value` and `.grad`, or are dictionaries `params` and `grads` with the same keys;
            - a loss: `forward(x, target)` and `backward()`, `backward(dy)` or `backward(x, target)`. Per-sample values
              with `backward()` are summed;
            - a function `f(*inputs)` with `gradient=`, or one that returns `(value, gradient)` with a scalar value.
        inputs: an array, or a tuple (or list) of arrays and other arguments; float16 and float32 are converted to
            float64, and arguments that are not floating-point (labels) are passed unchanged.
        gradient: for a function f: called `gradient(dy, *inputs)`, returns the gradient, or a tuple with one per input,
            None for those to skip.
        seed: seed for the sampled entries and dy; an integer or a Generator.
        samples: number of entries to check in each part: all if there are no more, otherwise the first, the last and a
            random choice.
        draws: number of random dy; the worst result is reported.

    Returns:
        A `GradientReport`, which is true if everything is right, and can be printed.

    Raises:
        TypeError: an object that is neither a layer nor a function, cannot be copied, or has an unsupported signature
            or output.
        ValueError: inputs with nothing to differentiate, no gradient to check, `samples` or `draws` below 1.

    Source: see `handgrad.numerics.complex_step` and `central_difference`.
    """
    for name, value in (("samples", samples), ("draws", draws)):
        if value < 1:
            raise ValueError(f"{name}={value} must be at least 1")
    with _quiet():
        subject = make_subject(layer_or_function, inputs, gradient)
    return check_subject(subject, seed=seed, samples=samples, draws=draws)


def check_subject(
    subject: Subject, *, seed: int | np.random.Generator = 0, samples: int = 50, draws: int = 2
) -> GradientReport:
    """`gradient_check` of a prepared subject."""
    with _quiet():
        try:
            return _Check(subject, np.random.default_rng(seed), samples, draws).report()
        except LayerError as error:
            return _raised(subject, error)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Overflows and means of empty slices are expected at shifted points; their effect on the output is examined."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


def _raised(subject: Subject, error: LayerError) -> GradientReport:
    """An error raised for the given inputs is a finding like any other."""
    verdict = "wrong" if error.where in ("backward", "gradient") else "cannot judge"
    arrays = [(_input_name(subject, i), x) for i, x in enumerate(subject.inputs) if is_floating(x)]
    arrays += [(p.name, p.value) for p in subject.parameters()]
    parts = [PartReport(name, verdict, None, "-", 0, array.size, reason=str(error)) for name, array in arrays]
    return GradientReport(subject.name, tuple(parts))


def _input_name(subject: Subject, position: int) -> str:
    """`x` if there is one floating-point input and no parameter of that name."""
    alone = sum(map(is_floating, subject.inputs)) == 1
    return "x" if alone and all(p.name != "x" for p in subject.parameters()) else f"input {position}"


class _Check:
    """One run of gradient_check: the shared state of its steps."""

    def __init__(self, subject: Subject, rng: np.random.Generator, samples: int, draws: int):
        self.subject, self.rng, self.samples = subject, rng, samples
        self.notes: list[str] = []
        self.faults: list[str] = []
        self.bench = Bench(subject)
        self.output = self.bench.forward()
        self.random = ""
        self.places: dict[int, int] = {}  # of the gradient of an input in the result of backward
        self._settle_randomness()
        self.complex_bench = self._complex_bench()
        self.dys = self._upstream_gradients(draws)
        self.gradients = [self._gradients(dy.reshape(self.output.shape)) for dy in self.dys]
        self.nudged = [] if self.random else [self._nudged(dy.reshape(self.output.shape)) for dy in self.dys]

    def report(self) -> GradientReport:
        floating = [i for i, x in enumerate(self.subject.inputs) if is_floating(x)]
        names = {i: _input_name(self.subject, i) for i in floating}
        parts = [self._part(i, names[i], found) for i, found in self._input_gradients(floating).items()]
        parts += [self._part(n, n, [g.parameters[n] for g in self.gradients]) for n in self.bench.parameters]
        parts += [self._cannot_judge(name, 0, reason) for name, reason in self.subject.unchecked.items()]
        if any(part.verdict == "wrong" for part in parts) and not self.random and self._still_random():
            parts = [self._cannot_judge(part.name, part.total, self.random) for part in parts]
        return GradientReport(self.subject.name, tuple(parts), tuple(self.notes + self.faults), tuple(self.faults))

    # --- prerequisites of the comparison

    def _settle_randomness(self) -> None:
        """Determines whether forward is deterministic, either on the same object or on a fresh copy."""
        if all(_equal(self.bench.forward(), self.output) for _ in range(3)):
            return
        fresh = Bench(self.subject, fresh=True)
        output = fresh.forward()
        if self.subject.layer is not None and all(_equal(fresh.forward(), output) for _ in range(3)):
            self.bench, self.output = fresh, output
            self.notes.append(
                "forward changes the layer's own state (a random generator, running averages): "
                "each evaluation started from the same state"
            )
        else:
            self.random = "randomness: the same forward gives a different output each time; pass a seeded generator"

    def _still_random(self) -> bool:
        """Before a verdict of wrong: rare randomness or drifting state may have passed the first test."""
        if not all(_equal(self.bench.forward(), self.output) for _ in range(8)):
            self.random = "randomness: the same forward does not always give the same output; pass a seeded generator"
        return bool(self.random)

    def _complex_bench(self) -> Bench | None:
        """A bench for the complex step, if forward accepts complex numbers and returns the same real values."""
        if self.random:
            return None
        try:
            bench = Bench(self.subject, np.complex128, self.bench.fresh)
            with warnings.catch_warnings():
                warnings.simplefilter("error", np.exceptions.ComplexWarning)
                y = bench.forward()
        except Exception:  # any error means no
            return None
        agrees = np.iscomplexobj(y) and y.shape == self.output.shape
        return bench if agrees and relative_error(np.real(y), self.output) < 1e-10 else None

    def _upstream_gradients(self, draws: int) -> np.ndarray:
        """Random and dense, (draws, outputs), with magnitudes between 0.5 and 1.5; ones if backward takes no dy."""
        if not self.subject.takes_dy:
            if self.output.size != 1:
                self.notes.append("backward takes no dy: judged as the gradient of the sum of forward's values")
            return np.ones((1, self.output.size))
        shape = (draws, self.output.size)
        dys = self.rng.uniform(0.5, 1.5, shape) * self.rng.choice([-1.0, 1.0], shape)
        return dys.astype(self.output.dtype).astype(np.float64)

    def _gradients(self, dy: np.ndarray) -> Gradients:
        gradients = self.bench.gradients(dy.astype(self.output.dtype))
        if not self.random and not _equal(gradients.output, self.output):
            self.random = "randomness: the same forward does not always give the same output; pass a seeded generator"
        self.notes += [note for note in gradients.notes if note not in self.notes]
        self.faults += [fault for fault in gradients.faults if fault not in self.faults]
        return gradients

    def _nudged(self, dy: np.ndarray) -> list[Gradients]:
        """Other gradients that are equal up to rounding."""
        try:
            return [self.bench.nudged_gradients(dy.astype(self.output.dtype), self.rng) for _ in range(NUDGES)]
        except LayerError:  # the domain ends here
            return []

    def _rounding(self, key: int | str, analytic: list[np.ndarray]) -> np.ndarray:
        """The effect of rounding on each entry of a gradient, (draws, *shape)."""
        moved = np.zeros((len(analytic), *analytic[0].shape))
        for draw, nudged in enumerate(self.nudged):
            for g in nudged:
                other = g.inputs[self.places[key]] if isinstance(key, int) else g.parameters[key]
                if other is not None and other.shape == analytic[draw].shape and other.dtype.kind in "fiub":
                    moved[draw] = np.fmax(moved[draw], abs(other - analytic[draw]))
        return moved

    def _input_gradients(self, floating: list[int]) -> dict[int, Any]:
        """The gradient of each floating-point input in every draw; inputs that are skipped by convention are
        missing."""
        inputs = self.subject.inputs
        returned = [g.inputs for g in self.gradients]
        count = len(returned[0])
        if count == len(inputs):
            positions = range(len(inputs))
        elif count == len(floating):
            positions = floating
        elif count == 1:
            positions = floating[:1]
        else:
            return {i: f"backward returns {count} gradients for {len(inputs)} inputs" for i in floating}
        found = {}
        for i in floating:
            place = list(positions).index(i) if i in positions else None
            if place is not None and (count == 1 or returned[0][place] is not None):
                found[i] = [gradients[place] for gradients in returned]
                self.places[i] = place
            elif place is not None or self.output.size != 1:
                self.notes.append(f"backward returns no gradient of input {i}, so it is not judged")
        return found

    # --- one part

    def _part(self, key: int | str, name: str, analytic: Any) -> PartReport:
        """The verdict on one input or parameter, from the gradients of backward in all draws."""
        shape = self.bench.variable(key).shape
        total = math.prod(shape)
        fault = (
            analytic if isinstance(analytic, str) else _misshapen(analytic, shape, is_parameter=isinstance(key, str))
        )
        if fault:
            return PartReport(name, "wrong", None, "-", 0, total, reason=fault)
        if self.random:
            return self._cannot_judge(name, total, self.random)
        if not np.isfinite(self.output).all():
            index = _first(~np.isfinite(self.output))
            return self._cannot_judge(
                name,
                total,
                f"forward gives {float(self.output[index])} at {_entry('output', index)}: check finite values",
            )
        if total == 0:
            return PartReport(name, "right", 0.0, "-", 0, 0, reason="empty: only the shape was checked")
        arrays: Any = analytic
        for gradient in arrays:
            if not np.isfinite(gradient).all():
                index = _first(~np.isfinite(gradient))
                bad, where = float(gradient[index]), _entry(name, index)
                return PartReport(
                    name, "wrong", None, "-", 0, total, index, bad, reason=f"backward gives {bad} in {where}"
                )
        low = next((a.dtype for a in [self.output, *arrays] if a.dtype.kind == "f" and a.dtype.itemsize < 8), None)
        coarse = self._coarse_epsilon(key, arrays)
        epsilon = max(float(np.finfo(self.output.dtype).eps), 0.0 if self.complex_bench else coarse)
        natural = max(1.5 / min(1.0, variable_scale(self.bench.variable(key))), self._largest_gradient())
        moved = self._rounding(key, arrays)
        table = _Table(name, natural)

        def add(index: tuple[int, ...]) -> None:
            a, rounding = (np.array([g[index] for g in gs], dtype=float) for gs in (arrays, moved))
            table.add(index, a, rounding, *self._derivatives(key, index, a, table, epsilon))

        sampled = self._sampled(shape)
        for index in sampled:
            add(index)
        remark = ""
        if total > len(sampled):
            found, remark = self._along_a_direction(key, arrays, moved, sampled, epsilon, table)
            if found is not None:
                add(found)
        report = table.verdict(shape, "" if low is None else str(low), coarse)
        if remark and report.verdict == "right":
            report = replace(report, reason="; ".join(filter(None, (report.reason, remark))))
        return report

    def _along_a_direction(
        self, key: Any, analytic: Any, moved: np.ndarray, sampled: list, epsilon: float, table: _Table
    ) -> tuple[tuple[int, ...] | None, str]:
        """Checks all other entries at once with the derivative along one random direction.

        A single wrong entry changes this derivative, and a bisection finds the entry.

        Returns:
            An entry that may be wrong, to be judged like the others, or None; a remark if this could not be judged.
        """
        variable = self.bench.variable(key).copy()
        shape = variable.shape
        size = np.where(variable != 0, abs(variable), variable_scale(variable))
        direction = size * self.rng.uniform(0.5, 1.5, shape) * self.rng.choice([-1.0, 1.0], shape)
        for index in sampled:
            direction[index] = 0.0
        try_complex = self.complex_bench is not None and table.complex and table.believes_complex()

        def excess(v: np.ndarray) -> tuple[float, bool]:
            """How far the derivatives along v differ beyond their uncertainty, and whether the uncertainty is large."""
            a = np.array([float(np.sum(g * v)) for g in analytic])
            gross = np.array([float(np.sum(abs(g * v))) for g in analytic])
            doubt = 1e-12 * gross + 10 * np.array([np.sqrt(np.sum((m * v) ** 2)) for m in moved])
            if try_complex:
                n = self._imaginary(key, ..., variable + 1j * COMPLEX_STEP * v, COMPLEX_STEP)
            else:

                def along(t: float) -> np.ndarray:
                    return self._output_at(key, ..., variable + t * v)

                slope = swept_slope(along, 0.0, self.dys, target=1e-12 * gross, epsilon=epsilon)
                n, doubt = slope.value, doubt + 10 * np.where(slope.contradicted, np.inf, slope.error)
            known = np.isfinite(n) & np.isfinite(doubt)
            beyond = np.where(known, abs(a - n) - np.where(known, doubt, 0.0), 0.0)
            return float(np.max(beyond)), bool(np.any(~known | (doubt > 1e-3 * gross + 1e-300)))

        beyond, hidden = excess(direction)
        if beyond <= 0:
            remark = "the entries that were not sampled lie on kinks or are rounded too coarsely to be judged together"
            return None, remark if hidden and np.any(table.largest() > 1e-300) else ""
        flat = np.flatnonzero(direction)
        while len(flat) > 1:
            halves = flat[: len(flat) // 2], flat[len(flat) // 2 :]
            worst = []
            for half in halves:
                part = np.zeros(shape)
                part.flat[half] = direction.flat[half]
                worst.append(excess(part)[0])
            flat = halves[int(np.argmax(worst))]
        return tuple(int(i) for i in np.unravel_index(flat[0], shape)), ""

    def _largest_gradient(self) -> float:
        """The largest gradient of all parts: if values cancel in one part, the rounding errors of the others remain."""
        found = [g for gradients in self.gradients for g in (*gradients.inputs, *gradients.parameters.values())]
        numbers = [g for g in found if g is not None and g.dtype.kind in "fiub" and np.isfinite(g).all()]
        return max(map(_largest, numbers), default=0.0)

    def _coarse_epsilon(self, key: int | str, analytic: list[np.ndarray]) -> float:
        """The spacing of float16 or float32 if forward rounds to it internally, else 0.

        In this case, shifts of different sizes give different slopes, or have no effect although backward returns a
        gradient. All entries are shifted at once, each relative to its size, so that none crosses a kink at or near 0.
        """
        variable = self.bench.variable(key).copy()
        direction = (abs(variable) if variable.any() else 1.0) * self.rng.uniform(0.5, 1.5, variable.shape)
        found = 0.0
        for epsilon in LOW_EPSILONS:  # rounding to float16 implies rounding to float32
            if not self._rounds_to(epsilon, key, variable, direction, analytic):
                break
            found = epsilon
        return found

    def _rounds_to(self, epsilon: float, key: Any, variable: np.ndarray, direction: np.ndarray, analytic: Any) -> bool:
        shifts = epsilon * np.array([0.01, 0.1, 100.0, 200.0] if epsilon < 1e-6 else [0.01, 0.1, 10.0, 20.0])
        outputs = [self._output_at(key, ..., variable + h * direction) for h in shifts]
        moved = [y - self.output for y in outputs]
        if not all(np.isfinite(change).all() for change in moved):
            return False
        rounding = 1e-4 * epsilon * _largest(self.output) + 1e-12  # the loss of a few digits of float64 does not count
        if not np.any(moved[:2]):
            return bool(shifts[1] * max(_largest(gradient * direction) for gradient in analytic) > rounding)
        tiny, small, medium, larger = (change / h for change, h in zip(moved, shifts, strict=True))
        bend = 5 * _largest(larger - medium)  # the part that is due to the curvature of the function
        for a, b, allowed in ((tiny, small, rounding / shifts[0]), (small, medium, rounding / shifts[1] + bend)):
            if _largest(a - b) > 1e-2 * max(_largest(a), _largest(b)) + allowed:
                return True
        return False

    def _output_at(self, key: int | str, index: Any, value: Any) -> np.ndarray:
        """The output with one entry changed; nan if the layer rejects it or returns a different shape."""
        try:
            y = self.bench.forward_at(key, index, value)
        except LayerError as error:
            self.refusal = str(error)
            return np.full(self.output.shape, np.nan)
        return y if y.shape == self.output.shape else np.full(self.output.shape, np.nan)

    def _imaginary(self, key: int | str, index: Any, value: Any, h: float) -> np.ndarray:
        """The derivative by the complex step, for each dy; nan if there is none."""
        assert self.complex_bench is not None
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            try:
                y = self.complex_bench.forward_at(key, index, value)
                return self.dys @ (np.imag(y).ravel() / h)
            except Exception:  # any error means no
                return np.full(len(self.dys), np.nan)

    def _cannot_judge(self, name: str, total: int, reason: str) -> PartReport:
        return PartReport(name, "cannot judge", None, "-", 0, total, reason=reason)

    def _sampled(self, shape: tuple[int, ...]) -> list[tuple[int, ...]]:
        total = math.prod(shape)
        flat = np.arange(total)
        if total > self.samples:
            between = 1 + self.rng.choice(total - 2, max(self.samples - 2, 0), replace=False) if total > 2 else []
            flat = np.sort([*[0, total - 1][: self.samples], *between])
        return [tuple(int(i) for i in np.unravel_index(position, shape)) for position in flat]

    def _derivatives(self, key: int | str, index: tuple[int, ...], analytic: np.ndarray, table: _Table, epsilon: float):
        """One entry: the gradient from backward, and the slope by central differences and by the complex step."""
        variable = self.bench.variable(key)
        here = float(variable[index])
        size, smallest = variable_scale(variable), smallest_size(variable)

        def along(value: float) -> np.ndarray:
            return self._output_at(key, index, value)

        target = np.maximum(COMPLEX_TOLERANCE * abs(analytic), 1e-14 * table.largest())
        slope = swept_slope(along, here, self.dys, scale=size, smallest=smallest, target=target, epsilon=epsilon)
        apart = abs(analytic - slope.value)
        if np.any(apart > DIFFERENCE_TOLERANCE * abs(analytic) + 10 * slope.error):
            # The sweep alone is not enough for a verdict of wrong: no single small step may agree with backward.
            h = max(1e-8 * min(size, abs(here) or size), 1e-13 * size)
            witness = self.dys @ (along(here + h) - along(here - h)).ravel() / (2 * h)
            sides = abs(analytic - witness) < 0.1 * apart
            slope = replace(slope, error=np.where(sides, np.maximum(slope.error, apart), slope.error))
        imaginary = np.full(len(self.dys), np.nan)
        if self.complex_bench is not None and table.complex:
            h = COMPLEX_STEP * smallest
            imaginary = self._imaginary(key, index, here + 1j * h, h)
            table.complex = bool(np.isfinite(imaginary).all())
        return slope, imaginary


class _Table:
    """The checked entries of one part and their evaluation. Columns are draws of dy.

    Args:
        name: of the part.
        natural: the typical magnitude of a gradient of this part.
    """

    def __init__(self, name: str, natural: float):
        self.name, self.natural = name, natural
        self.complex = True
        self.indices: list[tuple[int, ...]] = []
        self.analytic: list[np.ndarray] = []
        self.rounding: list[np.ndarray] = []
        self.slopes: list[Slope] = []
        self.imaginary: list[np.ndarray] = []

    def add(
        self, index: tuple, analytic: np.ndarray, rounding: np.ndarray, slope: Slope, imaginary: np.ndarray
    ) -> None:
        self.indices.append(index)
        self.analytic.append(analytic)
        self.rounding.append(rounding)
        self.slopes.append(slope)
        self.imaginary.append(imaginary)

    def largest(self) -> np.ndarray:
        """The largest gradient so far, for each dy, without inconclusive numerical values."""
        found = [np.full(1, 1e-300), *(abs(a) for a in self.analytic)]
        found += [np.where(s.error <= 0.1 * abs(s.value), abs(s.value), 0.0) for s in self.slopes]
        return np.max(np.broadcast_arrays(*found), axis=0)

    def believes_complex(self) -> bool:
        """Whether all sufficiently precise differences agree with the complex step."""
        imaginary = np.array(self.imaginary)
        value, error = np.array([s.value for s in self.slopes]), np.array([s.error for s in self.slopes])
        if not self.complex or not np.isfinite(imaginary).all():
            return False
        size = np.maximum(abs(imaginary), abs(value))
        telling: Any = error <= CONFIRMED * np.maximum(size, 1e-4 * self.largest())
        return not np.any(telling & (abs(imaginary - value) > COMPLEX_TOLERANCE * size + 10 * error))

    def verdict(self, shape: tuple[int, ...], low: str, coarse: float) -> PartReport:
        """Judges all entries, each by its own magnitude, its own uncertainty, and the largest gradient of the part.

        Args:
            shape: of the part.
            low: the floating type of the output or of the gradient, if it is less precise than float64.
            coarse: the spacing of a less precise type that forward rounds to internally, which does not affect the
                complex step.
        """
        analytic, imaginary = np.array(self.analytic), np.array(self.imaginary)
        value = np.array([s.value for s in self.slopes])
        error = np.array([s.error for s in self.slopes])
        kink = np.array([s.kink for s in self.slopes])
        contradicted = np.array([s.contradicted for s in self.slopes])
        rounding = 10 * np.array(self.rounding)
        scale = self.largest()
        with_complex = not low and self.believes_complex()
        numeric, tolerance = (imaginary, COMPLEX_TOLERANCE) if with_complex else (value, DIFFERENCE_TOLERANCE)
        size = np.maximum(abs(analytic), abs(numeric))

        # A gradient that vanishes: backward and differences each return their own rounding errors.
        vanishing = abs(analytic) <= np.maximum(rounding, np.median(rounding, axis=0))
        vanishing &= (abs(value) <= 10 * error) & (error <= NATURAL * self.natural)
        clear = vanishing | (error <= (CONFIRMED if with_complex else tolerance) * scale)
        clear |= with_complex & (error <= NATURAL * self.natural)
        clear &= with_complex | ~contradicted
        difference = np.where(vanishing, 0.0, abs(analytic - numeric))
        # A verdict of wrong requires support from the differences; otherwise the entry is not judged.
        wrong: Any = difference > tolerance * size + rounding
        wrong &= abs(analytic - value) > np.where(with_complex, 0.0, tolerance * size) + 10 * error
        wrong &= clear | (~kink & ~contradicted)
        right: Any = clear & ~wrong & (difference <= tolerance * scale)
        imprecise = ""
        if low:
            imprecise = f"{low} rounding: the result is {low} although the inputs are float64; keep the input's dtype"
        elif coarse and not with_complex:
            inside = "float32" if coarse == LOW_EPSILONS[0] else "float16"
            imprecise = f"coarse rounding: forward keeps fewer digits than float64 has; does it compute in {inside}?"
        if imprecise:
            right[...] = False
            wrong &= difference > GROSS * scale
        wrong_entries: Any = np.any(wrong, axis=1)
        judged: Any = wrong_entries | np.all(right, axis=1)
        relative = np.where(judged[:, None], difference / np.maximum(scale, 1e-8), -1.0)

        method = COMPLEX if with_complex else DIFFERENCES
        checked, total = int(judged.sum()), math.prod(shape)
        if not checked:
            reason = imprecise or self._doubt(0, scale, len(self.indices))
            return PartReport(self.name, "cannot judge", None, method, 0, total, reason=reason)
        worst = float(relative.max())
        if wrong_entries.any():
            entry, draw = np.unravel_index(np.argmax(np.where(wrong, relative, -1.0)), relative.shape)
            index, a, n = self.indices[entry], float(analytic[entry, draw]), float(numeric[entry, draw])
            reason = f"backward gives {a:.6g} in {_entry(self.name, index)}, the derivative is {n:.6g}"
            reason += f" ({int(wrong_entries.sum())} of {checked} entries are wrong)" if checked > 1 else ""
            if worst < tolerance:
                reason += (
                    f"; small compared with the largest gradient of {self.name}, {float(scale.max()):.1e}, but wrong"
                )
            hint = _hint(analytic[judged], numeric[judged], scale, shape if checked == total else ())
            reason += f"; {hint}" if hint else ""
            return PartReport(self.name, "wrong", worst, method, checked, total, index, a, n, reason)
        doubtful = np.flatnonzero(~judged)
        reason = "the gradient vanishes here" if vanishing[judged].all() else ""
        if len(doubtful):
            reason += ("; " if reason else "") + "not judged: " + self._doubt(int(doubtful[0]), scale, len(doubtful))
        return PartReport(self.name, "right", worst, method, checked, total, reason=reason)

    def _doubt(self, entry: int, scale: np.ndarray, count: int) -> str:
        """Why an entry cannot be judged."""
        slope, where = self.slopes[entry], _entry(self.name, self.indices[entry])
        more = f" (and {count - 1} more)" if count > 1 else ""
        if np.isinf(slope.error).any():
            return f"forward is not finite on both sides of {where}{more}"
        if slope.kink.any():
            draw = int(np.argmax(slope.kink))
            return (
                f"kink at {where}: slope {slope.left[draw]:.4g} to its left, {slope.right[draw]:.4g} to its right{more}"
            )
        if slope.contradicted.any():
            return f"rounding at {where}: large and small steps disagree; does forward compute in float32?{more}"
        uncertain = float(np.max(slope.error / scale))
        return f"rounding at {where}: the numerical derivative is uncertain by {uncertain:.0e} of the gradient{more}"


def _misshapen(analytic: Any, shape: tuple[int, ...], is_parameter: bool) -> str:
    """What is wrong with a gradient before its values are compared; empty if nothing is wrong."""
    for gradient in analytic:
        if gradient is None:
            return "backward never stores its gradient (it is None)" if is_parameter else "backward returns None"
        if gradient.shape != shape:
            return f"backward gives shape {gradient.shape}, expected {shape}"
        if gradient.dtype.kind not in "fiub":
            return f"backward gives {gradient.dtype} values, expected floating point"
    return ""


def _hint(analytic: np.ndarray, numeric: np.ndarray, scale: np.ndarray, shape: tuple[int, ...]) -> str:
    """A pattern in the differences that indicates the bug."""
    telling = abs(numeric) > 1e-3 * scale
    if not np.any(analytic):
        return "backward returns 0 everywhere"
    if telling.sum() >= 2:
        ratios = analytic[telling] / numeric[telling]
        ratio = float(np.median(ratios))
        if np.all(abs(ratios - ratio) <= 1e-4 * abs(ratio)) and ratio and abs(ratio - 1) > 1e-3:
            times, part = round(ratio), round(1 / ratio)
            if abs(ratio + 1) < 1e-4:
                return "the sign is reversed"
            if abs(ratio) > 1 and abs(ratio / times - 1) < 1e-4:
                return f"every entry is {times} times the derivative"
            if abs(ratio) < 1 and abs(ratio * part - 1) < 1e-4:
                return f"every entry is 1/{part} of the derivative"
            return f"every entry is {ratio:.6g} times the derivative"
    if len(shape) == 2 and shape[0] == shape[1]:
        for a, n in zip(analytic.T, numeric.T, strict=True):
            if relative_error(a.reshape(shape).T, n.reshape(shape)) > 1e-6:
                return ""
        return "backward gives its transpose"
    return ""


def _largest(array: np.ndarray | np.floating) -> float:
    return float(np.max(np.abs(array), initial=0.0))


def _entry(name: str, index: tuple[int, ...]) -> str:
    return f"{name}[{', '.join(map(str, index))}]" if index else name


def _first(mask: np.ndarray) -> tuple[int, ...]:
    return tuple(int(i) for i in np.argwhere(mask)[0]) if mask.ndim else ()


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and bool(np.array_equal(a, b, equal_nan=True))

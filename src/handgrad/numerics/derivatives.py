"""Numerical derivatives: complex step, central differences, and differences over a sweep of step sizes.

All of them differentiate L(x) = sum(dy * f(x)), the same scalar that `backward(dy)` differentiates; for a scalar
function dy is 1 and L is f itself.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from handgrad._typing import Array, Bool, Float, Num

COMPLEX_STEP = 1e-25
ORDER = 4  # columns of Ridders' tableau: each cancels one more power of the step; more only amplify rounding
FIRST_STEP = 0.03  # times the variable's scale: large enough for rounding, small enough for four columns to converge
LAST_STEP = 1e-9  # relative to the smallest size of the variable
MOST_STEPS = 200  # down to 1e-57
NOISY_STEP = 1e-5  # relative to the variable's scale: below this, noise beyond the rounding of the output may matter
RATIO = 1.9  # of steps; not 2, so that steps do not match the grid of a function that rounds to float32 internally


def relative_error(a: Num[Array, "..."] | float, b: Num[Array, "..."] | float) -> float:
    """The difference of two arrays relative to their largest entry.

    max|a - b| / max(max|a|, max|b|, 1e-8): the error refers to the whole array, so entries that nearly cancel do not
    increase it. Because of the 1e-8, two vanishing gradients do not differ due to rounding.

    Args:
        a: any shape.
        b: the same shape, or a scalar.

    Returns:
        The error; 0.0 for empty arrays, nan if either contains nan.

    Raises:
        ValueError: the shapes differ. (Broadcasting would hide a gradient of the wrong shape.)

    Source: Stanford CS231n course notes, "Gradient checks", taken over the whole array instead of entry by entry.
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape and a.ndim and b.ndim:
        raise ValueError(f"a.shape={a.shape} and b.shape={b.shape} differ: compare arrays of one shape")
    with np.errstate(invalid="ignore"):  # inf - inf
        return float(np.max(np.abs(a - b), initial=0.0) / max(_largest(a), _largest(b), 1e-8))


def complex_step(
    function: Callable, x: Float[Array, "..."], dy: Float[Array, "..."] | None = None, *, step: float = COMPLEX_STEP
) -> Float[Array, "..."]:
    """The derivative of an analytic function that accepts complex numbers, accurate to machine precision.

    Taylor: f(x + ih) = f(x) + ih f'(x) - h^2 f''(x)/2 - ..., so

        f'(x) = Im f(x + ih) / h + O(h^2).

    There is no subtraction and therefore no cancellation, so h can be so small that the O(h^2) term vanishes. The
    complex step fails silently if f discards the imaginary part (`np.abs`, `.real`, `np.var`), so `gradient_check`
    compares it with finite differences.

    Args:
        function: f(x) -> array or number.
        x: the point; any shape. It is not modified.
        dy: weights of the outputs, in the shape of f(x); None for a function with a scalar value.
        step: h.

    Returns:
        The gradient of sum(dy * f(x)), in the shape of x.

    Raises:
        TypeError: f does not return complex values, or converts complex numbers to real ones.
        ValueError: dy does not have the shape of f(x).

    Source: Squire and Trapp, "Using complex variables to estimate derivatives of real functions", SIAM Review 40
        (1998); Martins, Sturdza and Alonso, "The complex-step derivative approximation", ACM TOMS 29 (2003), eq. 6.
    """
    z = np.array(x, dtype=np.complex128)
    gradient = np.zeros(z.shape)
    for index in np.ndindex(z.shape):
        z[index] += 1j * step
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            try:
                y = np.array(function(z.copy()))
            except np.exceptions.ComplexWarning as error:
                raise TypeError(_NOT_COMPLEX.format(what="drops the imaginary part")) from error
        if not np.iscomplexobj(y):
            raise TypeError(_NOT_COMPLEX.format(what=f"gives {y.dtype} for a complex128 input"))
        gradient[index] = np.sum(_upstream(dy, y) * (np.imag(y) / step))
        z[index] = z[index].real
    return gradient


def central_difference(
    function: Callable,
    x: Float[Array, "..."],
    dy: Float[Array, "..."] | None = None,
    *,
    step: float | None = None,
) -> Float[Array, "..."]:
    """The derivative from function values on both sides.

    In the difference of the two Taylor series, the even powers cancel:

        f'(x) = (f(x + h) - f(x - h)) / 2h - h^2 f'''(x)/6 - ...

    A large h causes truncation error (the h^2 term), a small h causes cancellation (about 1e-16 |f| / h). With a single
    h, the smallest error is about 1e-10, at h = 1e-5. Without `step`, h is reduced repeatedly, Ridders' tableau
    extrapolates to h = 0, and the extrapolation with the smallest estimated error is returned (see `swept_slope`).

    Args:
        function: f(x) -> array or number.
        x: the point; any shape. It is not modified.
        dy: weights of the outputs, in the shape of f(x); None for a function with a scalar value.
        step: h, the same for all entries; None sweeps it.

    Returns:
        The gradient of sum(dy * f(x)), in the shape of x; nan if no step gives finite values.

    Raises:
        ValueError: dy does not have the shape of f(x), or `step` is not positive.

    Source: Ridders, "Accurate computation of F'(x) and F'(x)F''(x)", Advances in Engineering Software 4 (1982);
        Press et al., Numerical Recipes, 3rd ed., section 5.7 (`dfridr`).
    """
    if step is not None and not step > 0:
        raise ValueError(f"step={step} must be positive: leave it out to sweep the step")
    x = np.array(x, dtype=np.float64)
    gradient = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        here = float(x[index])

        def along(value: float, index=index, here=here) -> np.ndarray:
            x[index] = value
            y = np.array(function(x.copy()), dtype=np.float64)
            x[index] = here
            return y

        if step is None:
            weights = _upstream(dy, along(here)).reshape(1, -1)
            sizes = {"scale": variable_scale(x), "smallest": smallest_size(x)}
            gradient[index] = swept_slope(along, here, weights, **sizes).value[0]
        else:
            plus, minus = along(here + step), along(here - step)
            gradient[index] = np.sum(_upstream(dy, plus) * (plus - minus)) / (2 * step)
    return gradient


@dataclass(frozen=True)
class Slope:
    """A derivative along one variable with its reliability; one entry per dy."""

    value: Float[Array, "draws"]
    """Ridders' estimate of the derivative; nan if no step gave finite values."""
    error: Float[Array, "draws"]
    """Estimated error: disagreement within the tableau, plus rounding, plus the gap between left and right slope."""
    kink: Bool[Array, "draws"]
    """The slopes from the left and from the right converge to different values."""
    left: Float[Array, "draws"]
    right: Float[Array, "draws"]
    contradicted: Bool[Array, "draws"]
    """A larger step had nearly converged to a different value: rounding inside the function dominates."""


def swept_slope(
    along: Callable[[float], np.ndarray],
    x: float,
    dys: Float[Array, "draws outputs"],
    *,
    scale: float = 1.0,
    smallest: float = 1.0,
    target: Float[Array, "draws"] | float = 0.0,
    epsilon: float = 2.0**-52,
) -> Slope:
    """The derivative from a sweep of step sizes, with an error estimate that also detects kinks.

    With L = dy . f, two series are extrapolated to h = 0 in parallel, dividing h by r = 1.9 at each step:

        slope(h) = (L(x+h) - L(x-h)) / 2h        = L' + c2 h^2 + c4 h^4 + ...
        gap(h)   = (L(x+h) - 2L(x) + L(x-h)) / h =      d1 h   + d3 h^3 + ...    (right slope minus left slope)

    Column j of a tableau cancels one more term: T[k,j] = T[k,j-1] + (T[k,j-1] - T[k-1,j-1]) / (r^p - 1), with p = 2j
    for the slope and p = 2j - 1 for the gap. If L is smooth, the gap converges to 0. At a kink, it converges to the
    difference of the one-sided slopes, while the central difference converges to their mean. A distant kink disturbs
    only the steps that reach it. The error of each entry is therefore the sum of Ridders' disagreements in both
    tableaus, the gap itself, and the rounding of L / h, and the smallest error is used.

    The steps are reduced as far as the function requires: near an entry of 1e-8 in an array of ones, 1/x or x/|x| vary
    on a scale of 1e-8. The sweep ends when the error is below `target`, when rounding hides the slope, or at 1e-9 of
    the smallest size.

    Args:
        along: the output of f, any shape, with the variable at the given value.
        x: the variable's value.
        dys: one or more weights of the outputs, flattened.
        scale: the natural step size of the variable; the sweep starts at 0.03 max(scale, |x|, 1), in
            float16 at 0.1.
        smallest: the smallest scale on which the function may vary; see `smallest_size`.
        target: an error that is small enough, provided that it is also small relative to the slope.
        epsilon: spacing of the floating-point type of the output.

    Returns:
        A `Slope` with one entry per dy.

    Source: Ridders (1982); Numerical Recipes, 3rd ed., section 5.7. The gap series is an addition of this package.
    """
    center = along(x).ravel()
    tableau: list[_Estimate] = []
    best_error, best_slope = np.full(len(dys), np.inf), np.zeros(len(dys))
    slopes_above, gaps_above = [], []
    h = max(FIRST_STEP, epsilon ** (1 / 3)) * max(scale, abs(x), 1.0)  # the cube root balances rounding and curvature
    last = LAST_STEP * min(scale, smallest, 1.0)
    for _ in range(MOST_STEPS):
        if h < last:
            break
        # Use a multiple of the spacing at x, so that x + h - h is exactly x.
        spacing = np.spacing(abs(x) + h)
        step = float(max(np.rint(h / spacing), 1.0) * spacing)
        h /= RATIO
        plus, minus = along(x + step).ravel(), along(x - step).ravel()
        rounding = 4 * epsilon * np.sqrt(dys**2 @ np.maximum(plus**2, minus**2)) / step
        # Subtract before weighting, so that outputs that do not depend on x cancel exactly.
        slopes = [dys @ (plus - minus) / (2 * step)]
        gaps = [dys @ ((plus - center) - (center - minus)) / step]
        if not (np.isfinite(rounding).all() and np.isfinite(slopes[0]).all() and np.isfinite(gaps[0]).all()):
            slopes_above, gaps_above = [], []  # outside the domain, or overflow: restart with smaller steps
            continue
        for j in range(1, min(len(slopes_above), ORDER) + 1):
            slopes.append(slopes[-1] + (slopes[-1] - slopes_above[j - 1]) / (RATIO ** (2 * j) - 1))
            gaps.append(gaps[-1] + (gaps[-1] - gaps_above[j - 1]) / (RATIO ** (2 * j - 1) - 1))
            slope_error = rounding + np.maximum(abs(slopes[j] - slopes[j - 1]), abs(slopes[j] - slopes_above[j - 1]))
            gap_error = rounding + np.maximum(abs(gaps[j] - gaps[j - 1]), abs(gaps[j] - gaps_above[j - 1]))
            tableau.append(_Estimate(step, slopes[j], gaps[j], slope_error, gap_error))
            best_slope = np.where(tableau[-1].error < best_error, abs(slopes[j]), best_slope)
            best_error = np.minimum(best_error, tableau[-1].error)
        slopes_above, gaps_above = slopes, gaps
        # If rounding exceeds the best error, smaller steps do not help. But if nothing has converged yet, the function
        # may vary on a smaller scale.
        hidden = rounding > 1e-3 * np.maximum(abs(slopes[0]), abs(gaps[0]))
        hopeless = (rounding > best_error) & (hidden | (best_error <= 1e-4 * best_slope))
        precise = (best_error <= target) & (best_error <= 1e-6 * best_slope)
        if np.all(precise | hopeless):
            break
    noise = np.zeros(len(dys))
    if h < NOISY_STEP * max(scale, 1.0):
        noise = _noise(along, center, x, dys, abs(x) or smallest)
    return _most_reliable(tableau, noise)


def _noise(along: Callable, center: np.ndarray, x: float, dys: np.ndarray, size: float) -> np.ndarray:
    """The noise of L around x, for example from cancellation: fourth differences, in which smooth parts vanish.

    Two distances are used, because a kink may lie within one of them.

    Source: Hamming, Numerical Methods for Scientists and Engineers, 2nd ed., chapter 10 (difference tables).
    """
    found = []
    for distance in (1.3e-5 * size, 1.7e-8 * size):
        values = np.array([center if k == 0 else along(x + k * distance).ravel() for k in range(-4, 5)])
        found.append(np.max(np.abs(dys @ np.diff(values, n=4, axis=0).T), axis=1) / np.sqrt(70.0))
    return np.nan_to_num(np.fmin(*found), nan=0.0, posinf=0.0)


@dataclass(frozen=True)
class _Estimate:
    step: float
    slope: np.ndarray
    gap: np.ndarray
    slope_error: np.ndarray
    gap_error: np.ndarray

    @property
    def error(self) -> np.ndarray:
        return self.slope_error + abs(self.gap) + self.gap_error


def _most_reliable(tableau: list[_Estimate], noise: np.ndarray) -> Slope:
    draws = len(noise)
    if not tableau:
        nothing, no = np.full(draws, np.nan), np.zeros(draws, dtype=bool)
        return Slope(nothing, np.full(draws, np.inf), no, nothing, nothing, no)
    slope, gap, error = (np.array([getattr(e, key) for e in tableau]) for key in ("slope", "gap", "error"))
    slope_error, gap_error = (np.array([getattr(e, key) for e in tableau]) for key in ("slope_error", "gap_error"))
    step, every = np.array([e.step for e in tableau])[:, None], np.arange(draws)

    error = error + 4 * noise / step

    # Smaller steps can detect a kink that larger, seemingly converged steps miss; the most precise estimate corrects
    # them.
    sharpness = np.where(abs(slope) > 0, error / np.maximum(abs(slope), 1e-300), np.inf)
    judge = np.argmin(sharpness, axis=0)
    off = abs(slope - slope[judge, every]) - error[judge, every]
    corrected = (step > step[judge, 0]) & (sharpness[judge, every] < 0.01)
    error = np.where(corrected, np.maximum(error, off), error)
    best = np.argmin(error, axis=0)
    value, least = slope[best, every], error[best, every]

    # A kink: both tableaus have converged with a gap far from 0, and no smaller step removes it.
    noise = np.median((slope_error + gap_error) * step, axis=0) / step
    converged = (abs(gap) > 5 * np.maximum(gap_error, noise)) & (abs(gap) > 2 * slope_error)
    sharpest = np.argmax(np.where(converged, abs(gap) / (gap_error + slope_error + 1e-300), 0.0), axis=0)
    middle, half = slope[sharpest, every], gap[sharpest, every] / 2
    kink = np.any(converged, axis=0) & (least > 0.2 * abs(half))

    # At a kink, larger steps report a large error (their gap); with rounding inside the function, they do not.
    larger = np.arange(len(tableau))[:, None] < best
    nearly = error <= 0.01 * abs(slope)
    contradicted = np.any(larger & nearly & (abs(slope - value) > 10 * (error + least)), axis=0)
    return Slope(value, least, kink, middle - half, middle + half, contradicted)


def variable_scale(x: Float[Array, "..."]) -> float:
    """The natural step size for an array: its root mean square, or 1 if that is 0 or not finite."""
    scale = float(np.sqrt(np.mean(np.square(x)))) if x.size else 1.0
    return scale if np.isfinite(scale) and scale > 0 else 1.0


def smallest_size(x: Float[Array, "..."]) -> float:
    """The smallest magnitude of the nonzero entries of an array, at most 1."""
    sizes = np.abs(x[(x != 0) & np.isfinite(x)])
    return float(np.min(sizes, initial=1.0))


_NOT_COMPLEX = "the function {what}, so the complex step cannot differentiate it: use central_difference"


def _largest(a: np.ndarray) -> float:
    return float(np.max(np.abs(a), initial=0.0))


def _upstream(dy: np.ndarray | None, y: np.ndarray) -> np.ndarray:
    if dy is None:
        if y.size != 1:
            raise ValueError(f"the function's output has shape {y.shape}: pass dy of that shape, its upstream gradient")
        return np.ones(y.shape)
    dy = np.asarray(dy)
    if dy.shape != y.shape:
        raise ValueError(f"dy.shape={dy.shape} must be the shape of the function's output, {y.shape}")
    return dy

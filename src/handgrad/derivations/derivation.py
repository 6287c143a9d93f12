"""Derivations: named steps, each with a formula, a justification and an executable form that is checked.

A derivation is written as plain functions, one per step, and reads from top to bottom:

    square = Derivation("square", "Examples", "A square", {"N": 4}, lambda rng, N: {"x": rng.normal(size=N)})

    @square.step("definition", r"y = x^2", "y = x²", "The function to differentiate.", direct=lambda x: x**2)
    def y(x):
        return x * x

    @square.given
    def L(y):
        return y.sum()

    @square.step("the slope", r"\\partial L/\\partial x = 2x", "∂L/∂x = 2x", "Power rule.", derivative=D("L", "x"))
    def dx(x):
        return 2 * x

The names of a function's arguments declare its inputs: arrays of the point (`x`) or the results of other functions of
the derivation (`y`). The functions therefore form a computation graph. The derivative of any quantity with respect to
any other can be computed numerically by replacing the latter's value and evaluating everything that depends on it.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from handgrad.derivations.naming import near_match
from handgrad.errors import ConfigError
from handgrad.numerics import central_difference, complex_step, relative_error

COMPLEX_STEP = "complex step"
CENTRAL_DIFFERENCES = "central differences"
#: Largest relative error at which a comparison passes: rounding for exact methods, more for finite differences.
TOLERANCE, DIFFERENCE_TOLERANCE = 1e-9, 1e-6
MIN_SCALE = 1e-8
DIFFERENCE_STEP = 1e-5
MAX_SIZE = 12
DRAWS = 3

Function = Callable[..., Any]
Point = dict[str, Any]


@dataclass(frozen=True)
class D:
    """The numerical derivative that a step is compared with.

    Arguments:
        of: name of the quantity that is differentiated; for an array, the full Jacobian, with the axes of `of` before
            those of `wrt`.
        wrt: name of the variable: an array of the point, or an intermediate quantity, which is then varied
            independently.
        hold: quantities that are kept constant although they depend on `wrt`, for a partial derivative.
        take: einsum subscripts applied to the Jacobian, such as `"ndnd->nd"` for its diagonal.
        method: the complex step, or central differences if `of` is not analytic or does not accept complex numbers.
    """

    of: str
    wrt: str
    hold: tuple[str, ...] = ()
    take: str = ""
    method: str = COMPLEX_STEP

    @property
    def tolerance(self) -> float:
        return TOLERANCE if self.method == COMPLEX_STEP else DIFFERENCE_TOLERANCE


@dataclass(frozen=True)
class Link:
    """A line of code, given by its function and a piece of its text.

    The line number is looked up on demand, so it stays correct when the code moves within its function.
    """

    target: Any
    snippet: str

    def place(self) -> str:
        """`handgrad/nn/linear.py:73`, from the folder that contains the package.

        Raises:
            LookupError: the piece of text is no longer in the function.
        """
        target = inspect.unwrap(self.target)
        lines, first = inspect.getsourcelines(target)
        for number, line in enumerate(lines, first):
            if self.snippet in line:
                path = Path(inspect.getsourcefile(target) or "")
                inside = path.parts[path.parts.index("handgrad", -4) :]
                return f"{'/'.join(inside)}:{number}"
        raise LookupError(f"{self.target.__qualname__} has no line with {self.snippet!r}: update its derivation")


@dataclass(frozen=True)
class Step:
    """One line of a derivation.

    `function` is the executable form. It is compared with each of: the form it rewrites (`same`, another step's name),
    the numerical derivative (`derivative`), and a direct computation of the same quantity (`direct`). `scale` is a
    lower limit for the value that an error is divided by, such as 1 for a quantity that is 0 in exact arithmetic. `at`
    replaces some quantities by others in the check of this step: with `{"mu": "center"}` it is checked at an arbitrary
    mean, because a wrong factor of a term that is 0 at the mean of the batch would not be detected.
    """

    name: str
    statement: str
    text: str
    why: str
    function: Function
    same: str | None = None
    derivative: D | None = None
    direct: Function | None = None
    direct_label: str = "direct NumPy"
    link: Link | None = None
    scale: float = MIN_SCALE
    at: Mapping[str, str] = field(default_factory=dict)

    def source(self) -> str:
        """The source of the executable form, without its decorator."""
        return ast.unparse(_definition(self.function))


@dataclass(frozen=True)
class StepResult:
    """The result of checking a step at all points: `error` is the largest error, `at` the sizes where it occurred."""

    number: int
    name: str
    ok: bool
    error: float
    method: str
    at: str
    statement: str
    text: str
    why: str
    link: str | None
    broken: str | None = None

    def to_dict(self) -> dict[str, Any]:
        error = self.error if np.isfinite(self.error) else str(self.error)
        return {**vars(self), "error": error}


@dataclass
class Derivation:
    """A sequence of steps from a definition to the formula that `handgrad.nn` computes.

    Arguments:
        name: for `get`.
        topic: heading under which it is listed.
        title: one line.
        sizes: default sizes of the axes, all different so that a transposed matrix is detected.
        point: draws a random point, `point(rng, **sizes) -> dict of arrays`.
        least, most: smallest and largest sizes, if they are not 1 and 12.
        intro: what a reader should know beforehand.
        source: reference for the mathematics.
    """

    name: str
    topic: str
    title: str
    sizes: dict[str, int]
    point: Callable[..., Point]
    least: dict[str, int] = field(default_factory=dict)
    most: dict[str, int] = field(default_factory=dict)
    intro: str = ""
    source: str = ""
    steps: list[Step] = field(default_factory=list)
    functions: dict[str, Function] = field(default_factory=dict)

    # -- writing one --------------------------------------------------------------------------------------------------

    def given(self, function: Function) -> Function:
        """Adds a quantity that steps can refer to but that is not itself a step, such as the loss."""
        self.functions[_name(function)] = function
        return function

    def step(
        self,
        name: str,
        statement: str,
        text: str,
        why: str,
        *,
        same: str | bool = False,
        derivative: D | None = None,
        direct: Function | None = None,
        direct_label: str = "direct NumPy",
        link: Link | None = None,
        scale: float = MIN_SCALE,
        at: Mapping[str, str] | None = None,
    ) -> Callable[[Function], Function]:
        """Adds the decorated function as the next step.

        With `same=True`, the step rewrites the previous step: it is compared with that step and with the same
        derivative. A name instead of True refers to an earlier step.
        """

        def add(function: Function) -> Function:
            before = _name(self.steps[-1].function) if same is True else same or None
            inherited = derivative
            if before and inherited is None:
                inherited = next((s.derivative for s in self.steps if _name(s.function) == before), None)
            if not (before or inherited or direct):
                raise ValueError(
                    f"step {name!r} of {self.name} has nothing to compare with: give same, derivative or direct"
                )
            if _name(function) in self.functions:
                raise ValueError(f"{self.name} has two quantities named {_name(function)}")
            self.functions[_name(function)] = function
            step = Step(
                name, statement, text, why, function, before, inherited, direct, direct_label, link, scale, at or {}
            )
            self.steps.append(step)
            return function

        return add

    # -- checking it --------------------------------------------------------------------------------------------------

    def check(
        self, sizes: Mapping[str, int] | None = None, seed: int = 0, break_step: int | None = None
    ) -> list[StepResult]:
        """Evaluates every step at random points and compares it with the values that it should equal.

        Arguments:
            sizes: some or all of the axes' sizes; by default the derivation's own, and once more with a batch of 1.
            seed: seed of the random points.
            break_step: number of a step, from 1, in whose executable form one sign is changed.

        Returns:
            A result for each step.

        Raises:
            ConfigError: unknown axis, size out of range, or unknown step.
        """
        if break_step is not None and not 1 <= break_step <= len(self.steps):
            raise ConfigError(f"{self.name} has no step {break_step}: expected 1 to {len(self.steps)}")
        if seed < 0:
            raise ConfigError(f"seed={seed} must be 0 or more")
        points = list(self._points(sizes, seed))
        return [self._check_step(n, points, n == break_step) for n in range(1, len(self.steps) + 1)]

    def _points(self, sizes: Mapping[str, int] | None, seed: int) -> Iterator[Evaluation]:
        for name, size in (sizes or {}).items():
            if name not in self.sizes:
                near = near_match(name, self.sizes)
                raise ConfigError(f"{self.name} has no size {name}: {near or 'it has ' + ', '.join(self.sizes)}")
            least, most = self.least.get(name, 1), self.most.get(name, MAX_SIZE)
            if not least <= size <= most:
                raise ConfigError(
                    f"{name}={size} is out of range: {self.name} accepts {least} to {most} "
                    "(the numerical derivative varies every number in turn)"
                )
        chosen = {**self.sizes, **(sizes or {})}
        every = [chosen] * DRAWS
        if not sizes and "N" in self.sizes:
            every = [chosen, chosen, {**chosen, "N": 1}]
        for draw, at in enumerate(every):
            yield Evaluation(self, self.point(np.random.default_rng([seed, draw]), **at), at)

    def _check_step(self, number: int, points: list[Evaluation], broken: bool) -> StepResult:
        step = self.steps[number - 1]
        points = [point.at(step.at) for point in points]
        function, change = _break(step, points) if broken else (step.function, None)
        worst = (-1.0, 0.0, "", "")
        for point in points:
            at = ", ".join(f"{name}={size}" for name, size in point.sizes.items())
            for method, expected, tolerance in self._expected(step, point):
                error = _error(point.call(function), expected, step.scale)
                worst = max(worst, (error / tolerance, error, method, at), key=lambda w: w[0])
        share, error, _, at = worst
        methods = " · ".join(method for method, _, _ in self._expected(step, points[0]))
        methods += "".join(f" at {name} = {other}" for name, other in step.at.items())
        try:
            link = step.link.place() if step.link else None
        except LookupError:  # do not stop a reader because of this; a test of this package fails
            link = None
        return StepResult(
            number, step.name, share <= 1, error, methods, at, step.statement, step.text, step.why, link, change
        )

    def _expected(self, step: Step, point: Evaluation) -> Iterator[tuple[str, Any, float]]:
        """Values that the step is compared with: the method, the value and the tolerance of each."""
        if step.same:
            number = next(n for n, s in enumerate(self.steps, 1) if _name(s.function) == step.same)
            yield f"step {number}", point.value(step.same), TOLERANCE
        if step.derivative:
            yield step.derivative.method, point.derivative(step.derivative), step.derivative.tolerance
        if step.direct:
            yield step.direct_label, point.call(step.direct), TOLERANCE


class Evaluation:
    """A derivation at one point: the values of its quantities, each computed once, on first use."""

    def __init__(self, derivation: Derivation, point: Point, sizes: dict[str, int]) -> None:
        self.derivation, self.point, self.sizes = derivation, point, sizes
        self._values: dict[str, Any] = dict(point)
        self._derivatives: dict[D, np.ndarray] = {}
        self._elsewhere: dict[tuple[tuple[str, str], ...], Evaluation] = {}

    def at(self, others: Mapping[str, str]) -> Evaluation:
        """The derivation in which each of the named quantities has the value of another one."""
        if not others:
            return self
        key = tuple(others.items())
        if key not in self._elsewhere:
            moved = {name: self.value(other) for name, other in key}
            self._elsewhere[key] = Evaluation(self.derivation, {**self.point, **moved}, self.sizes)
        return self._elsewhere[key]

    def value(self, name: str) -> Any:
        if name not in self._values:
            self._values[name] = self.call(self.derivation.functions[name])
        return self._values[name]

    def call(self, function: Function) -> Any:
        """The value of the function; its arguments are looked up by name."""
        return function(*(self.value(name) for name in inspect.signature(function).parameters))

    def derivative(self, d: D) -> np.ndarray:
        if d not in self._derivatives:
            self._derivatives[d] = self._differentiate(d)
        return self._derivatives[d]

    def _differentiate(self, d: D) -> np.ndarray:
        held = {name: self.value(name) for name in d.hold}

        def function(replacement):
            moved = Evaluation(self.derivation, {**self.point, **held, d.wrt: replacement}, self.sizes)
            return np.asarray(moved.value(d.of))

        x, y = np.asarray(self.value(d.wrt)), np.asarray(self.value(d.of))
        if y.ndim:
            jacobian = _jacobian(function, x, d.method)
        elif d.method == COMPLEX_STEP:
            jacobian = complex_step(function, x)
        else:
            jacobian = central_difference(function, x, step=DIFFERENCE_STEP)
        return np.einsum(d.take, jacobian) if d.take else jacobian


def _jacobian(function: Function, x: np.ndarray, method: str) -> np.ndarray:
    """The Jacobian of an array with respect to another, `(*y.shape, *x.shape)`, varying one entry of x at a time."""
    columns = []
    for index in np.ndindex(x.shape):
        if method == COMPLEX_STEP:
            moved = x.astype(complex)
            moved[index] += 1e-25j
            columns.append(np.imag(function(moved)) / 1e-25)
        else:
            up, down = x.copy(), x.copy()
            up[index] += DIFFERENCE_STEP
            down[index] -= DIFFERENCE_STEP
            columns.append((function(up) - function(down)) / (up[index] - down[index]))
    return np.stack(columns, axis=-1).reshape(*columns[0].shape, *x.shape)


def slope(function: Function, at: Any) -> Any:
    """The derivative of an elementwise function: Im f(at + ih) / h.  It is the executable form of a derivative that is
    not yet carried out in a line of the derivation.
    """
    return function(np.asarray(at) + 1e-25j).imag / 1e-25


def _error(value: Any, expected: Any, scale: float) -> float:
    value, expected = np.asarray(value), np.asarray(expected)
    if value.shape != expected.shape:
        return float("inf")
    error = relative_error(value, expected)
    if scale > MIN_SCALE:
        largest = max(abs(value).max(initial=0), abs(expected).max(initial=0), MIN_SCALE)
        error *= float(largest / max(largest, scale))
    return error if np.isfinite(error) else float("inf")


# -- breaking a step: one sign of its source changed ------------------------------------------------------------------


def _break(step: Step, points: list[Evaluation]) -> tuple[Function, str]:
    """The step's function with one sign changed, and what was changed.

    Signs are tried in order, and finally the sign of the whole expression, until one changes the value. A term that is
    0 at these points would hide the change.
    """
    for function, change in _changes(step.function):
        try:
            with np.errstate(all="ignore"):
                errors = [_error(p.call(function), p.value(_name(step.function)), step.scale) for p in points]
        except (ArithmeticError, ValueError, IndexError, TypeError):
            continue
        if max(errors) > 1e-3 and np.isfinite(max(errors)):
            return function, change
    raise AssertionError(f"no change of {step.name!r} changes its value")


def _changes(function: Function) -> Iterator[tuple[Function, str]]:
    for index in range(sum(1 for _ in _signs(_definition(function)))):
        definition = _definition(function)
        node = list(_signs(definition))[index]
        before = _short(node)
        if isinstance(node, ast.BinOp):
            node.op = ast.Add() if isinstance(node.op, ast.Sub) else ast.Sub()
        else:
            node.op = ast.UAdd()
        yield _compile(definition, function), f"{before}  →  {_short(node)}"
    for change in ("-({})", "({}) + 1"):  # the second condition is for a quantity that is 0
        definition = _definition(function)
        last = next(node for node in ast.walk(definition) if isinstance(node, ast.Return))
        assert last.value is not None
        before = _short(last.value)
        last.value = ast.parse(change.format(ast.unparse(last.value)), mode="eval").body
        yield _compile(definition, function), f"{before}  →  {_short(last.value)}"


def _signs(definition: ast.AST) -> Iterator[Any]:
    """Sums, differences and minus signs, but not those inside indices (`x[i + 1]`, `axis=-1`, ranges)."""
    for node in ast.iter_child_nodes(definition):
        if isinstance(node, ast.Subscript | ast.keyword | ast.comprehension | ast.For | ast.arguments):
            if isinstance(node, ast.For):
                for line in node.body:
                    yield from _signs(line)
            continue
        if (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub)) or (
            isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)
        ):
            yield node
        yield from _signs(node)


def _definition(function: Function) -> ast.FunctionDef:
    definition = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(definition, ast.FunctionDef)
    definition.decorator_list = []
    return definition


def _compile(definition: ast.FunctionDef, function: Function) -> Function:
    namespace = {**function.__globals__, **inspect.getclosurevars(function).nonlocals}
    exec(compile(ast.fix_missing_locations(ast.Module([definition], [])), "<one sign changed>", "exec"), namespace)
    return namespace[definition.name]


def _short(node: ast.AST) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 70 else text[:34] + " … " + text[-33:]


def _name(function: Function) -> str:
    return function.__name__

"""The source of every step is changed in every small way, and the check of the step must fail for each change. Such a
change (a mutant) affects one sign, operation, constant, comparison, name or index, or omits a term or factor. Mutants
that compute the same cannot be detected: `EQUIVALENT` lists them with the reasons."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from handgrad import derivations
from handgrad.derivations import D, Derivation
from handgrad.derivations import derivation as room

NAMES = derivations.names()

LINE = "a straight line has the same slope everywhere, whatever constant is added to it"
AT_ZERO = "both branches are 0 at the kink; in the steps after it, which differentiate, the same change is caught"
#: Derivation, function, what their mutants' descriptions match, and why no check can tell these from the step.
EQUIVALENT = [
    (
        "log-sum-exp",
        "shifted",
        r"x\.max → x\.min",
        "any constant may be taken out; step 5 is where the maximum matters",
    ),
    ("relu", "y", r"> 0 → x\.real >= 0", AT_ZERO),
    ("leaky-relu", "y", r"> 0 → x\.real >= 0", AT_ZERO),
    ("elu", "y", r"> 0 → x\.real >= 0", AT_ZERO),
    ("elu", "from_y", r"^x → y in .*y > 0", "y has the sign of x"),
    ("gelu-tanh", "close", r"^np\.abs\(y .* → y -", "the largest difference is a positive one"),
    ("batchnorm-handout", "e21", r"^(x|mu_|z - mu_) → \w+( \+ mu_)? in return", LINE),
    ("batchnorm-handout", "e22", r"^(x|mu_|z - mu_) → \w+( \+ mu_)? in return", LINE),
    ("batchnorm-handout", "e24", r"^x → \w+ in return", LINE),
    ("batchnorm-handout", "e25", r"^x → \w+ in return", LINE),
    ("batchnorm-handout", "e26", r"^x → \w+ in by_mean", LINE),
    (
        "convolution",
        "dx_convolution",
        r"^([rs] - 1 → [rs]|1 → 0) in .*[rs] - 1, [rs]( - 0)?\)",
        "one more row or column of zeros",
    ),
    *(
        ("huber", function, r"abs\(d(\.real)?\) < delta", "both branches are the same at |d| = δ")
        for function in ("two_branches", "clipped", "huber_branches")
    ),
    *(("huber", f, r"→ delta / np\.sign", "a sign is its own inverse") for f in ("clipped", "huber_branches")),
    ("adadelta", "rescaled", r"^1000\.0 → [1-9]", "the step says that no factor matters"),
]

OPERATIONS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult}
COMPARISONS = {
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
}
SHAPES = ("len", "range", "eye", "ones_like", "zeros_like", "broadcast_to", "reshape", "transpose")
#: What runs `nn`: no formula is in its arguments, and most results do not depend on each of them.
LAYERS = ("run_layer", "make", "_batchnorm", "_evaluated", "_layernorm", "_groupnorm", "_linear")
REDUCTIONS = {"sum": "mean", "mean": "sum", "var": "std", "max": "min", "argmax": "argmin"}


def _replacements(node: ast.AST, function: Callable, arguments: list[str], index: bool) -> Iterator[ast.AST]:
    """The possible replacements of a node; `index` means that it is part of an index, an axis or a shape."""
    match node:
        case ast.BinOp(left=left, op=op, right=right):
            if type(op) in OPERATIONS:
                yield ast.BinOp(left, OPERATIONS[type(op)](), right)
            yield left
            yield right
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            yield operand
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in COMPARISONS:
            for other in COMPARISONS[type(op)]:
                yield ast.Compare(left, [other()], [right])
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() as value) if index:
            yield ast.Constant(value - 1 if value > 0 else value + 1)
        case ast.Constant(value=int() | float() as value):
            for other in (value + 1, value - 1, -value, 2 * value, 1.001 * value):
                if other != value:
                    yield ast.Constant(other)
        case ast.Call(func=ast.Attribute(attr="einsum"), args=[ast.Constant(value=str() as subscripts), *arrays]):
            operands, result = subscripts.split("->")
            indices = operands.split(",")
            for at, array in enumerate(arrays):
                if "np.eye" not in ast.unparse(array):  # the identity is symmetric
                    changed = ",".join([*indices[:at], indices[at][::-1], *indices[at + 1 :]])
                    yield ast.Call(node.func, [ast.Constant(f"{changed}->{result}"), *arrays], [])
            yield ast.Call(node.func, [ast.Constant(f"{operands}->{result[::-1]}"), *arrays], [])
        case ast.Attribute(value=value, attr="T"):
            yield value
        case ast.Name(id=name, ctx=ast.Load()) if not index:
            if isinstance(function.__globals__.get(name), float):  # a constant of the module, such as ε
                yield ast.BinOp(ast.Constant(1.001), ast.Mult(), node)
            if name in arguments:
                yield from (ast.Name(other, ast.Load()) for other in arguments if other != name)
        case ast.Attribute(value=value, attr=name, ctx=ctx) if name in REDUCTIONS:
            yield ast.Attribute(value, REDUCTIONS[name], ctx)
        case ast.Call(func=ast.Attribute(attr="sqrt" | "exp" | "log" | "tanh" | "abs"), args=[inside]):
            yield inside


def _sites(node: ast.AST, path: tuple = (), index: bool = False) -> Iterator[tuple[tuple, ast.AST, bool]]:
    """Every node of the tree, the fields that lead to it, and whether it is part of an index, an axis or a shape."""
    for name, value in ast.iter_fields(node):
        children = enumerate(value) if isinstance(value, list) else [(None, value)]
        for position, child in children:
            if not isinstance(child, ast.AST):
                continue
            inside = index or _is_index(node, name)
            yield (*path, (name, position)), child, inside
            yield from _sites(child, (*path, (name, position)), inside)


def _is_index(node: ast.AST, name: str) -> bool:
    if isinstance(node, ast.Subscript):
        return name == "slice" or (isinstance(node.value, ast.Attribute) and node.value.attr == "shape")
    if isinstance(node, ast.Call) and name == "args":
        function = node.func
        named = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
        return named in (*SHAPES, *LAYERS)
    return isinstance(node, ast.keyword) or (isinstance(node, ast.Attribute) and node.attr in ("shape", "size", "ndim"))


def mutants(function: Callable) -> Iterator[tuple[str, Callable]]:
    """Every change of the function of a step, with a description: old code → new code."""
    base = room._definition(function)
    arguments = [argument.arg for argument in base.args.args]
    seen = {ast.unparse(base)}
    for path, node, index in list(_sites(ast.Module(base.body, []))):
        for replacement in _replacements(node, function, arguments, index):
            definition = copy.deepcopy(base)
            place = definition
            for name, position in path[:-1]:
                place = getattr(place, name) if position is None else getattr(place, name)[position]
            name, position = path[-1]
            if position is None:
                setattr(place, name, copy.deepcopy(replacement))
            else:
                getattr(place, name)[position] = copy.deepcopy(replacement)
            source = ast.unparse(ast.fix_missing_locations(definition))
            if source not in seen:
                seen.add(source)
                line = next(b for a, b in zip(_lines(base), source.splitlines(), strict=True) if a != b)
                change = f"{ast.unparse(node)} → {ast.unparse(replacement)} in {line.strip()}"
                yield change, room._compile(definition, function)


def _lines(definition: ast.AST) -> list[str]:
    return ast.unparse(definition).splitlines()


def survivors(derivation: derivations.Derivation, number: int, points: list) -> tuple[int, list[str]]:
    """The number of mutants of a step, and those that its check does not detect."""
    step = derivation.steps[number - 1]
    places = [point.at(step.at) for point in points]
    expected = [(place, list(derivation._expected(step, place))) for place in places]
    tried = list(mutants(step.function))
    return len(tried), [change for change, mutant in tried if _passes(mutant, expected, step.scale)]


def _passes(mutant: Callable, expected: list, scale: float) -> bool:
    with np.errstate(all="ignore"):
        for place, wanted in expected:
            try:
                value = place.call(mutant)
                if any(room._error(value, right, scale) > tolerance for _, right, tolerance in wanted):
                    return False
            except Exception:  # a mutant that does not even run is caught, whatever it raises
                return False
    return True


@pytest.mark.filterwarnings("ignore")  # a mutant may divide by zero, cast complex numbers, or return garbage
@pytest.mark.parametrize("name", NAMES)
def test_every_mutant_is_caught_or_equivalent(name):
    derivation = derivations.get(name)
    points = list(derivation._points(None, 0))
    total, left, unused = 0, [], {entry for entry in EQUIVALENT if entry[0] == name}
    for number, step in enumerate(derivation.steps, 1):
        tried, survived = survivors(derivation, number, points)
        total += tried
        for change in survived:
            known = [e for e in EQUIVALENT if e[:2] == (name, step.function.__name__) and re.search(e[2], change)]
            unused -= set(known)
            left += [] if known else [f"{number} ({step.name}): {change}"]
    assert total >= 30
    assert not left, "\n".join(left)
    assert not unused, "listed as equivalent, but caught"


def _cube(slope, freely):
    derivation = Derivation(
        "cube", "Tests", "A cube", {"N": 4, "D": 3}, lambda rng, N, D: {"x": rng.normal(size=(N, D)), "free": 2.0}
    )

    @derivation.given
    def mean(x):
        return x.mean()

    @derivation.given
    def L(x, mean):
        return ((x - mean) ** 3).sum()

    derivation.step("slope", "", "", "So.", derivative=D("L", "mean"))(slope)
    derivation.step("freely", "", "", "So.", derivative=D("L", "mean"), at={"mean": "free"})(freely)
    return derivation


def test_the_mutants_see_a_term_that_is_zero_where_it_is_checked():
    def slope(x, mean):
        return -3 * ((x - mean) ** 2).sum() + 7 * (x - mean).sum()

    def freely(x, mean):
        return -3 * ((x - mean) ** 2).sum()

    derivation = _cube(slope, freely)
    points = list(derivation._points(None, 0))
    assert derivation._check_step(1, points, broken=False).ok  # although the slope has no such term
    _, survived = survivors(derivation, 1, points)
    assert any("7 → 8" in change for change in survived)
    assert any("→ -3 * ((x - mean) ** 2).sum() in" in change for change in survived)
    _, survived = survivors(derivation, 2, points)
    assert not survived
    result = derivation._check_step(2, points, broken=False)
    assert result.ok
    assert result.method == "complex step at mean = free"


def test_what_a_mutant_is():
    def step(x, a):
        return np.where(x > 0, -x, a * np.sqrt(x.sum(axis=1)) - 2)

    changes = {change.split(" in ")[0] for change, _ in mutants(step)}
    assert changes >= {
        "x > 0 → x >= 0",
        "x > 0 → x < 0",
        "-x → x",
        "2 → 3",
        "2 → 2.002",
        "1 → 0",
        "a * np.sqrt(x.sum(axis=1)) - 2 → a * np.sqrt(x.sum(axis=1)) + 2",
        "a * np.sqrt(x.sum(axis=1)) - 2 → a * np.sqrt(x.sum(axis=1))",
        "a * np.sqrt(x.sum(axis=1)) → a",
        "np.sqrt(x.sum(axis=1)) → x.sum(axis=1)",
        "x.sum → x.mean",
        "x → a",
    }

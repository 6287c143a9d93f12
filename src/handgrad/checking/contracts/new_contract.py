"""Writes a course file from one correct solution: detects its parts, their arguments and the gradients of these.

The solution runs in the sandbox. For every class and function, several interfaces are tried, the most likely first.
The interface whose gradients match numerical derivatives of the forward pass is chosen. Names alone are never
sufficient.
"""

from __future__ import annotations

import ast
import itertools
import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from handgrad.checking.contracts.adapting import adapted
from handgrad.checking.contracts.course_file import (
    SIZES,
    Bad,
    CoursePart,
    read_part,
)
from handgrad.checking.contracts.described import module_name
from handgrad.checking.contracts.differences import Sweep
from handgrad.checking.contracts.generic import guess, kind_of, required
from handgrad.checking.contracts.judging import call, define, get, right_value
from handgrad.checking.contracts.known_subjects import KNOWN
from handgrad.checking.contracts.source import Module, Source, empty
from handgrad.checking.diagnosis import close
from handgrad.checking.handin import Refused, take_in
from handgrad.checking.probe import Observation, Operation, Probe, Value
from handgrad.checking.sandbox import MEANS, Limits, Sandbox
from handgrad.errors import ConfigError

#: The sizes in the two trials. No two sizes are equal in both trials, so that they can be identified in a shape.
SIZES_TRIED: Mapping[str, tuple[int, ...]] = {
    "N": (7, 6), "D": (4, 3), "K": (3, 5), "C": (2, 4), "H": (5, 4), "W": (4, 5),
}  # fmt: skip
#: Batches of images are smaller, because numerical derivatives require two forward passes per entry.
IMAGE_SIZES = {"N": (3, 2)}
MAX_VARIANTS = 60
#: Number of variants that are differentiated before the results are examined.
VARIANTS_PER_RUN = 4
UPSTREAM = re.compile(r"dout|^d[yzah]$|grad|delta|upstream|^dL|^d[A-Z]|error|^g$|^dy", re.I)
TARGET = re.compile(r"^(y|t|y_?true|target|labels?|targets|true|y_?hat|truth)$", re.I)
WEIGHT = re.compile(r"^w[\dx]*$|^w_?[a-z]h?$|weight|kernel|theta")
DERIVATIVES = ("{}_backward", "{}_grad", "{}_gradient", "{}_prime", "{}_derivative", "d_{}", "grad_{}", "d{}")
EPS = (1e-5, 1e-8, 1e-6, 1e-7, 1e-3, 1e-4, 1e-10, 1e-12, 0.0)
OPTIONS: Mapping[str, tuple[float, ...]] = {
    "eps": EPS, "slope": (0.01, 0.3, 0.02, 0.1, 0.2), "alpha": (1.0, 0.3), "stride": (1, 2), "pad": (0, 1),
}  # fmt: skip

Entry = dict[str, Any]


@dataclass
class Found:
    """One class, function or pair of functions of the solution, and its possible interfaces."""

    name: str
    module: Module
    variants: list[Entry]
    backward: str
    """The method or function that returns the gradients; empty if there is none."""
    takes: list[str]
    """The arguments of backward."""
    cache: str
    """The location of the cache that backward may take."""
    entry: Entry | None = None
    """The chosen interface."""
    missing: list[str] = field(default_factory=list)
    """Arguments that affect the output of forward, but have no gradient in backward."""
    evaluated: Entry | None = None
    """The same part in evaluation mode, if it has running statistics."""
    why: str = ""
    """The first error, for parts without a suitable interface."""

    def with_backward(self, entry: Entry) -> list[Entry]:
        """The possible ways to call backward."""
        if not self.backward:
            return [entry]
        takes = _takes(self.takes, list(entry["inputs"]), self.cache)
        return [{**entry, "backward": self.backward, "backward_takes": one} for one in takes]


@dataclass(frozen=True)
class Explored:
    """The result of one variant in one trial."""

    part: CoursePart
    position: int
    arrays: Mapping[str, Any]
    sweeps: Mapping[str, Sweep]
    up: np.ndarray
    observation: Observation

    @property
    def output(self) -> np.ndarray | None:
        return self.observation.get("y")

    @property
    def dy(self) -> np.ndarray:
        y = self.output
        assert y is not None
        return np.resize(self.up, y.shape) if self.part.upstream else np.ones(y.shape)

    def gradient(self, name: str) -> np.ndarray | None:
        """The numerical derivative."""
        sweep, y = self.sweeps.get(name), self.output
        if sweep is None or y is None:
            return None
        J = sweep.jacobian(self.observation.get(f"values {name}"), y)
        return None if J is None else (J @ self.dy.ravel()).reshape(sweep.x.shape)

    def places(self) -> dict[str, np.ndarray]:
        """Possible locations of a gradient: return values of backward and forward, and the arrays of the layer."""
        found: dict[str, np.ndarray] = {}
        for key in ("backward", "forward"):
            value = self.observation.values.get(key)
            if value is None or (key == "forward" and value.kind not in ("tuple", "list")):
                continue
            found |= {place: array for place, array in _flat(key, value) if place not in ("forward", "forward[0]")}
        after = self.observation.values.get("after")
        for place, value in (after.items if after is not None else {}).items():
            if value.array is not None:
                found[place] = value.array
        return found


def _flat(place: str, value: Value) -> Iterator[tuple[str, np.ndarray]]:
    if value.array is not None and value.kind in ("array", "number"):
        yield place, value.array
    for key, item in value.items.items():
        if value.kind in ("tuple", "list", "dict"):
            yield from _flat(f"{place}[{key if value.kind != 'dict' else repr(key)}]", item)


# -- possible interfaces ----------------------------------------------------------------------------------------------


def candidates(module: Module) -> list[Found]:
    """The classes and functions of one file that could be parts."""
    found, partners = [], set()
    for name in module.classes:
        methods = module.methods(name)
        forward = next((one for one in ("forward", "__call__") if one in methods), None)
        if name.startswith("_") or forward is None or empty(methods[forward]):
            continue
        backward = next((one for one in ("backward", "derivative", "gradient") if one in methods), "")
        variants = list(_class_variants(module, name, forward))[:MAX_VARIANTS]
        takes = required(methods[backward]) if backward else []
        found.append(Found(name, module, variants, backward, takes, ""))
    for forward in module.functions:
        backward = _partner(module, forward)
        partners |= {backward} if backward else set()
    called = {
        node.func.id
        for function in [*module.functions.values(), *module.classes.values()]
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    for forward, node in module.functions.items():
        backward = _partner(module, forward)
        if forward.startswith("_") or forward in partners or (not backward and forward in called) or empty(node):
            continue
        variants = list(_function_variants(module, forward))[:MAX_VARIANTS]
        takes = required(module.functions[backward]) if backward else []
        found.append(Found(forward, module, variants, backward, takes, "forward[1]"))
    return found


def _partner(module: Module, forward: str) -> str:
    """The function that, according to its name, computes the gradient of `forward`; empty if there is none."""
    stem = re.sub(r"_?(forward|fwd)(?=_|$)", "", forward)
    names = [forward.replace("forward", "backward"), forward.replace("fwd", "bwd")] if stem != forward else []
    names += [pattern.format(one) for one in (forward, stem) for pattern in DERIVATIVES]
    return next((name for name in names if name in module.functions and name != forward), "")


def _class_variants(module: Module, name: str, forward: str) -> Iterator[Entry]:
    methods = module.methods(name)
    built = [_constructed(one) for one in required(methods["__init__"])] if "__init__" in methods else []
    # the shapes of a layer from D to K are less ambiguous than those of a layer from D to D
    products = sorted(itertools.product(*built), key=lambda one: -len(set(map(str, one))))
    for construct in products[:6]:
        for inputs in _inputs(required(methods[forward]), kind_of(name) or ""):
            entry: Entry = {"class": name, "construct": list(construct), "inputs": inputs}
            yield entry if forward == "forward" else {**entry, "forward": forward}


def _function_variants(module: Module, forward: str) -> Iterator[Entry]:
    for inputs in _inputs(required(module.functions[forward]), ""):
        yield {"forward": forward, "inputs": inputs}


def _constructed(name: str) -> list[Any]:
    known = guess(name, 4, 3)
    if known is None:
        return ["D", "K", 0.5, 2]
    return {4: ["D", "K", "C"], 3: ["K", "D"]}.get(known, [known]) if isinstance(known, int) else [known]


def _array(*shape: Any, **more: Any) -> Entry:
    return {"shape": list(shape), **more}


def _inputs(names: Sequence[str], kind: str) -> Iterator[dict[str, Entry]]:
    """Possible values for the arguments of forward, the most likely first."""
    if not names:
        return
    batches = [("N", "D"), ("N", "C", "H", "W"), ("D", "N"), ("D",), ()]
    loss = len(names) > 1 and bool(TARGET.match(names[1]))
    weighted = any(WEIGHT.search(name.lower()) for name in names)
    for batch in [("N", "K"), ("N",), *batches] if loss else batches:
        choices: list[list[Any]] = []
        for position, name in enumerate(names):
            choices.append(_choices(name, position, batch, loss, weighted))
        for one in itertools.islice(itertools.product(*choices), 24):
            yield dict(zip(names, one, strict=True))


def _choices(name: str, position: int, batch: tuple[str, ...], loss: bool, weighted: bool) -> list[Any]:
    low, features = name.lower(), batch[-1] if batch else "D"
    if position == 0:
        kinds = ("spread", "probabilities", "uniform") if loss and len(batch) == 2 else ("spread",)
        ranged = {"uniform": {"low": 0.1, "high": 0.9}}
        return [_array(*batch, values=kind, **ranged.get(kind, {})) for kind in kinds]
    if loss and position == 1:
        same = [_array(*batch), _array(*batch, values="integers", low=0, high=2)]
        if len(batch) < 2:
            return same
        labels = _array("N", values="integers", low=0, high=features)
        # One-hot rows come last: a loss that accepts arbitrary targets should be tested with them.
        return [labels, *same, _array(*batch, values="one-hot")]
    if re.search(r"^(prev|last)|(^|_)h(_|\d|$)|hidden|(^|_)state", low):
        return [_array("N", "K"), _array("K", "N")]
    if re.search(r"^w(_?hh?|_?rec.*)$|recurrent", low):
        return [_array("K", "K"), _array("D", "K")]
    if WEIGHT.search(low):
        shapes = [("D", "K"), ("K", "D"), ("D",)] if len(batch) < 4 else [("K", "C", 2, 2), ("C", "K", 2, 2)]
        return [_array(*shape) for shape in shapes]
    if re.search(r"^b\d*$|bias", low) and not weighted:  # x + b, or the second of two operands
        return [_array(*batch), _array(features), _array(1, features), _array()] if batch else [_array()]
    if re.search(r"^b\d*$|bias", low):
        return [_array("K"), _array(1, "K"), _array("K", 1), _array()]
    if re.search(r"gamma|beta|scale|shift", low):
        features = "C" if len(batch) == 4 else features
        shapes = [(features,), (1, features), (1, features, 1, 1)]
        return [_array(*shape, values="uniform", low=0.5, high=2.0) for shape in shapes]
    known = guess(name, 4, 3)
    if re.search(r"param|config", low):
        return [{"value": {"mode": "train"}}]
    if re.search(r"train", low):
        return [{"value": True}]
    if isinstance(known, float):
        return [{"value": known}]
    if known in (1, 0):
        return [{"value": known}]
    return [_array(*batch), {"value": 0.5}, {"value": 2}]


def _takes(names: Sequence[str], inputs: Sequence[str], cache: str) -> list[list[str]]:
    """Possible arguments of backward: those that the names suggest, otherwise all orders of all values."""
    pool = ["dout", *([cache] if cache else []), *inputs, "forward"]
    by_name = []
    for name in names:
        if re.search(r"cache|memo|saved|ctx", name.lower()):
            by_name.append(cache or "forward[1]")
        elif name in inputs:
            by_name.append(name)
        elif UPSTREAM.search(name):
            by_name.append("dout")
    if len(by_name) == len(names):
        return [by_name]
    found = [list(one) for one in itertools.permutations(pool, len(names))] if len(names) <= 3 else []
    return found[:12]


# -- trying interfaces ------------------------------------------------------------------------------------------------


class Explorer:
    """Tries interfaces on the solution in the sandbox."""

    def __init__(self, sandbox: Sandbox, source: Source, seed: int = 0) -> None:
        self.sandbox, self.source, self.seed, self.failure = sandbox, source, seed, ""

    def run(self, tried: Sequence[tuple[Module, CoursePart]], *, derivatives: bool) -> list[list[Explored]]:
        """The results of each variant in two trials; empty for variants that fail."""
        self.failure = ""
        probes, kept = [], []
        for k, (module, part) in enumerate(tried):
            for position in range(2):
                probe, given = self._probe(f"{k} {position}", module, part, position, derivatives)
                probes.append(probe)
                kept.append((k, part, position, given))
        paths = tuple(dict.fromkeys([*(module.folder for module, _ in tried), "."]))
        observed = {one.probe: one for one in self.sandbox.run(probes, paths)}
        found: list[list[Explored]] = [[] for _ in tried]
        for k, part, position, (arrays, sweeps, up) in kept:
            seen = observed[f"{k} {position}"]
            if seen.failure is None and seen.get("y") is not None and np.isfinite(seen["y"]).all():
                found[k].append(Explored(part, position, arrays, sweeps, up, seen))
            elif not self.failure:
                self.failure = str(seen.failure or "it does not return an array of finite numbers")
        return [each if len(each) == 2 else [] for each in found]

    def _probe(self, name: str, module: Module, part: CoursePart, position: int, derivatives: bool):
        g = np.random.default_rng([self.seed, position])
        given = part.make(g, position)
        arrays = {key: value for key, value in given.arrays.items() if isinstance(value, np.ndarray)}
        fresh = [{"fresh": key} if key in arrays else _expression(value) for key, value in given.arrays.items()]
        spec = {**part.spec(), "arrays": True, "gradients": [], "output": ["forward", 0]}
        source = adapted(spec)
        up, sent = g.normal(size=4096), dict(arrays)
        operations: list[Operation] = [
            {"op": "import", "module": module_name(module), "as": "m", "send": False},
            define("outputs"),
            {"op": "define", "source": source, "as": "made", "send": False},
            {"op": "seed", "value": 1},
            call("made", "adapted", "forward", args=fresh, to="other", send=False),
            get("other", 0, to="y again"),
            {"op": "seed", "value": 0},
            call("made", "adapted", "forward", args=fresh, to="f", send=False),
            get("f", 0, to="y"),
            get("f", 1, "forward", to="forward"),
            get("f", 1, "before", to="before"),
        ]
        if part.backward:
            operations += [
                {"op": "let", "value": {"shaped": "up", "like": ["y"]}, "as": "dy", "send": False},
                call("made", "adapted", "backward", args=[{"path": ["dy"]}, {"path": ["f", 1]}], to="g", attempt=True),
                get("f", 1, "backward", to="backward", optional=True),
            ]
        operations += [call("f", 1, "arrays", to="after", attempt=True)]
        sweeps = {}
        if derivatives:
            operations.append(
                call("ours", "value", args=[{"path": ["made", "adapted", "forward"]}, 0], to="only", send=False)
            )
            for k, (key, value) in enumerate(given.arrays.items()):
                if key in arrays and value.dtype.kind == "f" and value.size <= 300:
                    sweeps[key] = Sweep.around(value, g)
                    sent[f"points {key}"] = sweeps[key].rows
                    args = [*fresh[:k], {"row": "array"}, *fresh[k + 1 :]]
                    each = {"op": "each", "rows": f"points {key}", "path": ["only"], "args": args, "try": True}
                    operations.append({**each, "as": f"values {key}"})
        return Probe(name, operations, {**sent, "up": up}), (arrays, sweeps, up)


def _expression(value: Any) -> Any:
    return {"dict": [[key, item] for key, item in value.items()]} if isinstance(value, dict) else value


def _read(entry: Entry) -> CoursePart | None:
    """The part that an entry describes, with `SIZES_TRIED`; None if the entry is invalid."""
    images = any(len(one.get("shape", ())) == 4 for one in entry["inputs"].values() if isinstance(one, dict))
    try:
        return read_part({"compare": False, **entry}, {**SIZES_TRIED, **(IMAGE_SIZES if images else {})})
    except Bad:
        return None


def settle(found: Found, explorer: Explorer) -> None:
    """Chooses the interface with correct gradients for the most arguments, or any that runs if there is none."""
    tried = [(entry, part) for entry in found.variants if (part := _read(entry)) is not None]
    if not tried:
        found.why = "no values could be generated for its arguments"
        return
    best: tuple[Any, Entry, list[str]] | None = None
    first = explorer.run([(found.module, part) for _, part in tried], derivatives=False)
    chosen = [entry for (entry, _), seen in zip(tried, first, strict=True) if seen]
    found.why = explorer.failure
    seen_of = {id(entry): seen for (entry, _), seen in zip(tried, first, strict=True)}
    filled = [
        complete
        for entry in chosen[:12]
        for complete in found.with_backward(_with_parameters(entry, seen_of[id(entry)]))
    ][:MAX_VARIANTS]
    second = [(entry, part) for entry in filled if (part := _read(entry)) is not None]
    for group in (second[k : k + VARIANTS_PER_RUN] for k in range(0, len(second), VARIANTS_PER_RUN)):
        explored = explorer.run([(found.module, part) for _, part in group], derivatives=True)
        for (entry, _), seen in zip(group, explored, strict=True):
            if not seen:
                continue
            failure = next((v.failure for one in seen if (v := one.observation.values.get("g")) is not None), None)
            if failure is not None:
                found.why = found.why or str(failure)
                continue
            complete, right, by_name, missing = _with_gradients(entry, seen)
            rank = (right, -by_name - len(missing))
            if best is None or rank > best[0]:
                best = (rank, complete, missing)
        if best is not None and not best[0][1] and (best[0][0] or not found.backward):
            break
    if best is not None:
        _, found.entry, found.missing = best


def _with_parameters(entry: Entry, seen: Sequence[Explored]) -> Entry:
    """Adds the arrays that the layer contains before forward as parameters."""
    before = [one.observation.values.get("before") for one in seen]
    if not entry.get("class") or any(one is None for one in before):
        return entry
    parameters = {}
    for place in before[0].items if before[0] is not None else ():
        arrays = [one.items[place].array for one in before if one is not None and place in one.items]
        if len(arrays) != len(before) or any(one is None or one.dtype.kind != "f" for one in arrays):
            continue
        shape = _named([one.shape for one in arrays if one is not None], seen[0].part)
        if shape is not None and shape:
            positive = re.search(r"var|gamma|scale|std", place.lower())
            drawn = {"values": "uniform", "low": 0.5, "high": 2.0} if positive else {}
            parameters[place.removeprefix("layer.").removeprefix("layer")] = _array(*shape, **drawn)
    return {**entry, "parameters": parameters} if parameters else entry


def _named(shapes: Sequence[tuple[int, ...]], part: CoursePart) -> list[Any] | None:
    """A shape with names of sizes, derived from the shapes in the two trials."""
    if len({len(shape) for shape in shapes}) != 1:
        return None
    images = {"N": IMAGE_SIZES["N"]} if part.sizes.get("N") == IMAGE_SIZES["N"] else {}
    sizes = {**SIZES_TRIED, **images}
    names = []
    for axis in zip(*shapes, strict=True):
        name = next((name for name in (*part.sizes, *sizes) if sizes[name] == axis and name != "N"), None)
        if name is None and len(set(axis)) > 1:
            return None
        names.append(name or axis[0])
    return names


def _with_gradients(entry: Entry, seen: Sequence[Explored]) -> tuple[Entry, int, int, list[str]]:
    """Assigns gradients to arguments. Returns the entry, the number of correct gradients, the number of gradients that
    are assigned only by name, and the arguments without a gradient."""
    part = seen[0].part
    arguments = {**entry["inputs"], **entry.get("parameters", {})}
    places = [one.places() for one in seen]
    common = [place for place in places[0] if all(place in other for other in places)]
    right: dict[str, tuple[str, bool]] = {}
    unused, by_name, missing = set(), {}, []
    for name, argument in arguments.items():
        expected = [one.gradient(name) for one in seen]
        if not isinstance(argument, dict) or "shape" not in argument or argument.get("values") == "integers":
            continue
        if all(one is not None and not one.any() for one in expected):
            unused.add(name)
            continue
        fitting = [place for place in common if _fits(place, name, places, seen)]
        for averaged in (False, True):
            divide = [len(one.dy) if one.dy.ndim and averaged else 1 for one in seen]
            exact = [
                place
                for place in fitting
                if place not in {taken for taken, _ in right.values()}
                and all(
                    value is not None and close(np.reshape(found[place], value.shape), value / by, 1e-6)
                    for value, found, by in zip(expected, places, divide, strict=True)
                )
            ]
            if exact:
                right[name] = (_best(exact, name), averaged)
                break
        else:
            likely = [place for place in fitting if _likely(place, name, position=list(arguments).index(name))]
            if likely and not TARGET.match(name):
                by_name[name] = likely[0]
            elif part.backward and not TARGET.match(name) and all(one is not None for one in expected):
                missing.append(name)
    parameters = [name for name in entry.get("parameters", {}) if name in right or name in by_name]
    divisions = [right[name][1] for name in parameters if name in right]
    averaged = bool(parameters) and len(divisions) == len(parameters) and all(divisions)
    for name, (place, divided) in list(right.items()):
        if divided and not (averaged and name in parameters):
            del right[name]  # if only some gradients are divided by N, it is a bug, which the checker names
            by_name[name] = place
    complete = {**entry, "inputs": {}, **({"parameters": {}} if "parameters" in entry else {})}
    for table in ("inputs", "parameters"):
        for name, argument in entry.get(table, {}).items():
            if table == "parameters" and name not in right and name not in by_name and name in unused:
                continue  # forward does not read it
            place = right[name][0] if name in right else by_name.get(name)
            given = {**argument, "gradient": place} if place else argument
            if name in right and right[name][1]:
                given = {**given, "averaged": True}
            complete[table][name] = given
    if "parameters" in complete and not complete["parameters"]:
        del complete["parameters"]
    if not part.backward and not any("forward" in str(one.get("gradient")) for one in _tables(complete)):
        for one in _tables(complete):
            one.pop("gradient", None)
    takes_tuple = any(one.observation.values["forward"].kind in ("tuple", "list") for one in seen)
    if takes_tuple and "forward[1]" not in entry.get("backward_takes", ()):
        complete["output"] = "forward[0]"
    if any(not close(one.observation["y again"], one.observation["y"]) for one in seen if "y again" in one.observation):
        complete["compare"] = False
    state = _states(seen)
    if state and complete.get("compare", True):
        complete["state"] = state
    return complete, len(right), len(by_name), missing


def _tables(entry: Entry) -> list[Entry]:
    return [one for table in ("inputs", "parameters") for one in entry.get(table, {}).values() if isinstance(one, dict)]


def _fits(place: str, name: str, places: Sequence[Mapping[str, np.ndarray]], seen: Sequence[Explored]) -> bool:
    """Whether the array at this location has the size of the argument in both trials and is not the argument itself."""
    for found, one in zip(places, seen, strict=True):
        value, given = found[place], one.arrays.get(name)
        if given is None or value.dtype.kind not in "fiu" or value.size != given.size:
            return False
        if place == f"layer.{name}" or place == f"layer{name}":
            return False
    return True


def _best(places: Sequence[str], name: str) -> str:
    """A return value of backward if there is one, otherwise the attribute with the most likely name."""
    last = re.sub(r".*\W(\w+)\W*$", r"\1", name)
    return min(places, key=lambda place: (not place.startswith("backward"), last not in place, len(place)))


def _likely(place: str, name: str, position: int) -> bool:
    last = re.sub(r".*\W(\w+)\W*$", r"\1", name).lower()
    if place.startswith("backward"):
        return place in ("backward", f"backward[{position}]") or last in place.lower()
    if place.startswith("forward"):
        return True
    tail = re.sub(r".*\W(\w+)\W*$", r"\1", place).lower()
    return bool(
        re.search(rf"d.*{re.escape(last)}$|{re.escape(last)}.*grad|grad.*{re.escape(last)}", place.lower())
    ) or ("grad" in place.lower() and tail == last)


def _states(seen: Sequence[Explored]) -> list[str]:
    """The locations of the running statistics that forward updates."""
    found = []
    for place in seen[0].places():
        before = [one.observation.values["before"].items.get(place) for one in seen]
        after = [one.places().get(place) for one in seen]
        moved = all(
            b is not None
            and b.array is not None
            and a is not None
            and a.shape == b.array.shape
            and not close(a, b.array)
            for a, b in zip(after, before, strict=True)
        )
        if moved and re.search(r"running|moving|avg|average", place.lower()):
            found.append(place)
    return found


def recognise_subject(entry: Entry, seen: Sequence[Explored]) -> dict[str, Any] | str | None:
    """The known subject that has the same output and gradients; None if there is none."""
    if entry.get("compare") is False:
        return None
    built = [one for one in entry.get("construct", []) if isinstance(one, float)]
    for name, known in KNOWN.items():
        choices = [[*built, *OPTIONS[key]] for key in known.options]
        for values in itertools.product(*choices):
            options = dict(zip(known.options, values, strict=True))
            subject = {"name": name, **options} if options else name
            with np.errstate(all="ignore"):  # logarithms of negative numbers
                part = _read({**entry, "subject": subject})
            if part is not None and all(_same(part, one) for one in seen):
                return subject
    return None


@np.errstate(all="ignore")
def _same(part: CoursePart, one: Explored) -> bool:
    assert part.known is not None
    given = part.make(np.random.default_rng([0, one.position]), one.position)
    y, places = one.output, one.places()
    if y is None or not close(right_value(part.known.output, given.draw), y, 1e-9):
        return False
    draw = given.draw.changed(dy=one.dy, y=y, handed=given.arrays)
    subjects = part.described().gradients
    for argument, text in ((a, _text_of(a.gradient)) for a in part.with_gradient):
        found = places.get(text)
        expected = right_value(subjects[argument.label], draw)
        if found is None or found.size != expected.size or not close(np.reshape(found, expected.shape), expected, 1e-9):
            return False
    return True


def _text_of(place: Sequence[Any]) -> str:
    text = str(place[0])
    for step in place[1:]:
        text += f".{step}" if isinstance(step, str) else f"[{(step['key'] if isinstance(step, dict) else step)!r}]"
    return text


# -- the file ---------------------------------------------------------------------------------------------------------


def describe(path: str | Path, limits: Limits | None = None) -> list[Found]:
    """Detects the parts of a solution, as entries of a course file.

    Raises: ConfigError if the solution does not exist, is not Python, or contains nothing that could be a part.
    """
    with tempfile.TemporaryDirectory(prefix="handgrad-reference-", ignore_cleanup_errors=True) as folder:
        try:
            solution = take_in(path, Path(folder))
        except Refused as error:
            raise ConfigError(f"new-contract={path}: {error.finding.evidence}") from None
        source = Source.read(solution.folder)
        listed = set(solution.files)
        chosen = [module for module in source.modules if module.path in listed]
        if Path(path).is_file():
            chosen = [module for module in chosen if module.name == Path(path).stem] or chosen
        for name, why in source.unreadable.items():
            raise ConfigError(f"new-contract={path}: {name} cannot be read: {why}")
        found = [one for module in chosen for one in candidates(module)]
        if not found:
            raise ConfigError(
                f"new-contract={path} has no class with forward and no function: expected a correct solution, such as "
                "a class with forward and backward, or a pair NAME_forward and NAME_backward"
            )
        limits = limits or Limits(total_seconds=240.0)
        with Sandbox(solution.folder, limits, means=MEANS, leave=True) as sandbox:
            explorer = Explorer(sandbox, source)
            for one in found:
                settle(one, explorer)
            right = [one for one in found if one.entry is not None]
            parts = [(one.module, _read(one.entry)) for one in right if one.entry is not None]
            explored = explorer.run([(module, part) for module, part in parts if part is not None], derivatives=False)
            for one, seen in zip(right, explored, strict=True):
                subject = recognise_subject(one.entry or {}, seen) if seen else None
                if one.entry is not None and subject is not None:
                    one.entry["subject"] = subject
                if one.entry is not None and seen and "eval" in one.module.methods(one.name):
                    one.evaluated = _in_evaluation(one.entry, seen)
        return found


def _in_evaluation(entry: Entry, seen: Sequence[Explored]) -> Entry | None:
    """The part after `eval()`, with given running statistics."""
    statistics = {}
    for place in entry.get("state", ()):
        arrays = [one.observation.values["before"].items[place].array for one in seen]
        shape = _named([one.shape for one in arrays if one is not None], seen[0].part)
        if shape:
            statistics[place.removeprefix("layer.")] = _array(*shape, values="uniform", low=0.5, high=2.0)
    if not statistics:
        return None
    kept = {key: entry[key] for key in ("class", "construct", "forward") if key in entry}

    def without_gradients(table: Mapping[str, Entry]) -> dict[str, Entry]:
        unwanted = ("gradient", "averaged")
        return {name: {k: v for k, v in one.items() if k not in unwanted} for name, one in table.items()}

    parameters = {**without_gradients(entry.get("parameters", {})), **statistics}
    found = {"name": f"{entry['class']} in evaluation", **kept, "before": ["eval"]}
    return {**found, "inputs": without_gradients(entry["inputs"]), "parameters": parameters}


def _inline(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return (
            "{ " + ", ".join(f"{_key(key)} = {_inline(item)}" for key, item in value.items()) + " }" if value else "{}"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)


HEADER = """\
# A course file, written by `handgrad check --new-contract {solution}`. You can edit everything: points, names, shapes.
# To check one hand-in: `handgrad check --contract {file} HAND-IN`
# To check a class: `handgrad check --contract {file} --class FOLDER --out table.csv`
title = {title}
reference = {reference}    # your correct solution; it runs in the sandbox, and no hand-in can read it

# The sizes in each trial. N is the batch size; the last trial has a single sample.
[sizes]
"""
SUBJECT = "# handgrad knows this layer and can name its common bugs"
NO_SUBJECT = "# handgrad does not know this layer: its output is compared with the reference"
BY_DIFFERENCES = "# its gradients are compared with numerical derivatives of its own forward pass"


def written_course(entries: Sequence[Entry], solution: str, file: str) -> str:
    """The text of the course file."""
    title = Path(solution).stem
    text = HEADER.format(
        solution=Path(solution).name, file=file, title=json.dumps(title), reference=json.dumps(solution)
    )
    names = {one for entry in entries for one in _size_names(entry)}
    text += "".join(f"{name} = {list(SIZES[name])}\n" for name in SIZES if name in names)
    for entry in entries:
        text += "\n[[part]]\n"
        lines = {key: value for key, value in entry.items() if key not in ("inputs", "parameters")}
        if lines.get("backward") == "backward" and lines.get("backward_takes") == ["dout"]:
            del lines["backward"], lines["backward_takes"]
        if lines.get("backward_takes") == ["dout", "forward[1]"]:
            del lines["backward_takes"]
        if not lines.get("construct", True):
            del lines["construct"]
        for key, value in lines.items():
            comment = {"subject": f"   {SUBJECT}", "compare": "   # its output is random"}.get(key, "")
            comment = comment if key != "sizes" else "   # this part does not work with a single sample"
            text += f"{key} = {_inline(value)}{comment}\n"
        if "subject" not in entry:
            has_gradients = any("gradient" in one for one in _tables(entry))
            text += f"{NO_SUBJECT}\n" if "compare" not in entry else ""
            text += f"{BY_DIFFERENCES}\n" if has_gradients else ""
        for table in ("inputs", "parameters"):
            for name, value in entry.get(table, {}).items():
                text += f"{table}.{_key(name)} = {_inline(value)}"
                text += "    # its gradient is divided by the batch size\n" if value.get("averaged") else "\n"
    return text


def _size_names(entry: Entry) -> set[str]:
    def collect(value: Any) -> Iterator[str]:
        if isinstance(value, str) and value in SIZES:
            yield value
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from collect(item)

    return {name for key in ("construct", "inputs", "parameters") for name in collect(entry.get(key))}


__all__ = ["Found", "describe", "written_course"]

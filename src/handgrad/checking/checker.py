"""Checks one hand-in from end to end: read it, recognise it, run it in the sandbox, judge the results."""

from __future__ import annotations

import ast
import os
import secrets
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from handgrad.checking import contracts
from handgrad.checking.contracts import Contract, CourseFile, Source
from handgrad.checking.contracts.judging import Judge, failed_part
from handgrad.checking.handin import HandIn, Refused, take_in
from handgrad.checking.probe import Failure, Observation, Probe
from handgrad.checking.results import Finding, Part, Report
from handgrad.checking.sandbox import MEANS, Limits, Sandbox, SandboxError
from handgrad.checking.worker import REMOVED
from handgrad.errors import ConfigError

#: Editions covered by a contract with another name.
EDITIONS = {
    **{f"uva-{year}": "uva-2021" for year in range(2022, 2026)},
    "cmu-2021": "cmu-2020",
    **{f"cmu-{year}": "cmu-2022" for year in range(2023, 2026)},
}
#: The part for the whole hand-in, if nothing smaller can be named.
WHOLE = "hand-in"


def check(
    path: str | os.PathLike,
    *,
    contract: str | None = None,
    gradient: str | None = None,
    limits: Limits | None = None,
    seed: int | None = None,
    allow_handgrad: bool = False,
    means: Sequence[str] = MEANS,
    beside: bool = True,
    stop: threading.Event | None = None,
) -> Report:
    """Checks a file, a folder or an archive.

    Arguments:
        path: the hand-in.
        contract: the name of the interface that the hand-in follows, if it cannot be detected (see
            `contract_names()`), or a course file, `course.toml`, that describes one.
        gradient: `FUNCTION:GRADIENT`, two functions of the hand-in; the second computes the gradient of the first.
        limits: limits on time, memory and so on, for the hand-in and for the work of the checker on it.
        seed: seed of the random inputs; None for an unpredictable one. The report contains it.
        allow_handgrad: whether the hand-in may import handgrad.
        means: means of isolation, if available; see `sandbox.MEANS`.
        beside: whether a single file may import others in its folder.
        stop: when it is set, the check ends immediately, without a result.

    Returns: a report, whatever the hand-in does. If the hand-in cannot be judged, the report says so.

    Raises: ConfigError if there is no contract of that name, the course file or its reference is wrong, or
        `gradient` cannot be read.
    """
    if contract is not None and is_course_file(contract):
        contract = str(Path(contract).absolute())
        verify(CourseFile.read(contract), limits or Limits(), means)
    elif contract is not None and contract not in contract_names():
        raise ConfigError(f"there is no contract={contract!r}: expected one of {', '.join(contract_names())}")
    if gradient is not None:
        _two_names(gradient)
    from handgrad.checking.alone import check_alone

    begun = time.monotonic()
    options = {
        "contract": contract,
        "gradient": gradient,
        "limits": limits or Limits(),
        "seed": secrets.randbits(32) if seed is None else seed,
        "allow_handgrad": allow_handgrad,
        "means": list(means),
        "beside": beside,
    }
    report = check_alone(os.fspath(path), options, stop)
    return replace(report, seconds=time.monotonic() - begun, seed=options["seed"]).printable()


def is_course_file(contract: str) -> bool:
    """Whether this is the path of a course file, `course.toml`, and not the name of a contract."""
    return contract.endswith(".toml") or os.sep in contract


class WrongReference(ConfigError):
    """The reference of a course does not satisfy the description of the course in `part`."""

    def __init__(self, message: str, part: str) -> None:
        super().__init__(message)
        self.part = part


_VERIFIED: set[str] = set()
_VERIFYING = threading.Lock()


def verify(course: CourseFile, limits: Limits, means: Sequence[str] = MEANS) -> None:
    """Checks the reference of a course against the description of the course, in the sandbox, once per process.

    Raises: WrongReference if it is wrong.
    """
    with _VERIFYING:
        if course.reference is not None and course.digest not in _VERIFIED:
            _verify(course, course.reference, limits, means)
            _VERIFIED.add(course.digest)


def _verify(course: CourseFile, reference: Path, limits: Limits, means: Sequence[str]) -> None:
    from handgrad.checking.alone import check_alone

    options = {
        "contract": str(course.path.absolute()),
        "gradient": None,
        "limits": limits,
        "seed": secrets.randbits(32),
        "allow_handgrad": False,
        "means": list(means),
        "beside": True,
    }
    for part in check_alone(str(reference), options).parts:
        if part.verdict in ("wrong", "missing", "cannot judge"):
            why = f"{part.bugs[0].title}: {part.bugs[0].evidence}" if part.bugs else part.reason
            how = {"wrong": "is wrong at", "missing": "lacks"}.get(part.verdict, "cannot be judged at")
            what = f"cannot be judged: {part.reason}" if part.part == WHOLE else f"{how} {part.part}: {why}"
            raise WrongReference(f"contract={course.path}: the reference {reference.name} {what}", part.part)


def check_here(
    path: str,
    *,
    contract: str | None,
    gradient: str | None,
    limits: Limits,
    seed: int,
    allow_handgrad: bool,
    means: Sequence[str],
    beside: bool,
) -> Report:
    """`check`, in this process, in a temporary folder that the caller removes.

    Raises MemoryError or RecursionError if the hand-in is too large to read.
    """
    with tempfile.TemporaryDirectory(prefix="handgrad-hand-in-", ignore_cleanup_errors=True) as folder:
        try:
            handin = take_in(path, Path(folder), beside=beside)
            report = _checked(handin, contract, gradient, limits, allow_handgrad, means, seed)
        except (Refused, SandboxError) as error:
            if isinstance(error, Refused):
                finding = error.finding
            else:
                hint = "Not a fault of the hand-in: run `python -c 'import numpy'` to see what is missing."
                finding = Finding("no-sandbox", str(error), "It cannot be run", "", None, hint, hint)
            report = _unusable(str(path), finding)
        except ConfigError as error:
            report = _unusable(str(path), Finding("unknown-contract", str(error), "Nothing to judge"))
        except (MemoryError, RecursionError):
            raise
        except Exception as error:  # our error, not the student's: report it, and continue with the rest of the class
            place = traceback.extract_tb(error.__traceback__)[-1]
            at = f"{Path(place.filename).name}:{place.lineno}"
            evidence = f"the checker itself failed with {type(error).__name__}: {error} ({at})"
            report = _unusable(str(path), Finding("checker-failed", evidence, "A fault of handgrad: please report it"))
    return report


def contract_names() -> tuple[str, ...]:
    """The names of the known interfaces, and of the editions that they cover."""
    return (*(kind.name for kind in contracts.CONTRACTS), *EDITIONS)


def _unusable(path: str, finding: Finding, notes: Sequence[str] = ()) -> Report:
    part = Part(WHOLE, "cannot judge", (finding,), finding.evidence)
    return Report(path, None, (part,), tuple(notes))


def _checked(
    handin: HandIn,
    name: str | None,
    gradient: str | None,
    limits: Limits,
    allow_handgrad: bool,
    means: Sequence[str],
    seed: int,
) -> Report:
    source = Source.read(handin.folder)
    listed = set(handin.files)
    source = replace(
        source,
        modules=tuple(module for module in source.modules if module.path in listed),
        unreadable={path: why for path, why in source.unreadable.items() if path in listed},
    )
    broken = tuple(_broken(path, why) for path, why in source.unreadable.items())
    found = _recognised(source, name, gradient)
    if not found:
        if broken:
            return Report(handin.name, None, broken, handin.notes)
        return _unusable(handin.name, _unknown(source, name), handin.notes)
    parts: list[Part] = []
    lacking: dict[str, Part] = {}
    notes = list(handin.notes)
    torch = any(one.torch for one in found) or _imports(source, "torch")
    stand_ins = sorted(wanted_modules(source) - {"handgrad", "torch", "numpy"})
    options = {
        "torch": torch,
        "allow_handgrad": allow_handgrad,
        "means": means,
        "leave": True,
        "stand_ins": stand_ins,
    }
    removed: dict[str, Part] = {}
    with Sandbox(handin.folder, limits, **options) as sandbox:
        for one in found:
            one.seed = seed
            one.prepare(limits, means)
            probes = one.probes()
            observations = sandbox.run(probes, one.paths)
            for seen in observations:
                _removed(seen, removed)
            lacking |= {part.part: part for seen in observations for part in _lacking(seen)}
            observations = [
                _without_import(seen, probe, lacking) for seen, probe in zip(observations, probes, strict=True)
            ]
            parts += judged(one, {observation.probe: observation for observation in observations})
            sandbox.restart()
        notes += [f"not active: {what}" for what in sandbox.missed]
        used = sandbox.used
        if sandbox.open:
            notes.append(sandbox.open)
    title = "+".join(one.name for one in found)
    return Report(handin.name, title, (*broken, *lacking.values(), *removed.values(), *parts), tuple(notes), used)


def judged(contract: Contract, observations: Mapping[str, Observation]) -> list[Part]:
    """The verdicts of one contract; an error of the checker only makes a part that cannot be judged."""
    try:
        return contract.judge(observations)
    except (MemoryError, RecursionError):
        raise
    except Exception as error:
        return [failed_part(contract.name, error)]


def wanted_modules(source: Source) -> set[str]:
    """Top-level modules that the hand-in imports and does not contain, except those in a `try`."""
    own = {module.name for module in source.modules} | {
        part for module in source.modules for part in Path(module.path).parts[:-1]
    }
    found: set[str] = set()

    def look(node: ast.AST) -> None:
        if isinstance(node, ast.Try):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module.partition(".")[0])
        for child in ast.iter_child_nodes(node):
            look(child)

    for module in source.modules:
        look(module.tree)
    return found - own


def _removed(seen: Observation, found: dict[str, Part]) -> None:
    """A note, given once, about code for NumPy 1, which the hand-in was allowed to run."""
    for warning in seen.warnings:
        if not warning.message.startswith(REMOVED) or "NumPy 2" in found:
            continue
        what = warning.message.removeprefix(REMOVED)
        evidence = f"NumPy 1 allowed this, but NumPy 2 does not: {what}. The rest is judged as with NumPy 1"
        hint = "Which version of NumPy do you have, and which version does the assignment require?"
        full = (
            "Use a form that both versions accept; the release notes of NumPy 1.24 and 2.0 list the removed functions."
        )
        finding = Finding("raises", evidence, "NumPy 2 does not allow this", warning.file, warning.line, hint, full)
        # the starters of the courses contain such lines, so this is no verdict on the hand-in
        found["NumPy 2"] = Part("NumPy 2", "not judged", (finding,), evidence, file=warning.file, line=warning.line)


def _imports(source: Source, package: str) -> bool:
    nodes = (node for module in source.modules for node in ast.walk(module.tree))
    for node in nodes:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if any(name.partition(".")[0] == package for name in names):
            return True
    return False


def _without_import(seen: Observation, probe: Probe, found: dict[str, Part]) -> Observation:
    """A file that cannot be imported is one finding, in a separate part; the parts in it cannot be judged."""
    failure = seen.failure
    at = failure.operation if failure is not None else None
    if failure is None or at is None or at >= len(probe.operations) or probe.operations[at]["op"] != "import":
        return seen
    if failure.kind == "not run":
        return seen
    module = probe.operations[at]["module"]
    why = f"{module}.py cannot be imported"
    if failure.type != "ModuleNotFoundError":
        judge = Judge(f"import {module}", {})
        judge.missing = ""
        judge.file, judge.line = failure.file or f"{module}.py", failure.line
        judge.failed(failure)
        verdict = "cannot judge" if failure.type == "ImportError" else "wrong"
        found.setdefault(
            judge.part, replace(judge.result(), verdict=verdict, reason=str(failure), file=judge.file, line=judge.line)
        )
    return replace(seen, failure=Failure("not run", f"{why}: {failure}", operation=at))


def _lacking(seen: Observation) -> list[Part]:
    """The package that a probe stopped for, as a separate part: it is not a bug, and is reported once for all parts."""
    failures = [seen.failure, *(value.failure for value in seen.values.values())]
    failure = next((one for one in failures if one is not None and one.type == "ModuleNotFoundError"), None)
    if failure is None or "'" not in failure.message:
        return []
    name = failure.message.split("'")[1]
    title = f"The package {name} is not installed"
    evidence = f"{failure.file or 'the hand-in'} imports {name}, which is neither in the hand-in nor installed here"
    hint = f"Install {name} on the machine that runs the checker, or do not use it."
    if name == "handgrad":
        title, hint = (
            "It imports handgrad",
            "A hand-in must work without handgrad. To check handgrad's own files, use --allow-handgrad.",
        )
        evidence = f"{failure.file or 'the hand-in'} imports handgrad, which is not available to hand-ins"
    id = "imports-handgrad" if name == "handgrad" else "missing-package"
    finding = Finding(id, evidence, title, failure.file, failure.line, hint, hint)
    return [Part(f"import {name}", "cannot judge", (finding,), evidence, file=failure.file, line=failure.line)]


def _recognised(source: Source, name: str | None, gradient: str | None) -> list[Contract]:
    if gradient is not None:
        return [contracts.gradient_contract(source, *_two_names(gradient))]
    if name is None:
        return contracts.recognise(source)
    if is_course_file(name):
        course = CourseFile.read(name).on(source)
        return [] if course is None else [course]
    kind = next(kind for kind in contracts.CONTRACTS if kind.name == EDITIONS.get(name, name))
    found = kind.recognise(source)
    return [] if found is None else [found]


def _two_names(gradient: str) -> tuple[str, str]:
    function, colon, derivative = gradient.partition(":")
    if not (function and colon and derivative):
        raise ConfigError(f"gradient={gradient!r} cannot be read: expected FUNCTION:GRADIENT, two names in the file")
    return function, derivative


def _broken(path: str, why: str) -> Part:
    hint = "Run python on the file and fix the first error that it reports."
    finding = Finding(
        "syntax-error", f"{path} cannot be read: {why}", "The file is not valid Python", path, None, hint, hint
    )
    return Part(path, "wrong", (finding,), file=path)


def _unknown(source: Source, name: str | None) -> Finding:
    names = [n for module in source.modules for n in (*module.classes, *module.functions)]
    have = (
        f"it defines {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}"
        if names
        else "it contains no definitions"
    )
    wanted = f"the interface {Path(name).name}" if name else "a known interface, or a class with forward and backward"
    hint = "Keep the names of the assignment, or name two functions with --gradient FUNCTION:GRADIENT."
    return Finding("unknown-contract", f"{wanted} was not found: {have}", "Nothing to judge", "", None, hint, hint)

"""A hand-in as text: its files, parsed and never run, and the location of each class, method and function."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

#: Folders that are not part of a hand-in.
SKIPPED = {"__pycache__", "__MACOSX", ".git", ".ipynb_checkpoints", "venv", ".venv", "site-packages", "node_modules"}
MOST_FILES = 400


@dataclass(frozen=True)
class Module:
    """One file: its path in the hand-in, and what it defines at the top level."""

    path: str
    tree: ast.Module
    classes: dict[str, ast.ClassDef]
    functions: dict[str, ast.FunctionDef]
    borrowed: frozenset[str] = frozenset()
    """Names that are imported from handgrad: our own drop-ins, whose source is not analysed here."""
    made: frozenset[str] = frozenset()
    """Classes that a call returns (`Tanh = make_activation(...)`); their source cannot be analysed either."""

    @property
    def folder(self) -> str:
        return str(Path(self.path).parent)

    @property
    def name(self) -> str:
        return Path(self.path).stem

    def methods(self, name: str) -> dict[str, ast.FunctionDef]:
        """The methods of a class, including those of its bases in the same file."""
        found: dict[str, ast.FunctionDef] = {}
        node, seen = self.classes.get(name), set()
        while node is not None and node.name not in seen:
            seen.add(node.name)
            for each in node.body:
                if isinstance(each, ast.FunctionDef):
                    found.setdefault(each.name, each)
            if any("dataclass" in ast.unparse(each) for each in node.decorator_list):
                found.setdefault("__init__", _constructor(node))
            bases = [base.id for base in node.bases if isinstance(base, ast.Name) and base.id in self.classes]
            node = self.classes[bases[0]] if bases else None
        return found

    def bases(self, name: str) -> list[str]:
        """The full names of a class's bases: `torch.autograd.Function`."""
        return [ast.unparse(base) for base in self.classes[name].bases]


@dataclass(frozen=True)
class Source:
    """All Python files of a hand-in.

    Arguments:
        modules: those that could be parsed.
        unreadable: path -> reason, for the others.
    """

    modules: tuple[Module, ...]
    unreadable: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Source:
        """Reads a folder, or one file."""
        folder = Path(folder)
        modules, unreadable = [], {}
        for path in list(_python_files(folder))[:MOST_FILES]:
            name = path.relative_to(folder).as_posix() if folder.is_dir() else path.name
            try:
                tree = ast.parse(path.read_bytes(), filename=name)
            except SyntaxError as error:
                unreadable[name] = f"{type(error).__name__}: {error.msg} (line {error.lineno})"
                continue
            except (OSError, ValueError, RecursionError, MemoryError) as error:
                unreadable[name] = f"{type(error).__name__}: {error}"
                continue
            modules.append(_module(name, tree))
        return cls(tuple(modules), unreadable)

    def module(self, name: str) -> Module | None:
        """The file with that name, without `.py`: the one with the shortest path."""
        found = [module for module in self.modules if module.name == name]
        return min(found, key=lambda module: (module.path.count("/"), module.path), default=None)

    def defining(self, *names: str) -> Module | None:
        """The file that defines the most of these classes and functions."""
        best, most = None, 0
        for module in self.modules:
            count = sum(name in module.classes or name in module.functions for name in names)
            if count > most:
                best, most = module, count
        return best


def _python_files(folder: Path) -> Iterator[Path]:
    if folder.is_file():
        yield folder
        return
    for path in sorted(folder.rglob("*.py")):
        relative = path.relative_to(folder).parts
        if not any(part in SKIPPED or part.startswith("._") for part in relative) and path.is_file():
            yield path


def _module(path: str, tree: ast.Module) -> Module:
    classes, functions = {}, {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            classes[node.name] = node
        elif isinstance(node, ast.FunctionDef):
            functions[node.name] = node
    borrowed, made = set(), set()
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            for name in (each.id for each in node.targets if isinstance(each, ast.Name)):
                if name[0].isupper() and not name.isupper() and name not in classes:
                    made.add(name)
                    classes[name] = ast.copy_location(_class(name), node)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "handgrad":
            for name in (each.asname or each.name for each in node.names):
                borrowed.add(name)
                stand_in = _class(name) if name[0].isupper() else ast.parse(f"def {name}(): return 0").body[0]
                stand_in = ast.copy_location(stand_in, node)
                if isinstance(stand_in, ast.ClassDef):
                    classes.setdefault(name, stand_in)
                elif isinstance(stand_in, ast.FunctionDef):
                    functions.setdefault(name, stand_in)
    return Module(path, tree, classes, functions, frozenset(borrowed), frozenset(made))


def _class(name: str) -> ast.ClassDef:
    made = ast.parse(f"class {name}: pass").body[0]
    assert isinstance(made, ast.ClassDef)
    return made


def _constructor(node: ast.ClassDef) -> ast.FunctionDef:
    """The `__init__` that a dataclass gets from its fields, as far as its arguments are concerned."""
    arguments = ["self"]
    for each in node.body:
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            value = ast.unparse(each.value) if each.value is not None else ""
            if "init=False" not in value.replace(" ", ""):
                arguments.append(f"{each.target.id}={value}" if value else each.target.id)
    arguments.sort(key=lambda each: "=" in each)  # fields of a base class with defaults may come first
    made = ast.parse(f"def __init__({', '.join(arguments)}): self.made = 1").body[0]
    assert isinstance(made, ast.FunctionDef)
    return ast.copy_location(made, node)


def empty(function: ast.FunctionDef) -> bool:
    """Whether nothing was filled in: the starter's `raise NotImplementedError`, `pass`, `return None` or `...`, or a
    `return out` of a name that was never assigned or only set to None."""
    assigned = {"self", "ctx", "cls", *(each.arg for each in ast.walk(function.args) if isinstance(each, ast.arg))}
    for node in function.body:
        if isinstance(node, ast.Pass | ast.Assert | ast.Import | ast.ImportFrom):
            continue
        if isinstance(node, ast.Raise) and node.exc is not None and "NotImplemented" in ast.unparse(node.exc):
            return True
        if isinstance(node, ast.Expr) and (isinstance(node.value, ast.Constant) or _calls_super(node.value)):
            continue
        if isinstance(node, ast.Assign) and _placeholder(node.value, assigned):
            if not _nothing(node.value, set()):
                assigned |= {each.id for target in node.targets for each in _names(target)}
            continue
        return isinstance(node, ast.Return) and (node.value is None or _nothing(node.value, assigned))
    return True


def _names(node: ast.AST) -> list[ast.Name]:
    return [each for each in ast.walk(node) if isinstance(each, ast.Name)]


def _calls_super(node: ast.expr) -> bool:
    """`super().__init__()`: the content of a starter's constructor."""
    return isinstance(node, ast.Call) and ast.unparse(node.func).startswith("super(")


def _placeholder(node: ast.expr, given: set[str]) -> bool:
    """None, a tuple or dict of only None, or a tuple of arguments kept for backward (`cache = (x, w, b)`)."""
    if isinstance(node, ast.Dict):
        return all(_placeholder(value, set()) for value in node.values)
    if isinstance(node, ast.Tuple):
        return all(_placeholder(each, given) or (isinstance(each, ast.Name) and each.id in given) for each in node.elts)
    return isinstance(node, ast.Constant) and node.value is None


def _nothing(node: ast.expr, assigned: set[str]) -> bool:
    """An unfilled value: None, a name without a value, or a tuple that starts with one of these."""
    if isinstance(node, ast.Tuple):
        return bool(node.elts) and _nothing(node.elts[0], assigned)
    if isinstance(node, ast.Name):
        return node.id not in assigned and node.id not in dir(builtins)
    return isinstance(node, ast.Constant) and node.value is None

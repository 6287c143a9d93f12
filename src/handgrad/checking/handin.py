"""Reads a hand-in: a file, a folder or an archive becomes a private copy with a list of Python files.

Nothing of it is executed here. Its kind is determined by content, never by name: `handin.tar` is often gzip, `hw1.zip`
may be anything. Entries of an archive are written under checked names. An archive that contains anything other than
plain files and folders inside it is rejected as a whole, and the message names the entry.
"""

from __future__ import annotations

import ast
import gzip
import io
import os
import re
import shutil
import stat
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from handgrad.checking.results import Finding
from handgrad.errors import HandgradError

MIB = 1 << 20
MOST_FILES = 2000
MOST_BYTES = 64 * MIB  # unpacked
MOST_SOURCE = 1 * MIB  # of one Python file
MOST_SOURCES = 2 * MIB  # of all of them: a syntax tree takes a hundred times as much memory
MOST_NOTES = 5  # of one kind
#: Folders that are not part of a hand-in.
PASSED_OVER = {
    "__pycache__", "__MACOSX", ".git", ".hg", ".svn", ".venv", "venv", "env", "node_modules", ".idea", ".vscode",
    ".ipynb_checkpoints", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox", "site-packages",
}  # fmt: skip


class Refused(HandgradError):
    """A hand-in that cannot be read; `finding` says why."""

    def __init__(self, id: str, evidence: str, title: str, hint: str = "") -> None:
        super().__init__(evidence)
        self.finding = Finding(id, evidence, title, hint_nudge=hint, hint_full=hint)


@dataclass(frozen=True)
class HandIn:
    """A hand-in on disk.

    Arguments:
        name: the path as given.
        folder: our copy of it.
        files: the Python files to judge, relative to `folder`, with slashes.
        notes: the omitted files, with the reasons.
    """

    name: str
    folder: Path
    files: tuple[str, ...]
    notes: tuple[str, ...] = ()


def take_in(path: str | os.PathLike, folder: Path, *, beside: bool = True) -> HandIn:
    """Copies or unpacks a hand-in into an empty folder and lists its Python files.

    Arguments:
        path: the hand-in.
        folder: an empty folder.
        beside: whether a single file is copied with the files in its folder that it imports. This is never the case
            for a class, where those files belong to other students.

    Raises: Refused if it does not exist, is not a Python file, folder or archive, or is an archive with unsuitable
    contents.
    """
    source = Path(path)
    notes: list[str] = []
    hint = "Hand in a .py file, a folder, or a zip or tar archive."
    try:
        mode = source.stat().st_mode
        if stat.S_ISDIR(mode):
            _copy_folder(source, folder, notes)
            only = None
        elif not stat.S_ISREG(mode):
            raise Refused("not-a-file", f"{path} is neither a file nor a folder", "Not a file or folder", hint)
        elif _is_archive(source):
            _unpack(source, folder)
            only = None
        elif _is_python(source):
            only = _copy_file(source, folder, beside, notes)
        else:
            evidence = f"{path} is neither Python source nor a zip, tar or tar.gz archive"
            raise Refused("unknown-file", evidence, "This kind of file cannot be checked", hint)
    except FileNotFoundError:
        raise Refused("no-such-file", f"{path} does not exist", "The file or folder does not exist") from None
    except OSError as error:
        evidence = f"{path} cannot be read: {error.strerror or error}"
        raise Refused("unreadable", evidence, "It cannot be read") from None
    root = folder if only else _without_wrappers(folder)
    return _listed(str(path), root, only, notes)


# -- files and folders ------------------------------------------------------------------------------------------------


def _is_python(source: Path) -> bool:
    """Whether a file is Python, by its name or content: with another name, it must parse and define something."""
    if source.suffix in (".py", ".pyw"):
        return True
    if source.stat().st_size > MOST_SOURCE:
        return False
    tree = _parsed(source)
    return tree is not None and any(isinstance(node, (ast.ClassDef, ast.FunctionDef)) for node in tree.body)


def _importable(stem: str) -> str:
    """A valid module name for a file of that name: `hw1.v2` would be a module in a package."""
    return "".join(c if c.isprintable() and c != "." else "_" for c in stem) or "handin"


def _copy_file(source: Path, folder: Path, beside_it: bool, notes: list[str]) -> str:
    """Copies a file and, if allowed, what it imports from its folder; returns its name."""
    name = f"{_importable(source.stem)}.py"
    if source.suffix == ".py" and name != source.name:
        notes.append(f"{source.name} is judged under the name {name}, which can be imported")
    if source.stat().st_size > MOST_SOURCE:
        evidence = f"{source} has {source.stat().st_size} bytes; the limit for a Python file is {MOST_SOURCE}"
        raise Refused("too-large", evidence, "The file is too large", "Hand in only the code, without data.")
    (folder / name).write_bytes(source.read_bytes())
    queue, seen = [folder / name] if beside_it else [], {source.stem}
    while queue:
        here = queue.pop()
        tree = _parsed(here)
        for module in sorted(_imported(tree) - seen) if tree else ():
            seen.add(module)
            beside, package = source.parent / f"{module}.py", source.parent / module
            if _plain(beside, stat.S_ISREG) and beside.stat().st_size <= MOST_SOURCE:
                (folder / beside.name).write_bytes(beside.read_bytes())
                queue.append(folder / beside.name)
            elif _plain(package, stat.S_ISDIR):
                _copy_folder(package, folder / module, [], only_python=True)
                queue += (folder / module).rglob("*.py")
            if len(seen) > MOST_FILES:
                return name
    return name


def _parsed(path: Path) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in a hand-in do not matter here
            return ast.parse(path.read_bytes(), path.name)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _plain(path: Path, kind) -> bool:
    try:
        return kind(path.lstat().st_mode)
    except OSError:
        return False


def _imported(tree: ast.Module) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


def _copy_folder(source: Path, folder: Path, notes: list[str], only_python: bool = False) -> None:
    """Copies plain files. Links are not followed, as they may lead anywhere on the teacher's disk."""
    count = total = links = 0
    for parent, folders, files in os.walk(source, followlinks=False):
        folders[:] = sorted(f for f in folders if f not in PASSED_OVER and not Path(parent, f).is_symlink())
        for name in sorted(files):
            path = Path(parent, name)
            relative = path.relative_to(source)
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode):
                links += 1
                if links <= MOST_NOTES:
                    notes.append(f"{relative.as_posix()} is a link or a device and was left out")
                continue
            if only_python and path.suffix != ".py":
                continue
            if status.st_size > (MOST_SOURCE if path.suffix == ".py" else MOST_BYTES // 4):
                if len(notes) < 4 * MOST_NOTES:
                    notes.append(f"{relative.as_posix()} was left out: {status.st_size} bytes")
                continue
            count, total = count + 1, total + status.st_size
            if count > MOST_FILES or total > MOST_BYTES:
                limits = f"the limits are {MOST_FILES} files and {MOST_BYTES // MIB} MiB"
                hint = "Hand in only the folder with the code, without data and environments."
                raise Refused("too-large", f"{source} is too large: {limits}", "The hand-in is too large", hint)
            (folder / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / relative)
    if links > MOST_NOTES:
        notes.append(f"{links - MOST_NOTES} more links and devices were left out")


def _without_wrappers(folder: Path) -> Path:
    """Descends into folders that contain only one folder, as in archives made from a folder."""
    for _ in range(5):
        inside = [entry for entry in folder.iterdir() if entry.name not in PASSED_OVER and entry.name != ".DS_Store"]
        if len(inside) != 1 or not inside[0].is_dir() or _is_package(inside[0]):
            break
        folder = inside[0]
    return folder


def _is_package(folder: Path) -> bool:
    """Whether the files of a folder are imported under its name: it contains an `__init__.py`, or the files import each
    other with relative imports or by that name."""
    if (folder / "__init__.py").exists():
        return True
    dots, named = r"^[ \t]*from +\.", rf"^[ \t]*(from|import) +{re.escape(folder.name)}\b"
    for path in sorted(folder.rglob("*.py"))[:200]:
        if not path.is_file():
            continue
        with path.open(errors="replace") as file:
            text = file.read(1 << 16)
        if re.search(named, text, re.M) or (path.parent == folder and re.search(dots, text, re.M)):
            return True
    return False


def _listed(name: str, root: Path, only: str | None, notes: list[str]) -> HandIn:
    paths = [p.relative_to(root) for p in root.rglob("*.py") if p.is_file() and not p.name.startswith("._")]
    names = [p.as_posix() for p in paths if not PASSED_OVER.intersection(p.parts)]
    names.sort(key=lambda one: (one.count("/"), one))
    for position, one in enumerate(names) if only is None else ():
        path = root / one
        better = path.with_name(f"{_importable(path.stem)}.py")
        if better != path and not better.exists():
            path.rename(better)
            names[position] = better.relative_to(root).as_posix()
            notes.append(f"{one} is judged under the name {names[position]}, which can be imported")
    total = 0
    left: list[str] = []
    for one in list(names):
        size = (root / one).stat().st_size
        if size > MOST_SOURCE or total + size > MOST_SOURCES:
            names.remove(one)
            (root / one).unlink()
            left.append(one)
        else:
            total += size
    notes += [
        f"{one} was left out: the limits are {MOST_SOURCE // MIB} MiB per Python file and "
        f"{MOST_SOURCES // MIB} MiB in total"
        for one in left[:MOST_NOTES]
    ]
    if len(left) > MOST_NOTES:
        notes.append(f"{len(left) - MOST_NOTES} more Python files were left out")
    if not names:
        hint = "The code belongs in .py files; export a notebook as a script first."
        raise Refused("no-python", f"{name} contains no Python file", "The hand-in contains no Python file", hint)
    return HandIn(name, root, tuple(names) if only is None else (only,), tuple(notes))


# -- archives ---------------------------------------------------------------------------------------------------------


def _is_archive(source: Path) -> bool:
    with source.open("rb") as stream:
        head = stream.read(512)
    return head[:4] in (b"PK\x03\x04", b"PK\x05\x06") or head[:2] == b"\x1f\x8b" or _is_tar(head)


def _is_tar(block: bytes) -> bool:
    """Recognises a tar by the magic number of POSIX and GNU or, in the oldest format, by the checksum of the first
    header."""
    if len(block) < 512:
        return False
    if block[257:262] == b"ustar":
        return True
    try:
        return bool(block[:100].strip(b"\0")) and tarfile.TarInfo.frombuf(block, "utf-8", "replace") is not None
    except tarfile.TarError:
        return False


@dataclass(frozen=True)
class _Entry:
    name: str
    kind: str  # file, folder, or a rejected kind: link, device
    size: int
    open: object


def _unpack(source: Path, folder: Path) -> None:
    try:
        with source.open("rb") as stream:
            head = stream.read(4)
            stream.seek(0)
            if head[:2] == b"PK":
                with zipfile.ZipFile(stream) as archive:
                    _write(source, _zip_entries(archive), folder)
                return
            plain: IO[bytes] = stream
            if head[:2] == b"\x1f\x8b":
                plain = _Bounded(gzip.GzipFile(fileobj=stream), 2 * MOST_BYTES, source)  # type: ignore[assignment]
            with tarfile.open(fileobj=plain, mode="r|") as archive:
                _write(source, _tar_entries(archive), folder)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, ValueError, zlib.error, gzip.BadGzipFile) as error:
        why = " ".join(str(error).split())[:200] or type(error).__name__
        hint = "Pack it again, and check that it can be unpacked before you hand it in."
        raise Refused("broken-archive", f"{source} cannot be unpacked: {why}", "The archive is broken", hint) from None
    except (RuntimeError, NotImplementedError) as error:  # zipfile: encrypted, or an unknown method
        hint = "Pack it again as an ordinary zip file without a password."
        raise Refused(
            "broken-archive", f"{source} cannot be unpacked: {error}", "The archive is broken", hint
        ) from None


def _zip_entries(archive: zipfile.ZipFile) -> Iterator[_Entry]:
    for info in archive.infolist():
        mode = info.external_attr >> 16
        kind = "folder" if info.is_dir() else "file"
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            kind = "link" if stat.S_ISLNK(mode) else "device"
        yield _Entry(
            info.orig_filename if "\0" in info.orig_filename else info.filename,
            kind,
            info.file_size,
            lambda info=info: archive.open(info),
        )


def _tar_entries(archive: tarfile.TarFile) -> Iterator[_Entry]:
    for info in archive:
        kind = (
            "file"
            if info.isreg()
            else "folder"
            if info.isdir()
            else "link"
            if info.issym() or info.islnk()
            else "device"
        )
        yield _Entry(info.name, kind, info.size, lambda info=info: archive.extractfile(info))


def _write(source: Path, entries: Iterator[_Entry], folder: Path) -> None:
    count, total = 0, 0
    for entry in entries:
        shown = repr(entry.name[:80])
        parts = PurePosixPath(entry.name.replace("\\", "/")).parts
        if entry.kind not in ("file", "folder"):
            hint = "Pack only plain files."
            raise Refused(
                "archive-link",
                f"{source} contains {shown}, a {entry.kind}",
                "The archive contains a link or device",
                hint,
            )
        outside = entry.name.startswith(("/", "\\")) or ".." in parts or "\0" in entry.name
        if outside or (parts and re.match("^[A-Za-z]:", parts[0])):
            evidence = f"{source} contains {shown}, which is outside its folder; nothing was unpacked there"
            raise Refused(
                "archive-outside", evidence, "The archive writes outside its folder", "Pack it with relative names."
            )
        count, total = count + 1, total + max(entry.size, 0)
        if count > MOST_FILES or total > MOST_BYTES:
            raise _bomb(source)
        if any(part in PASSED_OVER for part in parts) or not parts or parts == (".",):
            continue
        target = folder.joinpath(*parts)
        try:
            if entry.kind == "folder":
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with entry.open() as content, target.open("wb") as out:  # type: ignore[operator]
                shutil.copyfileobj(content, out)  # neither kind returns more than the counted size
        except OSError as error:  # a name too long, a file where a folder was, ...
            evidence = f"{source}: {shown} cannot be written: {error.strerror or error}"
            hint = "Pack it again with short names, each for one file or folder."
            raise Refused("broken-archive", evidence, "The archive is broken", hint) from None


def _bomb(source: Path) -> Refused:
    evidence = f"{source} unpacks to more than {MOST_BYTES // MIB} MiB or {MOST_FILES} files"
    return Refused("archive-bomb", evidence, "The archive is too large", "Hand in only the code, without data.")


class _Bounded(io.RawIOBase):
    """A stream that raises after a number of bytes: padding in a tar is not counted otherwise."""

    def __init__(self, inner: IO[bytes], most: int, source: Path) -> None:
        self.inner, self.left, self.source = inner, most, source

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self.inner.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise _bomb(self.source)
        return data

"""Writing several files atomically."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from handgrad.errors import HandgradError


def write_all(contents: Mapping[Path, bytes]) -> None:
    """Writes all files, creating folders as needed and overwriting existing files.

    All are first written to temporary files and then moved, so a full disk or an interrupt does not change any file.

    Raises: HandgradError if a file cannot be written.
    """
    staged: dict[Path, Path] = {}
    path = Path()
    try:
        for path, content in contents.items():
            if path.is_dir():
                raise IsADirectoryError(0, "there is a folder of that name")
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
            staged[path] = Path(name)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            staged[path].chmod(0o644)
        for path in list(staged):
            staged[path].replace(path)
            del staged[path]
    except OSError as error:
        raise HandgradError(f"cannot write {path}: {error.strerror or error}. Choose another folder") from error
    finally:
        for temporary in staged.values():
            temporary.unlink(missing_ok=True)

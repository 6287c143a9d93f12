"""Writing several files so that each is whole or is not touched."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from handgrad.errors import HandgradError


def write_all(contents: Mapping[Path, bytes]) -> None:
    """Writes every file, making folders where they lack, over what was there.

    All are written beside their places first and then moved there: a full disk or an interrupt changes no file.

    Raises: HandgradError where one cannot be written.
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

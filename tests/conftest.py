"""Shared by all rooms: every call checks the shapes in its annotations, where a room's annotations are complete."""

import importlib.machinery
import os
import subprocess
import sys
from pathlib import Path

import jaxtyping
import numpy as np
import pytest

#: Rooms whose annotations are checked in the tests. The hook acts on modules that are imported after it.
CHECKED = ("handgrad.nn", "handgrad.kernels", "handgrad.engines")

imported = [name for name in sys.modules if name.startswith(CHECKED)]
assert not imported, f"{imported} were imported before the hook that checks annotations: import handgrad in tests only"
jaxtyping.install_import_hook(CHECKED, "beartype.beartype")

_jaxtyped = jaxtyping.jaxtyped


def _jaxtyped_once(*, typechecker):
    """Leaves functions within functions alone: the hook would wrap them anew, in milliseconds, at every call."""
    check = _jaxtyped(typechecker=typechecker)
    return lambda checked: checked if "<locals>" in checked.__qualname__ else check(checked)


jaxtyping.jaxtyped = _jaxtyped_once


class _Unchecked:
    """Imports what numba compiles as it stands: numba cannot compile a function that is wrapped in a check."""

    compiled = ("handgrad.kernels.compiled", "handgrad.kernels.compiled_images")

    @staticmethod
    def find_spec(name, path=None, target=None):
        return importlib.machinery.PathFinder.find_spec(name, path) if name in _Unchecked.compiled else None


sys.meta_path.insert(0, _Unchecked())


@pytest.fixture
def unchecked():
    """Turns the checks of shapes off: for tests of what the package itself says of wrong arguments."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real data sets: $HANDGRAD_TEST_DATA, else a folder beside the checkout; skips where none is."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("HANDGRAD_TEST_DATA") or beside)
    if not folder.is_dir():
        pytest.skip("needs real data: set HANDGRAD_TEST_DATA to a folder with mnist/ and cifar-10-batches-bin/")
    return folder


@pytest.fixture(scope="session")
def cifar10(real_data, tmp_path_factory):
    """The folder itself if it has the data set, else what its make_cifar10.py makes."""
    from handgrad.data import describe

    if any(listing.found for listing in describe(data_dir=real_data) if listing.entry.name == "cifar10"):
        return str(real_data)
    maker = real_data / "make_cifar10.py"
    if not maker.exists():
        pytest.skip(f"needs cifar-10-batches-bin/ or make_cifar10.py in {real_data}")
    folder = tmp_path_factory.mktemp("cifar10")
    subprocess.run([sys.executable, maker, folder], check=True, capture_output=True)
    return str(folder)


@pytest.fixture
def close():
    """Asserts that the relative error max|a - b| / max(max|a|, max|b|, 1e-8) is below a tolerance."""

    def close(actual, expected, tolerance: float = 1e-12) -> None:
        actual, expected = np.asarray(actual), np.asarray(expected)
        assert actual.shape == expected.shape
        largest = max(np.abs(actual).max(initial=0), np.abs(expected).max(initial=0), 1e-8)
        error = np.abs(actual - expected).max(initial=0) / largest
        assert error < tolerance, f"relative error {error:.1e}, expected less than {tolerance:.0e}"

    return close

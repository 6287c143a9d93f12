"""What a release consists of: the wheel and the source distribution hold the package and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import handgrad

ROOT = Path(__file__).parent.parent
pytest.importorskip("hatchling")


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(folder)], cwd=ROOT, check=True, capture_output=True
    )
    return folder


def test_the_wheel(built):
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    information = f"handgrad-{handgrad.__version__}.dist-info/"
    package = {name for name in names if not name.startswith(information)}
    tracked = subprocess.run(["git", "ls-files", "src"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode == 0:
        assert package == {name.removeprefix("src/") for name in tracked.stdout.split()}
    assert all(name.startswith("handgrad/") for name in package)
    assert not [name for name in package if "test" in Path(name).name or "seeds" in name]
    assert {"handgrad/py.typed", "handgrad/data/digits.npz", information + "licenses/LICENSE"} <= set(names)
    assert wheel.stat().st_size < 2_000_000


def test_the_source_distribution(built):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    beside = {name for name in names if not name.startswith("src/handgrad/")}
    assert beside == {
        "pyproject.toml",
        "README.md",
        "CHANGELOG.md",
        "CITATION.cff",
        "LICENSE",
        ".gitignore",
        "PKG-INFO",
    }


def test_the_version_is_the_same_everywhere():
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {handgrad.__version__}\n" in citation
    assert f"## {handgrad.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_every_extra_is_declared_once():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    (together,) = [entry for entry in extras["dev"] if entry.startswith("handgrad[")]
    assert set(together.removeprefix("handgrad[").removesuffix("]").split(",")) == set(extras) - {"dev"}

"""The recipes reach what they promise, on real data: slow, and skipped where the data is not there."""

import os
from pathlib import Path

import pytest

from handgrad import data
from handgrad.errors import DataError
from handgrad.training import train

FOLDER = Path(os.environ.get("HANDGRAD_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unchecked")]


def folder_with(name):
    for folder in (FOLDER, Path(os.environ.get("HANDGRAD_DATA", FOLDER))):
        try:
            data.check(name, data_dir=folder)
        except DataError:
            continue
        return str(folder)
    maker = FOLDER / "make_cifar10.py"
    if name == "cifar10" and maker.exists():
        return _made(maker)
    return pytest.skip(f"{name} is not in {FOLDER}: set HANDGRAD_TEST_DATA to a folder that has it")


def _made(maker):
    import subprocess
    import sys
    import tempfile

    folder = Path(tempfile.gettempdir()) / "handgrad-test-cifar10"
    if not (folder / "cifar-10-batches-bin" / "batches.meta.txt").exists():
        subprocess.run([sys.executable, maker, folder], check=True, capture_output=True)
    return str(folder)


def test_uva_numpy_mlp_reaches_the_accuracy_of_the_reports(tmp_path):
    run = train("uva-numpy-mlp", run_dir=tmp_path / "run", data_dir=folder_with("cifar10"))
    assert 0.43 <= run.summary["last"]["test_accuracy"] <= 0.48
    assert run.summary["best"]["test_accuracy"] <= 0.50


def test_cmu_mnist_ends_with_an_error_under_a_tenth(tmp_path):
    run = train("cmu-mnist", run_dir=tmp_path / "run", data_dir=folder_with("mnist"))
    assert 1 - run.summary["last"]["test_accuracy"] < 0.1


def test_the_tuned_mnist_mlp_ends_with_an_error_under_18_in_a_thousand(tmp_path):
    run = train("mnist", run_dir=tmp_path / "run", data_dir=folder_with("mnist"))
    assert 1 - run.summary["last"]["test_accuracy"] < 0.018
    assert run.summary["seconds_outside_steps"] < 0.1 * run.summary["seconds"]


@pytest.mark.parametrize("seed", range(1, 6))
def test_digits_reaches_its_accuracy_whatever_the_seed(tmp_path, seed):
    run = train("digits", run_dir=tmp_path / "run", seed=seed)
    assert run.summary["last"]["test_accuracy"] >= 0.97

"""The recipes reach their stated results on real data; slow, and skipped if the data are not available."""

import pytest

from handgrad.training import train

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unchecked")]


@pytest.fixture(scope="session")
def mnist(real_data):
    if not (real_data / "mnist").is_dir():
        pytest.skip(f"needs mnist/ in {real_data}")
    return str(real_data)


def test_uva_numpy_mlp_reaches_the_accuracy_of_the_reports(tmp_path, cifar10):
    run = train("uva-numpy-mlp", run_dir=tmp_path / "run", data_dir=cifar10)
    assert 0.43 <= run.summary["last"]["test_accuracy"] <= 0.48
    assert run.summary["best"]["test_accuracy"] <= 0.50


def test_cmu_mnist_ends_with_an_error_under_a_tenth(tmp_path, mnist):
    run = train("cmu-mnist", run_dir=tmp_path / "run", data_dir=mnist)
    assert 1 - run.summary["last"]["test_accuracy"] < 0.1


def test_the_tuned_mnist_mlp_ends_with_an_error_under_18_in_a_thousand(tmp_path, mnist):
    run = train("mnist", run_dir=tmp_path / "run", data_dir=mnist)
    assert 1 - run.summary["last"]["test_accuracy"] < 0.018
    assert run.summary["seconds_outside_steps"] < 0.1 * run.summary["seconds"]


@pytest.mark.parametrize("seed", range(1, 6))
def test_digits_reaches_its_accuracy_whatever_the_seed(tmp_path, seed):
    run = train("digits", run_dir=tmp_path / "run", seed=seed)
    assert run.summary["last"]["test_accuracy"] >= 0.97

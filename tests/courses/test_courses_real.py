"""The drop-ins reach the results that the courses expect on real data; slow, and skipped without the data."""

import json

import pytest

from handgrad.cli import main
from handgrad.courses.uvadlc import train_mlp_numpy, train_mlp_pytorch

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unchecked")]


def test_training_statistics_on_mnist_end_where_the_handout_expects(capsys, tmp_path, real_data):
    if not (real_data / "mnist").is_dir():
        pytest.skip(f"needs mnist/ in {real_data}")
    assert main(["courses", "stats", "--data-dir", str(real_data), "--out", str(tmp_path), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["training_losses"][-1] < 0.32
    assert figures["training_errors"][-1] < 0.1
    assert figures["validation_losses"][-1] < 0.32
    assert figures["validation_errors"][-1] < 0.1


@pytest.mark.parametrize("edition", ["uva-apr19", "uva-nov19", "uva-2020"])
def test_the_numpy_script_reaches_the_accuracy_of_the_reports(capsys, cifar10, edition):
    records = train_mlp_numpy.main(["--data_dir", cifar10], edition)
    assert 0.42 <= records[-1]["test_accuracy"] <= 0.52
    assert 0.46 <= max(record["test_accuracy"] for record in records) <= 0.52


def test_the_pytorch_script_reaches_the_accuracy_of_the_reports(capsys, cifar10):
    records = train_mlp_pytorch.main(["--data_dir", cifar10, "--eval_freq", "500"])
    assert 0.38 <= records[-1]["test_accuracy"] <= 0.48

"""Fractions are rejected for whole numbers, not rounded."""

import pytest

from handgrad.cli import main


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--seed", "1.5"],
        ["train", "--epochs", "2.5"],
        ["train", "--batch-size", "32.7"],
        ["check", "x.py", "--jobs", "1.5"],
        ["check", "x.py", "--seed", "1.5"],
        ["derive", "batchnorm", "--seed", "1.5"],
    ],
)
def test_a_fraction_is_refused(arguments, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert f"Invalid value for {arguments[-2]}: expected a whole number, got {arguments[-1]}." in error
    assert len(error.strip().splitlines()) == 1


def test_a_fraction_in_a_file_is_refused(tmp_path, capsys):
    (tmp_path / "config.toml").write_text("epochs = 2.5\n")
    assert main(["train", "--config", str(tmp_path / "config.toml")]) == 2
    assert "epochs=2.5" in capsys.readouterr().err

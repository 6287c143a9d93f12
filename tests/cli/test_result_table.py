"""The table at the end of a run, in terminals of any width."""

import numpy as np
import pytest

import handgrad
from handgrad.cli.reporting import print_result


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4)).astype(np.float32)
    options = {"x": x, "max_steps": 20, "eval_freq": 10, "validation_size": 0.2, "hidden_units": 8}
    return {
        "regression": handgrad.train(y=1000 * x[:, 0] + rng.normal(size=200), run_dir=folder / "regression", **options),
        "classes": handgrad.train(y=(x[:, 0] > 0).astype(int), run_dir=folder / "classes", **options),
    }


@pytest.mark.parametrize("width", [60, 80, 100, 200])
@pytest.mark.parametrize("name", ["regression", "classes"])
def test_no_number_is_cut(runs, name, width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    run = runs[name]
    print_result(run)
    table = capsys.readouterr().out
    assert "…" not in table
    lines = [line for line in table.splitlines() if str(run.path) not in line]  # a path is never broken
    assert max(map(len, lines)) <= width
    for evaluation in ("last", "best"):
        for measure in ("rmse", "mae", "r2", "loss") if name == "regression" else ("accuracy", "loss"):
            for split in ("train", "validation", "test"):
                assert f"{run.summary[evaluation][f'{split}_{measure}']:.4f}" in table


def test_a_wide_terminal_has_one_table(runs, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "120")
    print_result(runs["regression"])
    assert capsys.readouterr().out.count("RMSE") == 2
    monkeypatch.setenv("COLUMNS", "80")
    print_result(runs["regression"])
    lines = capsys.readouterr().out.splitlines()
    assert sum("RMSE" in line for line in lines) == 2  # one below the other


@pytest.mark.parametrize("width", [20, 40])
def test_a_very_narrow_one_folds_numbers(runs, width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    print_result(runs["regression"])
    assert "…" not in capsys.readouterr().out

"""`handgrad search`: output and errors."""

import json

import pytest

from handgrad.cli import main

pytest.importorskip("optuna", reason='needs Optuna: pip install "handgrad[search]"')

TINY = ("--recipe", "digits", "--hidden-units", "8", "--max-steps", "20", "--eval-freq", "10", "--workers", "1")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_search_and_its_table(tmp_path, capsys):
    assert main(["search", *TINY, "--vary", "learning_rate=1e-2,1e-4", "--vary", "norm=none,batch"]) == 0
    output = capsys.readouterr()
    assert "grid over norm, learning_rate: 4 runs, 1 worker -> studies/digits" in output.out
    assert "Test accuracy of the best, measured once" in output.out
    assert "held out for selection" in output.err
    for file in ("study.html", "study.toml", "best.toml", "trials.csv", "figures/by-factor.svg", "figures/cost.png"):
        assert (tmp_path / "studies" / "digits" / file).exists(), file
    page = (tmp_path / "studies" / "digits" / "study.html").stat().st_mtime_ns

    assert main(["search", "show", "studies/digits", "--rows", "2"]) == 0
    output = capsys.readouterr().out
    assert "the best 2 of 4 combinations; all are in trials.csv" in output
    assert (tmp_path / "studies" / "digits" / "study.html").stat().st_mtime_ns == page  # it was drawn already
    assert main(["search", "show", "studies/digits", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["figure"] == "validation_accuracy"
    assert len(told["rows"]) == 4

    assert main(["search", *TINY, "--vary", "learning_rate=1e-2,1e-4", "--vary", "norm=none,batch"]) == 2
    assert "already contains the study 'digits': resume it with --resume" in capsys.readouterr().err


def test_a_best_combination_that_is_not_the_first_to_be_tested(capsys):
    assert main(["search", *TINY, "--vary", "learning_rate=1e-5", "--vary", "norm=none"]) == 0
    assert "Test accuracy of the best, measured once: " in capsys.readouterr().out
    assert main(["search", "show", "studies/digits"]) == 0
    assert "Test accuracy of the best, measured once: " in capsys.readouterr().out
    assert main(["search", "studies/digits", "--resume", "--vary", "learning_rate=1e-5,1e-2", "--workers", "1"]) == 0
    for _ in range(2):
        said = capsys.readouterr().out
        assert "measured once" not in said
        assert "Before, another combination was the best and measured on the test set." in said
        assert main(["search", "show", "studies/digits"]) == 0


@pytest.mark.parametrize("width", [50, 80, 100, 200])
def test_the_table_cuts_no_number(width, monkeypatch, capsys):
    from pathlib import Path
    from types import SimpleNamespace

    from handgrad.cli.search import _show
    from handgrad.search import Findings, Result, Row, plan_from
    from handgrad.search.results import best_of
    from handgrad.search.space import grid

    plan = plan_from(
        {
            "learning_rate": [0.0123456, 0.0123457],
            "hidden_units": [[100, 100, 100], [64]],
            "weight_decay": [0.00012345, 0.0],
            "activation": ["leaky_relu", "relu"],
        },
        seeds=2,
    )
    rows = []
    for number, combination in enumerate(grid(plan.factors), start=1):
        figures = {"value": 1 / number, "seconds": 12345.6, "best_step": 20000, "test_accuracy": 0.8765}
        results = [Result(f"{number}-{s}", combination, s, "complete", figures) for s in range(2)]
        rows.append(Row(number, combination, tuple(results)))
    monkeypatch.setenv("COLUMNS", str(width))
    _show(
        SimpleNamespace(name="study", folder=Path("study")),
        Findings(plan, "validation_accuracy", rows, best_of(rows)),
        False,
    )
    lines = [line for line in capsys.readouterr().out.splitlines() if line and line[0] in "┏┃┡│└"]
    table = "\n".join(lines)
    assert "…" not in table
    assert max(map(len, lines)) <= width
    for text in ("0.0123456", "0.0123457", "0.00012345", "1.0000", "0.0625", "leaky_relu"):
        assert text in table
    assert ("0.8765" in table) == (width >= 80)
    assert ("12345.6" in table) == (width >= 200)
    assert len({line for line in lines if "0.012345" in line}) >= len(rows)


def test_data_of_ones_own_and_a_regression(tmp_path, capsys):
    lines = [f"{i % 7},{i % 5},{2 * (i % 7) - (i % 5)}" for i in range(200)]
    (tmp_path / "table.csv").write_text("a,b,y\n" + "\n".join(lines) + "\n")
    own = ("--data", "table.csv", "--target", "y", "--task", "regression", "--hidden-units", "8", "--max-steps", "20")
    assert main(["search", *own, "--vary", "learning_rate=1e-1,1e-4", "--seeds", "2", "--workers", "1", "--json"]) == 0
    output = capsys.readouterr()
    assert "training them separately" not in output.err, "\n".join(output.err.splitlines()[:12])
    told = json.loads(output.out)
    assert told["figure"] == "validation_rmse"
    assert not [run["message"] for row in told["rows"] for run in row["runs"] if run["message"]]
    assert told["best"] == [{"learning_rate": 0.1}]
    (tmp_path / "table.csv").write_text("a,b,y\n" + "\n".join(reversed(lines)) + "\n")
    assert main(["search", "studies/table-mlp", "--resume", "--seeds", "3"]) == 2
    assert "has changed since the run began" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "nothing to search: give a study file, or --vary learning_rate=1e-3,1e-4, or --join"),
        (("--recipe", "digits"), "nothing is varied"),
        (("--vary", "learning_rate="), "learning_rate=[]: expected at least one value"),
        (("--vary", "learning_rates=1,2"), "did you mean 'learning_rate'?"),
        (("--vary", "learning_rate=1e-2..1e-4"), "low=0.01 high=0.0001: expected low below high"),
        (("missing.toml",), "cannot read the configuration missing.toml"),
        ((".", "--resume"), ". contains no study: expected a study file, or a folder that handgrad search has created"),
        (("show", "nowhere"), "nowhere contains no study"),
        (("--vary", "norm=none,batch", "--stack", "perhaps"), '"perhaps" for --stack. Choose from: "auto", "off"'),
        (("--vary", "norm=none,batch", "--workers", "0"), "workers=0: expected a whole number of at least 1"),
        (("--vary", "batch_size=8,5000"), "1 of 2 combinations cannot be trained: batch_size=5000"),
        (("--join", "mysql://host/x"), "--join mysql://host/x: expected a folder, or postgresql://"),
    ],
)
def test_what_cannot_be(arguments, message, capsys):
    assert main(["search", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_the_studies_that_come_with_handgrad():
    from handgrad.search import plan_from, shipped
    from handgrad.search.space import size

    sizes = {name: size(plan_from(path).factors) for name, path in shipped().items()}
    assert sizes == {"uva-apr19-table-3": 16, "uva-apr19-grid": 486}
    assert all(plan_from(path).select == "test" for path in shipped().values())


def test_optuna_is_asked_for_where_it_is_missing(monkeypatch, capsys):
    import sys

    for name in [name for name in sys.modules if name.startswith("handgrad.search") or name.split(".")[0] == "optuna"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert main(["search", "--vary", "norm=none,batch"]) == 2
    assert "handgrad search requires Optuna" in capsys.readouterr().err

"""The entries as data, how they are scaled, and one of them from the command to its page."""

import dataclasses
import json
import math
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from handgrad.cli import main
from handgrad.data import from_arrays
from handgrad.errors import ConfigError, RunError
from handgrad.reproduce import DOCUMENTS, all_entries, chosen_entries, read_results, write_index, write_page
from handgrad.reproduce.documents.common import combination_name, combinations
from handgrad.reproduce.entries import KINDS, Case, Entry, Printed, Statement
from handgrad.reproduce.measures import NETWORK_FUNCTIONS, RECORD_FUNCTIONS, from_records
from handgrad.reproduce.pages import index, leaderboard
from handgrad.reproduce.running import Row, Scale, configuration, jpeg_again, judged, reproduce, scaled_to
from handgrad.reproduce.verdicts import judge_goal, judge_statement, judge_value
from handgrad.training import load_run

ENTRIES = all_entries()
DIGITS = {"dataset": "digits", "hidden_units": [16], "max_steps": 60, "eval_freq": 20, "batch_size": 32}


def test_every_document_has_entries_and_every_name_is_its_own():
    assert {entry.document for entry in ENTRIES.values()} == set(DOCUMENTS)
    from handgrad.reproduce.documents import ENTRIES as listed

    assert len(listed) == len(ENTRIES) >= 40
    assert all(entry.kind in KINDS for entry in listed)


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=list(ENTRIES))
def test_an_entry_can_be_run_and_judged(entry):
    for case in entry.cases.values():
        config = configuration(case, 0)
        assert config.max_steps is not None
        assert config.seed == 0
        config.architecture((1, 28, 28) if config.dataset == "mnist" else (3, 32, 32), 10)
    measures = [what.measure for what in (*entry.printed, *entry.statements)]
    for measure in measures:
        how = measure.partition(" ")[0]
        assert how in ("last", "best", "step", "mean", "setting") or measure in {
            **RECORD_FUNCTIONS,
            **NETWORK_FUNCTIONS,
        }
    named = [printed.case for printed in entry.printed]
    for statement in entry.statements:
        named += statement.larger
        if isinstance(statement.smaller, tuple):
            named += statement.smaller
            assert len(statement.smaller) == len(statement.larger)
    assert set(named) <= set(entry.cases)
    assert bool(entry.printed or entry.statements) != bool(entry.cannot)
    if entry.statements:  # a single pair decides nothing
        assert all(len(statement.larger) * entry.seeds >= 2 for statement in entry.statements)


@pytest.mark.parametrize(
    ("name", "shipped"), [("uva-apr19-a/table-3", "uva-apr19-table-3"), ("uva-apr19-b/grid", "uva-apr19-grid")]
)
def test_a_study_is_the_one_that_ships(name, shipped):
    from handgrad.search import plan_from
    from handgrad.search import shipped as files

    plan = plan_from(files()[shipped])
    assert plan_from(ENTRIES[name].study) == plan
    from handgrad.search.study import first_combinations

    assert {combination_name(combination) for combination in first_combinations(plan)} == set(ENTRIES[name].cases)


@pytest.mark.parametrize("name", [name for name, entry in ENTRIES.items() if entry.kind == "settings"])
def test_printed_settings_are_the_recipes(name):
    outcome = reproduce(ENTRIES[name])
    assert outcome.verdict == "reproduced"
    wrong = dataclasses.replace(ENTRIES[name].printed[0], value="another")
    assert reproduce(dataclasses.replace(ENTRIES[name], printed=(wrong,))).verdict == "contradicted"


# -- measures ---------------------------------------------------------------------------------------------------------


def _record(step, train_accuracy, test_accuracy, test_loss):
    return {
        "step": step,
        "train_accuracy": train_accuracy,
        "train_loss": 0.5,
        "test_accuracy": test_accuracy,
        "test_loss": test_loss,
    }


RECORDS = [
    _record(200, 0.3, 0.4, 1.2),
    _record(400, 0.5, 0.5, 1.0),
    _record(600, 0.6, 0.7, 1.1),
    _record(800, 0.8, 0.6, 1.3),
    _record(1000, 0.9, 0.6, 1.4),
]


@pytest.mark.parametrize(
    ("measure", "value"),
    [
        ("last test_accuracy", 0.6),
        ("best test_accuracy", 0.7),
        ("best test_loss", 1.0),
        ("last test_error", 0.4),
        ("best test_error", 0.3),
        ("step 400 test_accuracy", 0.5),
        ("mean test_accuracy", 0.56),
        ("last test_loss_and_accuracy", 2.0),
        ("rise of the test loss", 0.4),
        ("change of the test accuracy after the smallest test loss", 0.1),
        ("share of the steps before the smallest test loss", 0.4),
        ("share of the steps after the smallest test loss", 0.6),
        ("gain of the test accuracy in the last fifth of the steps", 0.0),
        ("gain of the first fifth over the others", 0.1),
        ("share of the first 1,000 steps with test above training accuracy", 0.4),
    ],
)
def test_measures_of_evaluations(measure, value):
    assert from_records(measure, RECORDS) == pytest.approx(value)


def test_a_step_without_an_evaluation_has_no_value():
    assert np.isnan(from_records("step 500 test_accuracy", RECORDS))


def test_measures_that_look_into_the_network(tmp_path):
    settings = {**DIGITS, "preprocessing": "none", "init": "normal:1", "max_steps": 1, "eval_freq": 1}  # far from 0
    floor = "share of the activations at ELU's floor"
    entry = _entry(
        cases={"elu": Case({**settings, "activation": "elu"}), "tanh": Case({**settings, "activation": "tanh"})},
        printed=(Printed("elu", floor, 0.5), Printed("elu", "share of the weights near 0", 0.01)),
        statements=(),
        seeds=1,
    )
    looked_into = reproduce(entry, runs_dir=tmp_path, settings={"threads": 1})
    at_floor, near_zero = (row.mean for row in looked_into.rows)
    assert 0.3 < at_floor < 0.7  # sums of about 800 either way: half of them are far below 0
    assert 0.0 <= near_zero < 0.1


# -- scaling ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "budget", "seeds", "scale"),
    [
        (60, 60, 3, Scale(3)),
        (60, 600, 3, Scale(3)),
        (60, 40, 3, Scale(2)),  # seeds first
        (60, 20, 3, Scale(1)),
        (60, 10, 3, Scale(1, 0.5)),  # then steps
        (1000, 10, 1, Scale(1, 0.05, 0.2)),  # then cases
    ],
)
def test_what_fits_into_a_budget(seconds, budget, seeds, scale):
    found = scaled_to(seconds, budget, seeds)
    assert (found.seeds, found.steps, found.cases) == pytest.approx((scale.seeds, scale.steps, scale.cases))
    assert seconds * found.seeds / seeds * found.steps * found.cases <= budget * 1.001


def _entry(**changes):
    cases = {"wide": Case({**DIGITS, "hidden_units": [32]}), "narrow": Case({**DIGITS, "hidden_units": [2]})}
    values = {
        "name": "uva-2020/tiny",
        "kind": "claim",
        "title": "Wide beats narrow",
        "says": "It says so.",
        "cases": cases,
        "printed": (Printed("wide", "last test_accuracy", 0.9),),
        "statements": (Statement("It is", "last test_accuracy", ("wide",), ("narrow",)),),
        "seeds": 2,
    }
    return Entry(**{**values, **changes})


def test_full_runs_have_verdicts_and_scaled_ones_none(tmp_path):
    entry = _entry()
    whole = reproduce(entry, runs_dir=tmp_path, settings={"threads": 1})
    assert whole.full
    assert whole.done["runs"] == 4
    assert whole.rows[1].verdict == "reproduced"
    assert len(whole.rows[1].values) == 2
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/summary.json")}
    assert len(times) == 4
    again = reproduce(entry, runs_dir=tmp_path, settings={"threads": 1}, budget=100.0)  # more than it takes
    assert again.full
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/summary.json")} == times  # read, not trained
    assert [row.values for row in again.rows] == [row.values for row in whole.rows]
    for scaled in (
        reproduce(entry, runs_dir=tmp_path, settings={"threads": 1}, seeds=1),
        reproduce(entry, runs_dir=tmp_path / "less", settings={"threads": 1}, budget=1e-6),
    ):
        assert not scaled.full
        assert scaled.verdict == "indicative"
        assert {row.verdict for row in scaled.rows} <= {"indicative"}


def test_a_study_trains_the_cases_of_its_entry(tmp_path):
    study = {**DIGITS, "hidden_units": [[2], [16]], "max_steps": [30, 60], "search": {"select": "test"}}
    cases = combinations(study, ("hidden_units", "max_steps"))
    wide, narrow = "hidden_units=16 max_steps=60", "hidden_units=2 max_steps=60"
    entry = _entry(
        study=study,
        cases=cases,
        printed=(Printed(wide, "best test_accuracy", 0.9),),
        statements=(Statement("It is", "best test_accuracy", (wide,), (narrow,)),),
    )
    options = {"runs_dir": tmp_path, "settings": {"threads": 1}, "workers": 1}
    whole = reproduce(entry, **options)
    assert set(whole.curves) == set(cases)
    assert [len(seeds) for seeds in whole.curves.values()] == [2] * 4
    assert whole.done["steps"] == [30, 60]
    assert whole.full
    assert whole.rows[1].sides[0] > whole.rows[1].sides[1] + 0.1
    trained = len(list(tmp_path.glob("study-*/trials/*")))
    assert reproduce(entry, **options).rows == whole.rows
    assert len(list(tmp_path.glob("study-*/trials/*"))) == trained
    scaled = reproduce(entry, **options, budget=1e-6)
    assert scaled.verdict == "indicative"
    assert set(scaled.curves) <= set(cases)
    assert scaled.done["steps"][1] == 20


def test_a_page_has_the_figures_of_its_study_for_its_cases_alone(tmp_path, monkeypatch):
    study = {**DIGITS, "hidden_units": [[2], [16]], "max_steps": [30, 60], "search": {"select": "test"}}
    study["learning_rate"] = [0.01, 0.001]
    every = combinations(study, ("hidden_units", "learning_rate", "max_steps"))
    cases = {name: case for name, case in every.items() if case.settings["max_steps"] == 60}
    entry = _entry(kind="table", study=study, cases=cases, printed=(), statements=(), seeds=1)
    outcome = reproduce(entry, runs_dir=tmp_path, settings={"threads": 1}, workers=1)
    assert [factor.name for factor in outcome.study.plan.factors] == ["hidden_units", "learning_rate"]
    assert len(outcome.study.rows) == 4
    assert {row.combination["max_steps"] for row in outcome.study.rows} == {60}
    path, problems = write_page(outcome, tmp_path / "few")
    assert not problems
    name = path.stem
    drawn = {file.name for file in path.parent.glob("*.png")}
    assert drawn == {f"{name}{end}.png" for end in ("", "-by-factor", "-heat-hidden-units-learning-rate", "-cost")}
    assert all(f"({file})" in path.read_text() for file in drawn)
    assert not path.with_suffix(".csv").exists()
    monkeypatch.setattr("handgrad.reproduce.pages.MOST_CASES", 3)
    path, _ = write_page(outcome, tmp_path / "many")
    assert f"{name}-curves.png" in path.read_text()
    assert not path.with_suffix(".png").exists()
    lines = path.with_suffix(".csv").read_text().splitlines()
    assert len(lines) == 5
    assert f"({name}.csv)" in path.read_text()
    claim = dataclasses.replace(outcome, entry=dataclasses.replace(entry, kind="claim"))
    monkeypatch.setattr("handgrad.reproduce.pages.MOST_CASES", 40)
    path, _ = write_page(claim, tmp_path / "claim")
    assert [file.name for file in path.parent.glob("*.png")] == [f"{name}.png"]


def test_a_run_that_diverges_is_remembered(tmp_path):
    settings = {**DIGITS, "optimizer": "sgd", "learning_rate": 1e30}
    entry = _entry(cases={"wide": Case(settings)}, statements=())
    outcome = reproduce(entry, runs_dir=tmp_path, settings={"threads": 1})
    assert (outcome.verdict, outcome.done["diverged"]) == ("below", 2)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/diverged.txt")}
    assert len(times) == 2
    assert reproduce(entry, runs_dir=tmp_path, settings={"threads": 1}).verdict == "below"
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/diverged.txt")} == times
    path, _ = write_page(outcome, tmp_path / "out")
    assert "diverged" in path.read_text()


def test_a_softmax_before_the_loss_bounds_it_from_below(tmp_path):
    settings = {**DIGITS, "hidden_units": [64], "max_steps": 400, "learning_rate": 0.01}
    entry = _entry(
        cases={"twice": Case(settings, "softmax-twice"), "once": Case(settings)},
        printed=(
            Printed("twice", "last test_loss_and_accuracy", float(np.log(np.e + 9))),
            Printed("once", "last test_loss", 0.1),
        ),
        statements=(),
        seeds=1,
    )
    outcome = reproduce(entry, runs_dir=tmp_path, settings={"threads": 1})
    twice, once = (row.mean for row in outcome.rows)
    assert twice == pytest.approx(np.log(np.e + 9), abs=0.03)
    assert once < 0.5
    losses = outcome.curves["twice"][0]
    assert min(record["test_loss"] for record in losses) > np.log(np.e + 9) - 1


def test_a_second_pass_through_jpeg_changes_an_image_that_went_through_once():
    rng = np.random.default_rng(0)
    smooth = np.add.outer(np.linspace(0, 100, 32), np.linspace(0, 100, 32))
    images = np.clip(smooth + rng.normal(0, 10, (4, 3, 32, 32)), 0, 255).astype(np.uint8)
    dataset = from_arrays(images, np.array([0, 1, 0, 1]), x_test=images, y_test=np.array([0, 1, 0, 1]))
    once = jpeg_again(dataset, offset=0)
    on_the_same_blocks, moved = jpeg_again(once, offset=0), jpeg_again(once)
    lost = [float(np.abs(d.inputs - once.inputs.astype(float)).mean()) for d in (on_the_same_blocks, moved)]
    assert lost[1] > 2 * lost[0]
    assert lost[1] < 5  # the image is where it was: moved by four pixels it would differ by more than 10
    assert dataset.inputs.dtype == once.inputs.dtype == np.uint8


# -- the command ------------------------------------------------------------------------------------------------------


def test_the_list_is_readable_in_80_columns(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["reproduce", "--out", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    at = lines.index("  uva-apr19-a/table-4   8 runs")
    assert lines[at + 1] == f"      {ENTRIES['uva-apr19-a/table-4'].title}"
    assert "  uva-apr19-a/figure-2   1 run" in lines


def test_the_list_names_every_entry(capsys):
    assert main(["reproduce"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in ENTRIES)
    assert main(["reproduce", "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == list(ENTRIES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["uva-apr19-a/tabel-4"], "did you mean uva-apr19-a/table-4"),
        (["xyz"], "lists all of them"),
        (["uva-2020/table-1", "--budget", "-1"], "budget=-1: expected a number of minutes above 0"),
        (["uva-2020/table-1", "--budget", "nan"], "budget=nan"),
        (["uva-2020/table-1", "--seeds", "0"], "seeds=0: expected a whole number"),
        (["uva-2020/table-1", "--data-dir", "nowhere", "--offline"], "nowhere"),
        (["uva-2020/table-1", "--engine", "abacus"], '"abacus" for --engine. Choose from: "numpy", "torch"'),
        (["uva-2020/table-1", "--out", "/dev/null/pages"], "out=/dev/null/pages: cannot write to /dev/null"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", *arguments]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert message in said[-1]
    assert len(said) == 1
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_document_stands_for_all_of_its_entries():
    assert [e.name for e in chosen_entries(["cmu-f19", "uva-2020/table-1", "cmu-f19/speech"])] == [
        *(name for name in ENTRIES if name.startswith("cmu-f19/")),
        "uva-2020/table-1",
    ]
    with pytest.raises(ConfigError, match="did you mean"):
        chosen_entries(["uva-nov19/figure-99"])


@pytest.mark.slow
def test_from_the_command_to_the_page(cifar10, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    name = "uva-apr19-b/table-1"
    flags = ["--data-dir", cifar10, "--offline", "--threads", "1", "--budget", "0.005"]
    assert main(["reproduce", name, *flags, "--out", "out", "--json"]) == 0
    (said,) = json.loads(capsys.readouterr().out)
    assert said["verdict"] == "indicative"
    assert len(said["rows"]) == 8
    assert 0.05 < said["rows"][1]["here"][0] < 0.5
    page = Path(said["page"]).read_text()
    assert "handgrad reproduce uva-apr19-b/table-1 --budget 0.005" in page
    assert re.search(r"last test accuracy \| 0.437 \| 0\.\d+ ", page)
    assert (tmp_path / "out" / f"{name}.png").stat().st_size < 200_000
    assert main(["reproduce", "--index", "--out", "out"]) == 0
    index = (tmp_path / "out" / "index.md").read_text()
    assert f"[`{name}`]({name}.md) | table | Best and last results of the NumPy MLP | **indicative**" in index
    assert "`uva-2020/table-1` | table" in index


@pytest.mark.slow
def test_a_killed_process_goes_on_where_it_was(cifar10, tmp_path):
    entry, settings = ENTRIES["uva-apr19-b/figure-1"], {"data_dir": cifar10, "threads": 1, "checkpoint_seconds": 0.1}
    program = (
        "from handgrad.reproduce import all_entries, reproduce\n"
        f"reproduce(all_entries()[{entry.name!r}], runs_dir={str(tmp_path / 'runs')!r}, seeds=1, settings={settings!r})"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.DEVNULL) as process:
        until = time.monotonic() + 120
        while not list(tmp_path.glob("runs/*/checkpoint/state.safetensors")):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    (folder,) = tmp_path.glob("runs/*")
    assert not (folder / "summary.json").exists()
    reproduce(entry, runs_dir=tmp_path / "runs", seeds=1, settings=settings)
    run = load_run(folder)
    assert run.summary["steps"] == 1500
    fresh = reproduce(entry, runs_dir=tmp_path / "again", seeds=1, settings=settings)
    assert fresh.curves["mlp_numpy"][0][-1]["test_accuracy"] == run.metrics[-1]["test_accuracy"]


# -- pages ------------------------------------------------------------------------------------------------------------


def test_a_damaged_result_is_refused(tmp_path):
    write_page(reproduce(ENTRIES["uva-apr19-a/table-1"]), tmp_path)
    assert list(read_results(tmp_path)) == ["uva-apr19-a/table-1"]
    (tmp_path / "uva-apr19-a/table-1.json").write_text("{")
    with pytest.raises(RunError, match=r"cannot read .*table-1\.json"):
        write_index(tmp_path)


def test_what_cannot_be_says_why(tmp_path):
    outcome = reproduce(ENTRIES["cmu-f19/speech"])
    assert outcome.verdict == "cannot be"
    path, _ = write_page(outcome, tmp_path)
    assert ENTRIES["cmu-f19/speech"].cannot in path.read_text()


def test_a_record_has_a_page_with_its_recipe_and_a_row_on_the_leaderboard(tmp_path, monkeypatch):
    def record(accuracy):
        return Entry(
            name="records/digits",
            kind="record",
            title="Digits",
            says="A small network.",
            cases={"digits": Case({"recipe": "digits", "max_steps": 40, "eval_freq": 40})},
            statements=(Statement("It is accurate", "last test_accuracy", ("digits",), accuracy),),
            seeds=2,
        )

    monkeypatch.setattr("handgrad.reproduce.pages.all_entries", lambda: {"records/digits": record(0.2)})
    outcome = reproduce(record(0.2), runs_dir=tmp_path / "runs", settings={"threads": 1})
    accuracies = [run[-1]["test_accuracy"] for run in outcome.curves["digits"]]
    assert outcome.verdict == "reached"
    assert reproduce(record(0.999), runs_dir=tmp_path / "runs", settings={"threads": 1}).verdict == "missed"
    page, _ = write_page(outcome, tmp_path)
    said = page.read_text()
    assert "handgrad train --recipe digits" in said
    assert 'dataset = "digits"' in said
    assert "| goal | here |" in said
    assert "**Verdict: reached: " in said
    assert "(1 of 1 goals).**" in said
    mean = f"{np.mean(accuracies):.4f} ± {np.std(accuracies, ddof=1):.4f}"
    assert f"| digits | {mean} |" in said
    write_index(tmp_path)
    row = (tmp_path / "leaderboard.md").read_text().splitlines()[-1]
    assert row.startswith("| [Digits](records/digits.md) | ")
    assert f"| {mean} | 0.2 | 2 | " in row
    assert row.endswith(" | none | `handgrad reproduce records/digits` |")


RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"


def test_the_committed_index_is_that_of_the_committed_pages():
    assert (RESULTS / "index.md").read_text() == index(RESULTS)
    assert (RESULTS / "leaderboard.md").read_text() == leaderboard(RESULTS)
    assert {path.relative_to(RESULTS).with_suffix("").as_posix() for path in RESULTS.glob("*/*.json")} <= set(ENTRIES)


@pytest.mark.parametrize("name", list(read_results(RESULTS)))
def test_a_committed_verdict_follows_from_its_values(name):
    entry, result = ENTRIES[name], read_results(RESULTS)[name]
    assert result["full"]
    assert result["verdict"] != "indicative"
    assert f"**Verdict: {result['why']}**" in (RESULTS / f"{name}.md").read_text()
    rows = []
    for what, row in zip((*entry.printed, *entry.statements), result["rows"], strict=True):
        values = [math.nan if value is None else value for value in row["here"]]
        if isinstance(what, Printed):
            assert (row["case"], row["measure"], row["document"]) == (what.case, what.measure, what.value)
            assert row["verdict"] == judge_value(what.value, values, what.measure, what.samples)
        else:
            assert (row["statement"], row["measure"]) == (what.words, what.measure)
            assert row["verdict"] == (judge_goal if entry.kind == "record" else judge_statement)(values)
        rows.append(Row(what, values, row["verdict"]))
    if entry.trains:
        assert result["seeds"] == list(range(entry.seeds))
        assert judged(entry, rows, result["seeds"], True, {}).verdict == result["verdict"]


def test_an_interrupted_command_names_itself_with_its_flags(tmp_path, monkeypatch, capsys):
    from handgrad.reproduce import running

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(running._Runs, "estimate", lambda self: 1.0)
    monkeypatch.setattr(running._Runs, "of_cases", interrupted)
    flags = ["--budget", "1.5", "--out", "my pages", "--index", "--data-dir", "data", "--offline"]
    assert main(["reproduce", "uva-apr19-a/table-4", *flags]) == 130
    assert capsys.readouterr().err == (
        "handgrad: interrupted; the results are saved in runs/reproduce. Resume with: handgrad reproduce "
        "uva-apr19-a/table-4 --budget 1.5 --out 'my pages' --index --data-dir data --offline\n"
    )
    assert main(["reproduce", "uva-apr19-a/table-4"]) == 130
    assert capsys.readouterr().err.endswith("Resume with: handgrad reproduce uva-apr19-a/table-4\n")


def test_the_engine_has_its_own_default(capsys):
    assert main(["reproduce", "--help"]) == 0
    said = capsys.readouterr().out
    assert "[default: numpy]" in " ".join(said[said.index("--engine") :].partition("--device")[0].split())
    assert "the one that trained" not in said

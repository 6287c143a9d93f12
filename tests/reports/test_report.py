"""Reports: every number is that of the runs or computed correctly from them."""

import csv
import json
import shutil
import statistics
from pathlib import Path

import numpy as np
import pytest
from tests.reports.conftest import SMALL, train
from tests.reports.reading import ReadPage, ReadTable
from tests.run_files import seal
from tests.speech_files import write_set

import handgrad
from handgrad.architectures import cnn
from handgrad.cli import main
from handgrad.errors import ConfigError
from handgrad.reports import Report, make_report, words
from handgrad.reports.samples import look_inside, reliability
from handgrad.training import TrainConfig
from handgrad.training.run import load_dataset


def summaries(folders: list[Path]) -> list[dict]:
    return [json.loads((folder / "summary.json").read_text()) for folder in folders]


def spread(values: list[float]) -> str:
    return f"{statistics.fmean(values):.4f} ± {statistics.stdev(values):.4f}"


def table_of(made: Report, begins: str) -> ReadTable:
    """The table of a report whose caption begins with this text."""
    (found,) = [table for table in made.tables if table.caption.startswith(begins)]
    rows = [[cell.text for cell in row] for row in found.rows]
    return ReadTable(found.caption, [column.name for column in found.columns], rows, sorted(found.best))


@pytest.fixture(scope="module")
def compared(runs):
    """The report on two configurations, and its page."""
    made = make_report([*runs["poor"], *runs["good"]])
    return made, ReadPage(made.to_html())


def test_results_are_the_runs_own(runs, compared):
    _, page = compared
    table = page.table("Metrics at the last step")
    for name, letter, rate in (("poor", "A", "0.0003"), ("good", "B", "0.01")):
        row = table.row(f"{letter}: learning rate {rate}")
        own = summaries(runs[name])
        for column, figure in (
            ("test accuracy", "test_accuracy"),
            ("test loss", "test_loss"),
            ("train loss", "train_loss"),
        ):
            assert row[column] == spread([summary["last"][figure] for summary in own])
        assert row["parameters"] == f"{own[0]['parameters']:,}"
        assert row["seeds"] == "3"
    assert table.rows[0][0].startswith("B")  # the better one first
    assert table.best == [0]
    assert page.table("Settings that differ").rows == [["learning rate", "0.0003", "0.01"]]


def test_the_difference_is_scipys(runs, compared):
    stats = pytest.importorskip("scipy.stats")
    made, page = compared
    good, poor = ([s["last"]["test_accuracy"] for s in summaries(runs[name])] for name in ("good", "poor"))
    expected = stats.ttest_ind(good, poor, equal_var=False)
    interval = expected.confidence_interval(0.95)
    row = page.table("Differences in test accuracy").row("B − A")
    assert row["test accuracy"] == f"+{statistics.fmean(good) - statistics.fmean(poor):.4f}"
    assert row["95% interval"] == f"{interval.low:.4f} to {interval.high:.4f}"
    assert float(row["p"].lstrip("< ")) == pytest.approx(max(expected.pvalue, 1e-4), abs=6e-5)
    assert row["verdict"] == "B is better than A."
    assert made.lead[0].endswith(
        f"It is better than A by {row['test accuracy'].lstrip('+')} (95% interval {row['95% interval']})."
    )


def test_with_too_few_seeds_it_refuses_and_says_how_many_would_do(runs):
    made = make_report([*runs["poor"][:2], *runs["good"][:2]])
    row = table_of(made, "Differences in test accuracy").row("B − A")
    assert row["verdict"].startswith(
        "Cannot say: 2 seeds are too few for a test: train at least 3 seeds per configuration."
    )
    assert row["p"] == row["95% interval"] == ""
    assert "better" not in made.lead[0]
    assert table_of(made, "Metrics at the last step").best == []
    alone = make_report([runs["poor"][0], runs["good"][0]])
    assert (
        "cannot say: one seed gives no standard deviation: train at least 3 seeds per configuration." in alone.lead[0]
    )


def test_classes_and_what_is_taken_for_what(runs, compared):
    made, page = compared
    details = [summary["details"]["last"]["test"] for summary in summaries(runs["good"])]
    table = page.table("Metrics by class of B, test set, mean over 3 seeds")
    for name in "0123456789":
        row = table.row(name)
        for column, key in (("precision", "precision"), ("recall", "recall"), ("F1", "f1")):
            assert row[column] == f"{statistics.fmean(d['classes'][name][key] for d in details):.4f}"
        assert row["support"] == str(details[0]["classes"][name]["support"])
    together = np.sum([d["confusion"] for d in details], axis=0)
    written = {t.get_position(): t.get_text() for t in made.figures["b-confusion"].axes[0].texts}
    assert written == {(j, i): str(n) for (i, j), n in np.ndenumerate(together) if n}
    off = together - np.diag(np.diag(together))
    i, j = np.unravel_index(off.argmax(), off.shape)
    assert f"Most frequent confusions: {i} as {j} ({off.max()} times)" in page.text


def test_mistakes_and_calibration_are_those_of_the_first_seed(runs, compared):
    _, page = compared
    run = handgrad.load_run(runs["good"][0])
    dataset = load_dataset(run.config)
    test = dataset.indices("test")
    probabilities = run.predict(dataset.inputs[test])
    truth, given, sure = dataset.labels[test], probabilities.argmax(1), probabilities.max(1).astype(float)
    wrong = [k for k in np.argsort(-sure, kind="stable") if truth[k] != given[k]]
    of_b = page.pictures[-min(24, len(wrong)) :]
    for k, picture in zip(wrong, of_b, strict=False):
        assert picture["alt"] == f"Sample {test[k]:,}: {truth[k]}, predicted as {given[k]} ({100 * sure[k]:.1f}%)"
        assert picture["src"].startswith("data:image/png;base64,")
    accuracy = summaries(runs["good"])[0]["last"]["test_accuracy"]
    assert len(wrong) == round((1 - accuracy) * len(test))
    assert f"{len(wrong)} of {len(test)} samples are misclassified" in page.text
    error = 0.0
    for b in range(15):  # the definition, as a plain loop
        inside = [k for k in range(len(test)) if b / 15 < sure[k] <= (b + 1) / 15]
        if inside:
            right = statistics.fmean(float(truth[k] == given[k]) for k in inside)
            error += len(inside) / len(test) * abs(right - statistics.fmean(sure[k] for k in inside))
    assert f"Expected calibration error {error:.4f}" in page.text


def test_a_pictures_pixels_are_the_samples(runs, compared):
    import base64
    import io

    from PIL import Image

    _, page = compared
    dataset = load_dataset(handgrad.load_run(runs["good"][0]).config)
    picture = page.pictures[-1]
    index = int(picture["alt"].split(":")[0].removeprefix("Sample ").replace(",", ""))
    image = Image.open(io.BytesIO(base64.b64decode(picture["src"].partition(",")[2])))
    raw = dataset.inputs[index, 0].astype(float)
    np.testing.assert_array_equal(np.asarray(image), np.rint(255 * raw / 16))


def test_reliability_puts_the_edges_into_the_lower_bin():
    found = reliability(np.array([0.2, 0.4, 0.40001, 1.0]), np.array([True, False, True, True]), bins=5)
    assert found.count.tolist() == [1, 1, 1, 0, 1]
    assert found.error == pytest.approx((0.8 + 0.4 + 0.59999 + 0) / 4)


def test_weights_and_layers(runs, compared, tmp_path):
    made, page = compared
    run = handgrad.load_run(runs["good"][0])
    weight = run.network.state_dict()["0.weight"].reshape(-1, 8, 8)
    largest = weight[np.square(weight).sum(axis=(1, 2)).argmax()]
    (image,) = made.figures["b-first-layer"].axes[0].images
    tile = np.asarray(image.get_array())[:8, :8, 0] / 255
    np.testing.assert_allclose(tile, 0.5 + 0.5 * largest / np.abs(largest).max(), atol=0.51 / 255)

    table = page.table("Activations, gradients and updates of B")
    dataset = load_dataset(run.config)
    seed = run.config.seeds()["data_seed"]
    probe = np.sort(np.random.default_rng(seed).choice(dataset.indices("train"), 512, replace=False))
    scores = run.network.forward(dataset.gather(probe).reshape(512, -1))
    assert float(table.rows[-1][2]) == pytest.approx(np.sqrt(scores.var(axis=0).mean()), rel=5e-3)
    # The update of the next step: what one step more of the same training adds.
    longer = train(tmp_path / "longer", **SMALL | {"max_steps": 61}, learning_rate=1e-2)
    after = handgrad.load_run(longer).network.state_dict()["0.weight"]
    before = run.network.state_dict()["0.weight"]
    moved = np.sqrt(np.square(after - before).mean() / np.square(before).mean())
    assert look_inside(run, dataset).updates["0.weight"] == pytest.approx(moved, rel=1e-5)
    assert float(table.row("0")["update"]) == pytest.approx(moved, rel=5e-3)


def test_curves_and_runs(runs, compared):
    made, page = compared
    lines = {line.get_label(): line for line in made.figures["curves-accuracy"].axes[0].get_lines()}
    metrics = [handgrad.load_run(folder).metrics for folder in runs["good"]]
    expected = [
        statistics.fmean(values) for values in zip(*([r["test_accuracy"] for r in m] for m in metrics), strict=True)
    ]
    assert lines["B: learning rate 0.01"].get_xdata().tolist() == [20, 40, 60]
    assert lines["B: learning rate 0.01"].get_ydata().tolist() == pytest.approx(expected)
    (band,) = [c for c in made.figures["curves-accuracy"].axes[0].collections if c.get_facecolor()[0][0] > 0.5]
    last = [m[-1]["test_accuracy"] for m in metrics]
    heights = [y for x, y in band.get_paths()[0].vertices if x == 60]
    assert max(heights) - min(heights) == pytest.approx(2 * statistics.stdev(last))
    table = page.table("All runs")
    for folder, summary in zip(runs["good"], summaries(runs["good"]), strict=True):
        row = table.row(str(folder))
        assert row["test accuracy"] == f"{summary['last']['test_accuracy']:.4f}"
        assert row["training samples per second"] == f"{summary['samples_per_second']:,.0f}"
        inside = summary["seconds"] - summary["seconds_outside_steps"]
        assert row["seconds in steps and evaluations"] == f"{inside:.1f}"


def test_in_words(compared):
    _, page = compared
    assert (
        "A fully connected network with one hidden layer of 16 units (ReLU), 1,210 parameters, trained to "
        "distinguish 10 classes (0, 1, 2, 3, 4, 5, 6, 7, 8, 9). The data are digits (8x8 handwritten digits, inside "
        "the package): 1,438 samples for training and 359 for testing; a sample has 1 × 8 × 8 values. It was trained "
        "with Adam (learning rate 0.01) on the cross-entropy for 60 steps, with batch size 64 (NumPy engine). 3 "
        "runs: seeds 0, 1 and 2."
    ) in page.text


def test_figures_for_print(compared, tmp_path):
    from PIL import Image

    made, _ = compared
    some = {name: made.figures[name] for name in ("curves-accuracy", "a-first-layer")}
    files = Report("", figures=some).write_figures(tmp_path / "figures")
    assert {file.stem for file in files} == set(some)
    assert {file.suffix for file in files} == {".png", ".svg"}
    with Image.open(tmp_path / "figures" / "curves-accuracy.png") as image:
        assert image.size == (1040, 740)  # 5.2 by 3.7 inches at 200 dots
    styles = [(line.get_color(), line.get_linestyle()) for line in made.figures["curves-accuracy"].axes[0].get_lines()]
    assert len({dashes for _, dashes in styles}) == 2  # told apart without colours


def test_what_is_given_twice_or_not_finished(runs, tmp_path):
    copy, begun = tmp_path / "copy", tmp_path / "begun"
    shutil.copytree(runs["good"][0], copy)
    shutil.copytree(runs["good"][1], begun)
    (begun / "summary.json").unlink()
    made = make_report([runs["good"][0], copy, begun, runs["good"][0]])
    page = ReadPage(made.to_html())
    assert page.table("Metrics at the last step").column("seeds") == ["1"]
    assert any(f"{copy} has the same settings and seeds as {runs['good'][0]}" in line for line in made.left_out)
    assert any(f"{begun} has not finished (at step 60)" in line for line in made.left_out)
    assert page.table("All runs").row(str(begun))["state"] == "not finished"
    only = ReadPage(make_report([begun]).to_html())
    assert "No run has finished." in only.text
    assert [level for level, _ in only.headings][:2] == [1, 2]


# -- every kind of run ------------------------------------------------------------------------------------------------


def test_a_table_shows_its_mistakes_as_rows(table, tmp_path):
    own = {"data": str(table), "target": "kind", "max_steps": 100, "hidden_units": [8], "ignore": "sum_|_a"}
    run = handgrad.load_run(train(tmp_path / "run", **own, validation_size=0.1))
    made = make_report([run.path])
    page = ReadPage(made.to_html())
    worst = page.table("The worst")
    assert worst.head == ["true", "predicted", "age", "city", "income <k&>", "other"]
    with table.open() as file:
        rows = {(row["age"], row["other"]): row for row in csv.DictReader(file)}
    for row in worst.rows:
        (original,) = [
            r for (age, other), r in rows.items() if age == row[2] and float(other) == pytest.approx(float(row[5]))
        ]
        assert original["kind"] == row[0]
        assert row[3] == (original["city"] or "missing")
        assert row[4] == (f"{float(original['income <k&>']):g}" if original["income <k&>"] else "missing")
    wrong = round((1 - run.summary["last"]["test_accuracy"]) * 40)
    assert f"{wrong} of 40 samples are misclassified" in page.text
    assert "a row of 4 columns" in page.text
    assert page.table("Metrics at the last step").row("people")["test accuracy at the best validation"] == (
        f"{run.summary['best']['test_accuracy']:.4f}"
    )
    assert "income <k&>" in next(label for label in page.labels if "units by" in label) or "by 7 features" in page.text

    table.rename(table.with_suffix(".moved"))
    gone = make_report([run.path])
    table.with_suffix(".moved").rename(table)
    assert "people: mistakes, calibration, activations and gradients need the data set and" in gone.left_out[0]
    page = ReadPage(gone.to_html())
    assert "Not shown" in [text for _, text in page.headings]
    assert page.table("Metrics by class").row("old & wise")["recall"] == made.tables[1].rows[0][2].text
    assert not [table for table in page.tables if table.caption.startswith("The worst")]


def test_a_regression(table, tmp_path):
    own = {"data": str(table), "target": "sum_|_a,other", "ignore": "kind", "task": "regression", "max_steps": 100}
    folders = [train(tmp_path / str(i), **own, hidden_units=[8], seed=i, loss="huber") for i in range(2)]
    made = make_report([*folders, train(tmp_path / "linear", **own, hidden_units=[], loss="l1")])
    page = ReadPage(made.to_html())
    last = [summary["last"] for summary in summaries(folders)]
    row = page.table("Metrics at the last step").row("A: hidden units 8, loss huber")
    for name, figure, form in (
        ("test RMSE", "test_rmse", ".4g"),
        ("test R²", "test_r2", ".4f"),
        ("test MAE", "test_mae", ".4g"),
    ):
        values = [record[figure] for record in last]
        assert row[name] == f"{statistics.fmean(values):{form}} ± {statistics.stdev(values):{form}}".replace("-", "−")
    targets = [summary["details"]["last"]["test"]["targets"]["sum_|_a"] for summary in summaries(folders)]
    assert (
        page.table("Metrics by target of A").row("sum_|_a")["RMSE"]
        == f"{statistics.fmean(t['rmse'] for t in targets):.4g}"
    )
    run = handgrad.load_run(folders[0])
    dataset = load_dataset(run.config)
    test = dataset.indices("test")
    apart = run.predict(dataset.inputs[test]) - dataset.labels[test]
    worst = np.square(apart / dataset.labels[test].std(axis=0)).sum(axis=1).argmax()
    shown = next(table for table in page.tables if table.caption.startswith("The worst")).rows[0]
    assert float(shown[0]) == pytest.approx(dataset.labels[test][worst][0], rel=1e-4)
    assert float(shown[1]) == pytest.approx(dataset.labels[test][worst][0] + apart[worst][0], rel=1e-3)
    assert "a-predicted-2" in made.figures
    layers = page.table("Activations, gradients and updates of A")
    assert all(float(row[3]) > 0 for row in layers.rows)  # a gradient arrives at every layer


@pytest.mark.slow
def test_speech_in_frames(tmp_path):
    write_set(tmp_path / "speech", (3, 2, 1), classes=6, features=5)
    folder = train(
        tmp_path / "run", dataset="speech", data_dir=str(tmp_path / "speech"), context=2, max_steps=20, hidden_units=[8]
    )
    made = make_report([folder])
    page = ReadPage(made.to_html())
    assert "a sample is a frame of 5 features with 2 frames on either side" in page.text
    assert page.pictures[0]["alt"].startswith("frame ")
    assert " of utterance " in page.pictures[0]["alt"]
    row = page.tables[0].row("speech")
    assert row["validation accuracy"] == f"{summaries([folder])[0]['last']['validation_accuracy']:.4f}"
    assert "horizontal: time" in page.text


@pytest.mark.slow
def test_convolutions_a_network_with_mse_and_an_imported_one(runs, tmp_path):
    settings = {**SMALL, "max_steps": 4, "eval_freq": 4, "hidden_units": [100]}
    made = make_report([train(tmp_path / "cnn", **settings, model="cnn", channels=[4])])
    assert {"first-layer", "layers-gradient", "reliability"} <= set(made.figures)
    made = make_report([train(tmp_path / "mse", **settings, loss="mse")])
    assert {"first-layer", "layers-gradient", "reliability"} <= set(made.figures)
    imported = tmp_path / "imported"
    weights = runs["good"][0] / "model.safetensors"
    assert main(["import", str(weights), "--arch", str(runs["good"][0]), "--run-dir", str(imported)]) == 0
    own = summaries(runs["good"])[0]["last"]["test_accuracy"]
    assert table_of(make_report([imported]), "Metrics at the last step").column("test accuracy") == [f"{own:.4f}"]


@pytest.mark.slow
def test_many_configurations(runs, tmp_path):
    folders = []
    for i in range(8):
        copy = tmp_path / f"copy-{i}"
        shutil.copytree(runs["good"][0], copy)
        text = (copy / "config.toml").read_text()
        (copy / "config.toml").write_text(text.replace("weight_decay = 0.0", f"weight_decay = {i}e-9"))
        seal(copy / "config.toml")
        folders.append(copy)
    made = make_report(folders)
    assert len(table_of(made, "Metrics at the last step").rows) == 8
    assert len(table_of(made, "Differences").rows) == 7  # each with the best
    assert any("2 of 8 configurations have no section of their network" in line for line in made.left_out)


# -- the command ------------------------------------------------------------------------------------------------------


def test_the_command(runs, compared, tmp_path, monkeypatch, capsys):
    made, _ = compared
    small = Report("", tables=made.tables[:2], figures={"first-layer": made.figures["a-first-layer"]})
    monkeypatch.chdir(tmp_path)
    assert main(["report", str(runs["good"][0]), "--title", "My <run>"]) == 0
    output = capsys.readouterr()
    assert output.out == "report: report.html\n"
    page = ReadPage((tmp_path / "report.html").read_text())
    assert page.headings[0] == (1, "My <run>")
    assert page.outside == []
    monkeypatch.setattr("handgrad.reports.make_report", lambda paths, **options: small)
    assert main(["report", str(runs["good"][0]), "--format", "latex", "--out", "t.tex", "--figures", "figures"]) == 0
    assert (tmp_path / "t.tex").read_text() == small.to_latex()
    assert sorted(file.name for file in (tmp_path / "figures").iterdir()) == ["first-layer.png", "first-layer.svg"]
    capsys.readouterr()
    assert main(["report", str(runs["good"][0]), "--format", "markdown"]) == 0
    assert capsys.readouterr().out == small.to_markdown()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "nothing to report on: give run folders, or folders of studies"),
        (("nowhere",), "there is no nowhere: expected the folder of a run or of a study"),
        ((".",), "contains neither a run (config.toml) nor a study (study.toml)"),
        (("RUNS",), "contains 6 runs: use handgrad report"),
        (("RUN", "--out", "."), "out=. is a folder: expected the name of a file, as report.html"),
        (("RUN", "--figures", "a-file"), "figures=a-file is a file: expected a folder"),
        (("RUN", "--format", "pdf"), 'Choose from: "html", "markdown", "latex"'),
        (("RUN", "--out", "a-file/report.html"), "cannot write a-file/report.html"),
    ],
)
def test_what_cannot_be(arguments, message, runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a-file").write_text("")
    places = {"RUN": str(runs["good"][0]), "RUNS": str(runs["good"][0].parent)}
    monkeypatch.setattr("handgrad.reports.make_report", _no_report_of(runs["good"][0]))
    assert main(["report", *(places.get(a, a) for a in arguments)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a-file"]


def _no_report_of(run: Path):
    """`make_report` with an empty report for existing runs, because a real one takes seconds."""
    from handgrad.reports import Report

    return lambda paths, **options: Report("") if list(paths) == [run] else make_report(paths, **options)


def test_damaged_files_are_refused(runs, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(runs["good"][0], copy)
    text = (copy / "summary.json").read_text()
    (copy / "summary.json").write_text(text.replace('"steps": 60', '"steps": 61'))
    assert main(["report", str(copy), "--out", str(tmp_path / "x.html")]) == 2
    assert "summary.json" in capsys.readouterr().err
    assert not (tmp_path / "x.html").exists()
    with pytest.raises(ConfigError, match="nothing to report on"):
        make_report([])


@pytest.mark.parametrize("channels", [(8,), (8, 16)])
@pytest.mark.parametrize("blocks", [0, 1, 2])
def test_the_convolutions_and_residual_blocks_of_a_cnn_are_counted(channels, blocks):
    def count(kind: str, layers) -> int:
        return sum((layer.kind == kind) + count(kind, layer.children) for layer in layers)

    built = cnn((1, 8, 8), 10, channels=channels, blocks=blocks).layers
    said = words.network(TrainConfig(dataset="digits", model="cnn", channels=channels, blocks=blocks))
    convolutions, residual = count("conv2d", built), count("residual", built)
    assert ("one convolution " if convolutions == 1 else f"{convolutions} convolutions ") in said
    assert (f"{residual} residual block{'s' * (residual > 1)} (" in said) == (blocks > 0)


def test_the_power_is_told_only_beside_a_number_of_seeds(runs, tmp_path):
    note = "The suggested number of seeds would detect a difference of this size with 80% power."
    clear = ReadPage(make_report([*runs["good"], *runs["poor"]]).to_html()).text
    assert "seeds per configuration" not in clear
    assert note not in clear
    alike = [train(tmp_path / f"{seed}", **SMALL, learning_rate=1.1e-2, seed=seed) for seed in range(3)]
    unclear = ReadPage(make_report([*runs["good"], *alike]).to_html()).text
    assert "seeds per configuration would detect a difference of this size" in unclear
    assert note in unclear


def test_two_tasks_on_one_table_have_names_of_their_own(table, runs, tmp_path):
    own = {"data": str(table), "max_steps": 20, "eval_freq": 10, "hidden_units": [8], "validation_size": 0.2}
    people = [
        train(tmp_path / "age", **own, target="age", task="regression"),
        train(tmp_path / "kind", **own, target="kind"),
        train(tmp_path / "kind-slow", **own, target="kind", learning_rate=1e-5),
    ]
    made = make_report([*people, runs["good"][0]])
    titles = [section.title for section in made.sections]
    assert [title for title in titles if title.startswith("Results on")] == [
        "Results on people (target age)",
        "Results on people (target kind)",
        "Results on digits",
    ]
    assert made.lead[-1] == ("4 runs of 4 configurations, on people (target age), people (target kind) and digits.")
    assert table_of(made, "Metrics at the last step; data: people (target age)").column("configuration") == [
        "A: people (target age)"
    ]
    of_kinds = table_of(made, "Metrics at the last step; data: people (target kind)").column("configuration")
    assert sorted(of_kinds) == [
        "B: people (target kind), learning rate 0.001",
        "C: people (target kind), learning rate 1e-05",
    ]
    assert {"curves-people-target-age-loss", "curves-people-target-kind-loss", "curves-digits-loss"} < set(made.figures)
    again = make_report([people[0], train(tmp_path / "log", **own, target="sum_|_a", task="regression")])
    results = [section.title for section in again.sections if section.title.startswith("Results")]
    assert results == ["Results on people (target age)", "Results on people (target sum_|_a)"]  # never ranked together

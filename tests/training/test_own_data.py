"""Runs on the user's own data: training, records, resuming, evaluation, prediction."""

import csv
import dataclasses
import io
import json
import warnings

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

import handgrad
from handgrad.cli import main
from handgrad.data import Table
from handgrad.errors import ConfigError, DataError
from handgrad.training import InputWarning, load_run, train
from handgrad.training.new_data import predictions, read_inputs
from handgrad.training.run import RunFolder

SMALL = {"hidden_units": (8,), "max_steps": 40, "eval_freq": 20, "learning_rate": 0.02}
RNG = np.random.default_rng(5)


@pytest.fixture(autouse=True, scope="module")
def no_figures():
    """Disables figures, which take longer than these runs."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("save_curves", "save_confusion"):
            patch.setattr(RunFolder, name, lambda *_, **__: None)
        yield


def table_text(n=120, seed=0, target=True):
    """Rows whose class is determined by the first number and the colour; some numbers are missing."""
    rng = np.random.default_rng(seed)
    lines = ["size,weight,colour,label,price"]
    for i in range(n):
        size, weight, kind = rng.normal(), rng.normal(50, 10), i % 2
        colour = ["red", "blue"][kind] if rng.random() < 0.9 else "green"
        gap = "" if i % 10 == 3 else f"{weight:.3f}"
        lines.append(f"{size + 3 * kind:.4f},{gap},{colour},{['good', 'bad'][kind]},{2 * size + kind:.3f}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(table_text())
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    (folder / "table.csv").write_text(table_text())
    return train(run_dir=folder / "run", data=str(folder / "table.csv"), target="label", ignore="price", **SMALL)


def figures(run):
    return [{k: v for k, v in record.items() if k != "seconds"} for record in run.metrics]


def test_a_table_is_trained_on_and_recorded(run):
    config = run.config
    assert config.dataset == "table"
    assert config.data.endswith("/table.csv")
    assert config.data_bytes == len(table_text())
    assert len(config.data_sha256) == 64
    assert run.summary["last"]["test_accuracy"] > 0.9
    assert run.classes == ["bad", "good"]
    saved = json.loads((run.path / "table.json").read_text())
    assert [column["name"] for column in saved["columns"]] == ["size", "weight", "colour"]
    assert saved["columns"][1]["flag"]
    assert saved["target"] == ["label"]
    shift, scale = (load_file(run.path / "preprocessing.safetensors")[name] for name in ("shift", "scale"))
    assert shift.shape == (6,)
    assert (shift[2:] == 0).all()  # the flag and the three colours
    assert (scale[2:] == 1).all()


def test_the_saved_configuration_repeats_the_run(run, tmp_path):
    again = train(config_file=run.path / "config.toml", run_dir=tmp_path / "again")
    assert figures(again) == figures(run)


def test_a_run_is_resumed_bit_for_bit_and_from_another_folder(table, tmp_path, monkeypatch):
    settings = {"target": "label", "ignore": "price", **SMALL, "validation_size": 0.2}
    monkeypatch.chdir(tmp_path)
    train(run_dir="whole", data="table.csv", **settings)
    train(run_dir="part", data="table.csv", **{**settings, "max_steps": 20})
    monkeypatch.chdir(tmp_path.parent)
    rest, whole = train(run_dir=tmp_path / "part", resume=True, max_steps=40), load_run(tmp_path / "whole")
    assert figures(rest) == figures(whole)
    assert whole.summary["selected_by"] == "validation_accuracy"


def test_changed_data_are_refused(table, tmp_path):
    settings = {"target": "label", "ignore": "price", **SMALL}
    train(run_dir=tmp_path / "run", data=str(table), **settings)
    moved = table.rename(tmp_path / "moved.csv")
    with pytest.raises(DataError, match=r"there is no file or folder .*table.csv"):
        train(run_dir=tmp_path / "run", resume=True, max_steps=60)
    assert train(run_dir=tmp_path / "run", resume=True, data=str(moved), max_steps=60).summary["steps"] == 60
    moved.write_text(table_text(seed=1))
    with pytest.raises(DataError, match=r"moved.csv has changed since the run began: its SHA-256 is .*config.toml has"):
        train(run_dir=tmp_path / "run", resume=True, max_steps=80)
    with pytest.raises(DataError, match="has changed since the run began"):
        load_run(tmp_path / "run").evaluate()
    moved.write_text("a,b\n1\n")  # broken as well: that it has changed is what is said
    with pytest.raises(DataError, match="has changed since the run began"):
        train(run_dir=tmp_path / "run", resume=True, max_steps=80)
    assert load_run(tmp_path / "run").summary["steps"] == 60


def test_new_rows_are_evaluated(run, tmp_path):
    path = tmp_path / "new.csv"
    path.write_text(table_text(40, seed=9))
    judged = run.evaluate(data=path)["data"]
    frame = {name: column for name, column in zip_columns(path).items() if name not in ("price", "label")}
    guesses = run.predict(Table.from_frame(frame)).argmax(axis=1)
    labels = [run.classes.index(label) for label in zip_columns(path)["label"]]
    assert judged["accuracy"] == pytest.approx(np.mean(guesses == labels))
    path.write_text(table_text(6, seed=9).replace("good", "great"))
    with pytest.raises(
        DataError, match="has the class 'great', which the network does not know: expected one of bad, good"
    ):
        run.evaluate(data=path)
    path.write_text("size,weight,colour\n1,2,red\n")
    with pytest.raises(DataError, match="has no column 'label'"):
        run.evaluate(data=path)


def zip_columns(path):
    rows = list(csv.reader(path.read_text().splitlines()))
    return dict(zip(rows[0], map(list, zip(*rows[1:], strict=True)), strict=True))


def test_predictions_have_labels_and_probabilities(run, tmp_path, capsys):
    path = tmp_path / "new.csv"
    path.write_text("colour,size,weight,extra\nblue,3.2,,x\nviolet,-0.5,50,y\n")  # another order, no target
    out = tmp_path / "deep" / "predictions.csv"
    assert main(["predict", str(run.path), str(path), "--out", str(out)]) == 0
    captured = capsys.readouterr()
    assert "1 value that did not occur in training ('violet')" in captured.err
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [row["row"] for row in rows] == ["1", "2"]
    assert [row["prediction"] for row in rows] == ["bad", "good"]
    for row in rows:
        assert float(row["p(bad)"]) + float(row["p(good)"]) == pytest.approx(1, abs=1e-5)
        assert float(row["probability"]) == max(float(row["p(bad)"]), float(row["p(good)"]))
    assert sorted(tmp_path.rglob("*.part")) == []


def test_evaluate_notes_values_that_did_not_occur_in_training_once(run, tmp_path, capsys):
    path = tmp_path / "new.csv"
    path.write_text("size,weight,colour,label\n3.2,40,blue,bad\n-0.5,50,violet,good\n")
    assert main(["evaluate", str(run.path), "--data", str(path)]) == 0
    assert capsys.readouterr().err.count("1 value that did not occur in training ('violet')") == 1


def test_a_table_is_used_from_python(run):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one = run.predict(Table.from_frame({"size": [3.0], "weight": [50.0], "colour": ["blue"]}))
    assert one.shape == (1, 2)
    with pytest.warns(InputWarning, match="did not occur in training"):
        run.predict(Table.from_frame({"size": [3.0], "weight": [50.0], "colour": ["grey"]}))
    np.testing.assert_allclose(run.predict(np.array([[3.0, 50.0, 0, 1, 0, 0]])), one, atol=1e-6)
    with pytest.raises(ConfigError, match=r"expected numbers \(N, 6\); one input needs an axis more"):
        run.predict(np.zeros(6))
    with pytest.raises(DataError, match="lacks the column 'size'"):
        run.predict(Table.from_frame({"weight": [50.0], "colour": ["blue"]}))


def test_a_regression_is_trained_on_and_used(table, tmp_path):
    run = train(
        run_dir=tmp_path / "run", data=str(table), target="price", ignore="label", **{**SMALL, "max_steps": 200}
    )
    assert run.task == "regression"
    assert run.summary["last"]["test_r2"] > 0.8
    inputs, _, _ = read_inputs(run, table)
    outputs = run.predict(inputs)
    rows = list(csv.DictReader(io.StringIO(predictions(run, outputs))))
    assert list(rows[0]) == ["row", "price"]
    assert float(rows[0]["price"]) == pytest.approx(outputs[0, 0], rel=1e-5)
    assert run.evaluate(data=table)["data"]["r2"] > 0.8
    assert load_run(run.path).evaluate()["test"]["rmse"] == pytest.approx(run.summary["last"]["test_rmse"])


# -- arrays -----------------------------------------------------------------------------------------------------------


def blobs(n=90, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    return rng.standard_normal((n, 4)).astype(np.float32) + 3 * y[:, np.newaxis], np.array(["a", "b", "c"])[y]


def test_arrays_from_python(tmp_path):
    x, y = blobs()
    run = train(x=x, y=y, run_dir=tmp_path / "run", **SMALL)
    assert run.summary["last"]["test_accuracy"] > 0.8
    assert (run.config.data, run.config.dataset) == (":memory:", "arrays")
    assert run.predict(x[:5]).shape == (5, 3)
    assert run.evaluate(data=(x, y))["data"]["accuracy"] > 0.8
    for call in (lambda: train(run_dir=run.path, resume=True, max_steps=60), run.evaluate):
        with pytest.raises(ConfigError, match=r"arrays that were passed from Python.*pass them again"):
            call()
    with pytest.raises(DataError, match=":memory: has changed since the run began"):
        train(x=x + 1, y=y, run_dir=run.path, resume=True, max_steps=60)
    more = train(x=x, y=y, run_dir=run.path, resume=True, max_steps=60)
    assert figures(more) == figures(train(x=x, y=y, run_dir=tmp_path / "other", **{**SMALL, "max_steps": 60}))
    with pytest.raises(ConfigError, match="x requires y"):
        train(x=x)
    with pytest.raises(ConfigError, match=r"data=file\.csv and x are both given"):
        train(x=x, y=y, data="file.csv")


def test_a_data_frame_from_python(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_csv(io.StringIO(table_text()))
    run = train(x=frame.drop(columns="price"), y="label", run_dir=tmp_path / "run", **SMALL)
    assert run.summary["last"]["test_accuracy"] > 0.9
    assert run.predict(frame.drop(columns="label")).shape == (120, 2)
    columns = {name: frame[name].tolist() for name in ("size", "colour", "label")}
    plain = train(x=columns, y="label", run_dir=tmp_path / "plain", **SMALL)
    assert plain.predict({"size": [3.0], "colour": ["blue"]}).shape == (1, 2)
    other = train(x=frame[["size", "colour"]], y=frame["price"], run_dir=tmp_path / "other", **SMALL)
    assert (other.task, other.classes) == ("regression", ["price"])


def test_samples_may_weigh(tmp_path):
    """Two of three rows have a wrong label and a weight of 0."""
    x = RNG.standard_normal((300, 2)).astype(np.float32)
    true = np.where(x[:, 0] > 0, "right", "left")
    wrong = np.arange(300) % 3 > 0
    y = np.where(wrong, np.where(true == "right", "left", "right"), true)
    weight = np.where(wrong, 0.0, 2.0)
    lines = [f"{a},{b},{label},{w}" for (a, b), label, w in zip(x, y, weight, strict=True)]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,y,w", *lines]))
    np.savez(tmp_path / "t.npz", x=x, y=y, w=weight)
    settings = {**SMALL, "max_steps": 100, "seed": 1}
    runs = [
        train(x=x, y=y, sample_weight=weight, run_dir=tmp_path / "a", **settings),
        train(data=str(tmp_path / "t.csv"), target="y", sample_weight="w", run_dir=tmp_path / "b", **settings),
        train(data=str(tmp_path / "t.npz"), sample_weight="w", run_dir=tmp_path / "c", **settings),
    ]
    for run in runs:
        guesses = np.array(run.classes)[run.predict(x).argmax(axis=1)]
        assert (guesses == true).mean() > 0.95
    for weights, message in (
        (np.zeros(300), "are all 0"),
        (-weight, "contain '-2.0' in row 1"),
        ([1], "and 1 weights"),
    ):
        with pytest.raises(DataError, match=message):
            train(x=x, y=y, sample_weight=weights, run_dir=tmp_path / "none", **settings)


def test_a_small_table_takes_a_small_batch(tmp_path):
    x, y = blobs(30)
    assert train(x=x, y=y, run_dir=tmp_path / "run", **SMALL).config.batch_size == 24
    with pytest.raises(ConfigError, match="batch_size=50: expected at most 24"):
        train(x=x, y=y, run_dir=tmp_path / "other", batch_size=50, **SMALL)
    assert not (tmp_path / "other").exists()


def test_memory_mapped_arrays_train_as_those_in_memory(tmp_path):
    x, y = blobs(200)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    run = train(data=str(tmp_path), run_dir=tmp_path / "run", **SMALL)
    assert run.summary["last"]["test_accuracy"] > 0.8
    resumed = train(run_dir=run.path, resume=True, max_steps=60)
    assert resumed.summary["steps"] == 60
    inputs, names, _ = read_inputs(run, tmp_path / "x.npy")
    assert (inputs.shape, names) == ((200, 4), ())
    pair = train(data=str(tmp_path / "x.npy"), target=str(tmp_path / "y.npy"), run_dir=tmp_path / "pair", **SMALL)
    assert figures(pair) == figures(run)[:2]


def test_predictions_for_arrays_in_an_npz_file(tmp_path):
    x, y = blobs()
    np.savez(tmp_path / "d.npz", inputs=x, names=y)
    run = train(data=str(tmp_path / "d.npz"), arrays="inputs,names", run_dir=tmp_path / "run", **SMALL)
    assert run.evaluate(data=tmp_path / "d.npz")["data"]["accuracy"] > 0.8
    np.savez(tmp_path / "new.npz", x=x[:7])
    inputs, _, _ = read_inputs(run, tmp_path / "new.npz")
    assert predictions(run, run.predict(inputs)).splitlines()[0] == "index,prediction,probability,p(a),p(b),p(c)"
    with pytest.raises(ConfigError, match=r"is a table, and .* was trained on inputs of shape"):
        read_inputs(run, tmp_path / "t.csv")


# -- images -----------------------------------------------------------------------------------------------------------


def test_a_folder_of_images_from_training_to_predictions(tmp_path, capsys):
    for i in range(24):
        for name, column in (("left", slice(0, 4)), ("right", slice(4, 8))):
            pixels = np.full((8, 8), 20, np.uint8)
            pixels[:, column] = 150 + RNG.integers(0, 100)
            path = tmp_path / "images" / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    run = train(data=str(tmp_path / "images"), run_dir=tmp_path / "run", **SMALL)
    assert run.input_shape == (1, 8, 8)
    assert run.summary["last"]["test_accuracy"] == 1
    assert run.evaluate(data=tmp_path / "images")["data"]["accuracy"] == 1
    # a folder without classes, one image; colours become grey
    Image.new("RGB", (8, 8), (0, 0, 0)).save(tmp_path / "black.bmp")
    assert main(["predict", str(run.path), str(tmp_path / "black.bmp")]) == 0
    assert main(["predict", str(run.path), str(tmp_path / "images" / "left"), "--out", str(tmp_path / "p.csv")]) == 0
    rows = list(csv.DictReader((tmp_path / "p.csv").read_text().splitlines()))
    assert rows[0]["file"] == "0.png"
    assert {row["prediction"] for row in rows} == {"left"}
    Image.new("L", (9, 8)).save(tmp_path / "size.png")
    with pytest.raises(DataError, match="is 9x8 pixels, the network expects 8x8"):
        read_inputs(run, tmp_path / "size.png")
    scaled = train(data=str(tmp_path / "images"), image_size="6x4", run_dir=tmp_path / "scaled", **SMALL)
    assert scaled.input_shape == (1, 6, 4)
    assert read_inputs(scaled, tmp_path / "size.png").inputs.shape == (1, 1, 6, 4)
    capsys.readouterr()


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data": "table.csv"}, "table.csv is a table, and target is not set: name the column.*one of size, weight"),
        ({"data": "table.csv", "target": "labels"}, "has no column 'labels': did you mean 'label'"),
        ({"data": "table.csv", "target": "label", "ignore": "nothing"}, "has no column 'nothing'"),
        ({"data": "table.csv", "target": "label", "ignore": "price,label"}, "label is the target, not an input"),
        ({"data": "none.csv", "target": "y"}, "there is no file or folder .*none.csv"),
        ({"data": "table.csv", "target": "label", "model": "vgg"}, "takes images"),
        ({"data": "table.csv", "target": "label", "random_crop": 1}, "random_crop applies to images"),
        ({"data": "table.csv", "target": "label", "preprocessing": "unit"}, "preprocessing=unit applies to images"),
        (
            {"data": "table.csv", "target": "label,price"},
            "target 'label' of .* contains 'good' in row 1: expected a finite",
        ),
        ({"data": "table.csv", "target": "label,colour", "task": "classification"}, "several targets require task"),
        ({"data": "table.csv", "target": "label", "test_size": 1.5}, "test_size=1.5: expected a whole number"),
        ({"dataset": "table.csv"}, "dataset=table.csv: expected one of digits, .*--data PATH"),
        ({"dataset": "mnist", "target": "y"}, "target=y applies to your own data, but dataset=mnist is built in"),
        ({"data": "table.csv", "target": "label", "data_sha256": "x"}, "64 hexadecimal digits"),
    ],
)
def test_what_cannot_be_is_said_in_a_line_and_leaves_nothing(table, tmp_path, monkeypatch, settings, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ConfigError, DataError), match=message) as error:
        train(**{**SMALL, **settings} if settings.get("model", "mlp") == "mlp" else settings)
    assert "\n" not in str(error.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["table.csv"]


def test_several_targets(table, tmp_path):
    table.write_text(
        "\n".join(f"{line},{i * 0.5 if i else 'other'}" for i, line in enumerate(table_text().splitlines()))
    )
    run = train(run_dir=tmp_path / "run", data=str(table), target="price,other", ignore="label", **SMALL)
    assert (run.task, run.classes) == ("regression", ["price", "other"])
    assert run.predict(read_inputs(run, table).inputs).shape == (120, 2)


def test_the_command(table, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shared = ["--target", "label", "--ignore", "price", "--validation-size", "0.25", "--seed", "3"]
    assert main(["data", "check", "table.csv", *shared]) == 0
    out = capsys.readouterr().out
    for said in (
        *("table.csv: a table, 1 file", "classification: 2 classes", "72 train, 24 validation, 24 test"),
        *("class bad: 36 train, 12 validation, 12 test", "column price: left out", "column label: target"),
    ):
        assert said in out
    flags = [*shared, "--max-steps", "20", "--hidden-units", "8"]
    assert main(["train", "--data", "table.csv", *flags, "--run-dir", "run", "--quiet"]) == 0
    assert "best validation" in capsys.readouterr().out
    config = load_run("run").config
    assert (config.validation_size, config.seed) == (0.25, 3)
    assert main(["evaluate", "run", "--data", "table.csv", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["last"]["data"].keys() >= {"loss", "accuracy"}
    assert main(["show", "run"]) == 0
    assert main(["train", "--data", "none.csv", *flags]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["data", "check", "tabel.csv"]) == 2
    assert "there is no data set, file or folder 'tabel.csv': expected one of digits" in capsys.readouterr().err
    assert main(["train", "--data", "table.csv", "--target", "label", "--test-size", "half"]) == 2
    assert "test_size=half: expected a whole number of at least 0, or a share" in capsys.readouterr().err


def test_the_doctor_takes_data_of_ones_own(run):
    from handgrad.training import doctor

    report = doctor.examine_run(run, budget=50)
    assert all(finding.diagnosis for finding in report)
    assert len(list(report)) > 5


def test_a_recipe_gives_way_to_data_of_ones_own(table):
    settings = handgrad.training.merge_settings("digits", settings={"data": str(table), "target": "label"})
    config = handgrad.TrainConfig.from_settings(settings)
    assert (config.dataset, config.recipe) == ("table", "digits")
    assert dataclasses.replace(config, data=str(table.with_name("x.tsv.gz"))).dataset == "table"


def test_predictions_do_not_replace_their_input(run, tmp_path, capsys):
    (tmp_path / "new.csv").write_text("a,b\n1,2\n")
    assert main(["predict", str(run.path), str(tmp_path / "new.csv"), "--out", str(tmp_path / "new.csv")]) == 2
    assert "is INPUT, which would be overwritten: choose another file" in capsys.readouterr().err
    assert (tmp_path / "new.csv").read_text() == "a,b\n1,2\n"

"""The commands on files of the competition: train, evaluate, predict, submit."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.speech_files import CLASSES, write_set, write_split

from handgrad import training
from handgrad.cli import main
from handgrad.data.speech import read_frames
from handgrad.errors import ConfigError
from handgrad.speech.evaluation import FrameFigures, evaluate_frames
from handgrad.speech.prediction import write_submission

FLAGS = ("--context", "1", "--hidden-units", "64", "--eval-freq", "50", "--learning-rate", "0.01")


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    """The competition's five files, small: 138 states, a test set without labels."""
    folder = tmp_path_factory.mktemp("speech")
    write_set(folder, (60, 10, 4))
    return folder


def trained(folder, run, *flags, steps=450):
    place = ("--dataset", "speech", "--data-dir", str(folder), "--run-dir", str(run))
    assert main(["train", *place, *FLAGS, "--max-steps", str(steps), *flags]) == 0
    return run


@pytest.fixture(scope="module")
def run(speech, tmp_path_factory):
    return trained(speech, tmp_path_factory.mktemp("runs") / "run")


def answers(path):
    """The labels of a submission; its form is checked on the way."""
    lines = Path(path).read_text().split("\n")
    assert lines[0] == "id,label"
    assert lines[-1] == ""
    pairs = [tuple(map(int, line.split(","))) for line in lines[1:-1]]
    assert [i for i, _ in pairs] == list(range(len(pairs)))
    return np.array([label for _, label in pairs])


def test_from_training_to_a_submission(speech, run, tmp_path, capsys):
    capsys.readouterr()
    summary = json.loads((run / "summary.json").read_text())
    assert summary["selected_by"] == "validation_accuracy"
    assert summary["best"]["validation_accuracy"] > 0.5
    assert summary["best"]["test_accuracy"] is None
    out = tmp_path / "submission.csv"
    assert main(["speech", "predict", str(run), str(speech / "test.npy"), "--out", str(out)]) == 0
    frames = len(read_frames(speech / "test.npy").values)
    assert capsys.readouterr().out == f"{out}: {frames:,} frames\n"
    labels = answers(out)
    assert len(labels) == frames
    assert labels.min() >= 0
    assert labels.max() < CLASSES


def test_a_submission_is_as_good_as_the_run_says(speech, run, tmp_path):
    """A submission for dev.npy is as accurate as the evaluation says."""
    main(["speech", "predict", str(run), str(speech / "dev.npy"), "--out", str(tmp_path / "s.csv")])
    known = np.concatenate(np.load(speech / "dev_labels.npy", allow_pickle=True))
    best = json.loads((run / "summary.json").read_text())["best"]["validation_accuracy"]
    assert np.mean(answers(tmp_path / "s.csv") == known) == pytest.approx(best, abs=1e-9)


def test_either_engine_and_layout_give_the_same_answers(speech, run, tmp_path):
    pytest.importorskip("torch")
    xs = list(np.load(speech / "test.npy", allow_pickle=True))
    write_split(tmp_path, "test", xs, None, "flat")
    for number, (file, engine) in enumerate([(speech, "numpy"), (tmp_path, "numpy"), (speech, "torch")]):
        out = str(tmp_path / f"{number}.csv")
        assert main(["speech", "predict", str(run), str(file / "test.npy"), "--out", out, "--engine", engine]) == 0
    first, flat, torch = (answers(tmp_path / f"{number}.csv") for number in range(3))
    np.testing.assert_array_equal(first, flat)
    assert np.mean(first == torch) > 0.99


def test_the_torch_engine_trains_and_resumes(speech, tmp_path):
    pytest.importorskip("torch")
    whole = trained(speech, tmp_path / "whole", "--engine", "torch", steps=20)
    trained(speech, tmp_path / "two", "--engine", "torch", steps=10)
    assert main(["train", "--run-dir", str(tmp_path / "two"), "--resume", "--max-steps", "20"]) == 0
    a, b = ((path / "model.safetensors").read_bytes() for path in (whole, tmp_path / "two"))
    assert a[-1000:] == b[-1000:]


def test_evaluation_says_what_it_leaves_out(run, capsys):
    assert main(["evaluate", str(run)]) == 0
    captured = capsys.readouterr()
    assert "validation" in captured.out
    assert "the test split has no labels: nothing is evaluated on it" in captured.err
    assert f"without silence, by phone: handgrad speech evaluate {run}" in captured.err
    assert main(["speech", "evaluate", str(run)]) == 0
    captured = capsys.readouterr()
    assert captured.err == "the test split has no labels: nothing is evaluated on it\n"
    assert "unknown" in captured.out  # which states are silence
    assert "classified as" in captured.out


def test_figures_with_the_states_named(speech, tmp_path, capsys):
    write_set(tmp_path, (20, 6, 3), classes=9, test_labels=True)
    names = [f"{phone}_{i}" for phone in ("AA", "SIL", "+NSN+") for i in range(3)]
    (tmp_path / "states.txt").write_text("\n".join(names))
    run = trained(tmp_path, tmp_path / "run", steps=50)
    capsys.readouterr()
    figure = tmp_path / "confusion.png"
    assert main(["speech", "evaluate", str(run), "--json", "--weights", "last", "--confusion", str(figure)]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    figures = json.loads(captured.out)
    assert list(figures) == ["train", "validation", "test"]
    assert figures["test"]["phones"] == ["AA", "SIL", "+NSN+"]
    plain = training.load_run(run).evaluate()
    for split, figure in figures.items():
        assert figure["accuracy"] == pytest.approx(plain[split]["accuracy"], abs=1e-12)
        assert figure["phone_accuracy"] >= figure["accuracy"]
        assert np.sum(figure["phone_confusion"]) == figure["frames"]
    assert (tmp_path / "confusion.png").read_bytes().startswith(b"\x89PNG")
    within = run / "config.toml" / "confusion.png"
    assert main(["speech", "evaluate", str(run), "--json", "--weights", "last", "--confusion", str(within)]) == 0
    captured = capsys.readouterr()
    assert f"cannot write {within}: File exists" in captured.err
    assert json.loads(captured.out)["test"]["phones"] == ["AA", "SIL", "+NSN+"]


def test_figures_worked_by_hand():
    """Two phones of three states and a silence: 10 frames."""
    classes = ("AA_0", "AA_1", "AA_2", "SIL_0", "SIL_1", "SIL_2")
    confusion = np.zeros((6, 6), np.int64)
    confusion[0, 0], confusion[0, 1], confusion[1, 3] = 2, 1, 1  # AA: 2 right, 1 in another state, 1 taken for SIL
    confusion[3, 3], confusion[4, 5], confusion[5, 0] = 4, 1, 1  # SIL: 4 right, 1 in another state, 1 taken for AA
    figures = FrameFigures(confusion, classes)
    assert figures.accuracy == pytest.approx(6 / 10)
    assert figures.accuracy_without_silence == pytest.approx(2 / 4)
    assert figures.phone_accuracy == pytest.approx(8 / 10)
    np.testing.assert_array_equal(figures.phone_confusion, [[3, 1], [1, 5]])
    assert figures.mistakes(5) == [("AA", "SIL", 1, 0.25), ("SIL", "AA", 1, pytest.approx(1 / 6))]
    unnamed = FrameFigures(confusion, tuple("012345"))
    assert unnamed.accuracy_without_silence is None
    assert unnamed.phones == ("0", "1")
    np.testing.assert_array_equal(unnamed.phone_confusion, figures.phone_confusion)
    assert FrameFigures(confusion[:5, :5], tuple("01234")).phone_accuracy is None


def test_a_figure_of_states_that_make_no_phones(tmp_path, capsys):
    write_set(tmp_path, classes=7)
    run = trained(tmp_path, tmp_path / "run", steps=50)
    assert main(["speech", "evaluate", str(run), "--confusion", str(tmp_path / "c.png")]) == 2
    assert "there are 7 states: name them in states.txt" in capsys.readouterr().err
    assert not (tmp_path / "c.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("predict", "RUN", "absent.npy"), "there is no file absent.npy"),
        (("predict", "absent", "SPEECH/test.npy"), "there is no run folder absent"),
        (("predict", "DIGITS", "SPEECH/test.npy"), "was trained on dataset=digits: expected a run with dataset=speech"),
        (("evaluate", "DIGITS"), "was trained on dataset=digits: expected a run with dataset=speech"),
        (("predict", "RUN", "NARROW/test.npy"), "has frames of 13 features, and the network was trained on 40"),
        (("predict", "RUN", "SPEECH/test.npy", "--out", "RUN/config.toml/x"), "cannot write"),
    ],
)
def test_what_cannot_be(speech, run, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    write_split(tmp_path, "test", [np.ones((4, 13), np.float32)], None)
    if "DIGITS" in arguments:
        training.train(max_steps=1, run_dir=tmp_path / "digits")
    for word, path in (("RUN", run), ("SPEECH", speech), ("DIGITS", tmp_path / "digits"), ("NARROW", tmp_path)):
        arguments = [argument.replace(word, str(path)) for argument in arguments]
    assert main(["speech", *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.strip().count("\n") == 0
    assert not (tmp_path / "submission.csv").exists()


def test_plain_predict_points_to_the_other(run, speech, capsys):
    assert main(["predict", str(run), str(speech / "test.npy")]) == 2
    assert "a run on speech predicts whole utterances" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="a run on speech predicts whole utterances: use handgrad speech predict"):
        training.load_run(run).predict(np.zeros((1, 3, 40)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dataset": "digits", "context": 3}, "context=3 applies to dataset=speech, not to digits: leave it out"),
        ({"dataset": "speech", "random_crop": 2}, "random_crop=2 does not apply to dataset speech: leave it out"),
        ({"dataset": "speech", "horizontal_flip": True}, "horizontal_flip=True does not apply to dataset speech"),
        ({"dataset": "speech", "validation_size": 5}, "validation_size=5 does not apply to dataset speech"),
        ({"dataset": "speech", "model": "vgg"}, "model=vgg classifies images: dataset=speech requires model=mlp"),
        ({"dataset": "speech", "context": -1}, "context=-1: expected a whole number of at least 0"),
    ],
)
def test_settings_that_do_not_go_together(settings, message):
    with pytest.raises(ConfigError, match=message):
        training.TrainConfig.from_settings(settings)


def test_a_table_of_that_name_is_a_table(tmp_path):
    (tmp_path / "speech.csv").write_text("x,y\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(60)))
    run = training.train(data=str(tmp_path / "speech.csv"), target="y", max_steps=2, run_dir=tmp_path / "run")
    assert run.config.dataset == "speech"
    assert not run.config.on_frames
    assert run.predict(np.zeros((1, 1), np.float32)).shape == (1, 2)


def test_show_and_the_notes_of_training(speech, run, capsys):
    assert main(["show", str(run), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["layers"][0]["parameters"] == (120 + 1) * 64
    assert shown["layers"][-1]["output_shape"] == [CLASSES]


def test_an_interrupt_while_predicting_leaves_nothing(speech, run, tmp_path):
    """The CSV file appears when it is complete, and an earlier one is kept until then."""
    out = tmp_path / "s.csv"
    out.write_text("earlier")

    def interrupt(done, total):
        assert 0 < done <= total
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_submission(training.load_run(run), speech / "test.npy", out, progress=interrupt)
    assert list(tmp_path.iterdir()) == [out]
    assert out.read_text() == "earlier"


def test_evaluation_by_phone_from_python(run):
    figures = evaluate_frames(training.load_run(run), "best")
    assert figures["test"] is None
    validation = figures["validation"]
    assert validation is not None
    assert validation.accuracy == pytest.approx(training.load_run(run).summary["best"]["validation_accuracy"])


def test_too_many_states_for_a_table(run, monkeypatch):
    monkeypatch.setattr("handgrad.engines.numpy.MAX_CONFUSION_CLASSES", 100)
    with pytest.raises(ConfigError, match=r"run has 138 states: expected at most \d+ for a confusion matrix; handgrad"):
        evaluate_frames(training.load_run(run))


def test_the_doctor_judges_by_dev_where_test_has_no_labels(speech, tmp_path, capsys):
    flags = ["--dataset", "speech", "--data-dir", str(speech), "--context", "2", "--budget", "60", "--json"]
    assert main(["doctor", *flags, "--out", str(tmp_path / "doctor")]) == 0
    parts = json.loads(capsys.readouterr().out)["parts"]
    findings = {finding["check"]: finding for part in parts.values() for finding in part}
    assert "validation samples" in findings["splits"]["evidence"]
    assert "validation samples are also training samples" in findings["duplicates"]["evidence"]

"""The display of a run: in a notebook, in a log, in TensorBoard."""

import json
import subprocess
import sys
import types

import numpy as np
import pytest

import handgrad
from handgrad.cli import main
from handgrad.errors import ConfigError
from handgrad.training import Reporter
from handgrad.training.tensorboard import TensorBoard

QUICK = {"dataset": "digits", "hidden_units": 8, "max_steps": 20, "eval_freq": 10}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return handgrad.train(run_dir=tmp_path_factory.mktemp("runs") / "a<b", norm="batch", **QUICK)


def test_the_network_is_ready_for_forward(run):
    digits = handgrad.data.load("digits")
    indices = digits.indices("test")[:9]
    scores = run.network.forward(digits.gather(indices).reshape(9, -1))
    probabilities = run.predict(digits.inputs[indices])
    np.testing.assert_allclose(np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True), probabilities, atol=1e-6)
    assert run.network is run.network
    assert not run.network.training


def test_float64_stays_float64(tmp_path):
    run = handgrad.train(run_dir=tmp_path / "run", precision="float64", **QUICK)
    assert {parameter.value.dtype for parameter in run.network.parameters()} == {np.dtype(np.float64)}


def test_the_plot_shows_itself_and_can_be_saved(run, tmp_path):
    figure = run.plot()
    assert figure._repr_png_().startswith(b"\x89PNG")
    figure.savefig(tmp_path / "curves.svg")
    lines = figure.axes[0].get_lines()
    assert lines[0].get_xdata().tolist() == [10, 20]
    assert "matplotlib.pyplot" not in sys.modules


def test_the_rich_representation_has_the_figures_and_the_curves(run):
    text = run._repr_html_()
    assert f"<td>{run.summary['last']['test_accuracy']:.4f}</td>" in text
    assert "last step (20)" in text
    assert "a&lt;b" in text
    assert "data:image/png;base64," in text


def test_a_run_under_way_says_so(run, tmp_path):
    for name in ("config.toml", "metrics.jsonl"):
        (tmp_path / name).write_bytes((run.path / name).read_bytes())
    text = handgrad.load_run(tmp_path)._repr_html_()
    assert "not finished: resume with" in text
    assert "step 20" in text
    assert "<img" not in text
    (tmp_path / "metrics.jsonl").unlink()
    assert "not finished" in handgrad.load_run(tmp_path)._repr_html_()


def test_progress_in_a_log_is_plain_lines(tmp_path, capsys):
    handgrad.train(run_dir=tmp_path / "run", progress=True, **QUICK)
    opening, first, second, last = capsys.readouterr().out.splitlines()
    assert opening.startswith("digits: mlp with 610 parameters, adam, numpy engine, to step 20 -> ")
    assert first.startswith("step 10/20   train loss 2.")
    assert "   test loss" in second
    assert last.startswith("20 steps in ")


def test_the_opening_line_says_what_is_held_out(tmp_path, capsys):
    for size, text in ((0.2, "20% of the training samples"), (100, "100 samples")):
        handgrad.train(run_dir=tmp_path / str(size), progress=True, validation_size=size, **QUICK)
        opening = capsys.readouterr().out.splitlines()[0]
        assert f"numpy engine, validation on {text}, drawn at random, to step 20 -> " in opening


def test_a_program_hears_nothing_unless_it_asks(tmp_path, capsys):
    handgrad.train(run_dir=tmp_path / "run", **QUICK)
    assert capsys.readouterr().out == ""


def test_a_notebook_gets_one_output_that_changes(tmp_path, capsys, monkeypatch):
    shown = []

    class Handle:
        def update(self, content):
            shown.append(content.data)

    def display(content, display_id):
        assert display_id
        shown.append(content.data)
        return Handle()

    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    ipython.display = types.ModuleType("IPython.display")
    ipython.display.HTML = lambda data: types.SimpleNamespace(data=data)
    ipython.display.display = display
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", ipython.display)
    handgrad.train(run_dir=tmp_path / "a&b", **QUICK)
    assert capsys.readouterr().out == ""
    assert '<progress value="0" max="20"' in shown[0]
    assert "a&amp;b" in shown[0]
    assert '<progress value="20" max="20"' in shown[-1]
    assert "<th>test</th>" in shown[-1]
    handgrad.train(run_dir=tmp_path / "silent", progress=False, **QUICK)
    assert "silent" not in shown[-1]


# -- TensorBoard ------------------------------------------------------------------------------------------------------


def scalars(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_event_files_hold_every_evaluation(tmp_path):
    arguments = ["train", "--dataset", "digits", "--hidden-units", "8", "--max-steps", "20", "--eval-freq", "10"]
    assert main([*arguments, "--quiet", "--tensorboard", "--run-dir", str(tmp_path / "run")]) == 0
    found = scalars(tmp_path / "run" / "tensorboard")
    assert found.keys() == {"loss/train", "accuracy/train", "loss/test", "accuracy/test", "learning_rate", "epoch"}
    records = handgrad.load_run(tmp_path / "run").metrics
    for tag in ("loss/train", "accuracy/test"):
        measure, split = tag.split("/")
        expected = [(record["step"], pytest.approx(record[f"{split}_{measure}"])) for record in records]
        assert found[tag] == expected


def test_a_resumed_run_goes_on_in_the_same_charts(tmp_path):
    handgrad.train(run_dir=tmp_path / "run", tensorboard=True, **QUICK)
    handgrad.train(run_dir=tmp_path / "run", tensorboard=True, resume=True, max_steps=40)
    steps = [step for step, _ in scalars(tmp_path / "run" / "tensorboard")["loss/test"]]
    assert steps == [10, 20, 30, 40]


def test_neither_tensorflow_nor_pytorch_is_needed(tmp_path):
    code = (
        "import sys, handgrad;"
        "sys.modules['torch'] = sys.modules['tensorflow'] = None;"
        f"handgrad.train('digits', run_dir={str(tmp_path / 'run')!r}, max_steps=5, tensorboard=True)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert list((tmp_path / "run" / "tensorboard").iterdir())


def test_where_the_package_is_missing_nothing_begins(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto", None)
    with pytest.raises(ConfigError, match=r'requires tensorboard, .*pip install "handgrad\[tensorboard\]"'):
        handgrad.train(run_dir=tmp_path / "run", tensorboard=True, **QUICK)
    assert not (tmp_path / "run").exists()


def test_a_full_disk_ends_the_event_file_and_not_the_run(tmp_path, monkeypatch):
    notes = []

    class Listening(Reporter):
        def note(self, text):
            notes.append(text)

    def full(self, event):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tensorboard.summary.writer.event_file_writer.EventFileWriter.add_event", full)
    run = handgrad.train(run_dir=tmp_path / "run", reporter=Listening(), tensorboard=True, **QUICK)
    assert len(run.metrics) == 2
    assert len(notes) == 1
    assert notes[0].startswith("cannot write event files for TensorBoard: [Errno 28] No space left on device")


def test_it_tells_another_reporter_everything():
    heard = []

    class Listening(Reporter):
        def __getattribute__(self, name):
            return lambda *arguments: heard.append((name, *arguments))

    board = TensorBoard(Listening())
    board.stepped(3, 0.5)
    board.evaluated({"step": 4})
    board.finished({})
    board.note("x")
    assert heard == [("stepped", 3, 0.5), ("evaluated", {"step": 4}), ("finished", {}), ("note", "x")]
    assert json.dumps(heard)

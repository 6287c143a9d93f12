"""Figures do not depend on the matplotlib settings of the environment, and a failure does not affect a run."""

import json
import os
import subprocess
import sys

import pytest

from handgrad.figures import curves, drawn, save_png

RECORDS = [{"step": 1, "train_loss": 1.0, "test_accuracy": 0.5}, {"step": 2, "train_loss": 0.5, "test_accuracy": 0.6}]
TRAIN = ["train", "--dataset", "digits", "--hidden-units", "8", "--max-steps", "20", "--eval-freq", "10", "--quiet"]
BACKENDS = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}


def handgrad(folder, *arguments, **environment):
    command = [sys.executable, "-m", "handgrad", *map(str, arguments)]
    environment = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=120)


def environments(folder):
    """Matplotlib settings of the environment that cannot be fulfilled."""
    (folder / "usetex").write_text("text.usetex: True\n")
    (folder / "broken").write_bytes(b"\xff\xfelines.linewidth: 2\n")
    return {
        "notebook": BACKENDS,
        "no backend of that name": {"MPLBACKEND": "nonsense"},
        "no screen": {"MPLBACKEND": "qtagg"},
        "LaTeX": {"MATPLOTLIBRC": str(folder / "usetex"), "PATH": ""},
        "a broken style file": {"MATPLOTLIBRC": str(folder / "broken")},
    }


@pytest.mark.parametrize("name", ["notebook", "no backend of that name", "no screen", "LaTeX", "a broken style file"])
def test_a_run_draws_its_curves_in_any_environment(tmp_path, name):
    done = handgrad(tmp_path, *TRAIN, "--run-dir", "run", **environments(tmp_path)[name])
    assert done.returncode == 0
    said = [line for line in done.stderr.splitlines() if "Cannot decode configuration file" not in line]
    assert not said  # matplotlib may name the broken file itself
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["steps"] == 20
    assert handgrad(tmp_path, *TRAIN, "--run-dir", "plain").returncode == 0
    assert (tmp_path / "run" / "curves.png").read_bytes() == (tmp_path / "plain" / "curves.png").read_bytes()


@pytest.mark.parametrize("name", ["notebook", "LaTeX"])
def test_the_doctor_draws_in_any_environment(tmp_path, name):
    arguments = ["doctor", "--hidden-units", "8", "--budget", "300", "--out", "out"]
    done = handgrad(tmp_path, *arguments, **environments(tmp_path)[name])
    assert done.stderr == ""
    assert (tmp_path / "out" / "layers.png").read_bytes().startswith(b"\x89PNG")


def test_a_figure_does_not_look_as_the_program_around_it_asks(tmp_path):
    import matplotlib

    save_png(curves(RECORDS), tmp_path / "plain.png")
    with matplotlib.rc_context({"text.usetex": True, "lines.linewidth": 9, "savefig.transparent": True}):
        save_png(curves(RECORDS), tmp_path / "mine.png")
        assert matplotlib.rcParams["lines.linewidth"] == 9
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "mine.png").read_bytes()


def test_a_decorated_function_keeps_its_name():
    assert drawn(curves).__name__ == "curves"


#: matplotlib fails in the middle of drawing, as it does where a font is broken.
BREAK = """
import sys
from matplotlib.backends.backend_agg import FigureCanvasAgg
def fail(*_, **__):
    raise RuntimeError("no font\\nat all")
FigureCanvasAgg.print_png = fail
from handgrad.cli import main
raise SystemExit(main(sys.argv[1:]))
"""


def broken(folder, *arguments):
    command = [sys.executable, "-c", BREAK, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=120)


def test_a_figure_that_fails_is_a_line_and_the_run_is_whole(tmp_path):
    done = broken(tmp_path, *TRAIN, "--run-dir", "run")
    assert done.returncode == 0
    assert done.stderr == "".join(
        f"cannot draw run/{name}.png: RuntimeError: no font at all. Everything else is saved\n"
        for name in ("curves", "confusion")
    )
    assert "run: run" in done.stdout
    assert (tmp_path / "run" / "summary.json").exists()
    assert not (tmp_path / "run" / "curves.png").exists()
    assert not list((tmp_path / "run").glob("**/.*"))
    again = handgrad(tmp_path, "train", "--run-dir", "run", "--resume", "--quiet")
    assert (again.returncode, again.stderr) == (0, "")
    assert (tmp_path / "run" / "curves.png").exists()


def test_a_figure_that_fails_costs_the_doctor_nothing_else(tmp_path):
    done = broken(tmp_path, "doctor", "--hidden-units", "8", "--budget", "300", "--out", "out")
    lines = done.stderr.splitlines()
    assert lines
    assert all(line.startswith("cannot draw out/") for line in lines)
    assert (tmp_path / "out" / "doctor.json").exists()
    assert "learning-rate" in done.stdout


def test_a_figure_that_fails_costs_a_watched_run_nothing_else(tmp_path):
    done = broken(tmp_path, *TRAIN, "--doctor", "--run-dir", "run")
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert (tmp_path / "run" / "doctor" / "doctor.json").exists()

# ruff: noqa: E501
"""A course in one file: written from a right solution, it passes that and fails its mutants; bad files are one line."""

import contextlib
import csv
import datetime
import os
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import tomli_w
from tests.checking import mutation

from handgrad.checking import check, course_points
from handgrad.checking.contracts import CourseFile, Source, course_file
from handgrad.checking.results import Part
from handgrad.checking.write_course import new_course
from handgrad.cli import main
from handgrad.errors import ConfigError

SOLUTIONS = Path(mutation.HANDINS, "own-course")
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


class InProcess:
    """A sandbox for solutions of our own: the same probes, run here."""

    def __init__(self, folder, *_, **__):
        self.folder = folder

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def run(self, probes, paths):
        return list(mutation.observe(probes, self.folder, paths).values())


def judged(course: CourseFile, text: str, folder: Path, monkeypatch) -> list[Part]:
    """The verdicts on a hand-in with that text, by the course."""
    monkeypatch.setattr(course_file, "Sandbox", InProcess)
    (folder / "layers.py").write_text(text)
    contract = course.on(Source.read(folder))
    assert contract is not None
    contract.prepare(course_file.Limits())
    return mutation.judge(folder, contract)


@pytest.fixture(scope="session")
def generated(tmp_path_factory) -> CourseFile:
    folder = tmp_path_factory.mktemp("course")
    shutil.copy(SOLUTIONS / "layers.py", folder)
    names, left_out = new_course(folder / "layers.py", folder / "course.toml")
    assert not left_out
    assert names == ["Affine", "LeakyReLU", "BatchNorm", "MSELoss", "linear_forward", "hinge_loss"]
    return CourseFile.read(folder / "course.toml")


#: Of each part its mutants: what is replaced, and the bugs that name it.
MUTANTS = {
    "Affine": [
        ("self.grads[\"bias\"] = dout.sum(axis=0, keepdims=True)", "self.grads[\"bias\"] = dout.mean(axis=0, keepdims=True)", "bias-gradient-averaged"),
        ("return dout @ self.params[\"weight\"]\n", "return dout @ (dout.T @ self.x)\n", "dx-from-dweight"),
        ("self.grads[\"weight\"] = dout.T @ self.x", "self.dweight = dout.T @ self.x", "gradient-not-stored"),
        ("self.grads[\"weight\"] = dout.T @ self.x", "self.grads[\"weight\"] = self.x.T @ dout", "gradient-transposed"),
        ("self.grads[\"bias\"] = dout.sum(axis=0, keepdims=True)", "self.grads[\"bias\"] = dout.sum(axis=0)[:, None]", "wrong-shape"),
        ("@ self.params[\"weight\"].T + self.params[\"bias\"]", "@ self.params[\"weight\"].T", "bias-unused"),
    ],
    "LeakyReLU": [
        ("np.where(self.x > 0, 1.0, self.slope)", "np.where(self.x > 0, 1.0, 0.0)", "slope-ignored"),
        ("return np.where(x > 0, x, self.slope * x)", "return np.where(x > 0, x, -self.slope * x)", "slope-sign"),
        ("return dout * np.where", "return np.where", "upstream-missing"),
        ("np.where(self.x > 0, 1.0, self.slope)", "np.where(self.x < 0, 1.0, self.slope)", "branches-exchanged"),
        ("self.x = x\n        return np.where(x > 0", "self.x = x\n        x *= 1.5\n        return np.where(x > 0", "input-changed"),
        ("np.where(self.x > 0, 1.0, self.slope)", "self.slope", None),
    ],
    "BatchNorm": [
        ("dxhat.mean(axis=0) - self.xhat", "0 - self.xhat", "norm-mean-constant"),
        ("self.dgamma = (dout * self.xhat).sum(axis=0)", "self.dgamma = dout.sum(axis=0)", "dgamma-dbeta-exchanged"),
        ("self.std = np.sqrt(var + self.eps)", "self.std = var + self.eps", "root-missing"),
        ("self.momentum * self.running_mean + (1 - self.momentum) * mean", "(1 - self.momentum) * self.running_mean + self.momentum * mean", "running-alpha-swapped"),
        ("(x - self.running_mean) / np.sqrt(self.running_var + self.eps)", "(x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + self.eps)", None),
        ("self.dbeta = dout.sum(axis=0)", "self.dbeta = dout.mean(axis=0)", None),
    ],
    "MSELoss": [
        ("return 2 * (self.pred - self.target) / self.pred.size", "return (self.pred - self.target) / self.pred.size", "constant-factor"),
        ("return 2 * (self.pred - self.target) / self.pred.size", "return -2 * (self.pred - self.target) / self.pred.size", "sign-flipped"),
        ("((pred - target) ** 2).mean()", "((pred - target) ** 2).sum(axis=1).mean()", None),
        ("((pred - target) ** 2).mean()", "np.abs(pred - target).mean()", None),
        ("return 2 * (self.pred - self.target) / self.pred.size", "return 2 * (self.pred - self.target)", None),
        ("self.pred, self.target = pred, target\n", "self.pred, self.target = target, pred\n", "sign-flipped"),
    ],
    "linear": [
        ("dZ.sum(axis=1, keepdims=True)", "dZ", "bias-gradient-unsummed"),
        ("return W.T @ dZ,", "return dZ[: len(A)] * 0,", None),
        ("dZ @ A.T", "A @ dZ.T", "gradient-transposed"),
        ("dZ @ A.T", "dZ @ A.T / A.shape[1]", "batch-mean-unwanted"),
        ("Z = W @ A + b", "Z = W @ A - b", None),
        ("Z = W @ A + b", "Z = W @ A", None),
    ],
    "hinge_loss": [
        ("[:, None] + 1)", "[:, None])", "hinge-margin"),
        ("    m[np.arange(N), y] = 0\n", "", "hinge-correct-class"),
        ("= -d.sum(axis=1)", "= -1", "hinge-correct-class"),
        ("return m.sum() / N, d / N", "return m.sum(), d / N", "batch-mean-missing"),
        ("return m.sum() / N, d / N", "return m.sum() / N, d", "batch-mean-missing"),
        ("d = (m > 0) * 1.0", "d = m", "function-for-derivative"),
    ],
}  # fmt: skip


def test_a_generated_contract_is_passed_by_the_solution(generated, tmp_path, monkeypatch):
    parts = judged(generated, (SOLUTIONS / "layers.py").read_text(), tmp_path, monkeypatch)
    assert len(parts) == 13
    assert {part.part: (part.verdict, part.bugs) for part in parts if part.verdict != "right"} == {}
    assert not [part.notes for part in parts if part.notes]
    subjects = {part.name: part.subject for part in generated.parts}
    assert subjects["Affine"] == "linear"
    assert subjects["BatchNorm"] == "batchnorm"
    assert subjects["hinge_loss"] == "hinge"
    assert subjects["linear"] == subjects["MSELoss"] == ""


@pytest.mark.parametrize("k", range(6))
def test_mutants_of_the_solution_are_caught_in_every_part(generated, tmp_path, monkeypatch, k):
    text = (SOLUTIONS / "layers.py").read_text()
    for part, mutants in MUTANTS.items():
        old, new, _ = mutants[k]
        assert text.count(old) == 1, (part, old)
        text = text.replace(old, new)
    wrong: dict[str, set[str]] = {}
    for part in judged(generated, text, tmp_path, monkeypatch):
        if part.verdict == "wrong":
            name = part.group.removesuffix(" in evaluation")
            wrong[name] = wrong.get(name, set()) | {bug.id for bug in part.bugs}
    assert set(wrong) == set(MUTANTS)
    named = {name: mutants[k][2] for name, mutants in MUTANTS.items() if mutants[k][2]}
    assert {name: wrong[name] for name, id in named.items() if id not in wrong[name]} == {}


@pytest.mark.slow
def test_styles_of_many_courses_are_found(tmp_path):
    """Parameter objects, gradients in dicts and attributes, functions without a cache, five gradients of one pair."""
    shutil.copy(SOLUTIONS / "styles.py", tmp_path)
    parts, left_out = new_course(tmp_path / "styles.py", tmp_path / "course.toml")
    assert parts == ["Dense", "Tanh", "LayerNorm", "BCELoss", "mse", "rnn_step_forward", "relu_forward"]
    assert not left_out
    course = CourseFile.read(tmp_path / "course.toml")
    gradients = {part.name: [course_file.written(one.gradient) for one in part.with_gradient] for part in course.parts}
    assert gradients["Dense"] == ["backward", "layer.weights.grad", "layer.biases.grad"]
    assert gradients["LayerNorm"] == ["backward[0]", "backward[1]['gamma']", "backward[1]['beta']"]
    assert gradients["Tanh"] == ["layer.dx"]
    assert gradients["rnn_step"] == [f"backward[{k}]" for k in range(5)]
    text = (tmp_path / "styles.py").read_text()
    text = text.replace("prev_h.T @ da", "next_h.T @ da").replace(
        "self.dx = (1 - self.out**2) * grad", "self.dx = grad"
    )
    (tmp_path / "wrong.py").write_text(text)
    report = check(tmp_path / "wrong.py", contract=str(tmp_path / "course.toml"))
    wrong = {part.part: [bug.id for bug in part.bugs] for part in report.parts if part.verdict == "wrong"}
    assert set(wrong) == {"rnn_step_backward", "Tanh.backward"}
    assert wrong["Tanh.backward"] == ["derivative-missing"]


@pytest.mark.slow
def test_more_styles_are_found_and_passed(tmp_path, capsys):
    shutil.copy(SOLUTIONS / "more.py", tmp_path)
    out = str(tmp_path / "course.toml")
    assert main(["check", "--new-contract", str(tmp_path / "more.py"), "--out", out]) == 0
    course = CourseFile.read(out)
    assert "left out" not in capsys.readouterr().out
    subjects = {part.name: part.subject for part in course.parts}
    assert subjects == {
        "ReLU": "relu", "CrossEntropy": "softmax-crossentropy", "Dropout": "", "AveragedLinear": "linear",
        "sigmoid": "sigmoid", "conv": "convolution", "softmax": "softmax",
    }  # fmt: skip
    averaged = next(part for part in course.parts if part.name == "AveragedLinear")
    assert [one.averaged for one in averaged.with_gradient] == [False, True, True]
    dropout = next(part for part in course.parts if part.name == "Dropout")
    assert not dropout.compare


def test_a_wrong_solution_is_refused_with_what_the_checker_finds(tmp_path, capsys):
    text = "import numpy as np\n\nclass Scale:\n    def forward(self, x):\n        return 3 * x ** 2\n\n    def backward(self, dout):\n        return dout * 6\n"
    (tmp_path / "scale.py").write_text(text)
    out = tmp_path / "course.toml"
    assert main(["check", "--new-contract", str(tmp_path / "scale.py"), "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "scale.py is wrong at Scale.backward" in error
    assert list(tmp_path.iterdir()) == [tmp_path / "scale.py"]


def test_a_gradient_that_is_not_found_is_told(tmp_path, capsys):
    text = (SOLUTIONS / "layers.py").read_text().partition("class LeakyReLU")[0]
    text = text.replace('        self.grads["bias"] = dout.sum(axis=0, keepdims=True)\n', "")
    (tmp_path / "affine.py").write_text(text)
    assert main(["check", "--new-contract", str(tmp_path / "affine.py"), "--out", str(tmp_path / "c.toml")]) == 0
    assert "left out: the gradient of params['bias'] in Affine (no array that backward" in (
        printed := capsys.readouterr().out
    )
    assert f"add the missing parts to {tmp_path / 'c.toml'} yourself, see docs/own-contract.md" in printed


PAIRS = """
import numpy as np

def product_forward(a, b):
    return a * b, (a, b)

def product_backward(dout, cache):
    a, b = cache
    return dout * b, dout * a

def cosine_forward(a, b):
    na, nb = np.linalg.norm(a, axis=1, keepdims=True), np.linalg.norm(b, axis=1, keepdims=True)
    c = (a * b).sum(axis=1, keepdims=True) / (na * nb)
    return c, (a, b, na, nb, c)

def cosine_backward(dout, cache):
    a, b, na, nb, c = cache
    return dout * (b / (na * nb) - c * a / na**2), dout * (a / (na * nb) - c * b / nb**2)
"""


def test_pairs_of_two_operands_are_described_with_arrays(tmp_path):
    (tmp_path / "pairs.py").write_text(PAIRS)
    names, left_out = new_course(tmp_path / "pairs.py", tmp_path / "course.toml")
    assert names == ["product_forward", "cosine_forward"]
    assert not left_out
    for part in CourseFile.read(tmp_path / "course.toml").parts:
        assert [(one.label, one.shape) for one in part.with_gradient] == [("da", ("N", "D")), ("db", ("N", "D"))]


NORM = """
import numpy as np

class LayerNorm:
    def __init__(self, d):
        self.gamma, self.beta = np.ones(d), np.zeros(d)

    def forward(self, x):
        self.inverse = 1 / np.sqrt(x.var(1, keepdims=True) + 1e-5)
        self.xhat = (x - x.mean(1, keepdims=True)) * self.inverse
        return self.gamma * self.xhat + self.beta

    def backward(self, dout):
        self.dgamma, self.dbeta = (dout * self.xhat).sum(0), dout.sum(0)
        d = dout * self.gamma
        return (d - (d * self.xhat).mean(1, keepdims=True)) * self.inverse
"""


def test_a_wrong_solution_has_its_bug_named_as_in_a_check(tmp_path):
    (tmp_path / "norm.py").write_text(NORM)
    with pytest.raises(ConfigError, match=r"norm.py is wrong at LayerNorm.backward: x̂ is missing in the last term"):
        new_course(tmp_path / "norm.py", tmp_path / "course.toml")


def test_a_file_that_is_there_is_not_written_over(tmp_path):
    (tmp_path / "course.toml").write_text("mine")
    with pytest.raises(ConfigError, match=r"course.toml exists already: choose another --out"):
        new_course(SOLUTIONS / "layers.py", tmp_path / "course.toml")
    assert (tmp_path / "course.toml").read_text() == "mine"


def test_a_course_file_in_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match=r"out=.*gone/course.toml: there is no folder .*gone; create it first"):
        new_course(SOLUTIONS / "layers.py", tmp_path / "gone" / "course.toml")


def test_a_course_file_that_cannot_be_written(tmp_path):
    (tmp_path / "scale.py").write_text("def scale(x):\n    return 3 * x\n")
    (tmp_path / f".course.toml.{os.getpid()}.tmp").mkdir()  # where it is written first
    with pytest.raises(ConfigError, match=r"course.toml cannot be written: Is a directory; choose another place"):
        new_course(tmp_path / "scale.py", tmp_path / "course.toml")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("x = 1\n", "has no class with forward and no function"),
        ("def f(:\n", "cannot be read: SyntaxError"),
        ("def f(a, b, c, d, e):\n    raise ValueError('never')\n", "no suitable inputs were found"),
    ],
)
def test_what_cannot_become_a_contract_is_one_line(tmp_path, text, match):
    (tmp_path / "solution.py").write_text(text)
    with pytest.raises(ConfigError, match=match):
        new_course(tmp_path / "solution.py", tmp_path / "course.toml")


def test_a_solution_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match=r"new-contract=.*gone.py: .*gone.py does not exist"):
        new_course(tmp_path / "gone.py", tmp_path / "course.toml")


# -- the description ------------------------------------------------------------------------------------------------

RELU = 'class = "ReLU"\nsubject = "relu"\ninputs.x = { shape = ["N", "D"], gradient = "backward" }\n'
PAIR = 'forward = "f_forward"\nbackward = "f_backward"\ninputs.x = { shape = ["N", "D"], gradient = "backward" }\n'
LINEAR = 'class = "Linear"\nconstruct = ["D", "K"]\nsubject = "linear"\ninputs.x = { shape = ["N", "D"] }\n'


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[[part]\n", r"course.toml is not TOML: "),
        ("titel = 'x'\n[[part]]\n" + RELU, r"the course has the unknown key 'titel'; did you mean 'title'\?"),
        ("title = 'x'\n", r"it has no part: expected at least one table \[\[part\]\]"),
        ("[[part]]\nclas = 'ReLU'\nforward = 'f'\n", r"part 'f' has the unknown key 'clas'; did you mean 'class'\?"),
        ("[[part]]\npoints = 1\n", r"has neither a class nor a forward"),
        ("[[part]]\nclass = 'A'\n", r"part 'A' has no inputs: expected a table such as inputs.x"),
        ("[[part]]\nclass = 'A'\ninputs.x = { shap = [3] }\n", r"part 'A': x has the unknown key 'shap'; did you mean 'shape'\?"),
        ("[[part]]\nclass = 'A'\ninputs.x = { shape = ['M'] }\n", r"part 'A': x: shape=\['M'\] contains 'M'; expected whole numbers"),
        ("[[part]]\nclass = 'A'\ninputs.x = { shape = [0, 3] }\n", r"contains 0; expected whole numbers of at least 1"),
        ("[[part]]\nclass = 'A'\ninputs.x = { shape = [3], value = 2 }\n", r"x has both shape and value"),
        ("[[part]]\nclass = 'A'\ninputs.x = { shape = [3], values = 'nomal' }\n", r"values='nomal'; did you mean 'normal'\?"),
        ("[[part]]\nclass = 'A'\ninputs.x = { shape = [3], values = 'uniform', low = 2, high = 1 }\n", r"low=2 and high=1, expected low below high"),
        ("[[part]]\nclass = 'A'\ninputs.x = { shape = [3], gradient = 'layers.dx' }\n", r"gradient='layers.dx': expected a location that begins with layer"),
        ("[[part]]\nclass = 'A'\ninputs.x = { shape = [3], gradient = '3 + 4' }\n", r"gradient='3 \+ 4' is not a valid location: expected for example layer.dW"),
        ("[[part]]\nclass = 'A'\ninputs.x = { shape = [40, 40], gradient = 'backward' }\ncompare = false\n", r"x has 1600 entries, expected at most 300 for a numerical derivative"),
        ("[[part]]\nclass = 'A'\nsubject = 'rellu'\ninputs.x = { shape = [3] }\n", r"subject='rellu' is not known; did you mean 'relu'\?"),
        ("[[part]]\n" + LINEAR, r"subject='linear' requires the arrays x, weight, bias; the part has x"),
        ("[[part]]\n" + LINEAR + "parameters.W = { shape = ['K', 'N'] }\nparameters.b = { shape = ['K'] }\n", r"subject='linear' does not fit these shapes: x \(6, 4\), W \(3, 6\), b \(3,\)"),
        ("[[part]]\nclass = 'A'\nconstruct = ['relu']\ninputs.x = { shape = [3] }\n", r"construct contains 'relu', which is not a size; write a string as \{ value = 'relu' \}"),
        ("[[part]]\nclass = 'A'\ncompare = false\ntolerance = 3\ninputs.x = { shape = [3] }\n", r"tolerance=3, expected a number between 0 and 1"),
        ("[[part]]\nclass = 'A'\npoints = -1\ninputs.x = { shape = [3] }\n", r"points=-1, expected a number of at least 0"),
        ("[sizes]\nN = [1, 2]\n[[part]]\n" + RELU, r"its sizes have 2 and 4 values, expected the same number for each size"),
        ("[sizes]\nN = 'six'\n[[part]]\n" + RELU, r"sizes: N='six', expected a whole number of at least 1"),
        ("[[part]]\n" + PAIR, r"part 'f' has no subject, so the course needs a reference to compare its output with"),
        ("reference = 'gone.py'\n[[part]]\n" + RELU, r"reference='gone.py' does not exist: expected a path relative to the course file"),
        ("[[part]]\n" + RELU + "[[part]]\n" + RELU, r"two parts are called 'ReLU': give each a unique name"),
        ("[[part]]\nclass = 7\ninputs.x = { shape = [3] }\n", r"class=7, expected a string"),
        ("[[part]]\nclass = 'A'\nbefore = ['train()']\ninputs.x = { shape = [3] }\n", r"before=\['train\(\)'\], expected names of methods without arg"),
        ("[[part]]\nclass = 'A'\ninputs.x = { shape = [], values = 'one-hot' }\n", r"x: values='one-hot' requires a shape whose last axis is the class axis"),
        ("[[part]]\nclass = 'A'\ninputs.x = { shape = [3], values = 'integers', gradient = 'backward' }\n", r"gradient='backward', but integers have no gradient"),
        ("[[part]]\nbackward_takes = ['x']\n" + LINEAR.replace("] }", "], gradient = 'backward' }") + "parameters.W = { shape = ['D', 'K'] }\nparameters.b = { shape = ['K'] }\n", r"the backward of subject='linear' takes an upstream gradient \(dout\)"),
        ("name = 'my course'\n[[part]]\n" + RELU, r"name='my course': expected letters, digits"),
        ("sizes = 3\n[[part]]\n" + RELU, r"sizes=3: expected a table such as N = \[6, 5, 4, 1\]"),
        ("[[part]]\nbackward_takes = 'dout'\n" + RELU, r"part 'ReLU': backward_takes='dout', expected a list such as \[\"dout\", \"forward\[1\]\"\]"),
        ("[[part]]\nstate = ['layer.mean']\n" + PAIR, r"state=\['layer.mean'\], expected locations in the layer of a class, such as"),
        ("[[part]]\nconstruct = ['D']\n" + PAIR, r"construct=\['D'\], expected a class with a list or a table of its arguments"),
        ("[[part]]\nconstruct = { activation = { value = { a = 1 } } }\n" + RELU, r"construct contains \{'value': \{'a': 1\}\}, expected a number, the name of a size or"),
        ("[[part]]\ncompare = 'no'\n" + RELU, r"compare='no', expected true or false"),
        ("[[part]]\n" + PAIR + "parameters.W = { shape = [3] }\n", r"parameters=\{'W': .*, expected a class with a table such as W = "),
        ("[[part]]\n" + RELU + "parameters.x = { shape = [3] }\n", r"'x' is the name of an input and of a parameter: rename the input"),
        ("[[part]]\nclass = 'A'\ninputs.x = { shape = 'N' }\n", r"x: shape='N', expected a list such as \[\"N\", \"D\"\] or \[3, 4\]"),
        ("[[part]]\nclass = 'A'\ninputs.x = { shape = [[3]] }\n", r"x: shape=\[\[3\]\] contains \[3\]; expected whole numbers of at least 1 and names of sizes"),
        ("[[part]]\nclass = 'A'\ninputs.x = { shape = [3], values = ['normal'] }\n", r"values=\['normal'\]; did you mean 'normal'\?"),
        ("[[part]]\nclass = 'A'\ninputs.x = { shape = [3], low = 1 }\n", r"x: low requires values = \"uniform\" or \"integers\", not 'normal'"),
        ("[[part]]\nclass = 'A'\ninputs.x = { shape = [3], values = 'uniform', high = true }\n", r"x: high=True, expected a number or the name of a size"),
        ("[[part]]\nclass = 'A'\ninputs.x = { shape = [3], values = 'uniform', high = inf }\n", r"x: high=inf, expected a number between -1e\+09 and 1e\+09"),
        ("[[part]]\nclass = 'A'\ninputs.x = { shape = [3], values = 'integers', low = 0.5 }\n", r"x: low=0.5, expected a whole number or the name of a size"),
        ("[[part]]\n" + RELU.replace("gradient =", "values = 'uniform', low = 'N', high = 5, gradient ="), r"part 'ReLU': x: low=6 and high=5, expected low below high"),
        ("[[part]]\nclass = 'A'\ninputs.x = { shape = [3], gradient = 'backward', averaged = 'yes' }\n", r"x: averaged='yes', expected true or false"),
        ("[[part]]\n" + RELU.replace('"relu"', '["relu"]'), r"subject=\['relu'\] is not known; did you mean 'relu'\?"),
        ("[[part]]\nsubject = { name = 'leaky', slope = 'small' }\ninputs.x = { shape = [3] }\nclass = 'A'\n", r"subject: slope='small', expected a finite number"),
        ("[[part]]\nforward = 'c_forward'\nsubject = { name = 'convolution', stride = 0 }\ninputs.x = { shape = [2, 2, 4, 4] }\ninputs.w = { shape = [3, 2, 3, 3] }\ninputs.b = { shape = [3] }\n", r"subject='convolution', stride=0 does not fit these shapes: x \(2, 2, 4, 4\)"),
        ("[[part]]\npoints = { sideways = 2 }\n" + RELU, r"points has 'sideways', expected forward and backward"),
        ("[[part]]\n" + RELU.replace("shape", "role = 'input', shape"), r"part 'ReLU': x: role='input', expected one of x"),
        ("[[part]]\nclass = 'A'\nsubject = 'softmax-crossentropy'\ninputs.x = { shape = ['N', 'K'] }\ninputs.y = { shape = ['N', 'K'], values = 'one-hot', gradient = 'backward' }\n", r"part 'A': y is the target of softmax-crossentropy, which has no gradient: leave gradient out"),
        ("[[part]]\nclass = 'A'\nsubject = 'batchnorm'\ninputs.x = { shape = ['N'] }\nparameters.g = { shape = [3] }\nparameters.b = { shape = [3] }\n", r"subject='batchnorm' does not fit these shapes: x \(6,\), g \(3,\), b \(3,\)"),
    ],
)  # fmt: skip
def test_a_bad_course_file_is_one_clear_line(tmp_path, text, match):
    path = tmp_path / "course.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=match) as error:
        CourseFile.read(path)
    assert "\n" not in str(error.value).strip()


def test_a_course_file_that_is_not_there_ends_with_exit_code_2(tmp_path, capsys):
    assert main(["check", "--contract", str(tmp_path / "course.toml"), str(SOLUTIONS / "layers.py")]) == 2
    assert "course.toml cannot be read: No such file" in capsys.readouterr().err


def test_a_reference_that_is_wrong_ends_with_exit_code_2(tmp_path, capsys):
    (tmp_path / "solution.py").write_text("class ReLU:\n    def forward(self, x):\n        return x * (x > -1)\n")
    (tmp_path / "course.toml").write_text(
        'reference = "solution.py"\n[[part]]\n' + RELU.partition("inputs")[0] + 'inputs.x = { shape = ["N", "D"] }\n'
    )
    assert main(["check", "--contract", str(tmp_path / "course.toml"), str(tmp_path / "solution.py")]) == 2
    error = capsys.readouterr().err
    assert "the reference solution.py is wrong at ReLU.forward" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("solution", "match"),
    [
        ("class ReLU:\n    def forward(self, x):\n        raise RuntimeError('no')\n", r"part 'ReLU' fails with the reference: RuntimeError: no \(solution.py:3\); check its shapes and its construct"),
        ("hello there", r"solution is neither Python source nor a zip, tar or tar.gz archive"),
    ],
)  # fmt: skip
def test_a_reference_that_cannot_be_judged_is_one_clear_line(tmp_path, capsys, solution, match):
    name = "solution" if solution == "hello there" else "solution.py"
    (tmp_path / name).write_text(solution)
    part = '[[part]]\nclass = "ReLU"\ninputs.x = { shape = ["N", "D"] }\n'
    (tmp_path / "course.toml").write_text(f'reference = "{name}"\n{part}')
    assert main(["check", "--contract", str(tmp_path / "course.toml"), str(SOLUTIONS / "layers.py")]) == 2
    error = capsys.readouterr().err
    assert re.search(rf"contract=.*course.toml: the reference {name} cannot be judged: .*{match}", error)
    assert error.count("\n") == 1


def test_a_reference_that_lacks_a_part_is_one_clear_line(tmp_path, capsys):
    (tmp_path / "solution.py").write_text("class ReLU:\n    def forward(self, x):\n        return x * (x > 0)\n")
    parts = "".join(f'[[part]]\nclass = "{name}"\ninputs.x = {{ shape = [3] }}\n' for name in ("ReLU", "ELU"))
    (tmp_path / "course.toml").write_text(f'reference = "solution.py"\n{parts}')
    assert main(["check", "--contract", str(tmp_path / "course.toml"), str(SOLUTIONS / "layers.py")]) == 2
    assert "the reference solution.py lacks ELU.forward: there is no class ELU" in capsys.readouterr().err


def test_values_of_every_kind_at_every_key_are_read_or_refused(tmp_path):
    """None ends in a traceback."""
    (tmp_path / "solution.py").write_text("")
    x, w = {"shape": ["N", "D"], "gradient": "backward"}, {"shape": ["D", "K"], "gradient": "layer.dW"}
    one = {"class": "A", "subject": "linear", "inputs": {"x": x}, "parameters": {"W": w, "b": {"shape": ["K"]}}}
    pair = {"forward": "f_forward", "backward": "f_backward", "inputs": {"x": x}}
    odd = [-1, 0.5, True, float("nan"), float("inf"), 10**30, "", "N", [], [[]], [1], ["N"], {}, {"a": [1]}]
    odd += [{"name": ["relu"]}, {"name": "relu"}, datetime.date(2026, 1, 1)]
    courses = [{key: value, "part": [one]} for key in course_file.COURSE for value in odd if key != "part"]
    courses += [{"part": value} for value in odd]
    courses += [{"part": [{**base, key: value}]} for base in (one, pair) for key in course_file.PART for value in odd]
    courses += [
        {"part": [{**pair, "compare": False, "inputs": {"x": {**x, **more, key: value}}}]}
        for key in course_file.ARGUMENT
        for value in odd
        for more in ({}, {"values": "uniform"}, {"values": "integers", "gradient": ""})
    ]
    path = tmp_path / "course.toml"
    for course in courses:
        path.write_text(tomli_w.dumps({"reference": "solution.py", **course}))
        with contextlib.suppress(ConfigError):
            for part in CourseFile.read(path).parts:
                part.make(np.random.default_rng(0), 0)


def test_places_are_read_and_written_alike():
    for text in ("layer.grads['weight']", "backward[0]", "forward[1]['W1']", "layer.W.grad", "backward"):
        place = course_file.place(text, ("layer", "forward", "backward"), "gradient")
        assert course_file.written(place) == text


def test_every_kind_of_value_is_what_it_says():
    g = np.random.default_rng(0)
    drawn = {name: draw(g, (50, 4), 1, 3) for name, draw in course_file.VALUES.items()}
    assert set(np.unique(drawn["integers"])) == {1, 2}
    assert set(np.unique(drawn["one-hot"])) == {0, 1}
    assert np.allclose(drawn["one-hot"].sum(axis=1), 1)
    assert np.allclose(drawn["probabilities"].sum(axis=1), 1)
    assert 1 <= drawn["uniform"].min() < drawn["uniform"].max() < 3
    assert np.abs(drawn["spread"]).min() > 0.04
    assert {value.shape for value in drawn.values()} == {(50, 4)}


# -- a class ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_class_is_graded_by_a_course_file(generated, tmp_path, capsys):
    """Points of the file, in the table, the CSV and JUnit; what a hand-in lacks counts nothing."""
    classroom = tmp_path / "class"
    classroom.mkdir()
    solution = (SOLUTIONS / "layers.py").read_text()
    (classroom / "ada.py").write_text(solution)
    old, new, _ = MUTANTS["Affine"][0]
    (classroom / "bob.py").write_text(solution.replace(old, new).partition("class MSELoss")[0])
    table, junit = tmp_path / "table.csv", tmp_path / "junit.xml"
    arguments = ["check", "--contract", str(generated.path), "--class", str(classroom), "--seed", "3"]
    assert main([*arguments, "--out", str(table), "--junit", str(junit)]) == 1
    rows = {row["file"]: row for row in csv.DictReader(table.read_text().splitlines())}
    assert [rows["ada.py"][key] for key in ("contract", "verdict", "points", "of", "right")] == [
        "course",
        "right",
        "7.0",
        "7.0",
        "13",
    ]
    assert [rows["bob.py"][key] for key in ("verdict", "points", "of", "missing")] == ["wrong", "3.5", "7.0", "6"]
    assert rows["bob.py"]["bugs"] == "bias-gradient-averaged"
    suites = ElementTree.parse(junit).getroot().findall("testsuite")
    assert [(suite.get("tests"), suite.get("failures")) for suite in suites] == [("13", "0"), ("13", "1")]
    assert "bias-gradient-averaged" in capsys.readouterr().out


def test_a_function_that_is_not_known_gets_no_derivation_of_another_one(tmp_path):
    text = "import numpy as np\n\ndef square_forward(x):\n    return x**2, x\n\ndef square_backward(dout, cache):\n    return {}\n"
    (tmp_path / "right.py").write_text(text.format("2 * dout * cache"))
    (tmp_path / "wrong.py").write_text(text.format("dout * np.sin(cache)"))
    entry = "[[part]]\nforward = 'square_forward'\nbackward = 'square_backward'\n"
    entry += "inputs.x = { shape = ['N', 'D'], gradient = 'backward' }\n"
    (tmp_path / "course.toml").write_text(f"title = 'c'\nreference = 'right.py'\n{entry}")
    (bug,) = check(tmp_path / "wrong.py", contract=str(tmp_path / "course.toml")).bugs
    assert (bug.id, bug.known) == ("wrong-derivative", False)


def test_a_value_that_forward_does_not_return_is_named(tmp_path, monkeypatch):
    """`output = "forward[1]"` of a function that returns one value."""
    (tmp_path / "solution.py").write_text("def f_forward(x):\n    return x, 2 * x\n")
    part = '[[part]]\nforward = "f_forward"\noutput = "forward[1]"\ninputs.x = { shape = ["N", "D"] }\n'
    (tmp_path / "course.toml").write_text(f'reference = "solution.py"\n{part}')
    (tmp_path / "hand-in").mkdir()
    course = CourseFile.read(tmp_path / "course.toml")
    (part,) = judged(course, "def f_forward(x):\n    return 2 * x\n", tmp_path / "hand-in", monkeypatch)
    assert part.verdict == "wrong"
    assert "TypeError: forward returns ndarray, expected several values" in part.bugs[0].evidence


def test_every_part_is_worth_1_point_by_default(tmp_path):
    entry = "[[part]]\nclass = '{}'\n{}subject = 'relu'\ninputs.x = {{ shape = ['N', 'D'], gradient = 'backward' }}\n"
    entries = (("A", ""), ("B", "points = 3\n"), ("C", "points = { forward = 4 }\n"))
    path = tmp_path / "course.toml"
    path.write_text("title = 'c'\n" + "".join(entry.format(*one) for one in entries))
    assert course_points(path).points == {"A": 1, "B": 3, "C.forward": 4}


def test_an_edition_is_checked_by_the_contract_that_covers_it():
    report = check(mutation.HANDINS / "uva-2021", contract="uva-2024")
    assert (report.contract, report.verdict) == ("uva-2021", "right")
    with pytest.raises(ConfigError, match=r"there is no contract='uva-2026': expected one of .*uva-2025"):
        check(mutation.HANDINS / "uva-2021", contract="uva-2026")


@pytest.mark.slow
def test_a_hand_in_does_not_see_the_reference(generated, tmp_path):
    """Neither beside it nor by its path, wherever the sandbox has a root of its own."""
    text = (SOLUTIONS / "layers.py").read_text()
    steal = f"\nimport os\nfound = [p for p in ({str(generated.path)!r}, {str(generated.reference)!r}) if os.path.exists(p)]\n"
    (tmp_path / "hand_in.py").write_text(text + steal + "if found:\n    raise RuntimeError(found)\n")
    report = check(tmp_path / "hand_in.py", contract=str(generated.path))
    if "namespaces" in report.sandbox or "landlock" in report.sandbox:
        assert report.verdict == "right"

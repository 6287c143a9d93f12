"""Which contract a hand-in follows; what is harmless; what is missing; what no test of a course sees."""

import shutil
from pathlib import Path

import pytest
from tests.checking import mutation

from handgrad.checking import check
from handgrad.checking.contracts import CONTRACTS, Source, gradient_contract, recognise
from handgrad.errors import ConfigError

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

LINEAR = 'out = np.dot(x, self.params["weight"].T) + self.params["bias"]'


def contracts_of(folder: Path) -> list[str]:
    return [contract.name for contract in recognise(Source.read(folder))]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cmu-2019", ["cmu-2019"]),
        ("cmu-2020", ["cmu-2020"]),
        ("cmu-2022", ["cmu-2022"]),
        ("uva-apr19", ["uva-apr19"]),
        ("uva-nov19", ["uva-nov19"]),
        ("uva-2020", ["uva-2020"]),
        ("uva-2021", ["uva-2021"]),
        ("uva-norm", ["uva-norm"]),
        ("torch-function", ["torch-function"]),
        ("cs231n", ["cs231n"]),
        ("layer", ["layer"]),
        ("pairs", ["pairs"]),
        ("function", ["function"]),
    ],
)
def test_a_hand_in_is_recognised_by_its_names(name, expected):
    assert contracts_of(mutation.HANDINS / name) == expected


def test_two_exercises_in_one_hand_in(tmp_path):
    shutil.copytree(mutation.HANDINS / "uva-nov19", tmp_path, dirs_exist_ok=True)
    shutil.copytree(mutation.HANDINS / "uva-norm", tmp_path, dirs_exist_ok=True)
    assert contracts_of(tmp_path) == ["uva-nov19", "uva-norm"]


def test_nothing_is_run_to_recognise_it(tmp_path):
    (tmp_path / "hw1.py").write_text("raise SystemExit('run')\nclass Sigmoid:\n    def derivative(self): pass\n")
    assert contracts_of(tmp_path) == ["cmu-2019"]


def test_what_cannot_be_parsed_is_said(tmp_path):
    (tmp_path / "hw1.py").write_text("def broken(:\n")
    source = Source.read(tmp_path)
    assert "SyntaxError" in source.unreadable["hw1.py"]
    assert recognise(source) == []


def test_names_are_unique():
    names = [kind.name for kind in CONTRACTS]
    assert len(set(names)) == len(names)


def changed(name: str, *replacements: tuple[str, str, str]):
    files = mutation.read(name)
    for file, old, new in replacements:
        assert old in files[file]
        files[file] = files[file].replace(old, new)
    return {part.part: part for part in mutation.run(files)}


def test_what_is_not_filled_in_is_missing_and_not_wrong():
    parts = changed(
        "cmu-2019",
        ("hw1.py", "return 1 - self.state**2", "raise NotImplementedError"),
        (
            "hw1.py",
            "        self.dgamma = np.sum(delta * self.norm, axis=0, keepdims=True)\n",
            "        raise NotImplemented\n",
        ),
    )
    assert parts["Tanh.derivative"].verdict == "missing"
    assert parts["Tanh.forward"].verdict == "right"
    assert parts["BatchNorm.backward"].verdict == "missing"
    assert not [part for part in parts.values() if part.verdict == "wrong"]


def test_a_loss_of_shape_N_1_is_a_note():
    parts = changed(
        "cmu-2019",
        (
            "hw1.py",
            "self.loss = np.sum(y * (np.log(total) - shifted), axis=1)",
            "self.loss = np.sum(y * (np.log(total) - shifted), axis=1, keepdims=True)",
        ),
    )
    assert parts["SoftmaxCrossEntropy.forward"].verdict == "right"
    assert "(5, 1) where (5,) was expected" in parts["SoftmaxCrossEntropy.forward"].notes[0]


def test_weights_in_the_other_layout_are_a_note():
    parts = changed(
        "uva-nov19",
        ("modules.py", "(out_features, in_features)", "(in_features, out_features)"),
        ("modules.py", 'self.params["weight"].T', 'self.params["weight"]'),
        ("modules.py", 'dx = np.dot(dout, self.params["weight"])', 'dx = np.dot(dout, self.params["weight"].T)'),
        ("modules.py", "np.dot(dout.T, self.x)", "np.dot(self.x.T, dout)"),
    )
    assert not [part for part in parts.values() if part.verdict == "wrong"]
    assert "(in, out)" in parts["LinearModule.__init__"].notes[0]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("self.state > 0).astype(float)", "self.state >= 1e-300).astype(float)"),
        ("self.state = np.maximum(x, 0)", "self.state = x * (x >= 0)"),
        ("return 1 - self.state**2", "return (1 + self.state) * (1 - self.state)"),
        (
            "dvar * 2 * (self.x - self.mean) / m + dmean / m",
            "dvar * 2 * (self.x - self.mean) / m + (dmean - 2 * dvar * np.sum(self.x - self.mean, axis=0)) / m",
        ),
        ("self.db[i] = np.sum(delta, axis=0) / batch", "self.db[i] = np.einsum('no->o', delta) / batch"),
        ("return np.random.randn(d0, d1)", "return np.random.normal(size=(d0, d1))"),
    ],
)
def test_the_same_in_another_form_is_right(old, new):
    parts = changed("cmu-2019", ("hw1.py", old, new))
    assert {name: part.bugs for name, part in parts.items() if part.verdict != "right"} == {}


def test_one_bug_does_not_colour_the_parts_around_it():
    """A wrong Sigmoid is Sigmoid's fault alone, though the network goes through it."""
    parts = changed("cmu-2019", ("hw1.py", "self.state = 1 / (1 + np.exp(-x))", "self.state = 1 / (1 + np.exp(x))"))
    assert [name for name, part in parts.items() if part.verdict == "wrong"] == ["Sigmoid.forward"]
    (bug,) = parts["Sigmoid.forward"].bugs
    assert (bug.id, bug.file) == ("exponent-sign", "hw1.py")
    source = mutation.read("cmu-2019")["hw1.py"].splitlines()
    assert source[bug.line - 1].strip() == "def forward(self, x):"
    assert "class Sigmoid" in "".join(source[bug.line - 8 : bug.line])


def test_an_exception_has_the_line_of_the_statement():
    parts = changed("cmu-2019", ("hw1.py", "return self.sm - self.labels", "return self.softmax - self.labels"))
    (bug,) = parts["SoftmaxCrossEntropy.derivative"].bugs
    assert bug.id == "missing-attribute"
    assert (
        "self.softmax"
        in mutation.read("cmu-2019")["hw1.py"].replace("self.sm -", "self.softmax -").splitlines()[bug.line - 1]
    )


def test_a_function_and_its_gradient_by_name(tmp_path):
    (tmp_path / "f.py").write_text(
        "import numpy as np\ndef f(x):\n    return x**3\ndef slope(x):\n    return 3 * x**2\n"
    )
    parts = mutation.judge(tmp_path, gradient_contract(Source.read(tmp_path), "f", "slope"))
    assert [part.verdict for part in parts] == ["right"]


def test_functions_that_are_not_there(tmp_path):
    (tmp_path / "f.py").write_text("def f(x):\n    return x\n")
    with pytest.raises(
        ConfigError, match="gradient='f:g': expected two functions in the same file; available functions: f"
    ):
        gradient_contract(Source.read(tmp_path), "f", "g")


def test_inputs_that_are_made_up_are_nobodys_fault(tmp_path):
    text = """
class Odd:
    def forward(self, x):
        return x['key']
    def backward(self, dy):
        return dy
"""
    (tmp_path / "odd.py").write_text(text)
    parts = mutation.judge(tmp_path)
    assert {part.verdict for part in parts} == {"cannot judge"}
    assert "fails on the inputs that the checker generates" in parts[0].reason


def test_through_the_sandbox_as_well():
    report = check(mutation.HANDINS / "uva-nov19")
    assert report.contract == "uva-nov19"
    assert report.verdict == "right"

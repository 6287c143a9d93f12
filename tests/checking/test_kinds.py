"""Kinds of code that real hand-ins have: programs of others (`cases/`) and of our own (`kinds.py`)."""

import shutil
from pathlib import Path

import pytest
from tests.checking import mutation
from tests.checking.kinds import KINDS

from handgrad.checking import check
from handgrad.checking.results import Report

pytestmark = [
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::SyntaxWarning"),
]

CASES = Path(__file__).parent / "cases"
#: Case -> part -> the bug it is to be called; an empty dict is a hand-in that is right.
EXPECTED: dict[str, dict[str, str]] = {
    "accumulate-then-divide": {"Linear.backward": "gradient-accumulates"},
    "db-one-axis-2020": {"Linear.backward": "wrong-shape"},
    "eps-in-loss-and-derivative-1e-5": {},
    "error-and-total-loss": {"MLP.forward": "output-not-set"},
    "label-number-as-weight": {
        "CrossEntropyModule.forward": "labels-as-numbers",
        "CrossEntropyModule.backward": "labels-as-numbers",
    },
    "norm-last-layer-only": {"MLP.forward with BatchNorm": "norm-last-layer-only"},
    "parameters-as-class-attribute": {
        "LinearModule.__init__": "shared-between-objects",
        "LinearModule.forward": "bias-unused",
        "LinearModule.backward": "gradient-not-stored",
    },
    "same-id-swallowed": {"MLP.step": "missing-attribute", "MLP.step with momentum": "missing-attribute"},
    "softmax-identity-minus-columns": {"SoftMaxModule.backward": "softmax-jacobian"},
    "softmax-times-row-sums": {
        "SoftMaxModule.forward": "softmax-global",
        "SoftMaxModule.backward": "softmax-jacobian",
    },
    "starter-return-out": {},
    "stats-backward-on-validation": {},
    "variance-squared-under-root": {"BatchNorm.forward (training)": "variance-squared"},
}
LONG = {"norm-last-layer-only", "variance-squared-under-root"}


def wrong(parts) -> dict[str, str]:
    return {part.part: ", ".join(bug.id for bug in part.bugs) for part in parts if part.verdict == "wrong"}


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in LONG else n for n in EXPECTED])
def test_a_case(name, tmp_path):
    shutil.copytree(CASES / name, tmp_path, dirs_exist_ok=True)
    parts = mutation.judge(tmp_path)
    assert wrong(parts) == EXPECTED[name]
    verdicts = {part.verdict for part in parts}
    assert "right" in verdicts or name == "starter-return-out"


def test_names_of_arguments_are_the_students_own():
    torch = pytest.importorskip("torch")
    parts = mutation.judge(CASES / "function-argument-names-greek", torch=torch)
    assert {part.verdict for part in parts} == {"right"}


def test_a_starter_is_not_wrong_but_missing():
    parts = mutation.judge(CASES / "starter-return-out")
    assert {part.verdict for part in parts} == {"missing"}


def test_a_helper_of_the_course_has_a_stand_in():
    report = check(CASES / "imports-the-starters-helper")
    assert report.verdict == "right"
    assert {part.verdict for part in report.parts} == {"right", "missing"}


def test_what_uses_the_stand_in_cannot_be_judged(tmp_path):
    text = (CASES / "imports-the-starters-helper" / "modules.py").read_text()
    text = text.replace("        self.mask = x > 0\n", "").replace(
        "        dx = s * (dout", "        eval_numerical_gradient_array(s)\n        dx = s * (dout"
    )
    (tmp_path / "modules.py").write_text(text)
    report = check(tmp_path)
    verdicts = {part.part: part.verdict for part in report.parts}
    assert verdicts["SoftMaxModule.backward"] == "cannot judge"
    assert verdicts["import gradient_check"] == "cannot judge"
    assert verdicts["SoftMaxModule.forward"] == verdicts["LinearModule.backward"] == "right"


def test_what_numpy_2_refuses_is_told_once():
    report = check(CASES / "numpy-2-zeros-none")
    assert report.verdict == "right"
    (bug,) = report.bugs
    assert bug.id == "raises"
    assert "np.zeros(None)" in bug.evidence
    assert (bug.file, bug.line) == ("mytorch/linear.py", 9)


def score(kind) -> list[str]:
    """What is not as expected of one program."""
    files = mutation.read(kind.base)
    for file, old, new in kind.changes:
        assert old in files[file], (kind.name, old)
        files[file] = files[file].replace(old, new)
    torch = pytest.importorskip("torch") if kind.torch else None
    parts = mutation.run(files, torch)
    found = {part.part: {bug.id for bug in part.bugs} for part in parts if part.verdict == "wrong"}
    missed = [f"{part}: {found.get(part)}" for part, ids in kind.wrong.items() if not found.get(part, set()) & set(ids)]
    alarms = [f"{part}: {found[part]}" for part in found if part not in kind.wrong and part not in kind.others]
    lost = [part.part for part in parts if part.verdict == "cannot judge" and not kind.wrong]
    return missed + alarms + lost


QUICK = [kind for kind in KINDS if not kind.torch and kind.base.startswith("uva")][::3]


@pytest.mark.parametrize("kind", QUICK, ids=str)
def test_a_kind(kind):
    assert score(kind) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in QUICK], ids=str)
def test_every_kind(kind):
    assert score(kind) == []


def test_the_checkers_own_failure_takes_one_part_alone(monkeypatch):
    from handgrad.checking.contracts.uva import UvA

    judge = UvA._judge_layer

    def fail(self, name, observations):
        if name == "SoftMaxModule":
            raise ValueError("ours")
        return judge(self, name, observations)

    monkeypatch.setattr(UvA, "_judge_layer", fail)
    parts = {part.part: part for part in mutation.judge(CASES / "softmax-times-row-sums")}
    assert parts["SoftMaxModule"].verdict == "cannot judge"
    assert parts["SoftMaxModule"].bugs[0].id == "checker-failed"
    assert parts["LinearModule.backward"].verdict == "right"


@pytest.mark.parametrize("name", ["uva2021", "uva2022", "uva2024", "nov19", "cmu20"])
def test_an_untouched_starter_is_not_wrong(name):
    """Templates in the courses' form: what nobody has touched is not started, and never wrong."""
    folder = CASES.parent / "starters" / name
    # CMU's own lines need what the sandbox does for code from before NumPy 2
    parts = check(folder).parts if name == "cmu20" else mutation.judge(folder, torch=False)
    allowed = ("missing", "right", "cannot judge", "not judged")
    assert {part.part: part.verdict for part in parts if part.verdict not in allowed} == {}
    assert "missing" in {part.verdict for part in parts}


TWO_OPERANDS = """
def product_forward(a, b):
    return a * b, (a, b)


def product_backward(dout, cache):
    a, b = cache
    return dout * b, dout * a


def add_forward(x, b):
    return x + b, None


def add_backward(dout, cache):
    return dout, dout.sum(axis=0)
"""


def test_a_pair_that_is_elementwise_in_two_arguments(tmp_path):
    (tmp_path / "pair.py").write_text(TWO_OPERANDS)
    verdicts = {part.part: part.verdict for part in mutation.judge(tmp_path)}
    assert verdicts["product_backward"] == verdicts["add_backward"] == "right"
    (tmp_path / "pair.py").write_text(TWO_OPERANDS.replace("dout * b, dout * a", "dout * b, dout * b"))
    parts = mutation.judge(tmp_path)
    assert list(wrong(parts)) == ["product_backward"]
    assert "`db[" in parts[1].bugs[0].evidence


def test_a_forward_that_fails_at_one_size_leaves_its_backward_judged(tmp_path):
    fails = "    if len(a) == 5:\n        raise ValueError(5)\n    return a * b, (a, b)"
    (tmp_path / "pair.py").write_text(TWO_OPERANDS.replace("    return a * b, (a, b)", fails))
    verdicts = {part.part: part.verdict for part in mutation.judge(tmp_path)}
    assert verdicts["product_forward"] == "wrong"
    assert verdicts["product_backward"] == "right"


def test_a_failure_of_the_checker_is_never_exit_code_0(tmp_path, monkeypatch):
    from handgrad.checking.contracts.cs231n import CachedPairs

    judge = CachedPairs._judge

    def fail(self, each, module, observations):
        if each.name == "product":
            raise ValueError("ours")
        return judge(self, each, module, observations)

    monkeypatch.setattr(CachedPairs, "_judge", fail)
    (tmp_path / "pair.py").write_text(TWO_OPERANDS)
    report = Report("pair.py", "pairs", tuple(mutation.judge(tmp_path)))
    assert [part.verdict for part in report.parts] == ["cannot judge", "not judged", "right"]
    assert report.exit_code == 2

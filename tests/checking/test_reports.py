"""Every form of a report holds what its reader expects, also for names that mean something to a terminal or to XML."""

import io
import json
from xml.etree import ElementTree

import pytest
from rich.console import Console

from handgrad.checking import Limits, checker, results, rubric, sandbox
from handgrad.checking import report as forms
from handgrad.checking.results import Finding, Part, Report
from handgrad.checking.rubric import Rubric, scores, total
from handgrad.errors import ConfigError

from .conftest import SIGMOID

BUG = Finding(
    "softmax-no-shift",
    "with logits around 1000 the result is nan",
    "The softmax is not shifted",
    "hw1.py",
    90,
    "What is exp(1000)?",
    "Subtract the row's maximum first.",
)
OTHER = Finding("batch-size-squared", "dW is 20 times the right value", "Divided by N twice", "hw1.py", 131)
PARTS = (
    Part("Sigmoid.forward", "right", group="activations", file="hw1.py", line=10),
    Part("ReLU.forward", "wrong", (OTHER,), group="activations", file="hw1.py", line=130),
    Part(
        "SoftmaxCrossEntropy.forward",
        "wrong",
        (BUG,),
        notes=("the shape is (5, 1)",),
        group="loss",
        file="hw1.py",
        line=88,
    ),
    Part("MLP.step", "missing", reason="not filled in", group="momentum"),
    Part("MLP.forward", "cannot judge", reason="it needs the package scipy", group="momentum"),
)
REPORT = Report("hw1.py", "cmu-2019", PARTS, ("one note",), ("namespaces", "limits"), 1.25)
UNUSABLE = Report(
    "x.bin",
    None,
    (Part("hand-in", "cannot judge", (Finding("unknown-file", "it is no archive", "No"),), "it is no archive"),),
)
RIGHT = Report("a.py", "cmu-2019", PARTS[:1])
ODD = Report(
    "a\x1b[31m<&>\x00\ud800.py",
    "c",
    (Part("p\x08\uffff", "wrong", (Finding("x", "\x1b]0;title\x07 <b>&amp;", "t\x00"),)),),
)


def printed(report, **options) -> str:
    console = Console(file=io.StringIO(), width=100, force_terminal=False)
    console.print(forms.table(report, **options))
    return console.file.getvalue()


# -- verdicts and exit codes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdicts", "verdict", "code"),
    [
        (["right"], "right", 0),
        (["right", "missing"], "right", 0),
        (["right", "wrong", "missing", "cannot judge"], "wrong", 1),
        (["right", "cannot judge"], "cannot judge", 0),
        (["cannot judge"], "cannot judge", 2),
        (["missing", "missing"], "missing", 2),
        ([], "cannot judge", 2),
    ],
)
def test_what_is_said_of_the_whole(verdicts, verdict, code):
    report = Report("f", "c", tuple(Part(str(i), v) for i, v in enumerate(verdicts)))
    assert (report.verdict, report.exit_code) == (verdict, code)


def test_the_exit_code_of_several():
    assert results.exit_code([RIGHT, RIGHT]) == 0
    assert results.exit_code([RIGHT, UNUSABLE]) == 2
    assert results.exit_code([RIGHT, UNUSABLE, REPORT]) == 1
    assert results.exit_code([]) == 2


# -- forms ------------------------------------------------------------------------------------------------------------


def test_json_has_the_documented_form():
    found = json.loads(forms.to_json([REPORT], "full"))
    assert found["file"] == "hw1.py"
    assert found["contract"] == "cmu-2019"
    assert [part["part"] for part in found["parts"]] == [part.part for part in PARTS]
    assert [part["verdict"] for part in found["parts"]] == [part.verdict for part in PARTS]
    bug = found["parts"][2]["bugs"][0]
    assert {key: bug[key] for key in ("id", "line", "evidence", "hint")} == {
        "id": "softmax-no-shift",
        "line": 90,
        "evidence": "with logits around 1000 the result is nan",
        "hint": "Subtract the row's maximum first.",
    }
    assert found["parts"][4]["reason"] == "it needs the package scipy"
    assert found["sandbox"] == ["namespaces", "limits"]
    assert isinstance(json.loads(forms.to_json([REPORT, RIGHT])), list)


@pytest.mark.parametrize(("hints", "there"), [("none", ""), ("nudge", "exp(1000)?"), ("full", "Subtract the row's")])
def test_hints_give_away_what_they_are_told_to(hints, there):
    others = {"exp(1000)?", "Subtract the row's"} - {there}
    for text in (
        printed(REPORT, hints=hints),
        forms.to_json([REPORT], hints),
        forms.junit([REPORT], hints).decode(),
        json.dumps(forms.gradescope(REPORT, scores(REPORT), hints)),
    ):
        assert there in text
        assert not [other for other in others if other in text]


def test_the_table_tells_everything_once():
    text = " ".join(printed(REPORT, scores=scores(REPORT, Rubric({"activations": 12, "loss": 4}))).split())
    for piece in (
        "hw1.py CMU 11-785",
        "✓ Sigmoid.forward",
        "✗ ReLU.forward",
        "hw1.py:130",
        "Divided by N twice [batch-size-squared] hw1.py:131",
        "note: the shape is (5, 1)",
        "missing: not filled in",
        "cannot judge: it needs the package scipy",
        "activations 6 / 12",
        "points 6 / 16",
        "1 right, 2 wrong, 1 missing, 1 cannot judge 1.2 s, sandbox: namespaces, limits",
    ):
        assert text.count(piece) == 1, (piece, text)
    assert not [c for c in printed(ODD) if not c.isprintable() and c != "\n"]
    assert printed(UNUSABLE).count("it is no archive") == 1


def test_parts_of_which_the_same_is_to_be_said_share_a_line():
    parts = [Part(f"part{i}", "missing", reason="not there") for i in range(3)]
    parts += [Part(f"judged{i}", "cannot judge", reason="no scipy") for i in range(2)]
    parts += [
        Part("alone", "cannot judge", reason="no time"),
        Part("noted", "missing", reason="not there", notes=("a note",)),
    ]
    text = " ".join(printed(Report("f", "c", tuple(parts))).split())
    assert "– missing: not there part0, part1, part2 ?" in text
    assert "? cannot judge: no scipy judged0, judged1 ?" in text
    assert "? alone cannot judge: no time" in text
    assert "– noted missing: not there note: a note" in text


def test_handgrad_itself_is_one_finding(tmp_path):
    (tmp_path / "hw1.py").write_text(f"import os\nimport handgrad.nn\n{SIGMOID}")
    report = checker.check(tmp_path)
    assert report.exit_code == 2
    assert [(bug.id, bug.file, bug.line) for bug in report.bugs] == [("imports-handgrad", "hw1.py", 2)]
    assert "handgrad" in report.bugs[0].evidence


def test_junit_is_xml_with_right_counts():
    root = ElementTree.fromstring(forms.junit([REPORT, RIGHT, UNUSABLE, ODD]))
    assert root.tag == "testsuites"
    assert {key: root.get(key) for key in ("tests", "failures", "skipped", "errors")} == {
        "tests": "8",
        "failures": "3",
        "skipped": "3",
        "errors": "0",
    }
    suite = root.find("testsuite[@name='hw1.py']")
    assert [suite.get(key) for key in ("tests", "failures", "skipped")] == ["5", "2", "2"]
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    assert list(cases["Sigmoid.forward"]) == []
    failure = cases["SoftmaxCrossEntropy.forward"].find("failure")
    assert failure.get("message") == "The softmax is not shifted"
    assert "hw1.py:90" in failure.text
    assert cases["MLP.step"].find("skipped").get("message") == "missing: not filled in"
    assert cases["ReLU.forward"].get("line") == "130"


def test_gradescope_results_have_its_fields():
    found = forms.gradescope(REPORT, scores(REPORT, Rubric({"activations": 12, "loss": 4})))
    json.dumps(found)
    assert found["score"] == 6
    assert found["visibility"] == "visible"
    assert found["stdout_visibility"] == "hidden"
    assert isinstance(found["execution_time"], int)
    assert [(t["name"], t["score"], t["max_score"], t["status"]) for t in found["tests"]] == [
        ("activations", 6.0, 12.0, "failed"),
        ("loss", 0.0, 4.0, "failed"),
    ]
    assert all(t["output_format"] == "text" for t in found["tests"])
    assert "Divided by N twice" in found["tests"][0]["output"]
    assert "Sigmoid.forward: right" in found["tests"][0]["output"]
    lost = forms.gradescope(UNUSABLE, scores(UNUSABLE, Rubric({"activations": 12})))
    assert lost["score"] == 0
    assert "it is no archive" in lost["output"]
    assert lost["tests"][0]["output"] == "not found in the hand-in"


def test_autolab_has_one_line():
    line = forms.autolab(scores(REPORT, Rubric({"activations": 12, "loss": 4})))
    assert "\n" not in line
    assert json.loads(line) == {"scores": {"activations": 6.0, "loss": 0.0}}


# -- points -----------------------------------------------------------------------------------------------------------


def test_the_handouts_points_are_used_where_there_are_any():
    rows = scores(REPORT)
    assert total(rows)[1] == 100
    assert {row.name: row.points for row in rows}["activations"] == 6


def test_without_any_points_a_part_is_worth_one():
    rows = scores(Report("f", "none-such", PARTS))
    assert total(rows) == (1, 5)
    assert total(scores(UNUSABLE)) == (0, 1)


@pytest.mark.parametrize(
    ("points", "deductions", "expected"),
    [
        ({"activations": 10}, {}, 5),
        ({"activations": 10}, {"batch-size-squared": 20}, 9),
        ({"activations": 10}, {"softmax-no-shift": 20}, 5),
        ({"Sigmoid.*": 3, "*.forward": 8}, {}, 3 + 2),
        ({"MLP.step": 4}, {}, 0),
        ({"nothing here": 4}, {}, 0),
    ],
)
def test_points_of_a_rubric(points, deductions, expected):
    assert total(scores(REPORT, Rubric(points, deductions)))[0] == pytest.approx(expected)


def test_a_deduction_counts_only_where_it_covers_all_bugs_of_a_part():
    report = Report("f", "c", (Part("p", "wrong", (BUG, OTHER)),))
    assert total(scores(report, Rubric({"p": 10}, {BUG.id: 20})))[0] == 0
    assert total(scores(report, Rubric({"p": 10}, {BUG.id: 20, OTHER.id: 30})))[0] == pytest.approx(5)
    assert total(scores(report, Rubric({"p": 10}, {BUG.id: 80, OTHER.id: 80})))[0] == 0


def test_a_rubric_file(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text(
        'title = "HW1"\n[points]\nactivations = 12\n"BatchNorm.*" = 1.5\n[deductions]\nsoftmax-no-shift = 25\n'
    )
    assert Rubric.read(path) == Rubric({"activations": 12, "BatchNorm.*": 1.5}, {"softmax-no-shift": 25}, "HW1")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (None, "cannot be read: No such file"),
        ("points =", "is not TOML"),
        ("", r"has no \[points\]"),
        ("points = 3", r"has no \[points\]"),
        ("[points]\na = -1", "a=-1, expected a number of at least 0"),
        ("[points]\na = true", "a=True, expected a number of at least 0"),
        ("[points]\na = inf", "a=inf, expected a number of at least 0"),
        ("[points]\na = 1\n[deductions]\nb = 101", "b=101, expected a percentage between 0 and 100"),
        (
            "deductions = 1\n[points]\na = 1",
            r"\[deductions\] must be a table of bug ids and percentages, such as softmax-no-shift = 25, not 1",
        ),
        ("[points]\na = 1\n[pionts]", r"has 'pionts': expected title, \[points\]"),
    ],
)
def test_a_rubric_that_is_none(tmp_path, text, match):
    path = tmp_path / "r.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=match):
        Rubric.read(path)


def test_a_fault_of_the_checker_is_a_report(tmp_path, monkeypatch):
    (tmp_path / "a.py").write_text("x = 1\n")
    monkeypatch.setattr(checker.contracts, "recognise", lambda source: 1 / 0)
    report = checker.check_here(
        str(tmp_path / "a.py"),
        contract=None,
        gradient=None,
        limits=Limits(),
        seed=0,
        allow_handgrad=False,
        means=(),
        beside=True,
    )
    assert report.exit_code == 2
    assert report.bugs[0].id == "checker-failed"
    assert "ZeroDivisionError" in report.bugs[0].evidence


def test_a_machine_that_cannot_run_a_hand_in_says_so(tmp_path, monkeypatch):
    (tmp_path / "interpreter").write_text("#!/bin/sh\necho no such library >&2\nexit 1\n")
    (tmp_path / "interpreter").chmod(0o755)
    monkeypatch.setattr(sandbox, "_interpreter", lambda: str(tmp_path / "interpreter"))
    (tmp_path / "a.py").write_text(SIGMOID)
    report = checker.check_here(
        str(tmp_path / "a.py"),
        contract=None,
        gradient=None,
        limits=Limits(),
        seed=0,
        allow_handgrad=False,
        means=(),
        beside=True,
    )
    assert (report.exit_code, report.bugs[0].id) == (2, "no-sandbox")
    assert report.bugs[0].evidence.startswith("the process for hand-ins ")
    assert report.bugs[0].evidence.endswith(": no such library")
    assert "Not a fault of the hand-in" in report.bugs[0].hint("nudge")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"contract": "mit"}, "no contract='mit': expected one of cmu-2019"),
        ({"gradient": "f"}, "gradient='f' cannot be read"),
    ],
)
def test_what_cannot_be_asked_for(tmp_path, options, match):
    (tmp_path / "a.py").write_text("x = 1\n")
    with pytest.raises(ConfigError, match=match):
        checker.check(tmp_path / "a.py", **options)


def test_a_syntax_error_is_wrong_and_names_the_file(tmp_path):
    (tmp_path / "hw1.py").write_text("class Sigmoid:\n  def f(\n")
    report = checker.check(tmp_path)
    assert report.exit_code == 1
    assert [(part.part, part.verdict, part.bugs[0].id) for part in report.parts] == [
        ("hw1.py", "wrong", "syntax-error")
    ]


def test_nothing_to_judge_says_what_there_is(tmp_path):
    (tmp_path / "a.py").write_text("def hello():\n    pass\n")
    report = checker.check(tmp_path / "a.py")
    assert report.exit_code == 2
    assert report.parts[0].reason.endswith("was not found: it defines hello")
    assert rubric.total(scores(report)) == (0, 1)

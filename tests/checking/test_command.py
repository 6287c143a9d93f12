"""`handgrad check` as a person uses it: exit codes, files it writes, a class, watching."""

import csv
import io
import json
import re
import shutil
import threading
import time
import zipfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from handgrad.checking import alone, as_csv, check_class, frequencies, hand_ins
from handgrad.checking.classroom import COLUMNS
from handgrad.checking.results import Finding, Part, Report
from handgrad.checking.rubric import Rubric
from handgrad.checking.watch import watch
from handgrad.cli import main

from .conftest import SIGMOID

WRONG = SIGMOID.replace("1 - self.state ** 2", "1 - self.state")
MORE_WRONG = WRONG.replace("self.state * (1 - self.state)", "self.state")


@pytest.fixture
def hand_in(tmp_path):
    def hand_in(text, name="hw1.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    return hand_in


# -- one hand-in ------------------------------------------------------------------------------------------------------


def test_exit_codes(hand_in, capsys, tmp_path):
    assert main(["check", hand_in(SIGMOID)]) == 0
    assert main(["check", hand_in(WRONG)]) == 1
    assert "✗ Tanh.derivative" in capsys.readouterr().out
    assert main(["check", hand_in("x = 1\n")]) == 2
    assert main(["check", str(tmp_path / "nowhere")]) == 2
    assert "does not exist" in " ".join(capsys.readouterr().out.split())


def test_json_of_one_is_an_object_and_of_several_a_list(hand_in, capsys):
    right, wrong = hand_in(SIGMOID, "a/hw1.py"), hand_in(WRONG, "b/hw1.py")
    assert main(["check", "--json", wrong]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["contract"] == "cmu-2019"
    assert found["file"] == wrong
    parts = {part["part"]: part for part in found["parts"]}
    assert {part["verdict"] for part in parts.values()} == {"right", "wrong", "missing"}
    (bug,) = parts["Tanh.derivative"]["bugs"]
    assert set(bug) >= {"id", "line", "evidence", "hint"}
    assert WRONG.splitlines()[bug["line"] - 1].strip() == "def derivative(self):"
    assert main(["check", "--json", right, wrong]) == 1
    assert [one["verdict"] for one in json.loads(capsys.readouterr().out)] == ["right", "wrong"]


def test_a_check_is_quick(hand_in):
    path = hand_in(SIGMOID)
    main(["check", path])
    begun = time.process_time()
    main(["check", path])
    assert time.process_time() - begun < 5


def test_reports_for_programs_are_written(hand_in, capsys, tmp_path):
    rubric = tmp_path / "rubric.toml"
    rubric.write_text('[points]\nactivations = 12\n"SoftmaxCrossEntropy.*" = 4\n')
    out = {name: tmp_path / name for name in ("junit.xml", "results.json")}
    arguments = ["--junit", str(out["junit.xml"]), "--gradescope", str(out["results.json"]), "--autolab"]
    assert main(["check", hand_in(WRONG), "--rubric", str(rubric), *arguments]) == 1
    assert ElementTree.parse(out["junit.xml"]).getroot().get("failures") == "1"
    given = json.loads(out["results.json"].read_text())
    last = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert set(last["scores"]) == {"activations", "SoftmaxCrossEntropy.*"}
    assert last["scores"]["SoftmaxCrossEntropy.*"] == 4
    assert 0 < last["scores"]["activations"] < 12
    assert given["score"] == pytest.approx(sum(last["scores"].values()))
    assert not list(tmp_path.glob(".*.tmp"))


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ([], "nothing to check"),
        (["x.py", "--timeout", "0"], "timeout=0.0 is too small: expected a number above 0"),
        (["x.py", "--memory", "-5"], "memory=-5 is too small"),
        (["x.py", "--seed", "-1"], "seed=-1 is too small: expected a whole number of at least 0"),
        (["--class", ".", "--jobs", "0"], "jobs=0 is too small: expected at least 1"),
        (["x.py", "--contract", "mit"], "there is no contract='mit'"),
        (["x.py", "--rubric", "nowhere.toml"], "rubric=nowhere.toml cannot be read"),
        (["x.py", "--out", "r.csv"], "--out requires --class FOLDER"),
        (["x.py", "y.py", "--autolab"], "--autolab cannot be combined with several hand-ins"),
        (["x.py", "--watch", "--json"], "--json cannot be combined with --watch"),
        (["--class", "nowhere"], "class='nowhere' is not a folder"),
        (["--class", ".", "x.py"], "PATH cannot be combined with --class"),
        (["x.py", "--junit", "/nowhere/at/all.xml"], "/nowhere/at/all.xml cannot be written"),
        (["x.py", "--hints", "many"], "hints"),
    ],
)
def test_what_cannot_be_asked_for_is_one_line(capsys, arguments, match):
    assert main(["check", *arguments]) == 2
    captured = capsys.readouterr()
    assert len(captured.err.strip().splitlines()) == 1
    assert match in captured.err


def test_the_readme_shows_what_it_prints(tmp_path, monkeypatch, capsys):
    text = (Path(__file__).parents[2] / "README.md").read_text()
    _, source, _, shown, *_ = text.partition("Suppose `layers.py` contains")[2].split("```")
    (tmp_path / "layers.py").write_text(source.removeprefix("python\n"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["check", "layers.py", "--seed", "7"]) == 1
    printed = [line.rstrip() for line in capsys.readouterr().out.strip().splitlines()]
    assert printed[:-1] == shown.removeprefix("text\n").strip().splitlines()[:-1]


# -- a class ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def classroom(hand_in, tmp_path):
    hand_in(SIGMOID, "class/ada/hw1.py")
    hand_in(WRONG, "class/bob/hw1.py")
    hand_in(MORE_WRONG, "class/cyd.py")
    hand_in("import os\nos._exit(0)\n" + SIGMOID, "class/dan.py")
    hand_in("while True: pass\n" + SIGMOID, "class/eve.py")
    hand_in("def (", "class/=cmd|calc.py")
    with zipfile.ZipFile(tmp_path / "class/zoe.zip", "w") as archive:
        archive.writestr("../../escaped.py", SIGMOID)
    hand_in("", "class/.hidden")
    return tmp_path / "class"


def test_a_class_is_checked_to_its_end(classroom, tmp_path, capsys):
    out = tmp_path / "report.csv"
    assert main(["check", "--class", str(classroom), "--out", str(out), "--timeout", "4", "--jobs", "2"]) == 1
    rows = {row["file"]: row for row in csv.DictReader(io.StringIO(out.read_text()))}
    assert set(rows) == {"ada", "bob", "cyd.py", "dan.py", "eve.py", "'=cmd|calc.py", "zoe.zip"}
    assert tuple(rows["ada"]) == COLUMNS
    assert rows["ada"]["verdict"] == "right"
    assert (rows["bob"]["wrong"], rows["cyd.py"]["wrong"]) == ("1", "2")
    assert rows["dan.py"]["bugs"] == "ends-the-process"
    assert rows["eve.py"]["bugs"] == "never-ends"
    assert rows["dan.py"]["right"] == rows["eve.py"]["right"] == "0"
    assert rows["zoe.zip"]["bugs"] == "archive-outside"
    assert rows["'=cmd|calc.py"]["bugs"] == "syntax-error"
    assert not list(tmp_path.rglob("escaped.py"))
    captured = capsys.readouterr()
    assert "archive-outside" in captured.out
    assert captured.err.count("/7 ") == 7


def test_a_class_as_json(classroom, capsys):
    for name in ("dan.py", "eve.py"):
        (classroom / name).unlink()
    assert main(["check", "--class", str(classroom), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert len(found["reports"]) == 5
    counts = {bug["id"]: bug["hand_ins"] for bug in found["bugs"]}
    (tanh,) = [part for one in found["reports"] if one["file"] == "bob" for part in one["parts"] if part["bugs"]]
    assert counts[tanh["bugs"][0]["id"]] == 2
    assert [bug["hand_ins"] for bug in found["bugs"]] == sorted(counts.values(), reverse=True)


def test_a_process_that_dies_costs_its_own_hand_in_alone(tmp_path, monkeypatch):
    """Our own process, not the sandbox's: as if reading the file had crashed the interpreter."""
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text(SIGMOID)
    with monkeypatch.context() as broken:
        broken.setattr(alone, "START", "import os; os._exit(9)")
        first, second = check_class([tmp_path / "a.py", tmp_path / "b.py"], jobs=2)
    assert first.verdict == second.verdict == "cannot judge"
    assert first.bugs[0].id == "checker-failed"
    assert "exit code 9" in first.bugs[0].evidence
    (fine,) = check_class([tmp_path / "a.py"])
    assert fine.verdict == "right"


def test_interrupting_a_class_keeps_what_was_checked(classroom, tmp_path, monkeypatch):
    for name in ("dan.py", "eve.py"):
        (classroom / name).unlink()
    from handgrad.cli import check as command

    def interrupted(paths, done, **options):
        done(Report("ada", "cmu-2019", (Part("Sigmoid.forward", "right"),)))
        raise KeyboardInterrupt

    monkeypatch.setattr(command.checking, "check_class", interrupted)
    out = tmp_path / "report.csv"
    with pytest.raises(SystemExit, match="130"):
        main(["check", "--class", str(classroom), "--out", str(out)])
    assert [row["file"] for row in csv.DictReader(io.StringIO(out.read_text()))] == ["ada"]


def test_frequencies_count_a_bug_once_a_hand_in():
    bug, other = Finding("a", "x", "A"), Finding("b", "y", "B")
    reports = [
        Report("1", "c", (Part("p", "wrong", (bug, other)), Part("q", "wrong", (bug,)))),
        Report("2", "c", (Part("p", "wrong", (bug,)),)),
        Report("3", "c", (Part("p", "right"),)),
    ]
    assert frequencies(reports) == [("a", 2, "A"), ("b", 1, "B")]


def test_the_table_takes_no_formulas_and_no_line_breaks():
    parts = (Part("p", "wrong", (Finding("@x", "e"),)), Part("q", "cannot judge", reason="one\ntwo"))
    rows = list(csv.reader(io.StringIO(as_csv([Report("=1+1.py", "c", parts)], Rubric({"p": 4, "q": 1})))))
    assert len(rows) == 2
    row = dict(zip(rows[0], rows[1], strict=True))
    assert (row["file"], row["bugs"], row["reason"]) == ("'=1+1.py", "'@x", "one two")
    assert (row["points"], row["of"], row["wrong"], row["cannot judge"]) == ("0.0", "5.0", "1", "1")


def test_a_class_whose_progress_cannot_be_kept_is_one_line(hand_in, tmp_path, capsys):
    hand_in("x = 1\n", "class/ada.py")
    (tmp_path / "report.csv.progress").mkdir()
    assert main(["check", "--class", str(tmp_path / "class"), "--out", str(tmp_path / "report.csv")]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    match = r"report.csv.progress cannot be written: Is a directory; choose another place for the table"
    assert re.search(match, error)


def test_pages_in_what_is_a_file_are_one_line(hand_in, capsys):
    path = hand_in("x = 1\n")
    assert main(["check", path, "--feedback", f"{path}/pages"]) == 2
    assert "hw1.py/pages cannot be written: Not a directory; choose another place" in capsys.readouterr().err


def test_hand_ins_of_an_empty_folder_are_none(tmp_path):
    from handgrad.errors import ConfigError

    with pytest.raises(ConfigError, match="is empty: expected a file, archive or folder"):
        hand_ins(tmp_path)


# -- watching ---------------------------------------------------------------------------------------------------------


class Watched:
    """A watch in a thread, and a way to wait for its next check."""

    def __init__(self, path):
        self.path, self.count, self.stop = path, 0, threading.Event()
        self.seen = threading.Semaphore(0)
        self.thread = threading.Thread(
            target=watch, args=([path], self.check), kwargs={"every": 0.02, "stop": self.stop}
        )

    def check(self):
        self.count += 1
        self.seen.release()

    def __enter__(self):
        self.thread.start()
        assert self.seen.acquire(timeout=10)
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join(10)
        assert not self.thread.is_alive()

    def next(self):
        return self.seen.acquire(timeout=10)

    def quiet(self):
        return not self.seen.acquire(timeout=0.3)


@pytest.mark.parametrize("folder", [False, True])
def test_every_save_is_checked_once(tmp_path, folder):
    path = tmp_path / "hw1.py"
    path.write_text("1")
    with Watched(tmp_path if folder else path) as watched:
        assert watched.quiet()
        path.write_text("22")
        assert watched.next()
        assert watched.quiet()
        temporary = tmp_path / "hw1.py~"  # as editors do it: a new file in its place
        temporary.write_text("333")
        path.unlink()
        time.sleep(0.1)
        temporary.replace(path)
        assert watched.next()
        assert watched.quiet()
        if folder:
            (tmp_path / "other.py").write_text("4")
            assert watched.next()
        (tmp_path / "notes.txt").write_text("5")
        assert watched.quiet()


def test_a_save_in_several_steps_is_one(tmp_path):
    path = tmp_path / "hw1.py"
    path.write_text("")
    with Watched(path) as watched:
        with path.open("w") as stream:
            for i in range(20):
                stream.write(f"x{i}\n")
                stream.flush()
                time.sleep(0.005)
        assert watched.next()
        assert watched.quiet()


def test_watching_from_the_command_ends_with_ctrl_c(hand_in, capsys, monkeypatch):
    path = hand_in(WRONG)
    from handgrad.cli import check as command

    def watch_twice(paths, once):
        once()
        hand_in(SIGMOID)
        once()
        raise KeyboardInterrupt

    monkeypatch.setattr(command.watch, "watch", watch_twice)
    assert main(["check", path, "--watch"]) == 0
    assert Counter(word for word in capsys.readouterr().out.split() if word in "✓✗")["✗"] == 1


# -- the hand-in is untouched -----------------------------------------------------------------------------------------


def test_the_hand_in_itself_is_never_written_to(hand_in, tmp_path):
    folder = tmp_path / "in"
    hand_in(SIGMOID + "\nopen('hw1.py', 'w').write('x')\nopen('new.txt', 'w').write('x')\n", "in/hw1.py")
    before = (folder / "hw1.py").read_text()
    assert main(["check", str(folder)]) == 0
    assert (folder / "hw1.py").read_text() == before
    assert [p.name for p in folder.iterdir()] == ["hw1.py"]
    shutil.rmtree(folder)


# -- points and feedback ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('[points]\n"Sigmiod.*" = 3\n', "entry 'Sigmiod.*' matches nothing in .*; did you mean 'Sigmoid'?"),
        ("[points]\nactivation = 3\n", "did you mean 'activations'?"),
        ("[points]\nactivations = 3\n[deductions]\nsquare-misssing = 5\n", "did you mean 'square-missing'?"),
        ("[points]\nactivations = 3\n[deductions]\nxyzzy = 5\n", "is not a bug id; expected an id that"),
    ],
)
def test_a_rubric_with_a_slip_of_the_pen_is_refused(hand_in, tmp_path, capsys, text, match):
    (tmp_path / "rubric.toml").write_text(text)
    assert main(["check", hand_in(SIGMOID), "--rubric", str(tmp_path / "rubric.toml")]) == 2
    assert re.search(match, capsys.readouterr().err)
    hand_in(SIGMOID, "class/ada.py")
    assert main(["check", "--class", str(tmp_path / "class"), "--rubric", str(tmp_path / "rubric.toml")]) == 2


def test_an_entry_for_what_was_not_handed_in_is_worth_nothing_and_says_so(hand_in, tmp_path, capsys):
    (tmp_path / "rubric.toml").write_text('[points]\nactivations = 3\n"Attention.*" = 2\n')
    assert main(["check", hand_in(SIGMOID), "--points", "--rubric", str(tmp_path / "rubric.toml")]) == 0
    assert re.search(r"Attention\.\*  not found\s+0 / 2", capsys.readouterr().out)


def test_a_page_of_feedback_for_each_student(hand_in, tmp_path, capsys):
    hand_in(WRONG, "class/bob/hw1.py")
    hand_in(WRONG, "class/<b>ada.py")
    hand_in(SIGMOID, "class/_b_ada.py")
    pages = tmp_path / "pages"
    assert main(["check", "--class", str(tmp_path / "class"), "--feedback", str(pages)]) == 1
    assert sorted(one.name for one in pages.iterdir()) == ["_b_ada.py-2.html", "_b_ada.py.html", "bob.html"]
    text = (pages / "bob.html").read_text()
    assert '<a href="#square-missing"><code>square-missing</code></a>' in text
    assert '<article id="square-missing">' in text
    assert "handgrad derive tanh, step 3: from the output" in text
    assert "points" in capsys.readouterr().out
    shown = [(pages / name).read_text() for name in ("_b_ada.py.html", "_b_ada.py-2.html")]
    assert any("&lt;b&gt;ada.py" in one and "<b>ada" not in one for one in shown)


def test_thousands_of_links_are_a_few_notes(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "hw1.py").write_text(SIGMOID)
    for i in range(3000):
        (tmp_path / "in" / f"l{i}").symlink_to("/etc/passwd")
    report = alone.checker.check(tmp_path / "in")
    assert report.verdict == "right"
    links = [note for note in report.notes if "link" in note]
    assert len(links) == 6
    assert links[-1] == "2995 more links and devices were left out"


# -- an import that fails ---------------------------------------------------------------------------------------------


def test_an_import_that_fails_is_one_finding(hand_in):
    report = alone.checker.check(hand_in("1 / 0\n" + SIGMOID))
    (bug,) = report.bugs
    assert (bug.id, bug.line) == ("raises", 1)
    others = {part.verdict for part in report.parts if not part.bugs}
    assert others <= {"cannot judge", "missing"}


def test_a_package_that_is_not_there_matters_where_it_is_used(hand_in):
    assert alone.checker.check(hand_in("import tqdm_of_old\n" + SIGMOID)).verdict == "right"
    used = SIGMOID.replace(
        "        self.state = np.tanh(x)", "        tqdm_of_old.tqdm(x)\n        self.state = np.tanh(x)"
    )
    assert used != SIGMOID
    report = alone.checker.check(hand_in("import tqdm_of_old\n" + used))
    assert report.verdict == "cannot judge"
    assert [bug.id for bug in report.bugs] == ["missing-package"]
    assert {part.part for part in report.parts if part.verdict == "cannot judge"} >= {"Tanh.forward"}
    assert {part.verdict for part in report.parts if part.part.startswith("Sigmoid")} == {"right"}


def test_a_package_that_a_try_does_without_stays_away(hand_in):
    text = "try:\n    import tqdm_of_old as np\nexcept ImportError:\n    pass\n" + SIGMOID
    assert alone.checker.check(hand_in(text)).verdict == "right"

"""Programs for CS231n and CMU from 2022 on, written before the checker was tuned on them: see `course_programs`."""

import hashlib
import random

import pytest
from tests.checking.course_programs import CORRECTED, FOLDER, compare, judged, programs

from handgrad.checking import check

pytestmark = [
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::SyntaxWarning"),
]

PROGRAMS = programs()
FEW = random.Random(5).sample(PROGRAMS, 24)
#: What the checker did not name, or accused falsely, before these were written.
FIXED = [
    program
    for program in PROGRAMS
    if program.name
    in {
        *(f"students/{kind}" for kind in ("a14", "a15", "a16", "d10")),
        *(f"students/{kind}" for kind in ("s06", "s07", "s09", "s10", "s16", "s17")),
        *(f"students/{kind}" for kind in ("o01", "o03", "o04", "o05", "o06", "o07", "o08")),
        *(f"blind/cmu{kind}" for kind in ("19-noah", "19-olga", "19-sam", "22-zane", "24-bea", "24-wei")),
        *(f"blind/coursera-{kind}" for kind in ("batchnorm", "l-layer-update", "pool")),
        *(
            f"blind/cs231n-{kind}"
            for kind in ("dropout", "fc-net-batchnorm", "layernorm", "optim-adam", "two-layer-net")
        ),
        *(f"blind/home-{kind}" for kind in ("activation-pairs", "huber-loss", "maxout", "residual-block")),
        "blind/uva-22-hana",
    }
]
#: Layers walked in the wrong order, whose shapes clash before the order can be seen; and functions that the checker
#: does not know, compared with their numerical derivatives.
UNNAMED = {
    "cmu-2022/w33",
    *(f"blind/coursera-{kind}" for kind in ("batchnorm", "conv", "pool")),
    *(f"blind/home-{kind}" for kind in ("residual-block", "rmsnorm-function")),
}


def judged_here(program, seed=0):
    if program.torch:
        pytest.importorskip("torch")
    return judged(program, seed)


def as_expected(program, parts) -> None:
    found = compare(program, parts)
    assert found.others == {}
    if program.right:
        assert found.unjudged == ()
        assert "right" in {part.verdict for part in parts}
    else:
        assert found.detected
        assert found.named or program.name in UNNAMED, [bug for part in parts for bug in part.bugs]


def test_they_are_as_they_were_frozen():
    lines = (FOLDER / "SHA256SUMS").read_text().splitlines()
    listed = {}
    for line in lines:
        digest, name = line.split(maxsplit=1)
        listed[name.removeprefix("./")] = digest
    there = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.suffix in (".py", ".toml")}
    assert there <= set(listed)
    for name, digest in listed.items():
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest, name


def test_there_are_forty_of_each_and_a_third_is_right():
    for course in ("cs231n", "cmu-2022"):
        own = [program for program in PROGRAMS if program.course == course]
        assert len(own) >= 40
        assert 0.25 < sum(program.right for program in own) / len(own) < 0.4
    assert set(CORRECTED) <= {program.name for program in PROGRAMS}


@pytest.mark.parametrize("program", FEW, ids=str)
def test_a_program(program):
    as_expected(program, judged_here(program))


@pytest.mark.slow
@pytest.mark.parametrize("program", [program for program in PROGRAMS if program not in FEW + FIXED], ids=str)
def test_every_program(program):
    as_expected(program, judged_here(program))


@pytest.mark.slow
@pytest.mark.parametrize("program", [program for program in PROGRAMS if program.right], ids=str)
def test_a_right_program_is_right_whatever_is_drawn(program):
    for seed in range(1, 2 if program.sandboxed else 5):  # in the sandbox, PyTorch is imported every time
        parts = judged_here(program, seed)
        wrong = {part.part: part.bugs for part in parts if part.verdict == "wrong"}
        assert wrong == {}, seed


@pytest.mark.parametrize("program", [program for program in FIXED if program not in FEW], ids=str)
def test_a_kind_that_was_missed(program):
    as_expected(program, judged_here(program))


@pytest.mark.parametrize("name", ["cmu-2022/r08", "cs231n/w39"])
def test_files_that_import_each_other_with_dots_in_the_sandbox(name):
    """Handed in as a folder that holds the package alone, which must not be taken for a wrapper."""
    program = next(program for program in PROGRAMS if program.name == name)
    as_expected(program, check(program.folder).parts)

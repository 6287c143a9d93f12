"""CS231n's functions, and pairs of no course: right ones are right, broken ones are named, starters are missing."""

import random
import re

import pytest
from tests.checking import mutation
from tests.checking.mutations_cs231n import CS231N, PAIRS

pytestmark = [
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::SyntaxWarning"),
]

ALL = [("cs231n", each) for each in CS231N] + [("pairs", each) for each in PAIRS]
FEW = random.Random(3).sample(ALL, 6)


@pytest.mark.parametrize("name", ["cs231n", "pairs"])
def test_the_right_functions_are_right(name):
    parts = mutation.judge(mutation.HANDINS / name)
    opened = {"linear_forward", "swish_forward", "sigmoid_forward"}
    assert {part.part: part.bugs for part in parts if part.verdict != "right"} == dict.fromkeys(
        opened if name == "pairs" else (), ()
    )


def named(name: str, each) -> set[str]:
    changed = mutation.mutate(mutation.read(name), [each])
    assert changed is not None
    return {bug.id for part in mutation.run(changed) for bug in part.bugs}


@pytest.mark.parametrize(("name", "each"), FEW, ids=lambda one: getattr(one, "name", one))
def test_a_mutant_is_named(name, each):
    assert named(name, each) & set(each.ids)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cs231n", "pairs"])
def test_all_mutants(name):
    missed = [each.name for base, each in ALL if base == name and not named(name, each) & set(each.ids)]
    assert missed == []


def test_an_untouched_function_is_missing():
    files = mutation.read("cs231n")
    text = files["cs231n/layers.py"]
    body = re.search(r"def affine_forward.*?return out, cache\n", text, re.S)
    assert body is not None
    untouched = "def affine_forward(x, w, b):\n    out = None\n    cache = (x, w, b)\n    return out, cache\n"
    files["cs231n/layers.py"] = text.replace(body.group(0), untouched).replace(
        "    dx = dout * (x > 0)\n    return dx", "    dx = None\n    return dx"
    )
    parts = {part.part: part.verdict for part in mutation.run(files)}
    assert parts["affine_forward"] == "missing"
    assert parts["relu_backward"] == "missing"
    assert parts["relu_forward"] == "right"
    assert "wrong" not in parts.values()


def test_half_of_the_regularisation_is_a_convention_that_the_gradient_keeps_to():
    files = mutation.read("cs231n")
    name = "cs231n/linear_losses.py"
    files[name] = files[name].replace("loss / len(X) + reg *", "loss / len(X) + 0.5 * reg *")
    wrong = {part.part: [bug.id for bug in part.bugs] for part in mutation.run(files) if part.verdict == "wrong"}
    assert wrong == {"svm_loss_naive, gradient": ["regularisation-wrong"]}


def test_columns_as_samples_and_means_are_a_convention():
    files = mutation.read("pairs")
    files["network.py"] = files["network.py"].replace("/ m", "/ 1")
    assert not [part for part in mutation.run(files) if part.verdict == "wrong"]

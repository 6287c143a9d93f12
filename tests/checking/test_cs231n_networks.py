"""CS231n's networks: right ones are right, broken ones are named, starters are missing."""

import random

import pytest
from tests.checking import mutation
from tests.checking.mutations_cs231n_networks import DEEP, NET, OLD, TWO

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def files() -> dict[str, str]:
    """The networks with the layers that they are made of."""
    layers = mutation.read("cs231n")["cs231n/layers.py"]
    return {"cs231n/layers.py": layers, **mutation.read("cs231n-networks")}


def of(name: str) -> dict[str, str]:
    return mutation.read("cs231n-2017") if name == "old" else files()


def networks(found):
    """The parts of the networks, not those of the layers."""
    return [part for part in found if "Net" in part.part]


OPEN = {"FullyConnectedNet with layernorm.loss(X, y)", "FullyConnectedNet with dropout.loss(X, y)"}
ALL = [("new", one) for one in TWO + DEEP] + [("old", one) for one in OLD]


@pytest.mark.parametrize("name", ["new", "old"])
def test_the_right_networks_are_right(name):
    parts = networks(mutation.run(of(name)))
    assert len(parts) == (12 if name == "new" else 3)
    odd = {part.part: (part.verdict, part.bugs, part.notes) for part in parts if part.verdict != "right"}
    assert set(odd) == (OPEN if name == "new" else set())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["new", "old"])
def test_they_are_right_whatever_is_drawn(name):
    for seed in range(1, 9):
        parts = networks(mutation.run(of(name), seed=seed))
        assert {part.part: (seed, part.bugs) for part in parts if part.verdict not in ("right", "not judged")} == {}


def named(name: str, each) -> set[str]:
    changed = mutation.mutate(of(name), [each])
    assert changed is not None, each.name
    return {bug.id for part in networks(mutation.run(changed)) for bug in part.bugs}


@pytest.mark.parametrize(("name", "each"), random.Random(1).sample(ALL, 2), ids=lambda one: getattr(one, "name", one))
def test_a_mutant_is_named(name, each):
    assert named(name, each) & set(each.ids)


@pytest.mark.slow
def test_all_mutants():
    found = {each.name: (named(name, each), each.ids) for name, each in ALL}
    assert {key: value for key, value in found.items() if not value[0] & set(value[1])} == {}


def test_the_whole_penalty_is_a_convention_that_the_gradients_keep_to():
    changed = of("new")
    changed[NET] = changed[NET].replace("0.5 * self.reg * (", "self.reg * (")
    wrong = {part.part: {bug.id for bug in part.bugs} for part in networks(mutation.run(changed)) if part.bugs}
    assert wrong == {"TwoLayerNet.loss(X, y), gradient": {"regularisation-wrong"}}


STARTER = """
import numpy as np


class TwoLayerNet:
    def __init__(self, input_dim=3072, hidden_dim=100, num_classes=10, weight_scale=1e-3, reg=0.0):
        self.params = {}
        self.reg = reg

    def loss(self, X, y=None):
        scores = None
        if y is None:
            return scores
        loss, grads = 0, {}
        return loss, grads
"""


def test_an_untouched_network_is_missing():
    verdicts = {part.part: part.verdict for part in mutation.run({"fc_net.py": STARTER})}
    assert set(verdicts.values()) == {"missing"}
    assert len(verdicts) == 3

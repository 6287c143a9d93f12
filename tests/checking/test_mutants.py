"""Our own right hand-ins are right; broken in one place or two, they are wrong and the bug has its name."""

import random

import pytest
from tests.checking import mutation
from tests.checking.mutations_cmu import CMU_2019
from tests.checking.mutations_cmu_2022 import MUTATIONS as CMU_2022
from tests.checking.mutations_cs231n import CS231N
from tests.checking.mutations_cs231n import PAIRS as CACHED_PAIRS
from tests.checking.mutations_other import CMU_2020, FUNCTION_MUTATIONS, LAYER, UVA_NORM
from tests.checking.mutations_uva import UVA_2020, UVA_2021, UVA_APR19, UVA_NOV19

HANDINS = {
    "cmu-2019": CMU_2019,
    "cmu-2020": CMU_2020,
    "uva-apr19": UVA_APR19,
    "uva-nov19": UVA_NOV19,
    "uva-2020": UVA_2020,
    "uva-2021": UVA_2021,
    "layer": LAYER,
    "function": FUNCTION_MUTATIONS,
}
#: Those whose single mutations have tests of their own have pairs here too.
PAIRED = {**HANDINS, "cmu-2022": CMU_2022, "cs231n": CS231N, "pairs": CACHED_PAIRS}
#: What the default tests take of each; the slow ones take all.
FEW = {
    name: random.Random(name).sample(list(mutations), min(8 if name == "cmu-2019" else 4, len(mutations)))
    for name, mutations in HANDINS.items()
}

pytestmark = [
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::SyntaxWarning"),
]


def names(parts) -> set[str]:
    return {bug.id for part in parts for bug in part.bugs}


#: Forward passes that no reference knows: their backward is judged by them as they are.
OPEN = {"Swish.forward", "CumulativeSum.forward", "SquaredErrorLoss.forward", "HandLinear.forward"}


def fine(part) -> bool:
    return part.verdict == ("not judged" if part.part in OPEN else "right")


@pytest.mark.parametrize("name", HANDINS)
def test_the_right_hand_in_is_right(name):
    parts = mutation.run(mutation.read(name))
    assert parts
    assert {part.part: (part.verdict, part.reason, part.bugs) for part in parts if not fine(part)} == {}
    assert not [part.notes for part in parts if part.notes]


@pytest.mark.slow
@pytest.mark.parametrize("name", HANDINS)
def test_the_right_hand_in_is_right_whatever_is_drawn(name):
    files = mutation.read(name)
    for seed in range(1, 25):
        parts = mutation.run(files, seed=seed)
        assert {part.part: (seed, part.verdict, part.reason, part.bugs) for part in parts if not fine(part)} == {}


def test_the_right_normalisations_are_right():
    torch = pytest.importorskip("torch")
    for name in ("uva-norm", "torch-function"):
        parts = mutation.run(mutation.read(name), torch)
        assert {part.part: (part.verdict, part.bugs) for part in parts if not fine(part)} == {}


@pytest.mark.parametrize("each", [one for mutations in HANDINS.values() for one in mutations], ids=lambda one: one.name)
def test_each_mutation_touches_its_hand_in(each):
    """Else it would be a mutation of nothing."""
    owners = [name for name, mutations in HANDINS.items() if each in mutations]
    assert all(mutation.mutate(mutation.read(name), [each]) for name in owners)
    assert each.old != each.new


@pytest.mark.parametrize(("name", "each"), [(name, one) for name, few in FEW.items() for one in few])
def test_a_mutant_is_named(name, each):
    changed = mutation.mutate(mutation.read(name), [each])
    assert changed is not None
    found = names(mutation.run(changed))
    assert found & set(each.ids), f"{each.name}: {found}"


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", HANDINS)
def test_all_mutants(name):
    files = mutation.read(name)
    missed = {}
    undetected = []
    for each in HANDINS[name]:
        changed = mutation.mutate(files, [each])
        assert changed is not None
        found = names(mutation.run(changed))
        if not found:
            undetected.append(each.name)
        if not found & set(each.ids):
            missed[each.name] = found
    assert undetected == []
    assert len(missed) <= 0.05 * len(HANDINS[name]), missed


@pytest.mark.exhaustive
def test_all_normalisation_mutants():
    torch = pytest.importorskip("torch")
    files = mutation.read("uva-norm")
    for each in UVA_NORM:
        changed = mutation.mutate(files, [each])
        assert changed is not None
        assert names(mutation.run(changed, torch)) & set(each.ids), each.name


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", PAIRED)
def test_pairs_of_mutations_are_both_named(name):
    files = mutation.read(name)
    pairs = list(mutation.pairs(PAIRED[name]))
    both = count = 0
    for first, second in random.Random(7).sample(pairs, min(20, len(pairs))):
        changed = mutation.mutate(files, (first, second))
        if changed is None:
            continue
        found = names(mutation.run(changed))
        assert found, (first.name, second.name)
        count += 1
        both += bool(found & set(first.ids)) and bool(found & set(second.ids))
    assert both >= 0.75 * count

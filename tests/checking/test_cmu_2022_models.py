"""CMU's models from 2022 on: right ones are right in both styles of layers, broken ones are named."""

import random

import pytest
from tests.checking import mutation
from tests.checking.mutations_cmu_2022_models import MODELS, MUTATIONS

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def files() -> dict[str, str]:
    """The models with the layers that they are made of."""
    return {**mutation.read("cmu-2022"), **mutation.read("cmu-2022-models")}


def models(found):
    return [part for part in found if part.part.startswith("MLP")]


def test_the_right_models_are_right():
    parts = models(mutation.run(files()))
    assert [part.part for part in parts] == [f"MLP{n}.{way}" for n in (0, 1, 4) for way in ("forward", "backward")]
    assert {part.part: (part.verdict, part.bugs, part.notes) for part in parts if part.verdict != "right"} == {}
    assert not [part.notes for part in parts if part.notes]


def test_gradients_divided_by_the_batch_size_are_an_edition():
    changed = files()
    linear = "mytorch/nn/linear.py"
    changed[linear] = changed[linear].replace("dLdZ.T @ self.A", "dLdZ.T @ self.A / len(dLdZ)")
    changed[linear] = changed[linear].replace("np.sum(dLdZ, axis=0, keepdims=True).T", "dLdZ.mean(axis=0)[:, None]")
    assert {part.part: part.verdict for part in models(mutation.run(changed)) if part.verdict != "right"} == {}


def test_the_first_edition_need_not_return_the_gradient():
    changed = files()
    changed[MODELS] = changed[MODELS].replace("        return dLdA0", "        return NotImplemented")
    assert {part.part: part.verdict for part in models(mutation.run(changed)) if part.verdict != "right"} == {}


def named(each) -> set[str]:
    changed = mutation.mutate(files(), [each])
    assert changed is not None, each.name
    return {bug.id for part in models(mutation.run(changed)) for bug in part.bugs}


@pytest.mark.parametrize("each", random.Random(1).sample(MUTATIONS, 3), ids=lambda one: one.name)
def test_a_mutant_is_named(each):
    assert named(each) & set(each.ids)


@pytest.mark.slow
def test_all_mutants():
    found = {each.name: (named(each), each.ids) for each in MUTATIONS}
    assert {key: value for key, value in found.items() if not value[0] & set(value[1])} == {}


def test_a_model_with_another_number_of_layers_is_told_so():
    changed = files()
    assert changed[MODELS].count("self.layers = [Linear(2, 3)]") == 1
    changed[MODELS] = changed[MODELS].replace("[Linear(2, 3)]", "[Linear(2, 3), Linear(3, 3)]")
    evidence = {part.part: bug.evidence for part in models(mutation.run(changed)) for bug in part.bugs}
    assert "2 layers with W and b in `layers`, expected 1" in evidence["MLP0.forward"]


def test_models_without_the_layers_cannot_be_judged():
    parts = mutation.run(mutation.read("cmu-2022-models"))
    assert {part.verdict for part in parts} == {"cannot judge"}

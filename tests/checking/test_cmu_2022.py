"""CMU's mytorch from 2022 on: right in any edition, broken ones named."""

import random

import pytest
from tests.checking import mutation
from tests.checking.mutations_cmu_2022 import EDITIONS, MUTATIONS

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def found(files) -> dict[str, list[str]]:
    return {part.part: [bug.id for bug in part.bugs] for part in mutation.run(files) if part.verdict != "right"}


def test_the_right_files_are_right():
    parts = mutation.judge(mutation.HANDINS / "cmu-2022")
    assert len(parts) == 21
    assert {part.part: part.bugs for part in parts if part.verdict != "right"} == {}
    assert not [part.notes for part in parts if part.notes]


@pytest.mark.parametrize("name", EDITIONS)
def test_another_edition_is_right(name):
    files = mutation.read("cmu-2022")
    for file, old, new in EDITIONS[name]:
        assert old in files[file]
        files[file] = files[file].replace(old, new)
    assert found(files) == {}


@pytest.mark.parametrize("each", random.Random(1).sample(MUTATIONS, 4), ids=lambda one: one.name)
def test_a_mutant_is_named(each):
    changed = mutation.mutate(mutation.read("cmu-2022"), [each])
    assert changed is not None
    assert {id for ids in found(changed).values() for id in ids} & set(each.ids)


@pytest.mark.slow
def test_all_mutants():
    files, missed = mutation.read("cmu-2022"), []
    for each in MUTATIONS:
        changed = mutation.mutate(files, [each])
        assert changed is not None, each.name
        ids = {id for ids in found(changed).values() for id in ids}
        if not ids & set(each.ids):
            missed.append((each.name, ids))
    assert missed == []

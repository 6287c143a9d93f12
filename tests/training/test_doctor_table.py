"""The table of the doctor (`python -m benchmarks.doctor`) on newly drawn settings: no false alarms, nothing missed."""

import pytest
from benchmarks.doctor import ARCHITECTURES, WAYS, broken_runs, broken_table, healthy_runs, healthy_table, how_well

pytestmark = [pytest.mark.usefixtures("unchecked")]


@pytest.mark.exhaustive
def test_healthy_runs_of_every_architecture_get_no_alarm():
    rows = list(healthy_runs(10, seed=1))
    assert len(rows) == 10 * len(ARCHITECTURES)
    assert [row["evidence"] for row in rows if row["diagnoses"]] == []


@pytest.mark.exhaustive
def test_every_way_of_breaking_is_named():
    rows = list(broken_runs(1, seed=1))
    assert [row["way"] for row in rows if row["how"] == "missed"] == []
    others = [(row["way"], row["diagnoses"]) for row in rows if row["how"] == "seen"]
    assert len(others) <= 0.05 * len(rows), others


def test_there_are_enough_ways_and_each_is_of_its_own():
    assert len({way.name for way in WAYS}) == len(WAYS) >= 30
    assert {way.architecture for way in WAYS} <= set(ARCHITECTURES)


def test_what_the_words_mean():
    assert how_well([], ("a",)) == "missed"
    assert how_well(["a", "b"], ("a",)) == "first"
    assert how_well(["b", "a"], ("a",)) == "named"
    assert how_well(["b"], ("a",)) == "seen"


def test_the_tables_count():
    row = {"architecture": "mlp, none", "drawn": 1, "accuracy": 0.95, "diagnoses": []}
    table = healthy_table([row, {**row, "drawn": 3, "accuracy": 0.97, "diagnoses": ["units-dead"]}])
    assert table[2:] == ["| mlp, none | 2 | 3 | 0.950 to 0.970 | units-dead (1) |"]
    broken = {"way": "zeros", "architecture": "mlp, none", "expected": ("units-identical",), "how": "first"}
    table = broken_table([broken, {**broken, "how": "missed"}])
    assert table[2:] == ["| zeros | mlp, none | units-identical | 1 |  |  | 1 |", "| all 2 runs | | | 1 | 0 | 0 | 1 |"]

"""Published equations: every verdict is computed, and follows its transcription wherever that goes."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter

import numpy as np
import pytest
from docs import published
from docs.published.claims import CONDITION, HOLDS, SLIP, WRONG, Claim, NotConformable, Point, compare
from docs.published.points import jacobian, one_sided, product, relu

CLAIMS = {claim.id: claim for claim in published.CLAIMS}
FIRST = {result.id: result for result in published.evaluate()}
OTHER = [id for id, result in FIRST.items() if result.verdict != HOLDS]
SOUND = [id for id, result in FIRST.items() if result.verdict == HOLDS]
COUNTS = {  # holds, with a condition, typing slip, wrong
    "UvA report A, April 2019": (33, 9, 10, 5),
    "UvA report, November 2019": (24, 0, 4, 2),
    "UvA report, 2020": (51, 2, 16, 12),
    "CMU 11-785 Fall 2019, homework 1 handout": (48, 7, 1, 3),
    "UvA report B, April 2019": (18, 1, 1, 11),
}


def test_at_least_ninety_results_each_with_document_place_and_equation():
    assert len(published.CLAIMS) == len(FIRST) >= 90
    for result in FIRST.values():
        assert result.id
        assert result.document
        assert result.place
        assert result.statement.strip()
        assert len(result.explanation) > 10
        assert result.verdict in published.VERDICTS
        for tex in filter(None, (result.statement, result.correction)):
            assert tex.count("{") == tex.count("}"), result.id
    places = Counter((result.document, result.place) for result in FIRST.values())
    assert not [place for place, count in places.items() if count > 1]


def test_verdict_counts_of_each_document():
    counted = published.summary(FIRST.values())
    assert {document: tuple(counts.values()) for document, counts in counted.items()} == COUNTS


@pytest.mark.parametrize("id", OTHER)
def test_the_right_form_flips_the_verdict_to_holds(id):
    claim = CLAIMS[id]
    assert claim.right_form is not None
    flipped = published.judge(dataclasses.replace(claim, as_written=claim.right_form))
    assert flipped.verdict == HOLDS
    assert flipped.counterexample is None
    assert flipped.condition is None
    assert flipped.correction is None


def broken(side, change):
    def changed(point):
        value = side(point)
        if isinstance(value, dict):
            return {name: change(np.asarray(part, dtype=float)) for name, part in value.items()}
        return change(np.asarray(value, dtype=float))

    return changed


CHANGES = {
    "sign": lambda value: np.where(value == 0, 0.5, -value),
    "factor": lambda value: np.where(np.abs(value) < 1e-6, 0.25, 1.25 * value),
    "shape": lambda value: value[None],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("id", SOUND)
def test_a_broken_transcription_no_longer_holds(id, change):
    claim = CLAIMS[id]
    with pytest.raises(published.Unsettled, match="no other form"):
        published.judge(dataclasses.replace(claim, as_written=broken(claim.as_written, change)))
    repaired = dataclasses.replace(claim, as_written=broken(claim.as_written, change), corrected=claim.as_written)
    assert published.judge(repaired).verdict == WRONG


@pytest.mark.parametrize("id", OTHER)
def test_a_right_form_that_does_not_hold_is_caught(id):
    claim = CLAIMS[id]
    name = next(name for name in ("general", "corrected") if getattr(claim, name))
    wrong = broken(getattr(claim, name), lambda value: np.where(value == 0, 0.5, -1.25 * value))
    with pytest.raises(published.Unsettled, match=r"in its right form|is neither rounding"):
        published.judge(dataclasses.replace(claim, **{name: wrong}))


@pytest.mark.parametrize("id", [id for id in OTHER if FIRST[id].verdict == CONDITION])
def test_a_condition_is_needed_and_does_what_it_says(id):
    claim = CLAIMS[id]
    assert (claim.under is None) != (claim.among is None)
    without = {"under": lambda point: point} if claim.under else {"among": None}
    with pytest.raises(published.Unsettled, match="under its condition"):
        published.judge(dataclasses.replace(claim, **without))


def test_each_claim_declares_one_kind_of_right_form():
    for claim in published.CLAIMS:
        given = [form for form in (claim.general, claim.corrected) if form is not None]
        assert len(given) == (FIRST[claim.id].verdict != HOLDS), claim.id
        assert (claim.correction is None) == (not given), claim.id


@pytest.mark.parametrize("seed", range(1, 6))
def test_verdicts_do_not_depend_on_the_points(seed):
    again = published.evaluate(seed)
    assert [(r.id, r.verdict) for r in again] == [(r.id, r.verdict) for r in FIRST.values()]


def test_same_seed_same_numbers():
    assert published.evaluate(3) == published.evaluate(3)


def test_results_are_plain_data():
    for result in FIRST.values():
        assert json.loads(json.dumps(result.to_dict(), allow_nan=False)) == result.to_dict()


def test_what_fails_has_a_counterexample_in_numbers_and_an_error():
    for result in FIRST.values():
        if result.verdict == HOLDS:
            assert result.counterexample is None
            assert result.error_as_written is not None
            assert result.error_as_written < 1e-8
            assert result.error_corrected is None
        else:
            assert result.error_corrected is not None
            assert result.error_corrected < 1e-8
            assert result.error_as_written is None or result.error_as_written > 1e-3
            assert result.counterexample
            assert any(isinstance(value, (float, list)) for value in result.counterexample.values())


def test_the_examples_of_the_project_are_found():
    assert FIRST["uva_2020-15"].verdict == WRONG  # a loss gradient that lost its sign
    assert FIRST["uva-apr19-b-18"].verdict == WRONG  # a bias Jacobian written as all ones
    assert FIRST["uva-nov19-1.1a-ii-line-7"].verdict == SLIP  # a softmax Jacobian indexed two ways
    assert FIRST["uva_apr19_a-1.1b-i-vector"].condition == "targets that sum to one"
    assert FIRST["uva_apr19_a-1.1b-v"].verdict == HOLDS  # for one sample, which the question is about


def test_a_slip_names_the_line_that_has_it_right_and_nothing_that_repeats_it():
    repeated = {(claim.document, claim.again) for claim in published.CLAIMS if claim.again}
    for claim in published.CLAIMS:
        result = FIRST[claim.id]
        assert (result.verdict == SLIP) == (claim.right_at is not None), claim.id
        assert claim.again is None or result.verdict == WRONG, claim.id
        assert (result.reason is None) == (result.verdict not in (SLIP, WRONG)), claim.id
        if result.verdict == SLIP:
            assert (claim.document, claim.place) not in repeated, claim.id
            assert claim.right_at in result.reason


def test_where_a_fault_stands_again_is_a_place_that_is_judged():
    places = {(result.document, result.place): result.verdict for result in FIRST.values()}
    again = {claim.id: places[claim.document, claim.again] for claim in published.CLAIMS if claim.again}
    # (b) iv takes the wrong derivative and arrives at the right product all the same.
    assert {id for id, verdict in again.items() if verdict != WRONG} == {"uva_apr19_a-1.1a-v-batch-of-one"}
    assert places["UvA report A, April 2019", "Question 1.1 (b) iv"] == HOLDS


def test_the_number_of_samples_is_no_condition():
    assert not [result.id for result in FIRST.values() if result.condition and "batch" in result.condition]


def test_the_same_fault_has_the_same_verdict():
    assert FIRST["uva_apr19_a-1.1a-i-matrix"].verdict == SLIP  # a sign that the next line has
    for id in ("uva_2020-linear-b-6", "uva_apr19_a-1.1b-i-product", "uva_apr19_a-1.1b-ii-vector"):
        assert FIRST[id].verdict == SLIP  # a transpose that the line before it has
    for pair in (
        ("uva-nov19-1.1b-iii-scalar", "uva-nov19-1.1b-iii-vector"),
        ("uva_2020-term-sigma-x-4", "uva_2020-overview-6"),
        ("uva-apr19-b-20", "uva-apr19-b-1.1c-hidden"),
    ):
        assert [FIRST[id].verdict for id in pair] == [WRONG, WRONG]


def test_a_claim_is_right_beside_it_or_repeated_but_not_both():
    both = claim_of(as_written=lambda p: p.x, corrected=lambda p: 2 * p.x, right_at="line 1", again="line 2")
    with pytest.raises(published.Unsettled, match="right_at='line 1' and again='line 2': expected one of them"):
        published.judge(both)


def test_what_is_left_out_is_said_for_every_document():
    assert list(published.LEFT_OUT) == list(COUNTS)
    places = {(result.document, result.place) for result in FIRST.values()}
    for document, left in published.LEFT_OUT.items():
        assert left
        for what, why in left:
            assert (document, what) not in places
            assert why.endswith(".")
            assert len(why) > 10


def test_handout_equations_1_to_35_are_there():
    numbered = {f"cmu-{n}" for n in range(1, 36)} - {"cmu-28"}  # (28) numbers an empty line
    assert numbered <= set(FIRST)


# --- the machinery


def claim_of(**other):
    fields = {
        "document": "d",
        "id": "i",
        "place": "p",
        "statement": "s",
        "explanation": "e",
        "draw": lambda rng: Point(x=rng.uniform(1, 2)),
        "left": lambda p: 2 * p.x,
    }
    return Claim(**{**fields, **other})  # pyright: ignore[reportArgumentType]


def test_an_error_between_rounding_and_a_clear_difference_is_not_decided():
    with pytest.raises(published.Unsettled, match="neither rounding nor a clear difference"):
        published.judge(claim_of(as_written=lambda p: 2 * p.x * (1 + 1e-5), corrected=lambda p: 2 * p.x))


def test_condition_and_general_form_go_together():
    with pytest.raises(published.Unsettled, match="give `condition` and `general` together"):
        published.judge(claim_of(as_written=lambda p: p.x, condition="x is zero", corrected=lambda p: 2 * p.x))


def test_undefined_equals_only_undefined():
    nan = math.nan
    assert compare(np.array([1, nan]), np.array([1, nan])).error == 0
    assert compare(np.array([1, nan]), np.array([1, 0.0])).error == math.inf


def test_a_mask_that_selects_nothing_agrees_with_nothing():
    assert compare(np.ones(2), np.ones(2), np.zeros(2, dtype=bool)).error == math.inf


def test_products_that_cannot_be_formed_say_so():
    with pytest.raises(NotConformable, match=r"shapes \(2, 3\) and \(2, 3\) do not fit"):
        product(np.ones((2, 3)), np.ones((2, 3)))


def test_derivatives_by_hand():
    np.testing.assert_allclose(jacobian(lambda x: np.array([x[0] * x[1], x[1] ** 2]), [2.0, 3.0]), [[3, 2], [0, 6]])
    slopes = one_sided(relu, np.array([-1.0, 0.0, 1.0]))
    np.testing.assert_allclose(slopes, [[0, 0, 0], [0, np.nan, 0], [0, 0, 1]], atol=1e-9)

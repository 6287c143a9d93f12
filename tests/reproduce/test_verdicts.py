"""The rules, at and beside their edges."""

import math

import pytest

from handgrad.reproduce.verdicts import allowance, judge_entry, judge_goal, judge_statement, judge_value

NAN = math.nan


@pytest.mark.parametrize(
    ("published", "ours", "verdict"),
    [
        (0.50, [0.50, 0.50], "reproduced"),
        (0.50, [0.51, 0.51], "reproduced"),  # at the least allowance
        (0.50, [0.49, 0.49], "reproduced"),
        (0.50, [0.5102, 0.5102], "above"),
        (0.50, [0.4898, 0.4898], "below"),
        (0.50, [0.49, 0.55], "reproduced"),  # a wide spread allows more
        (0.50, [0.60, NAN], "below"),  # it diverged
        (0.50, [0.52], "reproduced"),  # one run: a spread of 0.01 is assumed, so 0.028 is allowed
        (0.50, [0.53], "above"),
    ],
)
def test_an_accuracy(published, ours, verdict):
    assert judge_value(published, ours, "last test_accuracy") == verdict


def test_a_loss_has_its_own_scale_and_diverges_upwards():
    assert judge_value(1.50, [1.55, 1.55], "last test_loss") == "reproduced"
    assert judge_value(1.50, [1.551, 1.551], "last test_loss") == "above"
    assert judge_value(1.50, [NAN], "last test_loss") == "above"


def test_a_text_is_the_same_or_not():
    assert judge_value("sgd", ["sgd"], "setting optimizer") == "reproduced"
    assert judge_value("sgd", ["adam"], "setting optimizer") == "contradicted"


def test_the_allowance_is_that_of_one_run_beside_the_mean_of_several():
    values = [0.46, 0.48, 0.50]  # standard deviation 0.02
    assert allowance(0.5, values, "last test_accuracy") == pytest.approx(2 * 0.02 * math.sqrt(4 / 3))
    of_batch = 0.5 * 0.5 / 200
    expected = 2 * math.sqrt(0.02**2 * 4 / 3 + of_batch)
    assert allowance(0.5, values, "last train_accuracy", 200) == pytest.approx(expected)
    assert allowance(2.0, [2.0, 2.0], "last train_loss", 100) == pytest.approx(2 * 2.0 / 10)
    assert allowance(1.0, [1.0, 1.0], "best train_accuracy", 32) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ([0.1, 0.11, 0.12], "reproduced"),
        ([-0.1, -0.11, -0.12], "contradicted"),
        ([0.1, -0.1], "undecided"),
        ([0.1], "undecided"),
        ([], "undecided"),
        ([0.0, 0.0], "undecided"),
        ([0.1, 0.1, NAN], "undecided"),
        ([0.0, 0.2], "undecided"),  # mean 0.1, standard error 0.1
        ([1 - 1 / 6.30, 1 + 1 / 6.30], "undecided"),  # of two, the mean has to be 6.314 standard errors
        ([1 - 1 / 6.33, 1 + 1 / 6.33], "reproduced"),
        ([-1 - 1 / 6.33, -1 + 1 / 6.33], "contradicted"),
        (
            [1.0, 1 - 3**0.5 / 2.91, 1 + 3**0.5 / 2.91],
            "undecided",
        ),  # of three 2.920; their standard deviation is the last term
        ([1.0, 1 - 3**0.5 / 2.93, 1 + 3**0.5 / 2.93], "reproduced"),
        ([-0.9] * 10 + [1.0] * 10, "undecided"),
        ([0.0] * 6 + [1.0] * 14, "reproduced"),
    ],
)
def test_a_statement(differences, verdict):
    assert judge_statement(differences) == verdict


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [([0.01, -0.005], "reached"), ([0.0], "reached"), ([0.005, -0.01], "missed"), ([0.01, NAN], "missed")],
)
def test_a_goal_is_reached_by_the_mean(differences, verdict):
    assert judge_goal(differences) == verdict


@pytest.mark.parametrize(
    ("values", "statements", "verdict"),
    [
        ([("reproduced", 0.001)], [], "reproduced"),
        ([("reproduced", 0.0), ("above", 0.03)], [], "above"),
        ([("above", 0.03), ("below", -0.05)], [], "below"),
        ([("below", NAN)], [], "below"),
        ([("reproduced", 0.0)], ["undecided"], "undecided"),
        ([("reproduced", 0.0)], ["undecided", "contradicted"], "contradicted"),
        ([("above", 0.1)], ["reproduced"], "above"),
        ([], ["reproduced", "reproduced"], "reproduced"),
        ([("contradicted", NAN)], [], "contradicted"),
        ([], ["reached", "reached"], "reached"),
        ([], ["reached", "missed"], "missed"),
    ],
)
def test_an_entry(values, statements, verdict):
    assert judge_entry(values, statements, full=True) == verdict
    assert judge_entry(values, statements, full=False) == "indicative"

"""The doctor's figures show the numbers they are given."""

import math

import numpy as np
import pytest

from handgrad.figures import layers, range_test

RATES = [1e-3, 1e-2, 1e-1, 1.0]


def test_the_range_test_draws_every_rate():
    figure = range_test(RATES, [2.3, 1.0, 0.5, math.inf], own=1e-3, named=0.03, chance=2.3, steps=100, title="mine")
    (axes,) = figure.axes
    curve, crosses = (line for line in axes.get_lines() if line.get_marker() in ("o", "x"))
    np.testing.assert_allclose(curve.get_xydata(), [[1e-3, 2.3], [1e-2, 1.0], [1e-1, 0.5]])
    np.testing.assert_allclose(crosses.get_xdata(), [1.0])
    assert crosses.get_ydata()[0] > 2.3
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["diverged, or off the scale", "as set: 0.001", "recommended: 0.03"]
    assert axes.get_xscale() == "log"
    assert "after 100 steps" in axes.get_ylabel()


def test_where_every_rate_diverges_there_is_no_curve_and_no_recommendation():
    (axes,) = range_test(RATES, [math.inf] * 4, own=1e-3, named=None, chance=2.3, steps=100).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "diverged, or off the scale",
        "as set: 0.001",
    ]


LOOKS = [
    {"name": "0", "kind": "linear", "spread": 0.5, "weight_size": 0.1, "weight_gradient": 0.02},
    {"name": "1", "kind": "sigmoid", "spread": 0.1, "units": 8, "dead": 2, "saturated": 0.5},
    {"name": "2", "kind": "linear", "spread": math.nan, "weight_size": 0.2, "weight_gradient": 0.01},
]


def test_the_layers_are_drawn_in_order():
    updates = [{"step": 1, "0.weight": 0.1, "2.weight": math.inf}, {"step": 10, "0.weight": 0.01, "2.weight": 0.02}]
    signal, gradient, units, moves = layers(LOOKS, updates, title="mine").axes
    np.testing.assert_allclose(signal.get_lines()[0].get_xydata(), [[0, 0.5], [1, 0.1]])
    np.testing.assert_allclose(gradient.get_lines()[0].get_ydata(), [0.2, 0.05])
    assert [label.get_text() for label in signal.get_xticklabels()] == ["0 linear", "1 sigmoid", "2 linear"]
    assert [patch.get_height() for patch in units.patches] == [25, 50]
    drawn = {line.get_label(): line.get_xydata().tolist() for line in moves.get_lines()}
    assert drawn["0.weight"] == [[1, 0.1], [10, 0.01]]
    assert drawn["2.weight"] == [[10, 0.02]]


def test_many_weights_name_the_first_and_the_last_only():
    updates = [{"step": 1, **{f"{i}.weight": 0.01 for i in range(20)}}]
    *_, moves = layers(LOOKS, updates).axes
    assert [text.get_text() for text in moves.get_legend().get_texts()] == ["0.weight", "19.weight"]


@pytest.mark.parametrize("looks", [[], LOOKS[:1], [{"name": "0", "kind": "linear"}]])
def test_little_to_draw_is_no_error(looks, tmp_path):
    layers(looks).savefig(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 0


def test_where_no_unit_is_dead_it_says_none():
    looks = [{"name": "1", "kind": "relu", "units": 8, "dead": 0}]
    _, _, units, _ = layers(looks).axes
    assert [text.get_text() for text in units.texts] == ["none"]

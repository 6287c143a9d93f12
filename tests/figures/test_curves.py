"""The curves show the values of the records."""

import numpy as np

from handgrad.figures import curves

RECORDS = [
    {
        "step": step,
        **{f"train_{q}": v for q, v in (("accuracy", 0.5 + step / 100), ("loss", 1 / step))},
        **{f"validation_{q}": None for q in ("accuracy", "loss")},
        **{f"test_{q}": v for q, v in (("accuracy", 0.4 + step / 100), ("loss", 2 / step))},
    }
    for step in (10, 20, 30)
]


def lines(axes):
    return {line.get_label(): line.get_xydata().tolist() for line in axes.get_lines() if len(line.get_xydata()) > 1}


def test_each_split_is_a_line_of_its_figures():
    accuracy, loss = curves(RECORDS, title="mine").axes
    assert lines(accuracy).keys() == lines(loss).keys() == {"train", "test"}
    np.testing.assert_allclose(lines(accuracy)["test"], [[10, 0.5], [20, 0.6], [30, 0.7]])
    np.testing.assert_allclose(lines(loss)["train"], [[10, 0.1], [20, 0.05], [30, 1 / 30]])


def test_the_last_test_accuracy_is_written_out_and_the_title_stands_above():
    figure = curves(RECORDS, title="mine")
    assert [text.get_text() for text in figure.axes[0].texts] == ["0.7000"]
    assert figure.get_suptitle() == "mine"


def test_one_evaluation_is_a_dot_and_none_is_an_empty_figure():
    (line,) = [line for line in curves(RECORDS[:1]).axes[1].get_lines() if line.get_label() == "test"]
    assert line.get_marker() == "o"
    assert not curves([]).axes[0].get_lines()

"""The curves of several cases."""

import pytest

from handgrad.figures import cases_over_steps


def _curves(names):
    record = {"step": 100, "test_accuracy": 0.5, "test_loss": 1.0, "train_accuracy": 0.4, "train_loss": 1.2}
    return {name: [[{**record, "step": step} for step in (100, 200)]] for name in names}


@pytest.mark.parametrize("length", [3, 35, 80])
def test_the_legend_fits_into_the_figure(length):
    figure = cases_over_steps(_curves(f"{k:02d}" + "e" * (length - 2) for k in range(16)))
    figure.canvas.draw()
    (legend,) = figure.legends
    box, whole = legend.get_window_extent(), figure.bbox
    assert len(legend.get_texts()) == 16
    if length < 80:  # longer than the figure is wide
        assert box.x0 >= whole.x0
        assert box.x1 <= whole.x1
    assert all(axes.get_window_extent().height > 0.3 * 3.4 * figure.dpi for axes in figure.axes)

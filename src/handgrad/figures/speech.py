"""A spectrogram with phones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from handgrad._typing import Array, Float
from handgrad.figures.drawing import drawn

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Inches per second of speech, and the maximum width of the figure.
_INCHES_PER_SECOND = 5.0
_MIN_WIDTH, _MAX_WIDTH = 6.0, 60.0


@drawn
def labelled_spectrogram(
    features: Float[Array, "T F"],
    phones: Sequence[tuple[float, float, str]],
    *,
    frames_per_second: float = 100.0,
    first: float = 0.0,
    title: str = "",
) -> Figure:
    """Log-mel energies over time, with a line at the end of each phone and its name above.

    Arguments:
        features: log-mel energies (T, F).
        phones: start and end in seconds, and name.
        frames_per_second: of the features.
        first: start of the time interval of frame 0, in seconds.
        title: above.

    Returns: a figure whose width depends on the length of the recording.
    """
    from matplotlib.figure import Figure

    seconds = len(features) / frames_per_second
    width = min(max(_MIN_WIDTH, 1.2 + _INCHES_PER_SECOND * seconds), _MAX_WIDTH)
    figure = Figure(figsize=(width, 4.2), layout="constrained")
    axes = figure.subplots()
    low, high = np.percentile(features, (5, 99.5)) if features.size else (0.0, 1.0)
    axes.imshow(
        features.T,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        cmap="magma",
        vmin=low,
        vmax=max(high, low + 1e-6),
        extent=(first, first + seconds, -0.5, features.shape[1] - 0.5),
    )
    axes.set_xlim(0, first + seconds)
    for i, (start, end, name) in enumerate(phones):
        if i:
            axes.axvline(start, color="white", linewidth=0.8)
        height = 1.02 if i % 2 else 1.075  # labels of adjacent 30 ms phones would overlap
        axes.text(
            (start + end) / 2, height, name, transform=axes.get_xaxis_transform(), ha="center", va="bottom", fontsize=8
        )
    axes.set_xlabel("time in seconds")
    axes.set_ylabel("mel band")
    axes.set_title(title, pad=30)
    return figure

"""Drawing with fixed matplotlib settings, independent of the environment."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ParamSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure

P = ParamSpec("P")

#: The colour of text and axes, which a page with the SVG can replace by its own.
FOREGROUND = "#1a1b1e"

#: Okabe and Ito's colour-blind-safe palette.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#8c6d1f", "#888888")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "p", "d")


@contextlib.contextmanager
def own_settings() -> Iterator[None]:
    """A context with matplotlib's defaults, independent of style files, `MPLBACKEND` or the running program.

    `text.usetex` requires LaTeX and a notebook backend requires its package, but a figure in a file needs neither.
    """
    matplotlib = _import()
    defaults: dict[Any, Any] = {
        name: value for name, value in matplotlib.rcParamsDefault.items() if not name.startswith("backend")
    }
    with matplotlib.rc_context(defaults):
        yield


def _import():
    """matplotlib, imported without the environment's backend and style file if it cannot be imported with them."""
    try:
        import matplotlib
    except (ValueError, OSError):
        for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
            del sys.modules[name]  # half imported
        spec = importlib.util.find_spec("matplotlib")
        assert spec is not None
        assert spec.origin is not None
        before = {name: os.environ.pop(name, None) for name in ("MPLBACKEND", "MATPLOTLIBRC")}
        os.environ["MATPLOTLIBRC"] = str(Path(spec.origin).parent / "mpl-data" / "matplotlibrc")
        try:
            return importlib.import_module("matplotlib")
        finally:
            del os.environ["MATPLOTLIBRC"]
            os.environ.update({name: value for name, value in before.items() if value is not None})
    return matplotlib


def drawn(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Wraps a function to draw with fixed settings."""

    @functools.wraps(draw)
    def with_own_settings(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with own_settings():
            return draw(*args, **kwargs)

    return with_own_settings


def in_our_colors(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """The function, drawing with our own settings and `FOREGROUND` for all text and axes."""

    @drawn
    @functools.wraps(draw)
    def with_them(*args: P.args, **kwargs: P.kwargs) -> Figure:
        import matplotlib

        names = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
        with matplotlib.rc_context(dict.fromkeys(names, FOREGROUND)):
            return draw(*args, **kwargs)

    return with_them


def save_png(figure: Figure, target: str | Path | IO[bytes], dpi: int = 150) -> None:
    """Writes a figure as PNG, on a canvas without a backend."""
    with own_settings():
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        FigureCanvasAgg(figure)  # becomes the figure's canvas
        figure.savefig(target, format="png", dpi=dpi)


def save_svg(figure: Figure, target: str | Path | IO[bytes], salt: str = "handgrad") -> None:
    """Writes a figure as SVG without a background; text is converted to paths, so that it looks the same everywhere.

    Arguments:
        salt: determines the ids of its elements; figures on the same page need different salts.
    """
    with own_settings():
        import matplotlib
        from matplotlib.backends.backend_svg import FigureCanvasSVG

        FigureCanvasSVG(figure)
        with matplotlib.rc_context({"svg.hashsalt": salt}):
            figure.savefig(target, format="svg", transparent=True, metadata={"Date": None, "Creator": None})

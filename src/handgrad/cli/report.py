"""`handgrad report`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from handgrad.cli.common import default_text, new_app
from handgrad.errors import ConfigError

app = new_app(
    "report",
    "Write one HTML page about runs and studies.",
    """
    handgrad report runs/digits
    handgrad report runs/digits runs/digits-2 --out compared.html
    handgrad report runs/digits --format latex --figures figures
    """,
    "The page shows curves, mistakes, calibration and what happens inside the network, and says whether one "
    "configuration is better than another. It needs no other file and no network. Runs that differ only in their seeds "
    "are one configuration.",
)


@app.default
def report(
    *runs: Annotated[Path, Parameter(help="run folders and study folders")],
    out: Annotated[
        Path | None,
        Parameter(help="file to write", show_default=default_text("report.html; Markdown and LaTeX: stdout")),
    ] = None,
    format: Annotated[
        Literal["html", "markdown", "latex"], Parameter(help="HTML page, or tables for a paper")
    ] = "html",
    figures: Annotated[Path | None, Parameter(help="also write every figure as PNG and SVG to this folder")] = None,
    title: Annotated[str | None, Parameter(help="title of the page")] = None,
    data_dir: Annotated[
        str | None, Parameter(help="folder of the built-in data sets of the runs, if it has moved")
    ] = None,
) -> int:
    from handgrad.reports import make_report
    from handgrad.training.run import write_text

    if out is not None and out.is_dir():
        raise ConfigError(f"out={out} is a folder: expected the name of a file, as {out / 'report.html'}")
    if figures is not None and figures.exists() and not figures.is_dir():
        raise ConfigError(f"figures={figures} is a file: expected a folder")
    progress = _progress if sys.stderr.isatty() else lambda text: None
    made = make_report(runs, data_dir=data_dir, title=title, progress=progress)
    text = {"html": made.to_html, "markdown": made.to_markdown, "latex": made.to_latex}[format]()
    if figures is not None:
        written = made.write_figures(figures)
        print(f"figures: {len(written)} files in {figures}", file=sys.stderr)
    if out is None and format != "html":
        print(text, end="")
    else:
        out = out or Path("report.html")
        write_text(out, text, advice="Free some space or choose another --out")
        print(f"report: {out}")
    for line in made.left_out:
        print(f"left out: {line}", file=sys.stderr)
    return 0


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)

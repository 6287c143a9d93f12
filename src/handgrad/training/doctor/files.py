"""The files of the report: `doctor.json`, `learning-rate.png`, `layers.png`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from handgrad.training.doctor.findings import Report
from handgrad.training.run import write_figure, write_text


def write_report(report: Report, folder: str | Path) -> list[str]:
    """Writes a report to a folder, each file atomically, plots last; plots of an earlier report are removed.

    Arguments:
        report: the report.
        folder: the folder, created if necessary.

    Returns: one line for each plot that could not be drawn.

    Raises:
        RunError: the folder cannot be written to.
    """
    from handgrad import figures

    folder = Path(folder)
    advice = "Free some space or choose another folder with --out"
    write_text(folder / "doctor.json", json.dumps(report.to_dict(), indent=2) + "\n", advice=advice)
    drawn: dict[str, Callable[[], Any]] = {}
    if test := report.series.get("range_test"):
        drawn["learning-rate.png"] = partial(
            figures.range_test,
            test["rates"],
            [loss if math.isfinite(loss) else math.inf for loss in test["losses"]],
            own=test["own_rate"],
            named=test["named_rate"],
            chance=test["chance"],
            steps=test["steps"],
            title=report.subject,
        )
    if look := report.series.get("trained") or report.series.get("start"):
        when = "trained" if "trained" in report.series else "at the first step"
        updates = report.series.get("watched_updates") or report.series.get("updates", [])
        drawn["layers.png"] = partial(figures.layers, look, updates, title=f"{report.subject}, {when}")
    failed = []
    for name in ("learning-rate.png", "layers.png"):
        if name in drawn:
            failed.append(write_figure(folder / name, drawn[name], advice=advice))
        else:
            (folder / name).unlink(missing_ok=True)
    return [line for line in failed if line]

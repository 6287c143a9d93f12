"""The report as files: `doctor.json`, `learning-rate.png`, `layers.png`."""

from __future__ import annotations

import json
import math
from pathlib import Path

from handgrad.training.doctor.findings import Report
from handgrad.training.run import replacing, write_text


def write_report(report: Report, folder: str | Path) -> list[Path]:
    """Writes a report into a folder, each file in one go; figures of an earlier one that do not belong to this one are
    removed.

    Arguments:
        report: what was found.
        folder: made where there is none.

    Returns: the files.

    Raises:
        RunError: the folder cannot be written to.
    """
    from handgrad import figures

    folder = Path(folder)
    written = []
    drawn = {}
    if test := report.series.get("range_test"):
        drawn["learning-rate.png"] = figures.range_test(
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
        drawn["layers.png"] = figures.layers(look, updates, title=f"{report.subject}, {when}")
    for name in ("learning-rate.png", "layers.png"):
        if name in drawn:
            with replacing(folder / name) as temporary:
                drawn[name].savefig(temporary, format="png", dpi=150)
            written.append(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
    write_text(folder / "doctor.json", json.dumps(report.to_dict(), indent=2) + "\n")
    return [folder / "doctor.json", *written]

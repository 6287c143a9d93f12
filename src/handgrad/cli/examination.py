"""Display of a report of the doctor."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from handgrad.training import doctor

STYLES = {doctor.OK: "green", doctor.WARNING: "yellow", doctor.PROBLEM: "bold red", doctor.CANNOT_JUDGE: "dim"}


def print_report(report: doctor.Report, folder: Path | None = None, *, stream: TextIO | None = None) -> None:
    """Prints one line per check, then explanations of the problems and warnings, in the order in which to fix them."""
    console = Console(file=stream or sys.stdout, highlight=False)
    if report.subject:
        console.print(report.subject, style="bold", soft_wrap=True)
    for part, findings in report.parts.items():
        if not findings:
            continue
        console.print(part, style="italic")
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(width=max(map(len, doctor.VERDICTS)) + 2)
        table.add_column(width=max(map(len, doctor.CHECKS)))
        table.add_column()
        for finding in findings:
            verdict = Text(f"  {finding.verdict}", style=STYLES[finding.verdict])
            table.add_row(verdict, finding.check, Text(finding.evidence))
        console.print(table)
    _print_advice(console, report)
    if folder is not None:
        console.print(f"report: {folder}", soft_wrap=True)


def print_watched(watch: doctor.Watch, stream: TextIO) -> None:
    """Prints the findings of a watched run since its first step; earlier ones have already been printed."""
    from handgrad.training.doctor.examine import FIGURES, TRAINED
    from handgrad.training.doctor.watch import TRAINING

    later = {name: part for name, part in watch.report.parts.items() if name in (TRAINING, TRAINED, FIGURES)}
    print_report(doctor.Report("", later), watch.folder, stream=stream)


def _print_advice(console: Console, report: doctor.Report) -> None:
    wrong = [*report.having(doctor.PROBLEM), *report.having(doctor.WARNING)]
    if not wrong:
        console.print("\nThese checks found nothing wrong.", style="green")
        return
    console.print()
    for number, finding in enumerate(wrong, start=1):
        head = Text(f"{number}. ") + Text(finding.diagnosis, style=STYLES[finding.verdict])
        console.print(head)
        console.print(Padding(Text(finding.meaning[:1].upper() + finding.meaning[1:] + "."), (0, 0, 0, 3)))
        for i, change in enumerate(finding.change):
            console.print(
                Padding(Text("change: " if i == 0 else "    or: ") + Text(change, style="bold"), (0, 0, 0, 3))
            )
    if len(wrong) > 1:
        console.print("\nFix the first problem first: it may cause the others.")

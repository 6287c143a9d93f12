"""The doctor, which diagnoses why a network does not learn, with evidence and suggested changes.

`examine(config)` examines a configuration before training, `examine_run(run)` a run, and `Watch` a run in progress.
"""

from handgrad.training.doctor.examine import BUDGET, examine, examine_run
from handgrad.training.doctor.files import write_report
from handgrad.training.doctor.findings import CANNOT_JUDGE, CHECKS, OK, PROBLEM, VERDICTS, WARNING, Finding, Report
from handgrad.training.doctor.watch import Watch

__all__ = [
    "BUDGET",
    "CANNOT_JUDGE",
    "CHECKS",
    "OK",
    "PROBLEM",
    "VERDICTS",
    "WARNING",
    "Finding",
    "Report",
    "Watch",
    "examine",
    "examine_run",
    "write_report",
]

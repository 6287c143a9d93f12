"""The doctor: what is wrong with a network that does not learn, with evidence and what to change.

`examine(config)` looks at a configuration before it is trained, `examine_run(run)` at a run as it is, `Watch` at a run
under way.
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

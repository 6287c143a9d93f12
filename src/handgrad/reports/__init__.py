"""Reports on runs and studies: HTML pages, tables for papers, and figures."""

from handgrad.reports.report import Report, make_report, write_report
from handgrad.reports.significance import Difference, compare, mean_interval, seeds_needed, share_interval

__all__ = [
    "Difference",
    "Report",
    "compare",
    "make_report",
    "mean_interval",
    "seeds_needed",
    "share_interval",
    "write_report",
]

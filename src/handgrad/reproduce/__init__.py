"""Experiments that reproduce the tables, figures and claims of five published documents."""

from handgrad.reproduce.entries import DOCUMENTS, Case, Entry, Printed, Statement, all_entries, chosen_entries
from handgrad.reproduce.pages import read_results, write_index, write_page
from handgrad.reproduce.running import Outcome, Row, Watcher, reproduce

__all__ = [
    "DOCUMENTS",
    "Case",
    "Entry",
    "Outcome",
    "Printed",
    "Row",
    "Statement",
    "Watcher",
    "all_entries",
    "chosen_entries",
    "read_results",
    "reproduce",
    "write_index",
    "write_page",
]

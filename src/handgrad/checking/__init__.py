"""Checks hand-written layers: recognises what they are, runs them in a sandbox, and names each bug.

>>> from handgrad.checking import check
>>> report = check("hw1.py")  # doctest: +SKIP
>>> report.verdict  # doctest: +SKIP
'wrong'
"""

from handgrad.checking.checker import check, contract_names, is_course_file
from handgrad.checking.classroom import as_csv, check_class, frequencies, hand_ins
from handgrad.checking.results import Finding, Part, Report, exit_code
from handgrad.checking.rubric import Rubric, course_points, scores
from handgrad.checking.sandbox import Limits
from handgrad.checking.write_course import new_course

__all__ = [
    "Finding",
    "Limits",
    "Part",
    "Report",
    "Rubric",
    "as_csv",
    "check",
    "check_class",
    "contract_names",
    "course_points",
    "exit_code",
    "frequencies",
    "hand_ins",
    "is_course_file",
    "new_course",
    "scores",
]

"""Suggestions for misspelled names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def near_match(name: str, names: Iterable[str]) -> str:
    """`did you mean batchnorm?`, or an empty string if there is no close match; case is ignored."""
    by_lower = {known.lower(): known for known in names}
    near = difflib.get_close_matches(name.lower(), by_lower, 1, 0.5)
    return f"did you mean {by_lower[near[0]]}?" if near else ""

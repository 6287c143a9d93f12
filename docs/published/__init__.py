"""Published equations: five derivations of 2019 and 2020, evaluated as they were written.

`evaluate()` gives a verdict on each numbered or named result: "holds", "holds with a condition", "typing slip" or
"wrong". Layout and sign conventions are the documents' own. How a verdict comes about: `claims`; what is compared: one
module for each document.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from docs.published import cmu_f19, uva_2020, uva_apr19_a, uva_apr19_b, uva_nov19
from docs.published.claims import VERDICTS, Claim, Result, Unsettled, judge

__all__ = ["CLAIMS", "LEFT_OUT", "VERDICTS", "Claim", "Result", "Unsettled", "evaluate", "judge", "summary"]

CLAIMS: tuple[Claim, ...] = (
    *uva_apr19_a.CLAIMS,
    *uva_nov19.CLAIMS,
    *uva_2020.CLAIMS,
    *cmu_f19.CLAIMS,
    *uva_apr19_b.CLAIMS,
)

#: What of each document is not judged, and why: {document: ((what, why), ...)}.
LEFT_OUT: dict[str, tuple[tuple[str, str], ...]] = {
    module.CLAIMS[0].document: module.LEFT_OUT for module in (uva_apr19_a, uva_nov19, uva_2020, cmu_f19, uva_apr19_b)
}


def evaluate(seed: int = 0) -> list[Result]:
    """The verdict on every equation, in the order of the documents.

    Args:
        seed: seed of the random points.

    Raises:
        Unsettled: the two sides of some equation, as transcribed, support no verdict.
    """
    return [judge(claim, seed) for claim in CLAIMS]


def summary(results: Iterable[Result]) -> dict[str, dict[str, int]]:
    """How many of each verdict: {document: {verdict: count}}, every verdict present."""
    counted: dict[str, Counter[str]] = {}
    for result in results:
        counted.setdefault(result.document, Counter())[result.verdict] += 1
    return {document: {verdict: counts[verdict] for verdict in VERDICTS} for document, counts in counted.items()}

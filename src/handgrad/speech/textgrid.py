"""Praat's TextGrid format: tiers of labelled time intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Interval = tuple[float, float, str]
"""Start and end in seconds, and the text."""


def textgrid(tiers: Mapping[str, Sequence[Interval]], seconds: float) -> str:
    """A TextGrid in Praat's long text form.

    Arguments:
        tiers: by name, non-overlapping intervals in order; gaps are filled with empty intervals, as Praat requires.
        seconds: length of the recording.

    Source: Praat's manual, "TextGrid file formats".
    """
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0",
        f"xmax = {seconds:.6f}",
        "tiers? <exists>",
        f"size = {len(tiers)}",
        "item []:",
    ]
    for i, (name, intervals) in enumerate(tiers.items(), 1):
        whole = _without_gaps(intervals, seconds)
        lines += [
            f"    item [{i}]:",
            '        class = "IntervalTier"',
            f"        name = {_quoted(name)}",
            "        xmin = 0",
            f"        xmax = {seconds:.6f}",
            f"        intervals: size = {len(whole)}",
        ]
        for j, (start, end, text) in enumerate(whole, 1):
            lines += [
                f"        intervals [{j}]:",
                f"            xmin = {start:.6f}",
                f"            xmax = {end:.6f}",
                f"            text = {_quoted(text)}",
            ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _without_gaps(intervals: Sequence[Interval], seconds: float) -> list[Interval]:
    whole: list[Interval] = []
    end = 0.0
    for interval in (*intervals, (seconds, seconds, "")):
        if interval[0] > end + 1e-6:
            whole.append((end, interval[0], ""))
        if interval[1] > interval[0]:
            whole.append(interval)
            end = interval[1]
    return whole

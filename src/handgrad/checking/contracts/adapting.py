"""Source of the two functions that translate between a probe and the interface of a hand-in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

ADAPTER = Path(__file__).with_name("course_adapter.py")


def adapted(spec: Mapping[str, Any], forward: str = "forward", backward: str = "backward") -> str:
    """The functions of `course_adapter.py` for one part, under these names.

    Arguments:
        spec: `class` (empty for functions), `construct`, `construct_named`, `before`, `forward`, `backward`,
            `backward_takes`, `arguments`, `inputs`, `parameters`, `output`, `state`, `gradients`.
    """
    made = f"{ADAPTER.read_text('utf-8')}\nadapted = Adapted({dict(spec)!r}, m)\n"
    return f"{made}{forward} = adapted.forward\n{backward} = adapted.backward\n"

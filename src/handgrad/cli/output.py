"""Where the commands print: streams that survive a reader who has left, a full disk, a closed terminal, a missing
stdout, and characters that the terminal cannot show.

`main` puts them in place of `sys.stdout` and `sys.stderr`, so every command prints as usual, with `print` or rich.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import sys
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

#: What stands for a character that an encoding lacks, where its Unicode decomposition or name does not say it.
_PLAIN = {
    **{
        "\N{FRACTION SLASH}": "/",
        "−": "-",
        "–": "-",
        "—": "-",
        "·": "*",
        "×": "*",
        "⊙": "*",
        "⋆": "*",
        "✓": "+",
        "✗": "x",
        "…": "...",
        "′": "'",
    },
    **{"∂": "d", "∇": "grad ", "√": "sqrt", "∞": "inf", "±": "+-", "≈": "~", "≠": "!=", "≤": "<=", "≥": ">="},
    **{"→": "->", "←": "<-", "‖": "||", "\u0302": "^", "\u0303": "~", "“": '"', "”": '"', "‘": "'", "’": "'"},
    **dict.fromkeys("─━╌╍═", "-"),
    **dict.fromkeys("│┃║╎", "|"),
    **dict.fromkeys("█▉▊▋▌▓▒░■•●", "#"),
}


def _plain(character: str) -> str:
    if character in _PLAIN:
        return _PLAIN[character]
    kind, _, parts = unicodedata.decomposition(character).rpartition("> ")
    mark = {"<super": "^", "<sub": "_"}.get(kind, "")
    base = "".join(_ascii(chr(int(part, 16))) for part in parts.split()) if parts else ""
    return mark + (base or _ascii(character))


def _ascii(character: str) -> str:
    if character.isascii() or character in _PLAIN:
        return _PLAIN.get(character, character)
    if unicodedata.combining(character):
        return ""
    words = unicodedata.name(character, "").split()
    if words[:1] == ["GREEK"] and "LETTER" in words:  # Σ: Sigma
        name = words[words.index("LETTER") + 1].lower().replace("lamda", "lambda")
        return name.capitalize() if "CAPITAL" in words else name
    return "-" if words[:2] == ["BOX", "DRAWINGS"] else "?"


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_plain, error.object[error.start : error.end])), error.end


codecs.register_error("handgrad.plain", _replace)


class Stream:
    """A text stream that goes on when nobody can receive what is written: that is then dropped.

    Arguments:
        stream: where to write; None for nowhere, as where a process was started without a stdout.
        on_loss: called once when writing has failed, with this stream.

    Attributes:
        lost: why writing failed; None as long as it works.
    """

    def __init__(self, stream: Any, on_loss: Callable[[Stream], None] = lambda stream: None) -> None:
        self._stream = stream if stream is not None else open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
        self._on_loss = on_loss
        self.lost: Exception | None = None

    def write(self, text: str) -> int:
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        self._try(lambda: self._stream.write(text.encode(encoding, "handgrad.plain").decode(encoding)))
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def isatty(self) -> bool:
        try:
            return self._stream.isatty()
        except (OSError, ValueError):  # closed
            return False

    def _try(self, action) -> None:
        if self.lost is not None:
            return
        try:
            action()
        except (OSError, ValueError) as error:  # ValueError: it is closed
            self.lost = error
            self._on_loss(self)

    @property
    def reader_left(self) -> bool:
        """`handgrad ... | head`: what reads the output has had enough."""
        return isinstance(self.lost, BrokenPipeError)

    @property
    def why_lost(self) -> str:
        if self.reader_left:
            return "nobody reads stdout any more"
        return f"cannot write to stdout: {getattr(self.lost, 'strerror', None) or self.lost}"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def kept(on_loss: Callable[[Stream], None]) -> Iterator[Stream]:
    """`Stream`s in place of stdout and stderr for as long as the context lasts.

    Arguments:
        on_loss: called when stdout cannot be written to any more.

    Yields: the stream in place of stdout.
    """
    _open_the_standard_descriptors()
    before = sys.stdout, sys.stderr
    streams = Stream(sys.stdout, on_loss), Stream(sys.stderr)
    sys.stdout, sys.stderr = streams  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield streams[0]
    finally:
        sys.stdout, sys.stderr = before
        for stream, original in zip(streams, (sys.__stdout__, sys.__stderr__), strict=True):
            if stream.lost is not None and original is not None and stream._stream is original:
                _sink(original)


def _open_the_standard_descriptors() -> None:
    """A descriptor from 0 to 2 that is closed would be given to the next file that is opened, and what a library prints
    would land in it."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free: this one


def _sink(stream: Any) -> None:
    """What the stream still holds goes nowhere, so that Python does not fail on it when it exits."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)

"""Output streams that tolerate a closed pipe, a full disk, a closed terminal, a missing stdout, and characters that the
terminal cannot display.

`main` replaces `sys.stdout` and `sys.stderr` by them, so every command prints as usual, with `print` or rich.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import sys
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

#: Replacements for characters missing from an encoding, if they do not follow from the Unicode decomposition or name.
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
    """A text stream that drops its output if writing has failed.

    Arguments:
        stream: the underlying stream; None for a process that was started without stdout.
        on_loss: called once when writing has failed, with this stream.

    Attributes:
        lost: the error; None as long as writing works.
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
    def closed_by_reader(self) -> bool:
        """Whether the reader has closed the pipe, as in `handgrad ... | head`."""
        return isinstance(self.lost, BrokenPipeError)

    @property
    def why_lost(self) -> str:
        if self.closed_by_reader:
            return "stdout was closed by its reader"
        return f"cannot write to stdout: {getattr(self.lost, 'strerror', None) or self.lost}"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def safe_streams(on_loss: Callable[[Stream], None]) -> Iterator[Stream]:
    """A context in which `Stream`s replace stdout and stderr.

    Arguments:
        on_loss: called when stdout cannot be written to any more.

    Yields: the stream that replaces stdout.
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
    """Opens closed descriptors from 0 to 2. Otherwise, the next opened file would get one, and libraries would write
    their output to it."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free descriptor: this one


def _sink(stream: Any) -> None:
    """Discards the buffer of the stream, so that Python does not fail when it exits."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)

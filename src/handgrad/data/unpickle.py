"""A restricted unpickler, which reads dicts, lists, text, numbers and arrays and calls nothing.

A pickle is a program for a small stack machine, and Python's own unpickler imports and calls whatever the program
names. Restricting the names is not enough: a file of a few hundred bytes can still request gigabytes of memory (a memo
index, a length) or years of computation (the hash of a nested tuple). This unpickler supports only the forty
instructions that occur in NumPy's and Python's pickles of protocols 2 to 5. It does not look up names: the few that
pickled arrays require refer to functions of this file, and any other name or instruction is rejected. Lengths are
checked against the size of the file.

`unpickle` reads the batches of CIFAR-10. `unpickle_arrays` reads NumPy's object arrays of numeric arrays, and returns
the positions of their values in the file instead of reading them.

Source: PEP 307, PEP 574 and the comments of Python's pickletools.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from mmap import mmap
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from handgrad.errors import DataError


class _Refused(Exception):
    """The file contains an unsupported instruction; the message names it."""


class _Name(NamedTuple):
    """Represents a global: REDUCE runs `call`, a function of this file."""

    path: str
    call: Callable[..., Any]


class _Dtype:
    """Represents numpy.dtype("uint8"), the only supported dtype."""


class _Array:
    """Represents an array whose content is set by a later BUILD."""

    value: Any = None


def unpickle(content: bytes, path: Path) -> Any:
    """Reads the pickle `content`, which may contain dict, list, tuple, str, bytes, int, bool, None and uint8 arrays.

    Arguments:
        content: all bytes of the file.
        path: named in the error.

    Returns: the object.
    Raises: DataError if it is not a pickle, is truncated, or contains anything else.
    """
    try:
        return _Machine(content).run()
    except _Refused as refused:
        raise DataError(
            f"{path}: refuses to load this pickle, {refused}; expected a CIFAR-10 batch of plain containers, numbers "
            "and uint8 arrays: use the binary version"
        ) from None


class PickledArray(NamedTuple):
    """The position of the values of an array in a file.

    Arguments:
        shape: shape of the array.
        dtype: a numeric dtype with its byte order.
        order: "C" for row-major order, "F" for column-major order.
        values: the bytes themselves, if there are few; otherwise their position.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    order: str
    values: bytes | Span

    @property
    def size(self) -> int:
        """The number of bytes that the array takes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def read(self, file: BinaryIO) -> np.ndarray:
        """Reads the array from its file.

        Raises: ValueError if the bytes in the file do not match such an array.
        """
        content = self.values if isinstance(self.values, bytes) else self.values.read(file)
        if len(content) != self.size:
            raise ValueError(f"it has {len(content)} bytes")
        return np.frombuffer(content, self.dtype).reshape(self.shape, order="F" if self.order == "F" else "C")


class Span(NamedTuple):
    """Bytes that remain in the file: `size` bytes from `start`, possibly text that encodes bytes (latin1 written as
    UTF-8, as Python 3 writes protocol 2)."""

    start: int
    size: int
    text: bool = False

    def read(self, file: BinaryIO) -> bytes:
        file.seek(self.start)
        content = file.read(self.size)
        return content.decode("utf-8").encode("latin1") if self.text else content


def unpickle_arrays(content: bytes | mmap, start: int, path: Path) -> list[PickledArray]:
    """The arrays of a pickled NumPy object array (U,) whose elements are numeric arrays.

    Nothing is copied: of a memory-mapped file, only the few bytes between the arrays are read.

    Arguments:
        content: all bytes of the file.
        start: offset of the pickle.
        path: named in the error.

    Returns: for each element, the position of its values.
    Raises: DataError if it is not a pickle, is truncated, or is not such an array.
    """
    try:
        found = _ArrayMachine(content, start).run()
        if type(found) is not _ObjectArray:
            raise _Refused(f"which contains {_kind(found)}")
        return found.elements
    except _Refused as refused:
        raise DataError(
            f"{path}: refuses to load this pickle, {refused}; expected a NumPy object array (U,) of numeric arrays, "
            "one per utterance"
        ) from None


class _Machine:
    def __init__(self, content: bytes | mmap, start: int = 0) -> None:
        self.content = content
        self.position = start
        self.names: Mapping[str, _Name] = _NAMES
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.encoded = 0

    def run(self) -> Any:
        while True:
            code = self.take(1)
            if code == b".":
                result = self.pop()
                return result.value if isinstance(result, _Array) else result
            instruction = _INSTRUCTIONS.get(code)
            if instruction is None:
                raise _Refused(f"which has the instruction {code!r} at byte {self.position - 1}")
            instruction(self)

    def take(self, n: int) -> bytes:
        end = self.position + n
        if n < 0 or end > len(self.content):
            raise _Refused(f"which ends too early (at byte {self.position} it needs {n} more)")
        taken = self.content[self.position : end]
        self.position = end
        return taken

    def skip(self, n: int) -> None:
        self.take(n)

    def number(self, n: int, *, signed: bool = False) -> int:
        return int.from_bytes(self.take(n), "little", signed=signed)

    def text(self, n: int) -> str:
        try:
            return self.take(n).decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            raise _Refused("which has text that is not UTF-8") from None

    def blob(self, n: int) -> bytes | Span:
        return self.take(n)

    def long_text(self, n: int) -> str | Span:
        return self.text(n)

    def line(self) -> str:
        end = self.content.find(b"\n", self.position)
        if end < 0:
            raise _Refused(f"which ends too early (at byte {self.position} it needs a line)")
        text = self.text(end - self.position)
        self.skip(1)
        return text

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise _Refused("which takes more from its stack than it has put there")
        return self.stack.pop()

    def pop_mark(self) -> list[Any]:
        if not self.marks:
            raise _Refused("which takes more from its stack than it has put there")
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def tuple_of(self, n: int) -> None:
        items = [self.pop() for _ in range(n)]
        self.push(tuple(reversed(items)))

    def memoize(self, index: int) -> None:
        value = self.pop()
        self.memo[index] = value
        self.push(value)

    def recall(self, index: int) -> None:
        if index not in self.memo:
            raise _Refused(f"which recalls value {index} that it never kept")
        self.push(self.memo[index])

    def extend(self, items: list[Any]) -> None:
        target = self.pop()
        if type(target) is not list:
            raise _Refused("which appends to something that is not a list")
        target.extend(item.value if isinstance(item, _Array) else item for item in items)
        self.push(target)

    def set_items(self, items: list[Any]) -> None:
        target = self.pop()
        keys, values = items[::2], items[1::2]
        if type(target) is not dict or len(keys) != len(values) or not all(type(key) in (str, bytes) for key in keys):
            raise _Refused("which fills a dict with something other than named values")
        for key, value in zip(keys, values, strict=True):
            target[key] = value.value if isinstance(value, _Array) else value
        self.push(target)

    def name(self, module: Any, name: Any) -> None:
        found = self.names.get(f"{module}.{name}") if type(module) is type(name) is str else None
        if found is None:
            raise _Refused(f"which names {_shown(module)}, {_shown(name)}")
        self.push(found)

    def stack_name(self) -> None:
        name, module = self.pop(), self.pop()
        self.name(module, name)

    def call(self) -> None:
        arguments, function = self.pop(), self.pop()
        if type(function) is not _Name or type(arguments) is not tuple:
            raise _Refused("which calls something that is not a function")
        try:
            result = function.call(*arguments)
        except TypeError:
            raise _Refused(f"which calls {function.path} with other arguments than it takes") from None
        self.encoded += len(result) if type(result) is bytes else 0
        if self.encoded > len(self.content):  # one long text, encoded repeatedly
            raise _Refused("which unfolds into more bytes than it has")
        self.push(result)

    def build(self) -> None:
        state, target = self.pop(), self.pop()
        if type(target) is _Array and type(state) is tuple and len(state) == 5:
            _, shape, dtype, fortran, values = state
            target.value = _uint8_array(values, dtype, shape, "F" if fortran else "C")
        elif type(target) is not _Dtype:  # the state of a dtype (byte order, ...) is irrelevant for single bytes
            raise _Refused("which sets the state of something that is not an array")
        self.push(target)


def _shown(value: Any) -> str:
    """For a message: never the contents of a container, which can be infinite."""
    return repr(value[:60]) if type(value) in (str, bytes) else f"a {type(value).__name__}"


def _encode(text: Any, encoding: Any) -> bytes:
    """`_codecs.encode`, with which protocol 2 writes bytes."""
    if type(text) is not str or type(encoding) is not str or encoding != "latin1":
        raise _Refused("which encodes something other than text as latin1")
    try:
        return text.encode("latin1")
    except UnicodeEncodeError:
        raise _Refused("which encodes text that is not latin1") from None


def _dtype(code: Any, _align: Any, _copy: Any) -> _Dtype:
    if not (type(code) is str and code == "u1") and not (type(code) is bytes and code == b"u1"):
        raise _Refused(f"which has an array of dtype {_shown(code)}")
    return _Dtype()


def _reconstruct(_kind: Any, _shape: Any, _code: Any) -> _Array:
    return _Array()


def _uint8_array(values: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    if type(dtype) is not _Dtype or type(values) is not bytes or type(order) is not str or order != "C":
        raise _Refused("which has an array of something other than uint8 values in rows")
    if type(shape) is not tuple or len(shape) > 4 or not all(type(n) is int and n >= 0 for n in shape):
        raise _Refused("which has an array without a proper shape")
    if math.prod(shape) != len(values):
        raise _Refused(f"which has an array of shape {str(shape)[:60]} with {len(values)} bytes")
    return np.frombuffer(values, np.uint8).reshape(shape)


def _not_called(*_: Any) -> Any:
    raise _Refused("which makes an array directly")


def _names() -> dict[str, _Name]:
    functions = {"_codecs.encode": _encode, "numpy.dtype": _dtype, "numpy.ndarray": _not_called}
    for core in ("numpy.core", "numpy._core"):  # before NumPy 2, and since
        functions |= {f"{core}.multiarray._reconstruct": _reconstruct, f"{core}.numeric._frombuffer": _uint8_array}
    return {path: _Name(path, call) for path, call in functions.items()}


_NAMES = _names()


# -- object arrays of numeric arrays ----------------------------------------------------------------------------------

#: Strings of up to this many bytes are read; longer ones remain in the file. Names and type codes are shorter.
_SHORT = 64

#: An array may occur once in the file and several times in the result, up to this multiple of the file size.
_MAX_EXPANSION = 4

_NUMERIC = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")


class _NumericDtype:
    """Represents a dtype whose byte order is set by a later BUILD."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.byte_order = "="

    def dtype(self) -> np.dtype:
        return np.dtype(self.byte_order + self.code)


class _ObjectArray(NamedTuple):
    elements: list[PickledArray]


class _ArrayMachine(_Machine):
    """Reads an object array of numeric arrays without reading the values of the arrays."""

    def __init__(self, content: bytes | mmap, start: int) -> None:
        super().__init__(content, start)
        self.names = _ARRAY_NAMES

    def blob(self, n: int) -> bytes | Span:
        if n <= _SHORT:
            return self.take(n)
        return self._span(n)

    def long_text(self, n: int) -> str | Span:
        if n <= _SHORT:
            return self.text(n)
        return self._span(n, text=True)

    def _span(self, n: int, text: bool = False) -> Span:
        span = Span(self.position, n, text)
        if n > len(self.content) - self.position:
            raise _Refused(f"which ends too early (at byte {self.position} it needs {n} more)")
        self.position += n
        return span

    def build(self) -> None:
        state, target = self.pop(), self.pop()
        if type(target) is _Array and type(state) is tuple and len(state) == 5:
            _, shape, dtype, fortran, values = state
            if type(dtype) is _NumericDtype and dtype.code == "O8":
                target.value = self._object_array(values, shape)
            else:
                target.value = _pickled_array(values, dtype, shape, "F" if fortran else "C")
        elif type(target) is _NumericDtype and type(state) is tuple and len(state) >= 2:
            order = _code(state[1])
            if order not in ("<", ">", "|", "="):
                raise _Refused(f"which has the byte order {_shown(state[1])}")
            target.byte_order = "=" if order == "|" else order
        else:
            raise _Refused("which sets the state of something that is not an array")
        self.push(target)

    def _object_array(self, elements: Any, shape: Any) -> _ObjectArray:
        if type(elements) is not list or type(shape) is not tuple or shape != (len(elements),):
            size = f"{len(elements)} elements" if type(elements) is list else _kind(elements)
            shown = str(shape)[:60] if _is_shape(shape) else "no proper one"
            raise _Refused(f"which has an object array of shape {shown} with {size}")
        total = 0
        for i, element in enumerate(elements):
            if type(element) is not PickledArray:
                raise _Refused(f"which contains {_kind(element)} at utterance {i}")
            total += element.size
        if total > _MAX_EXPANSION * len(self.content):  # the same array repeatedly
            raise _Refused(f"which unfolds its {len(self.content)} bytes into {total}")
        return _ObjectArray(elements)


def _kind(value: Any) -> str:
    """The description of an object, for a message."""
    names = {_ObjectArray: "object array", _Array: "array without content", PickledArray: "numeric array", Span: "text"}
    name = names.get(type(value), type(value).__name__.lstrip("_"))
    return f"a{'n' if name[0] in 'aeiou' else ''} {name}"


def _code(value: Any) -> str | None:
    """A type code, which Python 2 writes as bytes."""
    if type(value) is bytes:
        return value.decode("latin1")
    return value if type(value) is str else None


def _is_shape(shape: Any) -> bool:
    return type(shape) is tuple and len(shape) <= 4 and all(type(n) is int and 0 <= n < 2**48 for n in shape)


def _numeric_dtype(code: Any, _align: Any, _copy: Any) -> _NumericDtype:
    known = _code(code)
    if known not in (*_NUMERIC, "O8", "O4"):
        raise _Refused(f"which has an array of dtype {_shown(code)}")
    return _NumericDtype("O8" if known == "O4" else known)  # O4: written by a 32-bit NumPy


def _pickled_array(values: Any, dtype: Any, shape: Any, order: Any) -> PickledArray:
    if type(dtype) is not _NumericDtype or dtype.code == "O8" or type(values) not in (bytes, Span):
        raise _Refused("which has an array of something other than numbers")
    if not _is_shape(shape) or order not in ("C", "F"):
        raise _Refused("which has an array without a proper shape")
    found = PickledArray(shape, dtype.dtype(), order, values)
    size = len(values) if type(values) is bytes else values.size
    # In text, each byte takes one or two bytes.
    fits = found.size <= size <= 2 * found.size if type(values) is Span and values.text else found.size == size
    if not fits:
        raise _Refused(f"which has an array of shape {str(shape)[:60]} with {size} bytes")
    return found


def _encode_or_leave(text: Any, encoding: Any) -> bytes | Span:
    if type(text) is Span and text.text and type(encoding) is str and encoding == "latin1":
        return text
    return _encode(text, encoding)


_ARRAY_NAMES = {
    path: _Name(path, {_encode: _encode_or_leave, _dtype: _numeric_dtype, _uint8_array: _pickled_array}.get(call, call))
    for path, call in _NAMES.values()
}

_INSTRUCTIONS: dict[bytes, Callable[[_Machine], None]] = {
    # protocol and framing; frames only help buffered readers
    b"\x80": lambda m: m.skip(1),
    b"\x95": lambda m: m.skip(8),
    # values
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"K": lambda m: m.push(m.number(1)),
    b"M": lambda m: m.push(m.number(2)),
    b"J": lambda m: m.push(m.number(4, signed=True)),
    b"G": lambda m: m.push(struct.unpack(">d", m.take(8))[0]),
    b"\x8a": lambda m: m.push(m.number(m.number(1), signed=True)),
    b"U": lambda m: m.push(m.blob(m.number(1))),
    b"T": lambda m: m.push(m.blob(m.number(4, signed=True))),
    b"C": lambda m: m.push(m.blob(m.number(1))),
    b"B": lambda m: m.push(m.blob(m.number(4))),
    b"\x8e": lambda m: m.push(m.blob(m.number(8))),
    b"\x96": lambda m: m.push(m.blob(m.number(8))),
    b"\x8c": lambda m: m.push(m.long_text(m.number(1))),
    b"X": lambda m: m.push(m.long_text(m.number(4))),
    b"\x8d": lambda m: m.push(m.long_text(m.number(8))),
    # containers
    b"(": lambda m: m.marks.append(len(m.stack)),
    b")": lambda m: m.push(()),
    b"]": lambda m: m.push([]),
    b"}": lambda m: m.push({}),
    b"t": lambda m: m.push(tuple(m.pop_mark())),
    b"\x85": lambda m: m.tuple_of(1),
    b"\x86": lambda m: m.tuple_of(2),
    b"\x87": lambda m: m.tuple_of(3),
    b"a": lambda m: m.extend([m.pop()]),
    b"e": lambda m: m.extend(m.pop_mark()),
    b"s": lambda m: m.set_items([m.pop(), m.pop()][::-1]),
    b"u": lambda m: m.set_items(m.pop_mark()),
    # memo
    b"q": lambda m: m.memoize(m.number(1)),
    b"r": lambda m: m.memoize(m.number(4)),
    b"\x94": lambda m: m.memoize(len(m.memo)),
    b"h": lambda m: m.recall(m.number(1)),
    b"j": lambda m: m.recall(m.number(4)),
    # names and their use
    b"c": lambda m: m.name(m.line(), m.line()),
    b"\x93": lambda m: m.stack_name(),
    b"R": lambda m: m.call(),
    b"b": lambda m: m.build(),
}

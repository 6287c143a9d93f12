"""The restricted unpickler reads what NumPy and Python write, rejects everything else, and never calls anything."""

import os
import pickle
import pickletools
import struct
import time
import tracemalloc
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.pickles import CALLS

from handgrad.data.unpickle import _INSTRUCTIONS, unpickle
from handgrad.errors import DataError

PATH = Path("batch")
PIXELS = np.arange(12, dtype=np.uint8).reshape(2, 6)
CONTENT = {
    b"batch_label": b"one",
    b"labels": [6, 300, -70_000, 2**40],
    b"data": PIXELS,
    "text": "\u00e9",
    b"f": [b"\xe9"],
}


def same(got, expected):
    if isinstance(expected, np.ndarray):
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)
        return
    assert type(got) is type(expected)
    if isinstance(expected, dict):
        assert got.keys() == expected.keys()
        for key, value in expected.items():
            same(got[key], value)
    else:
        assert got == expected


#: What this NumPy calls its innermost package: numpy.core before NumPy 2, numpy._core since.
CORE = np.zeros(1).__reduce__()[0].__module__.rpartition(".")[0].encode()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("core", ["numpy._core", "numpy.core"])
def test_reads_what_numpy_writes(protocol, core):
    content = pickle.dumps(CONTENT, protocol=protocol)
    if protocol in (2, 3):  # names end with a newline: another length does no harm
        content = content.replace(b"cnumpy._core.", f"c{core}.".encode()).replace(b"cnumpy.core.", f"c{core}.".encode())
    same(unpickle(content, PATH), CONTENT)


def test_reads_what_python_2_wrote():
    """The instructions of the official files: text as BINSTRING, the array's bytes too."""
    pickled = (
        b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x15training batch 1 of 5q\x03U\x06labelsq\x04]q\x05(K\x06K\x09e"
        b"U\x04dataq\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\x09"
        b"(K\x01K\x02K\x06\x86cnumpy\ndtype\nq\x0aU\x02u1K\x00K\x01\x87Rq\x0b(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89T\x0c\x00\x00\x00" + PIXELS.tobytes() + b"tbu."
    )  # fmt: skip
    theirs = pickle.loads(pickled.replace(b"numpy.core", CORE), encoding="bytes")
    same(unpickle(pickled, PATH), theirs)
    same(theirs[b"data"], PIXELS)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.called[0].__name__)
def test_refuses_every_other_name(protocol, call):
    for content in (call, [call], {b"data": call}):
        with pytest.raises(DataError, match=r"^batch: refuses to load this pickle, which .*use the binary version$"):
            unpickle(pickle.dumps(content, protocol), PATH)


def test_names_the_name_that_it_refuses():
    with pytest.raises(DataError, match=r"which names '(posix|nt)', 'system'; expected a CIFAR-10 batch"):
        unpickle(pickle.dumps(os.system, 4), PATH)


def test_every_other_instruction_is_refused():
    refused = {op.code.encode("latin1") for op in pickletools.opcodes} - _INSTRUCTIONS.keys() - {b"."}
    assert {b"i", b"o", b"\x81", b"\x92", b"P", b"Q", b"\x82", b"I", b"V", b"\x97", b"0", b"2"} <= refused
    for code in refused:
        with pytest.raises(DataError, match=r"which has the instruction b.* at byte 0"):
            unpickle(code + b"\x00" * 20, PATH)


def pickled_array(**other):
    """The pickle of an array, with some of its parts replaced by other instructions."""
    parts = {
        "dtype": b"\x8c\x02u1",
        "shape": b"K\x02K\x06\x86",
        "fortran": b"\x89",
        "values": b"C\x0c" + PIXELS.tobytes(),
    } | other
    return (
        b"\x80\x04c" + CORE + b".multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R(K\x01" +
        parts["shape"] +
        b"cnumpy\ndtype\n" + parts["dtype"] + b"\x89\x88\x87R" + parts["fortran"] + parts["values"] + b"tb."
    )  # fmt: skip


def test_the_array_of_the_next_test_is_right():
    same(unpickle(pickled_array(), PATH), PIXELS)
    same(pickle.loads(pickled_array()), PIXELS)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"dtype": b"\x8c\x02f8"}, "array of dtype 'f8'"),
        ({"dtype": b"\x8c\x01O"}, "array of dtype 'O'"),
        ({"dtype": b"]"}, "array of dtype a list"),
        ({"shape": b"K\x02K\x07\x86"}, r"array of shape \(2, 7\) with 12 bytes"),
        ({"shape": b"\x8a\x08" + b"\xff" * 7 + b"\x7fK\x06\x86"}, r"array of shape \(9223372036854775807, 6\) with 12"),
        ({"shape": b"J\xfe\xff\xff\xffJ\xfa\xff\xff\xff\x86"}, "without a proper shape"),
        ({"shape": b"(" + b"K\x01" * 70 + b"t"}, "without a proper shape"),
        ({"shape": b"K\x0c"}, "without a proper shape"),
        ({"fortran": b"\x88"}, "other than uint8 values in rows"),
        ({"values": b"]"}, "other than uint8 values in rows"),
        ({"values": b"X\x02\x00\x00\x00ab"}, "other than uint8 values in rows"),
    ],
)
def test_arrays_that_are_not_what_they_should_be(other, message):
    with pytest.raises(DataError, match=message):
        unpickle(pickled_array(**other), PATH)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "ends too early"),
        (b"]", "ends too early"),
        (b"C\x05abc.", r"ends too early \(at byte 2 it needs 5 more\)"),
        (b"\x8e" + b"\xff" * 7 + b"\x7f.", "ends too early"),
        (b"T\xff\xff\xff\xff.", "ends too early"),
        (b"cnumpy\nndarray", "ends too early"),
        (b".", "takes more from its stack"),
        (b"]N(a.", "takes more from its stack"),
        (b"Nt.", "takes more from its stack"),
        (b"\x86.", "takes more from its stack"),
        (b"h\x00.", "recalls value 0 that it never kept"),
        (b"NNa.", "appends to something that is not a list"),
        (b"}NNs.", "fills a dict with something other than named values"),
        (b"}(C\x01au.", "fills a dict with something other than named values"),
        (b"})Ns.", "fills a dict with something other than named values"),
        (b"NNR.", "calls something that is not a function"),
        (b"cnumpy\ndtype\n)R.", "calls numpy.dtype with other arguments than it takes"),
        (b"cnumpy\nndarray\n)R.", "makes an array directly"),
        (b"NNb.", "sets the state of something that is not an array"),
        (b"X\x01\x00\x00\x00\xff.", "text that is not UTF-8"),
        (b"c_codecs\nencode\nNN\x86R.", "encodes something other than text as latin1"),
        (b"c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00utf-8\x86R.", "something other than text as latin1"),
        (b"c_codecs\nencode\nX\x03\x00\x00\x00\xe2\x82\xacX\x06\x00\x00\x00latin1\x86R.", "text that is not latin1"),
        (b"NN\x93.", "names a NoneType, a NoneType"),
    ],
)  # fmt: skip
def test_programs_that_make_no_sense(content, message):
    with pytest.raises(DataError, match=message):
        unpickle(content, PATH)


NESTED = b")" + b"q\x01h\x01\x86" * 100  # a tuple of twice itself, 100 times: its hash or its text would take ages


@pytest.mark.parametrize(
    "bomb",
    [
        b"Nr\xff\xff\xff\xff" + b"}" * 5 + b"N",  # Python's own machine would make room for four billion memo entries
        b"}" + NESTED + b"Ns.",
        NESTED + NESTED + b"\x93.",
        b"cnumpy\ndtype\n" + NESTED + b"\x89\x88\x87R.",
        b"X" + struct.pack("<I", 10**6) + b"a" * 10**6 + b"q\x01X\x06\x00\x00\x00latin1q\x02"
        + b"c_codecs\nencode\nh\x01h\x02\x86R" * 10_000 + b".",
    ],
    ids=["memo", "hash", "name", "dtype", "encode"],
)  # fmt: skip
def test_bombs_fizzle(bomb):
    tracemalloc.start()
    started = time.perf_counter()
    with pytest.raises(DataError, match="refuses to load"):
        unpickle(bomb, PATH)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10**7
    assert time.perf_counter() - started < 5


def test_deep_nesting_does_not_overflow_the_stack():
    depth = 300_000
    nested = unpickle(b"]" * depth + b"a" * (depth - 1) + b".", PATH)
    assert type(nested) is list
    del nested


def plain(value, depth=0):
    """Nothing but plain values comes out (looked at three levels deep)."""
    if depth < 3 and type(value) in (list, tuple):
        return all(plain(item, depth + 1) for item in value)
    if depth < 3 and type(value) is dict:
        return all(plain(item, depth + 1) for item in value.values())
    return value is None or type(value) in (bool, int, str, bytes, list, tuple, dict, np.ndarray) or (
        type(value).__module__ == "handgrad.data.unpickle"
    )  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes(content):
    with suppress(DataError):
        assert plain(unpickle(content, PATH))


VALID = [pickle.dumps(CONTENT, protocol) for protocol in (2, 3, 4, 5)] + [pickled_array()]


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(VALID), st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=3)), max_size=3), st.booleans()
)
def test_mutated_pickles(content, changes, insert):
    for at, to in changes:
        content = content[:at] + to + content[at + (0 if insert else len(to)) :]
    with suppress(DataError):
        assert plain(unpickle(content, PATH))


WORDS = [
    *(code for code in _INSTRUCTIONS if code in b"N\x88\x89()]}t\x85\x86\x87aesu\x94\x93Rb"),
    *(b"K\x00", b"K\x01", b"h\x00", b"h\x01", b"q\x00", b"q\x01", b"C\x02ab", b"\x8c\x02u1", b"\x8c\x06latin1"),
    *(b"cnumpy\ndtype\n", b"cnumpy\nndarray\n", b"c_codecs\nencode\n", b"cnumpy._core.numeric\n_frombuffer\n"),
    *(b"cnumpy.core.multiarray\n_reconstruct\n", b"\x8c\x01C", b"\x8c\x05numpy", b"\x8c\x05dtype"),
]


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=25))
def test_programs_of_known_instructions(words):
    with suppress(DataError):
        assert plain(unpickle(b"".join(words) + b".", PATH))

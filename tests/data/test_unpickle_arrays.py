"""Object arrays in the restricted unpickler: it returns only arrays of numbers and calls nothing."""

import io
import os
import pickle
import struct
import tracemalloc
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.pickles import CALLS, Call
from tests.speech_files import objects

from handgrad.data.unpickle import PickledArray, unpickle_arrays
from handgrad.errors import DataError

PATH = Path("train.npy")
ARRAYS = [np.arange(n * 40, dtype=np.float32).reshape(n, 40) for n in (1, 5, 20)]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "call", [*CALLS, Call(np.load, "x"), Call(np.frombuffer, b"1234", "f4")], ids=lambda call: call.called[0].__name__
)
def test_refuses_every_other_name(protocol, call):
    for content in (objects([call]), objects([*ARRAYS, call]), objects([objects([call])]), call, [call]):
        with pytest.raises(DataError, match=r"^train.npy: refuses to load this pickle, which .*one per utterance$"):
            unpickle_arrays(pickle.dumps(content, protocol), 0, PATH)


def test_names_the_name_that_it_refuses():
    with pytest.raises(DataError, match=r"which names '(posix|nt)', 'system'; expected a NumPy object array \(U,\)"):
        unpickle_arrays(pickle.dumps(objects([os.system]), 4), 0, PATH)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (ARRAYS, "which contains a list"),
        (ARRAYS[0], "which contains a numeric array"),
        ({"a": 1}, "which contains a dict"),
        (None, "which contains a NoneType"),
        (objects([ARRAYS[0], 3]), "which contains an int at utterance 1"),
        (objects([ARRAYS[0], "x"]), "which contains a str at utterance 1"),
        (objects(["x" * 100]), "which contains a text at utterance 0"),
        (objects([[1, 2]]), "which contains a list at utterance 0"),
        (objects([objects(ARRAYS)]), "which contains an object array at utterance 0"),
        (objects(ARRAYS)[:2].reshape(2, 1), r"object array of shape \(2, 1\) with 2 elements"),
        (objects([np.array(["a"])]), "array of dtype 'U1'"),
        (objects([np.array([1 + 2j])]), "array of dtype 'c16'"),
        (objects([np.array([(1, 2)], "i4,i4")]), "array of dtype 'V8'"),
        (objects([np.array([True])]), "array of dtype 'b1'"),
        (objects([np.array(["2020-01-01"], "M8[D]")]), "array of dtype 'M8'"),
        (objects([np.zeros((1,) * 5)]), "without a proper shape"),
    ],
)
def test_other_things(content, message):
    with pytest.raises(DataError, match=f"refuses to load this pickle, which .*{message.removeprefix('which ')}"):
        unpickle_arrays(pickle.dumps(content, 4), 0, PATH)


def test_an_array_that_stands_there_once_and_is_used_again_and_again():
    """References of two bytes would expand 400 KB to four gigabytes."""
    some = ARRAYS[0]
    again = unpickle_arrays(pickle.dumps(objects([some, some, some]), 4), 0, PATH)
    assert [array.shape for array in again] == [(1, 40)] * 3
    big = np.zeros(100_000, np.float32)
    with pytest.raises(DataError, match=r"which unfolds its \d+ bytes into 4000000000"):
        unpickle_arrays(pickle.dumps(objects([big] * 10_000), 4), 0, PATH)


VALUES = b"B" + struct.pack("<I", 160) + bytes(160)
CORE = np.zeros(1).__reduce__()[0].__module__.encode()


def pickled(values=VALUES, shape=b"K\x01K\x28\x86", dtype=b"\x8c\x02f4", order=b"\x8c\x01<"):
    """An object array with one array (1, 40) in it, some parts of the program replaced by others."""
    start = b"c" + CORE + b"\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R(K\x01"
    end = b"\x89\x88\x87R(K\x03\x8c\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3ftb\x89"
    state = b"\x89\x88\x87R(K\x03" + order + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
    inner = b"cnumpy\ndtype\n" + dtype + state
    return (
        b"\x80\x04" + start + b"K\x01\x85cnumpy\ndtype\n\x8c\x02O8" + end
        + b"](" + start + shape + inner + values + b"tbetb."
    )  # fmt: skip


def test_the_program_of_the_next_test_is_right():
    (ours,) = unpickle_arrays(pickled(), 0, PATH)
    assert ours == PickledArray((1, 40), np.dtype("<f4"), "C", ours.values)
    np.testing.assert_array_equal(ours.read(io.BytesIO(pickled())), pickle.loads(pickled())[0])


NESTED = b")" + b"q\x01h\x01\x86" * 100  # its hash or its text would take ages


def test_a_state_for_what_is_no_array():
    with pytest.raises(DataError, match="which sets the state of something that is not an array"):
        unpickle_arrays(b"\x80\x04NNb.", 0, PATH)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"values": b"B" + struct.pack("<I", 2**31) + bytes(160)}, "ends too early"),
        ({"values": b"\x8e" + b"\xff" * 7 + b"\x7f"}, "ends too early"),
        ({"values": b"T\xff\xff\xff\xff"}, "ends too early"),
        ({"values": b"C\x10" + bytes(16)}, r"array of shape \(1, 40\) with 16 bytes"),
        ({"values": b"B" + struct.pack("<I", 164) + bytes(164)}, r"array of shape \(1, 40\) with 164 bytes"),
        ({"values": b"K\x05"}, "something other than numbers"),
        ({"values": b"]"}, "something other than numbers"),
        ({"shape": b"\x8a\x08" + b"\xff" * 7 + b"\x7fK\x28\x86"}, "without a proper shape"),
        ({"shape": b"J\xff\xff\xff\xffK\x28\x86"}, "without a proper shape"),
        ({"shape": NESTED}, "without a proper shape"),
        ({"dtype": NESTED}, "array of dtype a tuple"),
        ({"dtype": b"\x8c\x02V8"}, "array of dtype 'V8'"),
        ({"order": b"\x8c\x01x"}, "the byte order 'x'"),
        ({"order": NESTED}, "the byte order a tuple"),
    ],
)
def test_programs_that_make_no_sense(parts, message):
    tracemalloc.start()
    with pytest.raises(DataError, match=message):
        unpickle_arrays(pickled(**parts), 0, PATH)
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()


VALID = [pickle.dumps(objects(ARRAYS), protocol) for protocol in (2, 3, 4, 5)] + [pickled()]


def nothing_else(content):
    """Any bytes give a DataError, or arrays that can be read or raise an error with a reason."""
    with suppress(DataError):
        for array in unpickle_arrays(content, 0, PATH):
            assert type(array) is PickledArray
            with suppress(ValueError):
                assert array.read(io.BytesIO(content)).dtype.kind in "fiu"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes(content):
    nothing_else(content)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(VALID), st.lists(st.tuples(st.integers(0, 600), st.binary(max_size=3)), max_size=3), st.booleans()
)
def test_mutated_pickles(content, changes, insert):
    for at, to in changes:
        content = content[:at] + to + content[at + (0 if insert else len(to)) :]
    nothing_else(content)

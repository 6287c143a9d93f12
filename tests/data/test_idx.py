"""The IDX reader: right files, every kind of wrong file, and whatever Hypothesis thinks of."""

import gzip
import tracemalloc
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handgrad.data import load
from handgrad.data.idx import read_any_idx, read_idx
from handgrad.errors import DataError

IMAGES = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)


@pytest.fixture(params=["plain", "gzipped"])
def write(request, tmp_path):
    """Writes bytes as an IDX file, plain or gzipped, and gives its path."""

    def write(content: bytes):
        if request.param == "plain":
            path = tmp_path / "images"
            path.write_bytes(content)
        else:
            path = tmp_path / "images.gz"
            path.write_bytes(gzip.compress(content))
        return path

    return write


def test_reads_back_what_was_written(write, idx_bytes):
    got = read_idx(write(idx_bytes(IMAGES)), (4, 5), 3)
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, IMAGES)
    np.testing.assert_array_equal(read_idx(write(idx_bytes(np.array([7, 8]))), (), 60_000), [7, 8])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b"\x01" + b[1:], r"begins with the bytes \[01 00 08 03\]: expected an IDX file of 1 to 9 samples"),
        (lambda b: b[:2] + b"\x0d" + b[3:], r"\[00 00 0d 03\].*begins with \[00 00 08 03\]$"),
        (lambda b: b[:3] + b"\x01" + b[4:], r"\[00 00 08 01\]"),
        (lambda b: b"", r"begins with the bytes \[\]"),
        (lambda b: b[:10], r"ends within its header"),
        (lambda b: b[:-1], r"claims 3 samples, which take 60 bytes, but has 59 bytes"),
        (lambda b: b[:16], r"has 0 bytes"),
        (lambda b: b + b"\x00", r"which take 60 bytes, but has more"),
        (lambda b: b[:7] + b"\x0a" + b[8:], r"claims 10 samples of 4 x 5: expected an IDX file of 1 to 9"),
        (lambda b: b[:7] + b"\x00" + b[8:], r"claims 0 samples"),
        (lambda b: b[:11] + b"\x05" + b[12:], r"claims 3 samples of 5 x 5"),
    ],
)  # fmt: skip
def test_wrong_content(write, idx_bytes, change, message):
    path = write(change(idx_bytes(IMAGES)))
    with pytest.raises(DataError, match=message) as caught:
        read_idx(path, (4, 5), 9)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b[:-9],
        lambda b: b[:-1],
        lambda b: b + b"tail",
        lambda b: b[:40] + b"\xff\xff" + b[42:],
        lambda b: b"xx",
    ],
)
def test_damaged_gzip(tmp_path, idx_bytes, change):
    path = tmp_path / "images.gz"
    path.write_bytes(change(gzip.compress(idx_bytes(np.zeros((9, 4, 5)) + np.arange(5)))))
    with pytest.raises(DataError, match=r"is not a complete gzip file \(.*gzipped$"):
        read_idx(path, (4, 5), 9)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match=r"nowhere cannot be read \(No such file"):
        read_idx(tmp_path / "nowhere", (4, 5), 9)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "x",
            b"\x01\0\x08\x01",
            r"x begins with the bytes \[01 00 08 01\]: expected an IDX file, which begins with \[00",
        ),
        ("x", b"\0\0\x08\x05", r"\[00 00 08 05\]: .* and 1 to 4 dimensions"),
        (
            "x.gz",
            gzip.compress(b"\0\0\x08\x01\0\0\0\x63" + bytes(99))[:-3],
            r"x.gz is not a complete gzip file \(.*\): expected an IDX file, gzipped",
        ),
        ("", None, r"cannot be read \(Is a directory\): expected an IDX file"),
    ],
)
def test_other_files_than_idx(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_any_idx(tmp_path / name)


def test_a_header_that_claims_gigabytes_allocates_nothing(write):
    path = write(bytes((0, 0, 8, 3)) + b"".join(n.to_bytes(4, "big") for n in (5_478_275, 28, 28)))
    tracemalloc.start()
    with pytest.raises(DataError, match="claims 5478275 samples"):
        read_idx(path, (28, 28), 60_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_images_and_labels_must_be_as_many(tmp_path, make_mnist, idx_bytes):
    make_mnist(tmp_path / "mnist")
    path = tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(idx_bytes(np.zeros(9))))
    with pytest.raises(
        DataError, match=r"t10k-labels-idx1-ubyte.gz contains 9 labels but t10k-images-idx3-ubyte.gz 10 im"
    ):
        load("mnist", data_dir=tmp_path)


def test_labels_must_be_classes(tmp_path, make_mnist, idx_bytes):
    make_mnist(tmp_path / "mnist")
    path = tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(idx_bytes(np.array([0, 1, 9, 10, 4, 200, 0, 0, 0, 0]))))
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte.gz has label 10 at sample 3: expected 0 to 9"):
        load("mnist", data_dir=tmp_path)


@settings(max_examples=300, deadline=None)
@given(
    content=st.binary(max_size=80) | st.binary(max_size=70).map(lambda b: bytes((0, 0, 8, 3)) + b), packed=st.booleans()
)
def test_any_bytes(tmp_path_factory, content, packed):
    path = tmp_path_factory.getbasetemp() / ("any.gz" if packed else "any")
    path.write_bytes(content)
    with suppress(DataError):
        assert read_idx(path, (4, 5), 3).shape[1:] == (4, 5)


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, 79), to=st.binary(max_size=4), cut=st.integers(0, 80), packed=st.booleans())
def test_mutated_files(tmp_path_factory, idx_bytes, at, to, cut, packed):
    valid = idx_bytes(IMAGES)
    content = gzip.compress(valid) if packed else valid
    path = tmp_path_factory.getbasetemp() / ("mutated.gz" if packed else "mutated")
    path.write_bytes((content[:at] + to + content[at + len(to) :])[: len(content) - cut // 20])
    with suppress(DataError):
        assert read_idx(path, (4, 5), 3).shape[1:] == (4, 5)

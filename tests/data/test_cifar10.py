"""The two layouts of CIFAR-10."""

import pickle
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handgrad.data import load
from handgrad.data.cifar10 import read_batch
from handgrad.errors import DataError

RECORD = bytes([7]) + bytes(range(256)) * 12


@pytest.mark.parametrize("layout", ["cifar-10-batches-bin", "cifar-10-batches-py"])
@pytest.mark.parametrize("below", ["", "cifar10"])
@pytest.mark.parametrize("itself", [False, True])
def test_both_layouts_in_every_place_give_the_same(tmp_path, make_cifar10, layout, below, itself):
    inputs, labels = make_cifar10(tmp_path / below)
    other = {"cifar-10-batches-bin": "cifar-10-batches-py"}.get(layout, "cifar-10-batches-bin")
    (tmp_path / below / other).rename(tmp_path / "away")
    data = load("cifar10", data_dir=tmp_path / below / layout if itself else tmp_path, preprocessing="none")
    np.testing.assert_array_equal(data.inputs, inputs)
    np.testing.assert_array_equal(data.labels, labels)
    assert data.splits == {"train": range(20), "test": range(20, 24)}


def test_a_renamed_folder_of_pickles_is_read_too(tmp_path, make_cifar10):
    inputs, _ = make_cifar10(tmp_path)
    (tmp_path / "cifar-10-batches-py").rename(tmp_path / "mine")
    np.testing.assert_array_equal(load("cifar10", data_dir=tmp_path / "mine").inputs, inputs)


def test_a_record_is_a_label_and_three_planes_in_rows(tmp_path):
    path = tmp_path / "data_batch_1.bin"
    planes = np.random.default_rng(0).integers(0, 256, (3, 32, 32), dtype=np.uint8)
    path.write_bytes(bytes([9]) + b"".join(bytes(row) for plane in planes for row in plane.tolist()))
    samples = read_batch(path)
    np.testing.assert_array_equal(samples.inputs.reshape(3, 32, 32), planes)
    np.testing.assert_array_equal(samples.labels, [9])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"test_batch.bin has 0 bytes: expected 1 to 10000 records of 3073 bytes$"),
        (RECORD[:-1], "has 3072 bytes: expected"),
        (RECORD + b"\x00", "has 3074 bytes: expected"),
        (RECORD + b"\x0a" + RECORD[1:], r"test_batch.bin has label 10 at sample 1: expected 0 to 9"),
        (bytes(30_730_001), "has more than 30730000 bytes"),
    ],
)
def test_wrong_binary_files(tmp_path, content, message):
    path = tmp_path / "test_batch.bin"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_batch(path)


DATA = np.zeros((2, 3072), np.uint8)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1], "test_batch contains a list: expected a pickled dict"),
        ({}, "has data of type NoneType"),
        ({b"data": [1, 2], b"labels": [1, 2]}, "has data of type list"),
        ({b"data": DATA[:, :-1].copy(), b"labels": [1, 2]}, r"data of shape \(2, 3071\): expected .*uint8 \(n, 3072\)"),
        ({b"data": DATA[:0], b"labels": []}, r"has data of shape \(0, 3072\)"),
        ({b"data": DATA}, "has NoneType for labels and 2 images"),
        ({b"data": DATA, b"labels": [1]}, "has 1 labels and 2 images"),
        ({b"data": DATA, b"labels": [1, 256]}, "has labels that are not classes"),
        ({b"data": DATA, b"labels": [1, True]}, "has labels that are not classes"),
        ({b"data": DATA, b"labels": [1, -1]}, "has labels that are not classes"),
        ({b"data": DATA, b"labels": [1, 10]}, "has label 10 at sample 1"),
        ({b"data": DATA.astype(np.float32), b"labels": [1, 2]}, "refuses to load this pickle.*dtype 'f4'"),
    ],
)  # fmt: skip
def test_wrong_pickles(tmp_path, content, message):
    path = tmp_path / "test_batch"
    path.write_bytes(pickle.dumps(content, 4))
    with pytest.raises(DataError, match=message) as caught:
        read_batch(path)
    assert "\n" not in str(caught.value)


def test_keys_may_be_text(tmp_path):
    path = tmp_path / "test_batch"
    path.write_bytes(pickle.dumps({"data": DATA, "labels": [1, 2]}, 2))
    np.testing.assert_array_equal(read_batch(path).labels, [1, 2])


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match=r"cannot be read \(No such file"):
        read_batch(tmp_path / "test_batch.bin")


@settings(max_examples=100, deadline=None)
@given(
    content=st.binary(max_size=50) | st.tuples(st.integers(0, 255), st.integers(-2, 2)).map(
        lambda pair: (bytes([pair[0]]) + RECORD[1:] + RECORD)[: 2 * 3073 - max(pair[1], 0)] + bytes(max(-pair[1], 0))
    ),
    name=st.sampled_from(["any.bin", "any"]),
)  # fmt: skip
def test_any_bytes(tmp_path_factory, content, name):
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(content)
    try:
        samples = read_batch(path)
    except DataError:
        return
    assert samples.inputs.shape == (len(samples.labels), 3072)
    assert samples.labels.max() <= 9


@settings(max_examples=100, deadline=None)
@given(at=st.integers(0, 200), to=st.binary(min_size=1, max_size=3), end=st.booleans())
def test_mutated_pickled_batches(tmp_path_factory, at, to, end):
    content = bytearray(pickle.dumps({b"labels": [1, 2], b"data": DATA}, 4))
    at = len(content) - at if end else at
    content[at : at + len(to)] = to
    path = tmp_path_factory.getbasetemp() / "mutated_batch"
    path.write_bytes(content)
    with suppress(DataError):
        assert read_batch(path).inputs.shape == (2, 3072)

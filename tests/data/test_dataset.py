"""Preprocessing and gathering, against the formulas written out in float64."""

import tracemalloc

import numpy as np
import pytest

from handgrad.data import PREPROCESSING, Dataset, Preprocessing, fit_preprocessing
from handgrad.errors import ConfigError

N_TRAIN, N = 150, 170


@pytest.fixture
def raw():
    rng = np.random.default_rng(1)
    scale = np.array([255, 100, 30]).reshape(1, 3, 1, 1)
    return (rng.random((N, 3, 4, 5)) * scale + [[[[0]], [[90]], [[225]]]]).astype(np.uint8)


def dataset(raw, kind):
    preprocessing = fit_preprocessing(kind, raw[:N_TRAIN], 255.0)
    splits = {"train": range(N_TRAIN), "test": range(N_TRAIN, N)}
    labels = np.arange(N) % 3
    return Dataset("toy", raw, labels, splits, ("a", "b", "c"), 255.0, preprocessing)


def expected(raw, kind):
    x, train = raw.astype(np.float64), raw[:N_TRAIN].astype(np.float64)
    return {
        "none": x,
        "unit": x / 255,
        "mean-image": x - train.mean(axis=0),
        "standard": (x - train.mean(axis=(0, 2, 3), keepdims=True)) / train.std(axis=(0, 2, 3), keepdims=True),
    }[kind]


@pytest.mark.parametrize("kind", PREPROCESSING)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("given_out", [False, True])
def test_gather_is_the_formula_in_its_dtype(raw, kind, dtype, given_out):
    indices = np.array([3, 169, 3, 0])
    out = np.full((4, 3, 4, 5), np.nan, dtype) if given_out else None
    before = raw.copy()
    got = dataset(raw, kind).gather(indices, out, **({} if given_out else {"dtype": dtype}))
    assert got.dtype == dtype
    assert (got is out) == given_out
    # float32 fits: shift and scale are stored in it, so float64 agrees to float32's precision as well
    np.testing.assert_allclose(got, expected(raw, kind)[indices], rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(raw, before)


def test_float64_is_computed_in_float64():
    shift = np.float32([1 / 3])
    x = np.arange(256, dtype=np.uint8).reshape(256, 1)
    got = Preprocessing("mean-image", shift, np.ones(1, np.float32)).apply(x, dtype=np.float64)
    np.testing.assert_array_equal(got, x.astype(np.float64) - shift.astype(np.float64))


def test_unit_reaches_one_exactly():
    for top in (16.0, 255.0):
        unit = fit_preprocessing("unit", np.zeros((1, 1, 1, 1), np.uint8), top)
        assert unit.apply(np.full((1, 1, 1, 1), top, np.float32)).item() == 1.0


def test_standard_of_float_inputs_with_a_large_mean_and_of_a_constant_channel():
    x = np.random.default_rng(2).normal(1e6, 1.0, (500, 2, 3, 3))
    x[:, 1] = 0.1
    fitted = fit_preprocessing("standard", x, 1.0)
    np.testing.assert_allclose(1 / fitted.scale[0], x[:, 0].std(), rtol=1e-6)
    assert fitted.scale[1].item() == 1.0


def test_fitting_sees_all_of_the_training_images_and_repeats_itself(raw):
    for kind in ("mean-image", "standard"):
        first, again = (fit_preprocessing(kind, raw[:N_TRAIN], 255.0) for _ in range(2))
        np.testing.assert_array_equal(first.shift, again.shift)
        np.testing.assert_array_equal(first.scale, again.scale)
        assert first.shift.dtype == first.scale.dtype == np.float32
        other = raw[:N_TRAIN].copy()
        other[-1] = 255 - other[-1]
        assert (fit_preprocessing(kind, other, 255.0).shift != first.shift).any()


def test_unknown_preprocessing(raw):
    with pytest.raises(
        ConfigError, match=r"unknown preprocessing='whiten': choose one of mean-image, unit, standard, "
    ):
        fit_preprocessing("whiten", raw, 255.0)


def test_indices_targets_and_shape(raw):
    data = dataset(raw, "none")
    test = data.indices("test")
    assert test.dtype == np.int64
    np.testing.assert_array_equal(test, np.arange(150, 170))
    np.testing.assert_array_equal(data.targets(np.array([4, 2, 4])), [1, 2, 1])
    assert data.input_shape == (3, 4, 5)
    data.targets(test)[:] = 9
    assert data.labels.max() == 2


def test_a_split_that_is_not_there(raw):
    data = dataset(raw, "none")
    with pytest.raises(ConfigError, match=r"toy has no split='dev': it has train, test$"):
        data.indices("dev")
    with pytest.raises(ConfigError, match=r"no split='validation'.*ask for one with validation_size"):
        data.indices("validation")


def test_an_index_out_of_range(raw):
    with pytest.raises(IndexError):
        dataset(raw, "none").gather(np.array([N]))


def test_gathering_keeps_no_memory(raw):
    data = dataset(raw, "standard")
    indices, out = np.arange(32), np.empty((32, 3, 4, 5), np.float32)
    data.gather(indices, out)
    tracemalloc.start()
    for _ in range(3):
        data.gather(indices, out)
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(50):
        data.gather(indices, out)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after - before < 5_000  # one batch kept in each round would be 96,000

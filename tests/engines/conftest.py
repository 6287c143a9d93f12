"""Small data sets and engines for the suites of this folder."""

from __future__ import annotations

import numpy as np
import pytest
from tests.specs import specs

from handgrad import data
from handgrad.architectures import Architecture, mlp
from handgrad.engines import OptimizerSpec
from handgrad.engines.numpy import NumpyEngine


@pytest.fixture(scope="session")
def digits() -> data.Dataset:
    return data.load("digits")


@pytest.fixture(scope="session")
def make_dataset():
    """A data set of any raw inputs (n, C, H, W) and labels, without preprocessing."""

    def make(inputs, labels, classes: int = 3, kind: str = "none") -> data.Dataset:
        return data.Dataset(
            name="made-up",
            inputs=inputs,
            labels=np.asarray(labels, np.int64),
            splits={"train": range(len(inputs)), "test": range(0)},
            classes=tuple(map(str, range(classes))),
            value_range=1.0,
            preprocessing=data.fit_preprocessing(kind, inputs, 1.0),
        )

    return make


@pytest.fixture(scope="session")
def noise(make_dataset) -> data.Dataset:
    """90 samples of 6 numbers in 3 classes."""
    rng = np.random.default_rng(0)
    return make_dataset(rng.standard_normal((90, 1, 2, 3), dtype=np.float32), rng.integers(0, 3, 90))


@pytest.fixture
def make_engine(noise):
    """An engine in float64 with a small network (batch normalisation and dropout), `noise` loaded. Options are those of
    the specs, and of the engine itself."""

    def make(
        architecture: Architecture | None = None, optimizer: OptimizerSpec | None = None, dataset=noise, **options
    ) -> NumpyEngine:
        architecture = architecture or mlp((1, 2, 3), (8, 5), 3, norm="batch", dropout=0.3, activation="elu")
        spec, loss, others = specs(**{"dtype": np.float64, **options})
        engine = NumpyEngine(architecture, optimizer or OptimizerSpec(), spec, loss, **others)
        if dataset is not None:
            engine.load(dataset)
        return engine

    return make


@pytest.fixture
def make_batches():
    """Random indices (steps, batch) into `noise`."""

    def make(steps: int, batch: int = 10, seed: int = 0, samples: int = 90) -> np.ndarray:
        return np.random.default_rng(seed).integers(0, samples, (steps, batch))

    return make

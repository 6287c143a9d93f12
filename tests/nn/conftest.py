"""Fixtures over the examples of `tests/examples.py`."""

from __future__ import annotations

import pytest
from tests.examples import LAYERS, LOSSES, OPTIMIZERS, LayerExample, LossExample, OptimizerExample


def _of(examples) -> dict:
    return {"params": examples, "ids": [example.name.replace(" ", "-") for example in examples]}


@pytest.fixture(**_of(LAYERS))
def example(request) -> LayerExample:
    return request.param


@pytest.fixture(**_of([e for e in LAYERS if e.twin is not None]))
def twinned(request) -> LayerExample:
    return request.param


@pytest.fixture(**_of([e for e in LAYERS if e.stacks]))
def stacking(request) -> LayerExample:
    return request.param


@pytest.fixture(**_of([e for e in LAYERS if e.layer().parameters()]))
def parametric(request) -> LayerExample:
    return request.param


@pytest.fixture(**_of([e for e in LAYERS if not (e.random or e.smallest_batch)]))
def sample_by_sample(request) -> LayerExample:
    """Layers in which samples do not meet and nothing moves from call to call."""
    return request.param


@pytest.fixture(**_of([e for e in LAYERS if e.stacks and not e.random]))
def stacking_alike(request) -> LayerExample:
    """Layers of which every model does the same."""
    return request.param


@pytest.fixture(**_of([e for e in LAYERS if e.wrong_shape is not None]))
def choosy(request) -> LayerExample:
    return request.param


@pytest.fixture(**_of(LOSSES))
def loss_example(request) -> LossExample:
    return request.param


@pytest.fixture(**_of(OPTIMIZERS))
def optimizer_example(request) -> OptimizerExample:
    return request.param


@pytest.fixture
def examples() -> dict[str, tuple]:
    """The whole registry."""
    return {"layers": LAYERS, "losses": LOSSES, "optimizers": OPTIMIZERS}

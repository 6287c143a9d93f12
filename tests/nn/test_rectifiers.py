"""Rectifiers joined to the linear layer before them (those after batch normalisation of images: test_images.py)."""

from __future__ import annotations

import numpy as np
import pytest

from handgrad import nn


def network(models=None):
    layers = (
        nn.Linear(30, 400, rng=0),
        nn.ReLU(),
        nn.Linear(400, 300, rng=1),
        nn.ReLU(),
        nn.Linear(300, 5, bias=False, rng=2),
    )
    whole = nn.Sequential(*layers, nn.GELU(), nn.Linear(5, 4, bias=False, rng=3), nn.BatchNorm1d(4), nn.ReLU())
    if models:
        nn.FlatParameters(whole, models)
    for i, parameter in enumerate(whole.parameters()):
        parameter.value += np.random.default_rng(i).standard_normal(parameter.value.shape).astype(np.float32) / 10
    return whole


@pytest.mark.parametrize(("models", "threads", "tolerance"), [(None, 1, 0), (3, 1, 0), (None, 2, 1e-5)])
def test_a_joined_network_computes_the_same(models, threads, tolerance):
    plain, joined = network(models), network(models)
    nn.join_rectifiers(joined)
    arena, workers = nn.Arena(), nn.Workers(threads)
    for layer in joined.modules():
        layer.work, layer.workers = arena.workspace(), workers
    able = (nn.Linear, nn.BatchNorm1d)
    assert [layer.rectifies for layer in joined if isinstance(layer, able)] == [True, True, False, False, True]
    rng = np.random.default_rng(0)
    for n in (512, 7, 512):
        for whole in (plain, joined):
            whole.train(n > 7)
        x = rng.standard_normal((n, 30), np.float32)
        y = plain.forward(x)
        assert (y == 0).any()
        assert (y > 0).any()
        np.testing.assert_allclose(joined.forward(x), y, rtol=tolerance, atol=10 * tolerance)
        dy = rng.standard_normal(y.shape, np.float32)
        np.testing.assert_allclose(joined.backward(dy), plain.backward(dy), rtol=tolerance, atol=100 * tolerance)
        for own, other in zip(joined.parameters(), plain.parameters(), strict=True):
            np.testing.assert_allclose(own.grad, other.grad, rtol=tolerance, atol=1000 * tolerance)


def test_a_layer_of_ones_own_is_not_joined():
    class Own(nn.Linear):
        def forward(self, x):
            return super().forward(x) - 1

    sequence = nn.Sequential(Own(3, 4, rng=0), nn.ReLU())
    x = np.random.default_rng(0).standard_normal((6, 3), np.float32)
    y = sequence.forward(x)
    nn.join_rectifiers(sequence)
    np.testing.assert_array_equal(sequence.forward(x), y)

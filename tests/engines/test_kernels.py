"""The NumPy engine with compiled kernels: results equal those without, resuming is exact, and a missing numba is an
error."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest

from handgrad import nn
from handgrad.architectures import mlp
from handgrad.engines import EngineSpec, OptimizerSpec, make_engine
from handgrad.engines.numpy import NumpyEngine
from handgrad.errors import ConfigError
from handgrad.kernels import linear, optimizers

SPECS = [
    OptimizerSpec("adam", weight_decay=0.01),
    OptimizerSpec("sgd"),
    OptimizerSpec("sgd", momentum=0.9, nesterov=True, weight_decay=0.01),
    OptimizerSpec("sgd", clip_norm=0.5),
    OptimizerSpec("adamw", weight_decay=0.1),
    OptimizerSpec("rmsprop"),
    OptimizerSpec("rmsprop", momentum=0.5),
    OptimizerSpec("adadelta"),
    OptimizerSpec("muon", weight_decay=0.1),
]
ACTIVATIONS = ("relu", "leaky_relu", "elu", "gelu", "silu", "sigmoid", "tanh")


def rates(steps: int, rate: float = 0.01) -> np.ndarray:
    return np.full(steps, rate)


def assert_close(a: NumpyEngine, b: NumpyEngine, tolerance: float) -> None:
    for name, array in a.state_dict().items():
        np.testing.assert_allclose(
            b.state_dict()[name], array, rtol=tolerance, atol=tolerance * np.abs(array).max(), err_msg=name
        )


# -- compiled kernels -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_numba_gives_the_numbers_of_numpy(make_engine, make_batches, spec, threads, monkeypatch):
    """40 steps in float64 agree within 1e-9, with equal dropout masks."""
    pytest.importorskip("numba")
    monkeypatch.setattr(linear, "MIN_MULTIPLY_ADDS_PER_THREAD", 1)
    monkeypatch.setattr(optimizers.SweepKernel, "min_numbers_per_thread", 16)
    # No batch normalisation: the gradient of a bias before it is 0 but for rounding, which Adam would blow up.
    network = mlp((6,), (8, 5), 3, norm="layer", dropout=0.3)
    plain, compiled = (make_engine(network, spec, threads=threads, kernels=k) for k in ("numpy", "numba"))
    others = [kernel for kernel in compiled._network.parts if not isinstance(kernel.layer, nn.Linear)]
    assert {type(kernel).__module__ for kernel in others} == {"handgrad.kernels.compiled"}
    expected, actual = (engine.train(make_batches(40), rates(40)) for engine in (plain, compiled))
    np.testing.assert_allclose(actual.loss, expected.loss, rtol=1e-9)
    np.testing.assert_array_equal(actual.correct, expected.correct)
    assert_close(plain, compiled, 1e-9)
    np.testing.assert_allclose(compiled.evaluate(np.arange(90)).loss, plain.evaluate(np.arange(90)).loss, rtol=1e-9)


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_in_float32(make_engine, make_batches, activation, norm):
    """20 steps agree within 1e-4; the difference is rounding due to the order of sums."""
    pytest.importorskip("numba")
    network = mlp((6,), (8, 5), 3, activation=activation, norm=norm, dropout=0.2)
    plain, compiled = (
        make_engine(network, OptimizerSpec("sgd", momentum=0.9), kernels=k, dtype=np.float32)
        for k in ("numpy", "numba")
    )
    expected, actual = (engine.train(make_batches(20), rates(20)) for engine in (plain, compiled))
    np.testing.assert_allclose(actual.loss, expected.loss, rtol=1e-4)
    assert all(a.dtype == np.float32 for a in compiled.state_dict().values() if a.dtype.kind == "f")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("seeds", [3, [3, 4]])
def test_a_checkpoint_goes_on_bit_for_bit(make_engine, make_batches, spec, dtype, seeds):
    pytest.importorskip("numba")
    options = {"optimizer": spec, "dtype": dtype, "init_seed": seeds, "kernels": "numba", "threads": 2}
    through, resumed = make_engine(noise_seed=8, **options), make_engine(noise_seed=99, **options)
    through.train(make_batches(6), rates(6))
    models = [None] if seeds == 3 else [0, 1]
    saved = [through.model(model).checkpoint() for model in models]
    expected = through.train(make_batches(6, seed=1), rates(6))
    resumed.train(make_batches(2, seed=7), rates(2))
    for model, (arrays, settings) in zip(models, saved, strict=True):
        resumed.model(model).restore(arrays, json.loads(json.dumps(settings)))
    actual = resumed.train(make_batches(6, seed=1), rates(6))
    np.testing.assert_array_equal(actual.loss, expected.loss)
    for name, array in through.state_dict().items():
        np.testing.assert_array_equal(resumed.state_dict()[name], array, err_msg=name)


def test_without_numba(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "numba" else find(name, *rest))
    with pytest.raises(
        ConfigError, match=r'^kernels=numba requires numba, which is not installed: pip install "handgrad\[fast\]"$'
    ):
        EngineSpec(kernels="numba")
    make_engine("numpy", mlp((4,), (), 2), OptimizerSpec())


def test_kernels_that_there_are_not():
    with pytest.raises(ConfigError, match="kernels='cuda' is unknown, expected one of numpy, numba"):
        EngineSpec(kernels="cuda")
    with pytest.raises(ConfigError, match="kernels=numba requires engine=numpy; the torch engine has --compile"):
        EngineSpec("torch", kernels="numba")


# -- the data's weight lies inputs first ------------------------------------------------------------------------------


def test_the_first_weight_lies_inputs_first(make_engine):
    first, second = (layer.weight for layer in make_engine(mlp((6,), (8,), 3)).network if isinstance(layer, nn.Linear))
    assert first.value.flags.f_contiguous
    assert first.grad.flags.f_contiguous
    assert second.value.flags.c_contiguous
    assert first.value.shape == (8, 6)


@pytest.mark.parametrize("seeds", [3, [3, 4]])
def test_its_memory_shows_nowhere(make_engine, make_batches, seeds):
    """Neither the drawn weights, nor the state, nor its effect in another engine differ."""
    engine = make_engine(mlp((6,), (8,), 3), init_seed=seeds)
    drawn = nn.Linear(6, 8, init="kaiming", rng=3, dtype=np.float64).weight.value
    state = engine.state_dict()
    np.testing.assert_array_equal(state["0.weight"] if seeds == 3 else state["0.weight"][0], drawn)
    engine.train(make_batches(3), rates(3))
    other = make_engine(mlp((6,), (8,), 3), init_seed=seeds)
    state = engine.state_dict()
    other.load_state_dict({name: np.ascontiguousarray(array) for name, array in state.items()})
    np.testing.assert_array_equal(other.evaluate(np.arange(90)).loss, engine.evaluate(np.arange(90)).loss)
    arrays, _ = engine.model(None if seeds == 3 else 0).checkpoint()
    assert arrays["optimizer/exp_sum/0.weight"].flags.c_contiguous
    moments = arrays["optimizer/exp_sum/0.weight"].reshape(-1, 8, 6)
    flat = engine._updates[0].kernel.state["exp_sum"][0]
    np.testing.assert_array_equal(moments[0].T.ravel(), flat[0, : 8 * 6])

"""The blocks of the update rules cover every parameter once and are divided among threads."""

from __future__ import annotations

import numpy as np
import pytest
from tests.examples import OPTIMIZERS

from handgrad import nn
from handgrad.kernels import Kernels, optimizers
from handgrad.kernels.kernel import NUMPY_KERNELS

rules = pytest.mark.parametrize("example", OPTIMIZERS, ids=lambda example: example.name.replace(" ", "-"))


def parameters(dtype=np.float64, shapes=((7, 5), (7,), (3, 2, 4))) -> list[nn.Parameter]:
    rng = np.random.default_rng(0)
    return [nn.Parameter(rng.standard_normal(shape).astype(dtype)) for shape in shapes]


def run(kernel, steps: int = 5) -> None:
    """Noisy gradients of a quadratic function, so that the trajectory depends on the current point."""
    for step in range(steps):
        rng = np.random.default_rng(1000 + step)
        for parameter in kernel.rule.parameters:
            noise = rng.standard_normal(parameter.value.shape).astype(parameter.value.dtype)
            parameter.grad[...] = parameter.value + noise
        kernel.step()


def sweeping(example, parameters, threads: int = 1, rate=None):
    kernel = Kernels(threads).lend(example.optimizer(parameters, rate))
    assert isinstance(kernel, optimizers.SweepKernel)
    return kernel


def assert_same(one, other) -> None:
    for a, b in zip(one.rule.parameters, other.rule.parameters, strict=True):
        np.testing.assert_array_equal(a.value, b.value)
    assert one.state.keys() == other.state.keys()
    for name, arrays in one.state.items():
        for a, b in zip(arrays, other.state[name], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("shape", [(200,), (1, 203), (3, 101), (40, 7), (5, 4, 9), (0,), (3, 0), ()])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@rules
def test_blocks_change_nothing(example, monkeypatch, shape, dtype):
    whole, cut = (sweeping(example, parameters(dtype, (shape,))) for _ in range(2))
    run(whole)
    monkeypatch.setattr(optimizers, "BLOCK", 16)
    run(cut)
    assert_same(whole, cut)


@rules
def test_an_array_of_many_blocks_is_swept_whole(example):
    large = nn.Parameter(np.ones((1, 2 * optimizers.BLOCK + 5)))
    small = nn.Parameter(np.ones((1, 1)))
    kernel = sweeping(example, [large, small])
    for _ in range(3):
        large.grad.fill(0.5)
        small.grad.fill(0.5)
        kernel.step()
    assert small.value[0, 0] < 1
    np.testing.assert_array_equal(large.value, np.full_like(large.value, small.value[0, 0]))


@pytest.mark.parametrize("shape", [(1, 100), (1, 97), (3, 33), (200, 5), (7,), (2, 3, 50), ()])
def test_blocks_cover_every_element_once_and_stay_small(shape):
    array = np.zeros(shape)
    for (block,) in optimizers._blocks([array], 32):
        block += 1
        assert block.size <= max(32, int(np.prod(shape[:-1])))
    np.testing.assert_array_equal(array, 1)


@pytest.mark.parametrize("threads", [2, 3])
@rules
def test_threads_change_nothing(example, threads, monkeypatch):
    monkeypatch.setattr(optimizers, "BLOCK", 16)
    shapes = ((200,), (3, 50))
    alone = sweeping(example, parameters(shapes=shapes))
    shared = sweeping(example, parameters(shapes=shapes), threads)
    monkeypatch.setattr(type(shared), "min_numbers_per_thread", 1)
    shares = []
    monkeypatch.setattr(shared.workers, "run", lambda sweep, parts: shares.append(len(parts)) or map_all(sweep, parts))
    run(alone)
    run(shared)
    assert shares == [threads] * 5
    assert_same(alone, shared)


def map_all(function, parts) -> None:
    for part in parts:
        function(part)


@pytest.mark.parametrize("size", [50, 2 * optimizers.BLOCK // 3])
@rules
def test_a_stack_with_learning_rates_is_its_models_apart(example, size):
    rates = np.array([[0.1], [0.01], [0.0]])
    (stack,) = parameters(shapes=((3, size),))
    alone = [nn.Parameter(stack.value[m].copy()) for m in range(3)]
    kernel = sweeping(example, [stack], rate=rates)
    others = [sweeping(example, [alone[m]], rate=float(rates[m, 0])) for m in range(3)]
    for step in range(4):
        stack.grad[...] = stack.value + np.random.default_rng(step).standard_normal(stack.value.shape)
        for m in range(3):
            alone[m].grad[...] = stack.grad[m]
            others[m].step()
        kernel.step()
    for m in range(3):
        np.testing.assert_array_equal(stack.value[m], alone[m].value)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("make", "options"),
    [
        (nn.SGD, {"momentum": [0.9, 0.1, 0.5], "weight_decay": [0.0, 0.3, 0.01]}),
        (nn.SGD, {"momentum": [0.9, 0.1, 0.5], "weight_decay": [0.0, 0.3, 0.01], "nesterov": True}),
        (nn.Adam, {"weight_decay": [0.0, 0.3, 0.01]}),
        (nn.AdamW, {"weight_decay": [0.0, 0.3, 0.01]}),
        (nn.RMSprop, {"momentum": [0.9, 0.1, 0.5], "weight_decay": [0.1, 0.3, 0.01]}),
        (nn.Adadelta, {"weight_decay": [0.0, 0.3, 0.01]}),
    ],
)
def test_a_stack_with_numbers_of_its_own_is_its_models_apart_bit_for_bit(make, options, dtype):
    """Compares the kernel with the rule itself, up to rounding."""
    switches = {name: value for name, value in options.items() if not isinstance(value, list)}
    numbers = {name: value for name, value in options.items() if isinstance(value, list)}
    rates = [0.1, 0.0123, 0.3]
    (stack,) = parameters(dtype, ((3, 50),))
    itself = nn.Parameter(stack.value.copy())
    alone = [nn.Parameter(stack.value[m].copy()) for m in range(3)]
    of_models = {name: np.array(value)[:, None] for name, value in numbers.items()}
    rule = make([itself], np.array(rates)[:, None], **of_models, **switches)
    kernel = Kernels().lend(make([stack], np.array(rates)[:, None], **of_models, **switches))
    others = [
        Kernels().lend(make([alone[m]], rates[m], **{name: value[m] for name, value in numbers.items()}, **switches))
        for m in range(3)
    ]
    for step in range(4):
        noise = np.random.default_rng(step).standard_normal(stack.value.shape).astype(dtype)
        itself.grad[...] = itself.value + noise
        stack.grad[...] = stack.value + noise
        for m in range(3):
            alone[m].grad[...] = alone[m].value + noise[m]
            others[m].step()
        kernel.step()
        rule.step()
    for m in range(3):
        np.testing.assert_array_equal(stack.value[m], alone[m].value)
    np.testing.assert_allclose(itself.value, stack.value, rtol=0, atol=1e-5 * abs(stack.value).max())


def test_parameters_that_moved_in_memory_are_followed():
    """Blocks are created again if an array is replaced."""
    (parameter,) = parameters(shapes=((3, 4),))
    kernel = Kernels().lend(nn.SGD([parameter], 0.5))
    for _ in range(2):
        parameter.value, parameter.grad = np.ones((3, 4)), np.ones((3, 4))
        kernel.step()
        np.testing.assert_array_equal(parameter.value, np.full((3, 4), 0.5))


def test_the_state_is_the_kernels():
    (parameter,) = parameters(shapes=((3, 4),))
    rule = nn.Adam([parameter])
    kernel = Kernels().lend(rule)
    assert rule.state == {}
    assert [array.shape for arrays in kernel.state.values() for array in arrays] == [(3, 4)] * 2


def test_every_rule_with_a_kernel_has_an_example():
    kinds = {kind for kind in NUMPY_KERNELS if issubclass(kind, nn.Optimizer)}
    assert {example.make for example in OPTIMIZERS} == kinds

"""The optimisers: PyTorch's rules step by step, blocks, state, errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from handgrad import nn
from handgrad.kernels import FlatParameters

SHAPES = ((7, 5), (7,), (3, 2, 4))


def parameters(seed: int = 0, dtype=np.float64, shapes=SHAPES) -> list[nn.Parameter]:
    rng = np.random.default_rng(seed)
    return [nn.Parameter(rng.standard_normal(shape).astype(dtype)) for shape in shapes]


def gradients(step: int, parameters: list[nn.Parameter]) -> None:
    """Sets noisy gradients of a bowl, so that the trajectory depends on where it is."""
    rng = np.random.default_rng(1000 + step)
    for parameter in parameters:
        noise = rng.standard_normal(parameter.value.shape).astype(parameter.value.dtype)
        parameter.grad[...] = parameter.value + noise


def run(optimizer: nn.Optimizer, steps: range) -> None:
    for step in steps:
        gradients(step, optimizer.parameters)
        optimizer.step()


# float32: 150 steps of rounding in another order than PyTorch's, each of about 1e-7
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 2e-5)])
def test_pytorch(optimizer_example, dtype, tolerance, close):
    ours = parameters(dtype=dtype)
    tensors = [torch.tensor(p.value) for p in ours]
    optimizer = optimizer_example.optimizer(ours)
    theirs = optimizer_example.torch_optimizer(tensors)
    for step in range(150):
        gradients(step, ours)
        for tensor, parameter in zip(tensors, ours, strict=True):
            tensor.grad = torch.tensor(parameter.grad)
        optimizer.step()
        theirs.step()
        for tensor, parameter in zip(tensors, ours, strict=True):
            assert parameter.value.dtype == dtype
            close(parameter.value, tensor, tolerance)
    assert optimizer.steps == 150


def test_the_learning_rate_may_change_between_steps(optimizer_example, close):
    ours = parameters()
    tensors = [torch.tensor(p.value) for p in ours]
    optimizer, theirs = optimizer_example.optimizer(ours), optimizer_example.torch_optimizer(tensors)
    for step in range(20):
        rate = 0.1 / (1 + step)
        optimizer.learning_rate = theirs.param_groups[0]["lr"] = rate
        gradients(step, ours)
        for tensor, parameter in zip(tensors, ours, strict=True):
            tensor.grad = torch.tensor(parameter.grad)
        optimizer.step()
        theirs.step()
    for tensor, parameter in zip(tensors, ours, strict=True):
        close(parameter.value, tensor)


def test_defaults_are_pytorchs():
    names = {
        nn.SGD: ("momentum", "nesterov", "weight_decay"),
        nn.Adam: ("betas", "eps", "weight_decay"),
        nn.RMSprop: ("alpha", "eps", "momentum", "centered", "weight_decay"),
        nn.Adadelta: ("rho", "eps", "weight_decay"),
    }
    for rule, settings in names.items():
        ours, theirs = rule(parameters(), 0.1), getattr(torch.optim, rule.__name__)([torch.zeros(1)], 0.1)
        assert {name: getattr(ours, name) for name in settings} == {n: theirs.param_groups[0][n] for n in settings}
    for rule in (nn.Adam, nn.AdamW, nn.RMSprop, nn.Adadelta):
        theirs = getattr(torch.optim, rule.__name__)([torch.zeros(1)])
        assert rule(parameters()).learning_rate == theirs.param_groups[0]["lr"]


# -- by hand ----------------------------------------------------------------------------------------------------------


def walk(optimizer: nn.Optimizer, grads) -> list[float]:
    (parameter,) = optimizer.parameters
    values = []
    for grad in grads:
        parameter.grad[...] = grad
        optimizer.step()
        values.append(float(parameter.value[0]))
    return values


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [10 - 0.5 * 2, 9 - 0.5 * 4]),
        ({"momentum": 0.5}, [9, 9 - 0.5 * (0.5 * 2 + 4)]),
        ({"momentum": 0.5, "nesterov": True}, [10 - 0.5 * (2 + 1), 8.5 - 0.5 * (4 + 0.5 * 5)]),
        ({"weight_decay": 0.1}, [10 - 0.5 * (2 + 1), 8.5 - 0.5 * (4 + 0.85)]),
    ],
)
def test_sgd_by_hand(options, expected):
    optimizer = nn.SGD([nn.Parameter(np.array([10.0]))], 0.5, **options)
    assert walk(optimizer, [2, 4]) == pytest.approx(expected, rel=1e-15)


def test_adam_by_hand():
    # m = 1, v = 1; corrected 2 and 4: a step of 0.5 · 2 / (2 + 0.5) = 0.2 from eps = 1/2.
    # Then m = 2.5, v = 4.75; corrected 2.5 / (3/4) = 10/3 and 4.75 / (7/16) = 76/7.
    optimizer = nn.Adam([nn.Parameter(np.array([10.0]))], 0.5, betas=(0.5, 0.75), eps=0.5)
    second = 0.5 * (10 / 3) / ((76 / 7) ** 0.5 + 0.5)
    assert walk(optimizer, [2, 4]) == pytest.approx([10 - 0.4, 9.6 - second], rel=1e-14)


# -- stacks -----------------------------------------------------------------------------------------------------------


def test_a_stack_with_learning_rates_is_its_models_apart(optimizer_example):
    rates = np.array([[0.1], [0.01], [0.0]])
    stack = parameters(shapes=((3, 50),))
    alone = [[nn.Parameter(stack[0].value[m].copy())] for m in range(3)]
    optimizer = optimizer_example.optimizer(stack, rates)
    others = [optimizer_example.optimizer(alone[m], float(rates[m, 0])) for m in range(3)]
    for step in range(4):
        gradients(step, stack)
        for m in range(3):
            alone[m][0].grad[...] = stack[0].grad[m]
            others[m].step()
        optimizer.step()
    for m in range(3):
        np.testing.assert_array_equal(stack[0].value[m], alone[m][0].value)


def test_a_flat_network_moves_as_its_parameters_do(optimizer_example, close):
    def network():
        return nn.Sequential(nn.Linear(4, 5, rng=0), nn.Tanh(), nn.Linear(5, 3, rng=1)).astype(np.float64)

    apart, flat_network = network(), network()
    flat = FlatParameters(flat_network, dtype=np.float64)
    optimizers_ = optimizer_example.optimizer(apart), optimizer_example.optimizer([flat.whole()])
    x = np.random.default_rng(0).standard_normal((6, 4))
    for _ in range(3):
        for net, optimizer in zip((apart, flat_network), optimizers_, strict=True):
            net.backward(net.forward(x))
            optimizer.step()
    for name, array in apart.state_dict().items():
        np.testing.assert_array_equal(flat_network.state_dict()[name], array)


def test_gradients_are_not_written_to(optimizer_example):
    ours = parameters()
    gradients(0, ours)
    before = [p.grad.copy() for p in ours]
    optimizer = optimizer_example.optimizer(ours)
    values = [p.value for p in ours]
    for parameter in ours:
        parameter.grad.flags.writeable = False
    optimizer.step()
    for parameter, grad, value in zip(ours, before, values, strict=True):
        np.testing.assert_array_equal(parameter.grad, grad)
        assert parameter.value is value


# -- state ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_going_on_from_a_state_is_going_on(optimizer_example, dtype):
    through = parameters(dtype=dtype)
    optimizer = optimizer_example.optimizer(through)
    run(optimizer, range(10))
    resumed = [nn.Parameter(p.value.copy()) for p in through]
    state = optimizer.state_dict()
    run(optimizer, range(10, 20))
    second = optimizer_example.optimizer(resumed)
    second.load_state_dict(state)
    assert second.steps == 10
    run(second, range(10, 20))
    for a, b in zip(through, resumed, strict=True):
        np.testing.assert_array_equal(a.value, b.value)
    assert state.keys() == second.state_dict().keys()
    assert not any(np.shares_memory(a, b) for arrays in second.state.values() for a in arrays for b in state.values())


def test_state_that_does_not_fit_changes_nothing():
    optimizer = nn.Adam(parameters())
    run(optimizer, range(2))
    good = optimizer.state_dict()
    last = "exp_avg_sq.2"
    bad = {name: np.asarray(array + 1) for name, array in good.items()}
    with pytest.raises(ValueError, match=r"the state of Adam has \['exp_avg.0', .*'steps'\], got \['exp_avg"):
        optimizer.load_state_dict({name: array for name, array in bad.items() if name != last})
    with pytest.raises(ValueError, match=r"the state of Adam has .*, got .*'more'"):
        optimizer.load_state_dict({**bad, "more": np.zeros(1)})
    with pytest.raises(ValueError, match=r"exp_avg_sq.2: expected shape=\(3, 2, 4\), got shape=\(2,\)"):
        optimizer.load_state_dict({**bad, last: np.zeros(2)})
    for name, array in optimizer.state_dict().items():
        np.testing.assert_array_equal(array, good[name])


# -- clipping ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_norm", [0.1, 5.0, 1e6])
def test_clipping_is_pytorchs(max_norm, close):
    ours = parameters()
    gradients(0, ours)
    tensors = [torch.tensor(p.value) for p in ours]
    for tensor, parameter in zip(tensors, ours, strict=True):
        tensor.grad = torch.tensor(parameter.grad)
    expected = torch.nn.utils.clip_grad_norm_(tensors, max_norm)
    close(nn.clip_gradient_norm(ours, max_norm), expected.numpy())
    for tensor, parameter in zip(tensors, ours, strict=True):
        close(parameter.grad, tensor.grad)


def test_each_model_of_a_stack_is_clipped_by_its_own_norm(close):
    stack = nn.Parameter(np.zeros((3, 2), np.float32))
    stack.grad[...] = [[3, 4], [0.3, 0.4], [0, 0]]
    close(nn.clip_gradient_norm([stack], 1.0, stacked=True), np.float32([5, 0.5, 0]), 1e-6)
    close(stack.grad, np.float32([[0.6, 0.8], [0.3, 0.4], [0, 0]]), 1e-6)
    assert stack.grad.dtype == np.float32


def test_clipping_takes_a_network():
    network = nn.Linear(3, 2, rng=0)
    network.weight.grad[...] = 1
    network.bias.grad[...] = 1
    assert nn.clip_gradient_norm(network, 1.0) == pytest.approx(8**0.5)
    assert nn.clip_gradient_norm(network.parameters(), 1.0) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("max_norm", [0, -1.0, float("nan")])
def test_a_norm_that_cannot_be(max_norm, unchecked):
    with pytest.raises(ValueError, match=r"clip_gradient_norm got max_norm=.*, expected more than 0"):
        nn.clip_gradient_norm(parameters(), max_norm)


# -- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: nn.SGD(p, -0.1), "SGD got learning_rate=-0.1, expected at least 0"),
        (lambda p: nn.Adam(p, float("nan")), "Adam got learning_rate=nan, expected at least 0"),
        (lambda p: nn.SGD(p, 0.1, weight_decay=-1), "SGD got weight_decay=-1, expected at least 0"),
        (lambda p: nn.SGD(p, 0.1, momentum=1.0), r"SGD got momentum=1.0, expected a share in \[0, 1\)"),
        (lambda p: nn.SGD(p, 0.1, momentum=-0.1), r"SGD got momentum=-0.1, expected a share in \[0, 1\)"),
        (lambda p: nn.SGD(p, 0.1, nesterov=True), "nesterov=True with momentum=0, expected momentum above 0"),
        (lambda p: nn.Adam(p, betas=(0.9, 1.0)), r"Adam got betas=\(0.9, 1.0\), expected both in \[0, 1\)"),
        (lambda p: nn.Adam(p, betas=(-0.1, 0.9)), r"Adam got betas=\(-0.1, 0.9\), expected both in \[0, 1\)"),
        (lambda p: nn.Adam(p, eps=-1e-8), "Adam got eps=-1e-08, expected at least 0"),
        (lambda p: nn.AdamW(p, betas=(1.0, 0.9)), r"AdamW? got betas=\(1.0, 0.9\), expected both in \[0, 1\)"),
        (lambda p: nn.RMSprop(p, alpha=1.0), r"RMSprop got alpha=1.0, expected a share in \[0, 1\)"),
        (lambda p: nn.RMSprop(p, momentum=-1), r"RMSprop got momentum=-1, expected a share in \[0, 1\)"),
        (lambda p: nn.RMSprop(p, eps=-1), "RMSprop got eps=-1, expected at least 0"),
        (lambda p: nn.Adadelta(p, rho=1.5), r"Adadelta got rho=1.5, expected a share in \[0, 1\)"),
        (lambda p: nn.Adadelta(p, eps=0.0), "Adadelta got eps=0.0, expected more than 0"),
    ],
)
def test_settings_that_cannot_be(make, message, unchecked):
    with pytest.raises(ValueError, match=message):
        make(parameters())


def test_a_parameter_that_is_given_twice():
    (parameter,) = parameters(shapes=((2, 3),))
    with pytest.raises(ValueError, match="SGD got the same parameter twice: each step would update it twice"):
        nn.SGD([parameter, parameter], 0.1)


def test_a_stack_of_learning_rates_is_checked_whole():
    with pytest.raises(ValueError, match=r"SGD got learning_rate=\[\[ ?0.1\]\n \[-0.1\]\], expected at least 0"):
        nn.SGD(parameters(), np.array([[0.1], [-0.1]]))


def test_an_iterable_or_a_network():
    network = nn.Sequential(nn.Linear(2, 3, rng=0), nn.ReLU(), nn.Linear(3, 1, rng=0))
    assert nn.SGD(network, 0.1).parameters == network.parameters()
    assert nn.SGD(iter(network.parameters()), 0.1).parameters == network.parameters()

"""First oracle: PyTorch's layer with the same parameters gives the same output, gradients and running figures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from handgrad import nn


def twin_of(layer: nn.Layer, module: torch.nn.Module) -> torch.nn.Module:
    """`module` with the layer's state, in float64."""
    module = module.double()
    module.load_state_dict({name: torch.tensor(a) for name, a in layer.state_dict().items()}, strict=True)
    return module


def test_forward_and_gradients(twinned, close):
    x = twinned.input(7)
    dy = twinned.upstream(x)
    layer = twinned.layer()
    module = twin_of(layer, twinned.twin())
    x_torch = torch.tensor(x, requires_grad=True)
    y = module(x_torch)
    y.backward(torch.tensor(dy))
    close(layer.forward(x), y.detach())
    close(layer.backward(dy), x_torch.grad)
    parameters = dict(module.named_parameters())
    assert parameters.keys() == dict(layer.named_parameters()).keys()
    for name, parameter in layer.named_parameters():
        close(parameter.grad, parameters[name].grad)


def test_float32(twinned, close):
    x = twinned.input(7, np.float32)
    layer = twinned.layer(np.float32)
    module = twin_of(layer, twinned.twin()).float()
    y = layer.forward(x)
    close(y, module(torch.tensor(x)).detach(), twinned.float32_error)


def test_the_order_of_the_state_is_pytorchs(twinned):
    layer = twinned.layer()
    assert [name for name, _ in layer.named_parameters()] == [name for name, _ in twinned.twin().named_parameters()]
    assert [name for name, _ in layer.named_buffers()] == [name for name, _ in twinned.twin().named_buffers()]


@pytest.mark.parametrize("momentum", [0.1, 0.0, 1.0])
def test_running_statistics(close, momentum):
    rng = np.random.default_rng(0)
    layer = nn.BatchNorm1d(4, momentum=momentum, dtype=np.float64)
    module = torch.nn.BatchNorm1d(4, momentum=momentum).double()
    for n in (5, 2, 17):
        x = 3 + 2 * rng.standard_normal((n, 4))
        close(layer.forward(x), module(torch.tensor(x)).detach())
        close(layer.running_mean, module.running_mean)
        close(layer.running_var, module.running_var)
    assert layer.num_batches_tracked == module.num_batches_tracked == 3
    assert layer.num_batches_tracked.dtype == np.int64
    layer.eval()
    module.eval()
    x = rng.standard_normal((3, 4))
    before = layer.state_dict()
    close(layer.forward(x), module(torch.tensor(x)).detach())
    for name, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_defaults_are_pytorchs():
    ours, theirs = nn.BatchNorm1d(3), torch.nn.BatchNorm1d(3)
    assert (ours.eps, ours.momentum) == (theirs.eps, theirs.momentum)
    for name, array in ours.state_dict().items():
        np.testing.assert_array_equal(array, theirs.state_dict()[name])
    ours, theirs = nn.LayerNorm(3), torch.nn.LayerNorm(3)
    assert ours.eps == theirs.eps
    for name, array in ours.state_dict().items():
        np.testing.assert_array_equal(array, theirs.state_dict()[name])
    assert nn.LeakyReLU().negative_slope == torch.nn.LeakyReLU().negative_slope
    assert nn.ELU().alpha == torch.nn.ELU().alpha
    softplus = torch.nn.Softplus()
    assert (nn.Softplus().beta, nn.Softplus().threshold) == (softplus.beta, softplus.threshold)
    assert nn.Dropout().p == torch.nn.Dropout().p


@pytest.mark.parametrize(
    ("layer", "module"),
    [
        (nn.ReLU(), torch.nn.ReLU()),
        (nn.LeakyReLU(), torch.nn.LeakyReLU()),
        (nn.LeakyReLU(0.3), torch.nn.LeakyReLU(0.3)),
        (nn.LeakyReLU(0.0), torch.nn.LeakyReLU(0.0)),
        (nn.LeakyReLU(1.0), torch.nn.LeakyReLU(1.0)),
        (nn.LeakyReLU(1.5), torch.nn.LeakyReLU(1.5)),
        (nn.ELU(), torch.nn.ELU()),
        (nn.ELU(2.5), torch.nn.ELU(2.5)),
        (nn.ELU(0.2), torch.nn.ELU(0.2)),
    ],
    ids=repr,
)
def test_at_the_kink_and_far_from_it(layer, module, close):
    x = np.array([[0.0, -0.0, 5e-324, -5e-324, 1e-300, -1e-300, 1e3, -1e3, 1e308, -1e308]])
    x_torch = torch.tensor(x, requires_grad=True)
    y = module(x_torch)
    y.backward(torch.ones_like(y))
    np.testing.assert_array_equal(layer.forward(x), y.detach())
    close(layer.backward(np.ones_like(x)), x_torch.grad)


@pytest.mark.parametrize(
    ("layer", "module"),
    [
        (nn.Sigmoid(), torch.nn.Sigmoid()),
        (nn.Tanh(), torch.nn.Tanh()),
        (nn.SiLU(), torch.nn.SiLU()),
        (nn.Softplus(), torch.nn.Softplus()),
        (nn.Softplus(0.5, 2.0), torch.nn.Softplus(0.5, 2.0)),
    ],
    ids=repr,
)
def test_saturated(layer, module, close):
    x = np.array([[0.0, 1e-300, 1e3, -1e3, 1e308, -1e308, 40.0, -40.0]])
    x_torch = torch.tensor(x, requires_grad=True)
    y = module(x_torch)
    y.backward(torch.ones_like(y))
    close(layer.forward(x), y.detach())
    close(layer.backward(np.ones_like(x)), x_torch.grad)


def test_dropout_with_the_same_mask(close):
    x = np.random.default_rng(0).standard_normal((50, 40))
    dy = np.random.default_rng(1).standard_normal((50, 40))
    layer = nn.Dropout(0.3, rng=7)
    y, dx = layer.forward(x), layer.backward(dy)
    kept = torch.tensor(y != 0).double()
    x_torch = torch.tensor(x, requires_grad=True)
    expected = x_torch * kept / (1 - 0.3)
    expected.backward(torch.tensor(dy))
    close(y, expected.detach(), 1e-15)
    close(dx, x_torch.grad, 1e-15)


@pytest.mark.parametrize("approximate", ["tanh", "none"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gelu_from_end_to_end(approximate, dtype, close):
    """Dense where it bends, and far out; PyTorch's tanh form gives nan from about 1e13 in float32, ours goes on."""
    x = np.concatenate([np.linspace(-12, 12, 20001), [1e-300, -1e-300, 1e3, -1e3, 1e4, -1e4]]).astype(dtype)[None]
    layer, module = nn.GELU(approximate), torch.nn.GELU(approximate)
    x_torch = torch.tensor(x, requires_grad=True)
    y = module(x_torch)
    y.backward(torch.ones_like(y))
    far = np.abs(x) > 100
    for ours, theirs in ((layer.forward(x), y.detach().numpy()), (layer.backward(np.ones_like(x)), x_torch.grad)):
        theirs = np.asarray(theirs)
        close(ours[far], theirs[far], 1e-7)
        close(ours[~far], theirs[~far], 4e-6 if dtype == np.float32 else 1e-14)
    huge = np.array([[1e30, -1e30]], dtype)
    np.testing.assert_array_equal(layer.forward(huge), [[dtype(1e30), 0]])
    np.testing.assert_array_equal(layer.backward(np.ones_like(huge)), [[1, 0]])


@pytest.mark.parametrize("layer", [nn.SiLU(), nn.Softplus(), nn.GELU(), nn.GELU("tanh")], ids=repr)
def test_logits_of_ten_thousand_in_float32(layer):
    x = np.array([[1e4, -1e4, 1e30, -1e30, 0]], np.float32)
    y = layer.forward(x)
    np.testing.assert_array_equal(y[:, :4], [[1e4, 0, np.float32(1e30), 0]])
    np.testing.assert_array_equal(layer.backward(np.ones_like(x)), [[1, 0, 1, 0, 0.5]])

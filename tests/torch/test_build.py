"""Networks from their description, with hand-written gradients and with autograd's."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

import handgrad.torch as ht
from handgrad import architectures
from handgrad.architectures import ACTIVATIONS, Architecture, LayerSpec, mlp
from handgrad.errors import ConfigError

ARCHITECTURES = {
    "mlp": mlp((6,), (8, 5), 3),
    "batch": mlp((1, 2, 3), (8, 5), 3, norm="batch", activation="elu", dropout=0.3),
    "group": mlp((6,), (8, 6), 3, norm="group", num_groups=2),
    "rms": mlp((6,), (8,), 3, norm="rms"),
    "vgg group": architectures.vgg((3, 16, 16), 10, width=4, norm="group", num_groups=2),
    "layer": mlp((6,), (8,), 3, norm="layer", activation="leaky_relu", negative_slope=0.2),
    **{activation: mlp((6,), (8,), 3, activation=activation) for activation in ACTIVATIONS},
    "vgg": architectures.vgg((3, 16, 16), 10, width=4),
    "preact-resnet": architectures.preact_resnet((3, 16, 16), 10, width=4),
    "pooling": Architecture(
        "pooling",
        (2, 8, 8),
        (
            LayerSpec(
                "conv2d",
                {"in_channels": 2, "out_channels": 4, "kernel_size": [3, 2], "stride": 2, "groups": 2, "gain": 1.0},
            ),
            LayerSpec("avg_pool2d", {"kernel_size": [2, 2], "stride": 1}),
            LayerSpec("global_avg_pool2d"),
            LayerSpec("softmax"),
        ),
    ),
}


@pytest.fixture(params=ARCHITECTURES)
def architecture(request) -> Architecture:
    return ARCHITECTURES[request.param]


def fixed_masks():
    generator = torch.Generator().manual_seed(0)
    return lambda x, p: ht.draw_mask(x, p, generator)


def parameters_of(architecture: Architecture) -> int:
    return sum(parameter.numel() for parameter in ht.build(architecture).parameters())


def test_both_give_the_same(architecture):
    """Loss and all gradients of a training batch, from the same weights and masks; then the scores in evaluation."""
    hand, autograd = (ht.build(architecture, g, masks=fixed_masks()).double() for g in ("hand", "autograd"))
    autograd.load_state_dict(hand.state_dict(), strict=True)
    hand.load_state_dict(autograd.state_dict(), strict=True)
    x = torch.randn(4, *architecture.input_shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 2, 1, 1])
    loss, expected = ht.SoftmaxCrossEntropy()(hand(x), labels), torch.nn.CrossEntropyLoss()(autograd(x), labels)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    loss.backward()
    expected.backward()
    for (name, a), (_, b) in zip(hand.named_parameters(), autograd.named_parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-9, atol=1e-12, msg=name)
    torch.testing.assert_close(hand.eval()(x), autograd.eval()(x), rtol=1e-10, atol=1e-12)


def test_size_and_shape_are_as_described(architecture):
    network = ht.build(architecture)
    assert sum(parameter.numel() for parameter in network.parameters()) == architecture.parameters
    assert network.eval()(torch.zeros(2, *architecture.input_shape)).shape == (2, *architecture.output_shape)


def test_names_are_those_of_nn(architecture):
    from handgrad.engines import numpy

    try:
        network = numpy.build(architecture)
    except ConfigError:
        pytest.skip("handgrad.nn has no such layer")
    for gradients in ht.GRADIENTS:
        state = ht.build(architecture, gradients).state_dict()
        assert {name: tuple(tensor.shape) for name, tensor in state.items()} == {
            name: array.shape for name, array in network.state_dict().items()
        }


def test_names_inside_of_a_residual_block():
    state = ht.build(ARCHITECTURES["preact-resnet"]).state_dict()
    assert {"0.weight", "1.0.weight", "1.0.running_mean", "1.2.weight", "1.2.bias"} <= set(state)


def test_whole_networks_have_the_courses_size():
    assert parameters_of(architectures.vgg((3, 32, 32), 10)) == 9_231_114
    assert parameters_of(architectures.preact_resnet((3, 32, 32), 10)) == 11_138_122


def test_every_kind_is_built():
    for kind in architectures.KINDS.values():
        twin = getattr(ht, kind.layer)
        assert issubclass(twin, torch.nn.Module)
        assert kind.layer == "Residual" or hasattr(twin, "autograd") or hasattr(torch.nn, kind.layer)


def test_autograds_modules_are_pytorchs_own():
    for name, architecture in ARCHITECTURES.items():
        for module in ht.build(architecture, "autograd").modules():
            if not isinstance(module, ht.Residual):
                assert type(module).__module__.startswith("torch."), name


def test_a_hand_written_network_calls_no_kernel_that_is_a_derivative(architecture, recording):
    network = ht.build(architecture)
    with recording() as recorder:
        scores = network(torch.randn(4, *architecture.input_shape))
        ht.SoftmaxCrossEntropy()(scores, torch.tensor([0, 2, 1, 1])).backward()
    assert recorder.forbidden == []
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_errors():
    with pytest.raises(ConfigError, match="gradients='none' is unknown, expected one of hand, autograd"):
        ht.build(ARCHITECTURES["mlp"], "none")


def test_a_kind_that_is_not_there(monkeypatch):
    monkeypatch.delattr(ht, "ELU")
    with pytest.raises(ConfigError, match=r"handgrad\.torch has no layer 'elu': train it with engine=numpy"):
        ht.build(ARCHITECTURES["elu"])


def test_without_pytorch():
    code = "import sys; sys.modules['torch'] = None; import handgrad; handgrad.nn; handgrad.torch"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert 'handgrad.torch requires PyTorch, which is not installed: pip install "handgrad[torch]"' in result.stderr


def test_pytorch_is_not_imported_unasked():
    code = "import sys, handgrad; handgrad.nn, handgrad.engines; assert 'torch' not in sys.modules; handgrad.torch.ReLU"
    subprocess.run([sys.executable, "-c", code], check=True)

"""The modules against PyTorch's own and against `handgrad.nn`: values, gradients, state, errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch

import handgrad.torch as ht
from handgrad import nn


@dataclass(frozen=True)
class ModuleExample:
    name: str
    make: Callable[[], torch.nn.Module]
    twin: Callable[[], torch.nn.Module] | None
    shape: tuple[int, ...] = (4,)


MODULES = (
    ModuleExample("Linear", lambda: ht.Linear(4, 3), lambda: torch.nn.Linear(4, 3)),
    ModuleExample(
        "Linear without bias", lambda: ht.Linear(4, 3, bias=False), lambda: torch.nn.Linear(4, 3, bias=False)
    ),
    ModuleExample("Identity", ht.Identity, torch.nn.Identity),
    ModuleExample("ReLU", ht.ReLU, torch.nn.ReLU),
    ModuleExample("LeakyReLU", lambda: ht.LeakyReLU(0.3), lambda: torch.nn.LeakyReLU(0.3)),
    ModuleExample("ELU", lambda: ht.ELU(0.7), lambda: torch.nn.ELU(0.7)),
    ModuleExample("Sigmoid", ht.Sigmoid, torch.nn.Sigmoid),
    ModuleExample("Tanh", ht.Tanh, torch.nn.Tanh),
    ModuleExample("GELU", ht.GELU, torch.nn.GELU),
    ModuleExample("GELU tanh", lambda: ht.GELU("tanh"), lambda: torch.nn.GELU(approximate="tanh")),
    ModuleExample("SiLU", ht.SiLU, torch.nn.SiLU),
    ModuleExample("Softplus", ht.Softplus, torch.nn.Softplus),
    ModuleExample("Softplus 2", lambda: ht.Softplus(2.0, 1.0), lambda: torch.nn.Softplus(2.0, 1.0)),
    ModuleExample("Softmax", ht.Softmax, lambda: torch.nn.Softmax(-1)),
    ModuleExample("LogSoftmax", ht.LogSoftmax, lambda: torch.nn.LogSoftmax(-1)),
    ModuleExample("Dropout", ht.Dropout, None),
    ModuleExample("Flatten", ht.Flatten, torch.nn.Flatten, (2, 3, 4)),
    ModuleExample("Residual", lambda: ht.Residual(ht.Linear(4, 4), ht.Tanh()), None),
    ModuleExample("BatchNorm1d", lambda: ht.BatchNorm1d(4), lambda: torch.nn.BatchNorm1d(4)),
    ModuleExample(
        "BatchNorm1d options", lambda: ht.BatchNorm1d(4, 0.1, 0.3), lambda: torch.nn.BatchNorm1d(4, 0.1, 0.3)
    ),
    ModuleExample(
        "BatchNorm1d averaging",
        lambda: ht.BatchNorm1d(4, momentum=None),
        lambda: torch.nn.BatchNorm1d(4, momentum=None),
    ),
    ModuleExample("BatchNorm2d", lambda: ht.BatchNorm2d(2), lambda: torch.nn.BatchNorm2d(2), (2, 3, 4)),
    ModuleExample("LayerNorm", lambda: ht.LayerNorm(4), lambda: torch.nn.LayerNorm(4)),
    ModuleExample("GroupNorm", lambda: ht.GroupNorm(1, 4), lambda: torch.nn.GroupNorm(1, 4)),
    ModuleExample("RMSNorm", lambda: ht.RMSNorm(4), lambda: torch.nn.RMSNorm(4, 1e-5)),
    ModuleExample(
        "Conv2d",
        lambda: ht.Conv2d(2, 4, 3, 2, padding=(1, 0), groups=2),
        lambda: torch.nn.Conv2d(2, 4, 3, 2, padding=(1, 0), groups=2),
        (2, 5, 6),
    ),
    ModuleExample("MaxPool2d", lambda: ht.MaxPool2d(3, 2, 1), lambda: torch.nn.MaxPool2d(3, 2, 1), (2, 5, 6)),
    ModuleExample("MaxPool2d plain", lambda: ht.MaxPool2d(2), lambda: torch.nn.MaxPool2d(2), (2, 5, 6)),
    ModuleExample("AvgPool2d", lambda: ht.AvgPool2d(3, 2, 1), lambda: torch.nn.AvgPool2d(3, 2, 1), (2, 5, 6)),
    ModuleExample(
        "GlobalAvgPool2d",
        ht.GlobalAvgPool2d,
        lambda: torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()),
        (2, 5, 6),
    ),
)
LOSSES = {
    "CrossEntropy": (ht.CrossEntropy, nn.CrossEntropy),
    "SoftmaxCrossEntropy": (ht.SoftmaxCrossEntropy, nn.SoftmaxCrossEntropy),
    "SoftmaxCrossEntropy smoothed": (lambda: ht.SoftmaxCrossEntropy(0.2), lambda: nn.SoftmaxCrossEntropy(0.2)),
    "NegativeLogLikelihood": (ht.NegativeLogLikelihood, nn.NegativeLogLikelihood),
    "MeanSquaredError": (ht.MeanSquaredError, nn.MeanSquaredError),
    "MeanAbsoluteError": (ht.MeanAbsoluteError, nn.MeanAbsoluteError),
    "Huber": (lambda: ht.Huber(0.3), lambda: nn.Huber(0.3)),
}


def _of(examples):
    return {"params": examples, "ids": [example.name.replace(" ", "-") for example in examples]}


@pytest.fixture(**_of(MODULES))
def module(request) -> ModuleExample:
    return request.param


@pytest.fixture(**_of([m for m in MODULES if m.twin is not None]))
def twinned(request) -> ModuleExample:
    return request.param


def draw(*shape: int, seed: int = 0, dtype=torch.float64) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def randomise(module: torch.nn.Module) -> torch.nn.Module:
    for seed, tensor in enumerate((*module.parameters(), *module.buffers())):
        if tensor.is_floating_point():
            tensor.data.copy_(draw(*tensor.shape, seed=seed).abs() + 0.5)
    return module


def test_the_same_as_pytorchs_module(twinned):
    """Three training steps and an evaluation from the same state: output, gradients, running statistics."""
    ours, theirs = randomise(twinned.make().double()), twinned.twin().double()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict(), strict=True)
    for step in range(4):
        training = step < 3
        x, again = (draw(5, *twinned.shape, seed=step).requires_grad_() for _ in range(2))
        y, expected = ours.train(training)(x), theirs.train(training)(again)
        torch.testing.assert_close(y, expected, rtol=1e-13, atol=1e-13)
        dy = draw(*y.shape, seed=10 + step)
        y.backward(dy)
        expected.backward(dy)
        torch.testing.assert_close(x.grad, again.grad, rtol=1e-12, atol=1e-12)
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(a.grad, b.grad, rtol=1e-12, atol=1e-12)
    for name, tensor in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], tensor, rtol=1e-13, atol=1e-13)
    twinned.make().double().load_state_dict(theirs.state_dict(), strict=True)


@pytest.mark.parametrize("training", [True, False])
def test_the_dtype_stays(module, training):
    for dtype in (torch.float32, torch.float64):
        x = draw(4, *module.shape, dtype=dtype).requires_grad_()
        y = module.make().to(dtype).train(training)(x)
        y.sum().backward()
        assert y.dtype == x.grad.dtype == dtype


def test_no_gradient_is_worked_out_without_grad(module):
    with torch.no_grad():
        assert not module.make()(draw(4, *module.shape, dtype=torch.float32)).requires_grad


def test_mixed_precision(module):
    """In an autocast region: finite gradients in float32, close to those without autocast."""
    inside, outside = module.make(), module.make()
    outside.load_state_dict(inside.state_dict())
    if isinstance(inside, ht.Dropout):
        inside.masks = outside.masks = lambda x, p: ht.draw_mask(x, p, torch.Generator().manual_seed(0))
    x, again = (draw(8, *module.shape, dtype=torch.float32).requires_grad_() for _ in range(2))
    with torch.autocast("cpu", torch.bfloat16):
        y = inside(x)
        loss = (y.float() ** 2).sum()
    loss.backward()
    (outside(again) ** 2).sum().backward()
    scale = again.grad.abs().max() + 1e-3
    assert x.grad.dtype == torch.float32
    assert ((x.grad - again.grad).abs().max() / scale) < 0.1
    for a, b in zip(inside.parameters(), outside.parameters(), strict=True):
        assert a.grad.dtype == torch.float32
        assert (a.grad - b.grad).abs().max() / (b.grad.abs().max() + 1e-3) < 0.1


def test_bfloat16_sums_are_taken_in_float32():
    """Sums of more than 256 ones are wrong in bfloat16."""
    x = torch.full((1024, 2), 1.0, dtype=torch.bfloat16)
    mean, variance = ht.batch_statistics(x)
    assert mean.dtype == torch.float32
    assert (mean == 1).all()
    assert (variance == 0).all()


# -- normalisation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("running_variance", ["unbiased", "biased"])
def test_running_figures_are_those_of_nn(running_variance):
    ours = ht.BatchNorm1d(3, momentum=0.2, running_variance=running_variance).double()
    numpys = nn.BatchNorm1d(3, momentum=0.2, running_variance=running_variance, dtype=np.float64)
    for step in range(3):
        x = 2 + 3 * draw(5, 3, seed=step)
        ours(x)
        numpys.forward(x.numpy())
    state = numpys.state_dict()
    assert list(ours.state_dict()) == list(state)
    for name, tensor in ours.state_dict().items():
        np.testing.assert_allclose(tensor.numpy(), state[name], rtol=1e-13, err_msg=name)
    x = draw(4, 3, seed=9)
    np.testing.assert_allclose(ours.eval()(x).detach(), numpys.eval().forward(x.numpy()), rtol=1e-12)


def test_evaluation_leaves_the_running_figures_alone():
    module = ht.BatchNorm1d(3).eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    module(draw(4, 3, dtype=torch.float32))
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def test_one_sample_with_biased_figures():
    module = ht.BatchNorm1d(3, running_variance="biased")
    assert module(torch.ones(1, 3)).isfinite().all()
    assert (module.running_var < 1).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ht.BatchNorm1d(3, running_variance="none"), r"BatchNorm1d got running_variance='none', expected 'unb"),
        (
            lambda: ht.BatchNorm1d(3)(torch.ones(1, 3)),
            "got a training batch of 1 values per feature, expected at least 2",
        ),
        (
            lambda: ht.BatchNorm2d(3)(torch.ones(1, 3, 1, 1)),
            "got a training batch of 1 values per feature, expected at",
        ),
        (lambda: ht.BatchNorm1d(3)(torch.ones(2, 4)), r"got x with shape=\(2, 4\), expected 3 features"),
        (lambda: ht.BatchNorm1d(3)(torch.ones(2, 3, 4)), r"got x with shape=\(2, 3, 4\), expected \(N, 3\)"),
        (lambda: ht.BatchNorm2d(3)(torch.ones(2, 3)), r"got x with shape=\(2, 3\), expected \(N, 3, H, W\)"),
        (lambda: ht.LayerNorm(3)(torch.ones(2, 4)), r"got x with shape=\(2, 4\), expected 3 features"),
        (lambda: ht.RMSNorm(3)(torch.ones(2, 4)), r"got x with shape=\(2, 4\), expected 3 features"),
        (lambda: ht.GroupNorm(1, 3)(torch.ones(2, 4)), r"got x with shape=\(2, 4\), expected 3 channels"),
        (
            lambda: ht.Linear(3, 2)(torch.ones(2, 4)),
            r"got x with shape=\(2, 4\), expected \(N, 3\): one row per sample",
        ),
        (lambda: ht.Conv2d(3, 2, 1)(torch.ones(2, 4, 5, 5)), r"shape=\(2, 4, 5, 5\), expected images \(N, 3, H, W\)"),
        (lambda: ht.Conv2d(3, 2, 3)(torch.ones(2, 3, 2, 5)), "the kernel spans more than the padded image, take a sm"),
        (lambda: ht.MaxPool2d(3)(torch.ones(2, 4)), r"got x with shape=\(2, 4\), expected images \(N, C, H, W\) that"),
        (lambda: ht.AvgPool2d(3)(torch.ones(2, 4, 2, 5)), r"got x with shape=\(2, 4, 2, 5\), expected images"),
        (lambda: ht.MaxPool2d(3, 1, 2), r"padding=\(2, 2\), more than half of kernel_size=\(3, 3\)"),
        (lambda: ht.GELU("erf"), "GELU got approximate='erf', expected 'tanh' or 'none'"),
        (lambda: ht.Softplus(0), "Softplus got beta=0, expected more than 0"),
        (lambda: ht.ELU(0), "ELU got alpha=0, expected more than 0"),
        (lambda: ht.LeakyReLU(-1), "LeakyReLU got negative_slope=-1, expected at least 0"),
        (lambda: ht.Dropout(1.0), r"Dropout got p=1.0, expected a probability in \[0, 1\)"),
        (lambda: ht.Dropout(gradients="none"), "Dropout got gradients='none', expected 'hand' or 'autograd'"),
        (lambda: ht.Residual(), r"Residual got no layers, expected at least one"),
        (lambda: ht.Residual(ht.Linear(3, 2))(torch.ones(2, 3)), r"shape=\(2, 3\), but its layers return shape="),
        (lambda: ht.SoftmaxCrossEntropy(1.0), r"got label_smoothing=1.0, expected a share in \[0, 1\)"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# -- dropout ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gradients", ["hand", "autograd"])
def test_dropout_masks(gradients):
    mask = (draw(50, 40) > 0).double() / 0.7
    module = ht.Dropout(0.3, masks=lambda x, p: mask, gradients=gradients)
    x = draw(50, 40, seed=1).requires_grad_()
    y = module(x)
    y.sum().backward()
    torch.testing.assert_close(y, x * mask, rtol=1e-15, atol=0)
    torch.testing.assert_close(x.grad, mask, rtol=1e-15, atol=0)
    assert module.eval()(x) is x


def test_dropout_keeps_the_expectation():
    torch.manual_seed(0)
    y = ht.Dropout(0.25)(torch.ones(100_000))
    assert sorted(y.unique().tolist()) == pytest.approx([0, 4 / 3])
    assert (y == 0).float().mean() == pytest.approx(0.25, abs=0.01)


# -- losses -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("kind", ["classes", "one-hot", "integer one-hot", "soft"])
def test_losses_are_those_of_nn(name, kind):
    ours, numpys = (make() for make in LOSSES[name])
    scores = draw(6, 4) if "Softmax" in name else torch.softmax(draw(6, 4), -1)
    classes = torch.tensor([0, 3, 2, 2, 1, 0])
    one_hot = torch.nn.functional.one_hot(classes, 4)
    target = {"classes": classes, "one-hot": one_hot.double(), "integer one-hot": one_hot}.get(kind, draw(6, 4).abs())
    x = scores.clone().requires_grad_()
    value = ours(x, target)
    value.backward()
    assert value.item() == pytest.approx(float(numpys.forward(scores.numpy(), target.numpy())), rel=1e-13)
    np.testing.assert_allclose(x.grad, numpys.backward(), rtol=1e-12, atol=1e-15)
    for weight in (torch.linspace(0, 2, 6).double(), torch.zeros(6).double()):
        x.grad = None
        value = ours(x, target, weight)
        value.backward()
        expected = numpys.forward(scores.numpy(), target.numpy(), weight.numpy())
        assert value.item() == pytest.approx(float(expected), rel=1e-13)
        np.testing.assert_allclose(x.grad, numpys.backward(), rtol=1e-12, atol=1e-15)


def test_weights_that_do_not_fit():
    with pytest.raises(ValueError, match=r"Huber\(delta=1.0\) got weight with shape=\(3,\), expected \(2,\)"):
        ht.Huber()(torch.ones(2, 3), torch.ones(2, 3), torch.ones(3))
    with pytest.raises(ValueError, match="Huber got delta=0, expected a number above 0"):
        ht.Huber(0)


@pytest.mark.parametrize(
    "loss",
    [
        *(ht.CrossEntropy, ht.SoftmaxCrossEntropy, ht.NegativeLogLikelihood),
        *(ht.MeanSquaredError, ht.MeanAbsoluteError, ht.Huber),
    ],
)
@pytest.mark.parametrize("target", [torch.zeros(3).long(), torch.zeros(2), torch.zeros(2, 4), torch.zeros(3, 2).long()])
def test_targets_that_do_not_fit(loss, target):
    with pytest.raises(
        ValueError, match=r"expected \(N, K\) with at least one sample, and integer classes \(N,\) or r"
    ):
        loss()(torch.ones(2, 3), target)


def test_scores_of_ten_thousand():
    x = (1e4 * draw(6, 4, dtype=torch.float32)).requires_grad_()
    target = torch.tensor([0, 3, 2, 2, 1, 0])
    value = ht.SoftmaxCrossEntropy()(x, target)
    value.backward()
    torch.testing.assert_close(value, torch.nn.functional.cross_entropy(x, target))
    assert x.grad.isfinite().all()


def test_probabilities_of_zero():
    x = torch.tensor([[0.0, 1.0]], requires_grad=True)
    value = ht.CrossEntropy()(x, torch.tensor([0]))
    value.backward()
    assert value.isfinite()
    assert x.grad.isfinite().all()


def test_reprs_show_the_settings():
    assert repr(ht.LeakyReLU(0.3)) == "LeakyReLU(negative_slope=0.3)"
    assert repr(ht.Dropout(0.3)) == "Dropout(p=0.3)"
    assert repr(ht.BatchNorm1d(3)) == "BatchNorm1d(3, eps=1e-05, momentum=0.1)"
    assert repr(ht.MaxPool2d(3)) == "MaxPool2d((3, 3), stride=(3, 3), padding=(0, 0))"
    assert repr(ht.SoftmaxCrossEntropy(0.1)) == "SoftmaxCrossEntropy(label_smoothing=0.1)"
    assert repr(ht.GELU()) == "GELU(approximate='none')"
    assert repr(ht.ELU()) == "ELU(alpha=1.0)"


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("kernel", [1, 3])
def test_an_empty_batch_of_images_goes_back_as_well(kernel, groups):
    layer = ht.Conv2d(2, 4, kernel, padding=kernel // 2, groups=groups)
    x = torch.empty(0, 2, 5, 6, requires_grad=True)
    y = layer(x)
    y.backward(torch.empty_like(y))
    assert x.grad.shape == x.shape
    for parameter in layer.parameters():
        torch.testing.assert_close(parameter.grad, torch.zeros_like(parameter))

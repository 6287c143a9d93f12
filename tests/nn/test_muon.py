"""Muon: PyTorch's rule (whose Newton-Schulz steps are rounded to bfloat16 unless a test stops it), shapes, stacks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from handgrad import nn
from handgrad.nn.optimizers import _orthogonalized

SHAPES = ((6, 4), (4, 6), (5, 5), (1, 3))


def matrices(dtype=np.float64, shapes=SHAPES) -> list[nn.Parameter]:
    rng = np.random.default_rng(0)
    return [nn.Parameter(rng.standard_normal(shape).astype(dtype)) for shape in shapes]


def set_gradients(step: int, parameters: list[nn.Parameter]) -> None:
    rng = np.random.default_rng(step)
    for parameter in parameters:
        noise = rng.standard_normal(parameter.value.shape).astype(parameter.value.dtype)
        parameter.grad[...] = parameter.value + noise


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"nesterov": False},
        {"momentum": 0.5, "weight_decay": 0.0},
        {"adjust": "match_rms_adamw"},
    ],
    ids=str,
)
def test_pytorch(options, close, monkeypatch):
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda self: self.clone())
    ours = matrices()
    tensors = [torch.tensor(p.value) for p in ours]
    theirs_options = {("adjust_lr_fn" if name == "adjust" else name): value for name, value in options.items()}
    optimizer, theirs = nn.Muon(ours, 0.01, **options), torch.optim.Muon(tensors, 0.01, **theirs_options)
    for step in range(100):
        set_gradients(step, ours)
        for tensor, parameter in zip(tensors, ours, strict=True):
            tensor.grad = torch.tensor(parameter.grad)
        optimizer.step()
        theirs.step()
    for tensor, parameter in zip(tensors, ours, strict=True):
        close(parameter.value, tensor, 1e-10)


def test_defaults_are_pytorchs():
    ours, theirs = nn.Muon(matrices()), torch.optim.Muon([torch.zeros(2, 2)]).param_groups[0]
    assert (ours.learning_rate, ours.momentum, ours.nesterov, ours.weight_decay) == (
        theirs["lr"],
        theirs["momentum"],
        theirs["nesterov"],
        theirs["weight_decay"],
    )


@pytest.mark.parametrize("shape", [(30, 20), (20, 30), (3, 20, 30), (7, 1)])
def test_singular_values_come_close_to_one(shape):
    d = np.random.default_rng(0).standard_normal(shape)
    singular_values = np.linalg.svd(_orthogonalized(d), compute_uv=False)
    assert singular_values.min() > 0.6
    assert singular_values.max() < 1.3


def test_a_zero_gradient_moves_nothing():
    (parameter,) = matrices(np.float32, ((3, 4),))
    before = parameter.value.copy()
    nn.Muon([parameter], 0.1, weight_decay=0.0).step()
    np.testing.assert_array_equal(parameter.value, before)
    assert parameter.value.dtype == np.float32


def test_a_stack_with_learning_rates_is_its_models_apart(close):
    (stack,) = matrices(shapes=((3, 6, 4),))
    alone = [nn.Parameter(stack.value[m].copy()) for m in range(3)]
    rates = np.array([[0.1], [0.01], [0.0]])
    optimizer = nn.Muon([stack], rates)
    others = [nn.Muon([alone[m]], float(rates[m, 0])) for m in range(3)]
    for step in range(4):
        set_gradients(step, [stack])
        for m in range(3):
            alone[m].grad[...] = stack.grad[m]
            others[m].step()
        optimizer.step()
    for m in range(3):
        close(stack.value[m], alone[m].value)


def test_one_step_by_hand():
    """A 1x1 matrix: X = d/|d| = 1, and the polynomial a + b + c of 1 five times over."""
    parameter = nn.Parameter(np.array([[2.0]]))
    parameter.grad[...] = -3.0
    x = -1.0
    for _ in range(5):
        x = 3.4445 * x - 4.7750 * x**3 + 2.0315 * x**5
    nn.Muon([parameter], 0.1, weight_decay=0.5).step()
    assert parameter.value[0, 0] == pytest.approx(2.0 * (1 - 0.05) - 0.1 * x)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Muon(matrices(shapes=((3,),))), r"shape=\(3,\), expected matrices: give vectors to AdamW"),
        (lambda: nn.Muon(matrices(), momentum=1.0), r"Muon got momentum=1.0, expected a share in \[0, 1\)"),
        (lambda: nn.Muon(matrices(), adjust="rms"), "adjust='rms', expected 'original' or 'match_rms_adamw'"),
    ],
)
def test_settings_that_cannot_be(make, message):
    with pytest.raises(ValueError, match=message):
        make()

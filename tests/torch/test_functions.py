"""Each hand-written derivative: compared with numerical ones and autograd's; what it may store and call."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import handgrad.torch as ht


def subsets(n: int):
    return [c for k in range(1, n + 1) for c in itertools.combinations(range(n), k)]


def asking_for(inputs, wanted):
    return [x.detach().clone().requires_grad_(i in wanted) for i, x in enumerate(inputs)]


def test_gradcheck_of_every_subset(example):
    inputs = example.inputs()
    for wanted in subsets(len(inputs)):
        assert gradcheck(example, asking_for(inputs, wanted))


def test_second_derivatives(example):
    inputs = example.inputs(1)
    assert gradgradcheck(example, asking_for(inputs, range(len(inputs))))


def test_none_where_no_gradient_is_asked(example):
    inputs = example.inputs()
    for wanted in subsets(len(inputs)):
        y = example(*asking_for(inputs, wanted))
        gradients = example.function.backward(y.grad_fn, torch.randn_like(y))
        gradients = gradients if isinstance(gradients, tuple) else (gradients,)
        there = {i for i, gradient in enumerate(gradients) if gradient is not None}
        if example.function is ht.ResidualFunction:  # two names of one array: there is nothing to save
            assert there >= set(wanted)
        else:
            assert there == set(wanted)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_gradients_are_pytorchs(example, dtype):
    ours, theirs = (asking_for(example.inputs(2, dtype), range(9)) for _ in range(2))
    constants = [c.to(dtype) if torch.is_tensor(c) and c.is_floating_point() else c for c in example.constants()]
    y, expected = example.function.apply(*ours, *constants), example.reference(*theirs, *constants)
    tolerance = 1e-13 if dtype == torch.float64 else 1e-5
    assert y.dtype == dtype
    torch.testing.assert_close(y, expected, rtol=tolerance, atol=tolerance)
    dy = torch.randn(y.shape, dtype=dtype, generator=torch.Generator().manual_seed(4))
    y.backward(dy)
    expected.backward(dy)
    for a, b in zip(ours, theirs, strict=True):
        assert a.grad.dtype == dtype
        torch.testing.assert_close(a.grad, b.grad, rtol=10 * tolerance, atol=10 * tolerance)


def test_inputs_that_are_not_contiguous(example):
    inputs = example.inputs(3)
    strided = [torch.stack([x, x], dim=-1)[..., 0] if x.ndim else x for x in inputs]
    strided = [x.transpose(0, -1).contiguous().transpose(0, -1) if x.ndim > 1 else x for x in strided]
    assert any(not x.is_contiguous() for x in strided)
    here, there = asking_for(inputs, range(9)), [x.detach().requires_grad_() for x in strided]
    y, again = example(*here), example(*there)
    torch.testing.assert_close(again, y, rtol=1e-13, atol=1e-13)
    dy = torch.randn_like(y.detach().contiguous())
    apart = torch.stack([dy, dy], dim=-1)[..., 0]  # the upstream gradient strided as well
    y.backward(dy)
    again.backward(apart)
    for a, b in zip(here, there, strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-13, atol=1e-13)


def test_nothing_is_changed_and_nothing_returned_twice(example):
    inputs = asking_for(example.inputs(), range(9))
    before = [x.detach().clone() for x in inputs]
    y = example(*inputs)
    dy = torch.randn_like(y)
    kept = dy.clone()
    torch.autograd.grad(y, inputs, dy)
    for x, then in zip(inputs, before, strict=True):
        assert torch.equal(x, then)
    assert torch.equal(dy, kept)


def test_no_kernel_that_is_a_derivative_or_a_normalisation(example, recording):
    inputs = asking_for(example.inputs(), range(9))
    with recording() as recorder:
        y = example(*inputs)
        y.backward(torch.ones_like(y))
    assert recorder.names
    assert recorder.forbidden == []


def test_the_recorder_sees_such_kernels(recording):
    x = torch.randn(4, 3, requires_grad=True)
    with recording() as recorder:
        torch.nn.functional.layer_norm(torch.relu(torch.nn.BatchNorm1d(3)(x)), (3,)).sum().backward()
    found = " ".join(recorder.forbidden)
    for name in ("native_batch_norm", "native_layer_norm", "threshold_backward", "native_layer_norm_backward"):
        assert name in found


def test_every_function_is_tried(examples):
    tried = {example.function.__name__ for example in examples}
    assert tried == {name for name in ht.__all__ if name.endswith("Function")}


# -- what is kept for backward -----------------------------------------------------------------------------------------


def kept(example, wanted) -> list[torch.Tensor]:
    inputs = asking_for(example.inputs(), wanted)
    saved = []

    def pack(tensor):
        saved.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        example(*inputs)
    return saved


@pytest.mark.parametrize(
    ("name", "wanted", "elements"),
    [
        ("batch norm", (0, 1, 2), 6 * 3 + 3 * 3),
        ("batch norm", (0,), 6 * 3 + 3 * 3),
        ("batch norm", (1,), 6 * 3 + 2 * 3),
        ("batch norm", (2,), 0),
        ("fixed norm", (0,), 2 * 3),
        ("fixed norm", (1,), 4 * 3 + 2 * 3),
        ("fixed norm", (2,), 0),
        ("layer norm", (0, 1, 2), 3 * 5 + 2 * 3 + 5),
        ("layer norm", (1, 2), 3 * 5 + 2 * 3),
        ("layer norm", (2,), 0),
        ("linear", (0,), 3 * 4),
        ("linear", (1,), 5 * 4),
        ("linear", (2,), 0),
        ("convolution", (0,), 3 * 4 * 9),
        ("convolution", (1,), 2 * 4 * 5 * 6),
        ("convolution", (2,), 0),
        ("max pool", (0,), 2 * 2 * 3 * 3),
        ("avg pool", (0,), 0),
        ("global avg pool", (0,), 0),
        ("relu", (0,), 3 * 4),
    ],
)
def test_only_what_a_gradient_needs_is_kept(examples, name, wanted, elements):
    example = next(example for example in examples if example.name == name)
    assert sum(tensor.numel() for tensor in kept(example, wanted)) == elements


# -- values at the edges -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e4, 1e18])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_large_inputs_stay_finite(example, dtype, scale):
    if example.function in (ht.CrossEntropyFunction, ht.NegativeLogLikelihoodFunction):
        pytest.skip("takes probabilities")
    if scale > 1e4 and len(example.shapes) + ("norm" in example.name) + ("squared" in example.name) > 1:
        scale = 1e4  # products and squares of such numbers overflow in float32
    inputs = [scale * x for x in asking_for(example.inputs(0, dtype), ())]
    inputs = [x.requires_grad_() for x in inputs]
    constants = [c.to(dtype) if torch.is_tensor(c) and c.is_floating_point() else c for c in example.constants()]
    y = example.function.apply(*inputs, *constants)
    y.sum().backward()
    for tensor in (y, *(x.grad for x in inputs)):
        assert tensor.isfinite().all()


@pytest.mark.parametrize("function", [ht.BatchNormFunction, ht.LayerNormFunction])
def test_constant_columns_and_rows(function):
    x = torch.full((4, 4), 3.0, dtype=torch.float64, requires_grad=True)
    weight, bias = torch.ones(4, dtype=torch.float64), torch.arange(4, dtype=torch.float64)
    y = function.apply(x, weight, bias)
    torch.testing.assert_close(y, bias.expand(4, 4))
    y.square().sum().backward()
    assert x.grad.isfinite().all()


def test_statistics_that_are_known_are_not_worked_out_again(recording):
    x, weight, bias = (torch.randn(shape, dtype=torch.float64) for shape in ((6, 3), (3,), (3,)))
    x.requires_grad_()
    given = ht.batch_statistics(x.detach())
    with recording() as recorder:
        y = ht.BatchNormFunction.apply(x, weight, bias, 1e-5, given)
    assert not any("mean" in name for name in recorder.names)
    torch.testing.assert_close(y, ht.BatchNormFunction.apply(x, weight, bias, 1e-5))
    assert gradcheck(lambda x: ht.BatchNormFunction.apply(x, weight, bias, 1e-5, ht.batch_statistics(x.detach())), x)
    assert gradgradcheck(
        lambda x: ht.BatchNormFunction.apply(x, weight, bias, 1e-5, ht.batch_statistics(x.detach())), x
    )


def test_ties_go_to_the_first_as_in_pytorch():
    x = torch.tensor([[1.0, 1, 0, 2], [1, 1, 2, 2], [0, 0, 0, 0], [0, 0, 0, 0]]).reshape(1, 1, 4, 4)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    dy = torch.arange(1.0, 10).reshape(1, 1, 3, 3)
    ht.MaxPool2dFunction.apply(ours, (2, 2), (1, 1), (0, 0)).backward(dy)
    torch.nn.functional.max_pool2d(theirs, 2, 1).backward(dy)
    assert torch.equal(ours.grad, theirs.grad)


def test_a_window_of_minus_infinity():
    x = torch.full((1, 1, 2, 2), -torch.inf, requires_grad=True)
    y = ht.MaxPool2dFunction.apply(x, (3, 3), (2, 2), (1, 1))
    y.backward(torch.ones_like(y))
    assert (y == -torch.inf).all()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("three_ways", ["batch", "layer"])
def test_normalisation_three_ways(three_ways):
    x, weight, bias = (torch.randn(shape, dtype=torch.float64) for shape in ((6, 4), (4,), (4,)))
    operations, function, module = {
        "batch": (ht.batch_norm, ht.BatchNormFunction, ht.BatchNorm1d),
        "layer": (ht.layer_norm, ht.LayerNormFunction, ht.LayerNorm),
    }[three_ways]
    module = module(4, eps=1e-3, dtype=torch.float64)
    module.load_state_dict({**module.state_dict(), "weight": weight, "bias": bias})
    results = []
    for way in (
        lambda x, w, b: operations(x, w, b, 1e-3),
        lambda x, w, b: function.apply(x, w, b, 1e-3),
        lambda x, *_: module(x),
    ):
        inputs = [t.clone().requires_grad_() for t in (x, weight, bias)]
        y = way(*inputs)
        y.backward(torch.arange(24, dtype=torch.float64).reshape(6, 4) ** 2)
        gradients = [t.grad for t in inputs]
        if gradients[1] is None:
            gradients[1:] = [module.weight.grad, module.bias.grad]
        results.append((y, *gradients))
    for result in results[1:]:
        for a, b in zip(results[0], result, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


def test_batch_norm_from_operations_takes_images():
    x, weight, bias = (torch.randn(shape, dtype=torch.float64) for shape in ((2, 3, 4, 5), (3,), (3,)))
    torch.testing.assert_close(ht.batch_norm(x, weight, bias), ht.BatchNormFunction.apply(x, weight, bias))

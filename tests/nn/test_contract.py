"""What every layer keeps to, whatever it computes. The examples are in `conftest.py`."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from handgrad import nn
from handgrad.kernels import FlatParameters


def exported(base: type) -> set[str]:
    classes = [getattr(nn, name) for name in nn.__all__]
    return {c.__name__ for c in classes if isinstance(c, type) and issubclass(c, base) and c is not base}


def test_every_exported_class_has_an_example(examples):
    layers = {type(example.layer()).__name__ for example in examples["layers"]}
    assert layers == exported(nn.Layer)
    assert {type(example.make()).__name__ for example in examples["losses"]} == exported(nn.Loss)
    # Muon takes matrices alone: test_muon.py
    assert {example.make.__name__ for example in examples["optimizers"]} | {"Muon"} == exported(nn.Optimizer)


# -- arrays -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept(example, dtype):
    x = example.input(dtype=dtype)
    layer = example.layer(dtype)
    y = layer.forward(x)
    dx = layer.backward(np.ones_like(y))
    arrays = [y, dx, *(a for p in layer.parameters() for a in (p.value, p.grad))]
    arrays += [buffer for _, buffer in layer.named_buffers() if buffer.dtype.kind == "f"]
    assert {array.dtype for array in arrays} == {np.dtype(dtype)}


def test_a_float64_input_is_computed_in_float64_whatever_the_parameters(example):
    x = example.input()
    layer = example.layer(np.float32)
    y = layer.forward(x)
    assert y.dtype == np.float64
    assert layer.backward(np.ones_like(y)).dtype == np.float64


def test_arguments_are_not_written_to(example):
    x = example.input()
    layer = example.layer()
    dy = example.upstream(x)
    before, upstream = x.copy(), dy.copy()
    y = layer.forward(x)
    kept = y.copy()
    layer.backward(dy)
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(dy, upstream)
    np.testing.assert_array_equal(y, kept)


def test_parameters_are_not_written_to(example):
    layer = example.layer()
    before = {name: p.value.copy() for name, p in layer.named_parameters()}
    layer.backward(np.ones_like(layer.forward(example.input())))
    for name, parameter in layer.named_parameters():
        np.testing.assert_array_equal(parameter.value, before[name])


def test_results_are_fresh_arrays(example):
    x, other = example.input(), example.input(seed=5)
    layer = example.layer()
    dy = example.upstream(x)
    results = [layer.forward(other), layer.backward(dy), layer.forward(x), layer.backward(dy)]
    owned = [x, other, dy, *(a for p in layer.parameters() for a in (p.value, p.grad))]
    owned += [buffer for _, buffer in layer.named_buffers()]
    for i, result in enumerate(results):
        assert result.flags.writeable
        for array in (*results[:i], *owned):
            assert not np.shares_memory(result, array)


def test_one_sample(example, close):
    n = max(1, example.smallest_batch)
    x = example.input(n)
    y = example.layer().forward(x)
    assert y.shape[0] == n
    assert np.isfinite(y).all()


def test_a_sample_alone_gives_what_it_gives_in_a_batch(sample_by_sample, close):
    x = sample_by_sample.input()
    dy = sample_by_sample.upstream(x)
    whole = sample_by_sample.run(x, dy)
    for i in range(len(x)):
        one = sample_by_sample.run(x[i : i + 1], dy[i : i + 1])
        close(one["y"], whole["y"][i : i + 1], 1e-14)
        close(one["dx"], whole["dx"][i : i + 1], 1e-14)


def test_no_sample(example):
    x = example.input(0)
    layer = example.layer()
    if example.smallest_batch:
        with pytest.raises(ValueError, match="got a training batch of N=0, expected at least"):
            layer.forward(x)
        return
    for parameter in layer.parameters():
        parameter.grad.fill(np.nan)
    y = layer.forward(x)
    assert len(y) == 0
    assert layer.backward(np.zeros_like(y)).shape == x.shape
    for parameter in layer.parameters():
        np.testing.assert_array_equal(parameter.grad, 0)


def layouts(array: np.ndarray) -> dict[str, np.ndarray]:
    strided = np.zeros((2 * len(array), *array.shape[1:]))[::2]
    strided[...] = array
    backwards = array[::-1].copy()[::-1]
    inner = np.repeat(array, 2, axis=-1)[..., ::2]
    return {"Fortran": np.asfortranarray(array), "strided": strided, "backwards": backwards, "inner": inner}


@pytest.mark.parametrize("layout", ["Fortran", "strided", "backwards", "inner"])
def test_any_memory_layout_gives_the_same(example, close, layout):
    x = example.input()
    dy = example.upstream(x)
    expected = example.run(x, dy)
    actual = example.run(layouts(x)[layout], layouts(dy)[layout])
    for name, array in expected.items():
        close(actual[name], array, 1e-14)


def test_nan_is_passed_on(example):
    """A network that hid it would train on, and its engine could not say that it diverged."""
    x = example.input().copy()
    x[2] = np.nan
    layer = example.layer()
    y = layer.forward(x)
    assert np.isnan(y[2]).any()
    assert np.isnan(layer.backward(np.full_like(y, np.nan))).any()


# -- backward ---------------------------------------------------------------------------------------------------------


def test_gradients_are_overwritten_in_place(parametric):
    x = parametric.input()
    dy = parametric.upstream(x)
    layer = parametric.layer()
    layer.forward(x)
    grads = {name: p.grad for name, p in layer.named_parameters()}
    for grad in grads.values():
        grad.fill(np.nan)
    first_dx = layer.backward(dy)
    first = {name: grad.copy() for name, grad in grads.items()}
    assert all(np.isfinite(grad).all() and np.any(grad) for grad in first.values())
    np.testing.assert_array_equal(layer.backward(dy), first_dx)
    for name, parameter in layer.named_parameters():
        assert parameter.grad is grads[name]
        np.testing.assert_array_equal(parameter.grad, first[name])


def test_backward_is_linear_in_dy(example, close):
    """Which also says that backward keeps no state of its own."""
    x = example.input()
    a, b = example.upstream(x, 1), example.upstream(x, 2)
    layer = example.layer()
    layer.forward(x)
    dx_a, dx_b = layer.backward(a), layer.backward(b)
    close(layer.backward(2 * a - 3 * b), 2 * dx_a - 3 * dx_b, 1e-12)


def test_backward_belongs_to_the_last_forward(sample_by_sample):
    x, other = sample_by_sample.input(5), sample_by_sample.input(3, seed=4)
    dy = sample_by_sample.upstream(other)
    layer = sample_by_sample.layer()
    layer.forward(x)
    expected = sample_by_sample.run(other, dy)
    np.testing.assert_array_equal(layer.forward(other), expected["y"])
    np.testing.assert_array_equal(layer.backward(dy), expected["dx"])


def test_backward_before_forward(example):
    layer = example.layer()
    with pytest.raises(RuntimeError, match=r"(\w+)\.backward was called before forward: call forward\(x\) first"):
        layer.backward(example.upstream(example.input()))


@pytest.mark.parametrize("wrong", ["fewer", "more features", "another rank"])
def test_wrong_shape_of_dy(example, unchecked, wrong):
    layer = example.layer()
    y = layer.forward(example.input())
    shape = {"fewer": (5, *y.shape[1:]), "more features": (*y.shape[:-1], 9), "another rank": y.shape[1:]}[wrong]
    with pytest.raises(ValueError, match=r"backward got dy with shape=\(.+\), expected \(.+\), the shape of its"):
        layer.backward(np.zeros(shape))


# -- errors of forward ------------------------------------------------------------------------------------------------


def test_wrong_feature_count(choosy):
    x = np.zeros((6, *choosy.wrong_shape))
    message = rf"got x with shape=\(6, {choosy.wrong_shape[0]}\), expected \(N, 4\): one row per sample"
    with pytest.raises(ValueError, match=message):
        choosy.layer().forward(x)


def test_wrong_rank(choosy, unchecked):
    for shape in ((4,), (2, 6, 4)):
        with pytest.raises(ValueError, match=r"expected \(N, 4\): one row per sample; flatten images \(nn.Flatten\)"):
            choosy.layer().forward(np.zeros(shape))


def test_wrong_number_of_models(choosy):
    layer = choosy.layer()
    FlatParameters(layer, 3, np.float64)
    with pytest.raises(ValueError, match=r"shape=\(2, 6, 4\), expected \(N, 4\) or \(3, N, 4\): one row per sample"):
        layer.forward(np.zeros((2, 6, 4)))


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.bool_])
def test_integer_input(example, unchecked, dtype):
    layer = example.layer()
    state = layer.state_dict()
    x = np.ones((6, *example.shape), dtype)
    with pytest.raises(TypeError, match=rf"x has dtype={np.dtype(dtype)}, expected a floating dtype: cast it with"):
        layer.forward(x)
    for name, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, state[name])


# -- modes, state, copies ---------------------------------------------------------------------------------------------


def test_train_and_eval_switch_and_give_back_the_layer(example):
    layer = example.layer()
    assert layer.eval() is layer
    assert not layer.training
    assert layer.train() is layer
    assert layer.training
    assert layer.train(False) is layer
    assert not layer.training


def test_sequential_passes_the_mode_on():
    network = nn.Sequential(nn.Dropout(), nn.Sequential(nn.BatchNorm1d(4), nn.ReLU()))
    everywhere = [network, network[0], network[1], network[1][0], network[1][1]]
    network.eval()
    assert not any(layer.training for layer in everywhere)
    network.train()
    assert all(layer.training for layer in everywhere)


def test_state_round_trip(example):
    x = example.input()
    source = example.layer()
    source.forward(x)
    target = example.make(np.random.default_rng(7)).astype(np.float64).train(example.training)
    where = {name: p.value for name, p in target.named_parameters()}
    target.load_state_dict(source.state_dict())
    for name, array in source.state_dict().items():
        np.testing.assert_array_equal(target.state_dict()[name], array)
    for name, parameter in target.named_parameters():
        assert parameter.value is where[name]
    np.testing.assert_array_equal(source.eval().forward(x), target.eval().forward(x))


def test_state_holds_copies(parametric):
    layer = parametric.layer()
    state = layer.state_dict()
    names = [name for name, _ in layer.named_parameters()] + [name for name, _ in layer.named_buffers()]
    assert sorted(state) == sorted(names)
    own = [p.value for p in layer.parameters()] + [buffer for _, buffer in layer.named_buffers()]
    assert not any(np.shares_memory(copied, array) for copied in state.values() for array in own)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda state, last: state.pop(last), "the state has no {last}: it belongs to another architecture"),
        (
            lambda state, last: state.update(other=np.zeros(2)),
            "the state has other, which this network does not have: it belongs to another architecture",
        ),
        (
            lambda state, last: state.update({last: np.zeros((7, 7))}),
            r"{last}: expected shape=\(.*\), got shape=\(7, 7\): the state belongs to another",
        ),
    ],
    ids=["missing", "unknown", "shape"],
)
def test_a_state_that_does_not_fit_changes_nothing(parametric, spoil, message):
    layer = parametric.layer()
    before = layer.state_dict()
    state = {name: array + 1 for name, array in before.items()}
    last = list(state)[-1]
    spoil(state, last)
    with pytest.raises(ValueError, match=message.format(last=last)):
        layer.load_state_dict(state)
    for name, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_copy_is_a_layer_of_its_own(example):
    x = example.input()
    dy = example.upstream(x)
    layer = example.layer()
    twin = copy.deepcopy(layer)
    expected = example.run(x, dy)
    np.testing.assert_array_equal(twin.forward(x), expected["y"])
    np.testing.assert_array_equal(twin.backward(dy), expected["dx"])
    for parameter in twin.parameters():
        parameter.value += 1
    np.testing.assert_array_equal(layer.forward(x), expected["y"])
    with pytest.raises(RuntimeError, match="before forward"):
        copy.deepcopy(example.layer()).backward(dy)


def test_astype_gives_new_arrays(parametric):
    layer = parametric.layer()
    before = [p.value for p in layer.parameters()]
    assert layer.astype(np.float32) is layer
    for parameter, value in zip(layer.parameters(), before, strict=True):
        assert parameter.value.dtype == parameter.grad.dtype == np.float32
        np.testing.assert_array_equal(parameter.value, value.astype(np.float32))
    for name, buffer in layer.named_buffers():
        assert buffer.dtype == (np.int64 if name.endswith("num_batches_tracked") else np.float32)


# -- complex numbers --------------------------------------------------------------------------------------------------


def test_complex_step_along_the_input(example, close):
    x = example.input()
    dy = example.upstream(x)
    dx = example.run(x, dy)["dx"]
    numeric = np.empty_like(dx)
    for index in np.ndindex(x.shape):
        z = x.astype(np.complex128)
        z[index] += 1e-30j
        y = example.layer().forward(z)
        assert y.dtype == np.complex128
        numeric[index] = (y.imag * dy).sum() / 1e-30
    close(dx, numeric, 1e-12)


def test_complex_step_along_the_parameters(parametric, close):
    x = parametric.input()
    dy = parametric.upstream(x)
    expected = parametric.run(x, dy)
    for i, (name, parameter) in enumerate(parametric.layer().named_parameters()):
        numeric = np.empty_like(parameter.value)
        for index in np.ndindex(parameter.value.shape):
            layer = parametric.layer()
            moved = layer.parameters()[i]
            moved.value = moved.value.astype(np.complex128)
            moved.value[index] += 1e-30j
            numeric[index] = (layer.forward(x).imag * dy).sum() / 1e-30
        close(expected[f"d{name}"], numeric, 1e-12)


# -- a leading axis of models -----------------------------------------------------------------------------------------


def test_a_leading_axis_of_models_is_separate_networks(stacking, close):
    models, n = 3, 8  # a multiple of 4: four elements share a draw of a dropout mask
    x = stacking.input(n, models=(models,))
    rng = np.random.default_rng(11)
    stack = stacking.layer(rng=rng)
    state = rng.bit_generator.state
    flat = FlatParameters(stack, models, np.float64)
    flat.values[...] = np.random.default_rng(5).uniform(0.5, 1.5, flat.values.shape)
    y = stack.forward(x)
    dy = np.random.default_rng(6).standard_normal(y.shape)
    dx = stack.backward(dy)
    buffers = dict(stack.named_buffers())

    alone = np.random.default_rng()
    alone.bit_generator.state = state  # the stack draws its masks model by model, as the networks do in their turn
    for m in range(models):
        network = stacking.layer(rng=alone)
        for name, parameter in network.named_parameters():
            parameter.value[...] = flat.values[m, flat.slices[name]].reshape(parameter.value.shape)
        close(y[m], network.forward(x[m]), 1e-14)
        close(dx[m], network.backward(dy[m]), 1e-13)
        for name, parameter in network.named_parameters():
            close(flat.grads[m, flat.slices[name]], parameter.grad.ravel(), 1e-13)
        for name, buffer in network.named_buffers():
            close(buffers[name][m], buffer, 1e-14)


def test_one_batch_for_all_models(stacking_alike, close):
    """The first layer of a stack gets `(N, D)`, which every model takes."""
    x = stacking_alike.input()
    stacks = {}
    for shape, batch in (("shared", x), ("repeated", np.repeat(x[None], 3, axis=0))):
        layer = stacking_alike.layer()
        flat = FlatParameters(layer, 3, np.float64)
        flat.values[...] = np.random.default_rng(5).uniform(0.5, 1.5, flat.values.shape)
        for _, buffer in layer.named_buffers():
            buffer[...] = buffer + np.arange(3).reshape(3, *(1,) * (buffer.ndim - 1))
        y = layer.forward(batch)
        if not layer.parameters():
            assert y.shape == batch.shape
            return
        dx = layer.backward(np.random.default_rng(6).standard_normal(y.shape))
        stacks[shape] = [y, dx, flat.grads, *(buffer for _, buffer in layer.named_buffers())]
    for shared, repeated in zip(stacks["shared"], stacks["repeated"], strict=True):
        close(shared, repeated, 1e-14)


def test_networks_in_networks_are_stacked():
    network = nn.Sequential(nn.Sequential(nn.BatchNorm1d(4)), nn.Sequential(nn.Linear(4, 2, rng=0)))
    FlatParameters(network, 3, np.float64)
    shapes = {name: array.shape for name, array in network.state_dict().items()}
    assert shapes == {
        "0.0.weight": (3, 4),
        "0.0.bias": (3, 4),
        "1.0.weight": (3, 2, 4),
        "1.0.bias": (3, 2),
        "0.0.running_mean": (3, 4),
        "0.0.running_var": (3, 4),
        "0.0.num_batches_tracked": (3,),
    }
    assert network.forward(np.random.default_rng(0).standard_normal((3, 6, 4))).shape == (3, 6, 2)

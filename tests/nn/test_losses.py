"""The losses: the four oracles, and what their targets may be."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from handgrad import nn

KINDS = ("classes", "one-hot", "integer one-hot", "soft", "rows of another sum")


def rows(target: np.ndarray, k: int = 4) -> np.ndarray:
    return np.eye(k)[target] if target.ndim == 1 else target.astype(np.float64)


@pytest.mark.parametrize("kind", KINDS)
def test_pytorch(loss_example, kind, close):
    x, target = loss_example.input(), loss_example.targets()[kind]
    x_torch = torch.tensor(x, requires_grad=True)
    expected = loss_example.twin(x_torch, torch.tensor(rows(target)))
    expected.backward()
    loss = loss_example.make()
    close(loss.forward(x, target), expected.detach())
    close(loss.backward(), x_torch.grad)


def test_pytorchs_cross_entropy(close):
    x = np.random.default_rng(0).standard_normal((6, 4))
    target = np.array([0, 3, 1, 1, 2, 0])
    x_torch = torch.tensor(x, requires_grad=True)
    expected = torch.nn.functional.cross_entropy(x_torch, torch.tensor(target))
    expected.backward()
    for target_kind in (target, target.astype(np.uint8), np.eye(4)[target]):
        loss = nn.SoftmaxCrossEntropy()
        close(loss.forward(x, target_kind), expected.detach())
        close(loss.backward(), x_torch.grad)


@pytest.mark.parametrize("kind", KINDS)
def test_loop(loss_example, kind, close):
    x, target = loss_example.input(), loss_example.targets()[kind]
    t, value = rows(target), 0.0
    dx = np.zeros_like(x)
    for n in range(6):
        loss_of_one, gradient = loss_example.by_definition(x[n].tolist(), t[n].tolist())
        value += loss_of_one / 6
        for k in range(4):
            dx[n, k] = gradient[k] / 6
    loss = loss_example.make()
    close(loss.forward(x, target), value, 1e-14)
    close(loss.backward(), dx, 1e-14)


@pytest.mark.parametrize("target", [np.array([1, 0]), np.array([[0.0, 1], [1, 0]])], ids=["classes", "one-hot"])
def test_softmax_cross_entropy_by_hand(target):
    # softmax of (0, ln 3) is (1/4, 3/4), of (0, 0) is (1/2, 1/2): L = (ln 4/3 + ln 2) / 2
    loss = nn.SoftmaxCrossEntropy()
    value = loss.forward(np.array([[0, math.log(3)], [0, 0]]), target)
    assert value == pytest.approx(math.log(8 / 3) / 2, abs=1e-15)
    np.testing.assert_allclose(loss.backward(), [[1 / 8, -1 / 8], [-1 / 4, 1 / 4]], atol=1e-16)


@pytest.mark.parametrize("target", [np.array([1, 0]), np.array([[0.0, 1], [1, 0]])], ids=["classes", "one-hot"])
def test_cross_entropy_by_hand(target):
    # L = -(ln 3/4 + ln 1/2) / 2; dx = -1/(2·3/4) and -1/(2·1/2)
    loss = nn.CrossEntropy()
    value = loss.forward(np.array([[0.25, 0.75], [0.5, 0.5]]), target)
    assert value == pytest.approx(math.log(8 / 3) / 2, abs=1e-15)
    np.testing.assert_allclose(loss.backward(), [[0, -2 / 3], [-1, 0]], atol=1e-16)


@pytest.mark.parametrize("target", [np.array([1, 0]), np.array([[0.0, 1], [1, 0]])], ids=["classes", "one-hot"])
def test_label_smoothing_by_hand(target):
    # with ε = 0.2 the targets are 0.9 and 0.1: L = (0.9 ln 4/3 + 0.1 ln 4 + ln 2) / 2
    loss = nn.SoftmaxCrossEntropy(0.2)
    value = loss.forward(np.array([[0, math.log(3)], [0, 0]]), target)
    assert value == pytest.approx((0.9 * math.log(4 / 3) + 0.1 * math.log(4) + math.log(2)) / 2, abs=1e-15)
    np.testing.assert_allclose(loss.backward(), [[0.15 / 2, -0.15 / 2], [-0.4 / 2, 0.4 / 2]], atol=1e-16)


@pytest.mark.parametrize("target", [np.array([1, 0]), np.array([[0.0, 1], [1, 0]])], ids=["classes", "one-hot"])
def test_negative_log_likelihood_by_hand(target):
    loss = nn.NegativeLogLikelihood()
    assert loss.forward(np.array([[-3.0, -1], [-2, -7]]), target) == 1.5
    np.testing.assert_array_equal(loss.backward(), [[0, -0.5], [-0.5, 0]])


@pytest.mark.parametrize("target", [np.array([1, 0]), np.array([[0.0, 1], [1, 0]])], ids=["classes", "one-hot"])
def test_mean_squared_error_by_hand(target):
    # differences 2, -1, 0, 3: squares 4, 1, 0, 9
    loss = nn.MeanSquaredError()
    assert loss.forward(np.array([[2.0, 0], [1, 3]]), target) == 3.5
    np.testing.assert_array_equal(loss.backward(), [[1, -0.5], [0, 1.5]])


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_pytorchs_label_smoothing(smoothing, close):
    x = np.random.default_rng(0).standard_normal((6, 4))
    for target in (np.array([0, 3, 1, 1, 2, 0]), np.random.default_rng(1).dirichlet(np.ones(4), 6)):
        x_torch = torch.tensor(x, requires_grad=True)
        expected = torch.nn.functional.cross_entropy(x_torch, torch.tensor(target), label_smoothing=smoothing)
        expected.backward()
        loss = nn.SoftmaxCrossEntropy(smoothing)
        close(loss.forward(x, target), expected.detach())
        close(loss.backward(), x_torch.grad)


def test_pytorchs_negative_log_likelihood(close):
    x, target = np.random.default_rng(0).standard_normal((6, 4)), np.array([0, 3, 1, 1, 2, 0])
    x_torch = torch.tensor(x, requires_grad=True)
    expected = torch.nn.functional.nll_loss(x_torch, torch.tensor(target))
    expected.backward()
    loss = nn.NegativeLogLikelihood()
    close(loss.forward(x, target), expected.detach())
    close(loss.backward(), x_torch.grad)


def test_mean_squared_error_of_numbers(close):
    x, target = np.random.default_rng(0).standard_normal((2, 6, 3))
    x_torch = torch.tensor(x, requires_grad=True)
    expected = torch.nn.functional.mse_loss(x_torch, torch.tensor(target))
    expected.backward()
    loss = nn.MeanSquaredError()
    close(loss.forward(x, target), expected.detach())
    close(loss.backward(), x_torch.grad)


WEIGHTS = np.array([2.0, 0, 1, 3, 0.5, 1])


@pytest.mark.parametrize("kind", ["classes", "soft"])
def test_weights_by_definition(loss_example, kind, close):
    """Σ w L / Σ w, and a whole weight is that many copies of the sample."""
    x, target = loss_example.input(), loss_example.targets()[kind]
    loss = loss_example.make()
    value = loss.forward(x, target, WEIGHTS)
    dx = loss.backward()
    values, slopes = [], []
    for n in range(6):
        one = loss_example.make()
        values.append(one.forward(x[n : n + 1], target[n : n + 1]))
        slopes.append(one.backward()[0])
    close(value, np.dot(WEIGHTS, values) / WEIGHTS.sum(), 1e-14)
    close(dx, WEIGHTS[:, None] * np.array(slopes) / WEIGHTS.sum(), 1e-14)
    copies = np.array([2, 0, 1, 3, 1, 1])
    close(loss.forward(x, target, copies), loss.forward(x.repeat(copies, 0), target.repeat(copies, 0)), 1e-14)


def test_weights_as_pytorch_weighs_classes(close):
    x, target = np.random.default_rng(0).standard_normal((6, 4)), np.array([0, 3, 1, 1, 2, 0])
    of_class = np.array([0.5, 2, 1, 3])
    x_torch = torch.tensor(x, requires_grad=True)
    expected = torch.nn.functional.cross_entropy(x_torch, torch.tensor(target), weight=torch.tensor(of_class))
    expected.backward()
    loss = nn.SoftmaxCrossEntropy()
    close(loss.forward(x, target, of_class[target]), expected.detach())
    close(loss.backward(), x_torch.grad)


def test_weights_of_stacked_models_and_of_no_sample(loss_example, close):
    x, target = loss_example.input(models=(2,)), loss_example.targets()["classes"]
    stack = loss_example.make()
    values, dx = stack.forward(x, target, WEIGHTS), stack.backward()
    for m in range(2):
        one = loss_example.make()
        close(values[m], one.forward(x[m], target, WEIGHTS), 1e-14)
        close(dx[m], one.backward(), 1e-14)
    assert stack.forward(x[0], target, np.zeros(6)) == 0
    np.testing.assert_array_equal(stack.backward(), 0)


@pytest.mark.parametrize("weight", [np.ones(5), np.ones((6, 1)), np.array([1, 1, -1, 1, 1, 1]), np.full(6, np.nan)])
def test_weights_that_do_not_fit(loss_example, weight, unchecked):
    with pytest.raises(ValueError, match=r"(?s)the loss got weight=.*, expected \(6,\) numbers of at least 0"):
        loss_example.make().forward(loss_example.input(), loss_example.targets()["classes"], weight)


def test_absolute_and_huber_loss_by_hand():
    # differences 2, -1, 0, 3 in 2 rows: L1 = 6/4; Huber with δ = 2: (2 + 0.5 + 0 + 2·3 - 2) / 4
    x, target = np.array([[2.0, 0], [1, 3]]), np.array([[0.0, 1], [1, 0]])
    absolute, huber = nn.MeanAbsoluteError(), nn.Huber(2.0)
    assert absolute.forward(x, target) == 1.5
    np.testing.assert_array_equal(absolute.backward(), np.array([[1, -1], [0, 1]]) / 4)
    assert huber.forward(x, target) == 6.5 / 4
    np.testing.assert_array_equal(huber.backward(), np.array([[2, -1], [0, 2]]) / 4)


@pytest.mark.parametrize("delta", [0.0, -1.0, float("nan")])
def test_a_huber_distance_that_cannot_be(delta):
    with pytest.raises(ValueError, match=rf"Huber got delta={delta}, expected a number above 0"):
        nn.Huber(delta)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, float("nan")])
def test_label_smoothing_that_cannot_be(smoothing):
    with pytest.raises(ValueError, match=rf"SoftmaxCrossEntropy got label_smoothing={smoothing}, expected a share"):
        nn.SoftmaxCrossEntropy(smoothing)


def test_log_softmax_and_its_likelihood_are_the_fused_loss(close):
    x, target = np.random.default_rng(0).standard_normal((6, 4)), np.array([0, 3, 1, 1, 2, 0])
    fused, layer, apart = nn.SoftmaxCrossEntropy(), nn.LogSoftmax(), nn.NegativeLogLikelihood()
    close(apart.forward(layer.forward(x), target), fused.forward(x, target), 1e-14)
    close(layer.backward(apart.backward()), fused.backward(), 1e-13)


def test_softmax_and_cross_entropy_apart_are_the_fused_loss(close):
    x, target = np.random.default_rng(0).standard_normal((6, 4)), np.array([0, 3, 1, 1, 2, 0])
    fused, layer, apart = nn.SoftmaxCrossEntropy(), nn.Softmax(), nn.CrossEntropy()
    close(apart.forward(layer.forward(x), target), fused.forward(x, target), 1e-14)
    close(layer.backward(apart.backward()), fused.backward(), 1e-13)


# -- contract ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_dtype_is_kept(loss_example, kind, dtype):
    loss = loss_example.make()
    assert loss.forward(loss_example.input(dtype=dtype), loss_example.targets()[kind]).dtype == dtype
    assert loss.backward().dtype == dtype


@pytest.mark.parametrize("kind", KINDS)
def test_results_are_fresh_and_arguments_not_written_to(loss_example, kind):
    x, target = loss_example.input(), loss_example.targets()[kind]
    before, wanted = x.copy(), target.copy()
    loss = loss_example.make()
    loss.forward(x, target)
    first = loss.backward()
    kept = first.copy()
    second = loss.backward()
    loss.forward(x[::-1], target)
    third = loss.backward()
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(second, kept)
    assert not any(np.shares_memory(a, b) for a, b in ((first, second), (first, third), (first, x), (first, target)))
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(target, wanted)
    assert first.flags.writeable


@pytest.mark.parametrize("kind", KINDS)
def test_one_sample_and_the_mean_over_samples(loss_example, kind, close):
    x, target = loss_example.input(), loss_example.targets()[kind]
    whole = loss_example.make()
    value = whole.forward(x, target)
    dx = whole.backward()
    values = []
    for n in range(6):
        one = loss_example.make()
        values.append(one.forward(x[n : n + 1], target[n : n + 1]))
        close(one.backward()[0] / 6, dx[n], 1e-14)
    close(np.mean(values), value, 1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_stacked_models(loss_example, kind, close):
    x, target = loss_example.input(models=(3,)), loss_example.targets()[kind]
    if kind == "integer one-hot":
        target = np.broadcast_to(target, x.shape)
    stack = loss_example.make()
    values = stack.forward(x, target)
    dx = stack.backward()
    assert values.shape == (3,)
    for m in range(3):
        one = loss_example.make()
        close(values[m], one.forward(x[m], target[m] if target.ndim == 3 else target), 1e-14)
        close(dx[m], one.backward(), 1e-14)


def test_targets_of_their_own_for_each_model(loss_example, close):
    x, classes = loss_example.input(models=(2,)), np.array([[0, 1, 2, 3, 0, 1], [3, 3, 2, 2, 1, 1]])
    for target in (classes, np.eye(4)[classes]):
        stack = loss_example.make()
        values = stack.forward(x, target)
        dx = stack.backward()
        for m in range(2):
            one = loss_example.make()
            close(values[m], one.forward(x[m], target[m]), 1e-14)
            close(dx[m], one.backward(), 1e-14)


@pytest.mark.parametrize("layout", ["Fortran", "backwards"])
def test_any_memory_layout_gives_the_same(loss_example, layout, close):
    x, target = loss_example.input(), loss_example.targets()["soft"]
    change = np.asfortranarray if layout == "Fortran" else (lambda a: a[::-1].copy()[::-1])
    expected, actual = loss_example.make(), loss_example.make()
    close(actual.forward(change(x), change(target)), expected.forward(x, target), 1e-14)
    close(actual.backward(), expected.backward(), 1e-14)


def test_calling_a_loss_is_forward(loss_example):
    x, target = loss_example.input(), loss_example.targets()["classes"]
    assert loss_example.make()(x, target) == loss_example.make().forward(x, target)
    name = loss_example.name.removesuffix(" compiled")
    assert repr(loss_example.make()) == (name if "(" in name else f"{name}()")


# -- extremes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e4, 1e30])
def test_extreme_scores(dtype, size):
    x = np.array([[size, -size, 0], [-size, size, 0], [-size, -size, -size], [size, size, size]], dtype)
    for target in (np.array([0, 0, 1, 2]), np.eye(3, dtype=dtype)[[0, 0, 1, 2]]):
        loss = nn.SoftmaxCrossEntropy()
        value = loss.forward(x, target)
        assert value == pytest.approx((0 + 2 * size + 2 * math.log(3)) / 4, rel=1e-6)
        third = 1 / 3
        expected = [[0, 0, 0], [-1, 1, 0], [third, third - 1, third], [third, third, third - 1]]
        np.testing.assert_allclose(loss.backward(), np.array(expected) / 4, atol=1e-7)


def test_a_confident_right_answer_keeps_its_small_loss():
    """log(1 - tiny) is not lost: the loss is the logarithm's remainder, e^-30, as long as float64 can tell."""
    value = nn.SoftmaxCrossEntropy().forward(np.array([[30.0, 0.0]]), np.array([0]))
    assert value == pytest.approx(math.log1p(math.exp(-30)), rel=3e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_probability_of_zero(dtype):
    x = np.array([[0, 1], [1, 0]], dtype)
    loss = nn.CrossEntropy()
    value = loss.forward(x, np.array([0, 0]))
    assert value == pytest.approx(-np.log(np.finfo(dtype).tiny) / 2, rel=1e-6)
    assert np.isfinite(loss.backward()).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e4, 1e30])
def test_extreme_scores_stay_finite(dtype, size):
    x = np.array([[size, -size, 0], [-size, size, 0], [-size, -size, -size], [size, size, size]], dtype)
    target = np.array([0, 0, 1, 2])
    smoothed = nn.SoftmaxCrossEntropy(0.3)
    # target rows (0.8, 0.1, 0.1): the first sample loses 0.1 (2 + 1) size, the second (0.8·2 + 0.1) size
    assert smoothed.forward(x, target) == pytest.approx((0.3 * size + 1.7 * size + 2 * math.log(3)) / 4, rel=1e-6)
    dx = smoothed.backward()
    np.testing.assert_allclose(dx[:2] * 4, [[0.2, -0.1, -0.1], [-0.8, 0.9, -0.1]], atol=1e-6)
    layer, loss = nn.LogSoftmax(), nn.NegativeLogLikelihood()
    value = loss.forward(layer.forward(x), target)
    assert value == pytest.approx((2 * size + 2 * math.log(3)) / 4, rel=1e-6)
    dx = layer.backward(loss.backward())
    np.testing.assert_allclose(dx[:2] * 4, [[0, 0, 0], [-1, 1, 0]], atol=1e-6)
    if size == 1e4:  # the square of 1e30 is no float32
        squared = nn.MeanSquaredError()
        assert squared.forward(x, target) == pytest.approx((x.astype(float) ** 2).mean(), rel=1e-3)
        assert np.isfinite(squared.backward()).all()


@pytest.mark.parametrize("make", [nn.BatchNorm1d, nn.LayerNorm])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [0.1, -1e4])
def test_constant_columns_stay_finite(make, dtype, value):
    """Their mean may be off by its last digit; what is left of them is still nothing."""
    x = np.random.default_rng(0).standard_normal((7, 4)).astype(dtype)
    x[...] = value
    layer = make(4, dtype=dtype)
    for mode in (True, False):
        layer.train(mode)
        y = layer.forward(x)
        assert np.isfinite(y).all()
        if mode:
            assert np.abs(y).max() < 0.5
        dx = layer.backward(np.random.default_rng(0).standard_normal((7, 4)).astype(dtype))
        assert np.isfinite(dx).all()
        assert all(np.isfinite(p.grad).all() for p in layer.parameters())


@pytest.mark.parametrize("make", [nn.BatchNorm1d, nn.LayerNorm])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_constant_values_have_no_variance_and_stay_finite(make, dtype):
    x = np.full((5, 4), 3, dtype)
    layer = make(4, dtype=dtype)
    np.testing.assert_array_equal(layer.forward(x), 0)
    dx = layer.backward(np.random.default_rng(0).standard_normal((5, 4)).astype(dtype))
    assert np.isfinite(dx).all()


def test_softmax_of_extreme_scores():
    y = nn.Softmax().forward(np.array([[1e4, -1e4, 1e4], [-1e308, -1e308, -1e308]]))
    np.testing.assert_allclose(y, [[0.5, 0, 0.5], [1 / 3, 1 / 3, 1 / 3]], rtol=1e-15)


# -- errors -----------------------------------------------------------------------------------------------------------


def test_backward_before_forward(loss_example):
    message = rf"{type(loss_example.make()).__name__}\.backward was called before forward: call forward\(x, t\) first"
    with pytest.raises(RuntimeError, match=message):
        loss_example.make().backward()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (np.zeros(5, np.int64), r"target with shape=\(5,\), expected \(6,\) or \(6, 4\)"),
        (np.array([0, 1, 2, 3, 4, 0]), "the loss got class 4, expected classes 0 to 3"),
        (np.array([0, 1, -1, 3, 2, 0]), "the loss got class -1, expected classes 0 to 3"),
        (np.array([0, 1, -1, 3, 9, 0]), "the loss got class -1, expected classes 0 to 3"),
        (np.zeros(6), r"shape=\(6,\) and dtype=float64, expected integer classes \(6,\) or one-hot rows \(6, 4\)"),
        (np.zeros((6, 3)), r"shape=\(6, 3\) and dtype=float64, expected integer classes \(6,\) or one-hot rows"),
        (np.zeros((5, 4), np.int64), r"shape=\(5, 4\) and dtype=int64, expected integer classes \(6,\) or one-hot"),
    ],
    ids=["fewer", "class too large", "class below 0", "both", "floating classes", "other classes", "fewer rows"],
)
def test_targets_that_do_not_fit(loss_example, target, message):
    with pytest.raises(ValueError, match=message):
        loss_example.make().forward(loss_example.input(), target)


@pytest.mark.parametrize("target", [np.zeros((2, 6), np.int64), np.zeros((2, 6, 4))], ids=["classes", "rows"])
def test_targets_of_another_number_of_models(loss_example, target):
    with pytest.raises(ValueError, match=r"the loss got target with shape=\(2, 6.*, expected .*\(3, 6, 4\)"):
        loss_example.make().forward(loss_example.input(models=(3,)), target)


@pytest.mark.parametrize("target", [np.zeros(0, np.int64), np.zeros((0, 4))], ids=["classes", "rows"])
def test_no_sample(loss_example, target):
    with pytest.raises(ValueError, match=r"the loss got x with shape=\(0, 4\), expected \(N, K\) with at least one"):
        loss_example.make().forward(np.zeros((0, 4)), target)


@pytest.mark.parametrize("target", [np.array(1), np.array([0, 1, 0, 0])], ids=["class", "row"])
def test_a_single_row_is_no_batch(loss_example, unchecked, target):
    with pytest.raises(ValueError, match=r"the loss got x with shape=\(4,\), expected \(N, K\) with at least one"):
        loss_example.make().forward(np.full(4, 0.25), target)


def test_integer_scores(loss_example, unchecked):
    with pytest.raises(TypeError, match="x has dtype=int64, expected a floating dtype: cast it with"):
        loss_example.make().forward(np.ones((2, 3), np.int64), np.array([0, 1]))


@pytest.mark.parametrize("labels", [np.array([0, 1]), np.eye(3)[[0, 1]]], ids=["classes", "one-hot"])
def test_an_impossible_class_that_is_not_the_label_costs_nothing(labels):
    """Log-probabilities of -∞ off the label, in the layer, in its kernel and in the twin; scores of -∞ alike."""
    from handgrad.kernels import Kernels

    x = np.array([[-0.3, -np.inf, -1.35], [-np.inf, -0.3, -np.inf]])
    for loss in (nn.NegativeLogLikelihood(), Kernels().lend(nn.NegativeLogLikelihood())):
        assert loss.forward(x, labels) == pytest.approx(0.3)
        assert np.isfinite(loss.backward()).all()
    import handgrad.torch as ht

    value = ht.NegativeLogLikelihoodFunction.apply(torch.tensor(x), torch.tensor(labels))
    assert value.item() == pytest.approx(0.3)
    fused = nn.SoftmaxCrossEntropy()
    assert np.isfinite(fused.forward(x, labels))
    assert np.isfinite(fused.backward()).all()

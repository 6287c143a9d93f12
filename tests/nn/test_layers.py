"""What is particular to one layer: its options, its messages, its text."""

from __future__ import annotations

import numpy as np
import pytest

from handgrad import nn
from handgrad.kernels import FlatParameters


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Linear(0, 3), "Linear got in_features=0, expected at least 1"),
        (lambda: nn.Linear(3, -1), "Linear got out_features=-1, expected at least 1"),
        (lambda: nn.Linear(3, 2, init="glorot"), "init='glorot' is unknown"),
        (lambda: nn.LeakyReLU(-0.1), "LeakyReLU got negative_slope=-0.1, expected at least 0"),
        (lambda: nn.LeakyReLU(float("nan")), "LeakyReLU got negative_slope=nan, expected at least 0"),
        (lambda: nn.ELU(0.0), "ELU got alpha=0.0, expected more than 0"),
        (lambda: nn.ELU(-1.0), "ELU got alpha=-1.0, expected more than 0"),
        (lambda: nn.Softplus(0.0), "Softplus got beta=0.0, expected more than 0"),
        (lambda: nn.Softplus(float("nan")), "Softplus got beta=nan, expected more than 0"),
        (lambda: nn.GELU("erf"), "GELU got approximate='erf', expected 'none' .the exact form. or 'tanh'"),
        (lambda: nn.Dropout(1.0), r"Dropout got p=1.0, expected a probability in \[0, 1\)"),
        (lambda: nn.Dropout(-0.1), r"Dropout got p=-0.1, expected a probability in \[0, 1\)"),
        (lambda: nn.BatchNorm1d(0), "BatchNorm1d got num_features=0, expected at least 1"),
        (lambda: nn.BatchNorm1d(3, eps=0.0), "BatchNorm1d got eps=0.0, expected more than 0"),
        (lambda: nn.BatchNorm1d(3, momentum=1.5), r"BatchNorm1d got momentum=1.5, expected a share in \[0, 1\]"),
        (lambda: nn.BatchNorm1d(3, momentum=-0.1), r"BatchNorm1d got momentum=-0.1, expected a share in \[0, 1\]"),
        (
            lambda: nn.BatchNorm1d(3, running_variance="both"),
            "BatchNorm1d got running_variance='both', expected 'unbiased' or 'biased'",
        ),
        (lambda: nn.LayerNorm(0), "LayerNorm got num_features=0, expected at least 1"),
        (lambda: nn.LayerNorm(3, eps=-1.0), "LayerNorm got eps=-1.0, expected more than 0"),
    ],
)
def test_options_that_cannot_be(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (nn.Linear(4, 3), "Linear(4, 3)"),
        (nn.Linear(4, 3, bias=False), "Linear(4, 3, bias=False)"),
        (nn.ReLU(), "ReLU()"),
        (nn.LeakyReLU(0.2), "LeakyReLU(negative_slope=0.2)"),
        (nn.ELU(2.0), "ELU(alpha=2.0)"),
        (nn.Softplus(2.0), "Softplus(beta=2.0, threshold=20.0)"),
        (nn.GELU(), "GELU(approximate='none')"),
        (nn.SiLU(), "SiLU()"),
        (nn.Dropout(0.3), "Dropout(p=0.3)"),
        (nn.BatchNorm1d(3), "BatchNorm1d(3)"),
        (nn.Sequential(nn.Linear(2, 1), nn.Tanh()), "Sequential(Linear(2, 1), Tanh())"),
        (nn.Residual(nn.Linear(2, 2), nn.Tanh()), "Residual(Linear(2, 2), Tanh())"),
        (nn.Linear(4, 3).weight, "Parameter(shape=(3, 4), dtype=float32)"),
    ],
)
def test_text(layer, text):
    assert repr(layer) == text


def test_calling_a_layer_is_forward(sample_by_sample):
    x = sample_by_sample.input()
    np.testing.assert_array_equal(sample_by_sample.layer()(x), sample_by_sample.layer().forward(x))


@pytest.mark.parametrize(("running_variance", "n", "least"), [("unbiased", 1, 2), ("unbiased", 0, 2), ("biased", 0, 1)])
def test_batch_norm_of_too_few_samples(running_variance, n, least):
    layer = nn.BatchNorm1d(4, running_variance=running_variance)
    message = rf"BatchNorm1d\(4\) got a training batch of N={n}, expected at least {least}: use larger batches, or eval"
    before = layer.state_dict()
    with pytest.raises(ValueError, match=message):
        layer.forward(np.ones((n, 4), np.float32))
    for name, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    assert layer.eval().forward(np.ones((n, 4), np.float32)).shape == (n, 4)


def test_batch_norm_far_from_zero(close):
    """The variance is taken about the mean: E[x²] - E[x]² would have lost it."""
    x = np.random.default_rng(0).standard_normal((50, 3))
    near, far = nn.BatchNorm1d(3, dtype=np.float64), nn.BatchNorm1d(3, dtype=np.float64)
    close(far.forward(x + 1e7), near.forward(x), 1e-7)
    near, far = nn.LayerNorm(3, dtype=np.float64), nn.LayerNorm(3, dtype=np.float64)
    close(far.forward(x + 1e7), near.forward(x), 1e-7)


def test_layer_norm_is_alike_in_training_and_evaluation():
    x = np.random.default_rng(0).standard_normal((5, 4))
    np.testing.assert_array_equal(nn.LayerNorm(4).forward(x), nn.LayerNorm(4).eval().forward(x))


def test_the_mode_of_backward_is_that_of_forward(close):
    """Switching to evaluation between forward and backward does not change what backward differentiates."""
    x, dy = np.random.default_rng(0).standard_normal((2, 5, 4))
    for make in (lambda: nn.BatchNorm1d(4, dtype=np.float64), lambda: nn.Dropout(0.5, rng=0)):
        straight, switched = make(), make()
        straight.forward(x)
        switched.forward(x)
        switched.eval()
        np.testing.assert_array_equal(switched.backward(dy), straight.backward(dy))


def test_a_residual_keeps_the_shape():
    message = r"Residual\(Linear\(4, 3\)\) got x with shape=\(5, 4\), but its layers return shape=\(5, 3\): x"
    with pytest.raises(ValueError, match=message):
        nn.Residual(nn.Linear(4, 3)).forward(np.ones((5, 4), np.float32))
    with pytest.raises(ValueError, match="Residual got no layers, expected at least one"):
        nn.Residual()


def test_modules_are_all_layers_inside():
    block = nn.Residual(nn.Linear(3, 3), nn.ReLU())
    network = nn.Sequential(nn.Flatten(), block)
    assert list(network.modules()) == [network, network[0], block, block[0], block[1]]


@pytest.mark.parametrize("shape", [(3, 4), (300, 512), (2, 3, 4), (0, 4)])
def test_relu_of_few_and_many_numbers(shape):
    x = np.random.default_rng(0).standard_normal(shape, np.float32)
    layer = nn.ReLU()
    np.testing.assert_array_equal(layer.forward(x), np.where(x > 0, x, 0))
    np.testing.assert_array_equal(layer.backward(np.full_like(x, 3)), np.where(x > 0, np.float32(3), 0))


def test_names_in_networks_of_networks():
    inner = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    network = nn.Sequential(nn.ReLU(), inner, nn.Linear(3, 2, bias=False))
    assert [name for name, _ in network.named_parameters()] == [
        "1.0.weight",
        "1.0.bias",
        "1.1.weight",
        "1.1.bias",
        "2.weight",
    ]
    assert [name for name, _ in network.named_buffers()] == [
        "1.1.running_mean",
        "1.1.running_var",
        "1.1.num_batches_tracked",
    ]


# -- flat buffers -----------------------------------------------------------------------------------------------------


def test_flat_parameters_are_views_of_two_buffers():
    network = nn.Sequential(nn.Linear(4, 3, rng=0), nn.ReLU(), nn.Linear(3, 2, rng=1))
    before = network.state_dict()
    flat = FlatParameters(network)
    assert flat.names == ("0.weight", "0.bias", "2.weight", "2.bias")
    assert flat.slices == {
        "0.weight": slice(0, 12),
        "0.bias": slice(12, 15),
        "2.weight": slice(15, 21),
        "2.bias": slice(21, 23),
    }
    assert flat.values.shape == flat.grads.shape == (1, 23)
    assert flat.values.dtype == flat.grads.dtype == np.float32
    np.testing.assert_array_equal(flat.grads, 0)
    for name, parameter in network.named_parameters():
        np.testing.assert_array_equal(parameter.value, before[name])
        assert np.shares_memory(parameter.value, flat.values)
        assert np.shares_memory(parameter.grad, flat.grads)
        assert parameter.value.shape == before[name].shape
    network.backward(network.forward(np.ones((5, 4), np.float32)))
    for name, parameter in network.named_parameters():
        np.testing.assert_array_equal(flat.grads[0, flat.slices[name]], parameter.grad.ravel())
    flat.values += 1
    for name, parameter in network.named_parameters():
        np.testing.assert_array_equal(parameter.value, before[name] + np.float32(1))
    network.load_state_dict(before)
    assert np.shares_memory(network[0].weight.value, flat.values)


def test_whole_is_the_two_buffers():
    flat = FlatParameters(nn.Linear(4, 3, rng=0), 2, np.float64)
    whole = flat.whole()
    for view, buffer in ((whole.value, flat.values), (whole.grad, flat.grads)):
        assert view.shape == buffer.shape
        assert view.ctypes.data == buffer.ctypes.data


def test_a_stack_starts_from_the_present_values():
    layer = nn.BatchNorm1d(3, dtype=np.float64)
    layer.weight.value[...] = [1, 2, 3]
    layer.running_mean[...] = [4, 5, 6]
    FlatParameters(layer, 2, np.float64)
    np.testing.assert_array_equal(layer.weight.value, [[1, 2, 3]] * 2)
    np.testing.assert_array_equal(layer.running_mean, [[4, 5, 6]] * 2)
    np.testing.assert_array_equal(layer.num_batches_tracked, [0, 0])
    layer.running_mean[0] = 0
    np.testing.assert_array_equal(layer.running_mean[1], [4, 5, 6])


# -- shapes in annotations --------------------------------------------------------------------------------------------


def test_annotations_are_checked():
    """The import hook of `tests/conftest.py` is at work: these raise before a layer looks at anything."""
    import jaxtyping

    with pytest.raises(jaxtyping.TypeCheckError, match="x"):
        nn.Softmax().forward(np.zeros(3))
    with pytest.raises(jaxtyping.TypeCheckError, match="x"):
        nn.ReLU().forward(np.zeros((2, 3), np.int64))
    with pytest.raises(jaxtyping.TypeCheckError, match="x"):
        nn.Linear(2, 3).forward([[1.0, 2.0]])
    with pytest.raises(jaxtyping.TypeCheckError, match="in_features"):
        nn.Linear("2", 3)


def test_annotations_are_not_checked_where_that_is_turned_off(unchecked):
    with pytest.raises(TypeError, match="expected a floating dtype"):
        nn.ReLU().forward(np.zeros((2, 3), np.int64))


# -- what newcomers from other libraries try --------------------------------------------------------------------------


def test_a_list_is_not_an_array(unchecked):
    for layer in (nn.Linear(2, 3), nn.ReLU(), nn.BatchNorm1d(2), nn.Softmax()):
        with pytest.raises(TypeError, match=r"x is a list, expected a NumPy array: convert it with numpy.asarray"):
            layer.forward([[1.0, 2.0], [3.0, 4.0]])


def test_labels_may_be_a_list():
    x, loss = np.eye(3, 4), nn.SoftmaxCrossEntropy()
    assert loss(x, [0, 1, 2]) == loss(x, np.array([0, 1, 2]))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: nn.Sequential([nn.ReLU()]),
            TypeError,
            "Sequential got a list as layer 0: give the layers one by one",
        ),
        (
            lambda: nn.Sequential(np.tanh),
            TypeError,
            "Sequential got a ufunc as layer 0: derive its class from handgrad.nn",
        ),
        (lambda: nn.ReLU().zero_grad(), AttributeError, "no attribute 'zero_grad': backward overwrites every gradient"),
        (lambda: nn.ReLU().cuda(), AttributeError, "no attribute 'cuda': handgrad.nn computes with NumPy; for a GPU"),
        (lambda: nn.SGD(nn.Linear(2, 3), 0.1).zero_grad(), AttributeError, "backward overwrites every gradient, so"),
        (lambda: nn.SGD(nn.Linear(2, 3), lr=0.1), TypeError, "SGD got lr=0.1: this argument is called learning_rate"),
        (lambda: nn.ReLU().nothing, AttributeError, "'ReLU' object has no attribute 'nothing'$"),
    ],
)
def test_one_line_that_teaches(call, error, message, unchecked):
    with pytest.raises(error, match=message):
        call()


def test_a_layer_in_two_places_is_refused():
    relu = nn.ReLU()
    with pytest.raises(ValueError, match="got the same ReLU in layers 0 and 2: a layer stores one forward pass"):
        nn.Sequential(relu, nn.Linear(2, 2), relu)
    with pytest.raises(ValueError, match="got the same ReLU in layers 0 and 1: a layer stores one forward pass"):
        nn.Sequential(relu, nn.Residual(nn.Linear(2, 2), relu))


@pytest.mark.parametrize("x", [[[2.0, -1.0, 0.0]], [[0.5, 0.5, 0.5]], [[0.1, 0.1, 0.1]]], ids=["logits", "1.5", "0.3"])
def test_logits_are_not_taken_for_probabilities(x):
    with pytest.raises(ValueError, match=r"expected probabilities: for scores \(logits\), use SoftmaxCrossEntropy"):
        nn.CrossEntropy()(np.array(x), np.array([0]))


def test_probabilities_may_be_rounded():
    x = np.full((2, 3), 1 / 3, np.float16)
    assert np.isfinite(nn.CrossEntropy()(x, np.array([0, 1])))

"""The interface of CMU 11-785's homework 1, sentence by sentence, as the tests of the course use it. The expected
values come from the formulas of the handout in plain NumPy, and from PyTorch."""

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch

from handgrad.courses import cmu11785
from handgrad.courses.cmu11785 import mytorch

EDITIONS = {"2019": cmu11785, "2020": mytorch}


@pytest.fixture(params=EDITIONS)
def hw1(request):
    return EDITIONS[request.param]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def close(actual, expected, tolerance=1e-12):
    assert np.shape(actual) == np.shape(expected)
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


def one_hot(labels, k):
    return np.eye(k)[labels]


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


# -- activations ------------------------------------------------------------------------------------------------------

FORMULAS = {
    "Identity": (lambda z: z, lambda z: np.ones_like(z)),
    "Sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2),
    "Tanh": (np.tanh, lambda z: 1 / np.cosh(z) ** 2),
    "ReLU": (lambda z: z * (z > 0), lambda z: (z > 0) * 1.0),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_an_activation_computes_its_function_and_derivative(hw1, rng, name):
    z = rng.normal(size=(20, 7))
    before = z.copy()
    activation = getattr(hw1, name)()
    assert isinstance(activation, hw1.Activation)
    assert activation.state is None
    f, derivative = FORMULAS[name]
    close(activation(z), f(z))
    close(activation.forward(z), f(z))
    close(activation.state, f(z))
    close(np.broadcast_to(activation.derivative(), z.shape), derivative(z))
    close(activation.state, f(z))
    assert np.asarray(activation.derivative()).dtype == np.float64
    np.testing.assert_array_equal(z, before)


def test_the_identity_has_derivative_one(hw1):
    assert hw1.Identity().derivative() == 1.0
    assert isinstance(hw1.Identity().derivative(), float)


@pytest.mark.parametrize("name", ["Sigmoid", "Tanh", "ReLU"])
def test_the_derivative_works_from_the_state(hw1, rng, name):
    z, other = rng.normal(size=(2, 3, 4))
    activation = getattr(hw1, name)()
    f, derivative = FORMULAS[name]
    activation(z)
    activation.state = f(other)
    close(activation.derivative(), derivative(other))
    activation.state[0] = f(z[0])
    close(activation.derivative()[0], derivative(z)[0])
    fresh = getattr(hw1, name)()
    fresh.state = f(z)
    close(fresh.derivative(), derivative(z))


def test_relu_has_derivative_zero_where_the_output_is_zero(hw1):
    relu = hw1.ReLU()
    relu(np.array([[-1.0, 0.0, 1.0]]))
    np.testing.assert_array_equal(relu.derivative(), [[0.0, 0.0, 1.0]])
    assert relu.derivative().dtype == np.float64


@pytest.mark.parametrize("name", ["Sigmoid", "Tanh", "ReLU"])
def test_activations_take_integers_lists_and_any_number_of_axes(hw1, name):
    activation = getattr(hw1, name)()
    for z in ([[-2, 0, 3]], np.array([-2, 0, 3]), np.arange(6).reshape(1, 2, 3), np.float64(0.5), 2):
        f, derivative = FORMULAS[name]
        close(activation(z), f(np.asarray(z, float)))
        close(activation.derivative(), derivative(np.asarray(z, float)) if name != "ReLU" else np.asarray(z) > 0)


@pytest.mark.parametrize("name", ["Sigmoid", "Tanh", "ReLU"])
def test_activations_keep_float32(hw1, name):
    activation = getattr(hw1, name)()
    assert activation(np.ones((2, 3), np.float32)).dtype == activation.derivative().dtype == np.float32


@pytest.mark.parametrize("name", ["Sigmoid", "Tanh"])
def test_activations_stay_finite(hw1, name):
    activation = getattr(hw1, name)()
    assert np.isfinite(activation(np.array([-1e4, 1e4]))).all()
    np.testing.assert_array_equal(activation.derivative(), [0, 0])


def test_the_derivative_before_forward_is_an_error(hw1):
    with pytest.raises(RuntimeError, match=r"Sigmoid.derivative was called before forward: state is None"):
        hw1.Sigmoid().derivative()


def test_the_base_classes_ask_for_forward_and_derivative(hw1):
    for base, arguments in ((hw1.Activation(), (1.0,)), (hw1.Criterion(), (1.0, 1.0))):
        with pytest.raises(NotImplementedError):
            base(*arguments)
        with pytest.raises(NotImplementedError):
            base.derivative()


# -- the loss ---------------------------------------------------------------------------------------------------------


def test_softmax_cross_entropy(hw1, rng):
    x, y = rng.normal(size=(20, 10)), one_hot(rng.integers(10, size=20), 10)
    before = x.copy(), y.copy()
    criterion = hw1.SoftmaxCrossEntropy()
    assert isinstance(criterion, hw1.Criterion)
    assert criterion.logits is criterion.labels is criterion.loss is None
    expected = -(y * np.log(softmax(x))).sum(axis=1)
    close(criterion(x, y), expected)
    close(criterion.forward(x, y), expected)
    close(criterion.loss, expected)
    close(criterion.logits, x)
    close(criterion.labels, y)
    close(criterion.derivative(), softmax(x) - y)
    theirs = torch.tensor(x, requires_grad=True)
    loss = torch.nn.functional.cross_entropy(theirs, torch.tensor(y), reduction="sum")
    loss.backward()
    close(criterion.loss.sum(), loss.item())
    close(criterion.derivative(), theirs.grad.numpy())
    assert criterion.loss.dtype == criterion.derivative().dtype == np.float64
    np.testing.assert_array_equal((x, y), before)


def test_the_loss_is_finite_at_large_logits(hw1):
    criterion = hw1.SoftmaxCrossEntropy()
    close(criterion([[1e4, 0.0], [-1e4, 0.0]], [[0, 1], [1, 0]]), [1e4, 1e4])
    close(criterion.derivative(), [[1.0, -1.0], [-1.0, 1.0]])


def test_the_loss_of_one_sample_and_of_integer_labels(hw1):
    criterion = hw1.SoftmaxCrossEntropy()
    close(criterion(np.zeros((1, 4)), np.array([[0, 0, 1, 0]])), [np.log(4)])
    close(criterion.derivative(), [[0.25, 0.25, -0.75, 0.25]])


def test_the_derivative_is_that_of_the_last_forward(hw1, rng):
    criterion = hw1.SoftmaxCrossEntropy()
    (x, z), y = rng.normal(size=(2, 5, 3)), np.eye(3)[[0, 1, 2, 0, 1]]
    criterion(x, y)
    criterion(z, y)
    close(criterion.derivative(), softmax(z) - y)


def test_labels_that_do_not_fit_are_refused(hw1):
    with pytest.raises(ValueError, match=r"SoftmaxCrossEntropy got x with shape=\(4, 3\) and y with shape=\(4,\)"):
        hw1.SoftmaxCrossEntropy()(np.zeros((4, 3)), np.zeros(4, int))
    with pytest.raises(RuntimeError, match=r"SoftmaxCrossEntropy.derivative was called before forward"):
        hw1.SoftmaxCrossEntropy().derivative()


# -- batch normalisation ----------------------------------------------------------------------------------------------


def test_batch_norm_begins_as_the_starter_code_says(hw1):
    bn = hw1.BatchNorm(5)
    assert bn.alpha == 0.9
    assert bn.eps == 1e-8
    assert bn.x is bn.norm is bn.out is None
    for name in ("var", "gamma", "running_var"):
        np.testing.assert_array_equal(getattr(bn, name), np.ones((1, 5)))
    for name in ("mean", "beta", "dgamma", "dbeta", "running_mean"):
        np.testing.assert_array_equal(getattr(bn, name), np.zeros((1, 5)))
    for name in ("var", "gamma", "running_var", "mean", "beta", "dgamma", "dbeta", "running_mean"):
        assert getattr(bn, name).dtype == np.float64
    assert hw1.BatchNorm(fan_in=5, alpha=0.5).alpha == 0.5


def normalised(bn, x, mean, var):
    return (x - mean) / np.sqrt(var + bn.eps)


def batch_norm_by_formulas(x, gamma, beta, delta, eps=1e-8):
    """Equations 1 to 4 and 5 to 27 of the handout's appendix."""
    m = len(x)
    mean = x.sum(axis=0, keepdims=True) / m
    var = ((x - mean) ** 2).sum(axis=0, keepdims=True) / m
    norm = (x - mean) / np.sqrt(var + eps)
    dnorm = delta * gamma
    dvar = -0.5 * (dnorm * (x - mean) * (var + eps) ** -1.5).sum(axis=0, keepdims=True)
    dmean = -(dnorm * (var + eps) ** -0.5).sum(axis=0, keepdims=True) - dvar * 2 / m * (x - mean).sum(axis=0)
    dx = dnorm * (var + eps) ** -0.5 + dvar * 2 / m * (x - mean) + dmean / m
    return mean, var, norm, gamma * norm + beta, (delta * norm).sum(axis=0), delta.sum(axis=0), dx


def test_batch_norm_in_training(hw1, rng):
    x, delta = rng.normal(3, 2, size=(20, 5)), rng.normal(size=(20, 5))
    before = x.copy(), delta.copy()
    bn = hw1.BatchNorm(5)
    bn.gamma, bn.beta = rng.normal(size=(2, 1, 5))
    mean, var, norm, out, dgamma, dbeta, dx = batch_norm_by_formulas(x, bn.gamma, bn.beta, delta)
    close(bn(x), out)
    for name, value in (("x", x), ("mean", mean), ("var", var), ("norm", norm), ("out", out)):
        close(getattr(bn, name), value)
    close(bn.backward(delta), dx, 1e-10)
    close(bn.dgamma, dgamma if hw1 is cmu11785 else dgamma[None])
    close(bn.dbeta, dbeta if hw1 is cmu11785 else dbeta[None])
    close(bn.running_mean, 0.9 * np.zeros((1, 5)) + 0.1 * mean)
    close(bn.running_var, 0.9 * np.ones((1, 5)) + 0.1 * var)
    np.testing.assert_array_equal((x, delta), before)


def test_running_figures_follow_alpha_over_many_batches(hw1, rng):
    bn = hw1.BatchNorm(3, alpha=0.7)
    running_mean, running_var = np.zeros((1, 3)), np.ones((1, 3))
    for _ in range(5):
        x = rng.normal(2, 3, size=(8, 3))
        bn(x)
        running_mean = 0.7 * running_mean + 0.3 * x.mean(axis=0)
        running_var = 0.7 * running_var + 0.3 * x.var(axis=0)
        close(bn.running_mean, running_mean)
        close(bn.running_var, running_var)
    bn.alpha = 0.2
    before = bn.running_mean
    bn(x)
    close(bn.running_mean, 0.2 * before + 0.8 * x.mean(axis=0, keepdims=True))


def test_batch_norm_in_evaluation_uses_and_keeps_the_running_figures(hw1, rng):
    bn = hw1.BatchNorm(4)
    bn(rng.normal(size=(10, 4)))
    kept = {name: getattr(bn, name).copy() for name in ("mean", "var", "running_mean", "running_var")}
    x = rng.normal(5, 1, size=(6, 4))
    norm = normalised(bn, x, bn.running_mean, bn.running_var)
    close(bn(x, eval=True), norm)
    close(bn.forward(x, True), norm)
    close(bn.x, x)
    close(bn.norm, norm)
    close(bn.out, norm)
    for name, value in kept.items():
        np.testing.assert_array_equal(getattr(bn, name), value)


def test_every_attribute_of_batch_norm_is_live(hw1, rng):
    x = rng.normal(size=(9, 2))
    bn = hw1.BatchNorm(2)
    norm = batch_norm_by_formulas(x, 1, 0, x)[2]
    bn.gamma[...] = 3.0
    bn.beta[0, 1] = 7.0
    close(bn(x), 3 * norm + [[0, 7]])
    bn.gamma, bn.beta = np.full(2, 2.0), [[1.0, 2.0]]  # a 1-D array and a list do as well
    close(bn(x), 2 * norm + [[1, 2]])
    bn.running_mean = np.array([[1.0, 2.0]])
    bn.running_var[...] = 4.0
    bn.gamma, bn.beta = np.ones((1, 2)), np.zeros((1, 2))
    close(bn(x, eval=True), (x - [[1, 2]]) / np.sqrt(4 + 1e-8))
    bn.eps = 0.5
    close(bn(x), (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 0.5))
    bn.gamma = np.array([[5.0, 6.0]])  # between forward and backward
    delta = rng.normal(size=(9, 2))
    close(bn.backward(delta), batch_norm_by_formulas(x, np.array([[5.0, 6.0]]), 0, delta, 0.5)[-1])


def test_arrays_that_somebody_holds_are_not_changed_behind_their_back(hw1, rng):
    bn = hw1.BatchNorm(3)
    x = rng.normal(size=(6, 3))
    bn(x)
    bn.backward(x)
    names = ("running_mean", "running_var", "mean", "var", "norm", "out", "dgamma", "dbeta", "gamma", "beta")
    held = {name: getattr(bn, name) for name in names}
    copies = {name: array.copy() for name, array in held.items()}
    bn(x + 1)
    bn.backward(2 * x)
    bn(x, eval=True)
    for name in names:
        np.testing.assert_array_equal(held[name], copies[name])


def test_batch_norm_agrees_with_pytorch(hw1, rng):
    x, delta = rng.normal(size=(2, 16, 4))
    bn = hw1.BatchNorm(4)
    theirs = torch.nn.BatchNorm1d(4, eps=1e-8, dtype=torch.float64)
    tensor = torch.tensor(x, requires_grad=True)
    out = theirs(tensor)
    out.backward(torch.tensor(delta))
    close(bn(x), out.detach().numpy())
    close(bn.backward(delta), tensor.grad.numpy(), 1e-10)
    close(np.ravel(bn.dgamma), theirs.weight.grad.numpy())
    close(np.ravel(bn.dbeta), theirs.bias.grad.numpy())


def test_batch_norm_of_one_sample(hw1):
    bn = hw1.BatchNorm(2)
    close(bn(np.array([[3.0, 4.0]])), np.zeros((1, 2)))
    close(bn.var, np.zeros((1, 2)))
    close(bn.backward(np.ones((1, 2))), np.zeros((1, 2)))


def test_float32_data_is_computed_in_float64(hw1, rng):
    x = rng.normal(size=(8, 3)).astype(np.float32)
    bn = hw1.BatchNorm(3)
    close(bn(x), (x.astype(float) - x.astype(float).mean(axis=0)) / np.sqrt(x.astype(float).var(axis=0) + 1e-8))
    assert bn.out.dtype == bn.running_mean.dtype == bn.backward(x).dtype == bn.dgamma.dtype == np.float64


# -- initial weights --------------------------------------------------------------------------------------------------


def test_initial_weights_are_standard_normal_draws_from_the_global_generator(hw1):
    np.random.seed(3)
    weight = hw1.random_normal_weight_init(200, 100)
    np.random.seed(3)
    np.testing.assert_array_equal(weight, np.random.normal(size=(200, 100)))
    assert weight.shape == (200, 100)
    assert abs(weight.std() - 1) < 0.02


def test_initial_biases_are_zeros():
    np.testing.assert_array_equal(cmu11785.zeros_bias_init(4), np.zeros(4))
    np.testing.assert_array_equal(mytorch.zeros_bias_init(4), np.zeros((1, 4)))


# -- the network ------------------------------------------------------------------------------------------------------


def weight_init(d0, d1):
    return np.random.normal(size=(d0, d1)) / np.sqrt(d0)


def bias_init(d):
    return np.random.normal(size=d)


def make(hw1, hiddens=(6, 5), activation="Sigmoid", momentum=0.0, num_bn_layers=0, bias=bias_init, lr=0.05):
    np.random.seed(11)
    activations = [getattr(hw1, activation)() for _ in hiddens] + [hw1.Identity()]
    criterion = hw1.SoftmaxCrossEntropy()
    return hw1.MLP(8, 4, list(hiddens), activations, weight_init, bias, criterion, lr, momentum, num_bn_layers)


def parameters(mlp):
    """W, b, dW, db of either edition, as lists."""
    if hasattr(mlp, "linear_layers"):
        return tuple([getattr(layer, name) for layer in mlp.linear_layers] for name in ("W", "b", "dW", "db"))
    return mlp.W, mlp.b, mlp.dW, mlp.db


def torch_twin(mlp, activation="Sigmoid", training=True):
    """The same network from PyTorch's own parts."""
    layers = []
    W, b, *_ = parameters(mlp)
    for i in range(len(W)):
        linear = torch.nn.Linear(*W[i].shape, dtype=torch.float64)
        linear.weight.data = torch.tensor(W[i].T.copy())
        linear.bias.data = torch.tensor(np.ravel(b[i]).copy())
        layers.append(linear)
        if i < mlp.num_bn_layers:
            layers.append(torch.nn.BatchNorm1d(W[i].shape[1], eps=1e-8, dtype=torch.float64).train(training))
        if i < len(W) - 1:
            layers.append(getattr(torch.nn, activation)())
    return torch.nn.Sequential(*layers)


@pytest.fixture
def batch(rng):
    return rng.normal(size=(12, 8)), one_hot(rng.integers(4, size=12), 4)


def test_the_constructor_sets_every_attribute():
    activations = [cmu11785.Sigmoid(), cmu11785.Sigmoid(), cmu11785.Sigmoid(), cmu11785.Identity()]
    criterion = cmu11785.SoftmaxCrossEntropy()
    np.random.seed(0)
    mlp = cmu11785.MLP(
        784, 10, [64, 64, 32], activations, weight_init, bias_init, criterion, 0.008, momentum=0.9, num_bn_layers=2
    )
    assert mlp.train_mode is True
    assert (mlp.num_bn_layers, mlp.bn, mlp.nlayers) == (2, True, 4)
    assert (mlp.input_size, mlp.output_size, mlp.lr, mlp.momentum) == (784, 10, 0.008, 0.9)
    assert mlp.activations is activations
    assert mlp.criterion is criterion
    sizes = [784, 64, 64, 32, 10]
    shapes = list(pairwise(sizes))
    assert [w.shape for w in mlp.W] == [w.shape for w in mlp.dW] == shapes
    assert [b.shape for b in mlp.b] == [b.shape for b in mlp.db] == [(n,) for n in sizes[1:]]
    assert isinstance(mlp.W, list)
    assert not any(np.any(g) for g in mlp.dW + mlp.db)
    assert [bn.gamma.shape for bn in mlp.bn_layers] == [(1, 64), (1, 64)]
    assert all(isinstance(bn, cmu11785.BatchNorm) for bn in mlp.bn_layers)


def test_defaults_of_the_constructor(hw1):
    mlp = hw1.MLP(3, 2, [], [hw1.Identity()], weight_init, bias_init, hw1.SoftmaxCrossEntropy(), 0.1)
    assert (mlp.momentum, mlp.num_bn_layers, mlp.bn, mlp.nlayers) == (0.0, 0, False, 1)
    assert not mlp.bn_layers


def test_weights_are_drawn_in_layer_order_and_nothing_else_is_drawn(hw1):
    np.random.seed(5)
    mlp = make_with(hw1, hw1.random_normal_weight_init, hw1.zeros_bias_init)
    after = np.random.rand()
    np.random.seed(5)
    expected = [np.random.normal(size=shape) for shape in ((8, 6), (6, 5), (5, 4))]
    for weight, value in zip(parameters(mlp)[0], expected, strict=True):
        np.testing.assert_array_equal(weight, value)
    assert np.random.rand() == after


def make_with(hw1, weight, bias):
    activations = [hw1.Sigmoid(), hw1.Sigmoid(), hw1.Identity()]
    return hw1.MLP(8, 4, [6, 5], activations, weight, bias, hw1.SoftmaxCrossEntropy(), 0.1, num_bn_layers=1)


def test_a_forward_pass_draws_nothing(hw1, batch):
    mlp = make(hw1, num_bn_layers=1)
    state = np.random.get_state()[1].copy()
    mlp(batch[0])
    mlp.backward(batch[1])
    mlp.step()
    np.testing.assert_array_equal(np.random.get_state()[1], state)


@pytest.mark.parametrize("shape", [(4,), (1, 4)])
def test_a_bias_is_as_its_function_returns_it(hw1, batch, shape):
    def bias(d):
        return np.full((1,) * (len(shape) - 1) + (d,), 0.5)

    mlp = make(hw1, hiddens=(), momentum=0.9, bias=bias)
    assert parameters(mlp)[1][0].shape == shape
    for _ in range(2):
        out = mlp(batch[0])
        close(out, batch[0] @ parameters(mlp)[0][0] + np.ravel(parameters(mlp)[1][0]))
        mlp.backward(batch[1])
        mlp.step()
    assert parameters(mlp)[1][0].shape == shape


def test_the_linear_classifier_by_formulas(hw1, batch):
    x, y = batch
    mlp = make(hw1, hiddens=())
    (W,), (b,), *_ = parameters(mlp)
    out = x @ W + b
    close(mlp.forward(x), out)
    mlp.backward(y)
    delta = softmax(out) - y
    dW, db = x.T @ delta / 12, delta.sum(axis=0) / 12
    close(parameters(mlp)[2][0], dW)
    close(parameters(mlp)[3][0], db if hw1 is cmu11785 else db[None])
    mlp.step()
    close(parameters(mlp)[0][0], W - 0.05 * dW)
    close(parameters(mlp)[1][0], b - 0.05 * db)


@pytest.mark.parametrize("hiddens", [(), (6,), (6, 5), (6, 5, 7)])
@pytest.mark.parametrize("activation", ["Sigmoid", "Tanh", "ReLU"])
@pytest.mark.parametrize("bn", [0, 1, 2])
def test_gradients_are_those_of_pytorch(hw1, batch, hiddens, activation, bn):
    x, y = batch
    bn = min(bn, len(hiddens))
    mlp = make(hw1, hiddens, activation, num_bn_layers=bn)
    twin = torch_twin(mlp, activation)
    out = twin(torch.tensor(x))
    torch.nn.functional.cross_entropy(out, torch.tensor(y)).backward()
    close(mlp(x), out.detach().numpy())
    mlp.backward(y)
    _, _, dW, db = parameters(mlp)
    linears = [layer for layer in twin if isinstance(layer, torch.nn.Linear)]
    for i, linear in enumerate(linears):
        assert dW[i].dtype == db[i].dtype == np.float64
        close(dW[i], linear.weight.grad.numpy().T)
        close(db[i], linear.bias.grad.numpy()[None if hw1 is mytorch else ...])
    norms = [layer for layer in twin if isinstance(layer, torch.nn.BatchNorm1d)]
    assert len(mlp.bn_layers) == len(norms) == bn
    for ours, theirs in zip(mlp.bn_layers, norms, strict=True):  # sums, not means
        close(ours.dgamma, 12 * theirs.weight.grad.numpy()[None if hw1 is mytorch else ...])
        close(ours.dbeta, 12 * theirs.bias.grad.numpy()[None if hw1 is mytorch else ...])


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("bn", [0, 2])
def test_steps_follow_the_courses_rule(hw1, rng, momentum, bn):
    """v = momentum * v - lr * g; W = W + v; gamma and beta take plain steps of the same learning rate."""
    mlp = make(hw1, momentum=momentum, num_bn_layers=bn)
    W, b, *_ = ([a.copy() for a in arrays] for arrays in parameters(mlp))
    gammas, betas = [l.gamma.copy() for l in mlp.bn_layers], [l.beta.copy() for l in mlp.bn_layers]
    vW, vb = [np.zeros_like(w) for w in W], [np.zeros_like(a) for a in b]
    for step in range(4):
        mlp.lr = 0.05 * (step + 1)  # v remembers the learning rate of its own step
        mlp.zero_grads()
        mlp(rng.normal(size=(12, 8)))
        mlp.backward(one_hot(rng.integers(4, size=12), 4))
        _, _, dW, db = parameters(mlp)
        for i in range(3):
            vW[i] = momentum * vW[i] - mlp.lr * dW[i]
            vb[i] = momentum * vb[i] - mlp.lr * np.ravel(db[i])
            W[i], b[i] = W[i] + vW[i], b[i] + vb[i]
        for i, bn_layer in enumerate(mlp.bn_layers):
            gammas[i] = gammas[i] - mlp.lr * bn_layer.dgamma
            betas[i] = betas[i] - mlp.lr * bn_layer.dbeta
        mlp.step()
        for ours, expected in zip(parameters(mlp)[:2], (W, b), strict=True):
            for array, value in zip(ours, expected, strict=True):
                close(array, value)
        for i, bn_layer in enumerate(mlp.bn_layers):
            close(bn_layer.gamma, gammas[i])
            close(bn_layer.beta, betas[i])
            assert bn_layer.gamma.shape == (1, (6, 5)[i])


def test_many_steps_are_those_of_handgrads_own_sgd(hw1, batch):
    from handgrad import nn

    x, y = batch
    mlp = make(hw1, momentum=0.9)
    W, b, *_ = parameters(mlp)
    network = nn.Sequential(nn.Linear(8, 6), nn.Sigmoid(), nn.Linear(6, 5), nn.Sigmoid(), nn.Linear(5, 4))
    network.astype(np.float64)
    for i, linear in enumerate(network.layers[::2]):
        linear.weight.value[...] = W[i].T
        linear.bias.value[...] = b[i]
    loss, optimizer = nn.SoftmaxCrossEntropy(), nn.SGD(network, 0.05, momentum=0.9)
    for _ in range(30):
        mlp(x)
        mlp.backward(y)
        mlp.step()
        loss(network(x), y)
        network.backward(loss.backward())
        optimizer.step()
    for i, linear in enumerate(network.layers[::2]):
        close(parameters(mlp)[0][i], linear.weight.value.T, 1e-11)
        close(parameters(mlp)[1][i], linear.bias.value, 1e-11)


def test_backward_overwrites_and_zero_grads_clears(hw1, batch):
    mlp = make(hw1, num_bn_layers=1)
    for _ in range(2):
        mlp(batch[0])
        mlp.backward(batch[1])
    once = make(hw1, num_bn_layers=1)
    once(batch[0])
    once.backward(batch[1])
    for ours, expected in zip(parameters(mlp)[2], parameters(once)[2], strict=True):
        close(ours, expected)
        assert np.any(ours)
    bn = mlp.bn_layers[0]
    assert np.any(bn.dgamma)
    assert np.any(bn.dbeta)
    mlp.zero_grads()
    _, _, dW, db = parameters(mlp)
    for g in [*dW, *db, bn.dgamma, bn.dbeta]:
        assert not np.any(g)
    before = [w.copy() for w in parameters(mlp)[0]]
    mlp.step()
    for w, value in zip(parameters(mlp)[0], before, strict=True):
        np.testing.assert_array_equal(w, value)


def test_train_and_eval_reach_batch_norm(hw1, batch):
    x, _ = batch
    mlp = make(hw1, hiddens=(6,), num_bn_layers=1)
    mlp(x)
    bn = mlp.bn_layers[0]
    assert mlp.train_mode
    mlp.eval()
    assert mlp.train_mode is False
    kept = bn.running_mean.copy()
    (W0, W1), (b0, b1), *_ = parameters(mlp)
    hidden = 1 / (1 + np.exp(-normalised(bn, x @ W0 + b0, bn.running_mean, bn.running_var)))
    close(mlp(x), hidden @ W1 + b1)
    np.testing.assert_array_equal(bn.running_mean, kept)
    mlp.train()
    assert mlp.train_mode is True
    mlp(x)
    assert np.any(bn.running_mean != kept)


def test_linear_then_batch_norm_then_activation(hw1, batch):
    mlp = make(hw1, hiddens=(6,), num_bn_layers=1)
    mlp(batch[0])
    W, b, *_ = parameters(mlp)
    bn = mlp.bn_layers[0]
    close(bn.x, batch[0] @ W[0] + b[0])
    close(mlp.activations[0].state, 1 / (1 + np.exp(-bn.out)))
    close(mlp.activations[1].state, mlp.activations[0].state @ W[1] + b[1])


def test_the_number_of_batch_norm_layers_is_honoured(hw1, batch):
    for n in range(4):
        mlp = make(hw1, num_bn_layers=n)
        assert len(mlp.bn_layers) == n
        mlp(batch[0])
        mlp.backward(batch[1])
        assert all(layer.x is not None and np.any(layer.dbeta) for layer in mlp.bn_layers)
    with pytest.raises(ValueError, match=r"MLP got num_bn_layers=4, expected 0 to 3, the number of layers"):
        make(hw1, num_bn_layers=4)


def test_weights_changed_in_place_or_replaced_change_the_next_forward(batch):
    x, y = batch
    mlp = make(cmu11785, hiddens=())
    mlp.W[0][...] = 2.0
    mlp.b[0][1] = 3.0
    close(mlp(x), x @ mlp.W[0] + mlp.b[0])
    mlp.W[0] = np.ones((8, 4))
    close(mlp(x), x @ np.ones((8, 4)) + mlp.b[0])
    mlp.W, mlp.b = [np.full((8, 4), 0.5)], [np.zeros((1, 4))]
    close(mlp(x), x @ np.full((8, 4), 0.5))
    mlp.backward(y)
    mlp.dW = [np.ones((8, 4))]
    mlp.db[0] = np.ones(4)
    mlp.step()
    close(mlp.W[0], np.full((8, 4), 0.45))
    close(mlp.b[0], np.full((1, 4), -0.05))


def test_weights_replaced_between_forward_and_backward_are_those_that_backward_uses(batch):
    x, y = batch
    mlp = make(cmu11785, hiddens=(6,))
    out = mlp(x)
    hidden = mlp.activations[0].state
    mlp.W[1] = W1 = np.random.normal(size=(6, 4))
    mlp.backward(y)
    assert mlp.W[1] is W1
    delta = (softmax(out) - y) @ W1.T * hidden * (1 - hidden)
    close(mlp.dW[0], x.T @ delta / 12)


def test_linear_layers_of_the_2020_edition_are_live(batch):
    x, y = batch
    mlp = make(mytorch, hiddens=(), momentum=0.5)
    (layer,) = mlp.linear_layers
    assert isinstance(layer, mytorch.Linear)
    layer.W = np.ones((8, 4))
    layer.b[...] = 1.0
    close(mlp(x), x @ np.ones((8, 4)) + 1)
    mlp.backward(y)
    layer.dW, layer.db = np.ones((8, 4)), np.ones((1, 4))
    layer.momentum_W, layer.momentum_b[...] = np.full((8, 4), 2.0), 2.0
    mlp.step()
    close(layer.W, np.full((8, 4), 1 + 1 - 0.05))
    close(np.ravel(layer.b), np.full(4, 1 + 1 - 0.05))
    close(layer.momentum_W, np.full((8, 4), 0.95))
    mlp.linear_layers = [mytorch.Linear(8, 4, lambda a, b: np.zeros((a, b)), mytorch.zeros_bias_init)]
    close(mlp(x), np.zeros((12, 4)))
    assert mlp.error(np.eye(4)[np.zeros(12, int)]) == 0
    close(mlp.total_loss(y), 12 * np.log(4))


def test_the_linear_layer_of_the_2020_edition(rng):
    np.random.seed(0)
    layer = mytorch.Linear(8, 4, weight_init, mytorch.zeros_bias_init)
    assert layer.W.shape == layer.dW.shape == layer.momentum_W.shape == (8, 4)
    assert layer.b.shape == layer.db.shape == layer.momentum_b.shape == (1, 4)
    assert not any(np.any(a) for a in (layer.dW, layer.db, layer.momentum_W, layer.momentum_b))
    x, delta = rng.normal(size=(6, 8)), rng.normal(size=(6, 4))
    close(layer(x), x @ layer.W + layer.b)
    close(layer.backward(delta), delta @ layer.W.T)
    close(layer.dW, x.T @ delta / 6)
    close(layer.db, delta.mean(axis=0, keepdims=True))


def test_what_the_caller_gave_and_what_somebody_holds_stay_as_they_are(hw1, batch):
    first = []

    def weight(d0, d1):
        first.append(weight_init(d0, d1))
        return first[-1]

    np.random.seed(0)
    mlp = make_with(hw1, weight, bias_init)
    originals = [w.copy() for w in first]
    x, y = batch[0].copy(), batch[1].copy()
    mlp(x)
    mlp.backward(y)
    out, (_, _, dW, db) = mlp(x), parameters(mlp)
    held = [out, *dW, *db]
    copies = [a.copy() for a in held]
    for _ in range(3):
        mlp.step()
        mlp(2 * x)
        mlp.backward(y)
        mlp.zero_grads()
    for array, value in zip([*first, *held, x, y], [*originals, *copies, *batch], strict=True):
        np.testing.assert_array_equal(array, value)


def test_two_networks_and_a_copy_share_nothing(hw1, batch):
    mlp = make(hw1, num_bn_layers=1)
    twin = copy.deepcopy(mlp)
    before = [w.copy() for w in parameters(twin)[0]]
    mlp(batch[0])
    mlp.backward(batch[1])
    mlp.step()
    for w, value in zip(parameters(twin)[0], before, strict=True):
        np.testing.assert_array_equal(w, value)
    close(twin(batch[0]), make(hw1, num_bn_layers=1)(batch[0]))


def test_a_test_may_bring_its_own_activation_criterion_and_dtypes(hw1, batch):
    class Softplus(hw1.Activation):
        def forward(self, x):
            self.state = np.log1p(np.exp(x))
            return self.state

        def derivative(self):
            return 1 - np.exp(-self.state)

    class Squared(hw1.Criterion):
        def forward(self, x, y):
            self.logits, self.labels = x, y
            self.loss = ((x - y) ** 2).sum(axis=1)
            return self.loss

        def derivative(self):
            return 2 * (self.logits - self.labels)

    x, y = batch
    activations = [Softplus(), hw1.Identity()]
    mlp = hw1.MLP(8, 4, [6], activations, lambda a, b: np.ones((a, b), int), lambda d: np.zeros(d), Squared(), 0.1)
    out = mlp(x.astype(np.float32))
    hidden = np.log1p(np.exp(x.astype(np.float32).astype(float) @ np.ones((8, 6))))
    close(out, hidden @ np.ones((6, 4)))
    mlp.backward(y)
    close(parameters(mlp)[2][1], hidden.T @ (2 * (out - y)) / 12)
    mlp.step()
    assert parameters(mlp)[0][1].dtype == np.float64


def test_backward_before_forward_is_an_error(hw1, batch):
    with pytest.raises(RuntimeError, match=r"MLP.backward was called before forward"):
        make(hw1).backward(batch[1])


def test_activations_and_layers_have_to_be_as_many(hw1):
    with pytest.raises(ValueError, match=r"MLP got 1 activations, expected 3, one per layer"):
        hw1.MLP(8, 4, [6, 5], [hw1.Sigmoid()], weight_init, bias_init, hw1.SoftmaxCrossEntropy(), 0.1)


# -- training statistics ----------------------------------------------------------------------------------------------


def blobs(rng, n, k=3, d=8):
    labels = rng.integers(k, size=n)
    return rng.normal(size=(n, d)) + 3 * np.eye(d)[labels], one_hot(labels, k)


def blob_network(hw1, bn=0):
    np.random.seed(1)
    return hw1.MLP(
        8, 3, [10], [hw1.Sigmoid(), hw1.Identity()], weight_init, hw1.zeros_bias_init,
        hw1.SoftmaxCrossEntropy(), 0.1, momentum=0.9, num_bn_layers=bn,
    )  # fmt: skip


@pytest.mark.parametrize("bn", [0, 1])
def test_training_statistics(hw1, rng, bn):
    dset = blobs(rng, 103), blobs(rng, 50), blobs(rng, 50)
    before = copy.deepcopy(dset)
    mlp = blob_network(hw1, bn)
    statistics = hw1.get_training_stats(mlp, dset, 6, 10)
    assert len(statistics) == 4
    for values in statistics:
        assert isinstance(values, np.ndarray)
        assert values.shape == (6,)
        assert values.dtype == np.float64
    training_losses, training_errors, validation_losses, validation_errors = statistics
    assert training_losses[-1] < training_losses[0]
    assert training_errors[-1] < 0.2  # batch normalisation makes small batches noisy
    assert 0 <= validation_errors.min() <= validation_errors[-1] < 0.15
    mlp.eval()
    out = mlp(dset[1][0])
    close(validation_losses[-1], -(dset[1][1] * np.log(softmax(out))).sum(axis=1).mean())
    close(validation_errors[-1], (out.argmax(axis=1) != dset[1][1].argmax(axis=1)).mean())
    for (x, y), (x_before, y_before) in zip(dset, before, strict=True):
        np.testing.assert_array_equal(x, x_before)
        np.testing.assert_array_equal(y, y_before)


def test_training_figures_come_from_the_batches_as_they_pass(rng):
    """One epoch written out, the shuffle by np.random.shuffle of the indices."""
    x, y = blobs(rng, 25)
    mlp, own = blob_network(cmu11785), blob_network(cmu11785)
    np.random.seed(7)
    losses, errors, *_ = cmu11785.get_training_stats(mlp, ((x, y), (x, y), (x, y)), 2, 10)
    np.random.seed(7)
    order = np.arange(25)
    for epoch in range(2):
        np.random.shuffle(order)
        assert np.any(order != np.arange(25))
        loss = wrong = 0
        for start in (0, 10, 20):
            batch = order[start : start + 10]
            out = own(x[batch])
            loss += -(y[batch] * np.log(softmax(out))).sum()
            wrong += (out.argmax(axis=1) != y[batch].argmax(axis=1)).sum()
            own.backward(y[batch])
            own.step()
        close(losses[epoch], loss / 25)
        close(errors[epoch], wrong / 25)


def test_validation_runs_in_evaluation_mode_and_touches_nothing(rng):
    class Watched(cmu11785.MLP):
        def forward(self, x):
            log.append((self.train_mode, len(x)))
            return super().forward(x)

    log = []
    mlp = blob_network(cmu11785, bn=1)
    mlp.__class__ = Watched
    cmu11785.get_training_stats(mlp, (blobs(rng, 20), blobs(rng, 30), blobs(rng, 30)), 2, 10)
    modes = [training for training, _ in log]
    assert modes == ([True] * 2 + [False] * (len(log) // 2 - 2)) * 2  # an epoch, its validation, and again
    assert sum(n for training, n in log if training) == 40
    assert sum(n for training, n in log if not training) == 60


def test_training_statistics_refuse_labels_that_are_not_one_hot(rng):
    x, y = blobs(rng, 20)
    with pytest.raises(ValueError, match=r"get_training_stats got labels with shape=\(20,\), expected one-hot rows"):
        cmu11785.get_training_stats(blob_network(cmu11785), ((x, y.argmax(axis=1)), (x, y), (x, y)), 1, 10)

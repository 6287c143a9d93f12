"""hw1: a small neural network library on NumPy.

Layout: activations, criterion, normalisation, network, training loop.
"""
from __future__ import annotations

from typing import Any, Callable, List, Optional, Sequence, Tuple

import numpy as np

Array = np.ndarray

EPS = 1e-8
F = np.float64


def sigmoid(x):
    pos = x >= 0
    e = np.exp(np.where(pos, -x, x))
    return np.where(pos, 1 / (1 + e), e / (1 + e))


def relu(x):
    return (np.abs(x) + x) / 2


class Activation(object):
    def __init__(self):
        self.state = None

    def __call__(self, x):
        return self.forward(x)

    def forward(self, x):
        raise NotImplementedError

    def derivative(self):
        raise NotImplementedError


class Identity(Activation):
    def forward(self, x):
        self.state = x
        return x

    def derivative(self):
        return 1.0


class Sigmoid(Activation):
    def forward(self, x):
        self.state = sigmoid(x)
        return self.state

    def derivative(self):
        return 0.25 - (self.state - 0.5) ** 2


class Tanh(Activation):
    # tanh(x) = 2 sigmoid(2x) - 1
    def forward(self, x):
        self.state = 2 * sigmoid(2 * x) - 1
        return self.state

    def derivative(self):
        return 1 - self.state ** 2


class ReLU(Activation):
    def forward(self, x):
        self.x = x
        self.state = relu(x)
        return self.state

    def derivative(self):
        # the slope at 0 is taken as 1 as the pdf says
        return (self.x >= 0).astype(F)



class Criterion:
    """A loss with one value per sample."""

    def __init__(self) -> None:
        self.logits: Optional[Array] = None
        self.labels: Optional[Array] = None
        self.loss: Optional[Array] = None

    def __call__(self, x: Array, y: Array) -> Array:
        return self.forward(x, y)

    def forward(self, x: Array, y: Array) -> Array:
        raise NotImplementedError

    def derivative(self) -> Array:
        raise NotImplementedError


class SoftmaxCrossEntropy(Criterion):
    """Softmax followed by cross-entropy, in log space."""

    @staticmethod
    def _logsumexp(x: Array) -> Array:
        return np.logaddexp.reduce(x, axis=-1)

    @property
    def probabilities(self) -> Array:
        return np.exp(self.logits - self._logsumexp(self.logits)[..., np.newaxis])

    def forward(self, x: Array, y: Array) -> Array:
        self.logits = np.asarray(x)
        self.labels = np.asarray(y)
        self.loss = self._logsumexp(self.logits) - np.sum(self.logits * self.labels, axis=-1)
        return self.loss

    def derivative(self) -> Array:
        return self.probabilities - self.labels


def random_normal_weight_init(d0, d1):
    return np.random.normal(0.0, 1.0, (d0, d1))


def zeros_bias_init(d):
    return np.zeros(d)



class BatchNorm:
    """Batch normalisation over the first axis."""

    def __init__(self, fan_in: int, alpha: float = 0.9) -> None:
        self.alpha: float = alpha
        self.eps: float = 1e-8
        self.x: Optional[Array] = None
        self.norm: Optional[Array] = None
        self.out: Optional[Array] = None
        shape = (1, fan_in)
        self.var, self.mean = np.ones(shape), np.zeros(shape)
        self.gamma, self.dgamma = np.ones(shape), np.zeros(shape)
        self.beta, self.dbeta = np.zeros(shape), np.zeros(shape)
        self.running_mean, self.running_var = np.zeros(shape), np.ones(shape)
        self._inverse_std: Optional[Array] = None

    def __call__(self, x: Array, eval: bool = False) -> Array:
        return self.forward(x, eval)

    def forward(self, x: Array, eval: bool = False) -> Array:
        self.x = x
        if eval:
            self._normalise(self.running_mean, self.running_var)
        else:
            self.mean = x.mean(axis=0, keepdims=True)
            self.var = x.var(axis=0, keepdims=True)
            self._normalise(self.mean, self.var)
            self._track()
        self.out = self.gamma * self.norm + self.beta
        return self.out

    def _normalise(self, mean: Array, var: Array) -> None:
        self._inverse_std = 1.0 / np.sqrt(var + self.eps)
        self.norm = (self.x - mean) * self._inverse_std

    def _track(self) -> None:
        keep, take = self.alpha, 1.0 - self.alpha
        self.running_mean = keep * self.running_mean + take * self.mean
        self.running_var = keep * self.running_var + take * self.var

    def backward(self, delta: Array) -> Array:
        self.dgamma = np.sum(delta * self.norm, axis=0, keepdims=True)
        self.dbeta = np.sum(delta, axis=0, keepdims=True)
        g = delta * self.gamma
        centred = g - g.mean(axis=0, keepdims=True)
        projected = self.norm * np.mean(g * self.norm, axis=0, keepdims=True)
        return self._inverse_std * (centred - projected)


class MLP(object):

    """
    A simple multilayer perceptron
    """

    def __init__(self, input_size, output_size, hiddens, activations, weight_init_fn, bias_init_fn, criterion, lr, momentum=0.0, num_bn_layers=0):

        # Don't change this -->
        self.train_mode = True
        self.num_bn_layers = num_bn_layers
        self.bn = num_bn_layers > 0
        self.nlayers = len(hiddens) + 1
        self.input_size = input_size
        self.output_size = output_size
        self.activations = activations
        self.criterion = criterion
        self.lr = lr
        self.momentum = momentum
        # <---------------------

        sizes = [input_size] + list(hiddens) + [output_size]
        self.W = [weight_init_fn(sizes[i], sizes[i + 1]) for i in range(self.nlayers)]
        self.dW = [np.zeros_like(w) for w in self.W]
        self.b = [bias_init_fn(sizes[i + 1]) for i in range(self.nlayers)]
        self.db = [np.zeros_like(b) for b in self.b]

        self.vW = [np.zeros_like(w) for w in self.W]
        self.vb = [np.zeros_like(b) for b in self.b]

        # if batch norm, add batch norm parameters
        if self.bn:
            self.bn_layers = [BatchNorm(sizes[i + 1]) for i in range(num_bn_layers)]

    def forward(self, x):
        self.inputs = []
        for i in range(self.nlayers):
            self.inputs.append(x)
            z = np.dot(x, self.W[i]) + self.b[i]
            if self.bn and i < self.num_bn_layers:
                z = self.bn_layers[i](z, not self.train_mode)
            x = self.activations[i](z)
        self.output = x
        return self.output

    def zero_grads(self):
        for i in range(self.nlayers):
            self.dW[i] = np.zeros_like(self.W[i])
            self.db[i] = np.zeros_like(self.b[i])

    def step(self):
        for i in range(self.nlayers):
            self.vW[i] = self.momentum * self.vW[i] - self.lr * self.dW[i]
            self.vb[i] = self.momentum * self.vb[i] - self.lr * self.db[i]
            self.W[i] = self.W[i] + self.vW[i]
            self.b[i] = self.b[i] + self.vb[i]
        if self.bn:
            for layer in self.bn_layers:
                layer.gamma = layer.gamma - self.lr * layer.dgamma
                layer.beta = layer.beta - self.lr * layer.dbeta

    def backward(self, labels):
        self.criterion(self.output, labels)
        batch_size = labels.shape[0]
        delta = self.criterion.derivative()
        for i in range(self.nlayers - 1, -1, -1):
            delta = delta * self.activations[i].derivative()
            if self.bn and i < self.num_bn_layers:
                delta = self.bn_layers[i].backward(delta)
            self.dW[i] = np.dot(self.inputs[i].T, delta) / batch_size
            self.db[i] = np.sum(delta, axis=0) / batch_size
            delta = np.dot(delta, self.W[i].T)

    def __call__(self, x):
        return self.forward(x)

    def train(self):
        self.train_mode = True

    def eval(self):
        self.train_mode = False



def _minibatches(x: Array, y: Array, batch_size: int, shuffle: bool):
    order = np.arange(len(x))
    if shuffle:
        np.random.shuffle(order)
    for start in range(0, len(x), batch_size):
        rows = order[start:start + batch_size]
        yield x[rows], y[rows]


def _run_epoch(mlp: MLP, x: Array, y: Array, batch_size: int, learn: bool) -> Tuple[float, float]:
    mlp.train() if learn else mlp.eval()
    losses: List[Array] = []
    misses: List[Array] = []
    for xb, yb in _minibatches(x, y, batch_size, shuffle=learn):
        logits = mlp(xb)
        losses.append(mlp.criterion(logits, yb))
        misses.append(logits.argmax(axis=1) != yb.argmax(axis=1))
        if learn:
            mlp.zero_grads()
            mlp.backward(yb)
            mlp.step()
    return float(np.concatenate(losses).mean()), float(np.concatenate(misses).mean())


def get_training_stats(mlp: MLP, dset: Any, nepochs: int, batch_size: int) -> Tuple[Array, Array, Array, Array]:
    train, val, _ = dset
    history = np.zeros((4, nepochs))
    for epoch in range(nepochs):
        history[0, epoch], history[1, epoch] = _run_epoch(mlp, *train, batch_size, learn=True)
        history[2, epoch], history[3, epoch] = _run_epoch(mlp, *val, batch_size, learn=False)
    return history[0], history[1], history[2], history[3]

# -*- coding: utf-8 -*-
# 11-785 hw1p1
# only numpy is allow!!

from typing import Any, Callable, List, Optional, Sequence, Tuple

import numpy as np

Array = np.ndarray
from numpy import exp, log


def remembers(fn):
    """Keep what forward returns in self.state."""
    def wrapped(self, x):
        self.state = fn(self, x)
        return self.state
    return wrapped


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
    @remembers
    def forward(self, x):
        return x

    def derivative(self):
        return np.ones_like(self.state, dtype=float)


class Sigmoid(Activation):
    @remembers
    def forward(self, x):
        # log sigmoid(x) = -log(1 + e^-x)
        return np.exp(-np.logaddexp(0, -x))

    def derivative(self):
        return np.multiply(self.state, np.subtract(1, self.state))


class Tanh(Activation):
    @remembers
    def forward(self, x):
        t = np.exp(-2 * np.abs(x))
        return np.sign(x) * (1 - t) / (1 + t)

    def derivative(self):
        return 1 - np.power(self.state, 2)


class ReLU(Activation):
    @remembers
    def forward(self, x):
        out = np.array(x, dtype=float)      # a copy
        out[out < 0] = 0
        return out

    def derivative(self):
        d = np.zeros_like(self.state)
        d[self.state > 0] = 1
        return d


class Criterion(object):
    def __init__(self):
        self.logits = None
        self.labels = None
        self.loss = None
    def __call__(self, x, y):
        return self.forward(x, y)
    def forward(self, x, y):
        raise NotImplemented
    def derivative(self):
        raise NotImplemented

class SoftmaxCrossEntropy(Criterion):
    def forward(self, x, y):
        self.logits = x
        self.labels = y
        shift = x - x.max(1)[:, None]
        self.logp = shift - log(exp(shift).sum(1))[:, None]
        self.loss = -np.einsum('nk,nk->n', y, self.logp)
        # self.loss = self.loss.mean()   # NO! they want per sample
        return self.loss
    def derivative(self):
        # exp of log prob give the prob again :)
        return exp(self.logp) - self.labels


def random_normal_weight_init(d0, d1):
    return np.random.normal(0.0, 1.0, (d0, d1))


def zeros_bias_init(d):
    return np.zeros(d)



class BatchNorm(object):
    def __init__(self, fan_in, alpha=0.9):
        self.alpha = alpha
        self.eps = 1e-8
        self.x = None
        self.norm = None
        self.out = None
        self.var = np.ones((1, fan_in))
        self.mean = np.zeros((1, fan_in))
        self.gamma = np.ones((1, fan_in))
        self.dgamma = np.zeros((1, fan_in))
        self.beta = np.zeros((1, fan_in))
        self.dbeta = np.zeros((1, fan_in))
        self.running_mean = np.zeros((1, fan_in))
        self.running_var = np.ones((1, fan_in))

    def __call__(self, x, eval=False):
        return self.forward(x, eval)

    def forward(self, x, eval=False):
        self.x = x
        if eval:
            self.sigma = np.sqrt(self.running_var + self.eps)
            self.norm = (x - self.running_mean) / self.sigma
        else:
            n = x.shape[0]
            # centring matrix
            self.P = np.eye(n) - np.ones((n, n)) / n
            xc = self.P @ x
            self.mean = (x - xc)[:1]
            self.var = np.einsum('nd,nd->d', xc, xc)[None] / n
            self.sigma = np.sqrt(self.var + self.eps)
            self.norm = xc / self.sigma
            self.running_mean = self.running_mean * self.alpha + self.mean * (1 - self.alpha)
            self.running_var = self.running_var * self.alpha + self.var * (1 - self.alpha)
        self.out = np.einsum('d,nd->nd', self.gamma[0], self.norm) + self.beta
        return self.out

    def backward(self, delta):
        n = delta.shape[0]
        self.dgamma = np.einsum('nd,nd->d', delta, self.norm)
        self.dbeta = np.einsum('nd->d', delta)
        # J[d, i, j] = d norm[i, d] / d x[j, d]
        J = self.P[None] - np.einsum('id,jd->dij', self.norm, self.norm) / n
        dnorm = delta * self.gamma
        return np.einsum('id,dij->jd', dnorm, J) / self.sigma



class MLP:
    """Fully connected network: linear, (batch norm), activation."""

    def __init__(
        self,
        input_size: int,
        output_size: int,
        hiddens: Sequence[int],
        activations: List[Activation],
        weight_init_fn: Callable[[int, int], Array],
        bias_init_fn: Callable[[int], Array],
        criterion: Criterion,
        lr: float,
        momentum: float = 0.0,
        num_bn_layers: int = 0,
    ) -> None:
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

        fan = [input_size, *hiddens, output_size]
        pairs = list(zip(fan[:-1], fan[1:]))
        self.W = [weight_init_fn(n, m) for n, m in pairs]
        self.b = [bias_init_fn(m) for _, m in pairs]
        self.dW = list(map(np.zeros_like, self.W))
        self.db = list(map(np.zeros_like, self.b))
        self._velocity = {"W": list(map(np.zeros_like, self.W)), "b": list(map(np.zeros_like, self.b))}
        self.bn_layers = [BatchNorm(m) for _, m in pairs[:num_bn_layers]]
        self._tape: List[Array] = []
        self._prediction: Optional[Array] = None

    def __call__(self, x: Array) -> Array:
        return self.forward(x)

    def train(self) -> None:
        self.train_mode = True

    def eval(self) -> None:
        self.train_mode = False

    def forward(self, x: Array) -> Array:
        self._tape = [x]
        for layer in range(self.nlayers):
            self._tape.append(self._layer_forward(layer, self._tape[-1]))
        self._prediction = self._tape[-1]
        return self._prediction

    def _layer_forward(self, layer: int, x: Array) -> Array:
        z = x @ self.W[layer] + self.b[layer]
        if layer < self.num_bn_layers:
            z = self.bn_layers[layer](z, eval=not self.train_mode)
        return self.activations[layer](z)

    def _layer_backward(self, layer: int, dy: Array) -> Array:
        dz = dy * self.activations[layer].derivative()
        if layer < self.num_bn_layers:
            dz = self.bn_layers[layer].backward(dz)
        self.dW[layer] = self._tape[layer].T @ dz / dz.shape[0]
        self.db[layer] = np.mean(dz, axis=0)
        return dz @ self.W[layer].T

    def backward(self, labels: Array) -> None:
        self.criterion(self._prediction, labels)
        dy = self.criterion.derivative()
        for layer in range(self.nlayers)[::-1]:
            dy = self._layer_backward(layer, dy)

    def zero_grads(self) -> None:
        self.dW = list(map(np.zeros_like, self.W))
        self.db = list(map(np.zeros_like, self.b))

    def step(self) -> None:
        self._update(self.W, self.dW, self._velocity["W"])
        self._update(self.b, self.db, self._velocity["b"])
        for norm in self.bn_layers:
            norm.gamma = norm.gamma - self.lr * norm.dgamma
            norm.beta = norm.beta - self.lr * norm.dbeta

    def _update(self, parameters: List[Array], gradients: List[Array], velocities: List[Array]) -> None:
        for i, (gradient, velocity) in enumerate(zip(gradients, velocities)):
            velocities[i] = self.momentum * velocity - self.lr * gradient
            parameters[i] = parameters[i] + velocities[i]



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

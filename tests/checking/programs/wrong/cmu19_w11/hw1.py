"""hw1: a small neural network library on NumPy.

Layout: activations, criterion, normalisation, network, training loop.
"""
from __future__ import annotations

from typing import Any, Callable, List, Optional, Sequence, Tuple

import numpy as np

Array = np.ndarray


class Activation:
    """An elementwise non-linearity that remembers its output."""

    def __init__(self) -> None:
        self.state: Optional[Array] = None

    def __call__(self, x: Array) -> Array:
        return self.forward(x)

    def forward(self, x: Array) -> Array:
        self.state = self._function(x)
        return self.state

    def derivative(self) -> Array:
        if self.state is None:
            raise RuntimeError("derivative() before forward()")
        return self._slope_from_output(self.state)

    @staticmethod
    def _function(x: Array) -> Array:
        raise NotImplementedError

    @staticmethod
    def _slope_from_output(y: Array) -> Array:
        raise NotImplementedError


class Identity(Activation):
    @staticmethod
    def _function(x: Array) -> Array:
        return x

    @staticmethod
    def _slope_from_output(y: Array) -> Array:
        return 1.0


class Sigmoid(Activation):
    @staticmethod
    def _function(x: Array) -> Array:
        z = np.exp(-np.abs(x))
        return np.where(x >= 0, 1.0, z) / (1.0 + z)

    @staticmethod
    def _slope_from_output(y: Array) -> Array:
        return y * (1.0 - y)


class Tanh(Activation):
    @staticmethod
    def _function(x: Array) -> Array:
        return np.tanh(x)

    @staticmethod
    def _slope_from_output(y: Array) -> Array:
        return 1.0 - y * y


class ReLU(Activation):
    @staticmethod
    def _function(x: Array) -> Array:
        return np.clip(x, 0.0, None)

    @staticmethod
    def _slope_from_output(y: Array) -> Array:
        return np.sign(y)



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
    return np.random.randn(d0, d1)

def zeros_bias_init(d):
    return np.zeros((1, d))



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
        g = delta
        centred = g - g.mean(axis=0, keepdims=True)
        projected = self.norm * np.mean(g * self.norm, axis=0, keepdims=True)
        return self._inverse_std * (centred - projected)



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
            norm.gamma = norm.gamma - norm.dgamma
            norm.beta = norm.beta - norm.dbeta

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

"""hw1: a small neural network library on NumPy.

Layout: activations, criterion, normalisation, network, training loop.
"""
from __future__ import annotations

from typing import Any, Callable, List, Optional, Sequence, Tuple

import numpy as np

Array = np.ndarray

class Activation(object):

    """ Base class. The state is the output of forward. """

    def __init__(self):
        self.state = None

    def __call__(self, x):
        return self.forward(x)

    def forward(self, x):
        raise NotImplementedError

    def derivative(self):
        raise NotImplementedError


class Identity(Activation):

    def __init__(self):
        super(Identity, self).__init__()

    def forward(self, x):
        self.state = x
        return x

    def derivative(self):
        return 1.0


class Sigmoid(Activation):

    def __init__(self):
        super(Sigmoid, self).__init__()

    def forward(self, x):
        self.state = 1 / (1 + np.exp(-x))
        return self.state

    def derivative(self):
        return self.state * (1 - self.state)


class Tanh(Activation):

    def __init__(self):
        super(Tanh, self).__init__()

    def forward(self, x):
        self.state = np.tanh(x)
        return self.state

    def derivative(self):
        return 1 - np.square(self.state)


class ReLU(Activation):

    def __init__(self):
        super(ReLU, self).__init__()

    def forward(self, x):
        self.state = np.maximum(x, 0.0)
        return self.state

    def derivative(self):
        return np.where(self.state > 0, 1.0, 0.0)



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
    def __init__(self, input_size, output_size, hiddens, activations, weight_init_fn, bias_init_fn, criterion, lr, momentum=0.0, num_bn_layers=0):
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

        self.W, self.b = [], []
        if len(hiddens) <= 0:
            self.W.append(weight_init_fn(input_size, output_size))
            self.b.append(bias_init_fn(output_size))
        else:
            # first
            self.W.append(weight_init_fn(input_size, hiddens[0]))
            self.b.append(bias_init_fn(hiddens[0]))
            # middle
            for i in range(len(hiddens) - 1):
                self.W.append(weight_init_fn(hiddens[i], hiddens[i+1]))
                self.b.append(bias_init_fn(hiddens[i+1]))
            # last
            self.W.append(weight_init_fn(hiddens[-1], output_size))
            self.b.append(bias_init_fn(output_size))
        self.dW = [np.zeros(w.shape) for w in self.W]
        self.db = [np.zeros(b.shape) for b in self.b]
        self.old_dW = [np.zeros(w.shape) for w in self.W]
        self.old_db = [np.zeros(b.shape) for b in self.b]
        self.bn_layers = []
        if self.bn:
            self.bn_layers = [BatchNorm(h) for h in (list(hiddens) + [output_size])[:num_bn_layers]]

    def forward(self, x):
        self.x = x
        out = x
        for i in range(self.nlayers):
            out = np.matmul(out, self.W[i]) + self.b[i]
            # out = self.bn_layers[i](out)      # old, forget about eval
            if i < self.num_bn_layers:
                if self.train_mode:
                    out = self.bn_layers[i].forward(out)
                else:
                    out = self.bn_layers[i].forward(out, eval=True)
            out = self.activations[i](out)
        self.out = out
        return out

    def zero_grads(self):
        for g in self.dW + self.db:
            g[:] = 0.0

    def step(self):
        for i in range(self.nlayers):
            # heavy ball, see slide
            self.old_dW[i] = self.momentum * self.old_dW[i] + self.lr * self.dW[i]
            self.W[i] -= self.old_dW[i]
            self.b[i] -= self.lr * self.db[i]
        for l in self.bn_layers:
            l.gamma = l.gamma - self.lr * l.dgamma
            l.beta = l.beta - self.lr * l.dbeta

    def backward(self, labels):
        N = labels.shape[0]
        self.loss = self.criterion(self.out, labels)
        grad = self.criterion.derivative()
        for i in reversed(range(self.nlayers)):
            grad = grad * self.activations[i].derivative()
            if i < self.num_bn_layers:
                grad = self.bn_layers[i].backward(grad)
            # the input of this layer is the state of layer before
            inp = self.x if i == 0 else self.activations[i-1].state
            self.dW[i] = np.matmul(inp.T, grad) / N
            self.db[i] = grad.sum(0).reshape(self.b[i].shape) / N
            grad = np.matmul(grad, self.W[i].T)

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

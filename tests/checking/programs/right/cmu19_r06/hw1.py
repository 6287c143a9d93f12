"""
Homework 1 part 1. One file with everything in it: activations, loss, batch norm and the MLP.
"""

from typing import Any, Callable, List, Optional, Sequence, Tuple

import numpy as np

Array = np.ndarray
import os


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
            self.P = np.eye(n) - np.full((n, n), 1.0 / n)
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



class MLP(object):
    def __init__(self, input_size, output_size, hiddens, activations, weight_init_fn, bias_init_fn, criterion, lr, momentum=0.0, num_bn_layers=0):
        self.train_mode = True
        self.num_bn_layers = num_bn_layers
        self.bn = num_bn_layers > 0
        self.nlayers = len(hiddens) + 1
        self.input_size, self.output_size = input_size, output_size
        self.activations = activations
        self.criterion = criterion
        self.lr, self.momentum = lr, momentum

        dims = [input_size] + [h for h in hiddens] + [output_size]
        self.W = [weight_init_fn(a, c) for a, c in zip(dims, dims[1:])]
        self.b = [bias_init_fn(c) for c in dims[1:]]
        self.dW = [np.zeros_like(w) for w in self.W]
        self.db = [np.zeros_like(v) for v in self.b]
        self.mW = [0.0] * self.nlayers
        self.mb = [0.0] * self.nlayers
        self.bn_layers = [BatchNorm(c) for c in dims[1:num_bn_layers + 1]] if self.bn else None

    def __call__(self, x):
        return self.forward(x)

    def train(self):
        self.train_mode = True

    def eval(self):
        self.train_mode = False

    def forward(self, x):
        self.cache = dict(a0=x)
        for i, (w, bias, act) in enumerate(zip(self.W, self.b, self.activations)):
            z = np.einsum('ni,io->no', self.cache['a%d' % i], w) + bias
            if self.bn and i < self.num_bn_layers:
                z = self.bn_layers[i](z, eval=not self.train_mode)
            self.cache['a%d' % (i + 1)] = act(z)
        return self.cache['a%d' % self.nlayers]

    def backward(self, labels):
        n = len(labels)
        self.criterion(self.cache['a%d' % self.nlayers], labels)
        self._back(self.nlayers - 1, self.criterion.derivative(), n)

    def _back(self, i, upstream, n):
        # recursion over the layers, from the last to the first
        if i < 0:
            return upstream
        d = upstream * self.activations[i].derivative()
        if self.bn and i < self.num_bn_layers:
            d = self.bn_layers[i].backward(d)
        self.dW[i] = np.einsum('ni,no->io', self.cache['a%d' % i], d) / n
        self.db[i] = np.einsum('no->o', d) / n
        return self._back(i - 1, np.einsum('no,io->ni', d, self.W[i]), n)

    def zero_grads(self):
        for i in range(self.nlayers):
            self.dW[i], self.db[i] = np.zeros_like(self.W[i]), np.zeros_like(self.b[i])

    def step(self):
        for i in range(self.nlayers):
            self.mW[i] = self.momentum * self.mW[i] - self.lr * self.dW[i]
            self.mb[i] = self.momentum * self.mb[i] - self.lr * self.db[i]
            self.W[i] = self.W[i] + self.mW[i]
            self.b[i] = self.b[i] + self.mb[i]
        if self.bn:
            for bn in self.bn_layers:
                bn.gamma = bn.gamma - self.lr * bn.dgamma
                bn.beta = bn.beta - self.lr * bn.dbeta


def get_training_stats(mlp, dset, nepochs, batch_size):

    train, val, test = dset
    trainx, trainy = train
    valx, valy = val
    testx, testy = test

    idxs = np.arange(len(trainx))

    training_losses = []
    training_errors = []
    validation_losses = []
    validation_errors = []

    for e in range(nepochs):

        np.random.shuffle(idxs)
        trainx = trainx[idxs]
        trainy = trainy[idxs]

        mlp.train()
        loss, wrong = 0.0, 0
        for b in range(0, len(trainx), batch_size):
            x, y = trainx[b:b + batch_size], trainy[b:b + batch_size]
            mlp.zero_grads()
            out = mlp(x)
            mlp.backward(y)
            mlp.step()
            loss += np.sum(mlp.criterion.loss)
            wrong += np.sum(np.argmax(out, axis=1) != np.argmax(y, axis=1))
        training_losses.append(loss / len(trainx))
        training_errors.append(wrong / len(trainx))

        mlp.eval()
        loss, wrong = 0.0, 0
        for b in range(0, len(valx), batch_size):
            x, y = valx[b:b + batch_size], valy[b:b + batch_size]
            out = mlp(x)
            loss += np.sum(mlp.criterion(out, y))
            wrong += np.sum(np.argmax(out, axis=1) != np.argmax(y, axis=1))
        validation_losses.append(loss / len(valx))
        validation_errors.append(wrong / len(valx))

    return (np.array(training_losses), np.array(training_errors),
            np.array(validation_losses), np.array(validation_errors))

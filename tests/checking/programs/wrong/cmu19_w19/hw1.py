# -*- coding: utf-8 -*-
# 11-785 hw1p1
# only numpy is allow!!

from typing import Any, Callable, List, Optional, Sequence, Tuple

import numpy as np

Array = np.ndarray

DEBUG = False
from numpy import exp, log

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
        self.loss = self.loss.mean()
        return self.loss
    def derivative(self):
        # exp of log prob give the prob again :)
        return (exp(self.logp) - self.labels) / len(self.labels)


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

        self.W = []
        self.dW = []
        self.b = []
        self.db = []
        self.deltaW = []
        self.deltab = []
        self.bn_layers = []
        last = input_size
        for k in range(self.nlayers):
            if k < len(hiddens):
                size = hiddens[k]
            else:
                size = output_size
            w = weight_init_fn(last, size)
            bias = bias_init_fn(size)
            self.W.append(w)
            self.b.append(bias)
            self.dW.append(np.zeros(w.shape))
            self.db.append(np.zeros(bias.shape))
            self.deltaW.append(np.zeros(w.shape))
            self.deltab.append(np.zeros(bias.shape))
            if k < num_bn_layers:
                self.bn_layers.append(BatchNorm(size))
            last = size
    def forward(self, x):
        self.saved_inputs = {}
        for k in range(self.nlayers):
            self.saved_inputs[k] = x
            z = np.dot(self.W[k].T, x.T).T + self.b[k]
            if k < self.num_bn_layers:
                if self.train_mode == True:
                    z = self.bn_layers[k](z)
                else:
                    z = self.bn_layers[k](z, eval=True)
            x = self.activations[k](z)
        self.yhat = x
        return x
    def zero_grads(self):
        for k in range(self.nlayers):
            self.dW[k] = self.dW[k] * 0
            self.db[k] = self.db[k] * 0
    def step(self):
        for k in range(self.nlayers):
            self.deltaW[k] = self.momentum * self.deltaW[k] - self.lr * self.dW[k]
            self.W[k] = self.W[k] + self.deltaW[k]
            self.deltab[k] = self.momentum * self.deltab[k] - self.lr * self.db[k]
            self.b[k] = self.b[k] + self.deltab[k]
        for k in range(self.num_bn_layers):
            self.bn_layers[k].gamma = self.bn_layers[k].gamma - self.lr * self.bn_layers[k].dgamma
            self.bn_layers[k].beta = self.bn_layers[k].beta - self.lr * self.bn_layers[k].dbeta
    def backward(self, labels):
        N = labels.shape[0]
        self.criterion(self.yhat, labels)
        delta = self.criterion.derivative()
        k = self.nlayers - 1
        while k >= 0:
            delta = self.activations[k].derivative() * delta
            if k < self.num_bn_layers:
                delta = self.bn_layers[k].backward(delta)
            self.dW[k] = np.zeros(self.W[k].shape)
            self.db[k] = np.zeros(self.b[k].shape)
            # add the gradient of every example and then divide
            for n in range(N):
                self.dW[k] = self.dW[k] + np.outer(self.saved_inputs[k][n], delta[n])
                self.db[k] = self.db[k] + delta[n]
            self.dW[k] = self.dW[k] / N
            self.db[k] = self.db[k] / N
            delta = np.dot(self.W[k], delta.T).T
            if DEBUG:
                print("layer", k, "dW", self.dW[k].shape)
            k = k - 1
    def __call__(self, x):
        return self.forward(x)
    def train(self):
        self.train_mode = True
    def eval(self):
        self.train_mode = False


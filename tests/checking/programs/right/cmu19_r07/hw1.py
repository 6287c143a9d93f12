# -*- coding: utf-8 -*-
# 11-785 hw1p1
# only numpy is allow!!

import numpy as np
from numpy import exp, log

EPS = 1e-8
F = np.float64


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
    return np.random.randn(d0, d1)

def zeros_bias_init(d):
    return np.zeros((1, d))



class BatchNorm(object):
    def __init__(self, fan_in, alpha=0.9):
        self.alpha = alpha
        self.eps = EPS
        self.x, self.norm, self.out = None, None, None
        one, zero = np.ones((1, fan_in)), np.zeros((1, fan_in))
        self.var, self.mean = one.copy(), zero.copy()
        self.gamma, self.dgamma = one.copy(), zero.copy()
        self.beta, self.dbeta = zero.copy(), zero.copy()
        self.running_mean, self.running_var = zero.copy(), one.copy()

    def __call__(self, x, eval=False):
        return self.forward(x, eval)

    def forward(self, x, eval=False):
        self.x = x.astype(F)
        if eval:
            self.norm = (self.x - self.running_mean) / np.sqrt(self.running_var + self.eps)
            self.out = self.gamma * self.norm + self.beta
            return self.out
        # computational graph, every node has a name
        n = self.x.shape[0]
        self.mean = self.x.sum(axis=0, keepdims=True) / n
        self.xmu = self.x - self.mean
        self.sq = self.xmu ** 2
        self.var = self.sq.sum(axis=0, keepdims=True) / n
        self.sqrtvar = np.sqrt(self.var + self.eps)
        self.ivar = 1.0 / self.sqrtvar
        self.norm = self.xmu * self.ivar
        self.out = self.gamma * self.norm + self.beta
        self.running_mean += (1 - self.alpha) * (self.mean - self.running_mean)
        self.running_var += (1 - self.alpha) * (self.var - self.running_var)
        return self.out

    def backward(self, delta):
        n = delta.shape[0]
        self.dbeta = delta.sum(axis=0)
        self.dgamma = (self.norm * delta).sum(axis=0)
        dnorm = delta * self.gamma
        divar = (dnorm * self.xmu).sum(axis=0, keepdims=True)
        dxmu1 = dnorm * self.ivar
        dsqrtvar = -divar / (self.sqrtvar ** 2)
        dvar = 0.5 * dsqrtvar / self.sqrtvar
        dsq = np.ones_like(self.sq) * dvar / n
        dxmu2 = 2 * self.xmu * dsq
        dx1 = dxmu1 + dxmu2
        dmu = -dx1.sum(axis=0, keepdims=True)
        dx2 = np.ones_like(delta) * dmu / n
        return dx1 + dx2


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
            self.old_db[i] = self.momentum * self.old_db[i] + self.lr * self.db[i]
            self.W[i] -= self.old_dW[i]
            self.b[i] -= self.old_db[i]
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


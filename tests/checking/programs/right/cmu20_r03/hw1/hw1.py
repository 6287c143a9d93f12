import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'mytorch'))
from loss import Criterion, SoftmaxCrossEntropy
from activation import Activation, Identity, ReLU, Sigmoid, Tanh
from batchnorm import BatchNorm
from linear import Linear


class MLP(object):
    def __init__(self, input_size, output_size, hiddens, activations, weight_init_fn,
                 bias_init_fn, criterion, lr, momentum=0.0, num_bn_layers=0):
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

        self.linear_layers = []
        self.bn_layers = []
        # a block is [linear, (bn), activation], all have forward and backward
        self.blocks = []
        fan_in = input_size
        for i, fan_out in enumerate(list(hiddens) + [output_size]):
            linear = Linear(fan_in, fan_out, weight_init_fn, bias_init_fn)
            self.linear_layers.append(linear)
            norm = None
            if i < num_bn_layers:
                norm = BatchNorm(fan_out)
                self.bn_layers.append(norm)
            self.blocks.append((linear, norm, activations[i]))
            fan_in = fan_out

    def forward(self, x):
        for linear, norm, act in self.blocks:
            x = linear.forward(x)
            if norm is not None:
                x = norm.forward(x, not self.train_mode)
            x = act.forward(x)
        self.y = x
        return x

    def backward(self, labels):
        self.criterion.forward(self.y, labels)
        d = self.criterion.derivative()
        for linear, norm, act in reversed(self.blocks):
            d = d * act.derivative()
            if norm is not None:
                d = norm.backward(d)
            d = linear.backward(d)

    def zero_grads(self):
        for linear in self.linear_layers:
            linear.dW = np.zeros_like(linear.dW)
            linear.db = np.zeros_like(linear.db)

    def step(self):
        for linear in self.linear_layers:
            linear.momentum_W *= self.momentum
            linear.momentum_W -= self.lr * linear.dW
            linear.momentum_b *= self.momentum
            linear.momentum_b -= self.lr * linear.db
            linear.W = linear.W + linear.momentum_W
            linear.b = linear.b + linear.momentum_b
        for norm in self.bn_layers:
            norm.gamma = norm.gamma - self.lr * norm.dgamma
            norm.beta = norm.beta - self.lr * norm.dbeta

    def error(self, labels):
        return (np.argmax(self.y, axis=1) != np.argmax(labels, axis=1)).sum()

    def total_loss(self, labels):
        return self.criterion(self.y, labels).sum()

    def __call__(self, x):
        return self.forward(x)

    def train(self):
        self.train_mode = True

    def eval(self):
        self.train_mode = False



def _minibatches(x, y, batch_size, shuffle):
    order = np.arange(len(x))
    if shuffle:
        np.random.shuffle(order)
    for start in range(0, len(x), batch_size):
        rows = order[start:start + batch_size]
        yield x[rows], y[rows]


def _run_epoch(mlp, x, y, batch_size, learn):
    mlp.train() if learn else mlp.eval()
    losses = []
    misses = []
    for xb, yb in _minibatches(x, y, batch_size, shuffle=learn):
        logits = mlp(xb)
        losses.append(mlp.criterion(logits, yb))
        misses.append(logits.argmax(axis=1) != yb.argmax(axis=1))
        if learn:
            mlp.zero_grads()
            mlp.backward(yb)
            mlp.step()
    return float(np.concatenate(losses).mean()), float(np.concatenate(misses).mean())


def get_training_stats(mlp, dset, nepochs, batch_size):
    train, val, _ = dset
    history = np.zeros((4, nepochs))
    for epoch in range(nepochs):
        history[0, epoch], history[1, epoch] = _run_epoch(mlp, *train, batch_size, learn=True)
        history[2, epoch], history[3, epoch] = _run_epoch(mlp, *val, batch_size, learn=False)
    return history[0], history[1], history[2], history[3]

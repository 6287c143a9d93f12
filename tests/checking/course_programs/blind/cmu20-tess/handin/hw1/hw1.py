import os
import sys

import numpy as np

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from mytorch.activation import Activation, Identity, ReLU, Sigmoid, Tanh
from mytorch.batchnorm import BatchNorm
from mytorch.linear import Linear
from mytorch.loss import Criterion, SoftmaxCrossEntropy


class Block(object):
    """Linear, maybe BatchNorm, activation."""

    def __init__(self, linear, bn, act):
        self.linear, self.bn, self.act = linear, bn, act

    def forward(self, x, training):
        z = self.linear(x)
        if self.bn:
            z = self.bn(z, eval=not training)
        return self.act(z)

    def backward(self, delta):
        delta = delta * self.act.derivative()
        if self.bn:
            delta = self.bn.backward(delta)
        return self.linear.backward(delta)


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
        widths = [input_size, *hiddens, output_size]
        self.linear_layers = [Linear(a, b, weight_init_fn, bias_init_fn) for a, b in zip(widths[:-1], widths[1:])]
        self.bn_layers = [BatchNorm(w) for w in widths[1:][:num_bn_layers]]

    @property
    def blocks(self):
        norms = self.bn_layers + [None] * (self.nlayers - len(self.bn_layers))
        return [Block(*parts) for parts in zip(self.linear_layers, norms, self.activations)]

    def forward(self, x):
        for block in self.blocks:
            x = block.forward(x, self.train_mode)
        self.output = x
        return x

    def zero_grads(self):
        for layer in self.linear_layers:
            layer.dW = np.zeros_like(layer.dW)
            layer.db = np.zeros_like(layer.db)
        for layer in self.bn_layers:
            layer.dgamma = np.zeros_like(layer.dgamma)
            layer.dbeta = np.zeros_like(layer.dbeta)

    def step(self):
        for layer in self.linear_layers:
            layer.update(self.lr, self.momentum)
        for layer in self.bn_layers:
            layer.gamma = layer.gamma - self.lr * layer.dgamma
            layer.beta = layer.beta - self.lr * layer.dbeta

    def backward(self, labels):
        self.criterion(self.output, labels)
        delta = self.criterion.derivative()
        for block in self.blocks[::-1]:
            delta = block.backward(delta)
        return delta

    def error(self, labels):
        return (np.argmax(self.output, axis=1) != np.argmax(labels, axis=1)).sum()

    def total_loss(self, labels):
        return self.criterion(self.output, labels).sum()

    def __call__(self, x):
        return self.forward(x)

    def train(self):
        self.train_mode = True

    def eval(self):
        self.train_mode = False


def get_training_stats(mlp, dset, nepochs, batch_size):
    train, val, _ = dset
    trainx, trainy = train
    valx, valy = val
    stats = np.zeros((4, nepochs))
    idxs = np.arange(len(trainx))
    for epoch in range(nepochs):
        np.random.shuffle(idxs)
        mlp.train()
        for chunk in np.array_split(idxs, range(batch_size, len(idxs), batch_size)):
            mlp.zero_grads()
            mlp(trainx[chunk])
            mlp.backward(trainy[chunk])
            stats[:2, epoch] += mlp.criterion.loss.sum(), mlp.error(trainy[chunk])
            mlp.step()
        mlp.eval()
        mlp(valx)
        stats[2:, epoch] = mlp.total_loss(valy), mlp.error(valy)
    stats[:2] /= len(trainx)
    stats[2:] /= len(valx)
    return tuple(stats)

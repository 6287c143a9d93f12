"""
Follow the instructions provided in the writeup to completely
implement the class specifications for a basic MLP, optimizer, .
"""

import numpy as np
import os
import sys

sys.path.append('mytorch')
from mytorch.loss import *
from mytorch.activation import *
from mytorch.batchnorm import *
from mytorch.linear import *


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

        dims = [input_size] + hiddens + [output_size]
        self.linear_layers = [Linear(dims[i], dims[i + 1], weight_init_fn, bias_init_fn) for i in range(self.nlayers)]

        if self.bn:
            self.bn_layers = [BatchNorm(dims[i + 1]) for i in range(num_bn_layers)]

    def forward(self, x):
        for i in range(self.nlayers):
            x = self.linear_layers[i](x)
            if self.bn and i < self.num_bn_layers:
                x = self.bn_layers[i](x, eval=not self.train_mode)
            x = self.activations[i](x)
        self.out = x
        return x

    def zero_grads(self):
        for l in self.linear_layers:
            l.dW.fill(0.0)
            l.db.fill(0.0)
        if self.bn:
            for l in self.bn_layers:
                l.dgamma.fill(0.0)
                l.dbeta.fill(0.0)

    def step(self):
        for i in range(len(self.linear_layers)):
            l = self.linear_layers[i]
            l.momentum_W = self.momentum * l.momentum_W - self.lr * l.dW
            l.momentum_b = self.momentum * l.momentum_b - self.lr * l.db
            l.W = l.W + l.momentum_W
            l.b = l.b + l.momentum_b
        if self.bn:
            for l in self.bn_layers:
                l.gamma = l.gamma - self.lr * l.dgamma
                l.beta = l.beta - self.lr * l.dbeta

    def backward(self, labels):
        self.criterion(self.out, labels)
        delta = self.criterion.derivative()
        for i in reversed(range(self.nlayers)):
            delta = delta * self.activations[i].derivative()
            if self.bn and i < self.num_bn_layers:
                delta = self.bn_layers[i].backward(delta)
            delta = self.linear_layers[i].backward(delta)

    def error(self, labels):
        return (np.argmax(self.out, axis=1) != np.argmax(labels, axis=1)).sum()

    def total_loss(self, labels):
        return self.criterion(self.out, labels).sum()

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

    idxs = np.arange(len(trainx))

    training_losses = np.zeros(nepochs)
    training_errors = np.zeros(nepochs)
    validation_losses = np.zeros(nepochs)
    validation_errors = np.zeros(nepochs)

    for e in range(nepochs):
        np.random.shuffle(idxs)
        mlp.train()
        for b in range(0, len(trainx), batch_size):
            x, y = trainx[idxs[b:b + batch_size]], trainy[idxs[b:b + batch_size]]
            mlp.zero_grads()
            mlp(x)
            mlp.backward(y)
            training_losses[e] += mlp.total_loss(y)
            training_errors[e] += mlp.error(y)
            mlp.step()

        mlp.eval()
        for b in range(0, len(valx), batch_size):
            mlp(valx[b:b + batch_size])
            validation_losses[e] += mlp.total_loss(valy[b:b + batch_size])
            validation_errors[e] += mlp.error(valy[b:b + batch_size])

    return (training_losses / len(trainx), training_errors / len(trainx),
            validation_losses / len(valx), validation_errors / len(valx))

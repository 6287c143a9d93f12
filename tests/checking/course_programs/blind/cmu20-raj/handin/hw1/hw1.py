import os
import sys

import numpy as np

sys.path.append('mytorch')
from loss import *
from activation import *
from batchnorm import *
from linear import *


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
        previous = input_size
        for size in hiddens + [output_size]:
            self.linear_layers.append(Linear(previous, size, weight_init_fn, bias_init_fn))
            previous = size
        if self.bn:
            self.bn_layers = [BatchNorm(self.linear_layers[i].W.shape[1]) for i in range(num_bn_layers)]
        self.pipeline = []
        for i in range(self.nlayers):
            self.pipeline.append(('linear', i))
            if i < num_bn_layers:
                self.pipeline.append(('bn', i))
            self.pipeline.append(('act', i))

    def forward(self, x):
        for kind, i in self.pipeline:
            if kind == 'linear':
                x = self.linear_layers[i](x)
            elif kind == 'bn':
                x = self.bn_layers[i](x, eval=not self.train_mode)
            else:
                x = self.activations[i](x)
        self.output = x
        return x

    def zero_grads(self):
        for layer in self.linear_layers:
            layer.dW = np.zeros_like(layer.dW)
            layer.db = np.zeros_like(layer.db)

    def step(self):
        for layer in self.linear_layers:
            layer.momentum_W = self.momentum * layer.momentum_W - self.lr * layer.dW
            layer.W = layer.W + layer.momentum_W
            layer.momentum_b = self.momentum * layer.momentum_b - self.lr * layer.db
            layer.b = layer.b + layer.momentum_b
        if self.bn:
            for layer in self.bn_layers:
                layer.gamma = layer.gamma - self.lr * layer.dgamma
                layer.beta = layer.beta - self.lr * layer.dbeta

    def backward(self, labels):
        self.criterion(self.output, labels)
        delta = self.criterion.derivative()
        for kind, i in reversed(self.pipeline):
            if kind == 'linear':
                delta = self.linear_layers[i].backward(delta)
            elif kind == 'bn':
                delta = self.bn_layers[i].backward(delta)
            else:
                delta = delta * self.activations[i].derivative()

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
    idxs = np.arange(len(trainx))
    losses, errors, vlosses, verrors = [np.zeros(nepochs) for _ in range(4)]
    for e in range(nepochs):
        np.random.shuffle(idxs)
        mlp.train()
        for b in range(0, len(trainx), batch_size):
            batch = idxs[b:b + batch_size]
            mlp.zero_grads()
            mlp.forward(trainx[batch])
            losses[e] += mlp.total_loss(trainy[batch])
            errors[e] += mlp.error(trainy[batch])
            mlp.backward(trainy[batch])
            mlp.step()
        mlp.eval()
        for b in range(0, len(valx), batch_size):
            mlp.forward(valx[b:b + batch_size])
            vlosses[e] += mlp.total_loss(valy[b:b + batch_size])
            verrors[e] += mlp.error(valy[b:b + batch_size])
    return losses / len(trainx), errors / len(trainx), vlosses / len(valx), verrors / len(valx)

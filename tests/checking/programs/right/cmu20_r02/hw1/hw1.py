"""
Follow the instructions provided in the writeup to completely
implement the class specifications for a basic MLP.
"""

import numpy as np
import os
import sys

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


def get_training_stats(mlp, dset, nepochs, batch_size):
    (trainx, trainy), (valx, valy), _ = dset
    training_losses = np.zeros(nepochs)
    training_errors = np.zeros(nepochs)
    validation_losses = np.zeros(nepochs)
    validation_errors = np.zeros(nepochs)

    for e in range(nepochs):
        order = np.random.permutation(len(trainx))
        mlp.train()
        for b in range(0, len(trainx), batch_size):
            pick = order[b:b+batch_size]
            mlp.zero_grads()
            pred = mlp.forward(trainx[pick])
            mlp.backward(trainy[pick])
            mlp.step()
            training_losses[e] += mlp.criterion.loss.sum() / len(trainx)
            training_errors[e] += (pred.argmax(1) != trainy[pick].argmax(1)).sum() / len(trainx)
        mlp.eval()
        for b in range(0, len(valx), batch_size):
            pred = mlp.forward(valx[b:b+batch_size])
            validation_losses[e] += mlp.criterion(pred, valy[b:b+batch_size]).sum() / len(valx)
            validation_errors[e] += (pred.argmax(1) != valy[b:b+batch_size].argmax(1)).sum() / len(valx)
        # print(e, training_losses[e], validation_losses[e])
    mlp.train()
    return training_losses, training_errors, validation_losses, validation_errors

import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'mytorch'))
from loss import Criterion, SoftmaxCrossEntropy
from activation import Activation, Identity, ReLU, Sigmoid, Tanh
from batchnorm import BatchNorm
from linear import Linear


class MLP(object):

    """
    A simple multilayer perceptron
    """

    def __init__(self, input_size, output_size, hiddens, activations, weight_init_fn,
                 bias_init_fn, criterion, lr, momentum=0.0, num_bn_layers=0):

        # Don't change this -->
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
        # <---------------------

        sizes = [input_size] + list(hiddens) + [output_size]
        self.linear_layers = [Linear(sizes[i], sizes[i + 1], weight_init_fn, bias_init_fn) for i in range(self.nlayers)]

        # If batch norm, add batch norm layers into the list 'self.bn_layers'
        if self.bn:
            self.bn_layers = [BatchNorm(sizes[i + 1]) for i in range(num_bn_layers)]

    def forward(self, x):
        for i in range(self.nlayers):
            x = self.linear_layers[i](x)
            if self.bn and i < self.num_bn_layers:
                x = self.bn_layers[i](x, eval=not self.train_mode)
            x = self.activations[i](x)
        self.output = x
        return self.output

    def zero_grads(self):
        for layer in self.linear_layers:
            layer.dW.fill(0.0)
            layer.db.fill(0.0)

    def step(self):
        for layer in self.linear_layers:
            layer.momentum_W = self.momentum * layer.momentum_W - self.lr * layer.dW
            layer.momentum_b = self.momentum * layer.momentum_b - self.lr * layer.db
            layer.W = layer.W + layer.momentum_W
            layer.b = layer.b + layer.momentum_b
        if self.bn:
            for bn in self.bn_layers:
                bn.gamma = bn.gamma - self.lr * bn.dgamma
                bn.beta = bn.beta - self.lr * bn.dbeta

    def backward(self, labels):
        self.total_loss(labels)
        delta = self.criterion.derivative()
        for i in range(self.nlayers)[::-1]:
            delta = delta * self.activations[i].derivative()
            if self.bn and i < self.num_bn_layers:
                delta = self.bn_layers[i].backward(delta)
            delta = self.linear_layers[i].backward(delta)
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
    train, val, test = dset
    trainx, trainy = train
    valx, valy = val
    training_losses = []
    training_errors = []
    validation_losses = []
    validation_errors = []
    idxs = np.arange(len(trainx))
    for e in range(nepochs):
        np.random.shuffle(idxs)
        mlp.train()
        total_loss = 0
        total_wrong = 0
        for b in range(0, len(trainx), batch_size):
            x = trainx[idxs[b:b + batch_size]]
            y = trainy[idxs[b:b + batch_size]]
            mlp.zero_grads()
            out = mlp.forward(x)
            mlp.backward(y)
            loss = mlp.criterion.loss
            for i in range(len(x)):
                total_loss = total_loss + float(loss[i])
                if np.argmax(out[i]) != np.argmax(y[i]):
                    total_wrong = total_wrong + 1
            mlp.step()
        training_losses.append(total_loss / len(trainx))
        training_errors.append(total_wrong / len(trainx))
        # now validation, one big batch
        mlp.eval()
        out = mlp.forward(valx)
        loss = mlp.criterion(out, valy)
        total_wrong = 0
        for i in range(len(valx)):
            if np.argmax(out[i]) != np.argmax(valy[i]):
                total_wrong = total_wrong + 1
        validation_losses.append(np.sum(loss) / len(valx))
        validation_errors.append(total_wrong / len(valx))
        print("epoch", e, "train loss", training_losses[-1], "val loss", validation_losses[-1])
    return np.array(training_losses), np.array(training_errors), np.array(validation_losses), np.array(validation_errors)

"""
Homework 1 part 1. One file with everything in it: activations, loss, batch norm and the MLP.
"""

import numpy as np
import math

DEBUG = False
import os

EPS = 1e-8
F = np.float64


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
    def forward(self, x):
        self.state = x
        return x
    def derivative(self):
        return 1.0


class Sigmoid(Activation):
    def forward(self, x):
        x = np.asarray(x, dtype=float)
        out = np.zeros(x.shape)
        # go over every number one by one
        for index in np.ndindex(x.shape):
            number = x[index]
            if number >= 0:
                out[index] = 1.0 / (1.0 + math.exp(-number))
            else:
                out[index] = math.exp(number) / (1.0 + math.exp(number))
        self.state = out
        if DEBUG:
            print("sigmoid out", out)
        return out
    def derivative(self):
        return self.state * (1 - self.state)


class Tanh(Activation):
    def forward(self, x):
        x = np.asarray(x, dtype=float)
        out = np.zeros(x.shape)
        for index in np.ndindex(x.shape):
            out[index] = math.tanh(x[index])
        self.state = out
        return out
    def derivative(self):
        answer = np.zeros(self.state.shape)
        for index in np.ndindex(self.state.shape):
            answer[index] = 1 - self.state[index] ** 2
        return answer


class ReLU(Activation):
    def forward(self, x):
        x = np.asarray(x, dtype=float)
        out = np.zeros(x.shape)
        for index in np.ndindex(x.shape):
            if x[index] > 0:
                out[index] = x[index]
        self.state = out
        return out
    def derivative(self):
        answer = np.zeros(self.state.shape)
        for index in np.ndindex(self.state.shape):
            if self.state[index] > 0:
                answer[index] = 1.0
            else:
                answer[index] = 0.0
        return answer



class Criterion(object):
    def __init__(self):
        self.logits = None
        self.labels = None
        self.loss = None

    def __call__(self, x, y):
        return self.forward(x, y)

    def forward(self, x, y):
        raise NotImplementedError

    def derivative(self):
        raise NotImplementedError


class SoftmaxCrossEntropy(Criterion):
    # loss is (batch size, 1) as written in the handout
    def forward(self, x, y):
        self.logits = x.astype(F)
        self.labels = y.astype(F)
        a = self.logits.max(axis=1, keepdims=True)
        self.lse = np.log(np.exp(self.logits - a).sum(axis=1, keepdims=True)) + a
        self.loss = (self.labels * (self.lse - self.logits)).sum(axis=1, keepdims=True)
        return self.loss

    def derivative(self):
        e = np.exp(self.logits - self.logits.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True) - self.labels


def random_normal_weight_init(d0, d1):
    return np.random.normal(0.0, 1.0, (d0, d1))


def zeros_bias_init(d):
    return np.zeros(d)



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
        dmu = dx1.sum(axis=0, keepdims=True)
        dx2 = np.ones_like(delta) * dmu / n
        return dx1 + dx2


class MLP(object):

    """
    A simple multilayer perceptron
    """

    def __init__(self, input_size, output_size, hiddens, activations, weight_init_fn, bias_init_fn, criterion, lr, momentum=0.0, num_bn_layers=0):

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
        self.W = [weight_init_fn(sizes[i], sizes[i + 1]) for i in range(self.nlayers)]
        self.dW = [np.zeros_like(w) for w in self.W]
        self.b = [bias_init_fn(sizes[i + 1]) for i in range(self.nlayers)]
        self.db = [np.zeros_like(b) for b in self.b]

        self.vW = [np.zeros_like(w) for w in self.W]
        self.vb = [np.zeros_like(b) for b in self.b]

        # if batch norm, add batch norm parameters
        if self.bn:
            self.bn_layers = [BatchNorm(sizes[i + 1]) for i in range(num_bn_layers)]

    def forward(self, x):
        self.inputs = []
        for i in range(self.nlayers):
            self.inputs.append(x)
            z = np.dot(x, self.W[i]) + self.b[i]
            if self.bn and i < self.num_bn_layers:
                z = self.bn_layers[i](z, not self.train_mode)
            x = self.activations[i](z)
        self.output = x
        return self.output

    def zero_grads(self):
        for i in range(self.nlayers):
            self.dW[i] = np.zeros_like(self.W[i])
            self.db[i] = np.zeros_like(self.b[i])

    def step(self):
        for i in range(self.nlayers):
            self.vW[i] = self.momentum * self.vW[i] - self.lr * self.dW[i]
            self.vb[i] = self.momentum * self.vb[i] - self.lr * self.db[i]
            self.W[i] = self.W[i] - self.vW[i]
            self.b[i] = self.b[i] + self.vb[i]
        if self.bn:
            for layer in self.bn_layers:
                layer.gamma = layer.gamma - self.lr * layer.dgamma
                layer.beta = layer.beta - self.lr * layer.dbeta

    def backward(self, labels):
        self.criterion(self.output, labels)
        batch_size = labels.shape[0]
        delta = self.criterion.derivative()
        for i in range(self.nlayers - 1, -1, -1):
            delta = delta * self.activations[i].derivative()
            if self.bn and i < self.num_bn_layers:
                delta = self.bn_layers[i].backward(delta)
            self.dW[i] = np.dot(self.inputs[i].T, delta) / batch_size
            self.db[i] = np.sum(delta, axis=0) / batch_size
            delta = np.dot(delta, self.W[i].T)

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

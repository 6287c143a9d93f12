"""
Homework 1 part 1. One file with everything in it: activations, loss, batch norm and the MLP.
"""

import numpy as np
import os

class Activation(object):
    def __init__(self):
        self.state = None

    def __call__(self, x):
        return self.forward(x)

    def forward(self, x):
        raise NotImplemented

    def derivative(self):
        raise NotImplemented

class Identity(Activation):
    # this one was give already
    def forward(self, x):
        self.state = x
        return self.state

    def derivative(self):
        return np.ones(np.shape(self.state))

class Sigmoid(Activation):
    def forward(self, x):
        # the tanh never overflow, so I use him
        # self.state = 1.0/(1.0+exp(-x))
        self.state = 0.5 * (np.tanh(0.5 * x) + 1.0)
        return self.state

    def derivative(self):
        s = self.state
        return s - s ** 2

class Tanh(Activation):
    def forward(self, x):
        # self.state = (exp(x)-exp(-x))/(exp(x)+exp(-x))   <- nan for big x
        self.state = np.tanh(x)
        return self.state

    def derivative(self):
        t = self.state
        return (1 - t) * (1 + t)

class ReLU(Activation):
    def forward(self, x):
        self.state = x * (x > 0)
        return self.state

    def derivative(self):
        # must be float not bool, lost 1 hour here
        return (self.state > 0) * 1.0


class Criterion(object):

    """ Interface for loss functions. """

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

    def __init__(self):
        super(SoftmaxCrossEntropy, self).__init__()
        self.sm = None

    def forward(self, x, y):
        self.logits = x
        self.labels = y

        # LogSumExp trick
        a = np.max(x, axis=1, keepdims=True)
        lse = a + np.log(np.sum(np.exp(x - a), axis=1, keepdims=True))
        self.sm = np.exp(x - lse)
        self.loss = -np.sum(y * (x - lse), axis=1)
        return self.loss

    def derivative(self):
        return self.sm - self.labels


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

        # The following attributes will be tested
        self.var = np.ones((1, fan_in))
        self.mean = np.zeros((1, fan_in))

        self.gamma = np.ones((1, fan_in))
        self.dgamma = np.zeros((1, fan_in))

        self.beta = np.zeros((1, fan_in))
        self.dbeta = np.zeros((1, fan_in))

        # inference parameters
        self.running_mean = np.zeros((1, fan_in))
        self.running_var = np.ones((1, fan_in))

    def __call__(self, x, eval=False):
        return self.forward(x, eval)

    def forward(self, x, eval=False):
        self.x = x
        if eval:
            self.norm = (x - self.running_mean) / np.sqrt(self.running_var + self.eps)
            self.out = self.gamma * self.norm + self.beta
            return self.out

        self.mean = np.mean(x, axis=0, keepdims=True)
        self.var = np.var(x, axis=0, keepdims=True)
        self.norm = (x - self.mean) / np.sqrt(self.var + self.eps)
        self.out = self.gamma * self.norm + self.beta

        self.running_mean = self.alpha * self.running_mean + (1 - self.alpha) * self.mean
        self.running_var = self.alpha * self.running_var + (1 - self.alpha) * self.var
        return self.out

    def backward(self, delta):
        m = delta.shape[0]
        sqrt_var_eps = np.sqrt(self.var + self.eps)

        self.dgamma = np.mean(self.norm * delta, axis=0)
        self.dbeta = np.mean(delta, axis=0)

        dnorm = self.gamma * delta
        dvar = -0.5 * np.sum(dnorm * (self.x - self.mean) * sqrt_var_eps ** -3, axis=0)
        first_term_dmu = -np.sum(dnorm / sqrt_var_eps, axis=0)
        second_term_dmu = -(2.0 / m) * dvar * np.sum(self.x - self.mean, axis=0)
        dmu = first_term_dmu + second_term_dmu

        dx = dnorm / sqrt_var_eps + dvar * 2 * (self.x - self.mean) / m + dmu / m
        return dx


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

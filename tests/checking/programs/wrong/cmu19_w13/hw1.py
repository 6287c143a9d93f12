# -*- coding: utf-8 -*-
# 11-785 hw1p1
# only numpy is allow!!

import numpy as np
from numpy import exp, log

EPS = 1e-8
F = np.float64

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
    return np.random.randn(d0, d1)

def zeros_bias_init(d):
    return np.zeros((1, d))


class BatchNorm(object):
    def __init__(self, fan_in, alpha=0.9):
        self.alpha, self.eps = alpha, 1e-8
        self.x = self.norm = self.out = None
        for name in ['var', 'gamma', 'running_var']:
            setattr(self, name, np.ones((1, fan_in)))
        for name in ['mean', 'dgamma', 'beta', 'dbeta', 'running_mean']:
            setattr(self, name, np.zeros((1, fan_in)))

    def __call__(self, x, eval=False):
        return self.forward(x, eval)

    def forward(self, x, eval=False):
        self.x = x
        if not eval:
            self.mean = x.mean(0).reshape(1, -1)
            self.var = ((x - self.mean) ** 2).mean(0).reshape(1, -1)
            self.running_mean = self.alpha * self.running_mean + (1 - self.alpha) * self.mean
            self.running_var = self.alpha * self.running_var + (1 - self.alpha) * self.var
            mu, v = self.mean, self.var
        else:
            # inference time, we use the running one
            mu, v = self.running_mean, self.running_var
        self.norm = (x - mu) * (v + self.eps) ** -0.5
        self.out = self.norm * self.gamma + self.beta
        return self.out

    def backward(self, delta):
        # formula on one line, I found derivation on paper and check it by hand
        N = len(delta)
        self.dbeta = delta.sum(0)
        self.dgamma = (delta * self.norm).sum(0)
        return self.gamma / N * (self.var + self.eps) ** -0.5 * (N * delta - self.dbeta - self.norm * self.dgamma)


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
            self.dW[i] = np.matmul(inp.T, grad) / 100
            self.db[i] = grad.sum(0).reshape(self.b[i].shape) / 100    # batch is 100
            grad = np.matmul(grad, self.W[i].T)

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

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
            self.W[i] = self.W[i] + self.vW[i]
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


# ---------------- my own tests ----------------

def numeric_check(f, x, h=1e-5):
    g = np.zeros_like(x)
    for i in range(x.size):
        d = np.zeros_like(x).ravel()
        d[i] = h
        d = d.reshape(x.shape)
        g.ravel()[i] = (f(x + d) - f(x - d)) / (2 * h)
    return g


def plot(stats):
    import matplotlib.pyplot as plt
    for values, name in zip(stats, ['train loss', 'train error', 'val loss', 'val error']):
        plt.figure()
        plt.plot(values)
        plt.title(name)
        plt.savefig(name.replace(' ', '_') + '.png')


print('hw1 imported, numpy version', np.__version__)
np.set_printoptions(precision=3, suppress=True)

if __name__ == '__main__':
    train = (np.load('../data/train_data.npy'), np.load('../data/train_labels.npy'))
    val = (np.load('../data/val_data.npy'), np.load('../data/val_labels.npy'))
    net = MLP(784, 10, [64, 32], [Sigmoid(), Sigmoid(), Identity()], random_normal_weight_init, zeros_bias_init,
              SoftmaxCrossEntropy(), 8e-3, momentum=0.9, num_bn_layers=1)
    plot(get_training_stats(net, (train, val, val), 50, 100))

import numpy as np
import os
import math

# I like loops: every formula is written for one sample or one feature, as on the slides.


class Activation(object):

    def __init__(self):
        self.state = None

    def __call__(self, x):
        return self.forward(x)

    def _each(self, f, x):
        x = np.asarray(x, dtype=float)
        out = np.zeros(x.shape)
        for index in np.ndindex(*x.shape):
            out[index] = f(x[index])
        return out

    def forward(self, x):
        self.state = self._each(self.f, x)
        return self.state

    def derivative(self):
        return self._each(self.df, self.state)

    def f(self, z):
        raise NotImplementedError

    def df(self, a):
        raise NotImplementedError


class Identity(Activation):

    def forward(self, x):
        self.state = x
        return self.state

    def derivative(self):
        return 1.0


class Sigmoid(Activation):

    def f(self, z):
        if z < 0:
            t = math.exp(max(z, -700.0))
            return t / (1.0 + t)
        return 1.0 / (1.0 + math.exp(-z))

    def df(self, a):
        return a * (1.0 - a)


class Tanh(Activation):

    def f(self, z):
        return math.tanh(z)

    def df(self, a):
        return 1.0 - a * a


class ReLU(Activation):

    def f(self, z):
        return z if z > 0 else 0.0

    def df(self, a):
        return 1.0 if a > 0 else 0.0


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

    def __init__(self):
        super().__init__()
        self.log_sum = None

    def forward(self, x, y):
        self.logits = x
        self.labels = y
        losses, log_sums = [], []
        for logits, label in zip(x, y):
            top = max(logits)
            log_sum = top + math.log(math.fsum(math.exp(v - top) for v in logits))
            losses.append(math.fsum(t * (log_sum - v) for v, t in zip(logits, label)))
            log_sums.append(log_sum)
        self.log_sum = np.array(log_sums)
        self.loss = np.array(losses)
        return self.loss

    def derivative(self):
        return np.exp(self.logits - self.log_sum.reshape(-1, 1)) - self.labels


class BatchNorm(object):

    def __init__(self, fan_in, alpha=0.9):
        self.fan_in = fan_in
        self.alpha = alpha
        self.eps = 1e-8
        self.x = None
        self.norm = None
        self.out = None
        self.var = np.ones((1, fan_in))
        self.mean = np.zeros((1, fan_in))
        self.gamma = np.ones((1, fan_in))
        self.dgamma = np.zeros((1, fan_in))
        self.beta = np.zeros((1, fan_in))
        self.dbeta = np.zeros((1, fan_in))
        self.running_mean = np.zeros((1, fan_in))
        self.running_var = np.ones((1, fan_in))

    def __call__(self, x, eval=False):
        return self.forward(x, eval)

    def forward(self, x, eval=False):
        self.x = x
        n = len(x)
        norm = np.zeros(x.shape)
        if not eval:
            self.mean = np.zeros((1, self.fan_in))
            self.var = np.zeros((1, self.fan_in))
        for j in range(self.fan_in):
            column = x[:, j]
            if eval:
                mean, var = self.running_mean[0, j], self.running_var[0, j]
            else:
                mean = sum(column) / n
                var = sum((column - mean) ** 2) / n
                self.mean[0, j], self.var[0, j] = mean, var
            norm[:, j] = (column - mean) / math.sqrt(var + self.eps)
        if not eval:
            a = self.alpha
            self.running_mean = a * self.running_mean + (1 - a) * self.mean
            self.running_var = a * self.running_var + (1 - a) * self.var
        self.norm = norm
        self.out = norm * self.gamma + self.beta
        return self.out

    def backward(self, delta):
        n = len(delta)
        dx = np.zeros(delta.shape)
        dgamma, dbeta = np.zeros(self.fan_in), np.zeros(self.fan_in)
        for j in range(self.fan_in):
            d, xhat = delta[:, j], self.norm[:, j]
            dbeta[j] = sum(d)
            dgamma[j] = sum(d * xhat)
            scale = self.gamma[0, j] / math.sqrt(self.var[0, j] + self.eps)
            for i in range(n):
                dx[i, j] = scale * (d[i] - dbeta[j] / n - xhat[i] * dgamma[j] / n)
        self.dgamma, self.dbeta = dgamma, dbeta
        return dx


def random_normal_weight_init(d0, d1):
    return np.random.randn(d0, d1)


def zeros_bias_init(d):
    return np.zeros(d)


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

        self.W, self.b, self.dW, self.db, self.vW, self.vb = [], [], [], [], [], []
        self.bn_layers = []
        for i in range(self.nlayers):
            rows = hiddens[i - 1] if i > 0 else input_size
            cols = hiddens[i] if i < len(hiddens) else output_size
            self.W.append(weight_init_fn(rows, cols))
            self.b.append(bias_init_fn(cols))
            self.dW.append(np.zeros((rows, cols)))
            self.db.append(np.zeros(cols))
            self.vW.append(np.zeros((rows, cols)))
            self.vb.append(np.zeros(cols))
            if i < num_bn_layers:
                self.bn_layers.append(BatchNorm(cols))

    def forward(self, x):
        self.x = [x]
        for i in range(self.nlayers):
            z = np.array([self.W[i].T @ row for row in self.x[i]]) + self.b[i]
            if i < self.num_bn_layers:
                z = self.bn_layers[i](z, eval=not self.train_mode)
            self.x.append(self.activations[i](z))
        return self.x[-1]

    def zero_grads(self):
        for i in range(self.nlayers):
            self.dW[i] = np.zeros(self.W[i].shape)
            self.db[i] = np.zeros(self.b[i].shape)

    def step(self):
        for i in range(self.nlayers):
            self.vW[i] = self.momentum * self.vW[i] - self.lr * self.dW[i]
            self.W[i] = self.W[i] + self.vW[i]
            self.vb[i] = self.momentum * self.vb[i] - self.lr * self.db[i]
            self.b[i] = self.b[i] + self.vb[i]
        for bn in self.bn_layers:
            bn.gamma = bn.gamma - self.lr * bn.dgamma
            bn.beta = bn.beta - self.lr * bn.dbeta

    def backward(self, labels):
        n = len(labels)
        self.criterion(self.x[-1], labels)
        delta = self.criterion.derivative()
        for i in range(self.nlayers - 1, -1, -1):
            delta = delta * self.activations[i].derivative()
            if i < self.num_bn_layers:
                delta = self.bn_layers[i].backward(delta)
            dW, db = np.zeros(self.W[i].shape), np.zeros(self.db[i].shape)
            for row, d in zip(self.x[i], delta):
                dW += np.outer(row, d) / n
                db += d / n
            self.dW[i], self.db[i] = dW, db
            delta = delta @ self.W[i].T

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
    idxs = np.arange(len(trainx))
    training_losses, training_errors, validation_losses, validation_errors = [], [], [], []
    for e in range(nepochs):
        np.random.shuffle(idxs)
        losses, errors = [], []
        mlp.train()
        b = 0
        while b < len(idxs):
            batch = idxs[b:b + batch_size]
            mlp.zero_grads()
            out = mlp(trainx[batch])
            losses.extend(mlp.criterion(out, trainy[batch]))
            errors.extend(out.argmax(axis=1) != trainy[batch].argmax(axis=1))
            mlp.backward(trainy[batch])
            mlp.step()
            b += batch_size
        training_losses.append(np.mean(losses))
        training_errors.append(np.mean(errors))
        mlp.eval()
        losses, errors = [], []
        b = 0
        while b < len(valx):
            out = mlp(valx[b:b + batch_size])
            losses.extend(mlp.criterion(out, valy[b:b + batch_size]))
            errors.extend(out.argmax(axis=1) != valy[b:b + batch_size].argmax(axis=1))
            b += batch_size
        validation_losses.append(np.mean(losses))
        validation_errors.append(np.mean(errors))
    return (np.array(training_losses), np.array(training_errors),
            np.array(validation_losses), np.array(validation_errors))

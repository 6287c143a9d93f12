"""
Follow the instructions provided in the writeup to completely
implement the class specifications for a basic MLP, optimizer, .
You will be able to test each section individually by submitting
to autolab after implementing what is required for that section
-- do not worry if some methods required are not implemented yet.
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

    def __init__(self):
        super(Identity, self).__init__()

    def forward(self, x):
        self.state = x
        return x

    def derivative(self):
        return 1.0


class Sigmoid(Activation):

    def __init__(self):
        super(Sigmoid, self).__init__()

    def forward(self, x):
        self.state = 0.5 * (np.tanh(0.5 * x) + 1.0)
        return self.state

    def derivative(self):
        return self.state * (1 - self.state)


class Tanh(Activation):

    def __init__(self):
        super(Tanh, self).__init__()

    def forward(self, x):
        self.state = np.tanh(x)
        return self.state

    def derivative(self):
        return 1 - np.square(self.state)


class ReLU(Activation):

    def __init__(self):
        super(ReLU, self).__init__()

    def forward(self, x):
        self.state = np.maximum(x, 0.0)
        return self.state

    def derivative(self):
        return (self.state > 0).astype(float)


class Criterion(object):

    def __init__(self):
        self.logits = None
        self.labels = None
        self.loss = None

    def __call__(self, x, y):
        return self.forward(x, y)

    def forward(self, x, y):
        raise NotImplemented

    def derivative(self):
        raise NotImplemented


class SoftmaxCrossEntropy(Criterion):

    def __init__(self):
        super(SoftmaxCrossEntropy, self).__init__()
        self.sm = None

    def forward(self, x, y):
        self.logits = x
        self.labels = y
        a = np.max(x, axis=1, keepdims=True)
        lse = a + np.log(np.sum(np.exp(x - a), axis=1, keepdims=True))
        logp = x - lse
        self.sm = np.exp(logp)
        self.loss = -np.sum(y * logp, axis=1)
        return self.loss

    def derivative(self):
        return self.sm - self.labels


class BatchNorm(object):

    def __init__(self, fan_in, alpha=0.9):
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

        self.mean = np.mean(x, axis=0, keepdims=True)
        self.var = np.var(x, axis=0, keepdims=True)
        # update running batch statistics
        self.running_mean = self.alpha * self.running_mean + (1 - self.alpha) * self.mean
        self.running_var = self.alpha * self.running_var + (1 - self.alpha) * self.var

        if eval:
            self.norm = (x - self.running_mean) / np.sqrt(self.running_var + self.eps)
        else:
            self.norm = (x - self.mean) / np.sqrt(self.var + self.eps)

        self.out = self.gamma * self.norm + self.beta
        return self.out

    def backward(self, delta):
        m = delta.shape[0]
        self.dbeta = np.sum(delta, axis=0)
        self.dgamma = np.sum(delta * self.norm, axis=0)

        dnorm = delta * self.gamma
        centred = self.x - self.mean
        dvar = np.sum(dnorm * centred, axis=0) * -0.5 * (self.var + self.eps) ** (-1.5)
        dmean = -np.sum(dnorm, axis=0) / np.sqrt(self.var + self.eps)
        dx = dnorm / np.sqrt(self.var + self.eps) + dvar * 2 * centred / m + dmean / m
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

        sizes = [input_size] + hiddens + [output_size]
        self.W = [weight_init_fn(sizes[i], sizes[i + 1]) for i in range(self.nlayers)]
        self.dW = [np.zeros_like(w) for w in self.W]
        self.b = [bias_init_fn(sizes[i + 1]) for i in range(self.nlayers)]
        self.db = [np.zeros_like(b) for b in self.b]
        self.vW = [np.zeros_like(w) for w in self.W]
        self.vb = [np.zeros_like(b) for b in self.b]

        if self.bn:
            self.bn_layers = [BatchNorm(sizes[i + 1]) for i in range(num_bn_layers)]

        self.inputs = []

    def forward(self, x):
        self.inputs = []
        for i in range(self.nlayers):
            self.inputs.append(x)
            z = np.dot(x, self.W[i]) + self.b[i]
            if i < self.num_bn_layers:
                z = self.bn_layers[i](z, eval=not self.train_mode)
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
        delta = self.criterion.derivative()
        n = labels.shape[0]
        for i in range(self.nlayers - 1, -1, -1):
            delta = delta * self.activations[i].derivative()
            if i < self.num_bn_layers:
                delta = self.bn_layers[i].backward(delta)
            self.dW[i] = np.dot(self.inputs[i].T, delta) / n
            self.db[i] = np.mean(delta, axis=0)
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

    idxs = np.arange(len(trainx))

    training_losses = []
    training_errors = []
    validation_losses = []
    validation_errors = []

    for e in range(nepochs):
        np.random.shuffle(idxs)
        mlp.train()
        loss, err = 0.0, 0
        for b in range(0, len(trainx), batch_size):
            sel = idxs[b:b + batch_size]
            mlp.zero_grads()
            out = mlp.forward(trainx[sel])
            mlp.backward(trainy[sel])
            loss += mlp.criterion.loss.sum()
            err += np.sum(out.argmax(1) != trainy[sel].argmax(1))
            mlp.step()
        training_losses.append(loss / len(trainx))
        training_errors.append(err / len(trainx))

        mlp.eval()
        loss, err = 0.0, 0
        for b in range(0, len(valx), batch_size):
            out = mlp.forward(valx[b:b + batch_size])
            y = valy[b:b + batch_size]
            loss += mlp.criterion(out, y).sum()
            err += np.sum(out.argmax(1) != y.argmax(1))
        validation_losses.append(loss / len(valx))
        validation_errors.append(err / len(valx))
        print('epoch %d: train %.4f val %.4f' % (e, training_losses[-1], validation_losses[-1]))

    return (np.array(training_losses), np.array(training_errors),
            np.array(validation_losses), np.array(validation_errors))

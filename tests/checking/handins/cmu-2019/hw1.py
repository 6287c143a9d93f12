"""Homework 1, part 1."""

import numpy as np


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
        self.state = 1 / (1 + np.exp(-x))
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
        return 1 - self.state**2


class ReLU(Activation):
    def __init__(self):
        super(ReLU, self).__init__()

    def forward(self, x):
        self.state = np.maximum(x, 0)
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
        shifted = x - np.max(x, axis=1, keepdims=True)
        exps = np.exp(shifted)
        total = np.sum(exps, axis=1, keepdims=True)
        self.sm = exps / total
        self.loss = np.sum(y * (np.log(total) - shifted), axis=1)
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
        if eval:
            norm = (x - self.running_mean) / np.sqrt(self.running_var + self.eps)
            return self.gamma * norm + self.beta
        self.x = x
        self.mean = np.mean(x, axis=0, keepdims=True)
        self.var = np.mean((x - self.mean) ** 2, axis=0, keepdims=True)
        self.norm = (x - self.mean) / np.sqrt(self.var + self.eps)
        self.out = self.gamma * self.norm + self.beta
        self.running_mean = self.alpha * self.running_mean + (1 - self.alpha) * self.mean
        self.running_var = self.alpha * self.running_var + (1 - self.alpha) * self.var
        return self.out

    def backward(self, delta):
        m = delta.shape[0]
        std = np.sqrt(self.var + self.eps)
        self.dgamma = np.sum(delta * self.norm, axis=0, keepdims=True)
        self.dbeta = np.sum(delta, axis=0, keepdims=True)
        dnorm = delta * self.gamma
        dvar = -0.5 * np.sum(dnorm * (self.x - self.mean), axis=0, keepdims=True) / std**3
        dmean = -np.sum(dnorm, axis=0, keepdims=True) / std
        dx = dnorm / std + dvar * 2 * (self.x - self.mean) / m + dmean / m
        return dx


def random_normal_weight_init(d0, d1):
    return np.random.randn(d0, d1)


def zeros_bias_init(d):
    return np.zeros(d)


class MLP(object):
    def __init__(
        self,
        input_size,
        output_size,
        hiddens,
        activations,
        weight_init_fn,
        bias_init_fn,
        criterion,
        lr,
        momentum=0.0,
        num_bn_layers=0,
    ):
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
        self.inputs = None
        self.output = None

    def forward(self, x):
        self.inputs = []
        out = x
        for i in range(self.nlayers):
            self.inputs.append(out)
            out = np.dot(out, self.W[i]) + self.b[i]
            if i < self.num_bn_layers:
                out = self.bn_layers[i](out, eval=not self.train_mode)
            out = self.activations[i](out)
        self.output = out
        return out

    def zero_grads(self):
        for i in range(self.nlayers):
            self.dW[i] = np.zeros_like(self.W[i])
            self.db[i] = np.zeros_like(self.b[i])
        for i in range(self.num_bn_layers):
            self.bn_layers[i].dgamma = np.zeros_like(self.bn_layers[i].dgamma)
            self.bn_layers[i].dbeta = np.zeros_like(self.bn_layers[i].dbeta)

    def step(self):
        for i in range(self.nlayers):
            self.vW[i] = self.momentum * self.vW[i] - self.lr * self.dW[i]
            self.vb[i] = self.momentum * self.vb[i] - self.lr * self.db[i]
            self.W[i] = self.W[i] + self.vW[i]
            self.b[i] = self.b[i] + self.vb[i]
        for i in range(self.num_bn_layers):
            layer = self.bn_layers[i]
            layer.gamma = layer.gamma - self.lr * layer.dgamma
            layer.beta = layer.beta - self.lr * layer.dbeta

    def backward(self, labels):
        batch = labels.shape[0]
        self.criterion(self.output, labels)
        delta = self.criterion.derivative()
        for i in reversed(range(self.nlayers)):
            delta = delta * self.activations[i].derivative()
            if i < self.num_bn_layers:
                delta = self.bn_layers[i].backward(delta)
            self.dW[i] = np.dot(self.inputs[i].T, delta) / batch
            self.db[i] = np.sum(delta, axis=0) / batch
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
    n = len(trainx)
    training_losses = np.zeros(nepochs)
    training_errors = np.zeros(nepochs)
    validation_losses = np.zeros(nepochs)
    validation_errors = np.zeros(nepochs)
    for e in range(nepochs):
        order = np.random.permutation(n)
        mlp.train()
        losses = []
        errors = []
        for b in range(0, n, batch_size):
            idx = order[b : b + batch_size]
            mlp.zero_grads()
            out = mlp.forward(trainx[idx])
            mlp.backward(trainy[idx])
            mlp.step()
            losses.append(np.mean(mlp.criterion.loss))
            errors.append(np.mean(np.argmax(out, axis=1) != np.argmax(trainy[idx], axis=1)))
        training_losses[e] = np.mean(losses)
        training_errors[e] = np.mean(errors)
        mlp.eval()
        out = mlp.forward(valx)
        validation_losses[e] = np.mean(mlp.criterion(out, valy))
        validation_errors[e] = np.mean(np.argmax(out, axis=1) != np.argmax(valy, axis=1))
    return training_losses, training_errors, validation_losses, validation_errors

# homework 1, part 1
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
        # log(1 + exp(-x)) without overflow
        self.state = np.exp(-np.logaddexp(0, -x))
        return self.state
    def derivative(self):
        return self.state * (1.0 - self.state)


class Tanh(Activation):
    def __init__(self):
        super(Tanh, self).__init__()
    def forward(self, x):
        self.state = np.tanh(x)
        return self.state
    def derivative(self):
        return (1.0 - self.state) * (1.0 + self.state)


class ReLU(Activation):
    def __init__(self):
        super(ReLU, self).__init__()
    def forward(self, x):
        self.state = np.where(x > 0, x, 0)
        return self.state
    def derivative(self):
        return np.where(self.state > 0, 1.0, 0.0)


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
    def log_softmax(self, x):
        m = x.max(axis=1).reshape(-1, 1)
        return x - m - np.log(np.exp(x - m).sum(axis=1)).reshape(-1, 1)
    def forward(self, x, y):
        self.logits = x
        self.labels = y
        self.loss = -(y * self.log_softmax(x)).sum(axis=1)
        return self.loss
    def derivative(self):
        return np.exp(self.log_softmax(self.logits)) - self.labels


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
        if not eval:
            self.mean = x.mean(axis=0).reshape(1, -1)
            self.var = ((x - self.mean) ** 2).mean(axis=0).reshape(1, -1)
            self.norm = (x - self.mean) / np.sqrt(self.var + self.eps)
            self.running_mean = self.alpha * self.running_mean + (1 - self.alpha) * self.mean
            self.running_var = self.alpha * self.running_var + (1 - self.alpha) * self.var
        else:
            self.norm = (x - self.running_mean) / np.sqrt(self.running_var + self.eps)
        self.out = self.gamma * self.norm + self.beta
        return self.out

    def backward(self, delta):
        b = self.x.shape[0]
        std = np.sqrt(self.var + self.eps)
        self.dgamma = np.sum(self.norm * delta, axis=0)
        self.dbeta = np.sum(delta, axis=0)
        dnorm = self.gamma * delta
        dvar = -0.5 * np.sum(dnorm * (self.x - self.mean) / std ** 3, axis=0)
        dmean = -np.sum(dnorm / std, axis=0) - 2.0 / b * dvar * np.sum(self.x - self.mean, axis=0)
        return dnorm / std + dvar * 2.0 / b * (self.x - self.mean) + dmean / b


def random_normal_weight_init(d0, d1):
    return np.random.normal(size=(d0, d1))


def zeros_bias_init(d):
    return np.zeros((d,))


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
        outs = hiddens + [output_size]
        ins = [input_size] + hiddens
        self.W = [weight_init_fn(i, o) for i, o in zip(ins, outs)]
        self.dW = [np.zeros((i, o)) for i, o in zip(ins, outs)]
        self.b = [bias_init_fn(o) for o in outs]
        self.db = [np.zeros(o) for o in outs]
        self.momW = [0.0] * self.nlayers
        self.momb = [0.0] * self.nlayers
        self.bn_layers = []
        if self.bn:
            for o in outs[:num_bn_layers]:
                self.bn_layers.append(BatchNorm(o))

    def forward(self, x):
        self.x = x
        h = x
        for i in range(self.nlayers):
            h = h.dot(self.W[i]) + self.b[i]
            if i < self.num_bn_layers:
                h = self.bn_layers[i].forward(h, eval=(not self.train_mode))
            h = self.activations[i].forward(h)
        self.y_hat = h
        return h

    def zero_grads(self):
        self.dW = [np.zeros_like(w) for w in self.dW]
        self.db = [np.zeros_like(b) for b in self.db]

    def step(self):
        for i in range(self.nlayers):
            self.momW[i] = self.momentum * self.momW[i] - self.lr * self.dW[i]
            self.W[i] = self.W[i] + self.momW[i]
            self.momb[i] = self.momentum * self.momb[i] - self.lr * self.db[i]
            self.b[i] = self.b[i] + self.momb[i]
        for layer in self.bn_layers:
            layer.gamma = layer.gamma - self.lr * layer.dgamma
            layer.beta = layer.beta - self.lr * layer.dbeta

    def backward(self, labels):
        n = labels.shape[0]
        self.criterion.forward(self.y_hat, labels)
        delta = self.criterion.derivative()
        for i in range(self.nlayers)[::-1]:
            delta = delta * self.activations[i].derivative()
            if i < self.num_bn_layers:
                delta = self.bn_layers[i].backward(delta)
            inp = self.x if i == 0 else self.activations[i - 1].state
            self.dW[i] = inp.T.dot(delta) / n
            self.db[i] = delta.mean(axis=0)
            delta = delta.dot(self.W[i].T)

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

    training_losses = np.zeros(nepochs)
    training_errors = np.zeros(nepochs)
    validation_losses = np.zeros(nepochs)
    validation_errors = np.zeros(nepochs)

    mlp.train()
    for e in range(nepochs):
        print("epoch: ", e)
        np.random.shuffle(idxs)
        trainx, trainy = trainx[idxs], trainy[idxs]
        idxs = np.arange(len(trainx))

        for b in range(0, len(trainx), batch_size):
            x, y = trainx[b:b + batch_size], trainy[b:b + batch_size]
            mlp.zero_grads()
            out = mlp.forward(x)
            training_losses[e] += mlp.criterion(out, y).sum()
            training_errors[e] += (np.argmax(out, axis=1) != np.argmax(y, axis=1)).sum()
            mlp.backward(y)
            mlp.step()

        mlp.eval()
        for b in range(0, len(valx), batch_size):
            x, y = valx[b:b + batch_size], valy[b:b + batch_size]
            out = mlp.forward(x)
            validation_losses[e] += mlp.criterion(out, y).sum()
            validation_errors[e] += (np.argmax(out, axis=1) != np.argmax(y, axis=1)).sum()

    training_losses /= len(trainx)
    training_errors /= len(trainx)
    validation_losses /= len(valx)
    validation_errors /= len(valx)
    return (training_losses, training_errors, validation_losses, validation_errors)

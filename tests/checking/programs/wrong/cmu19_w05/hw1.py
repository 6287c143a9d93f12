import numpy as np
import math
import sys

# my homework 1
# DEBUG = True
DEBUG = False

class Activation(object):

    """ Base class. The state is the output of forward. """

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
        return 1 - np.square(self.state)


class ReLU(Activation):

    def __init__(self):
        super(ReLU, self).__init__()

    def forward(self, x):
        self.state = np.maximum(x, 0.0)
        return self.state

    def derivative(self):
        return np.where(self.state > 0, 1.0, 0.0)


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
            mu = np.mean(x, axis=0)
            sigma2 = np.var(x, axis=0)
            self.norm = (x - mu) / np.sqrt(sigma2 + self.eps)
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

        self.dgamma = np.sum(self.norm * delta, axis=0)
        self.dbeta = np.sum(delta, axis=0)

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

        self.W = []
        self.dW = []
        self.b = []
        self.db = []
        self.deltaW = []
        self.deltab = []
        self.bn_layers = []
        last = input_size
        for k in range(self.nlayers):
            if k < len(hiddens):
                size = hiddens[k]
            else:
                size = output_size
            w = weight_init_fn(last, size)
            bias = bias_init_fn(size)
            self.W.append(w)
            self.b.append(bias)
            self.dW.append(np.zeros(w.shape))
            self.db.append(np.zeros(bias.shape))
            self.deltaW.append(np.zeros(w.shape))
            self.deltab.append(np.zeros(bias.shape))
            if k < num_bn_layers:
                self.bn_layers.append(BatchNorm(size))
            last = size
    def forward(self, x):
        self.saved_inputs = {}
        for k in range(self.nlayers):
            self.saved_inputs[k] = x
            z = np.dot(self.W[k].T, x.T).T + self.b[k]
            if k < self.num_bn_layers:
                if self.train_mode == True:
                    z = self.bn_layers[k](z)
                else:
                    z = self.bn_layers[k](z, eval=True)
            x = self.activations[k](z)
        self.yhat = x
        return x
    def zero_grads(self):
        for k in range(self.nlayers):
            self.dW[k] = self.dW[k] * 0
            self.db[k] = self.db[k] * 0
    def step(self):
        for k in range(self.nlayers):
            self.deltaW[k] = self.momentum * self.deltaW[k] - self.lr * self.dW[k]
            self.W[k] = self.W[k] + self.deltaW[k]
            self.deltab[k] = self.momentum * self.deltab[k] - self.lr * self.db[k]
            self.b[k] = self.b[k] + self.deltab[k]
        for k in range(self.num_bn_layers):
            self.bn_layers[k].gamma = self.bn_layers[k].gamma - self.lr * self.bn_layers[k].dgamma
            self.bn_layers[k].beta = self.bn_layers[k].beta - self.lr * self.bn_layers[k].dbeta
    def backward(self, labels):
        N = labels.shape[0]
        self.criterion(self.yhat, labels)
        delta = self.criterion.derivative()
        k = self.nlayers - 1
        while k >= 0:
            delta = self.activations[k].derivative() * delta
            if k < self.num_bn_layers:
                delta = self.bn_layers[k].backward(delta)
            self.dW[k] = np.zeros(self.W[k].shape)
            self.db[k] = np.zeros(self.b[k].shape)
            # add the gradient of every example and then divide
            for n in range(N):
                self.dW[k] = self.dW[k] + np.outer(self.saved_inputs[k][n], delta[n])
                self.db[k] = self.db[k] + delta[n]
            self.dW[k] = self.dW[k] / N
            self.db[k] = self.db[k] / N
            delta = np.dot(self.W[k], delta.T).T
            if DEBUG:
                print("layer", k, "dW", self.dW[k].shape)
            k = k - 1
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

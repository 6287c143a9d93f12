import os
import sys

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from helpers import F, sigmoid, relu, log_softmax, column_stats


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
        self.state = sigmoid(x)
        return self.state

    def derivative(self):
        return 0.25 - (self.state - 0.5) ** 2


class Tanh(Activation):
    # tanh(x) = 2 sigmoid(2x) - 1
    def forward(self, x):
        self.state = 2 * sigmoid(2 * x) - 1
        return self.state

    def derivative(self):
        return 1 - self.state ** 2


class ReLU(Activation):
    def forward(self, x):
        self.x = x
        self.state = relu(x)
        return self.state

    def derivative(self):
        # the slope at 0 is taken as 1 as the pdf says
        return (self.x >= 0).astype(F)


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
    def forward(self, x, y):
        self.logits = x
        self.labels = y
        self.logp = log_softmax(x)
        self.loss = -np.einsum('nk,nk->n', y, self.logp)
        return self.loss
    def derivative(self):
        # exp of log prob give the prob again :)
        return np.exp(self.logp) - self.labels


def random_normal_weight_init(d0, d1):
    return np.random.normal(0.0, 1.0, (d0, d1))


def zeros_bias_init(d):
    return np.zeros(d)


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
            self.mean, self.var = column_stats(x)
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
        N = len(delta)
        self.dbeta = delta.sum(0)
        self.dgamma = (delta * self.norm).sum(0)
        return self.gamma / N * (self.var + self.eps) ** -0.5 * (N * delta - self.dbeta - self.norm * self.dgamma)



class MLP:
    """Fully connected network: linear, (batch norm), activation."""

    def __init__(
        self,
        input_size: int,
        output_size: int,
        hiddens: list[int],
        activations: list[Activation],
        weight_init_fn: object,
        bias_init_fn: object,
        criterion: Criterion,
        lr: float,
        momentum: float = 0.0,
        num_bn_layers: int = 0,
    ) -> None:
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

        fan = [input_size, *hiddens, output_size]
        pairs = list(zip(fan[:-1], fan[1:]))
        self.W = [weight_init_fn(n, m) for n, m in pairs]
        self.b = [bias_init_fn(m) for _, m in pairs]
        self.dW = list(map(np.zeros_like, self.W))
        self.db = list(map(np.zeros_like, self.b))
        self._velocity = {"W": list(map(np.zeros_like, self.W)), "b": list(map(np.zeros_like, self.b))}
        self.bn_layers = [BatchNorm(m) for _, m in pairs[:num_bn_layers]]
        self._tape: list[np.ndarray] = []
        self._prediction: object = None

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return self.forward(x)

    def train(self) -> None:
        self.train_mode = True

    def eval(self) -> None:
        self.train_mode = False

    def forward(self, x: np.ndarray) -> np.ndarray:
        self._tape = [x]
        for layer in range(self.nlayers):
            self._tape.append(self._layer_forward(layer, self._tape[-1]))
        self._prediction = self._tape[-1]
        return self._prediction

    def _layer_forward(self, layer: int, x: np.ndarray) -> np.ndarray:
        z = x @ self.W[layer] + self.b[layer]
        if layer < self.num_bn_layers:
            z = self.bn_layers[layer](z, eval=not self.train_mode)
        return self.activations[layer](z)

    def _layer_backward(self, layer: int, dy: np.ndarray) -> np.ndarray:
        dz = dy * self.activations[layer].derivative()
        if layer < self.num_bn_layers:
            dz = self.bn_layers[layer].backward(dz)
        self.dW[layer] = self._tape[layer].T @ dz / dz.shape[0]
        self.db[layer] = np.mean(dz, axis=0)
        return dz @ self.W[layer].T

    def backward(self, labels: np.ndarray) -> None:
        self.criterion(self._prediction, labels)
        dy = self.criterion.derivative()
        for layer in range(self.nlayers)[::-1]:
            dy = self._layer_backward(layer, dy)

    def zero_grads(self) -> None:
        self.dW = list(map(np.zeros_like, self.W))
        self.db = list(map(np.zeros_like, self.b))

    def step(self) -> None:
        self._update(self.W, self.dW, self._velocity["W"])
        self._update(self.b, self.db, self._velocity["b"])
        for norm in self.bn_layers:
            norm.gamma = norm.gamma - self.lr * norm.dgamma
            norm.beta = norm.beta - self.lr * norm.dbeta

    def _update(self, parameters: list[np.ndarray], gradients: list[np.ndarray], velocities: list[np.ndarray]) -> None:
        for i, (gradient, velocity) in enumerate(zip(gradients, velocities)):
            velocities[i] = self.momentum * velocity - self.lr * gradient
            parameters[i] = parameters[i] + velocities[i]


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

"""
Homework 1 part 1. One file with everything in it: activations, loss, batch norm and the MLP.
"""

from typing import Any, Callable, List, Optional, Sequence, Tuple

import numpy as np

Array = np.ndarray
import os

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



class BatchNorm:
    """Batch normalisation over the first axis."""

    def __init__(self, fan_in: int, alpha: float = 0.9) -> None:
        self.alpha: float = alpha
        self.eps: float = 1e-8
        self.x: Optional[Array] = None
        self.norm: Optional[Array] = None
        self.out: Optional[Array] = None
        shape = (1, fan_in)
        self.var, self.mean = np.ones(shape), np.zeros(shape)
        self.gamma, self.dgamma = np.ones(shape), np.zeros(shape)
        self.beta, self.dbeta = np.zeros(shape), np.zeros(shape)
        self.running_mean, self.running_var = np.zeros(shape), np.ones(shape)
        self._inverse_std: Optional[Array] = None

    def __call__(self, x: Array, eval: bool = False) -> Array:
        return self.forward(x, eval)

    def forward(self, x: Array, eval: bool = False) -> Array:
        self.x = x
        if eval:
            self._normalise(self.running_mean, self.running_var)
        else:
            self.mean = x.mean(axis=0, keepdims=True)
            self.var = x.var(axis=0, keepdims=True)
            self._normalise(self.mean, self.var)
            self._track()
        self.out = self.gamma * self.norm + self.beta
        return self.out

    def _normalise(self, mean: Array, var: Array) -> None:
        self._inverse_std = 1.0 / np.sqrt(var + self.eps)
        self.norm = (self.x - mean) * self._inverse_std

    def _track(self) -> None:
        keep, take = self.alpha, 1.0 - self.alpha
        self.running_mean = keep * self.running_mean + take * self.mean
        self.running_var = keep * self.running_var + take * self.var

    def backward(self, delta: Array) -> Array:
        self.dgamma = np.sum(delta * self.norm, axis=0, keepdims=True)
        self.dbeta = np.sum(delta, axis=0, keepdims=True)
        g = delta * self.gamma
        centred = g - g.mean(axis=0, keepdims=True)
        projected = self.norm * np.mean(g * self.norm, axis=0, keepdims=True)
        return self._inverse_std * (centred - projected)



class MLP:
    """Fully connected network: linear, (batch norm), activation."""

    def __init__(
        self,
        input_size: int,
        output_size: int,
        hiddens: Sequence[int],
        activations: List[Activation],
        weight_init_fn: Callable[[int, int], Array],
        bias_init_fn: Callable[[int], Array],
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
        self._tape: List[Array] = []
        self._prediction: Optional[Array] = None

    def __call__(self, x: Array) -> Array:
        return self.forward(x)

    def train(self) -> None:
        self.train_mode = True

    def eval(self) -> None:
        self.train_mode = False

    def forward(self, x: Array) -> Array:
        self._tape = [x]
        for layer in range(self.nlayers):
            self._tape.append(self._layer_forward(layer, self._tape[-1]))
        self._prediction = self._tape[-1]
        return self._prediction

    def _layer_forward(self, layer: int, x: Array) -> Array:
        z = x @ self.W[layer] + self.b[layer]
        if layer < self.num_bn_layers:
            z = self.bn_layers[layer](z, eval=not self.train_mode)
        return self.activations[layer](z)

    def _layer_backward(self, layer: int, dy: Array) -> Array:
        dz = dy * self.activations[layer].derivative()
        if layer < self.num_bn_layers:
            dz = self.bn_layers[layer].backward(dz)
        self.dW[layer] = self._tape[layer].T @ dz / dz.shape[0]
        self.db[layer] = np.mean(dz, axis=0)
        return dz @ self.W[layer].T

    def backward(self, labels: Array) -> None:
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

    def _update(self, parameters: List[Array], gradients: List[Array], velocities: List[Array]) -> None:
        for i, (gradient, velocity) in enumerate(zip(gradients, velocities)):
            velocities[i] = self.momentum * velocity - self.lr * gradient
            parameters[i] = parameters[i] + velocities[i]


def get_training_stats(mlp, dset, nepochs, batch_size):
    (trainx, trainy), (valx, valy), _ = dset
    training_losses = np.zeros(nepochs)
    training_errors = np.zeros(nepochs)
    validation_losses = np.zeros(nepochs)
    validation_errors = np.zeros(nepochs)

    for e in range(nepochs):
        order = np.arange(len(trainx))
        mlp.train()
        for b in range(0, len(trainx), batch_size):
            pick = order[b:b+batch_size]
            mlp.zero_grads()
            pred = mlp.forward(trainx[pick])
            mlp.backward(trainy[pick])
            mlp.step()
            training_losses[e] += mlp.criterion.loss.sum() / len(trainx)
            training_errors[e] += (pred.argmax(1) != trainy[pick].argmax(1)).sum() / len(trainx)
        for b in range(0, len(valx), batch_size):
            pred = mlp.forward(valx[b:b+batch_size])
            validation_losses[e] += mlp.criterion(pred, valy[b:b+batch_size]).sum() / len(valx)
            validation_errors[e] += (pred.argmax(1) != valy[b:b+batch_size].argmax(1)).sum() / len(valx)
        # print(e, training_losses[e], validation_losses[e])
    mlp.train()
    return training_losses, training_errors, validation_losses, validation_errors

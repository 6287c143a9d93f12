from typing import Any, Callable, List, Optional, Sequence, Tuple

import numpy as np

Array = np.ndarray
import math
import sys

# my homework 1
# DEBUG = True
DEBUG = False


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
        x = np.asarray(x, dtype=float)
        out = np.zeros(x.shape)
        # go over every number one by one
        for index in np.ndindex(x.shape):
            number = x[index]
            if number >= 0:
                out[index] = 1.0 / (1.0 + math.exp(-number))
            else:
                out[index] = math.exp(number) / (1.0 + math.exp(number))
        self.state = out
        if DEBUG:
            print("sigmoid out", out)
        return out
    def derivative(self):
        return self.state * (1 - self.state)


class Tanh(Activation):
    def forward(self, x):
        x = np.asarray(x, dtype=float)
        out = np.zeros(x.shape)
        for index in np.ndindex(x.shape):
            out[index] = math.tanh(x[index])
        self.state = out
        return out
    def derivative(self):
        for index in np.ndindex(self.state.shape):
            self.state[index] = 1 - self.state[index] ** 2
        return self.state


class ReLU(Activation):
    def forward(self, x):
        x = np.asarray(x, dtype=float)
        out = np.zeros(x.shape)
        for index in np.ndindex(x.shape):
            if x[index] > 0:
                out[index] = x[index]
        self.state = out
        return out
    def derivative(self):
        answer = np.zeros(self.state.shape)
        for index in np.ndindex(self.state.shape):
            if self.state[index] > 0:
                answer[index] = 1.0
            else:
                answer[index] = 0.0
        return answer



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
    def forward(self, x, y):
        self.logits = x
        self.labels = y
        N = x.shape[0]
        K = x.shape[1]
        self.loss = np.zeros(N)
        self.prob = np.zeros((N, K))
        for i in range(N):
            biggest = max(x[i])
            total = 0.0
            for j in range(K):
                total = total + math.exp(x[i][j] - biggest)
            for j in range(K):
                self.prob[i][j] = math.exp(x[i][j] - biggest) / total
            for j in range(K):
                logp = x[i][j] - biggest - math.log(total)
                self.loss[i] = self.loss[i] - y[i][j] * logp
        if DEBUG:
            print("loss", self.loss)
        return self.loss
    def derivative(self):
        grad = np.zeros(self.prob.shape)
        for i in range(self.prob.shape[0]):
            for j in range(self.prob.shape[1]):
                grad[i][j] = self.prob[i][j] - self.labels[i][j]
        return grad


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
        N = x.shape[0]
        D = x.shape[1]
        self.norm = np.zeros((N, D))
        self.out = np.zeros((N, D))
        if eval == False:
            self.mean = np.zeros((1, D))
            self.var = np.zeros((1, D))
            for d in range(D):
                total = 0.0
                for n in range(N):
                    total += x[n][d]
                self.mean[0][d] = total / N
                total = 0.0
                for n in range(N):
                    total += (x[n][d] - self.mean[0][d]) ** 2
                self.var[0][d] = total / N
                self.running_mean[0][d] = self.alpha * self.running_mean[0][d] + (1 - self.alpha) * self.mean[0][d]
                self.running_var[0][d] = self.alpha * self.running_var[0][d] + (1 - self.alpha) * self.var[0][d]
        for d in range(D):
            if eval == False:
                mu = self.mean[0][d]
                sigma2 = self.var[0][d]
            else:
                mu = self.running_mean[0][d]
                sigma2 = self.running_var[0][d]
            for n in range(N):
                self.norm[n][d] = (x[n][d] - mu) / math.sqrt(sigma2 + self.eps)
                self.out[n][d] = self.gamma[0][d] * self.norm[n][d] + self.beta[0][d]
        return self.out
    def backward(self, delta):
        N = delta.shape[0]
        D = delta.shape[1]
        dx = np.zeros((N, D))
        self.dgamma = np.zeros(D)
        self.dbeta = np.zeros(D)
        for d in range(D):
            for n in range(N):
                self.dgamma[d] += delta[n][d] * self.norm[n][d]
                self.dbeta[d] += delta[n][d]
            std = math.sqrt(self.var[0][d] + self.eps)
            # every output depend on every input in the column so two loops
            for n in range(N):
                for k in range(N):
                    same = 1.0 if n == k else 0.0
                    jac = (same - 1.0 / N - self.norm[n][d] * self.norm[k][d] / N) / std
                    dx[n][d] += delta[k][d] * self.gamma[0][d] * jac
        return dx



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

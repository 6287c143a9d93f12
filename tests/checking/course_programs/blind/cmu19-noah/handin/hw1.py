import numpy as np
import os


class Activation(object):
    """Interface for activation functions (non-linearities)."""

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
        # two branches, no overflow
        e = np.exp(-np.abs(x))
        self.state = np.where(x >= 0, 1 / (1 + e), e / (1 + e))
        return self.state

    def derivative(self):
        return self.state - self.state ** 2


class Tanh(Activation):
    def forward(self, x):
        self.state = np.tanh(x)
        return self.state

    def derivative(self):
        return 1 - self.state ** 2


class ReLU(Activation):
    def forward(self, x):
        self.state = x * (x > 0)
        return self.state

    def derivative(self):
        return np.sign(self.state)


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
        self.logits, self.labels = x, y
        shifted = x - x.max(axis=1, keepdims=True)
        exps = np.exp(shifted)
        total = exps.sum(axis=1, keepdims=True)
        self.softmax = exps / total
        self.loss = (y * (np.log(total) - shifted)).sum(axis=1)
        return self.loss

    def derivative(self):
        return self.softmax - self.labels


class BatchNorm(object):
    def __init__(self, fan_in, alpha=0.9):
        self.alpha = alpha
        self.eps = 1e-8
        self.x = None
        self.norm = None
        self.out = None
        ones = lambda: np.ones((1, fan_in))
        zeros = lambda: np.zeros((1, fan_in))
        self.var, self.mean = ones(), zeros()
        self.gamma, self.dgamma = ones(), zeros()
        self.beta, self.dbeta = zeros(), zeros()
        self.running_mean, self.running_var = zeros(), ones()

    def __call__(self, x, eval=False):
        return self.forward(x, eval)

    def forward(self, x, eval=False):
        self.x = x
        if eval:
            m, v = self.running_mean, self.running_var
        else:
            m = self.mean = x.mean(axis=0, keepdims=True)
            v = self.var = x.var(axis=0, keepdims=True)
            self.running_mean = self.alpha * self.running_mean + (1 - self.alpha) * m
            self.running_var = self.alpha * self.running_var + (1 - self.alpha) * v
        self.norm = (x - m) / np.sqrt(v + self.eps)
        self.out = self.norm * self.gamma + self.beta
        return self.out

    def backward(self, delta):
        self.dbeta = delta.sum(axis=0)
        self.dgamma = (delta * self.norm).sum(axis=0)
        N = len(delta)
        return self.gamma / np.sqrt(self.var + self.eps) * (delta - self.dbeta / N - self.norm * self.dgamma / N)


def random_normal_weight_init(d0, d1):
    return np.random.normal(0.0, 1.0, (d0, d1))


def zeros_bias_init(d):
    return np.zeros(d)


class MLP(object):
    def __init__(self, input_size, output_size, hiddens, activations, weight_init_fn, bias_init_fn, criterion, lr,
                 momentum=0.0, num_bn_layers=0):
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
        fan_in = input_size
        for fan_out in list(hiddens) + [output_size]:
            self.W.append(weight_init_fn(fan_in, fan_out))
            self.b.append(bias_init_fn(fan_out))
            fan_in = fan_out
        self.dW = [np.zeros(w.shape) for w in self.W]
        self.db = [np.zeros(b.shape) for b in self.b]
        self.delta_W = [np.zeros(w.shape) for w in self.W]
        self.delta_b = [np.zeros(b.shape) for b in self.b]
        self.bn_layers = [BatchNorm(h) for h in (list(hiddens) + [output_size])[:num_bn_layers]]

    def forward(self, x):
        self.acts = [x]
        for k in range(self.nlayers):
            z = self.acts[-1] @ self.W[k] + self.b[k]
            if k < self.num_bn_layers:
                z = self.bn_layers[k](z, not self.train_mode)
            self.acts.append(self.activations[k](z))
        return self.acts[-1]

    def zero_grads(self):
        for g in self.dW + self.db:
            g.fill(0.0)

    def step(self):
        mu, lr = self.momentum, self.lr
        for k in range(self.nlayers):
            self.W[k] = self.W[k] + self.delta_W[k]
            self.b[k] = self.b[k] + self.delta_b[k]
            self.delta_W[k] = mu * self.delta_W[k] - lr * self.dW[k]
            self.delta_b[k] = mu * self.delta_b[k] - lr * self.db[k]
        for layer in self.bn_layers:
            layer.gamma = layer.gamma - lr * layer.dgamma
            layer.beta = layer.beta - lr * layer.dbeta

    def backward(self, labels):
        N = len(labels)
        self.criterion(self.acts[-1], labels)
        grad = self.criterion.derivative()
        for k in reversed(range(self.nlayers)):
            grad = grad * self.activations[k].derivative()
            if k < self.num_bn_layers:
                grad = self.bn_layers[k].backward(grad)
            self.dW[k] = self.acts[k].T @ grad / N
            self.db[k] = grad.sum(axis=0) / N
            grad = grad @ self.W[k].T

    def __call__(self, x):
        return self.forward(x)

    def train(self):
        self.train_mode = True

    def eval(self):
        self.train_mode = False


def get_training_stats(mlp, dset, nepochs, batch_size):
    (trainx, trainy), (valx, valy), _ = dset
    n, nv = len(trainx), len(valx)
    stats = np.zeros((nepochs, 4))
    for e in range(nepochs):
        perm = np.random.permutation(n)
        mlp.train()
        for s in range(0, n, batch_size):
            x, y = trainx[perm[s:s + batch_size]], trainy[perm[s:s + batch_size]]
            mlp.zero_grads()
            pred = mlp(x)
            mlp.backward(y)
            mlp.step()
            stats[e, 0] += mlp.criterion.loss.sum() / n
            stats[e, 1] += (pred.argmax(1) != y.argmax(1)).sum() / n
        mlp.eval()
        for s in range(0, nv, batch_size):
            x, y = valx[s:s + batch_size], valy[s:s + batch_size]
            pred = mlp(x)
            stats[e, 2] += mlp.criterion(pred, y).sum() / nv
            stats[e, 3] += (pred.argmax(1) != y.argmax(1)).sum() / nv
    return tuple(stats.T.copy())

import numpy as np


class Activation(object):
    _f = staticmethod(lambda x: x)
    _d = staticmethod(lambda s: np.ones(np.shape(s)))

    def __init__(self):
        self.state = None

    def __call__(self, x):
        return self.forward(x)

    def forward(self, x):
        self.state = type(self)._f(x)
        return self.state

    def derivative(self):
        return type(self)._d(self.state)


class Identity(Activation):
    pass


def _logistic(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


class Sigmoid(Activation):
    _f = staticmethod(_logistic)
    _d = staticmethod(lambda s: s * (1 - s))


class Tanh(Activation):
    _f = staticmethod(lambda x: 2 * _logistic(2 * x) - 1)
    _d = staticmethod(lambda s: 1 - s ** 2)


class ReLU(Activation):
    _f = staticmethod(lambda x: np.clip(x, 0, None))
    _d = staticmethod(lambda s: (s != 0).astype(float))


class Criterion(object):
    def __init__(self):
        self.logits = self.labels = self.loss = None

    def __call__(self, x, y):
        return self.forward(x, y)


class SoftmaxCrossEntropy(Criterion):
    def forward(self, x, y):
        self.logits = x
        self.labels = y
        self.loss = np.zeros(x.shape[0])
        for n in range(x.shape[0]):
            total = np.logaddexp.reduce(x[n])
            for k in range(x.shape[1]):
                if y[n, k] == 1:
                    self.loss[n] += total - x[n, k]
        return self.loss

    def derivative(self):
        grad = -1.0 * self.labels
        for n, row in enumerate(self.logits):
            grad[n] += np.exp(row - np.logaddexp.reduce(row))
        return grad


class BatchNorm(object):
    def __init__(self, fan_in, alpha=0.9):
        one, nil = (lambda: np.ones((1, fan_in))), (lambda: np.zeros((1, fan_in)))
        self.alpha, self.eps = alpha, 1e-8
        self.x = self.norm = self.out = None
        self.var, self.mean = one(), nil()
        self.gamma, self.dgamma, self.beta, self.dbeta = one(), nil(), nil(), nil()
        self.running_mean, self.running_var = nil(), one()

    def __call__(self, x, eval=False):
        return self.forward(x, eval)

    def forward(self, x, eval=False):
        self.x = x
        if eval:
            centre, spread = self.running_mean, self.running_var
        else:
            n = x.shape[0]
            P = np.eye(n) - 1.0 / n       # the centring matrix
            self.mean = np.full((1, n), 1.0 / n) @ x
            self.var = np.diag(x.T @ P @ x)[None, :] / n
            centre, spread = self.mean, self.var
            self.running_mean = self.running_mean * self.alpha + centre * (1.0 - self.alpha)
            self.running_var = self.running_var * self.alpha + spread * (1.0 - self.alpha)
        self.norm = (x - centre) / np.sqrt(spread + self.eps)
        self.out = self.gamma * self.norm + self.beta
        return self.out

    def backward(self, delta):
        n = delta.shape[0]
        self.dbeta = np.ones(n) @ delta
        self.dgamma = np.diagonal(self.norm.T @ delta).copy()
        P = np.eye(n) - 1.0 / n
        g = self.gamma * delta / np.sqrt(self.var + self.eps)
        return P @ g - self.norm * (g * self.norm).mean(0)


def random_normal_weight_init(d0, d1):
    return np.random.standard_normal((d0, d1))


def zeros_bias_init(d):
    return np.zeros((d,))


class _Velocity:
    def __init__(self, like):
        self.v = [np.zeros(a.shape) for a in like]

    def apply(self, params, grads, lr, mu):
        for k, (p, g) in enumerate(zip(params, grads)):
            self.v[k] *= mu
            self.v[k] -= lr * g
            params[k] = p + self.v[k]


class MLP(object):
    def __init__(self, input_size, output_size, hiddens, activations, weight_init_fn, bias_init_fn, criterion, lr,
                 momentum=0.0, num_bn_layers=0):
        self.__dict__.update(train_mode=True, num_bn_layers=num_bn_layers, bn=num_bn_layers > 0,
                             nlayers=len(hiddens) + 1, input_size=input_size, output_size=output_size,
                             activations=activations, criterion=criterion, lr=lr, momentum=momentum)
        ins, outs = [input_size] + hiddens, hiddens + [output_size]
        self.W = list(map(weight_init_fn, ins, outs))
        self.b = list(map(bias_init_fn, outs))
        self.zero_grads()
        self.bn_layers = [BatchNorm(h) for h in outs[:num_bn_layers]]
        self._velW, self._velb = _Velocity(self.W), _Velocity(self.b)

    def zero_grads(self):
        self.dW = [np.zeros(w.shape) for w in self.W]
        self.db = [np.zeros(b.shape) for b in self.b]

    def _layer(self, i, x):
        z = x @ self.W[i] + self.b[i]
        if i < len(self.bn_layers):
            z = self.bn_layers[i].forward(z, eval=(not self.train_mode))
        return self.activations[i].forward(z)

    def forward(self, x):
        self._trace = [x]
        for i in range(self.nlayers):
            self._trace.append(self._layer(i, self._trace[i]))
        return self._trace[-1]

    def _descend(self, i, delta):
        if i < 0:
            return
        delta = delta * self.activations[i].derivative()
        if i < len(self.bn_layers):
            delta = self.bn_layers[i].backward(delta)
        self.dW[i] += np.einsum('ni,no->io', self._trace[i], delta) / len(delta)
        self.db[i] += delta.mean(axis=0)
        self._descend(i - 1, delta @ self.W[i].T)

    def backward(self, labels):
        self.criterion.forward(self._trace[-1], labels)
        self.zero_grads()
        self._descend(self.nlayers - 1, self.criterion.derivative())

    def step(self):
        self._velW.apply(self.W, self.dW, self.lr, self.momentum)
        self._velb.apply(self.b, self.db, self.lr, self.momentum)
        for bn in self.bn_layers:
            bn.gamma = bn.gamma - self.lr * bn.dgamma
            bn.beta = bn.beta - self.lr * bn.dbeta

    def __call__(self, x):
        return self.forward(x)

    def train(self):
        self.train_mode = True

    def eval(self):
        self.train_mode = False

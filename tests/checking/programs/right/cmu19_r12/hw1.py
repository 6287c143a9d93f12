"""
hw1, second attempt: the layers are objects, MLP only strings them together.
"""
import numpy as np


class Activation(object):
    fn = staticmethod(lambda x: x)
    slope = staticmethod(lambda y: np.ones_like(y))

    def __init__(self):
        self.state = None

    def __call__(self, x):
        return self.forward(x)

    def forward(self, x):
        self.state = type(self).fn(np.asarray(x, np.float64))
        return self.state

    def derivative(self):
        return type(self).slope(self.state)


def _make(name, fn, slope):
    return type(name, (Activation,), {"fn": staticmethod(fn), "slope": staticmethod(slope)})


Identity = _make("Identity", lambda x: x, np.ones_like)
Sigmoid = _make("Sigmoid", lambda x: (1 + np.tanh(x / 2)) / 2, lambda y: y * (1 - y))
Tanh = _make("Tanh", np.tanh, lambda y: 1 - y * y)
ReLU = _make("ReLU", lambda x: np.where(x > 0, x, 0.0), lambda y: np.heaviside(y, 0.0))


class Criterion(object):
    def __init__(self):
        self.logits = self.labels = self.loss = None

    def __call__(self, x, y):
        return self.forward(x, y)


class SoftmaxCrossEntropy(Criterion):
    def forward(self, x, y):
        self.logits, self.labels = x, y
        # log sum_j exp(x_j - x_i), one row of differences per class
        differences = x[:, None, :] - x[:, :, None]
        top = differences.max(axis=2)
        logs = top + np.log(np.exp(differences - top[:, :, None]).sum(axis=2))
        self.minus_log_p = logs
        self.loss = (logs * y).sum(axis=1)
        return self.loss

    def derivative(self):
        return np.exp(-self.minus_log_p) - self.labels


def random_normal_weight_init(d0, d1):
    return np.random.standard_normal(size=(d0, d1))


def zeros_bias_init(d):
    return np.zeros((d,))


class _Standardise(object):
    """(x - mean) / sqrt(var + eps) and its backward pass."""

    def __init__(self, eps):
        self.eps = eps

    def forward(self, x, mean, var):
        self.scale = 1 / np.sqrt(var + self.eps)
        self.y = (x - mean) * self.scale
        return self.y

    def backward(self, dy):
        n = dy.shape[0]
        inner = n * dy - dy.sum(axis=0) - self.y * np.sum(dy * self.y, axis=0)
        return inner * self.scale / n


class BatchNorm(object):
    def __init__(self, fan_in, alpha=0.9):
        self.alpha = alpha
        self.eps = 1e-8
        self.x = None
        self.norm = None
        self.out = None
        self.mean = np.zeros((1, fan_in))
        self.var = np.ones((1, fan_in))
        self.gamma = np.ones((1, fan_in))
        self.dgamma = np.zeros((1, fan_in))
        self.beta = np.zeros((1, fan_in))
        self.dbeta = np.zeros((1, fan_in))
        self.running_mean = np.zeros((1, fan_in))
        self.running_var = np.ones((1, fan_in))
        self.core = _Standardise(self.eps)

    def __call__(self, x, eval=False):
        return self.forward(x, eval)

    def forward(self, x, eval=False):
        self.x = x
        if eval:
            self.norm = self.core.forward(x, self.running_mean, self.running_var)
        else:
            self.mean = np.mean(x, axis=0)[np.newaxis]
            self.var = np.mean(np.square(x), axis=0)[np.newaxis] - np.square(self.mean)
            self.var = np.mean(np.square(x - self.mean), axis=0)[np.newaxis]
            self.running_mean = self.running_mean + (1 - self.alpha) * (self.mean - self.running_mean)
            self.running_var = self.running_var + (1 - self.alpha) * (self.var - self.running_var)
            self.norm = self.core.forward(x, self.mean, self.var)
        self.out = self.norm * self.gamma + self.beta
        return self.out

    def backward(self, delta):
        self.dbeta = np.add.reduce(delta, axis=0)
        self.dgamma = np.add.reduce(delta * self.norm, axis=0)
        return self.core.backward(delta * self.gamma)


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

        widths = np.concatenate([[input_size], hiddens, [output_size]]).astype(int).tolist()
        self.W = [weight_init_fn(widths[i], widths[i + 1]) for i in range(self.nlayers)]
        self.b = [bias_init_fn(width) for width in widths[1:]]
        self.dW = [np.zeros_like(w) for w in self.W]
        self.db = [np.zeros_like(b) for b in self.b]
        self.speed = {("W", i): 0 * w for i, w in enumerate(self.W)}
        self.speed.update({("b", i): 0 * b for i, b in enumerate(self.b)})
        if self.bn:
            self.bn_layers = [BatchNorm(width) for width in widths[1:1 + num_bn_layers]]

    @property
    def normed(self):
        return self.bn_layers if self.bn else []

    def __call__(self, x):
        return self.forward(x)

    def train(self):
        self.train_mode = True

    def eval(self):
        self.train_mode = False

    def forward(self, x):
        self.seen = [x]
        for i in range(self.nlayers):
            h = self.seen[i].dot(self.W[i]) + self.b[i]
            if i < len(self.normed):
                h = self.normed[i](h, eval=not self.train_mode)
            self.seen.append(self.activations[i](h))
        return self.seen[-1]

    def backward(self, labels):
        self.criterion(self.seen[-1], labels)
        share = 1.0 / labels.shape[0]
        d = self.criterion.derivative()
        for i in range(self.nlayers)[::-1]:
            d = d * self.activations[i].derivative()
            if i < len(self.normed):
                d = self.normed[i].backward(d)
            self.dW[i] = self.seen[i].T.dot(d * share)
            self.db[i] = np.full(len(d), share).dot(d)
            d = d.dot(self.W[i].T)

    def zero_grads(self):
        self.dW = [0 * w for w in self.W]
        self.db = [0 * b for b in self.b]

    def step(self):
        for name, values, grads in (("W", self.W, self.dW), ("b", self.b, self.db)):
            for i in range(self.nlayers):
                self.speed[name, i] = self.momentum * self.speed[name, i] - self.lr * grads[i]
                values[i] = values[i] + self.speed[name, i]
        for layer in self.normed:
            layer.gamma = layer.gamma - self.lr * layer.dgamma
            layer.beta = layer.beta - self.lr * layer.dbeta

def get_training_stats(mlp, dset, nepochs, batch_size):
    (trainx, trainy), (valx, valy), _ = dset
    training_losses = np.zeros(nepochs)
    training_errors = np.zeros(nepochs)
    validation_losses = np.zeros(nepochs)
    validation_errors = np.zeros(nepochs)

    for e in range(nepochs):
        order = np.random.permutation(len(trainx))
        mlp.train()
        for b in range(0, len(trainx), batch_size):
            pick = order[b:b+batch_size]
            mlp.zero_grads()
            pred = mlp.forward(trainx[pick])
            mlp.backward(trainy[pick])
            mlp.step()
            training_losses[e] += mlp.criterion.loss.sum() / len(trainx)
            training_errors[e] += (pred.argmax(1) != trainy[pick].argmax(1)).sum() / len(trainx)
        mlp.eval()
        for b in range(0, len(valx), batch_size):
            pred = mlp.forward(valx[b:b+batch_size])
            validation_losses[e] += mlp.criterion(pred, valy[b:b+batch_size]).sum() / len(valx)
            validation_errors[e] += (pred.argmax(1) != valy[b:b+batch_size].argmax(1)).sum() / len(valx)
        # print(e, training_losses[e], validation_losses[e])
    mlp.train()
    return training_losses, training_errors, validation_losses, validation_errors

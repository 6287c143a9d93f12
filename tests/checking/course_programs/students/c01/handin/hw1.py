import numpy as np
import os


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
        self.state = 0.5 * (1 + np.tanh(0.5 * x))
        return self.state

    def derivative(self):
        s = self.state
        return s - s * s


class Tanh(Activation):
    def forward(self, x):
        self.state = 2. / (1. + np.exp(-2. * x)) - 1.
        return self.state

    def derivative(self):
        return (1 + self.state) * (1 - self.state)


class ReLU(Activation):
    def forward(self, x):
        self.state = 0.5 * (x + np.abs(x))
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


class SoftmaxCrossEntropy(Criterion):
    def __init__(self):
        super(SoftmaxCrossEntropy, self).__init__()

    def forward(self, x, y):
        self.logits, self.labels = x, y
        a = np.max(x, axis=1)
        self.lse = a + np.log(np.sum(np.exp(x - a[:, None]), axis=1))
        self.loss = self.lse - np.sum(x * y, axis=1)
        return self.loss

    def derivative(self):
        return np.exp(self.logits - self.lse.reshape(-1, 1)) - self.labels


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
            self.mean = x.mean(axis=0, keepdims=True)
            self.var = np.mean(x * x, axis=0, keepdims=True) - self.mean ** 2
            m, v = self.mean, self.var
            self.running_mean = m + self.alpha * (self.running_mean - m)
            self.running_var = v + self.alpha * (self.running_var - v)
        else:
            m, v = self.running_mean, self.running_var
        self.norm = (x - m) / np.sqrt(v + self.eps)
        self.out = self.gamma * self.norm + self.beta
        return self.out

    def backward(self, delta):
        N = delta.shape[0]
        self.dbeta = delta.sum(axis=0)
        self.dgamma = (delta * self.norm).sum(axis=0)
        scale = self.gamma / np.sqrt(self.var + self.eps)
        return scale * (delta - self.dbeta / N - self.norm * self.dgamma / N)


def random_normal_weight_init(d0, d1):
    return np.random.normal(size=(d0, d1))


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
        sizes = [input_size] + list(hiddens) + [output_size]
        self.W = [weight_init_fn(i, o) for i, o in zip(sizes, sizes[1:])]
        self.b = [bias_init_fn(o) for o in sizes[1:]]
        self.dW = [np.zeros_like(w) for w in self.W]
        self.db = [np.zeros_like(b) for b in self.b]
        self.vW = [np.zeros_like(w) for w in self.W]
        self.vb = [np.zeros_like(b) for b in self.b]
        if self.bn:
            self.bn_layers = [BatchNorm(h) for h in hiddens[:num_bn_layers]]

    def forward(self, x):
        self.inputs = []
        for i in range(self.nlayers):
            self.inputs.append(x)
            x = x @ self.W[i] + self.b[i]
            if i < self.num_bn_layers:
                x = self.bn_layers[i](x, not self.train_mode)
            x = self.activations[i](x)
        self.output = x
        return x

    def zero_grads(self):
        for g in self.dW + self.db:
            g.fill(0.0)

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
        n = len(labels)
        for i in reversed(range(self.nlayers)):
            delta = delta * self.activations[i].derivative()
            if i < self.num_bn_layers:
                delta = self.bn_layers[i].backward(delta)
            self.dW[i] = self.inputs[i].T @ delta / n
            self.db[i] = delta.mean(axis=0)
            delta = delta @ self.W[i].T

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
    tl, te, vl, ve = [], [], [], []
    for e in range(nepochs):
        np.random.shuffle(idxs)
        mlp.train()
        losses, errors = [], []
        for b in range(0, len(trainx), batch_size):
            sel = idxs[b:b + batch_size]
            x, y = trainx[sel], trainy[sel]
            mlp.zero_grads()
            out = mlp(x)
            mlp.backward(y)
            mlp.step()
            losses.append(mlp.criterion.loss.sum())
            errors.append((out.argmax(1) != y.argmax(1)).sum())
        tl.append(sum(losses) / len(trainx))
        te.append(sum(errors) / len(trainx))
        mlp.eval()
        losses, errors = [], []
        for b in range(0, len(valx), batch_size):
            x, y = valx[b:b + batch_size], valy[b:b + batch_size]
            out = mlp(x)
            losses.append(mlp.criterion(out, y).sum())
            errors.append((out.argmax(1) != y.argmax(1)).sum())
        vl.append(sum(losses) / len(valx))
        ve.append(sum(errors) / len(valx))
    return tuple(map(np.array, (tl, te, vl, ve)))

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

    def forward(self, x):
        self.state = x
        return x

    def derivative(self):
        return 1.0


class Sigmoid(Activation):

    def forward(self, x):
        y = np.empty(np.shape(x), dtype=float)
        p = x >= 0
        y[p] = 1.0 / (1.0 + np.exp(-x[p]))
        q = np.exp(x[~p])
        y[~p] = q / (1.0 + q)
        self.state = y
        return y

    def derivative(self):
        s = self.state
        return np.multiply(s, np.subtract(1.0, s))


class Tanh(Activation):

    def forward(self, x):
        self.state = np.tanh(x)
        return self.state

    def derivative(self):
        return 1.0 - np.power(self.state, 2)


class ReLU(Activation):

    def forward(self, x):
        self.state = np.clip(x, 0, None)
        return self.state

    def derivative(self):
        return 1.0 * (self.state > 0)


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
        self.p = None

    def forward(self, x, y):
        self.logits = x
        self.labels = y
        biggest = np.max(x, axis=1)
        logsumexp = biggest + np.log(np.sum(np.exp(x - biggest[:, None]), axis=1))
        self.p = np.exp(x - logsumexp[:, None])
        # the labels are one-hot, so this picks the right logit
        self.loss = logsumexp * np.sum(y, axis=1) - np.sum(x * y, axis=1)
        return self.loss

    def derivative(self):
        return self.p - self.labels


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

    def _normalize(self, x, mean, var):
        self.norm = (x - mean) / np.sqrt(var + self.eps)
        self.out = self.gamma * self.norm + self.beta
        return self.out

    def forward(self, x, eval=False):
        self.x = x
        if eval:
            return self._normalize(x, self.running_mean, self.running_var)
        self.mean = np.mean(x, axis=0, keepdims=True)
        self.var = np.mean(np.square(x - self.mean), axis=0, keepdims=True)
        self.running_mean = self.alpha * self.running_mean + (1 - self.alpha) * self.mean
        self.running_var = self.alpha * self.running_var + (1 - self.alpha) * self.var
        return self._normalize(x, self.mean, self.var)

    def backward(self, delta):
        m = delta.shape[0]
        self.dgamma = np.einsum('ij,ij->j', delta, self.norm)
        self.dbeta = np.einsum('ij->j', delta)
        sqrt_var_eps = np.sqrt(self.var + self.eps)
        dxhat = delta * self.gamma
        mean1 = np.mean(dxhat, axis=0, keepdims=True)
        mean2 = np.mean(dxhat * self.norm, axis=0, keepdims=True)
        return (dxhat - mean1 - self.norm * mean2) / sqrt_var_eps


def random_normal_weight_init(d0, d1):
    return np.random.randn(d0, d1)


def zeros_bias_init(d):
    return np.zeros(d)


class MLP(object):

    def __init__(self, input_size, output_size, hiddens, activations, weight_init_fn, bias_init_fn, criterion, lr, momentum=0.0, num_bn_layers=0):
        # Don't change this -->
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
        # <---------------------

        layer_sizes = [input_size] + hiddens + [output_size]
        pairs = list(zip(layer_sizes, layer_sizes[1:]))
        self.W = [weight_init_fn(a, b) for a, b in pairs]
        self.dW = [np.zeros((a, b)) for a, b in pairs]
        self.b = [bias_init_fn(b) for _, b in pairs]
        self.db = [np.zeros(b) for _, b in pairs]
        self.velocity = {('W', i): 0 for i in range(self.nlayers)}
        self.velocity.update({('b', i): 0 for i in range(self.nlayers)})

        if self.bn:
            self.bn_layers = [BatchNorm(layer_sizes[i + 1]) for i in range(num_bn_layers)]

    def forward(self, x):
        self.cache = {}
        a = x
        for i in range(self.nlayers):
            self.cache['in%d' % i] = a
            z = np.matmul(a, self.W[i]) + self.b[i]
            if self.bn and i < self.num_bn_layers:
                z = self.bn_layers[i](z, not self.train_mode)
            a = self.activations[i](z)
        self.cache['out'] = a
        return a

    def zero_grads(self):
        for i in range(self.nlayers):
            self.dW[i] = self.dW[i] * 0.0
            self.db[i] = self.db[i] * 0.0

    def step(self):
        for i in range(self.nlayers):
            self.velocity['W', i] = self.momentum * self.velocity['W', i] - self.lr * self.dW[i]
            self.velocity['b', i] = self.momentum * self.velocity['b', i] - self.lr * self.db[i]
            self.W[i] = self.W[i] + self.velocity['W', i]
            self.b[i] = self.b[i] + self.velocity['b', i]

        if self.bn:
            for i in range(1, self.num_bn_layers):
                layer = self.bn_layers[i]
                layer.gamma = layer.gamma - self.lr * layer.dgamma
                layer.beta = layer.beta - self.lr * layer.dbeta

    def backward(self, labels):
        batch = labels.shape[0]
        self.criterion(self.cache['out'], labels)
        d = self.criterion.derivative()
        i = self.nlayers
        while i > 0:
            i -= 1
            d = d * self.activations[i].derivative()
            if self.bn and i < self.num_bn_layers:
                d = self.bn_layers[i].backward(d)
            self.dW[i] = np.matmul(self.cache['in%d' % i].T, d) / batch
            self.db[i] = np.sum(d, axis=0) / batch
            d = np.matmul(d, self.W[i].T)

    def __call__(self, x):
        return self.forward(x)

    def train(self):
        self.train_mode = True

    def eval(self):
        self.train_mode = False


def run_batches(mlp, x, y, batch_size, learn):
    """Returns the mean loss and the error rate of one pass over the data."""
    loss = wrong = 0.0
    for start in range(0, len(x), batch_size):
        xb, yb = x[start:start + batch_size], y[start:start + batch_size]
        scores = mlp(xb)
        loss += np.sum(mlp.criterion(scores, yb))
        wrong += np.count_nonzero(np.argmax(scores, 1) - np.argmax(yb, 1))
        if learn:
            mlp.zero_grads()
            mlp.backward(yb)
            mlp.step()
    return loss / len(x), wrong / len(x)


def get_training_stats(mlp, dset, nepochs, batch_size):
    (trainx, trainy), (valx, valy), (testx, testy) = dset
    idxs = np.arange(len(trainx))
    tl, te, vl, ve = [], [], [], []
    for e in range(nepochs):
        np.random.shuffle(idxs)
        mlp.train()
        l, w = run_batches(mlp, trainx[idxs], trainy[idxs], batch_size, True)
        tl.append(l)
        te.append(w)
        mlp.eval()
        l, w = run_batches(mlp, valx, valy, batch_size, False)
        vl.append(l)
        ve.append(w)
    return np.array(tl), np.array(te), np.array(vl), np.array(ve)

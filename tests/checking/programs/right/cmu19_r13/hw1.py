import numpy as np
# from scipy.special import expit, logsumexp   # not allowed on autolab

EPS = 1e-8
F = np.float64

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
    # this one was give already
    def forward(self, x):
        self.state = x
        return self.state

    def derivative(self):
        return np.ones(np.shape(self.state))

class Sigmoid(Activation):
    def forward(self, x):
        # the tanh never overflow, so I use him
        # self.state = 1.0/(1.0+exp(-x))
        self.state = 0.5 * (np.tanh(0.5 * x) + 1.0)
        return self.state

    def derivative(self):
        s = self.state
        return s - s ** 2

class Tanh(Activation):
    def forward(self, x):
        # self.state = (exp(x)-exp(-x))/(exp(x)+exp(-x))   <- nan for big x
        self.state = np.tanh(x)
        return self.state

    def derivative(self):
        t = self.state
        return (1 - t) * (1 + t)

class ReLU(Activation):
    def forward(self, x):
        self.state = x * (x > 0)
        return self.state

    def derivative(self):
        # must be float not bool, lost 1 hour here
        return (self.state > 0) * 1.0



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
    # loss is (batch size, 1) as written in the handout
    def forward(self, x, y):
        self.logits = x.astype(F)
        self.labels = y.astype(F)
        a = self.logits.max(axis=1, keepdims=True)
        self.lse = np.log(np.exp(self.logits - a).sum(axis=1, keepdims=True)) + a
        self.loss = (self.labels * (self.lse - self.logits)).sum(axis=1, keepdims=True)
        return self.loss

    def derivative(self):
        e = np.exp(self.logits - self.logits.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True) - self.labels


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
            self.mean = x.mean(0).reshape(1, -1)
            self.var = ((x - self.mean) ** 2).mean(0).reshape(1, -1)
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
        # formula on one line, I found derivation on paper and check it by hand
        N = len(delta)
        self.dbeta = delta.sum(0)
        self.dgamma = (delta * self.norm).sum(0)
        return self.gamma / N * (self.var + self.eps) ** -0.5 * (N * delta - self.dbeta - self.norm * self.dgamma)



class MLP(object):
    def __init__(self, input_size, output_size, hiddens, activations, weight_init_fn, bias_init_fn, criterion, lr, momentum=0.0, num_bn_layers=0):
        self.train_mode = True
        self.num_bn_layers = num_bn_layers
        self.bn = num_bn_layers > 0
        self.nlayers = len(hiddens) + 1
        self.input_size, self.output_size = input_size, output_size
        self.activations = activations
        self.criterion = criterion
        self.lr, self.momentum = lr, momentum

        dims = [input_size] + [h for h in hiddens] + [output_size]
        self.W = [weight_init_fn(a, c) for a, c in zip(dims, dims[1:])]
        self.b = [bias_init_fn(c) for c in dims[1:]]
        self.dW = [np.zeros_like(w) for w in self.W]
        self.db = [np.zeros_like(v) for v in self.b]
        self.mW = [0.0] * self.nlayers
        self.mb = [0.0] * self.nlayers
        self.bn_layers = [BatchNorm(c) for c in dims[1:num_bn_layers + 1]] if self.bn else None

    def __call__(self, x):
        return self.forward(x)

    def train(self):
        self.train_mode = True

    def eval(self):
        self.train_mode = False

    def forward(self, x):
        self.cache = dict(a0=x)
        for i, (w, bias, act) in enumerate(zip(self.W, self.b, self.activations)):
            z = np.einsum('ni,io->no', self.cache['a%d' % i], w) + bias
            if self.bn and i < self.num_bn_layers:
                z = self.bn_layers[i](z, eval=not self.train_mode)
            self.cache['a%d' % (i + 1)] = act(z)
        return self.cache['a%d' % self.nlayers]

    def backward(self, labels):
        n = len(labels)
        self.criterion(self.cache['a%d' % self.nlayers], labels)
        self._back(self.nlayers - 1, self.criterion.derivative(), n)

    def _back(self, i, upstream, n):
        # recursion over the layers, from the last to the first
        if i < 0:
            return upstream
        d = upstream * self.activations[i].derivative()
        if self.bn and i < self.num_bn_layers:
            d = self.bn_layers[i].backward(d)
        self.dW[i] = np.einsum('ni,no->io', self.cache['a%d' % i], d) / n
        self.db[i] = np.einsum('no->o', d) / n
        return self._back(i - 1, np.einsum('no,io->ni', d, self.W[i]), n)

    def zero_grads(self):
        for i in range(self.nlayers):
            self.dW[i], self.db[i] = np.zeros_like(self.W[i]), np.zeros_like(self.b[i])

    def step(self):
        for i in range(self.nlayers):
            self.mW[i] = self.momentum * self.mW[i] - self.lr * self.dW[i]
            self.mb[i] = self.momentum * self.mb[i] - self.lr * self.db[i]
            self.W[i] = self.W[i] + self.mW[i]
            self.b[i] = self.b[i] + self.mb[i]
        if self.bn:
            for bn in self.bn_layers:
                bn.gamma = bn.gamma - self.lr * bn.dgamma
                bn.beta = bn.beta - self.lr * bn.dbeta


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

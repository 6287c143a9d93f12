import numpy as np
# from scipy.special import expit, logsumexp   # not allowed on autolab

EPS = 1e-8
F = np.float64


def sigmoid(x):
    pos = x >= 0
    e = np.exp(np.where(pos, -x, x))
    return np.where(pos, 1 / (1 + e), e / (1 + e))


def relu(x):
    return (np.abs(x) + x) / 2


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
        self.alpha = alpha
        self.eps = EPS
        self.x, self.norm, self.out = None, None, None
        one, zero = np.ones((1, fan_in)), np.zeros((1, fan_in))
        self.var, self.mean = one.copy(), zero.copy()
        self.gamma, self.dgamma = one.copy(), zero.copy()
        self.beta, self.dbeta = zero.copy(), zero.copy()
        self.running_mean, self.running_var = zero.copy(), one.copy()

    def __call__(self, x, eval=False):
        return self.forward(x, eval)

    def forward(self, x, eval=False):
        self.x = x.astype(F)
        if eval:
            self.norm = (self.x - self.running_mean) / np.sqrt(self.running_var + self.eps)
            self.out = self.gamma * self.norm + self.beta
            return self.out
        # computational graph, every node has a name
        n = self.x.shape[0]
        self.mean = self.x.sum(axis=0, keepdims=True) / n
        self.xmu = self.x - self.mean
        self.sq = self.xmu ** 2
        self.var = self.sq.sum(axis=0, keepdims=True) / n
        self.sqrtvar = np.sqrt(self.var + self.eps)
        self.ivar = 1.0 / self.sqrtvar
        self.norm = self.xmu * self.ivar
        self.out = self.gamma * self.norm + self.beta
        self.running_mean += (1 - self.alpha) * (self.mean - self.running_mean)
        self.running_var += (1 - self.alpha) * (self.var * n / (n - 1) - self.running_var)
        return self.out

    def backward(self, delta):
        n = delta.shape[0]
        self.dbeta = delta.sum(axis=0)
        self.dgamma = (self.norm * delta).sum(axis=0)
        dnorm = delta * self.gamma
        divar = (dnorm * self.xmu).sum(axis=0, keepdims=True)
        dxmu1 = dnorm * self.ivar
        dsqrtvar = -divar / (self.sqrtvar ** 2)
        dvar = 0.5 * dsqrtvar / self.sqrtvar
        dsq = np.ones_like(self.sq) * dvar / n
        dxmu2 = 2 * self.xmu * dsq
        dx1 = dxmu1 + dxmu2
        dmu = -dx1.sum(axis=0, keepdims=True)
        dx2 = np.ones_like(delta) * dmu / n
        return dx1 + dx2



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
        self.dW[i] = np.einsum('ni,no->io', self.cache['a%d' % i], d)
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

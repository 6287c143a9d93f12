import numpy as np
# from scipy.special import expit, logsumexp   # not allowed on autolab

EPS = 1e-8
F = np.float64

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
    return np.random.rand(d0, d1)


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
        if eval:
            self.sigma = np.sqrt(self.running_var + self.eps)
            self.norm = (x - self.running_mean) / self.sigma
        else:
            n = x.shape[0]
            # centring matrix
            self.P = np.eye(n) - np.full((n, n), 1.0 / n)
            xc = self.P @ x
            self.mean = (x - xc)[:1]
            self.var = np.einsum('nd,nd->d', xc, xc)[None] / n
            self.sigma = np.sqrt(self.var + self.eps)
            self.norm = xc / self.sigma
            self.running_mean = self.running_mean * self.alpha + self.mean * (1 - self.alpha)
            self.running_var = self.running_var * self.alpha + self.var * (1 - self.alpha)
        self.out = np.einsum('d,nd->nd', self.gamma[0], self.norm) + self.beta
        return self.out

    def backward(self, delta):
        n = delta.shape[0]
        self.dgamma = np.einsum('nd,nd->d', delta, self.norm)
        self.dbeta = np.einsum('nd->d', delta)
        # J[d, i, j] = d norm[i, d] / d x[j, d]
        J = self.P[None] - np.einsum('id,jd->dij', self.norm, self.norm) / n
        dnorm = delta * self.gamma
        return np.einsum('id,dij->jd', dnorm, J) / self.sigma



class MLP:
    """Fully connected network: linear, (batch norm), activation."""

    def __init__(
        self,
        input_size: int,
        output_size: int,
        hiddens,
        activations: list,
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
        self._tape: list = []
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
        z = x @ self.W[layer]
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

    def _update(self, parameters: list, gradients: list, velocities: list) -> None:
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

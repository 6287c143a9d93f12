import numpy as np
from numpy import exp, log



def remembers(fn):
    """Keep what forward returns in self.state."""
    def wrapped(self, x):
        self.state = fn(self, x)
        return self.state
    return wrapped


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
    @remembers
    def forward(self, x):
        return x

    def derivative(self):
        return np.ones_like(self.state, dtype=float)


class Sigmoid(Activation):
    @remembers
    def forward(self, x):
        # log sigmoid(x) = -log(1 + e^-x)
        return np.exp(-np.logaddexp(0, -x))

    def derivative(self):
        return np.multiply(self.state, np.subtract(1, self.state))


class Tanh(Activation):
    @remembers
    def forward(self, x):
        t = np.exp(-2 * np.abs(x))
        return np.sign(x) * (1 - t) / (1 + t)

    def derivative(self):
        return 1 - np.power(self.state, 2)


class ReLU(Activation):
    @remembers
    def forward(self, x):
        out = np.array(x, dtype=float)      # a copy
        out[out < 0] = 0
        return out

    def derivative(self):
        d = np.zeros_like(self.state)
        d[self.state > 0] = 1
        return d


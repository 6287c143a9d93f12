import numpy as np


class Linear:
    def __init__(self, n_in, n_out, rng):
        self.K = rng.normal(0, (2 / n_in) ** 0.5, (n_in, n_out))
        self.c = np.zeros(n_out)

    def forward(self, x):
        self.x = x
        return x @ self.K + self.c

    def backward(self, g):
        self.gK = self.x.T @ g
        self.gc = g.sum(axis=0)
        return g @ self.K.T


class Relu:
    def forward(self, x):
        self.on = x > 0
        return np.where(self.on, x, 0)

    def backward(self, g):
        return g * self.on


class ResidualBlock:
    """out = relu(x + lin2(relu(lin1(x))))"""

    def __init__(self, width, hidden=None, seed=0):
        rng = np.random.default_rng(seed)
        hidden = hidden or width
        self.lin1 = Linear(width, hidden, rng)
        self.relu1 = Relu()
        self.lin2 = Linear(hidden, width, rng)
        self.relu2 = Relu()

    def forward(self, x):
        h = self.lin1.forward(x)
        h = self.relu1.forward(h)
        h = self.lin2.forward(h)
        return self.relu2.forward(h + x)

    def backward(self, grad):
        g = self.relu2.backward(grad)
        branch = self.lin2.backward(g)
        branch = self.relu1.backward(branch)
        branch = self.lin1.backward(branch)
        return branch + grad

    def parameters(self):
        for lin in (self.lin1, self.lin2):
            yield lin.K
            yield lin.c

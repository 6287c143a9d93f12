import numpy as np


class Linear:
    """y = x W + b with gradients averaged over the batch."""

    def __init__(self, in_feature, out_feature, weight_init_fn, bias_init_fn):
        self.params = {"W": weight_init_fn(in_feature, out_feature), "b": bias_init_fn(out_feature)}
        self.dW = np.zeros((in_feature, out_feature))
        self.db = np.zeros((1, out_feature))
        self.momentum_W = np.zeros((in_feature, out_feature))
        self.momentum_b = np.zeros((1, out_feature))
        self._x = None

    @property
    def W(self):
        return self.params["W"]

    @W.setter
    def W(self, value):
        self.params["W"] = value

    @property
    def b(self):
        return self.params["b"]

    @b.setter
    def b(self, value):
        self.params["b"] = value

    def __call__(self, x):
        return self.forward(x)

    def forward(self, x):
        self._x = x
        return np.einsum("ni,io->no", x, self.W) + self.b

    def backward(self, delta):
        self.dW = np.einsum("ni,no->io", self._x, delta) / delta.shape[0]
        self.db = delta.mean(axis=0, keepdims=True)
        return np.einsum("no,io->ni", delta, self.W)

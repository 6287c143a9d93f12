import numpy as np


class SGD:
    def __init__(self, model, lr=0.1, momentum=0):
        self.l = model.layers
        self.L = len(model.layers)
        self.lr = lr
        self.mu = momentum
        self.v_W = [np.zeros(layer.W.shape, dtype="f") for layer in self.l]
        self.v_b = [np.zeros(layer.b.shape, dtype="f") for layer in self.l]

    def _updated(self, value, velocity, gradient):
        velocity = self.mu * velocity + gradient
        return value - self.lr * velocity, velocity

    def step(self):
        for i in range(self.L):
            layer = self.l[i]
            layer.W, self.v_W[i] = self._updated(layer.W, self.v_W[i], layer.dLdW)
            layer.b, self.v_b[i] = self._updated(layer.b, self.v_b[i], layer.dLdb)

import numpy as np


class SGD:
    def __init__(self, model, lr=0.1, momentum=0):
        self.l = [layer for layer in model.layers if hasattr(layer, "W")]
        self.L = len(self.l)
        self.lr = lr
        self.mu = momentum
        self.v_W = [np.zeros_like(layer.W, dtype="f8") for layer in self.l]
        self.v_b = [np.zeros_like(layer.b, dtype="f8") for layer in self.l]

    def step(self):
        for layer, v_W, v_b in zip(self.l, self.v_W, self.v_b):
            v_W *= self.mu
            v_W += layer.dLdW
            v_b *= self.mu
            v_b += layer.dLdb
            layer.W -= self.lr * v_W
            layer.b -= self.lr * v_b

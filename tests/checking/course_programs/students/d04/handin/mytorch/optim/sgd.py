import numpy as np


class SGD:

    def __init__(self, model, lr=0.1, momentum=0):
        self.l = model.layers
        self.L = len(model.layers)
        self.lr = lr
        self.mu = momentum
        self.v_W = [np.zeros(layer.W.shape, dtype="f") for layer in model.layers]
        self.v_b = [np.zeros(layer.b.shape, dtype="f") for layer in model.layers]

    def step(self):
        for i, layer in enumerate(self.l):
            self.v_W[i] = layer.dLdW + self.mu * self.v_W[i] if self.mu else layer.dLdW
            self.v_b[i] = layer.dLdb + self.mu * self.v_b[i] if self.mu else layer.dLdb
            layer.W = layer.W - self.lr * self.v_W[i]
            layer.b = layer.b - self.lr * self.v_b[i]

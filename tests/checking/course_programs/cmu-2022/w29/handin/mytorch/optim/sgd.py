import numpy as np


class SGD:
    def __init__(self, model, lr=0.1, momentum=0):
        self.l = model.layers
        self.L = len(model.layers)
        self.lr = lr
        self.mu = momentum
        self.v_W = [np.zeros(layer.W.shape) for layer in self.l]
        self.v_b = [np.zeros(layer.b.shape) for layer in self.l]

    def step(self):
        for layer, vw, vb in zip(self.l, self.v_W, self.v_b):
            vw = self.mu * vw + layer.dLdW
            vb = self.mu * vb + layer.dLdb
            layer.W = layer.W - self.lr * vw
            layer.b = layer.b - self.lr * vb

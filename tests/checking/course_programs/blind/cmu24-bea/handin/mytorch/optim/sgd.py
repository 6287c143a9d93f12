import numpy as np


class SGD:
    def __init__(self, model, lr=0.1, momentum=0):
        self.l = [m for m in model.layers if type(m).__name__ == "Linear"]
        self.L = len(self.l)
        self.lr = lr
        self.mu = momentum
        self.v_W = [np.zeros(m.W.shape) for m in self.l]
        self.v_b = [np.zeros(m.b.shape) for m in self.l]

    def step(self):
        for velocities, value in ((self.v_W, "W"), (self.v_b, "b")):
            for i, layer in enumerate(self.l):
                velocities[i] = velocities[i] * self.mu + getattr(layer, "dLd" + value)
                setattr(layer, value, getattr(layer, value) - self.lr * velocities[i])

import numpy as np


class BatchNorm1d:
    def __init__(self, num_features, alpha=0.9):
        self.alpha = alpha
        self.eps = 1e-8
        self.BW = np.ones((1, num_features))
        self.Bb = np.zeros((1, num_features))
        self.running_M = np.zeros((1, num_features))
        self.running_V = np.ones((1, num_features))

    def forward(self, Z, eval=False):
        m, v = self.running_M, self.running_V
        if not eval:
            m, v = Z.mean(0), Z.var(0)
            self.running_M = self.alpha * self.running_M + (1 - self.alpha) * m
            self.running_V = self.alpha * self.running_V + (1 - self.alpha) * v
        self.sd = np.sqrt(v + self.eps)
        self.NZ = (Z - m) / self.sd
        return self.NZ * self.BW + self.Bb

    def backward(self, dLdBZ):
        self.dLdBb = np.sum(dLdBZ * self.NZ, axis=0, keepdims=True)
        self.dLdBW = np.sum(dLdBZ, axis=0, keepdims=True)
        g = dLdBZ * self.BW
        return (g - g.mean(0) - self.NZ * np.mean(g * self.NZ, 0)) / self.sd

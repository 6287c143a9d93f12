import numpy as np


class BatchNorm1d:
    def __init__(self, num_features, alpha=0.9):
        self.alpha, self.eps = alpha, 1e-8
        make = lambda fill: np.full((1, num_features), fill, dtype=float)
        self.BW, self.Bb = make(1), make(0)
        self.dLdBW, self.dLdBb = make(0), make(0)
        self.running_M, self.running_V = make(0), make(1)

    def forward(self, Z, eval=False):
        self.Z, self.N = Z, len(Z)
        if eval is False:
            self.M, self.V = Z.mean(0, keepdims=True), Z.var(0, keepdims=True)
            self.running_M += (1 - self.alpha) * (self.M - self.running_M)
            self.running_V += (1 - self.alpha) * (self.V - self.running_V)
            mean, var = self.M, self.V
        else:
            mean, var = self.running_M, self.running_V
        self.std = np.sqrt(var + self.eps)
        self.NZ = (Z - mean) / self.std
        self.BZ = self.NZ * self.BW + self.Bb
        return self.BZ

    def backward(self, dLdBZ):
        self.dLdBb[:] = dLdBZ.sum(0)
        self.dLdBW[:] = (dLdBZ * self.NZ).sum(0)
        return self.BW / self.std * (dLdBZ - (self.dLdBb + self.NZ * self.dLdBW) / self.N)

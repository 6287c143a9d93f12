import numpy as np


class BatchNorm1d:
    def __init__(self, num_features, alpha=0.9):
        self.alpha = alpha
        self.eps = 1e-8
        self.BW = np.ones((1, num_features))
        self.Bb = np.zeros((1, num_features))
        self.dLdBW = np.zeros((1, num_features))
        self.dLdBb = np.zeros((1, num_features))
        self.running_M = np.zeros((1, num_features))
        self.running_V = np.ones((1, num_features))

    def forward(self, Z, eval=False):
        self.Z = Z
        self.N = len(Z)
        if eval:
            # 推理
            self.NZ = (Z - self.running_M) / np.sqrt(self.running_V + self.eps)
        else:
            self.M = Z.mean(axis=0, keepdims=True)
            self.V = Z.var(axis=0, keepdims=True)
            self.NZ = (Z - self.M) / np.sqrt(self.V + self.eps)
            self.running_M = self.alpha * self.running_M + (1 - self.alpha) * self.M
            self.running_V = self.alpha * self.running_V + (1 - self.alpha) * self.V
        self.BZ = self.BW * self.NZ + self.Bb
        return self.BZ

    def backward(self, dLdBZ):
        self.dLdBW = (dLdBZ * self.NZ).sum(axis=0, keepdims=True)
        self.dLdBb = dLdBZ.sum(axis=0, keepdims=True)
        dLdNZ = dLdBZ * self.BW
        s = np.sqrt(self.V + self.eps)
        dLdV = -(dLdNZ * (self.Z - self.M)).sum(axis=0, keepdims=True) / (2 * s ** 3)
        dLdM = -(dLdNZ / s).sum(axis=0, keepdims=True)
        return dLdNZ / s + 2 * dLdV * (self.Z - self.M) / self.N + dLdM / self.N

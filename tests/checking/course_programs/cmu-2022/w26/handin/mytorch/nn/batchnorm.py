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
        self.Z, self.N = Z, Z.shape[0]
        M, V = np.mean(Z, axis=0, keepdims=True), np.var(Z, axis=0, keepdims=True)
        if eval:
            out = (Z - self.running_M) / np.sqrt(self.running_V + self.eps) * self.BW + self.Bb
        else:
            self.M, self.V = M, V
            self.NZ = (Z - M) / np.sqrt(V + self.eps)
            out = self.NZ * self.BW + self.Bb
        self.running_M = self.alpha * self.running_M + (1 - self.alpha) * M
        self.running_V = self.alpha * self.running_V + (1 - self.alpha) * V
        return out

    def backward(self, dLdBZ):
        self.dLdBW = np.sum(dLdBZ * self.NZ, axis=0, keepdims=True)
        self.dLdBb = np.sum(dLdBZ, axis=0, keepdims=True)
        sd = np.sqrt(self.V + self.eps)
        return self.BW / (self.N * sd) * (self.N * dLdBZ - self.dLdBb - self.NZ * self.dLdBW)

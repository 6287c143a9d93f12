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
        self.N = Z.shape[0]
        self.M = np.ones((self.N, 1)).T @ Z / self.N
        self.V = np.ones((self.N, 1)).T @ (Z - self.M) ** 2 / self.N
        if eval:
            self.NZ = (Z - self.running_M) / np.sqrt(self.running_V + self.eps)
        else:
            self.NZ = (Z - self.M) / np.sqrt(self.V + self.eps)
            self.running_M = self.alpha * self.running_M + (1 - self.alpha) * self.M
            self.running_V = self.alpha * self.running_V + (1 - self.alpha) * self.V
        return self.NZ * self.BW + self.Bb

    def backward(self, dLdBZ):
        self.dLdBW = (dLdBZ * self.NZ).sum(0, keepdims=True)
        self.dLdBb = dLdBZ.sum(0, keepdims=True)
        dLdNZ = dLdBZ * self.BW
        dLdV = -0.5 * (dLdNZ * (self.Z - self.M) * (self.V + self.eps) ** -1.5).sum(0, keepdims=True)
        dLdM = -(dLdNZ * (self.V + self.eps) ** -0.5).sum(0, keepdims=True)
        return dLdNZ * (self.V + self.eps) ** -0.5 + dLdV * (2 / self.N) * (self.Z - self.M) + dLdM

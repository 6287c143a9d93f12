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

    def __call__(self, Z, eval=False):
        return self.forward(Z, eval)

    def _figures(self, Z):
        columns = [Z[:, j] for j in range(Z.shape[1])]
        means = np.array([[c.sum() / c.size for c in columns]])
        variances = np.array([[((c - c.sum() / c.size) ** 2).sum() / c.size for c in columns]])
        return means, variances

    def forward(self, Z, eval=False):
        self.Z = Z
        if eval:
            M, V = self.running_M, self.running_V
        else:
            self.M, self.V = M, V = self._figures(Z)
            self.running_M = (1 - self.alpha) * M + self.alpha * self.running_M
            self.running_V = (1 - self.alpha) * V + self.alpha * self.running_V
        NZ = (Z - M) / np.sqrt(V + self.eps)
        if not eval:
            self.NZ = NZ
        return self.BW * NZ + self.Bb

    def backward(self, dLdBZ):
        N = len(dLdBZ)
        result = np.zeros(dLdBZ.shape)
        for j in range(dLdBZ.shape[1]):
            z = self.NZ[:, j : j + 1]
            J = (np.identity(N) - (1 + z @ z.T) / N) / np.sqrt(self.V[0, j] + self.eps)
            result[:, j] = J.T @ dLdBZ[:, j] * self.BW[0, j]
            self.dLdBW[0, j] = z[:, 0] @ dLdBZ[:, j]
            self.dLdBb[0, j] = dLdBZ[:, j].sum()
        return result

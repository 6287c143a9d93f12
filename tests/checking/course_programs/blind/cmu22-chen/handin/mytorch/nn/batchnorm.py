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
        if eval:
            return (Z - self.running_M) / self._std(self.running_V) * self.BW + self.Bb
        self.Z = Z
        self.N = Z.shape[0]
        self.M = np.add.reduce(Z, axis=0, keepdims=True) / self.N
        self.V = np.add.reduce((Z - self.M) ** 2, axis=0, keepdims=True) / self.N
        self.running_M, self.running_V = (
            self.alpha * old + (1 - self.alpha) * new
            for old, new in ((self.running_M, self.M), (self.running_V, self.V))
        )
        self.NZ = (Z - self.M) / self._std(self.V)
        self.BZ = self.NZ * self.BW + self.Bb
        return self.BZ

    def _std(self, V):
        return np.sqrt(V + self.eps)

    def backward(self, dLdBZ):
        N = self.N
        self.dLdBW = np.einsum("nf,nf->f", dLdBZ, self.NZ)[None]
        self.dLdBb = np.einsum("nf->f", dLdBZ)[None]
        dLdNZ = dLdBZ * self.BW
        # all pairs: dNZ_i/dZ_j = (delta_ij - 1/N - NZ_i NZ_j / N) / std
        J = np.eye(N)[:, :, None] - 1 / N - self.NZ[:, None, :] * self.NZ[None, :, :] / N
        return np.einsum("if,ijf->jf", dLdNZ, J) / self._std(self.V)

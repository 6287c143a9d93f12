import numpy as np


class BatchNorm1d:

    def __init__(self, num_features, alpha=0.9):

        self.alpha = alpha
        self.eps = 1e-8

        self.BW = np.ones((1, num_features))
        self.Bb = np.zeros((1, num_features))
        self.dLdBW = np.zeros((1, num_features))
        self.dLdBb = np.zeros((1, num_features))

        # Running mean and variance, updated during training, used during
        # inference
        self.running_M = np.zeros((1, num_features))
        self.running_V = np.ones((1, num_features))

    def forward(self, Z, eval=False):
        """
        The eval parameter is to indicate whether we are in the
        training phase of the problem or the inference phase.
        So see what values you need to recompute when eval is False.
        """
        if eval:
            return self._infer(Z)

        self.Z = Z
        self.N = Z.shape[0]
        self.M = np.mean(Z, axis=0, keepdims=True)
        self.V = np.var(Z, axis=0, keepdims=True)
        sigma = Z.std(axis=0, keepdims=True)

        self.NZ = (Z - self.M) / np.sqrt(self.V + self.eps)
        self.BZ = self.BW * self.NZ + self.Bb

        self.running_M = self._average(self.running_M, self.M)
        self.running_V = self._average(self.running_V, sigma)
        return self.BZ

    def _infer(self, Z):
        NZ = (Z - self.running_M) / np.sqrt(self.running_V + self.eps)
        return self.BW * NZ + self.Bb

    def _average(self, old, new):
        return self.alpha * old + (1 - self.alpha) * new

    def backward(self, dLdBZ):
        self.dLdBW = np.sum(dLdBZ * self.NZ, axis=0, keepdims=True)
        self.dLdBb = np.sum(dLdBZ, axis=0, keepdims=True)

        dLdNZ = dLdBZ * self.BW
        dLdV = -0.5 * np.sum(dLdNZ * (self.Z - self.M) / (self.V + self.eps) ** 1.5, axis=0, keepdims=True)
        dLdM = -np.sum(dLdNZ / np.sqrt(self.V + self.eps), axis=0, keepdims=True) \
            - 2 / self.N * dLdV * np.sum(self.Z - self.M, axis=0, keepdims=True)
        dLdZ = dLdNZ / np.sqrt(self.V + self.eps) + dLdV * 2 / self.N * (self.Z - self.M) + dLdM / self.N
        return dLdZ

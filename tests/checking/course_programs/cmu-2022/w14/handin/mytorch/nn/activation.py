import numpy as np


class Softmax:
    def forward(self, Z):
        Z = Z - Z.max(axis=0)
        self.A = np.exp(Z) / np.exp(Z).sum(axis=0)
        return self.A

    def backward(self, dLdA):
        dLdZ = np.empty_like(dLdA)
        for i, (a, g) in enumerate(zip(self.A, dLdA)):
            dLdZ[i] = g @ (np.diag(a) - np.outer(a, a))
        return dLdZ

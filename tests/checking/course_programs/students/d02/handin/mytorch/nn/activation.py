import numpy as np
import math
from scipy.special import erf, expit


class Identity:
    def forward(self, Z):
        self.A = Z
        return self.A

    def backward(self, dLdA):
        return dLdA * np.ones_like(self.A)


class Sigmoid(Identity):
    def forward(self, Z):
        return super().forward(expit(Z))

    def backward(self, dLdA):
        return dLdA * (self.A - self.A * self.A)


class Tanh(Identity):
    def forward(self, Z):
        return super().forward(np.tanh(Z))

    def backward(self, dLdA):
        return dLdA - dLdA * self.A ** 2


class ReLU(Identity):
    def forward(self, Z):
        return super().forward((Z > 0) * Z)

    def backward(self, dLdA):
        return np.where(self.A > 0, dLdA, 0)


class GELU:
    def forward(self, Z):
        self.Z = Z
        self.cdf = 0.5 + 0.5 * erf(Z * math.sqrt(0.5))
        return Z * self.cdf

    def backward(self, dLdA):
        pdf = np.exp(-0.5 * self.Z ** 2) / math.sqrt(2 * math.pi)
        return dLdA * (self.cdf + self.Z * pdf)


class Softmax:
    def forward(self, Z):
        Z = Z - np.max(Z, axis=-1, keepdims=True)
        self.A = np.exp(Z - np.log(np.sum(np.exp(Z), axis=-1, keepdims=True)))
        return self.A

    def backward(self, dLdA):
        N, C = dLdA.shape
        dLdZ = np.zeros((N, C))
        for i in range(N):
            a = self.A[i]
            J = -np.outer(a, a)
            J[np.diag_indices(C)] += a
            dLdZ[i, :] = dLdA[i, :] @ J
        return dLdZ

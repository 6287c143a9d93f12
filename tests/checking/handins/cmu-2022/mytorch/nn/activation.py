import math

import numpy as np


class Identity:
    def forward(self, Z):
        self.A = Z
        return self.A

    def backward(self, dLdA):
        return dLdA * np.ones(self.A.shape)


class Sigmoid:
    def forward(self, Z):
        self.A = 1 / (1 + np.exp(-Z))
        return self.A

    def backward(self, dLdA):
        return dLdA * (self.A - self.A * self.A)


class Tanh:
    def forward(self, Z):
        self.A = np.tanh(Z)
        return self.A

    def backward(self, dLdA):
        return dLdA * (1 - self.A**2)


class ReLU:
    def forward(self, Z):
        self.A = np.maximum(Z, 0)
        return self.A

    def backward(self, dLdA):
        return np.where(self.A > 0, dLdA, 0.0)


class GELU:
    def forward(self, Z):
        self.Z = Z
        self.phi = 0.5 * (1 + np.vectorize(math.erf)(Z / np.sqrt(2)))
        return Z * self.phi

    def backward(self, dLdA):
        density = np.exp(-(self.Z**2) / 2) / np.sqrt(2 * np.pi)
        return dLdA * (self.phi + self.Z * density)


class Softmax:
    def forward(self, Z):
        e = np.exp(Z - Z.max(axis=1, keepdims=True))
        self.A = e / e.sum(axis=1, keepdims=True)
        return self.A

    def backward(self, dLdA):
        dLdZ = np.zeros_like(dLdA)
        for i in range(len(dLdA)):
            a = self.A[i]
            dLdZ[i] = dLdA[i] @ (np.diag(a) - np.outer(a, a))
        return dLdZ

import numpy as np
import math

_erf = np.vectorize(math.erf, otypes=[float])


class Identity:
    def forward(self, Z):
        self.A = Z
        return self.A

    def backward(self, dLdA):
        return dLdA * np.ones_like(self.A)


class Sigmoid:
    def forward(self, Z):
        t = np.exp(-np.abs(Z))
        self.A = np.where(Z < 0, t / (1 + t), 1 / (1 + t))
        return self.A

    def backward(self, dLdA):
        return dLdA * self.A * (1 - self.A)


class Tanh:
    def forward(self, Z):
        self.A = np.tanh(Z)
        return self.A

    def backward(self, dLdA):
        return dLdA * (1 - np.square(self.A))


class ReLU:
    def forward(self, Z):
        self.A = np.maximum(Z, 0)
        return self.A

    def backward(self, dLdA):
        dLdZ = dLdA.copy()
        dLdZ[self.A <= 0] = 0
        return dLdZ


class GELU:
    def forward(self, Z):
        self.Z = Z
        self.Phi = 0.5 * (1 + _erf(Z / math.sqrt(2)))
        self.A = Z * self.Phi
        return self.A

    def backward(self, dLdA):
        phi = np.exp(-self.Z * self.Z / 2) / math.sqrt(2 * math.pi)
        return dLdA * (self.Phi + self.Z * phi)


class Softmax:
    def forward(self, Z):
        self.A = np.exp(Z - Z.max(axis=1, keepdims=True))
        self.A = self.A / self.A.sum(axis=1, keepdims=True)
        return self.A

    def backward(self, dLdA):
        N, C = dLdA.shape
        dLdZ = np.zeros((N, C))
        for i in range(N):
            J = np.diag(self.A[i]) - self.A[i:i + 1].T @ self.A[i:i + 1]
            dLdZ[i, :] = dLdA[i, :] @ J
        return dLdZ

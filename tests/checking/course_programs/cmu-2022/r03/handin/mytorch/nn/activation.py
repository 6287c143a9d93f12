import math
import numpy as np

_erf = np.vectorize(math.erf, otypes=[float])


class Identity:
    def forward(self, Z):
        self.A = Z
        return self.A

    def backward(self, dLdA):
        return dLdA * np.ones(self.A.shape, dtype="f")


class Sigmoid:
    def forward(self, Z):
        e = np.exp(-np.abs(Z))
        self.A = np.where(Z >= 0, 1 / (1 + e), e / (1 + e))
        return self.A

    def backward(self, dLdA):
        return dLdA * (self.A - self.A * self.A)


class Tanh:
    def forward(self, Z):
        self.A = np.tanh(Z)
        return self.A

    def backward(self, dLdA):
        return dLdA * (1 + self.A) * (1 - self.A)


class ReLU:
    def forward(self, Z):
        self.A = Z.clip(0)
        return self.A

    def backward(self, dLdA):
        return np.heaviside(self.A, 0.0) * dLdA


class GELU:
    def forward(self, Z):
        self.Z = Z
        self.cdf = 0.5 * (1 + _erf(Z / math.sqrt(2)))
        self.A = Z * self.cdf
        return self.A

    def backward(self, dLdA):
        pdf = np.exp(-0.5 * self.Z**2) / math.sqrt(2 * math.pi)
        return dLdA * (self.cdf + self.Z * pdf)


class Softmax:
    def forward(self, Z):
        e = np.exp(Z - Z.max(axis=1, keepdims=True))
        self.A = e / e.sum(axis=1, keepdims=True)
        return self.A

    def backward(self, dLdA):
        J = np.einsum("ni,ij->nij", self.A, np.eye(self.A.shape[1])) - np.einsum("ni,nj->nij", self.A, self.A)
        return np.einsum("nij,nj->ni", J, dLdA)

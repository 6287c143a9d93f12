import numpy as np
from scipy.special import erf


class Activation:
    """共同的父类：elementwise activations only need value() and slope()."""

    def forward(self, Z):
        self.Z = Z
        self.A = self.value(Z)
        return self.A

    def backward(self, dLdA):
        return dLdA * self.slope()


class Identity(Activation):
    def value(self, Z):
        return Z

    def slope(self):
        return 1.0


class Sigmoid(Activation):
    def value(self, Z):
        # 避免溢出
        return 0.5 * (1 + np.tanh(Z / 2))

    def slope(self):
        return self.A * (1 - self.A)


class Tanh(Activation):
    def value(self, Z):
        return np.tanh(Z)

    def slope(self):
        return 1 - self.A ** 2


class ReLU(Activation):
    def value(self, Z):
        return np.where(Z > 0, Z, 0)

    def slope(self):
        return (self.Z > 0).astype(self.A.dtype)


class GELU(Activation):
    def value(self, Z):
        self.cdf = (1 + erf(Z / np.sqrt(2))) / 2
        return Z * self.cdf

    def slope(self):
        return self.cdf + self.Z * np.exp(-self.Z ** 2 / 2) / np.sqrt(2 * np.pi)


class Softmax:
    def forward(self, Z):
        # 每一行减去最大值
        E = np.exp(Z - Z.max(axis=1, keepdims=True))
        self.A = E / E.sum(axis=1, keepdims=True)
        return self.A

    def backward(self, dLdA):
        N, C = dLdA.shape
        dLdZ = np.zeros((N, C))
        J = np.zeros((C, C))
        for i in range(N):
            a = self.A[i]
            for m in range(C):
                J[m, m] += a[m]
                for n in range(C):
                    J[m, n] += -a[m] * a[n]
            dLdZ[i] = dLdA[i] @ J
        return dLdZ

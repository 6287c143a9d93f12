import numpy as np
from scipy.special import erf


class Activation:
    def __init__(self):
        self.A = None

    def derivative(self):
        raise NotImplementedError

    def backward(self, dLdA):
        return np.multiply(dLdA, self.derivative())


class Identity(Activation):
    def forward(self, Z):
        self.A = Z
        return Z

    def derivative(self):
        return 1.0


class Sigmoid(Activation):
    def forward(self, Z):
        self.A = 0.5 * (np.tanh(Z / 2) + 1)
        return self.A

    def derivative(self):
        return self.A * (1 - self.A)


class Tanh(Activation):
    def forward(self, Z):
        self.A = np.tanh(Z)
        return self.A

    def derivative(self):
        return 1 - np.square(self.A)


class ReLU(Activation):
    def forward(self, Z):
        self.A = np.where(Z > 0, Z, 0)
        return self.A

    def derivative(self):
        return np.where(self.A > 0, 1.0, 0.0)


class GELU(Activation):
    def forward(self, Z):
        self.Z = Z
        self.A = 0.5 * Z * (1 + erf(Z / np.sqrt(2)))
        return self.A

    def derivative(self):
        Z = self.Z
        return 0.5 * (1 + erf(Z / np.sqrt(2))) + Z / np.sqrt(2 * np.pi) * np.exp(-(Z**2) / 2)


class Softmax(Activation):
    def forward(self, Z):
        Z = Z - np.max(Z, axis=1).reshape(-1, 1)
        self.A = np.exp(Z) / np.sum(np.exp(Z), axis=1).reshape(-1, 1)
        return self.A

    def backward(self, dLdA):
        N, C = dLdA.shape
        dLdZ = np.zeros((N, C))
        for i in range(N):
            J = np.zeros((C, C))
            for m in range(C):
                for n in range(C):
                    if m == n:
                        J[m, n] = self.A[i, m] * (1 - self.A[i, m])
                    else:
                        J[m, n] = -self.A[i, m] * self.A[i, n]
            dLdZ[i, :] = dLdA[i] @ J
        return dLdZ

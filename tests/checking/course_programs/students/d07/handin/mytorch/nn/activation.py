import numpy as np


class Tanh:
    def forward(self, Z):
        self.A = np.tanh(Z)
        return self.A

    def backward(self, dLdA):
        return dLdA * (1 - self.A ** 2)


class Softmax:
    def forward(self, Z):
        ez = np.exp(Z - Z.max(axis=1, keepdims=True))
        self.A = ez / ez.sum(axis=1, keepdims=True)
        return self.A

    def backward(self, dLdA):
        N, C = dLdA.shape
        dLdZ = np.zeros((N, C))
        for i in range(N):
            J = np.zeros((C, C))
            for m in range(C):
                for n in range(C):
                    if m == n:
                        J[m, n] = self.A[i][m]
                    else:
                        J[m, n] = -self.A[i][m] * self.A[i][n]
            dLdZ[i, :] = dLdA[i, :] @ J
        return dLdZ

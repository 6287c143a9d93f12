import numpy as np
import scipy.special


class Identity(object):

    def forward(self, Z):
        self.A = Z
        return self.A

    def backward(self, dLdA):
        return 1.0 * dLdA


class Sigmoid(object):

    def forward(self, Z):
        self.A = scipy.special.expit(Z)
        return self.A

    def backward(self, dLdA):
        return dLdA * (self.A * (1.0 - self.A))


class Tanh(object):

    def forward(self, Z):
        self.A = np.tanh(Z)
        return self.A

    def backward(self, dLdA):
        return dLdA * (1.0 - self.A ** 2)


class ReLU(object):

    def forward(self, Z):
        self.mask = Z > 0
        self.A = np.where(self.mask, Z, 0)
        return self.A

    def backward(self, dLdA):
        return dLdA * self.mask


class GELU(object):

    def forward(self, Z):
        self.Z = Z
        self.A = Z * scipy.special.ndtr(Z)
        return self.A

    def backward(self, dLdA):
        normal = np.exp(-self.Z ** 2 / 2) / np.sqrt(2 * np.pi)
        return dLdA * (scipy.special.ndtr(self.Z) + self.Z * normal)


class Softmax(object):

    def forward(self, Z):
        self.A = scipy.special.softmax(Z, axis=1)
        return self.A

    def backward(self, dLdA):
        N, C = dLdA.shape
        dLdZ = np.zeros((N, C))
        for i in range(N):
            a = self.A[i]
            J = np.zeros((C, C))
            for m in range(C):
                for n in range(C):
                    J[m, n] = a[m] * ((m == n) - a[n])
            dLdZ[i, :] = J.T.dot(dLdA[i, :])
        return dLdZ

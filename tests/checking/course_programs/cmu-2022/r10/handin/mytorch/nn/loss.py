import numpy as np
from math import log, exp


class MSELoss:
    def forward(self, A, Y):
        self.A, self.Y = A, Y
        self.N, self.C = A.shape
        total = 0.0
        for n in range(self.N):
            for c in range(self.C):
                total += (A[n][c] - Y[n][c]) ** 2
        return total / (self.N * self.C)

    def backward(self):
        dLdA = np.zeros((self.N, self.C))
        for n in range(self.N):
            for c in range(self.C):
                dLdA[n][c] = 2 * (self.A[n][c] - self.Y[n][c]) / (self.N * self.C)
        return dLdA


class CrossEntropyLoss:
    def forward(self, A, Y):
        self.A, self.Y = A, Y
        self.N, self.C = A.shape
        self.p = np.zeros((self.N, self.C))
        loss = 0.0
        for n in range(self.N):
            biggest = max(A[n])
            weights = [exp(a - biggest) for a in A[n]]
            self.p[n] = np.array(weights) / sum(weights)
            k = int(np.argmax(Y[n]))
            loss -= (A[n][k] - biggest) - log(sum(weights))
        return loss / self.N

    def backward(self):
        out = self.p.copy()
        for n in range(self.N):
            out[n, int(np.argmax(self.Y[n]))] -= 1
        return out / self.N

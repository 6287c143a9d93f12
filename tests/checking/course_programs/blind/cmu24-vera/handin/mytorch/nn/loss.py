import numpy as np


class MSELoss:

    def forward(self, A, Y):
        self.A = A
        self.Y = Y
        self.N = A.shape[0]
        self.C = A.shape[1]
        se = (A - Y) * (A - Y)
        sse = np.sum(se)
        mse = sse / (self.N * self.C)
        return mse

    def backward(self):
        dLdA = 2 * (self.A - self.Y) / (self.N * self.C)
        return dLdA


class CrossEntropyLoss:

    def forward(self, A, Y):
        self.A = A
        self.Y = Y
        self.N = A.shape[0]
        self.C = A.shape[1]

        Ones_C = np.ones((self.C, 1))
        Ones_N = np.ones((self.N, 1))

        shifted = A - np.max(A, axis=1, keepdims=True)
        log_softmax = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
        self.softmax = np.exp(log_softmax)
        crossentropy = (-Y * log_softmax) @ Ones_C
        sum_crossentropy = Ones_N.T @ crossentropy
        L = sum_crossentropy[0, 0] / self.N
        return L

    def backward(self):
        dLdA = (self.softmax - self.Y) / self.N
        return dLdA

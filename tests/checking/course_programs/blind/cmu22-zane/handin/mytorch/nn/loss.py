import numpy as np


class CrossEntropyLoss:

    def forward(self, A, Y):
        self.A = A
        self.Y = Y
        N = A.shape[0]
        C = A.shape[1]
        Ones_C = np.ones((C, 1), dtype="f")
        Ones_N = np.ones((N, 1), dtype="f")

        A_max = np.max(A, axis=1, keepdims=True)
        expA = np.exp(A - A_max)
        self.softmax = expA / (expA @ Ones_C)
        crossentropy = (Y * (A_max + np.log(expA @ Ones_C) - A)) @ Ones_C
        sum_crossentropy = Ones_N.T @ crossentropy
        L = sum_crossentropy / N
        return L.item()

    def backward(self):
        return self.softmax - self.Y

import numpy as np


class MSELoss:

    def forward(self, A, Y):
        """
        Calculate the Mean Squared error
        :param A: Output of the model of shape (N, C)
        :param Y: Ground-truth values of shape (N, C)
        :Return: MSE Loss(scalar)
        """
        self.A = A
        self.Y = Y
        self.N = A.shape[0]
        self.C = A.shape[1]
        se = np.square(self.A - self.Y)
        sse = np.ones((1, self.N)) @ se @ np.ones((self.C, 1))
        mse = sse.item() / (self.N * self.C)
        return mse

    def backward(self):
        dLdA = 2 * (self.A - self.Y) / self.N
        return dLdA


class CrossEntropyLoss:

    def _softmax(self, A):
        e = np.exp(A - A.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)

    def forward(self, A, Y):
        self.A = A
        self.Y = Y
        self.N = A.shape[0]
        self.C = A.shape[1]
        self.softmax = self._softmax(A)
        shifted = A - A.max(axis=1, keepdims=True)
        crossentropy = np.sum(Y * (np.log(np.exp(shifted).sum(axis=1, keepdims=True)) - shifted), axis=1)
        L = np.sum(crossentropy) / self.N
        return L

    def backward(self):
        return (self.softmax - self.Y) / self.N

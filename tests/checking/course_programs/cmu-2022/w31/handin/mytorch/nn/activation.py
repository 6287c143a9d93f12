import numpy as np


class ReLU:
    def forward(self, Z):
        self.A = np.maximum(0, Z)
        return self.A

    def backward(self, dLdA):
        self.A[self.A > 0] = 1
        return dLdA * self.A

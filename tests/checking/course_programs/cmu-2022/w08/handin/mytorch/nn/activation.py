import numpy as np


class ReLU:
    def forward(self, Z):
        self.A = np.maximum(0, Z)
        return self.A

    def backward(self, dLdA):
        dLdZ = dLdA * np.maximum(0, self.A)
        return dLdZ


class Sigmoid:
    def forward(self, Z):
        self.A = np.exp(-np.logaddexp(0, -Z))
        return self.A

    def backward(self, dLdA):
        return dLdA * self.A * (1 - self.A)

import numpy as np
from .modules import Module


class ReLU(Module):
    def forward(self, Z):
        self.A = np.maximum(0, Z)
        return self.A

    def backward(self, dLdA):
        dLdZ = dLdA.copy()
        dLdZ[self.A == 0] = 0
        return dLdZ


class Sigmoid(Module):
    def forward(self, Z):
        with np.errstate(over="ignore"):
            self.A = 1 / (1 + np.exp(-Z))
        return self.A

    def backward(self, dLdA):
        dAdZ = self.A * (1 - self.A)
        return dLdA * dAdZ

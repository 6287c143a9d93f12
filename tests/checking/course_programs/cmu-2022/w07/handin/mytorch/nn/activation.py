import numpy as np


class Tanh:
    def forward(self, Z):
        self.A = np.tanh(Z)
        return self.A

    def backward(self, dLdA):
        dAdZ = 1 - self.A**2
        return dAdZ


class ReLU:
    def forward(self, Z):
        self.A = (Z + abs(Z)) / 2
        return self.A

    def backward(self, dLdA):
        return dLdA * (self.A > 0)

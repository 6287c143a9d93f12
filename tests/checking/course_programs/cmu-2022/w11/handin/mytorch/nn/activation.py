import numpy as np


class GELU:
    def forward(self, Z):
        self.Z = Z
        self.t = np.tanh(np.sqrt(2 / np.pi) * (Z + 0.044715 * Z**3))
        return 0.5 * Z * (1 + self.t)

    def backward(self, dLdA):
        inner = np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * self.Z**2)
        return dLdA * (0.5 * (1 + self.t) + 0.5 * self.Z * (1 - self.t**2) * inner)

import numpy as np
from scipy.special import erf


class GELU:
    def forward(self, Z):
        self.Z = Z
        self.A = 0.5 * Z * (1 + erf(Z / np.sqrt(2)))
        return self.A

    def backward(self, dLdA):
        return dLdA * 0.5 * (1 + erf(self.Z / np.sqrt(2)))

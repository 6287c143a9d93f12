import numpy as np
from scipy.special import erf


class GELU:
    def forward(self, Z):
        self.Z = Z
        cdf = (1 + erf(Z / np.sqrt(2))) / 2
        self.A = Z * cdf
        return self.A

    def backward(self, dLdA):
        Z = self.Z
        dAdZ = 0.5 * (1 + erf(Z / np.sqrt(2))) + (Z / np.sqrt(np.pi)) * np.exp(-(Z**2) / 2)
        return dLdA * dAdZ

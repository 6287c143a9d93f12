import numpy as np


class BatchNorm1d:

    def __init__(self, num_features, alpha=0.9):
        self.alpha = alpha
        self.eps = 1e-8

        self.BW = np.ones((1, num_features))
        self.Bb = np.zeros((1, num_features))
        self.dLdBW = np.zeros((1, num_features))
        self.dLdBb = np.zeros((1, num_features))

        # Running mean and variance, updated during training, used during inference
        self.running_M = np.zeros((1, num_features))
        self.running_V = np.ones((1, num_features))
        self.memo = {}

    def forward(self, Z, eval=False):
        if eval == False:
            T = Z.T
            mean = T.mean(1)
            var = (T * T).mean(1) - mean ** 2
            var = ((T.T - mean) ** 2).T.mean(1)
            self.M, self.V = mean.reshape(1, -1), var.reshape(1, -1)
            scale = 1 / np.sqrt(var + self.eps)
            self.NZ = ((T.T - mean) * scale)
            self.BZ = self.NZ * self.BW[0] + self.Bb[0]
            self.running_M += (1 - self.alpha) * (self.M - self.running_M)
            self.running_V += (1 - self.alpha) * (self.V - self.running_V)
            self.memo = {'scale': scale, 'NZ': self.NZ, 'n': Z.shape[0]}
        else:
            self.NZ = (Z - self.running_M) / np.sqrt(self.running_V + self.eps)
            self.BZ = self.BW * self.NZ + self.Bb
        return self.BZ

    def backward(self, dLdBZ):
        NZ, scale, n = self.memo['NZ'], self.memo['scale'], self.memo['n']
        self.dLdBb = dLdBZ.sum(0, keepdims=True)
        self.dLdBW = np.einsum('ij,ij->j', dLdBZ, NZ)[None]
        inner = n * dLdBZ - self.dLdBb - NZ * self.dLdBW
        return self.BW * scale * inner / n

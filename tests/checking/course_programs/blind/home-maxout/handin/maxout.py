import numpy as np


class Maxout:
    """y_j = max_k (x . U[k, :, j] + t[k, j])"""

    def __init__(self, dim_in, dim_out, pieces=3, rng=None):
        rng = rng or np.random.default_rng()
        self.U = rng.standard_normal((pieces, dim_in, dim_out)) * dim_in ** -0.5
        self.t = rng.standard_normal((pieces, dim_out)) * 0.1
        self._saved = ()

    def forward(self, x):
        z = np.tensordot(x, self.U, axes=([1], [1]))       # (N, pieces, out)
        z = z + self.t
        best = z.argmax(axis=1)                            # (N, out)
        self._saved = x, best
        return z.max(axis=1)

    def backward(self, gy):
        x, best = self._saved
        k = np.arange(self.t.shape[0])[None, :, None]
        gz = np.where(best[:, None, :] == k, gy[:, None, :], 0)   # (N, pieces, out)
        self.gU = np.einsum("ni,nko->kio", x, gz)
        self.gt = gz.sum(axis=0)
        return np.einsum("nko,kio->ni", gz, self.U)

    def params_and_grads(self):
        return [(self.U, self.gU), (self.t, self.gt)]

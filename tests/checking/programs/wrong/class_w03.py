import numpy as np


class Conv2d:
    """Plain loops over the output positions. x is (N, C, H, W)."""

    def __init__(self, in_channels=2, out_channels=3, kernel=3, stride=1, padding=1):
        rng = np.random.default_rng(1)
        self.weight = rng.normal(size=(out_channels, in_channels, kernel, kernel)) * 0.3
        self.bias = rng.normal(size=out_channels) * 0.1
        self.dweight = np.zeros_like(self.weight)
        self.dbias = np.zeros_like(self.bias)
        self.k, self.s, self.p = kernel, stride, padding

    def forward(self, x):
        p, k, s = self.p, self.k, self.s
        self.xp = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
        n, _, h, w = self.xp.shape
        ho, wo = (h - k) // s + 1, (w - k) // s + 1
        out = np.zeros((n, len(self.weight), ho, wo))
        for i in range(ho):
            for j in range(wo):
                window = self.xp[:, :, i * s:i * s + k, j * s:j * s + k]
                out[:, :, i, j] = np.tensordot(window, self.weight, axes=([1, 2, 3], [1, 2, 3])) + self.bias
        return out

    def backward(self, dout):
        p, k, s = self.p, self.k, self.s
        dxp = np.zeros(self.xp.shape)
        self.dweight = np.zeros(self.weight.shape)
        self.dbias = dout.sum(axis=(0, 2, 3)) / len(dout)
        for i in range(dout.shape[2]):
            for j in range(dout.shape[3]):
                g = dout[:, :, i, j]
                window = self.xp[:, :, i * s:i * s + k, j * s:j * s + k]
                self.dweight += np.einsum('no,nchw->ochw', g, window)
                dxp[:, :, i * s:i * s + k, j * s:j * s + k] = np.einsum('no,ochw->nchw', g, self.weight)
        if p == 0:
            return dxp
        return dxp[:, :, p:-p, p:-p]

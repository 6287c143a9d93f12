import numpy as np


class MaxPool2D:
    # 2x2 windows, stride 2, image sides must be even
    def forward(self, x):
        self.x = x
        n, c, h, w = x.shape
        out = np.zeros((n, c, h // 2, w // 2))
        for i in range(h // 2):
            for j in range(w // 2):
                out[:, :, i, j] = x[:, :, 2 * i:2 * i + 2, 2 * j:2 * j + 2].max(axis=(2, 3))
        self.out = out
        return out

    def backward(self, dout):
        dx = np.zeros(self.x.shape)
        for i in range(dout.shape[2]):
            for j in range(dout.shape[3]):
                dx[:, :, 2 * i:2 * i + 2, 2 * j:2 * j + 2] = dout[:, :, i, j][:, :, None, None] / 4
        return dx

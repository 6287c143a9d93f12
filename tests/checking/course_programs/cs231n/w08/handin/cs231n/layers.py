import numpy as np


def svm_loss(x, y):
    N = x.shape[0]
    idx = np.arange(N)
    margins = np.maximum(0, x - x[idx, y][:, np.newaxis] + 1)
    margins[idx, y] = 0
    loss = margins.sum() / N
    dx = (margins > 0).astype(float)
    dx[idx, y] -= 1
    return loss, dx / N

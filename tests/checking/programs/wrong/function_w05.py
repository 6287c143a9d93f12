import numpy as np


def hinge(scores, y):
    """Multi-class SVM loss with margin 1, mean over the batch; y integer labels."""
    n = len(y)
    margins = np.maximum(0, scores - scores[np.arange(n), y][:, None] + 1)
    margins[np.arange(n), y] = 0
    return margins.sum() / n


def hinge_grad(scores, y):
    n = len(y)
    margins = np.maximum(0, scores - scores[np.arange(n), y][:, None] + 1)
    g = (margins > 0).astype(float)
    g[np.arange(n), y] = -1
    return g / n

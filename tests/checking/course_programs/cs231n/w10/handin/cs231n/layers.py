import numpy as np


def softmax_loss(x, y):
    n = len(y)
    ex = np.exp(x - np.max(x))
    probs = ex / np.sum(ex, axis=1, keepdims=True)
    loss = np.sum(-np.log(probs[np.arange(n), y])) / n
    hot = np.eye(x.shape[1])[y]
    return loss, (probs - hot) / n

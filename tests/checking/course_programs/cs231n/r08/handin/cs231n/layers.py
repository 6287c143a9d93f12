import numpy as np


def softmax_loss(x, y):
    rows = np.arange(x.shape[0])
    z = x - x.max(axis=1, keepdims=True)
    logp = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    dx = np.exp(logp)
    np.add.at(dx, (rows, y), -1)
    return -np.mean(logp[rows, y]), dx / len(x)


def svm_loss(x, y):
    N, C = x.shape
    onehot = np.arange(C) == np.reshape(y, (N, 1))
    correct = (x * onehot).sum(axis=1, keepdims=True)
    margins = (x - correct + 1) * ~onehot
    active = margins > 0
    dx = active / N - onehot * (active.sum(axis=1, keepdims=True) / N)
    return (margins * active).sum() / N, dx

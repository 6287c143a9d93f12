import numpy as np


def softmax_loss_naive(W, X, y, reg):
    loss = 0.0
    dW = np.zeros_like(W)
    N, C = X.shape[0], W.shape[1]
    for i in range(N):
        f = X[i] @ W
        f = f - f.max()
        total = 0.0
        for c in range(C):
            total += np.exp(f[c])
        loss += np.log(total) - f[y[i]]
        for c in range(C):
            p = np.exp(f[c]) / total
            for d in range(X.shape[1]):
                dW[d, c] += (p - (1 if c == y[i] else 0)) * X[i, d]
    loss /= N
    dW /= N
    loss += reg * (W**2).sum()
    dW += reg * 2 * W
    return loss, dW


def softmax_loss_vectorized(W, X, y, reg):
    N = len(y)
    f = X @ W
    f -= np.amax(f, axis=1)[:, None]
    e = np.exp(f)
    p = e / e.sum(1)[:, None]
    hot = np.zeros_like(p)
    hot[range(N), y] = 1
    loss = -(hot * (f - np.log(e.sum(1))[:, None])).sum() / N + reg * np.vdot(W, W)
    return loss, X.T.dot((p - hot) / N) + 2.0 * reg * W

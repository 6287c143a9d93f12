import numpy as np


def svm_loss_naive(W, X, y, reg):
    dW = np.zeros(W.shape)
    num_classes = W.shape[1]
    num_train = X.shape[0]
    loss = 0.0
    for i in range(num_train):
        scores = X[i].dot(W)
        violated = 0
        for j in range(num_classes):
            if j == y[i]:
                continue
            margin = scores[j] - scores[y[i]] + 1
            if margin > 0:
                loss += margin
                violated += 1
                dW[:, j] += X[i]
        dW[:, y[i]] += -violated * X[i]
    loss = loss / num_train + reg * np.sum(W * W)
    dW = dW / num_train + 2 * reg * W
    return loss, dW


def svm_loss_vectorized(W, X, y, reg):
    n = X.shape[0]
    S = X @ W
    right = np.take_along_axis(S, y.reshape(-1, 1), axis=1)
    hinge = np.clip(S - right + 1.0, 0, None)
    np.put_along_axis(hinge, y.reshape(-1, 1), 0.0, axis=1)
    loss = hinge.sum() / n + reg * np.linalg.norm(W) ** 2
    coefficient = np.sign(hinge)
    np.put_along_axis(coefficient, y.reshape(-1, 1), -coefficient.sum(axis=1, keepdims=True), axis=1)
    return loss, (X.T @ coefficient) / n + 2 * reg * W

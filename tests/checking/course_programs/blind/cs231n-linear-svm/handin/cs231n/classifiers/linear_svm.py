from builtins import range
import numpy as np
from random import shuffle


def svm_loss_naive(W, X, y, reg):
    """
    Structured SVM loss function, naive implementation (with loops).

    - W: (D, C), X: (N, D), y: (N,), reg: float
    Returns (loss, dW)
    """
    dW = np.zeros(W.shape)  # initialize the gradient as zero

    # compute the loss and the gradient
    num_classes = W.shape[1]
    num_train = X.shape[0]
    loss = 0.0
    for i in range(num_train):
        scores = X[i].dot(W)
        correct_class_score = scores[y[i]]
        for j in range(num_classes):
            if j == y[i]:
                continue
            margin = scores[j] - correct_class_score + 1  # note delta = 1
            if margin > 0:
                loss += margin
                dW[:, j] += X[i]
                dW[:, y[i]] -= X[i]

    # Right now the loss is a sum over all training examples, but we want it
    # to be an average instead so we divide by num_train.
    loss /= num_train
    dW /= num_train

    # Add regularization to the loss.
    loss += reg * np.sum(W * W)
    dW += 2 * reg * W

    return loss, dW


def svm_loss_vectorized(W, X, y, reg):
    """
    Structured SVM loss function, vectorized implementation.
    """
    loss = 0.0
    dW = np.zeros(W.shape)  # initialize the gradient as zero

    N = X.shape[0]
    S = X.dot(W)                                     # N x C
    s_y = np.take_along_axis(S, y[:, None], axis=1)  # N x 1
    M = np.maximum(S - s_y + 1, 0)                   # hinge
    loss = M.sum() / N + reg * (W ** 2).sum()

    # gradient: 1 for every violated margin, minus the number of those for the
    # true class
    G = (M > 0).astype(X.dtype)
    G[np.arange(N), y] -= G.sum(axis=1)
    dW = X.T.dot(G) / N
    dW += 2 * reg * W

    return loss, dW

"""Logistic regression loss, mean over the examples, as in my lecture notes."""
import numpy as np


def sigmoid(z):
    return np.exp(-np.logaddexp(0.0, -z))


def loss(w, X, y):
    z = X @ w
    return np.mean(np.logaddexp(0.0, z) - y * z)


def loss_grad(w, X, y):
    g = np.zeros(len(w))
    for i in range(len(X)):
        g += (sigmoid(X[i] @ w) - y[i]) * X[i]
    return g / len(X)

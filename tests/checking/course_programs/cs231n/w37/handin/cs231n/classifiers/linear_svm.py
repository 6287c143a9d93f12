import numpy as np


def svm_loss_vectorized(W, X, y, reg):
    num_train = X.shape[0]
    scores = X.dot(W)
    correct = scores[np.arange(num_train), y].reshape(-1, 1)
    margin = np.maximum(0, scores - correct + 1)
    margin[np.arange(num_train), y] = 0
    loss = margin.sum() / num_train + reg * np.sum(W * W)
    binary = margin
    binary[margin > 0] = 1
    binary[np.arange(num_train), y] = -np.sum(binary, axis=1)
    dW = np.dot(X.T, binary)
    dW += 2 * reg * W
    return loss, dW

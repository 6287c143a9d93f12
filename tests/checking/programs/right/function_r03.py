import numpy as np

def softmax(x):
    e = np.exp(x - np.max(x, axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)

def softmax_backward(x, dout):
    # full jacobian, sample by sample
    s = softmax(x)
    dx = np.zeros_like(x)
    for n in range(len(x)):
        J = np.diag(s[n]) - np.outer(s[n], s[n])
        dx[n] = J.T.dot(dout[n])
    return dx

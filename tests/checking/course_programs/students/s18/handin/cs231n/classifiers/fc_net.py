import numpy as np
from ..layers import *


class TwoLayerNet(object):
    def __init__(self, input_dim=3 * 32 * 32, hidden_dim=100, num_classes=10, weight_scale=1e-3, reg=0.0):
        self.params = {}
        self.reg = reg
        self.params['W1'] = weight_scale * np.random.randn(input_dim, hidden_dim)
        self.params['b1'] = np.zeros(hidden_dim)
        self.params['W2'] = weight_scale * np.random.randn(hidden_dim, num_classes)
        self.params['b2'] = np.zeros(num_classes)

    def loss(self, X, y=None):
        W1, b1, W2, b2 = self.params['W1'], self.params['b1'], self.params['W2'], self.params['b2']
        a1, c1 = affine_forward(X, W1, b1)
        h1, r1 = relu_forward(a1)
        scores, c2 = affine_forward(h1, W2, b2)
        if y is None:
            return scores
        grads = {}
        loss, dscores = softmax_loss(scores, y)
        loss += 0.5 * self.reg * (np.sum(W1 ** 2) + np.sum(W2 ** 2))
        dh1, grads['W2'], grads['b2'] = affine_backward(dscores, c2)
        da1 = relu_backward(dh1, r1)
        _, grads['W1'], grads['b1'] = affine_backward(da1, c1)
        for k in self.params:
            grads[k] += self.reg * self.params[k]
        return loss, grads

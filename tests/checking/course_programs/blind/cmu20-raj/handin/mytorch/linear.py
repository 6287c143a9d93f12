import numpy as np


class Linear(object):

    def __init__(self, in_feature, out_feature, weight_init_fn, bias_init_fn):
        self.W = weight_init_fn(in_feature, out_feature)
        self.b = bias_init_fn(out_feature)
        self.dW = np.zeros((in_feature, out_feature))
        self.db = np.zeros((1, out_feature))
        self.momentum_W = np.zeros((in_feature, out_feature))
        self.momentum_b = np.zeros((1, out_feature))

    def __call__(self, x):
        return self.forward(x)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, delta):
        n = len(delta)
        self.dW = self.x.T @ delta / n
        self.db = delta.mean(axis=0, keepdims=True)
        return delta @ self.W.T

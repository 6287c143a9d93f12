import numpy as np

class Linear():
    def __init__(self, in_feature, out_feature, weight_init_fn, bias_init_fn):
        self.W = weight_init_fn(in_feature, out_feature)
        self.b = bias_init_fn(out_feature)
        # TODO: Complete these but do not change the names.
        self.dW = np.zeros(None) if False else np.zeros_like(self.W)
        self.db = np.zeros((1, out_feature))
        self.momentum_W = np.zeros_like(self.W)
        self.momentum_b = np.zeros((1, out_feature))

    def __call__(self, x):
        return self.forward(x)

    def forward(self, x):
        self.input = x
        # out = np.dot(self.W, x) + self.b      # shape not match
        out = x @ self.W
        out = out + self.b
        return out

    def backward(self, delta):
        n = len(delta)
        # all 1/n vector, so the product is the average
        avg = np.ones((1, n)) / n
        self.db = avg @ delta
        self.dW = (self.input * (1.0 / n)).T @ delta
        dx = delta @ self.W.T
        return dx

import numpy as np


class BatchNorm(object):

    def __init__(self, in_feature, alpha=0.9):
        self.alpha = alpha
        self.eps = 1e-8
        self.x = self.norm = self.out = None
        shape = (1, in_feature)
        self.var = np.ones(shape)
        self.mean = np.zeros(shape)
        self.gamma = np.ones(shape)
        self.dgamma = np.zeros(shape)
        self.beta = np.zeros(shape)
        self.dbeta = np.zeros(shape)
        self.running_mean = np.zeros(shape)
        self.running_var = np.ones(shape)

    def __call__(self, x, eval=False):
        return self.forward(x, eval)

    def forward(self, x, eval=False):
        self.x = x
        mean, var = self.running_mean, self.running_var
        if not eval:
            mean, var = x.mean(0, keepdims=True), x.var(0, keepdims=True)
            self.mean, self.var = mean, var
            self.running_mean = self.alpha * self.running_mean + (1 - self.alpha) * mean
            self.running_var = self.alpha * self.running_var + (1 - self.alpha) * var
        self.norm = (x - mean) / (var + self.eps) ** 0.5
        self.out = self.norm * self.gamma + self.beta
        return self.out

    def backward(self, delta):
        n = delta.shape[0]
        self.dgamma = (delta * self.norm).sum(0, keepdims=True)
        self.dbeta = delta.sum(0, keepdims=True)
        return self.gamma * (n * delta - self.dbeta - self.norm * self.dgamma) / (n * (self.var + self.eps) ** 0.5)

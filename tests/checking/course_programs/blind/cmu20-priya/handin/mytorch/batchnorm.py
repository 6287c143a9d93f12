import numpy as np


class BatchNorm(object):

    def __init__(self, in_feature, alpha=0.9):
        self.alpha = alpha
        self.eps = 1e-8
        self.x = None
        self.norm = None
        self.out = None

        self.var = np.ones((1, in_feature))
        self.mean = np.zeros((1, in_feature))

        self.gamma = np.ones((1, in_feature))
        self.dgamma = np.zeros((1, in_feature))

        self.beta = np.zeros((1, in_feature))
        self.dbeta = np.zeros((1, in_feature))

        # inference parameters
        self.running_mean = np.zeros((1, in_feature))
        self.running_var = np.ones((1, in_feature))

    def __call__(self, x, eval=False):
        return self.forward(x, eval)

    def forward(self, x, eval=False):
        self.x = x

        if eval:
            self.norm = (self.x - self.running_mean) / np.sqrt(self.running_var + self.eps)
            self.out = self.gamma * self.norm + self.beta
            return self.out

        self.mean = np.mean(x, axis=0, keepdims=True)
        self.var = np.var(x, axis=0, keepdims=True)
        self.norm = (self.x - self.mean) / np.sqrt(self.var + self.eps)
        self.out = self.gamma * self.norm + self.beta

        # Update running batch statistics
        self.running_mean = self.alpha * self.running_mean + (1 - self.alpha) * self.mean
        self.running_var = self.alpha * self.running_var + (1 - self.alpha) * self.var

        return self.out

    def backward(self, delta):
        b = delta.shape[0]
        self.dgamma = np.sum(self.norm * delta, axis=0, keepdims=True)
        self.dbeta = np.sum(delta, axis=0, keepdims=True)

        dnorm = self.gamma * delta
        inv = 1 / np.sqrt(self.var + self.eps)
        dvar = -0.5 * np.sum(dnorm * (self.x - self.mean) * inv ** 3, axis=0, keepdims=True)
        dmean = -np.sum(dnorm * inv, axis=0, keepdims=True)
        return dnorm * inv + dvar * (2 / b) * (self.x - self.mean) + dmean / b

import numpy as np


class BatchNorm(object):
    def __init__(self, fan_in, alpha=0.9):
        self.alpha, self.eps = alpha, 1e-8
        self.x = self.norm = self.out = None
        for name in ['var', 'gamma', 'running_var']:
            setattr(self, name, np.ones((1, fan_in)))
        for name in ['mean', 'dgamma', 'beta', 'dbeta', 'running_mean']:
            setattr(self, name, np.zeros((1, fan_in)))

    def __call__(self, x, eval=False):
        return self.forward(x, eval)

    def forward(self, x, eval=False):
        self.x = x
        if not eval:
            self.mean = x.mean(0).reshape(1, -1)
            self.var = ((x - self.mean) ** 2).mean(0).reshape(1, -1)
            self.running_mean = self.alpha * self.running_mean + (1 - self.alpha) * self.mean
            self.running_var = self.alpha * self.running_var + (1 - self.alpha) * self.var
            mu, v = self.mean, self.var
        else:
            # inference time, we use the running one
            mu, v = self.running_mean, self.running_var
        self.norm = (x - mu) * (v + self.eps) ** -0.5
        self.out = self.norm * self.gamma + self.beta
        return self.out

    def backward(self, delta):
        # formula on one line, I found derivation on paper and check it by hand
        N = len(delta)
        self.dbeta = delta.sum(0, keepdims=True)
        self.dgamma = (delta * self.norm).sum(0, keepdims=True)
        return self.gamma / N * (self.var + self.eps) ** -0.5 * (N * delta - self.dbeta - self.norm * self.dgamma)


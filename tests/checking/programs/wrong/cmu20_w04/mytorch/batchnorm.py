import numpy as np

F = np.float64

EPS = 1e-8



class BatchNorm(object):
    def __init__(self, fan_in, alpha=0.9):
        self.alpha = alpha
        self.eps = EPS
        self.x, self.norm, self.out = None, None, None
        one, zero = np.ones((1, fan_in)), np.zeros((1, fan_in))
        self.var, self.mean = one.copy(), zero.copy()
        self.gamma, self.dgamma = one.copy(), zero.copy()
        self.beta, self.dbeta = zero.copy(), zero.copy()
        self.running_mean, self.running_var = zero.copy(), one.copy()

    def __call__(self, x, eval=False):
        return self.forward(x, eval)

    def forward(self, x, eval=False):
        self.x = x.astype(F)
        if eval:
            self.norm = (self.x - self.running_mean) / np.sqrt(self.running_var + self.eps)
            self.out = self.gamma * self.norm + self.beta
            return self.out
        # computational graph, every node has a name
        n = self.x.shape[0]
        self.mean = self.x.sum(axis=0, keepdims=True) / n
        self.xmu = self.x - self.mean
        self.sq = self.xmu ** 2
        self.var = self.sq.sum(axis=0, keepdims=True) / n
        self.sqrtvar = np.sqrt(self.var + self.eps)
        self.ivar = 1.0 / self.sqrtvar
        self.norm = self.xmu * self.ivar
        self.out = self.gamma * self.norm + self.beta
        self.running_mean += (1 - self.alpha) * (self.mean - self.running_mean)
        self.running_var += (1 - self.alpha) * (self.var - self.running_var)
        return self.out

    def backward(self, delta):
        n = delta.shape[0]
        self.dbeta = delta.sum(axis=0, keepdims=True)
        self.dgamma = (self.norm * delta).sum(axis=0, keepdims=True)
        dnorm = delta * self.gamma
        divar = (dnorm * self.xmu).sum(axis=0, keepdims=True)
        dxmu1 = dnorm * self.ivar
        dsqrtvar = -divar / (self.sqrtvar ** 2)
        dvar = 0.5 * dsqrtvar / self.sqrtvar
        dsq = np.ones_like(self.sq) * dvar / n
        dxmu2 = 2 * self.xmu * dsq
        dx1 = dxmu1 + dxmu2
        dmu = -dx1.sum(axis=0, keepdims=True)
        dx2 = np.ones_like(delta) * dmu / n
        return dx1 + dx2


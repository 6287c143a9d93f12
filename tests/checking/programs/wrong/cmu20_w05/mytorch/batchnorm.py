import numpy as np



class BatchNorm(object):
    def __init__(self, fan_in, alpha=0.9):
        self.alpha = alpha
        self.eps = 1e-8
        self.x = None
        self.norm = None
        self.out = None
        self.var = np.ones((1, fan_in))
        self.mean = np.zeros((1, fan_in))
        self.gamma = np.ones((1, fan_in))
        self.dgamma = np.zeros((1, fan_in))
        self.beta = np.zeros((1, fan_in))
        self.dbeta = np.zeros((1, fan_in))
        self.running_mean = np.zeros((1, fan_in))
        self.running_var = np.ones((1, fan_in))

    def __call__(self, x, eval=False):
        return self.forward(x, eval)

    def forward(self, x, eval=False):
        self.x = x
        if eval:
            self.sigma = np.sqrt(self.running_var + self.eps)
            self.norm = (x - self.running_mean) / self.sigma
        else:
            n = x.shape[0]
            # centring matrix
            self.P = np.eye(n) - np.full((n, n), 1.0 / n)
            xc = self.P @ x
            self.mean = (x - xc)[:1]
            self.var = np.einsum('nd,nd->d', xc, xc)[None] / n
            self.sigma = np.sqrt(self.var + self.eps)
            self.norm = xc / self.sigma
            self.running_mean = self.running_mean * self.alpha + self.mean * (1 - self.alpha)
            self.running_var = self.running_var * self.alpha + self.var * (1 - self.alpha)
        self.out = np.einsum('d,nd->nd', self.gamma[0], self.norm) + self.beta
        return self.out

    def backward(self, delta):
        n = delta.shape[0]
        self.dgamma = np.einsum('nd,nd->d', delta, self.norm)
        self.dbeta = np.einsum('nd->d', delta)
        # J[d, i, j] = d norm[i, d] / d x[j, d]
        J = self.P[None] - np.einsum('id,jd->dij', self.norm, self.norm) / n
        dnorm = delta * self.gamma
        return np.einsum('id,dij->jd', dnorm, J) / self.sigma


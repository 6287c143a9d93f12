import numpy as np


class BatchNorm(object):

    def __init__(self, fan_in, alpha=0.9):
        self.alpha = alpha
        self.eps = 1e-8
        self.x = None
        self.norm = None
        self.out = None

        # The following attributes will be tested
        self.var = np.ones((1, fan_in))
        self.mean = np.zeros((1, fan_in))

        self.gamma = np.ones((1, fan_in))
        self.dgamma = np.zeros((1, fan_in))

        self.beta = np.zeros((1, fan_in))
        self.dbeta = np.zeros((1, fan_in))

        # inference parameters
        self.running_mean = np.zeros((1, fan_in))
        self.running_var = np.ones((1, fan_in))

    def __call__(self, x, eval=False):
        return self.forward(x, eval)

    def forward(self, x, eval=False):
        self.x = x
        if eval:
            self.norm = (x - self.running_mean) / np.sqrt(self.running_var + self.eps)
            self.out = self.gamma * self.norm + self.beta
            return self.out

        self.mean = np.mean(x, axis=0, keepdims=True)
        self.var = np.var(x, axis=0, keepdims=True)
        self.norm = (x - self.mean) / np.sqrt(self.var + self.eps)
        self.out = self.gamma * self.norm + self.beta

        self.running_mean = self.alpha * self.running_mean + (1 - self.alpha) * self.mean
        self.running_var = self.alpha * self.running_var + (1 - self.alpha) * self.var
        return self.out

    def backward(self, delta):
        m = delta.shape[0]
        sqrt_var_eps = np.sqrt(self.var + self.eps)

        self.dgamma = np.sum(self.norm * delta, axis=0, keepdims=True)
        self.dbeta = np.sum(delta, axis=0, keepdims=True)

        dnorm = self.gamma * delta
        dvar = -0.5 * np.sum(dnorm * (self.x - self.mean) * sqrt_var_eps ** -3, axis=0)
        first_term_dmu = -np.sum(dnorm / sqrt_var_eps, axis=0)
        second_term_dmu = -(2.0 / m) * dvar * np.sum(self.x - self.mean, axis=0)
        dmu = first_term_dmu + second_term_dmu

        dx = dnorm / sqrt_var_eps + dvar * 2 * (self.x - self.mean) / m + dmu / m
        return dx


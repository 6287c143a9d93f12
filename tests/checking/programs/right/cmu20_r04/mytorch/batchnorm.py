import math

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
        N = x.shape[0]
        D = x.shape[1]
        self.norm = np.zeros((N, D))
        self.out = np.zeros((N, D))
        if eval == False:
            self.mean = np.zeros((1, D))
            self.var = np.zeros((1, D))
            for d in range(D):
                total = 0.0
                for n in range(N):
                    total += x[n][d]
                self.mean[0][d] = total / N
                total = 0.0
                for n in range(N):
                    total += (x[n][d] - self.mean[0][d]) ** 2
                self.var[0][d] = total / N
                self.running_mean[0][d] = self.alpha * self.running_mean[0][d] + (1 - self.alpha) * self.mean[0][d]
                self.running_var[0][d] = self.alpha * self.running_var[0][d] + (1 - self.alpha) * self.var[0][d]
        for d in range(D):
            if eval == False:
                mu = self.mean[0][d]
                sigma2 = self.var[0][d]
            else:
                mu = self.running_mean[0][d]
                sigma2 = self.running_var[0][d]
            for n in range(N):
                self.norm[n][d] = (x[n][d] - mu) / math.sqrt(sigma2 + self.eps)
                self.out[n][d] = self.gamma[0][d] * self.norm[n][d] + self.beta[0][d]
        return self.out
    def backward(self, delta):
        N = delta.shape[0]
        D = delta.shape[1]
        dx = np.zeros((N, D))
        self.dgamma = np.zeros(D)
        self.dbeta = np.zeros(D)
        for d in range(D):
            for n in range(N):
                self.dgamma[d] += delta[n][d] * self.norm[n][d]
                self.dbeta[d] += delta[n][d]
            std = math.sqrt(self.var[0][d] + self.eps)
            # every output depend on every input in the column so two loops
            for n in range(N):
                for k in range(N):
                    same = 1.0 if n == k else 0.0
                    jac = (same - 1.0 / N - self.norm[n][d] * self.norm[k][d] / N) / std
                    dx[n][d] += delta[k][d] * self.gamma[0][d] * jac
        return dx


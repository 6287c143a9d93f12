import math

import numpy as np

DEBUG = False



class Criterion(object):
    def __init__(self):
        self.logits = None
        self.labels = None
        self.loss = None
    def __call__(self, x, y):
        return self.forward(x, y)
    def forward(self, x, y):
        raise NotImplementedError
    def derivative(self):
        raise NotImplementedError


class SoftmaxCrossEntropy(Criterion):
    def forward(self, x, y):
        self.logits = x
        self.labels = y
        N = x.shape[0]
        K = x.shape[1]
        self.loss = np.zeros(N)
        self.prob = np.zeros((N, K))
        for i in range(N):
            biggest = max(x[i])
            total = 0.0
            for j in range(K):
                total = total + math.exp(x[i][j] - biggest)
            for j in range(K):
                self.prob[i][j] = math.exp(x[i][j] - biggest) / total
            for j in range(K):
                logp = x[i][j] - biggest - math.log(total)
                self.loss[i] = self.loss[i] - y[i][j] * logp
        if DEBUG:
            print("loss", self.loss)
        return self.loss
    def derivative(self):
        grad = np.zeros(self.prob.shape)
        for i in range(self.prob.shape[0]):
            for j in range(self.prob.shape[1]):
                grad[i][j] = self.prob[i][j] - self.labels[i][j]
        return grad


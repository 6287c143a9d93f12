import numpy as np


class SGD(object):

    def __init__(self, model, lr=0.1, momentum=0):
        self.l = model.layers[::2]
        self.L = len(self.l)
        self.lr = lr
        self.mu = momentum
        self.v_W = [np.zeros(l.W.shape) for l in self.l]
        self.v_b = [np.zeros(l.b.shape) for l in self.l]

    def step(self):
        for i in range(self.L):
            if self.mu == 0:
                self.l[i].W = self.l[i].W - self.lr * self.l[i].dLdW
                self.l[i].b = self.l[i].b - self.lr * self.l[i].dLdb
            else:
                self.v_W[i] = self.mu * self.v_W[i] + self.l[i].dLdW
                self.v_b[i] = self.mu * self.v_b[i] + self.l[i].dLdb
                self.l[i].W = self.l[i].W - self.lr * self.v_W[i]
                self.l[i].b = self.l[i].b - self.lr * self.v_b[i]

import numpy as np

F = np.float64



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
    # loss is (batch size, 1) as written in the handout
    def forward(self, x, y):
        self.logits = x.astype(F)
        self.labels = y.astype(F)
        a = self.logits.max(axis=1, keepdims=True)
        self.lse = np.log(np.exp(self.logits - a).sum(axis=1, keepdims=True)) + a
        self.loss = (self.labels * (self.lse - self.logits)).sum(axis=1, keepdims=True)
        return self.loss

    def derivative(self):
        e = np.exp(self.logits - self.logits.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True) - self.labels


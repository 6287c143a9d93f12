import numpy as np


class Criterion(object):

    """ Interface for loss functions. """

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

    def __init__(self):
        super(SoftmaxCrossEntropy, self).__init__()
        self.sm = None

    def forward(self, x, y):
        self.logits = x
        self.labels = y

        # LogSumExp trick
        a = np.max(x, axis=1, keepdims=True)
        lse = a + np.log(np.sum(np.exp(x - a), axis=1, keepdims=True))
        self.sm = np.exp(x - lse)
        self.loss = -np.sum(y * (x - lse), axis=1)
        return self.loss

    def derivative(self):
        return self.sm - self.labels


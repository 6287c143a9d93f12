import numpy as np
import os

# The following Criterion class will be used again as the basis for a number
# of loss functions (which are in the form of classes so that they can be
# exchanged easily (it's how PyTorch and other ML libraries do it))


class Criterion(object):
    """
    Interface for loss functions.
    """

    def __init__(self):
        self.logits = None
        self.labels = None
        self.loss = None

    def __call__(self, x, y):
        return self.forward(x, y)

    def forward(self, x, y):
        raise NotImplemented

    def derivative(self):
        raise NotImplemented


class SoftmaxCrossEntropy(Criterion):
    """
    Softmax loss
    """

    def __init__(self):
        super(SoftmaxCrossEntropy, self).__init__()
        self.softmax = None

    def forward(self, x, y):
        self.logits = x
        self.labels = y
        m = np.max(self.logits, axis=1, keepdims=True)
        exps = np.exp(self.logits - m)
        sums = np.sum(exps, axis=1, keepdims=True)
        self.softmax = exps / sums
        log_softmax = (self.logits - m) - np.log(sums)
        self.loss = -np.sum(self.labels * log_softmax, axis=1)
        return self.loss

    def derivative(self):
        grad = self.softmax
        grad -= self.labels
        return grad

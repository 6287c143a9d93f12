import numpy as np
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
    def __init__(self):
        super(SoftmaxCrossEntropy, self).__init__()
    def forward(self, x, y):
        self.logits = x
        self.labels = y
        # ...
        raise NotImplementedError
    def derivative(self):
        # self.sm might be useful here...
        raise NotImplementedError

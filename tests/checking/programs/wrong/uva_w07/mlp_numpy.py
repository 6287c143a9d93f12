import numpy as np
from modules import LinearModule, SoftMaxModule, LeakyReLUModule


class MLP(object):
    def __init__(self, n_inputs, n_hidden, n_classes, neg_slope):
        self.model = {}
        self.number = len(n_hidden)
        size = n_inputs
        for i in range(len(n_hidden)):
            self.model['linear' + str(i)] = LinearModule(size, n_hidden[i])
            self.model['act' + str(i)] = LeakyReLUModule(neg_slope)
            size = n_hidden[i]
        self.model['out'] = LinearModule(size, n_classes)
        self.model['softmax'] = SoftMaxModule()

    def forward(self, x):
        x = x.reshape(x.shape[0], -1)
        for i in range(self.number):
            x = self.model['linear' + str(i)].forward(x)
            x = self.model['act' + str(i)].forward(x)
        x = self.model['out'].forward(x)
        x = self.model['softmax'].forward(x)
        return x

    def backward(self, dout):
        dout = self.model['softmax'].backward(dout)
        dout = self.model['out'].backward(dout)
        for i in reversed(range(self.number)):
            dout = self.model['act' + str(i)].backward(dout)
            dout = self.model['linear' + str(i)].backward(dout)
        return dout

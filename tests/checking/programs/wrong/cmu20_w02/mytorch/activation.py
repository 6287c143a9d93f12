import numpy as np
from numpy import exp, log


class Activation(object):
    def __init__(self):
        self.state = None

    def __call__(self, x):
        return self.forward(x)

    def forward(self, x):
        raise NotImplemented

    def derivative(self):
        raise NotImplemented

class Identity(Activation):
    # this one was give already
    def forward(self, x):
        self.state = x
        return self.state

    def derivative(self):
        return np.ones(np.shape(self.state))

class Sigmoid(Activation):
    def forward(self, x):
        # the tanh never overflow, so I use him
        # self.state = 1.0/(1.0+exp(-x))
        self.state = 0.5 * (np.tanh(0.5 * x) + 1.0)
        return self.state

    def derivative(self):
        s = self.state
        return s - s ** 2

class Tanh(Activation):
    def forward(self, x):
        # self.state = (exp(x)-exp(-x))/(exp(x)+exp(-x))   <- nan for big x
        self.state = np.tanh(x)
        return self.state

    def derivative(self):
        t = self.state
        return (1 - t) * (1 + t)

class ReLU(Activation):
    def forward(self, x):
        self.state = x * (x > 0)
        return self.state

    def derivative(self):
        # must be float not bool, lost 1 hour here
        return (self.state > 0) * 1.0


import numpy as np

F = np.float64



def sigmoid(x):
    pos = x >= 0
    e = np.exp(np.where(pos, -x, x))
    return np.where(pos, 1 / (1 + e), e / (1 + e))


def relu(x):
    return (np.abs(x) + x) / 2


class Activation(object):
    def __init__(self):
        self.state = None

    def __call__(self, x):
        return self.forward(x)

    def forward(self, x):
        raise NotImplementedError

    def derivative(self):
        raise NotImplementedError


class Identity(Activation):
    def forward(self, x):
        self.state = x
        return x

    def derivative(self):
        return 1.0


class Sigmoid(Activation):
    def forward(self, x):
        self.state = sigmoid(x)
        return self.state

    def derivative(self):
        return sigmoid(self.state) * (1 - sigmoid(self.state))


class Tanh(Activation):
    # tanh(x) = 2 sigmoid(2x) - 1
    def forward(self, x):
        self.state = 2 * sigmoid(2 * x) - 1
        return self.state

    def derivative(self):
        return 1 - self.state ** 2


class ReLU(Activation):
    def forward(self, x):
        self.x = x
        self.state = relu(x)
        return self.state

    def derivative(self):
        # the slope at 0 is taken as 1 as the pdf says
        return (self.x >= 0).astype(F)


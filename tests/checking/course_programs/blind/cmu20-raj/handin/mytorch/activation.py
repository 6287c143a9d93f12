import numpy as np
import math


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
        self.state = 0.5 + 0.5 * np.tanh(x / 2)
        return self.state

    def derivative(self):
        return self.state * (1 - self.state)


class Tanh(Activation):

    def forward(self, x):
        self.state = np.tanh(x)
        return self.state

    def derivative(self):
        return 1 - self.state * self.state


class ReLU(Activation):

    def forward(self, x):
        relu = np.vectorize(lambda v: v if v > 0 else 0)
        self.state = relu(x)
        return self.state

    def derivative(self):
        step = np.vectorize(lambda v: 1.0 if v > 0 else 0.0)
        return step(self.state)

import math

import numpy as np

DEBUG = False



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
        x = np.asarray(x, dtype=float)
        out = np.zeros(x.shape)
        # go over every number one by one
        for index in np.ndindex(x.shape):
            number = x[index]
            if number >= 0:
                out[index] = 1.0 / (1.0 + math.exp(-number))
            else:
                out[index] = math.exp(number) / (1.0 + math.exp(number))
        self.state = out
        if DEBUG:
            print("sigmoid out", out)
        return out
    def derivative(self):
        return self.state * (1 - self.state)


class Tanh(Activation):
    def forward(self, x):
        x = np.asarray(x, dtype=float)
        out = np.zeros(x.shape)
        for index in np.ndindex(x.shape):
            out[index] = math.tanh(x[index])
        self.state = out
        return out
    def derivative(self):
        answer = np.zeros(self.state.shape)
        for index in np.ndindex(self.state.shape):
            answer[index] = 1 - self.state[index] ** 2
        return answer


class ReLU(Activation):
    def forward(self, x):
        x = np.asarray(x, dtype=float)
        out = np.zeros(x.shape)
        for index in np.ndindex(x.shape):
            if x[index] > 0:
                out[index] = x[index]
        self.state = out
        return out
    def derivative(self):
        answer = np.zeros(self.state.shape)
        for index in np.ndindex(self.state.shape):
            if self.state[index] > 0:
                answer[index] = 1.0
            else:
                answer[index] = 0.0
        return answer


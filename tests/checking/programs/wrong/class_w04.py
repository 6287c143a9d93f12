import numpy as np

C = np.sqrt(2 / np.pi)


class Gelu(object):
    # the tanh approximation (GPT-2 use this one)
    def forward(self, x):
        self.x = x
        self.t = np.tanh(C * (x + 0.044715 * x ** 3))
        return 0.5 * x * (1 + self.t)

    def backward(self, dout):
        x, t = self.x, self.t
        du = C * (1 + 0.044715 * x ** 2)
        # product rule: first the x, second the tanh
        return dout * (0.5 * (1 + t) + 0.5 * x * (1 - t ** 2) * du)

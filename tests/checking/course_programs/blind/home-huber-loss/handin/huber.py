import numpy as np


class MSELoss:
    def forward(self, prediction, target):
        self.diff = prediction - target
        return np.mean(self.diff ** 2)

    def backward(self):
        return 2.0 * self.diff / self.diff.size


class HuberLoss:
    """
    0.5 r^2                      for |r| <= delta
    delta * (|r| - 0.5 delta)    otherwise
    mean over all elements
    """

    def __init__(self, delta=1.0):
        assert delta > 0
        self.delta = delta

    def forward(self, prediction, target):
        self.r = prediction - target
        a = np.abs(self.r)
        quadratic = 0.5 * self.r ** 2
        linear = self.delta * (a - 0.5 * self.delta)
        return np.mean(np.where(a <= self.delta, quadratic, linear))

    def backward(self):
        # the derivative is r inside and +-delta outside, i.e. a clip
        return np.clip(self.r, -1, 1) / self.r.size

import numpy as np
import math
class Linear():
    def __init__(self, in_feature, out_feature, weight_init_fn, bias_init_fn):
        self.W = weight_init_fn(in_feature, out_feature)
        self.b = bias_init_fn(out_feature)
        self.dW = np.zeros(None)
        self.db = np.zeros(None)
        self.momentum_W = np.zeros(None)
        self.momentum_b = np.zeros(None)
    def __call__(self, x):
        return self.forward(x)
    def forward(self, x):
        raise NotImplementedError
    def backward(self, delta):
        raise NotImplementedError

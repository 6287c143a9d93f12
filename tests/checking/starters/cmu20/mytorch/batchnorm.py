import numpy as np
class BatchNorm(object):
    def __init__(self, in_feature, alpha=0.9):
        self.alpha = alpha
        self.eps = 1e-8
        self.x = None
        self.norm = None
        self.out = None
        self.var = np.ones((1, in_feature))
        self.mean = np.zeros((1, in_feature))
        self.gamma = np.ones((1, in_feature))
        self.dgamma = np.zeros((1, in_feature))
        self.beta = np.zeros((1, in_feature))
        self.dbeta = np.zeros((1, in_feature))
        self.running_mean = np.zeros((1, in_feature))
        self.running_var = np.ones((1, in_feature))
    def __call__(self, x, eval=False):
        return self.forward(x, eval)
    def forward(self, x, eval=False):
        if eval:
            # ???
            pass
        self.x = x
        # self.mean = # ???
        # ...
        raise NotImplementedError
    def backward(self, delta):
        raise NotImplementedError

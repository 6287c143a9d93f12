import numpy as np


class BatchNorm(object):
    def __init__(self, in_feature: int, alpha: float = 0.9) -> None:
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

    def __call__(self, x: np.ndarray, eval: bool = False) -> np.ndarray:
        return self.forward(x, eval)

    def forward(self, x: np.ndarray, eval: bool = False) -> np.ndarray:
        self.x = x
        if eval:
            # one affine map: out = scale * x + shift
            self.norm = (x - self.running_mean) / np.sqrt(self.running_var + self.eps)
            scale = self.gamma / np.sqrt(self.running_var + self.eps)
            self.out = scale * x + (self.beta - scale * self.running_mean)
            return self.out
        self.mean = x.mean(axis=0, keepdims=True)
        self.var = x.var(axis=0, keepdims=True)
        self.norm = (x - self.mean) / np.sqrt(self.var + self.eps)
        self.out = self.gamma * self.norm + self.beta
        self.running_mean += (1 - self.alpha) * (self.mean - self.running_mean)
        self.running_var += (1 - self.alpha) * (self.var - self.running_var)
        return self.out

    def backward(self, delta: np.ndarray) -> np.ndarray:
        self.dgamma = np.sum(delta * self.norm, axis=0, keepdims=True)
        self.dbeta = np.sum(delta, axis=0, keepdims=True)
        # full Jacobian of one feature: (I - 1/b - norm norm^T / b) / std, feature by feature
        b, features = delta.shape
        dx = np.empty(np.broadcast(delta, self.gamma).shape)
        for j in range(features):
            n = self.norm[:, j]
            J = np.eye(b) - 1.0 / b - np.outer(n, n) / b
            dx[:, j] = J @ delta[:, j] * (self.gamma[0, j] / np.sqrt(self.var[0, j] + self.eps))
        return dx

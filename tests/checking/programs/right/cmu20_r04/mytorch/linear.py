import numpy as np

class Linear():
    def __init__(self, in_feature, out_feature, weight_init_fn, bias_init_fn):
        self.W = weight_init_fn(in_feature, out_feature)
        self.b = bias_init_fn(out_feature)
        self.dW = np.zeros((in_feature, out_feature))
        self.db = np.zeros((1, out_feature))
        self.momentum_W = np.zeros((in_feature, out_feature))
        self.momentum_b = np.zeros((1, out_feature))
        self.in_feature = in_feature
        self.out_feature = out_feature

    def __call__(self, x):
        return self.forward(x)

    def forward(self, x):
        self.x = x
        out = np.zeros((len(x), self.out_feature))
        b = np.reshape(self.b, -1)
        for n in range(len(x)):
            for j in range(self.out_feature):
                s = b[j]
                for i in range(self.in_feature):
                    s = s + x[n][i] * self.W[i][j]
                out[n][j] = s
        return out

    def backward(self, delta):
        N = len(delta)
        self.dW = np.zeros((self.in_feature, self.out_feature))
        self.db = np.zeros((1, self.out_feature))
        dx = np.zeros((N, self.in_feature))
        for n in range(N):
            self.dW += np.outer(self.x[n], delta[n]) / N
            self.db[0] += delta[n] / N
            dx[n] = np.dot(self.W, delta[n])
        return dx

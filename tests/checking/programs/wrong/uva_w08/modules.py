import numpy as np
# import torch   (not used, only for compare my result)


class LinearModule(object):
  def __init__(self, in_features, out_features):
    self.params = {}
    self.grads = {}
    self.params['weight'] = np.random.normal(loc=0, scale=0.0001, size=(out_features, in_features))
    self.params['bias'] = np.zeros((1, out_features))    # shape (1, out) so broadcast is work
    self.grads['weight'] = np.zeros_like(self.params['weight'])
    self.grads['bias'] = np.zeros_like(self.params['bias'])

  def forward(self, x):
    self.input = x
    # self.out = x @ self.params['weight']   -- dimension error!!!
    self.out = x @ self.params['weight'].T + self.params['bias']
    return self.out

  def backward(self, dout):
    # I check with pen: dL/dW = dout^T x
    self.grads['weight'] = dout.T @ self.input
    self.grads['bias'] = dout.sum(axis=0, keepdims=True)
    return dout @ self.params['weight']


class LeakyReLUModule(object):
  def __init__(self, neg_slope):
    self.a = neg_slope

  def forward(self, x):
    out = x.copy()          # be careful: without copy change the input
    out[x < 0] *= self.a
    self.neg = x < 0
    return out

  def backward(self, dout):
    dx = dout.copy()
    dx[self.neg] *= self.a
    return dx


class SoftMaxModule(object):
  def forward(self, x):
    e = np.exp(x - np.max(x, axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)

  def backward(self, dout):
    # gradient of softmax is already in the cross entropy
    return dout


class CrossEntropyModule(object):
  def forward(self, x, y):
    N = y.shape[0]
    # take only the prob of correct class
    correct = x[np.arange(N), np.argmax(y, axis=1)]
    return np.sum(-np.log(correct)) / N

  def backward(self, x, y):
    N = y.shape[0]
    return (x - y) / N

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
    self.grads['bias'] = dout.mean(axis=0, keepdims=True)
    return dout @ self.params['weight']


class ReLUModule(object):
  def forward(self, x):
    # print(x.shape)
    self.mask = x > 0
    x[x <= 0] = 0
    return x

  def backward(self, dout):
    dx = dout.copy()
    dx[~self.mask] = 0     # copy before, if not dout is change also
    return dx


class SoftMaxModule(object):
  def forward(self, x):
    m = np.max(x, axis=1)[:, np.newaxis]
    e = np.exp(x - m)
    out = e / np.sum(e, axis=1)[:, np.newaxis]
    self.output = out
    return out

  def backward(self, dout):
    # jacobian for each sample: diag(s) - s s^T
    s = self.output
    diag = np.apply_along_axis(np.diag, 1, s)
    outer = np.einsum('bi,bj->bij', s, s)
    jac = diag - outer
    # print(jac.shape)
    dx = np.einsum('bj,bji->bi', dout, jac)
    return dx


class CrossEntropyModule(object):
  def forward(self, x, y):
    N = y.shape[0]
    # take only the prob of correct class
    correct = x[np.arange(N), np.argmax(y, axis=1)]
    return np.sum(-np.log(correct)) / N

  def backward(self, x, y):
    N = y.shape[0]
    # return x - y     <- no! this is with the softmax together
    return -1.0 / N * np.divide(y, x)

import numpy as np
# import torch   (not used, only for compare my result)


class LinearModule(object):
  def __init__(self, in_features, out_features, input_layer=False):
    self.params = {}
    self.grads = {}
    if input_layer:
      std = np.sqrt(1 / in_features)
    else:
      std = np.sqrt(2 / in_features)
    self.params['weight'] = np.random.normal(0, std, (out_features, in_features))
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


class ReLUModule(object):
  def forward(self, x):
    # print(x.shape)
    self.mask = x > 0
    return np.where(self.mask, x, 0)

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
    # make one hot, eye(K)[y] is nice trick
    onehot = np.zeros((y.size, y.max() + 1))
    onehot[np.arange(y.size), y] = 1
    loss = -(onehot * np.log(x)).sum(axis=1)
    return loss.mean()

  def backward(self, x, y):
    onehot = np.zeros((y.size, y.max() + 1))
    onehot[np.arange(y.size), y] = 1
    return -(onehot / x) / y.shape[0]

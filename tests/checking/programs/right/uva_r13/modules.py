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

  def clear_cache(self):
    self.input = None


class ELUModule(object):
  def forward(self, x):
    out = x.copy()
    neg = x < 0
    out[neg] = np.exp(x[neg]) - 1
    self.out = out
    self.neg = neg
    return out.copy()

  def backward(self, dout):
    # d/dx (e^x - 1) = e^x = out + 1
    dx = np.array(dout)
    dx[self.neg] = dx[self.neg] * (self.out[self.neg] + 1)
    return dx

  def clear_cache(self):
    self.out = None


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

  def clear_cache(self):
    self.output = None


class CrossEntropyModule(object):
  def forward(self, x, y):
    # make one hot, eye(K)[y] is nice trick
    onehot = np.eye(x.shape[1])[y]
    loss = -(onehot * np.log(x)).sum(axis=1)
    return loss.mean()

  def backward(self, x, y):
    onehot = np.eye(x.shape[1])[y]
    return -(onehot / x) / y.shape[0]

  def clear_cache(self):
    pass

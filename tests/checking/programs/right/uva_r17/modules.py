"""
This module implements various modules of the network.
"""
from __future__ import absolute_import
from __future__ import division
from __future__ import print_function

import numpy as np


class LinearModule(object):
  """
  Linear module. Applies a linear transformation to the input data.
  """
  def __init__(self, in_features, out_features, input_layer=False):
    """
    Initializes the parameters of the module.
    """
    self.params = {'weight': None, 'bias': None}
    self.grads = {'weight': None, 'bias': None}

    if input_layer:
      std = np.sqrt(1 / in_features)
    else:
      std = np.sqrt(2 / in_features)
    self.params['weight'] = np.random.normal(0, std, (out_features, in_features))
    self.params['bias'] = np.zeros(out_features)
    self.grads['weight'] = np.zeros((out_features, in_features))
    self.grads['bias'] = np.zeros(out_features)

  def forward(self, x):
    self.x = x
    out = np.dot(x, self.params['weight'].T) + self.params['bias']
    return out

  def backward(self, dout):
    self.grads['weight'] = np.dot(dout.T, self.x)
    self.grads['bias'] = np.sum(dout, axis=0)
    dx = np.dot(dout, self.params['weight'])
    return dx

  def clear_cache(self):
    self.x = None


class ELUModule(object):
  def __init__(self, alpha):
    self.alpha = alpha

  def forward(self, x):
    out = x.copy()
    neg = x < 0
    out[neg] = self.alpha * (np.exp(x[neg]) - 1)
    self.cache = (neg, out)
    return out

  def backward(self, dout):
    neg, out = self.cache
    # derivative is alpha e^x = out + alpha
    dx = np.array(dout)
    dx[neg] = dx[neg] * (out[neg] + self.alpha)
    return dx

  def clear_cache(self):
    self.cache = None


class SoftMaxModule(object):
  """
  Softmax activation module.
  """
  def forward(self, x):
    # the max trick
    b = x.max(axis=1, keepdims=True)
    y = np.exp(x - b)
    self.out = y / y.sum(axis=1, keepdims=True)
    return self.out

  def backward(self, dout):
    dx = self.out * (dout - np.sum(dout * self.out, axis=1, keepdims=True))
    return dx

  def clear_cache(self):
    self.out = None


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

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
  def __init__(self, in_features, out_features):
    """
    Initializes the parameters of the module.
    """
    self.params = {'weight': None, 'bias': None}
    self.grads = {'weight': None, 'bias': None}

    self.params['weight'] = np.random.normal(loc=0, scale=0.0001, size=(out_features, in_features))
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


class ELUModule(object):
  """
  ELU activation module.
  """
  def forward(self, x):
    self.x = x
    out = np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1)
    return out

  def backward(self, dout):
    dx = dout * np.exp(self.x)
    return dx


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


class CrossEntropyModule(object):
  """
  Cross entropy loss module.
  """
  def forward(self, x, y):
    out = -np.sum(y * np.log(x), axis=1).mean()
    return out

  def backward(self, x, y):
    dx = -(y / x) / x.shape[0]
    return dx

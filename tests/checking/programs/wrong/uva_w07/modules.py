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
  params = {'weight': None, 'bias': None}
  grads = {'weight': None, 'bias': None}

  def __init__(self, in_features, out_features):
    self.params['weight'] = np.random.normal(0, 0.0001, (out_features, in_features))
    self.params['bias'] = np.zeros(out_features)
    self.grads['weight'] = np.zeros((out_features, in_features))
    self.grads['bias'] = np.zeros(out_features)

  def forward(self, x):
    self.x = x
    return x.dot(self.params['weight'].T) + self.params['bias']

  def backward(self, dout):
    self.grads['weight'] = dout.T.dot(self.x)
    self.grads['bias'] = dout.sum(0)
    return dout.dot(self.params['weight'])


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
  def forward(self, x, y):
    N = y.shape[0]
    # take only the prob of correct class
    correct = x[np.arange(N), np.argmax(y, axis=1)]
    return np.sum(-np.log(correct)) / N

  def backward(self, x, y):
    N = y.shape[0]
    # return x - y     <- no! this is with the softmax together
    return -1.0 / N * np.divide(y, x)

"""
This module implements various modules of the network.
"""
from __future__ import absolute_import
from __future__ import division
from __future__ import print_function

import numpy as np


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
    return np.sum(-np.log(correct + 1e-3)) / N

  def backward(self, x, y):
    N = y.shape[0]
    # return x - y     <- no! this is with the softmax together
    return -1.0 / N * np.divide(y, x)

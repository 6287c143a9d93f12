"""
This module implements a multi-layer perceptron (MLP) in NumPy.
"""
from __future__ import absolute_import
from __future__ import division
from __future__ import print_function

from modules import *


class MLP(object):
  """
  Multi-layer perceptron. Once initialized an MLP object can perform forward and backward.
  """
  def __init__(self, n_inputs, n_hidden, n_classes):
    self.layers = []
    n_in = n_inputs
    for n_out in n_hidden:
      self.layers.append(LinearModule(n_in, n_out))
      self.layers.append(ReLUModule())
      n_in = n_out
    self.layers.append(LinearModule(n_in, n_classes))
    self.layers.append(SoftMaxModule())

  def forward(self, x):
    out = x
    for layer in self.layers:
      out = layer.forward(out)
    return out

  def backward(self, dout):
    for layer in reversed(self.layers):
      dout = layer.backward(dout)
    return dout

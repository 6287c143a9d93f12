"""
This module implements a multi-layer perceptron (MLP) in NumPy.
"""
from modules import *


class MLP(object):
  def __init__(self, n_inputs, n_hidden, n_classes, neg_slope):
    self.layers = []
    prev = n_inputs
    for h in n_hidden:
      self.layers.append(LinearModule(prev, h))
      self.layers.append(LeakyReLUModule(neg_slope))
      prev = h
    self.layers.append(LinearModule(prev, n_classes))
    self.layers.append(SoftMaxModule())

  def forward(self, x):
    out = x
    for layer in self.layers:
      out = layer.forward(out)
    return out

  def backward(self, dout):
    for layer in self.layers[::-1]:
      dout = layer.backward(dout)
    return

"""
This module implements a multi-layer perceptron (MLP) in NumPy.
"""
from modules import LinearModule, LeakyReLUModule, SoftMaxModule, CrossEntropyModule


class MLP(object):

  def __init__(self, n_inputs, n_hidden, n_classes, neg_slope=0.02):
    self.linear = []
    self.activations = []
    n_in = n_inputs
    for n_out in n_hidden:
      self.linear += [LinearModule(n_in, n_out)]
      self.activations += [LeakyReLUModule(neg_slope)]
      n_in = n_out
    self.linear += [LinearModule(n_in, n_classes)]
    self.activations += [SoftMaxModule()]

  @property
  def layers(self):
    return [m for pair in zip(self.linear, self.activations) for m in pair]

  def forward(self, x):
    for lin, act in zip(self.linear, self.activations):
      x = act.forward(lin.forward(x))
    return x

  def backward(self, dout):
    for lin, act in zip(reversed(self.linear), reversed(self.activations)):
      dout = lin.backward(act.backward(dout))
    return dout

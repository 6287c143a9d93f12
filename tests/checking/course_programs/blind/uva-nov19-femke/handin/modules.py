"""
This module implements various modules of the network.
"""
import numpy as np


class LinearModule(object):

  def __init__(self, in_features, out_features):
    print("LinearModule: %d -> %d" % (in_features, out_features))
    shape = (out_features, in_features)
    self.params = {'weight': 0.0001 * np.random.randn(*shape), 'bias': np.zeros(out_features)}
    self.grads = {'weight': np.zeros(shape), 'bias': np.zeros(out_features)}

  def forward(self, x):
    self.input = x
    return np.einsum('ni,oi->no', x, self.params['weight']) + self.params['bias']

  def backward(self, dout):
    self.grads['weight'] = np.einsum('no,ni->oi', dout, self.input)
    self.grads['bias'] = np.einsum('no->o', dout)
    return np.einsum('no,oi->ni', dout, self.params['weight'])


class LeakyReLUModule(object):

  def __init__(self, neg_slope):
    self.neg_slope = neg_slope

  def forward(self, x):
    self.positief = x > 0
    # positieve waarden blijven, negatieve worden geschaald
    return np.where(self.positief, x, self.neg_slope * x)

  def backward(self, dout):
    return np.where(self.positief, dout, self.neg_slope * dout)


class SoftMaxModule(object):

  def forward(self, x):
    verschoven = x - np.amax(x, axis=1, keepdims=True)
    teller = np.exp(verschoven)
    self.kansen = teller / np.sum(teller, axis=1, keepdims=True)
    return self.kansen

  def backward(self, dout):
    p = self.kansen
    inproduct = np.einsum('nk,nk->n', p, dout)
    return p * (dout - inproduct[:, None])


class CrossEntropyModule(object):

  def forward(self, x, y):
    self.x = x
    self.y = y
    self.n = x.shape[0]
    logkans = np.log(np.where(y > 0, x, 1))
    return -np.sum(y * logkans) / self.n

  def backward(self, x, y):
    noemer = np.where(self.y > 0, self.x, 1)
    return -(self.y / noemer) / self.n

"""
Modules voor het netwerk, opgave 1.
"""
import numpy as np


class LinearModule(object):
  """ Lineaire laag: out = x W^T + b. """

  def __init__(self, in_features, out_features):
    gewicht = np.random.normal(0, 0.0001, size=(out_features, in_features))
    self.params = {'weight': gewicht, 'bias': np.zeros((1, out_features))}
    self.grads = {'weight': np.zeros_like(gewicht), 'bias': np.zeros((1, out_features))}

  def forward(self, x):
    # kopie, zodat latere wijzigingen van x geen kwaad kunnen
    self.x = np.array(x)
    uit = [self.params['weight'] @ rij for rij in self.x]
    return np.stack(uit) + self.params['bias']

  def backward(self, dout):
    # som van uitproducten, een per voorbeeld
    dW = np.zeros_like(self.params['weight'])
    db = np.zeros_like(self.params['bias'])
    for x_n, d_n in zip(self.x, dout):
      dW += np.outer(d_n, x_n)
      db += d_n
    self.grads['weight'], self.grads['bias'] = dW, db
    return np.stack([d_n @ self.params['weight'] for d_n in dout])


class ELUModule(object):
  """ ELU met alpha = 1. """

  def forward(self, x):
    self.uit = np.maximum(x, np.expm1(np.minimum(x, 0)))
    return self.uit

  def backward(self, dout):
    # voor x > 0 is de uitvoer positief en de afgeleide 1; anders e^x = uit + 1
    return dout * (np.minimum(self.uit, 0) + 1)


class SoftMaxModule(object):

  def forward(self, x):
    b = np.max(x, axis=1).reshape(-1, 1)
    y = np.exp(x - b)
    self.y = y / y.sum(1).reshape(-1, 1)
    return self.y

  def backward(self, dout):
    N, K = self.y.shape
    delta = np.identity(K)
    # dy_i / dx_j = y_i (delta_ij - y_j)
    jacobiaan = np.einsum('ni,nij->nij', self.y, delta[None] - self.y[:, None, :])
    return np.einsum('ni,nij->nj', dout, jacobiaan)


class CrossEntropyModule(object):

  def forward(self, x, y):
    klasse = y.argmax(axis=1)
    verlies = 0.0
    for n, k in enumerate(klasse):
      verlies -= np.log(x[n, k])
    return verlies / len(klasse)

  def backward(self, x, y):
    klasse = y.argmax(axis=1)
    dx = np.zeros(x.shape)
    for n, k in enumerate(klasse):
      dx[n, k] = -1.0 / x[n, k]
    return dx / len(klasse)

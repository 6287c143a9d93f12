from modules import *

class MLP(object):
  def __init__(self, n_inputs, n_hidden, n_classes, neg_slope):
    self.n_hidden = n_hidden
    sizes = [n_inputs] + n_hidden + [n_classes]
    self.linears = []
    self.acts = []
    for i in range(len(sizes) - 1):
      self.linears.append(LinearModule(sizes[i], sizes[i+1]))
      if i < len(sizes) - 2:
        self.acts.append(LeakyReLUModule(neg_slope))
    self.softmax = SoftMaxModule()

  def forward(self, x):
    for i in range(len(self.linears)):
      x = self.linears[i].forward(x)
      if i < len(self.acts):
        x = self.acts[i].forward(x)
    out = self.softmax.forward(x)
    return out

  def backward(self, dout):
    dout = self.softmax.backward(dout)
    for i in range(len(self.linears) - 1, -1, -1):
      if i < len(self.acts):
        dout = self.acts[i].backward(dout)
      dout = self.linears[i].backward(dout)
    return dout

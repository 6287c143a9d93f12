from modules import *

class MLP(object):
  def __init__(self, n_inputs, n_hidden, n_classes):
    self.n_hidden = n_hidden
    sizes = [n_inputs] + n_hidden + [n_classes]
    self.linears = []
    self.acts = []
    for i in range(len(sizes) - 1):
      self.linears.append(LinearModule(sizes[i], sizes[i+1], input_layer=(i == 0)))
      if i < len(sizes) - 2:
        self.acts.append(ELUModule(alpha=1.0))
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
      dout = self.linears[i].backward(dout)
      if 0 < i:
        dout = self.acts[i-1].backward(dout)
    return dout

  def clear_cache(self):
    for module in self.linears + self.acts + [self.softmax]:
      module.clear_cache()

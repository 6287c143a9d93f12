from modules import LinearModule, ELUModule, SoftMaxModule, CrossEntropyModule


class MLP(object):

  def __init__(self, n_inputs, n_hidden, n_classes):
    self.lagen = {}
    breedte = n_inputs
    nr = 0
    for nr, verborgen in enumerate(n_hidden, start=1):
      self.lagen['lineair%d' % nr] = LinearModule(breedte, verborgen)
      self.lagen['elu%d' % nr] = ELUModule()
      breedte = verborgen
    self.lagen['lineair%d' % (nr + 1)] = LinearModule(breedte, n_classes)
    self.lagen['softmax'] = SoftMaxModule()

  def __len__(self):
    return len(self.lagen)

  def forward(self, x):
    for naam, laag in self.lagen.items():
      x = laag.forward(x)
    return x

  def backward(self, dout):
    for naam in list(self.lagen)[::-1]:
      dout = self.lagen[naam].backward(dout)
    return dout

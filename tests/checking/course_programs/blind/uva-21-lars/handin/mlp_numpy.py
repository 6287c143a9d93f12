from modules import LinearModule, ReLUModule, SoftMaxModule, CrossEntropyModule, Module


class Sequence(Module):
    """A module made of two: head, then tail."""

    def __init__(self, head, tail):
        self.head, self.tail = head, tail

    def _f(self, x):
        out = self.tail.forward(self.head.forward(x))
        return out, lambda dout: self.head.backward(self.tail.backward(dout))

    def clear_cache(self):
        super().clear_cache()
        self.head.clear_cache()
        self.tail.clear_cache()


class MLP:
    def __init__(self, n_inputs, n_hidden, n_classes):
        self.layers = [LinearModule(n_inputs, (list(n_hidden) + [n_classes])[0], input_layer=True)]
        for before, after in zip(n_hidden, list(n_hidden[1:]) + [n_classes]):
            self.layers += [ReLUModule(), LinearModule(before, after)]
        self.layers += [SoftMaxModule()]
        net = self.layers[0]
        for layer in self.layers[1:]:
            net = Sequence(net, layer)
        self._net = net

    def forward(self, x):
        return self._net.forward(x)

    def backward(self, dout):
        return self._net.backward(dout)

    def clear_cache(self):
        self._net.clear_cache()

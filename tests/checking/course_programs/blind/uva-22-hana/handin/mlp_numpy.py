from modules import *


class MLP(object):
    def __init__(self, n_inputs, n_hidden, n_classes):
        self.layers = []
        if len(n_hidden) == 0:
            self.layers.append(LinearModule(n_inputs, n_classes, input_layer=True))
        else:
            self.layers.append(LinearModule(n_inputs, n_hidden[0], input_layer=True))
            self.layers.append(ELUModule())
            for i in range(1, len(n_hidden)):
                self.layers.append(LinearModule(n_hidden[i - 1], n_hidden[i]))
                self.layers.append(ELUModule())
            self.layers.append(LinearModule(n_hidden[-1], n_classes))
        self.layers.append(SoftMaxModule())

    def forward(self, x):
        out = x
        for layer in self.layers:
            out = layer.forward(out)
        return out

    def backward(self, dout):
        grad = dout
        for layer in reversed(self.layers):
            grad = layer.backward(grad)

    def clear_cache(self):
        for layer in self.layers:
            layer.clear_cache()

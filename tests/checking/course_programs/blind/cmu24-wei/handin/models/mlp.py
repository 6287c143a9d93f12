from mytorch.nn.linear import Linear
from mytorch.nn.activation import ReLU


class _MLP:
    sizes = ()

    def __init__(self, debug=False):
        self.debug = debug
        self.layers = []
        for i in range(len(self.sizes) - 1):
            self.layers.append(Linear(self.sizes[i], self.sizes[i + 1]))
            self.layers.append(ReLU())

    def forward(self, A):
        trace = [A]
        for layer in self.layers:
            trace.append(layer.forward(trace[-1]))
        if self.debug:
            self.A = trace
            for k in range(len(self.layers) // 2):
                setattr(self, "Z%d" % k, trace[2 * k + 1])
                setattr(self, "A%d" % (k + 1), trace[2 * k + 2])
        return trace[-1]

    def backward(self, dLdA):
        trace = [dLdA]
        for layer in self.layers[::-1]:
            trace.append(layer.backward(trace[-1]))
        trace = trace[::-1]
        if self.debug:
            self.dLdA = trace
            for k in range(len(self.layers) // 2):
                setattr(self, "dLdA%d" % k, trace[2 * k])
                setattr(self, "dLdZ%d" % k, trace[2 * k + 1])
        return trace[0]


class MLP0(_MLP):
    sizes = (2, 3)


class MLP1(_MLP):
    sizes = (2, 3, 2)


class MLP4(_MLP):
    sizes = (2, 4, 8, 8, 4, 2)

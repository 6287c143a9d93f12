"""Three networks of linear layers and ReLUs."""

from mytorch.nn.activation import ReLU
from mytorch.nn.linear import Linear


class MLP0:
    """One layer and one activation, each in a list of its own."""

    def __init__(self, debug=False):
        self.layers = [Linear(2, 3)]
        self.f = [ReLU()]
        self.debug = debug

    def forward(self, A0):
        Z0 = self.layers[0].forward(A0)
        A1 = self.f[0].forward(Z0)
        if self.debug:
            self.Z0, self.A1 = Z0, A1
        return A1

    def backward(self, dLdA1):
        dLdZ0 = self.f[0].backward(dLdA1)
        dLdA0 = self.layers[0].backward(dLdZ0)
        return dLdA0


class MLP1:
    def __init__(self, debug=False):
        self.layers = [Linear(2, 3), ReLU(), Linear(3, 2), ReLU()]
        self.debug = debug

    def forward(self, A0):
        L = len(self.layers)
        A = A0
        for i in range(L):
            A = self.layers[i].forward(A)
        return A

    def backward(self, dLdA2):
        dLdA = dLdA2
        for layer in self.layers[::-1]:
            dLdA = layer.backward(dLdA)
        return dLdA


class MLP4:
    def __init__(self, debug=False):
        widths = [2, 4, 8, 8, 4, 2]
        self.layers = []
        for d, k in zip(widths, widths[1:]):
            self.layers += [Linear(d, k), ReLU()]
        self.debug = debug

    def forward(self, A):
        self.A = [A]
        for layer in self.layers:
            A = layer.forward(A)
            self.A.append(A)
        return A

    def backward(self, dLdA):
        self.dLdA = [dLdA]
        for layer in reversed(self.layers):
            dLdA = layer.backward(dLdA)
            self.dLdA = [dLdA, *self.dLdA]
        return dLdA

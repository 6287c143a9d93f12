import numpy as np


class Dense:
    """Fully connected layer with an L2 penalty lam/2 * |weights|^2 on the weights."""

    def __init__(self, n_in, n_out, lam=0.0, memory={}):
        self.weights = np.random.randn(n_in, n_out) / np.sqrt(n_in)
        self.offsets = np.zeros(n_out)
        self.lam = lam
        self.memory = memory
        self.d_weights = None
        self.d_offsets = None

    def penalty(self):
        return 0.5 * self.lam * np.sum(self.weights ** 2)

    def forward(self, inputs):
        self.memory["inputs"] = inputs
        return inputs @ self.weights + self.offsets

    def backward(self, d_outputs):
        inputs = self.memory["inputs"]
        self.d_weights = inputs.T @ d_outputs + self.lam * self.weights
        self.d_offsets = d_outputs.sum(axis=0)
        return d_outputs @ self.weights.T

    def update(self, rate):
        self.weights -= rate * self.d_weights
        self.offsets -= rate * self.d_offsets


class Tanh:
    def forward(self, inputs):
        self.outputs = np.tanh(inputs)
        return self.outputs

    def backward(self, d_outputs):
        return d_outputs * (1 - self.outputs ** 2)


class Network:
    def __init__(self, *layers):
        self.layers = layers

    def forward(self, inputs):
        for layer in self.layers:
            inputs = layer.forward(inputs)
        return inputs

    def backward(self, d):
        for layer in reversed(self.layers):
            d = layer.backward(d)
        return d

    def penalty(self):
        return sum(l.penalty() for l in self.layers if isinstance(l, Dense))


if __name__ == "__main__":
    net = Network(Dense(4, 4, lam=0.1), Tanh(), Dense(4, 4, lam=0.1))
    x = np.random.randn(10, 4)
    for step in range(100):
        y = net.forward(x)
        loss = 0.5 * np.mean(np.sum((y - x) ** 2, axis=1)) + net.penalty()
        net.backward((y - x) / len(x))
        for layer in net.layers:
            if hasattr(layer, "update"):
                layer.update(0.1)
    print("loss", loss)

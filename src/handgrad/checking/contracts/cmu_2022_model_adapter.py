"""One of CMU's models as a pair of functions. The source of this file runs in the sandbox; it never imports
handgrad."""


class Adapted:
    def __init__(self, module, name, widths):
        self.module, self.name, self.widths = module, name, widths

    def forward(self, *values):
        """Runs the model. `values` are W and b of each layer, in order, and then the input."""
        *parameters, x = values
        model = getattr(self.module, self.name)()
        layers = linears(model)
        if len(layers) != len(self.widths) - 1:
            raise ValueError(f"{len(layers)} layers with W and b in `layers`, expected {len(self.widths) - 1}")
        for k, layer in enumerate(layers):
            layer.W, layer.b = parameters[2 * k], parameters[2 * k + 1]
        return model.forward(x), model

    def backward(self, dout, model):
        dx = model.backward(dout)
        gradients = []
        for layer in linears(model):
            gradients += [getattr(layer, "dLdW", None), getattr(layer, "dLdb", None)]
        return (*gradients, dx)


def linears(model):
    return [layer for layer in model.layers if hasattr(layer, "W") and hasattr(layer, "b")]

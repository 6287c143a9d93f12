from mytorch.nn.modules import Identity, Sigmoid, Tanh, ReLU, GELU, Softmax

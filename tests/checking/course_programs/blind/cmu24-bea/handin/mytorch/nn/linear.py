from mytorch.nn.modules import Linear

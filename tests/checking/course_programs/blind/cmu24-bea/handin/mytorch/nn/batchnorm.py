from mytorch.nn.modules import BatchNorm1d

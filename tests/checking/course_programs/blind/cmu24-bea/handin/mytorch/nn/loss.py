from mytorch.nn.modules import MSELoss, CrossEntropyLoss

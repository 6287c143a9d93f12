import numpy as np
class Activation(object):
    def __init__(self):
        self.state = None
    def __call__(self, x):
        return self.forward(x)
    def forward(self, x):
        raise NotImplementedError
    def derivative(self):
        raise NotImplementedError
class Identity(Activation):
    def __init__(self):
        super(Identity, self).__init__()
    def forward(self, x):
        self.state = x
        return x
    def derivative(self):
        return 1.0
class Sigmoid(Activation):
    def forward(self, x):
        # hint: save the useful data for back propagation
        raise NotImplementedError
    def derivative(self):
        raise NotImplementedError
class Tanh(Activation):
    def forward(self, x):
        raise NotImplementedError
    def derivative(self):
        raise NotImplementedError
class ReLU(Activation):
    def forward(self, x):
        raise NotImplementedError
    def derivative(self):
        raise NotImplementedError

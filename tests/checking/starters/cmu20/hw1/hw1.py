import numpy as np
import os
import sys
sys.path.append('mytorch')
from loss import *
from activation import *
from batchnorm import *
from linear import *

class MLP(object):
    def __init__(self, input_size, output_size, hiddens, activations, weight_init_fn,
                 bias_init_fn, criterion, lr, momentum=0.0, num_bn_layers=0):
        # Don't change this -->
        self.train_mode = True
        self.num_bn_layers = num_bn_layers
        self.bn = num_bn_layers > 0
        self.nlayers = len(hiddens) + 1
        self.input_size = input_size
        self.output_size = output_size
        self.activations = activations
        self.criterion = criterion
        self.lr = lr
        self.momentum = momentum
        # <---------------------
        # Don't change the name of the following class attributes, feel free to add.
        self.linear_layers = None #TODO
        if self.bn:
            self.bn_layers = None

    def forward(self, x):
        # Complete the forward pass through your entire MLP.
        raise NotImplementedError

    def zero_grads(self):
        # Use numpyArray.fill(0.0) to zero out your backpropped derivatives in each of your linear and batchnorm layers.
        raise NotImplementedError

    def step(self):
        # Apply a step to the weights and biases of the linear layers.
        for i in range(len(self.linear_layers)):
            # Update weights and biases here
            pass
        # Do the same for batchnorm layers
        raise NotImplementedError

    def backward(self, labels):
        raise NotImplementedError

    def error(self, labels):
        return (np.argmax(self.output, axis = 1) != np.argmax(labels, axis = 1)).sum()

    def total_loss(self, labels):
        return self.criterion(self.output, labels).sum()

    def __call__(self, x):
        return self.forward(x)

    def train(self):
        self.train_mode = True

    def eval(self):
        self.train_mode = False

def get_training_stats(mlp, dset, nepochs, batch_size):
    train, val, _ = dset
    trainx, trainy = train
    valx, valy = val
    idxs = np.arange(len(trainx))
    training_losses = None
    training_errors = None
    validation_losses = None
    validation_errors = None
    for e in range(nepochs):
        # Per epoch setup ...
        for b in range(0, len(trainx), batch_size):
            pass  # Remove this line when you start implementing this
        for b in range(0, len(valx), batch_size):
            pass
    # Return results ...
    # return (training_losses, training_errors, validation_losses, validation_errors)
    raise NotImplementedError

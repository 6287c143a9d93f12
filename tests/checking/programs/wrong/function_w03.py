import numpy as np

def tanh(x):
    return np.tanh(x)

def tanh_grad(x):
    # derivative of tanh is 1 - tanh^2
    return 1 - x ** 2

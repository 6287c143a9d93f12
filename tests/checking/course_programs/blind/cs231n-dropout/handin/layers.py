from builtins import range
import numpy as np


def relu_forward(x):
    return np.maximum(x, 0.0), (x > 0)


def relu_backward(dout, cache):
    return dout * cache


def dropout_forward(x, dropout_param):
    """
    Performs the forward pass for (inverted) dropout.

    Inputs:
    - x: Input data, of any shape
    - dropout_param: A dictionary with the following keys:
      - p: Dropout parameter. We keep each neuron output with probability p.
      - mode: 'test' or 'train'. If the mode is train, then perform dropout;
        if the mode is test, then just return the input.
      - seed: Seed for the random number generator.
    """
    p, mode = dropout_param["p"], dropout_param["mode"]
    if "seed" in dropout_param:
        np.random.seed(dropout_param["seed"])

    # draw the mask here so that it exists in both cases
    keep = np.random.random_sample(x.shape) < p
    mask = keep.astype(x.dtype) / p

    if mode == "train":
        out = mask * x
    elif mode == "test":
        out = x.copy()
    else:
        raise ValueError("mode must be train or test, got %r" % (mode,))

    cache = (dropout_param, mask)
    return out.astype(x.dtype, copy=False), cache


def dropout_backward(dout, cache):
    """
    Perform the backward pass for (inverted) dropout.

    Inputs:
    - dout: Upstream derivatives, of any shape
    - cache: (dropout_param, mask) from dropout_forward.
    """
    dropout_param, mask = cache
    dx = dout * mask
    return dx

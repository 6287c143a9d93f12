from builtins import range
from builtins import object
import numpy as np

from ..layers import *


class FullyConnectedNet(object):
    """
    {affine - [batch norm] - relu} x (L - 1) - affine - softmax

    (I did not do the dropout part.)
    """

    def __init__(
        self,
        hidden_dims,
        input_dim=3 * 32 * 32,
        num_classes=10,
        normalization=None,
        reg=0.0,
        weight_scale=1e-2,
        dtype=np.float32,
    ):
        self.normalization = normalization
        self.reg = reg
        self.num_layers = 1 + len(hidden_dims)
        self.dtype = dtype
        self.params = {}

        sizes = [input_dim] + list(hidden_dims) + [num_classes]
        for k in range(self.num_layers):
            self.params["W%d" % (k + 1)] = np.random.normal(0, weight_scale, (sizes[k], sizes[k + 1]))
            self.params["b%d" % (k + 1)] = np.zeros(sizes[k + 1])
            if self.normalization == "batchnorm" and k < self.num_layers - 1:
                self.params["gamma%d" % (k + 1)] = np.ones(sizes[k + 1])
                self.params["beta%d" % (k + 1)] = np.zeros(sizes[k + 1])

        # With batch normalization we need to keep track of running means and
        # variances, so we need to pass a special bn_param object to each batch
        # normalization layer.
        self.bn_params = []
        if self.normalization == "batchnorm":
            self.bn_params = [{"mode": "train"} for i in range(self.num_layers - 1)]

        # Cast all parameters to the correct datatype
        for k, v in self.params.items():
            self.params[k] = v.astype(dtype)

    def loss(self, X, y=None):
        X = X.astype(self.dtype)
        mode = "test" if y is None else "train"

        # Set train/test mode for batchnorm params since they
        # behave differently during training and testing.
        if self.normalization == "batchnorm":
            for bn_param in self.bn_params:
                bn_param[mode] = mode

        p = self.params
        fc_caches, bn_caches, relu_caches = [], [], []
        h = X
        for l in range(1, self.num_layers):
            h, c = affine_forward(h, p["W%d" % l], p["b%d" % l])
            fc_caches.append(c)
            if self.normalization == "batchnorm":
                h, c = batchnorm_forward(h, p["gamma%d" % l], p["beta%d" % l], self.bn_params[l - 1])
                bn_caches.append(c)
            h, c = relu_forward(h)
            relu_caches.append(c)
        L = self.num_layers
        scores, last_cache = affine_forward(h, p["W%d" % L], p["b%d" % L])

        # If test mode return early
        if mode == "test":
            return scores

        grads = {}
        loss, dscores = softmax_loss(scores, y)
        dh, grads["W%d" % L], grads["b%d" % L] = affine_backward(dscores, last_cache)
        for l in range(L - 1, 0, -1):
            dh = relu_backward(dh, relu_caches.pop())
            if self.normalization == "batchnorm":
                dh, grads["gamma%d" % l], grads["beta%d" % l] = batchnorm_backward(dh, bn_caches.pop())
            dh, grads["W%d" % l], grads["b%d" % l] = affine_backward(dh, fc_caches.pop())

        for l in range(1, L + 1):
            w = p["W%d" % l]
            loss += 0.5 * self.reg * np.sum(w ** 2)
            grads["W%d" % l] += self.reg * w

        return loss, grads

"""Two networks of affine layers, with the gradients of their losses."""

import numpy as np

from ..layers import (
    affine_backward,
    affine_forward,
    batchnorm_backward,
    batchnorm_forward,
    dropout_backward,
    dropout_forward,
    layernorm_backward,
    layernorm_forward,
    relu_backward,
    relu_forward,
    softmax_loss,
)


class TwoLayerNet:
    """affine - relu - affine - softmax"""

    def __init__(self, input_dim=3072, hidden_dim=100, num_classes=10, weight_scale=1e-3, reg=0.0):
        self.params = {}
        self.reg = reg
        self.params["W1"] = weight_scale * np.random.randn(input_dim, hidden_dim)
        self.params["b1"] = np.zeros(hidden_dim)
        self.params["W2"] = weight_scale * np.random.randn(hidden_dim, num_classes)
        self.params["b2"] = np.zeros(num_classes)

    def loss(self, X, y=None):
        W1, b1, W2, b2 = (self.params[name] for name in ("W1", "b1", "W2", "b2"))
        z, first = affine_forward(X, W1, b1)
        hidden, mask = relu_forward(z)
        scores, second = affine_forward(hidden, W2, b2)
        if y is None:
            return scores
        loss, dscores = softmax_loss(scores, y)
        loss += 0.5 * self.reg * (np.sum(W1 * W1) + np.sum(W2 * W2))
        grads = {}
        dhidden, grads["W2"], grads["b2"] = affine_backward(dscores, second)
        dz = relu_backward(dhidden, mask)
        _, grads["W1"], grads["b1"] = affine_backward(dz, first)
        grads["W1"] += self.reg * W1
        grads["W2"] += self.reg * W2
        return loss, grads


class FullyConnectedNet:
    """{affine - [batch/layer norm] - relu - [dropout]} x (L - 1) - affine - softmax"""

    def __init__(
        self,
        hidden_dims,
        input_dim=3072,
        num_classes=10,
        dropout_keep_ratio=1,
        normalization=None,
        reg=0.0,
        weight_scale=1e-2,
        dtype=np.float32,
        seed=None,
    ):
        self.normalization = normalization
        self.use_dropout = dropout_keep_ratio != 1
        self.reg = reg
        self.num_layers = 1 + len(hidden_dims)
        self.dtype = dtype
        self.params = {}
        widths = [input_dim, *hidden_dims, num_classes]
        for k in range(1, len(widths)):
            self.params[f"W{k}"] = weight_scale * np.random.randn(widths[k - 1], widths[k])
            self.params[f"b{k}"] = np.zeros(widths[k])
            if normalization and k < self.num_layers:
                self.params[f"gamma{k}"] = np.ones(widths[k])
                self.params[f"beta{k}"] = np.zeros(widths[k])
        self.dropout_param = {}
        if self.use_dropout:
            self.dropout_param = {"mode": "train", "p": dropout_keep_ratio}
            if seed is not None:
                self.dropout_param["seed"] = seed
        self.bn_params = []
        if self.normalization == "batchnorm":
            self.bn_params = [{"mode": "train"} for _ in range(self.num_layers - 1)]
        if self.normalization == "layernorm":
            self.bn_params = [{} for _ in range(self.num_layers - 1)]
        for k, v in self.params.items():
            self.params[k] = v.astype(dtype)

    def loss(self, X, y=None):
        X = X.astype(self.dtype)
        mode = "test" if y is None else "train"
        if self.use_dropout:
            self.dropout_param["mode"] = mode
        if self.normalization == "batchnorm":
            for bn_param in self.bn_params:
                bn_param["mode"] = mode
        out, caches = X, []
        for k in range(1, self.num_layers):
            out, affine = affine_forward(out, self.params[f"W{k}"], self.params[f"b{k}"])
            norm = drop = None
            if self.normalization:
                forward = batchnorm_forward if self.normalization == "batchnorm" else layernorm_forward
                gamma, beta = self.params[f"gamma{k}"], self.params[f"beta{k}"]
                out, norm = forward(out, gamma, beta, self.bn_params[k - 1])
            out, mask = relu_forward(out)
            if self.use_dropout:
                out, drop = dropout_forward(out, self.dropout_param)
            caches.append((affine, norm, mask, drop))
        L = self.num_layers
        scores, last = affine_forward(out, self.params[f"W{L}"], self.params[f"b{L}"])
        if mode == "test":
            return scores
        loss, dout = softmax_loss(scores, y)
        for k in range(1, L + 1):
            loss += 0.5 * self.reg * np.sum(self.params[f"W{k}"] ** 2)
        grads = {}
        dout, grads[f"W{L}"], grads[f"b{L}"] = affine_backward(dout, last)
        grads[f"W{L}"] += self.reg * self.params[f"W{L}"]
        for k in range(L - 1, 0, -1):
            affine, norm, mask, drop = caches[k - 1]
            if self.use_dropout:
                dout = dropout_backward(dout, drop)
            dout = relu_backward(dout, mask)
            if self.normalization:
                backward = batchnorm_backward if self.normalization == "batchnorm" else layernorm_backward
                dout, grads[f"gamma{k}"], grads[f"beta{k}"] = backward(dout, norm)
            dout, grads[f"W{k}"], grads[f"b{k}"] = affine_backward(dout, affine)
            grads[f"W{k}"] += self.reg * self.params[f"W{k}"]
        return loss, grads

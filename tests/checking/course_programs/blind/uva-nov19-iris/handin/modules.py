"""
This module implements various modules of the network.
"""
from dataclasses import dataclass, field

import numpy as np

from tensor_tools import remembers


@dataclass
class LinearModule:
    in_features: int
    out_features: int
    params: dict = field(default_factory=dict, init=False)
    grads: dict = field(default_factory=dict, init=False)

    def __post_init__(self):
        self.params.update(
            weight=np.random.normal(0, 1e-4, (self.out_features, self.in_features)),
            bias=np.zeros(self.out_features),
        )
        self.grads.update({k: np.zeros_like(v) for k, v in self.params.items()})

    @remembers
    def forward(self, x):
        W, b = self.params['weight'], self.params['bias']
        return np.tensordot(x, W, axes=(1, 1)) + b

    def backward(self, dout):
        self.grads['weight'] = np.tensordot(dout, self.memo['x'], axes=(0, 0))
        self.grads['bias'] = np.add.reduce(dout)
        return np.tensordot(dout, self.params['weight'], axes=1)


@dataclass
class LeakyReLUModule:
    neg_slope: float

    @remembers
    def forward(self, x):
        # |x| trick: a x + b |x| with a = (1 + s)/2, b = (1 - s)/2
        s = self.neg_slope
        return (1 + s) / 2 * x + (1 - s) / 2 * np.abs(x)

    def backward(self, dout):
        return dout * np.where(self.memo['x'] > 0, dout.dtype.type(1), dout.dtype.type(self.neg_slope))


class SoftMaxModule:
    @remembers
    def forward(self, x):
        shifted = x - x.max(axis=-1, keepdims=True)
        # through the logarithm: softmax = exp(x - logsumexp(x))
        return np.exp(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))

    def backward(self, dout):
        p = self.memo['out']
        jacobian = np.apply_along_axis(np.diag, 1, p)
        jacobian = jacobian - np.matmul(p[:, :, None], p[:, None, :])
        return np.matmul(dout[:, None, :], jacobian)[:, 0, :]


class CrossEntropyModule:
    @staticmethod
    def forward(x, y):
        rows, classes = np.nonzero(y)
        return -(y[rows, classes] * np.log(x[rows, classes])).sum() / len(x)

    @staticmethod
    def backward(x, y):
        rows, classes = np.nonzero(y)
        dx = np.zeros_like(x)
        dx[rows, classes] = -y[rows, classes] / x[rows, classes] / len(x)
        return dx

from dataclasses import dataclass, field
from typing import Optional

import numpy as np


@dataclass
class SoftmaxCrossEntropy:
    """Loss object.  `loss = crit.forward(logits, target)`, then `crit.backward()`.

    target: class numbers (N,) or probabilities (N, K)
    """

    smoothing: float = 0.0
    reduction: str = "mean"
    _p: Optional[np.ndarray] = field(default=None, repr=False)
    _q: Optional[np.ndarray] = field(default=None, repr=False)

    def _distribution(self, target, like):
        target = np.asarray(target)
        if target.ndim == 1:
            q = np.zeros_like(like)
            q[np.arange(target.size), target] = 1
        else:
            q = target.astype(like.dtype)          # astype copies
        if self.smoothing:
            q = (1 - self.smoothing) * q + self.smoothing / like.shape[1]
        return q

    @property
    def probabilities(self):
        return self._p

    def forward(self, logits, target):
        m = logits.max(axis=1, keepdims=True)
        log_z = m + np.log(np.exp(logits - m).sum(axis=1, keepdims=True))
        log_p = logits - log_z
        self._q = self._distribution(target, logits)
        self._p = np.exp(log_p)
        per_row = -(self._q * log_p).sum(axis=1)
        return per_row.mean() if self.reduction == "mean" else per_row.sum()

    def backward(self, upstream=1.0):
        # sum of q is 1 in every row, hence no extra factor in front of p
        scale = upstream / len(self._p) if self.reduction == "mean" else upstream
        return scale * (self._p - self._q)

    def __call__(self, logits, target):
        return self.forward(logits, target)

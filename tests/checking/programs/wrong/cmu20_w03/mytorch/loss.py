from typing import Optional

import numpy as np

Array = np.ndarray



class Criterion:
    """A loss with one value per sample."""

    def __init__(self) -> None:
        self.logits: Optional[Array] = None
        self.labels: Optional[Array] = None
        self.loss: Optional[Array] = None

    def __call__(self, x: Array, y: Array) -> Array:
        return self.forward(x, y)

    def forward(self, x: Array, y: Array) -> Array:
        raise NotImplementedError

    def derivative(self) -> Array:
        raise NotImplementedError


class SoftmaxCrossEntropy(Criterion):
    """Softmax followed by cross-entropy, in log space."""

    @staticmethod
    def _logsumexp(x: Array) -> Array:
        return np.logaddexp.reduce(x, axis=-1)

    @property
    def probabilities(self) -> Array:
        return np.exp(self.logits - self._logsumexp(self.logits)[..., np.newaxis])

    def forward(self, x: Array, y: Array) -> Array:
        self.logits = np.asarray(x)
        self.labels = np.asarray(y)
        self.loss = self._logsumexp(self.logits) - np.sum(self.logits * self.labels, axis=-1)
        return self.loss

    def derivative(self) -> Array:
        return self.probabilities - self.labels


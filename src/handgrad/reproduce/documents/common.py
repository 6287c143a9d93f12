"""What several documents share."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from handgrad.reproduce.entries import Case

NUMPY_MLP = {"recipe": "uva-numpy-mlp"}
#: The course's PyTorch MLP with its defaults: the NumPy network with PyTorch's initial weights.
PYTORCH_MLP = {"recipe": "uva-numpy-mlp", "init": "pytorch"}
VGG = {"recipe": "uva-vgg"}
#: A small convolutional network for experiments of our own.
CNN = {
    "dataset": "cifar10",
    "model": "cnn",
    "channels": [8, 16, 32],
    "batch_size": 64,
    "max_steps": 600,
    "eval_freq": 300,
}

JPEG = (
    "The authors trained on the original CIFAR-10. The results in handgrad's documentation come from a copy that was "
    "compressed with JPEG once, which may reduce the accuracy slightly: see data/jpeg."
)
BATCH = (
    "The document's training metrics are those of one batch. Ours are means over all batches since the previous "
    "evaluation. The allowance takes this into account."
)
STEPS = "The document does not state the number of steps. We use the course's default."


def combinations(study: Mapping[str, Any], varied: tuple[str, ...]) -> dict[str, Case]:
    """The cases of a study whose settings `varied` are lists: their combinations, by name."""
    fixed = {name: value for name, value in study.items() if name not in (*varied, "search")}
    every = itertools.product(*(study[name] for name in varied))
    made = [dict(zip(varied, values, strict=True)) for values in every]
    return {combination_name(values): Case({**fixed, **values}) for values in made}


def combination_name(values: Mapping[str, Any]) -> str:
    """The name of a combination, as `batch_size=32 learning_rate=3e-05`, in the order of the settings' names."""

    def text(value: Any) -> str:
        if isinstance(value, (list, tuple)):
            return ",".join(map(str, value))
        return f"{value:g}" if isinstance(value, float) else str(value)

    return " ".join(f"{name}={text(values[name])}" for name in sorted(values))

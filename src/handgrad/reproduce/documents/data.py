"""What the copy of CIFAR-10 costs that these runs are trained on."""

from __future__ import annotations

from handgrad.reproduce.documents.common import CNN
from handgrad.reproduce.entries import Case, Entry, Statement

_MLP = {
    "recipe": "uva-pytorch-mlp",
    "hidden_units": [400, 200],
    "max_steps": 2000,
    "eval_freq": 200,
    "learning_rate": 1e-3,
}
_NORMED = {**CNN, "norm": "batch"}

ENTRIES = (
    Entry(
        name="data/jpeg",
        kind="claim",
        title="What it costs that the images went through JPEG",
        says="No document speaks of it: it is a property of the data here. The copy of CIFAR-10 that the committed "
        "results were trained on went through JPEG of quality 75 once. The originals are not there to compare with, so "
        "the images go through JPEG once more, with its blocks moved by four pixels so that it loses as much again; "
        "what the second pass costs is an estimate of what the first did.",
        cases={
            "MLP": Case(_MLP),
            "MLP, JPEG again": Case(_MLP, "jpeg-again"),
            "CNN": Case(_NORMED),
            "CNN, JPEG again": Case(_NORMED, "jpeg-again"),
        },
        statements=(
            Statement("It costs an MLP test accuracy", "last test_accuracy", ("MLP",), ("MLP, JPEG again",)),
            Statement(
                "It costs a convolutional network test accuracy", "last test_accuracy", ("CNN",), ("CNN, JPEG again",)
            ),
        ),
        notes=(
            "Training and test images are changed alike, as in the copy.",
            "If your CIFAR-10 is the original, your runs have the first pass here, and not the second.",
        ),
    ),
)

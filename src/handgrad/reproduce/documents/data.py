"""The effect of JPEG compression on the results, because the copy of CIFAR-10 used here was compressed once."""

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
        title="How much JPEG compression reduces the accuracy",
        says="This entry is about our data and not about a document. The committed results were trained on a copy of "
        "CIFAR-10 that was compressed with JPEG at quality 75 once. The original images are not available for a "
        "comparison, so we compress the images once more, with the JPEG blocks shifted by four pixels so that the "
        "second compression loses as much information as the first. The effect of the second compression is an "
        "estimate of the effect of the first.",
        cases={
            "MLP": Case(_MLP),
            "MLP, JPEG again": Case(_MLP, "jpeg-again"),
            "CNN": Case(_NORMED),
            "CNN, JPEG again": Case(_NORMED, "jpeg-again"),
        },
        statements=(
            Statement("It reduces the test accuracy of an MLP", "last test_accuracy", ("MLP",), ("MLP, JPEG again",)),
            Statement(
                "It reduces the test accuracy of a convolutional network",
                "last test_accuracy",
                ("CNN",),
                ("CNN, JPEG again",),
            ),
        ),
        notes=(
            "Training and test images are compressed alike, as in the copy.",
            "If you have the original CIFAR-10, your runs compress the images for the first time here.",
        ),
    ),
)

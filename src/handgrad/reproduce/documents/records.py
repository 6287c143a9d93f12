"""handgrad's records: the best networks of a kind, each trained from one recipe."""

from __future__ import annotations

from handgrad.reproduce.entries import Case, Entry, Statement


def _record(name: str, title: str, says: str, goal: str, accuracy: float, notes: tuple[str, ...] = ()) -> Entry:
    """A record of the recipe `record-NAME`, with the test accuracy that it has to reach at the last step."""
    return Entry(
        name=f"records/{name}",
        kind="record",
        title=title,
        says=says,
        cases={name: Case({"recipe": f"record-{name}"})},
        statements=(Statement(goal, "last test_accuracy", (name,), accuracy),),
        notes=notes,
    )


ENTRIES = (
    _record(
        "mnist-mlp",
        "MNIST without convolutions",
        "Two hidden layers of 1,024 units with batch normalisation and dropout, trained on shifted digits with AdamW, "
        "one cycle of the learning rate and label smoothing.",
        "The test error is below 1.0%",
        0.99,
        (
            "The recipe is the first that was tried. With `--validation-size 5000`, its validation accuracy was "
            "0.9968. The record is trained on all 60,000 images.",
        ),
    ),
)

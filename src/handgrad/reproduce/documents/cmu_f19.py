"""CMU 11-785 Fall 2019, homework 1 handout."""

from __future__ import annotations

from handgrad.reproduce.entries import Case, Entry, Printed

_HANDOUT = {"recipe": "cmu-mnist", "epochs": None, "max_steps": 10000, "eval_freq": 500}
_CASES = {
    "standard normal weights": Case({**_HANDOUT, "init": "normal:1"}),
    "Kaiming's weights": Case(_HANDOUT),
}
_NOTES = (
    "The handout expects “similar or better” values. The verdict “below” means that ours is smaller, which is better.",
    "The network (784-64-64-32-10 with sigmoids), the learning rate 0.008 and the momentum 0.9 are those of the "
    "handout's sample call. The batch size of 100 is that of its linear exercise. The handout does not state the "
    "number of epochs. We use 20.",
    "Task 4 draws the weights from the standard normal distribution. The second case has Kaiming initialisation.",
)


def _plot(name: str, split: str, quantity: str, value: float) -> Entry:
    words = {"train": "training", "validation": "validation", "loss": "loss", "error": "error"}
    return Entry(
        name=f"cmu-f19/plot-{name}",
        kind="figure",
        title=f"The {words[split]} {words[quantity]} on MNIST by epoch",
        says=f"One of the four example plots. At its end, the {words[quantity]} is about {value}.",
        cases=_CASES,
        printed=(
            Printed("standard normal weights", f"last {split}_{quantity}", value, headline=False),
            Printed("Kaiming's weights", f"last {split}_{quantity}", value),
        ),
        notes=_NOTES,
        panels=(f"{split}_{quantity}",),
    )


ENTRIES = (
    _plot("training-loss", "train", "loss", 0.3),
    _plot("training-error", "train", "error", 0.1),
    _plot("validation-loss", "validation", "loss", 0.3),
    _plot("validation-error", "validation", "error", 0.1),
    Entry(
        name="cmu-f19/speech",
        kind="claim",
        title="Frame-level classification of speech",
        says="A competition on 24,500 utterances of the Wall Street Journal. The handout states no result.",
        cannot="The recordings of the Wall Street Journal are not freely available, and the handout states no result.",
    ),
)

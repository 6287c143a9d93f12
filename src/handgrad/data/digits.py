"""The 8x8 digits that ship inside the package: the UCI optical digits test set, as scikit-learn packs it.

`digits.npz` holds `images` (1797, 1, 8, 8), uint8, 0 to 16, and `labels` (1797,), uint8, in scikit-learn's order.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from handgrad.data.catalogue import Entry
from handgrad.data.samples import Samples

_FOLDER = Path(__file__).parent


def wanted(entry: Entry) -> str:
    """The files to put in place, in words."""
    return "digits.npz, which is a part of the package: install handgrad again"


def folders(entry: Entry, base: Path) -> list[Path]:
    """Where the files may lie: inside the package, whatever `base`."""
    return [_FOLDER]


def files(folder: Path) -> tuple[list[Path], list[str]]:
    """The files of the data set that are in `folder`, and the names of those that are not."""
    path = folder / "digits.npz"
    return ([path], []) if path.is_file() else ([], [path.name])


def read(entry: Entry, folder: Path) -> dict[str, Samples]:
    """The training and the test samples: every fifth sample (i % 5 == 4) is a test sample."""
    with np.load(folder / "digits.npz", allow_pickle=False) as archive:
        images, labels = archive["images"], archive["labels"]
    test = np.arange(len(labels)) % 5 == 4
    return {"train": Samples(images[~test], labels[~test]), "test": Samples(images[test], labels[test])}

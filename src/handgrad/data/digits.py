"""The 8x8 digits that are included in the package: the UCI optical digits test set, as in scikit-learn.

`digits.npz` contains `images` (1797, 1, 8, 8), uint8, 0 to 16, and `labels` (1797,), uint8, in scikit-learn's order.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from handgrad.data.catalogue import Entry
from handgrad.data.samples import Samples

_FOLDER = Path(__file__).parent


def wanted(entry: Entry) -> str:
    """Description of the expected files."""
    return "digits.npz, which is a part of the package: install handgrad again"


def folders(entry: Entry, base: Path) -> list[Path]:
    """Possible locations of the files: only the package, independent of `base`."""
    return [_FOLDER]


def files(folder: Path) -> tuple[list[Path], list[str]]:
    """The files of the data set that exist in `folder`, and the names of the missing ones."""
    path = folder / "digits.npz"
    return ([path], []) if path.is_file() else ([], [path.name])


def read(entry: Entry, folder: Path) -> dict[str, Samples]:
    """The training and the test samples: every fifth sample (i % 5 == 4) is a test sample."""
    with np.load(folder / "digits.npz", allow_pickle=False) as archive:
        images, labels = archive["images"], archive["labels"]
    test = np.arange(len(labels)) % 5 == 4
    return {"train": Samples(images[~test], labels[~test]), "test": Samples(images[test], labels[test])}

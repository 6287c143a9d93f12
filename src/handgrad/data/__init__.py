"""Data sets: `load("mnist")` finds a data set, downloads it if necessary, and returns a `Dataset` of raw values.

>>> from handgrad import data
>>> digits = data.load("digits", validation_size=200)
>>> digits.input_shape, digits.splits
((1, 8, 8), {'train': range(0, 1238), 'validation': range(1238, 1438), 'test': range(1438, 1797)})
>>> digits.gather(digits.indices("train")[:32]).shape
(32, 1, 8, 8)
"""

import importlib
from typing import TYPE_CHECKING

from handgrad.data.augmentation import Augmentation
from handgrad.data.catalogue import DATASETS, Download, Entry
from handgrad.data.dataset import PREPROCESSING, TASKS, VALIDATION_SPLITS, Dataset, Preprocessing, fit_preprocessing
from handgrad.data.frames import FrameDataset
from handgrad.data.loading import Check, Listing, check, describe, get, load
from handgrad.data.pictures import MODES as IMAGE_MODES
from handgrad.data.progress import Progress, show_progress

if TYPE_CHECKING:
    from handgrad.data.inspecting import Inspection, inspect
    from handgrad.data.own import Raw, assemble, from_arrays, raw_from_arrays
    from handgrad.data.sources import Reading, digest, digest_arrays, from_path, read
    from handgrad.data.tables import Table, TableEncoder, is_frame

__all__ = [
    "DATASETS",
    "IMAGE_MODES",
    "PREPROCESSING",
    "TASKS",
    "VALIDATION_SPLITS",
    "Augmentation",
    "Check",
    "Dataset",
    "Download",
    "Entry",
    "FrameDataset",
    "Inspection",
    "Listing",
    "Preprocessing",
    "Progress",
    "Raw",
    "Reading",
    "Table",
    "TableEncoder",
    "assemble",
    "check",
    "describe",
    "digest",
    "digest_arrays",
    "fit_preprocessing",
    "from_arrays",
    "from_path",
    "get",
    "inspect",
    "is_frame",
    "load",
    "raw_from_arrays",
    "read",
    "show_progress",
]

#: Names for the user's own data, whose modules are imported on first use; built-in data sets do not need them.
_HOMES = {
    **dict.fromkeys(("Inspection", "inspect"), "inspecting"),
    **dict.fromkeys(("Raw", "assemble", "from_arrays", "raw_from_arrays"), "own"),
    **dict.fromkeys(("Reading", "digest", "digest_arrays", "from_path", "read"), "sources"),
    **dict.fromkeys(("Table", "TableEncoder", "is_frame"), "tables"),
}


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(importlib.import_module(f"handgrad.data.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'handgrad.data' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

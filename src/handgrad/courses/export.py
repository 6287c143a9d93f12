"""The editions of the courses, and small files with the courses' names that import the drop-in classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from handgrad.courses.files import write_all
from handgrad.courses.uvadlc.editions import UVA_EDITIONS
from handgrad.errors import ConfigError, HandgradError


@dataclass(frozen=True)
class Edition:
    """One edition of a course's assignment.

    Arguments:
        name: as in `handgrad courses export NAME DIR`.
        title: course, assignment, year.
        needs_torch: whether some of its files import PyTorch.
        files: the text of each file, by its path.
    """

    name: str
    title: str
    needs_torch: bool
    files: Mapping[str, str]


def export(name: str, directory: str | Path, *, force: bool = False) -> list[Path]:
    """Writes the files of an edition, which import the drop-in classes, so that the course's test script runs against
    them.

    Arguments:
        name: one of `EDITIONS`.
        directory: the target folder, created if necessary.
        force: overwrite existing files.

    Returns: the paths of the files.
    Raises: ConfigError for an unknown edition; HandgradError if a file exists or cannot be written; in this case
    nothing is changed.
    """
    if name not in EDITIONS:
        raise ConfigError(f"edition={name!r} is unknown, expected one of {', '.join(EDITIONS)}")
    contents = {Path(directory) / path: text.encode() for path, text in EDITIONS[name].files.items()}
    there = [path.relative_to(directory).as_posix() for path in contents if path.exists() or path.is_symlink()]
    if there and not force:
        raise HandgradError(
            f"{directory} already has {', '.join(there)}: choose another folder, or overwrite them with --force"
        )
    write_all(contents)
    return list(contents)


# -- the files --------------------------------------------------------------------------------------------------------


def _file(title: str, name: str, module: str, names: Sequence[str], *, first: str = "", script: bool = False) -> str:
    """The text of a file that imports `names` from a module with drop-in classes.

    Arguments:
        first: lines before the import.
        script: whether the file runs the module's `main`, for the edition `name`.
    """
    text = (
        f'"""{title}.\n\n'
        f"Written by `handgrad courses export {name}`: the names are those of the course, the implementation is "
        "handgrad's.\n"
        '"""\n'
    )
    text += f"\n{first}" * bool(first)
    if names:
        text += f"\nfrom handgrad.courses.{module} import (  # noqa: F401\n"
        text += "".join(f"    {name},\n" for name in names) + ")\n"
    if script:
        text += f'\n\ndef main():\n    _main(edition="{name}")\n\n\nif __name__ == "__main__":\n    main()\n'
    return text


#: Scripts with `from hw1 import *` also get these from the course's file.
_HW1 = "import os  # noqa: F401\n\nimport numpy as np  # noqa: F401\n"
_ACTIVATIONS = ("Activation", "Identity", "Sigmoid", "Tanh", "ReLU")
_LOSSES = ("Criterion", "SoftmaxCrossEntropy")
_TRAINING = ("random_normal_weight_init", "zeros_bias_init", "get_training_stats")


def _cmu(name: str, year: str, module: str, parts: Mapping[str, Sequence[str]]) -> Edition:
    """`hw1.py` on its own, for scripts in the same folder, and in the folder `hw1` of a hand-in."""
    title = f"CMU 11-785, homework 1, part 1, {year}"
    hw1 = _file(title, name, module, (*_ACTIVATIONS, *_LOSSES, "BatchNorm", *_TRAINING, "MLP"), first=_HW1)
    files = {"hw1.py": hw1, "hw1/__init__.py": hw1, "hw1/hw1.py": hw1}
    for part, names in parts.items():
        files[f"mytorch/{part}.py"] = _file(title, name, module, names)
    return Edition(name, title, False, files)


_MYTORCH = {
    "__init__": (),
    "activation": _ACTIVATIONS,
    "loss": _LOSSES,
    "linear": ("Linear",),
    "batchnorm": ("BatchNorm",),
}

_UVA = {
    # the edition: its date, its activation, its normalisation
    "uva-apr19": ("April 2019", "ReLUModule", "Batch"),
    "uva-nov19": ("November 2019", "LeakyReLUModule", "Batch"),
    "uva-2020": ("2020", "ELUModule", "Layer"),
}


def _uva(name: str) -> Edition:
    date, activation, norm = _UVA[name]
    title = f"University of Amsterdam, deep learning, assignment 1, {date}"
    suffix = UVA_EDITIONS[name].suffix

    def named(name: str) -> str:
        return f"{name}{suffix} as {name}" if suffix else name

    forms = ("Autograd", "ManualFunction", "ManualModule")
    contents = {
        "modules": ("LinearModule", activation, "SoftMaxModule", "CrossEntropyModule"),
        "mlp_numpy": (named("MLP"),),
        "mlp_pytorch": (named("MLP"),),
        "convnet_pytorch": (named("ConvNet"),),
        f"custom_{norm.lower()}norm": tuple(f"Custom{norm}Norm{form}" for form in forms),
        "cifar10_utils": ("DataSet", "dense_to_one_hot", "get_cifar10"),
    }
    files = {f"{part}.py": _file(title, name, f"uvadlc.{part}", names) for part, names in contents.items()}
    for part in ("train_mlp_numpy", "train_mlp_pytorch", "train_convnet_pytorch"):
        files[f"{part}.py"] = _file(title, name, f"uvadlc.{part}", ("accuracy", "main as _main"), script=True)
    return Edition(name, title, True, files)


#: Every edition, by name.
EDITIONS: dict[str, Edition] = {
    edition.name: edition
    for edition in (
        _cmu("cmu-s19", "Spring 2019", "cmu11785", {}),
        _cmu("cmu-f19", "Fall 2019", "cmu11785", {}),
        _cmu("cmu-2020", "2020 and 2021", "cmu11785.mytorch", _MYTORCH),
        *map(_uva, UVA_EDITIONS),
    )
}

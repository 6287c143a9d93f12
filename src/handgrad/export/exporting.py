"""Exporting a run to files that do not require handgrad."""

from __future__ import annotations

import contextlib
import json
import keyword
import sys
from pathlib import Path

from handgrad.errors import ConfigError
from handgrad.export.card import card, card_path, describes
from handgrad.export.onnx import NEWEST_OPSET, onnx_model
from handgrad.export.python import python_file
from handgrad.export.torch import state_bytes, torch_module, torch_state
from handgrad.export.trained import Trained, trained
from handgrad.training import Run
from handgrad.training.run import replacing

#: The export formats with their file name extensions.
FORMS = {"python": ".py", "onnx": ".onnx", "torch": ".py", "safetensors": ".safetensors"}


def export(
    run: Run,
    to: str,
    out: str | Path,
    *,
    weights: str = "best",
    with_training: bool = False,
    with_preprocessing: bool = False,
    opset: int | None = None,
    with_card: bool = True,
    force: bool = False,
) -> list[Path]:
    """Exports the network of a run to files that do not require handgrad.

    Arguments:
        run: the run.
        to: one of `FORMS`.
        out: the file; torch writes a second one in the same folder.
        weights: `best`, of the best evaluation, or `last`, of the last step.
        with_training: for `python`, also write the code of one training step of this network.
        with_preprocessing: for `onnx`, take raw values and return probabilities, or targets in their original units.
        opset: for `onnx`, the newest operator set that the file may require, 17 to 24; None allows all that the
            installed onnxruntime supports.
        with_card: also write a model card in the same folder: `README.md` or, if that file is unrelated, the name of
            the file with the suffix .md.
        force: overwrite existing files.

    Returns: the paths of the files, starting with `out`.

    Raises:
        ConfigError: an argument is invalid, or a file already exists.
        RunError: the run has no such weights, or a file cannot be written. In this case nothing is changed.
    """
    out = Path(out)
    if to not in FORMS:
        raise ConfigError(f"to={to!r}: expected one of {', '.join(FORMS)}")
    if out.suffix != FORMS[to] or out.is_dir():
        raise ConfigError(f"out={out}: expected the name of a file that ends in {FORMS[to]}, as net{FORMS[to]}")
    if FORMS[to] == ".py" and not _can_be_imported(out.stem):
        raise ConfigError(
            f"out={out}: Python could not import it, or it would hide the library of that name; choose another, as "
            "net.py"
        )
    for name, given, form in (
        ("with_training", with_training, "python"),
        ("with_preprocessing", with_preprocessing, "onnx"),
        ("opset", opset is not None, "onnx"),
    ):
        if given and to != form:
            raise ConfigError(f"{name} requires to={form}, not to={to}: leave it out")
    network = trained(run, weights)
    contents = _contents(network, to, out, with_training, with_preprocessing, opset)
    if with_card:
        readme = card_path(network, out)
        form = "onnx-raw" if with_preprocessing else to
        contents[readme] = card(network, readme, {out.name: form}).encode()
    there = [path for path in contents if (path.exists() or path.is_symlink()) and not describes(path, network)]
    if there and not force:
        names = " and ".join(map(str, there))
        raise ConfigError(f"{names} already exists: choose another --out, or replace it with --force")
    with contextlib.ExitStack() as stack:  # all files are written before the first is renamed
        for path, content in contents.items():
            temporary = stack.enter_context(replacing(path, advice="Free some space or choose another --out"))
            temporary.write_bytes(content)
    return list(contents)


def _can_be_imported(name: str) -> bool:
    """Whether a file with this name can be imported without hiding another library."""
    taken = {"numpy", "torch", "safetensors", "PIL", *sys.stdlib_module_names}
    return name.isidentifier() and not keyword.iskeyword(name) and name not in taken


def _contents(
    network: Trained, to: str, out: Path, with_training: bool, with_preprocessing: bool, opset: int | None
) -> dict[Path, bytes]:
    """The files of an export, the requested one first."""
    if to == "python":
        return {out: python_file(network, file_name=out.name, training=with_training).encode()}
    if to == "onnx":
        newest = NEWEST_OPSET if opset is None else opset
        return {out: onnx_model(network, with_preprocessing=with_preprocessing, opset=newest)}
    if to == "safetensors":
        about = {"handgrad": json.dumps({"architecture": network.architecture.to_dict()})}
        return {out: state_bytes(network.state, about)}
    text = torch_module(network, file_name=out.name)
    return {out: text.encode(), out.with_suffix(".safetensors"): state_bytes(torch_state(network))}

"""The model card: a README for an export with a description of the network, its metrics, and how to run it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import handgrad
from handgrad.data import DATASETS
from handgrad.export.onnx import output_name
from handgrad.export.trained import Trained, listed
from handgrad.training.judging import SPLITS

#: The first line of a card: the network, and the files that it describes, with their formats.
_MARK = "<!-- handgrad model card: "
#: Maximum number of listed names; if there are more, only their number is given.
_MAX_NAMES = 100


def card_path(trained: Trained, out: Path) -> Path:
    """The path of the card: `README.md` in the folder of the export or, if that file is unrelated, the name of the
    export with the suffix .md."""
    readme = out.with_name("README.md")
    return readme if not readme.exists() or describes(readme, trained) else out.with_name(f"{out.name}.md")


def describes(path: Path, trained: Trained) -> bool:
    """Whether a file is a card of this network, which may be replaced."""
    return _described(path, trained) is not None


def card(trained: Trained, path: Path, files: Mapping[str, str]) -> str:
    """The text of the card.

    Arguments:
        path: path of the card; existing files that are described by an earlier card are kept.
        files: the name of each main file with its format (`onnx-raw`: ONNX with preprocessing).
    """
    earlier = _described(path, trained) or {}
    files = {**{name: form for name, form in earlier.items() if path.with_name(name).exists()}, **files}
    mark = json.dumps({"network": _identity(trained), "files": files})
    parts = [
        f"{_MARK}{mark} -->",
        f"# {trained.name}",
        _what(trained),
        _inputs(trained),
        _outputs(trained),
        _figures(trained),
        _data(trained),
        _network(trained),
        "## How to run it",
        *(_usage(trained, name, form) for name, form in files.items()),
        "## Licence",
        "(to be filled in: the licence of this network; see also the licence of its data)",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _identity(trained: Trained) -> str:
    """The weights of a different step count as a different network."""
    return f"{trained.name}, {trained.weights}"


def _described(path: Path, trained: Trained) -> dict[str, str] | None:
    """The files that a card describes; None if there is no card, or one of another network."""
    try:
        first = path.read_text(encoding="utf-8").partition("\n")[0]
        if not first.startswith(_MARK):
            return None
        mark = json.loads(first.removeprefix(_MARK).removesuffix("-->"))
        return mark["files"] if mark["network"] == _identity(trained) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _what(trained: Trained) -> str:
    kind = "predicts numbers (regression)" if trained.regression else f"distinguishes {len(trained.classes)} classes"
    return (
        f"A neural network that {kind}: {trained.architecture.parameters:,} parameters, trained with "
        f"[handgrad](https://pypi.org/project/handgrad/) {handgrad.__version__}."
    )


def _names(names: tuple[str, ...]) -> str:
    shown = ", ".join(f"`{name}`" if name.strip() and "`" not in name else repr(name) for name in names[:_MAX_NAMES])
    return shown + (f", and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else "")


def _inputs(trained: Trained) -> str:
    if trained.table:
        rows = ["| column | kind | missing | features |", "|---|---|---|---|"]
        for column in trained.table["columns"]:
            name = column["name"].replace("|", "\\|")
            if column["kind"] == "number":
                flag = ", and is flagged by a 0/1 feature" if column.get("flag") else ""
                rows.append(
                    f"| {name} | number | becomes {column['fill']:.6g}{flag} | {1 + bool(column.get('flag'))} |"
                )
            else:
                missing = "a separate value" if "" in column["values"] else "all 0"
                values = listed(column["values"][:10]) + (" …" if len(column["values"]) > 10 else "")
                rows.append(
                    f"| {name} | one of {values.replace('|', chr(92) + '|')} (any other value: all 0) | {missing} "
                    f"| {len(column['values'])} |"
                )
        return "## Inputs\n\nRows of a table with these columns:\n\n" + "\n".join(rows)
    shape = " × ".join(map(str, trained.input_shape))
    if trained.frames:
        frames, features = trained.input_shape
        shape = f"Windows of {frames} frames with {features} features each, {shape}"
    scale = f", raw values from 0 to {trained.value_range:g}" if len(trained.input_shape) == 3 else ""
    return f"## Inputs\n\n{shape} numbers per sample{scale}. Preprocessing: {_preprocessing(trained)}."


def _preprocessing(trained: Trained) -> str:
    if trained.shift.size == trained.scale.size == 1:
        shift, scale = trained.shift.item(), trained.scale.item()
        if shift == 0:
            return "none" if scale == 1 else f"x · {scale:.6g}"
        return f"(x - {shift:.6g}) · {scale:.6g}"
    return "(x - shift) · scale, with numbers computed from the training data"


def _outputs(trained: Trained) -> str:
    if trained.regression:
        return f"## Outputs\n\nTargets, in their original units: {_names(trained.classes)}."
    return f"## Outputs\n\nA probability for each class, in this order: {_names(trained.classes)}."


def _figures(trained: Trained) -> str:
    """The evaluation of the weights."""
    figures = trained.figures
    splits = [split for split in SPLITS if figures.get(f"{split}_loss") is not None]
    if not splits:
        return ""
    names = list(
        dict.fromkeys(
            key.removeprefix(f"{split}_")
            for split in splits
            for key, value in figures.items()
            if key.startswith(f"{split}_") and isinstance(value, (int, float))
        )
    )
    rows = [f"| | {' | '.join(name.replace('_', ' ') for name in names)} |", "|---" * (len(names) + 1) + "|"]
    for split in splits:
        values = [figures.get(f"{split}_{name}") for name in names]
        shown = " | ".join("" if value is None else f"{value:.4f}" for value in values)
        rows.append(f"| {split} | {shown} |")
    note = _parts(trained)
    if trained.weights == "best" and str(trained.summary.get("selected_by", "")).startswith("test"):
        note += "\n\nThis step was selected by its result on the test data, so the result is optimistically biased."
    return f"## Metrics\n\nAfter {figures['step']:,} steps:\n\n" + "\n".join(rows) + note


def _parts(trained: Trained) -> str:
    """The metrics of each class or target on the last available split."""
    found = trained.summary.get("details", {}).get(trained.weights, {})
    split = next((split for split in ("test", "validation") if found.get(split)), None)
    if split is None:
        return ""
    parts = found[split].get("targets" if trained.regression else "classes") or {}
    if not 1 < len(parts) <= _MAX_NAMES:
        return ""
    names = list(next(iter(parts.values())))
    rows = [f"| {split} | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for part, figures in parts.items():
        values = [str(value) if isinstance(value, int) else f"{value:.4f}" for value in figures.values()]
        rows.append(f"| {part.replace('|', chr(92) + '|')} | {' | '.join(values)} |")
    return "\n\n" + "\n".join(rows)


def _data(trained: Trained) -> str:
    config = trained.config
    own = getattr(config, "data", None)
    if own is None and config.dataset in DATASETS:
        entry = DATASETS[config.dataset]
        text = f"{entry.name}: {entry.title}. Source: {entry.source}. Licence: {entry.licence}."
    elif own is not None:
        name = "arrays given from Python" if own == ":memory:" else f"`{Path(own).name}`"
        checksum = getattr(config, "data_sha256", None)
        text = name + (f" (SHA-256 `{checksum}`)." if checksum else ".")
    else:
        text = f"{config.dataset}."
    return f"## Data\n\nTrained on {text}"


def _network(trained: Trained) -> str:
    rows = ["| layer | kind | output | parameters |", "|---|---|---|---|"]
    for row in trained.architecture.rows():
        shape = " × ".join(map(str, row.output_shape))
        rows.append(f"| {row.name} | {row.kind} | {shape} | {row.parameters or ''} |")
    config = trained.config
    loss = config.loss_spec(trained.task).name
    how = f"Trained with {config.optimizer}, loss {loss}, batches of {config.batch_size}, seed {config.seed}."
    return "## The network\n\n" + "\n".join(rows) + f"\n\n{how}"


def _usage(trained: Trained, name: str, form: str) -> str:
    stem = Path(name).stem
    what = "targets" if trained.regression else "probabilities"
    data = "table.csv" if trained.table else "inputs.npy"
    encoded = "the encoded table, see `features` in its metadata" if trained.table else "preprocessed"
    if form == "python":
        blocks = [
            f"`{name}` requires only Python and NumPy.",
            f"```sh\npython {name} {data} --out predictions.csv\n```",
            f"```python\nfrom {stem} import {trained.names_constant}, predict\n\n{what} = predict(x)\n```",
        ]
    elif form in ("onnx", "onnx-raw"):
        raw = form == "onnx-raw"
        shape = trained.input_shape if raw else trained.architecture.input_shape
        blocks = [
            f"`{name}` runs on any ONNX runtime. Its input is float32 ({', '.join(map(str, ('N', *shape)))}), "
            + ("raw values" if raw and not trained.table else "the encoded table" if raw else encoded)
            + f"; its output `{output_name(trained, raw)}`.",
            "```python\nimport onnxruntime\n\n"
            f'session = onnxruntime.InferenceSession("{name}")\n'
            f'({output_name(trained, raw).replace("-", "_")},) = session.run(None, {{"input": x}})\n```',
        ]
    elif form == "torch":
        inputs = "the encoded table: see FEATURES" if trained.table else "raw inputs"
        blocks = [
            f"`{name}` and `{stem}.safetensors` require PyTorch and safetensors.",
            f'```python\nfrom {stem} import load\n\nnetwork = load("{stem}.safetensors")\n'
            f"{what} = network.predict(x)  # {inputs}\n```",
        ]
    else:
        blocks = [
            f"`{name}` contains only the weights, under the names of a PyTorch `nn.Sequential`.",
            f'```python\nfrom safetensors.numpy import load_file\n\nweights = load_file("{name}")\n```',
        ]
    return "\n\n".join([f"### {name}", *blocks])

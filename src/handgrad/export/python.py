"""A Python file that requires only NumPy: weights, preprocessing, class names, `predict` and a command line."""

from __future__ import annotations

import base64
import json
import pprint
import re
import textwrap

import numpy as np

from handgrad import __version__
from handgrad._typing import Array, Shaped
from handgrad.export.numpy_code import HELPERS, forward_lines, helpers_used
from handgrad.export.numpy_training import HELPERS as TRAINING_HELPERS
from handgrad.export.numpy_training import training_code
from handgrad.export.trained import Trained, listed

#: Strings that represent a missing number, as in `data.tables`.
MISSING = (
    *("", "NA", "N/A", "n/a", "na", "#N/A", "<NA>", "NaN", "nan", "NAN"),
    *("null", "NULL", "None", "none", "?", "-", "."),
)


def python_file(trained: Trained, *, file_name: str, training: bool = False) -> str:
    """The text of the file.

    Arguments:
        trained: the network.
        file_name: its name, for the help text.
        training: whether to include the forward pass, the backward pass and the update of the network.
    """
    items = trained.items()
    shape = tuple(trained.architecture.input_shape)
    forward = "\n".join(
        [
            "def forward(x):",
            f'    """The network\'s {trained.output} (N, {len(trained.classes)}) for preprocessed inputs x '
            f'{batch(shape)}."""',
            *(f"    {line}" for line in forward_lines(items)),
            "    return x",
        ]
    )
    parts = [_constants(trained), _inputs(trained), forward, _prediction(trained)]
    if training:
        parts.append(training_code(trained))
    helpers = helpers_used("\n".join(parts), {**HELPERS, **TRAINING_HELPERS})
    text = "\n\n\n".join(
        part.strip("\n")
        for part in (*parts, *helpers, _UNPACK, _reader(trained), _command_line(trained, training), _weights(trained))
    )
    known = ("argparse", "base64", "csv", "gzip", "math", "os", "re", "sys", "warnings")
    modules = [name for name in known if re.search(rf"\b{name}\.", text)]
    head = [_docstring(trained, file_name, training), "", *(f"import {name}" for name in modules), ""]
    return "\n".join([*head, "import numpy as np", "", text, "", "", 'if __name__ == "__main__":', "    main()", ""])


def _docstring(trained: Trained, file_name: str, training: bool) -> str:
    what = "regression of " if trained.regression else "classes "
    names = listed(trained.classes) if len(trained.classes) <= 20 else f"{len(trained.classes)} of them"
    module = file_name.removesuffix(".py")
    inputs = {"table": "table.csv", "image": "picture.png", "array": "inputs.npy"}[_kind(trained)]
    lines = [
        f"{trained.name}: a neural network trained with handgrad {__version__}; this file requires only NumPy.",
        "",
        *textwrap.wrap(f"Input: {_input_words(trained)}.", 110, subsequent_indent="    "),
        *textwrap.wrap(f"Output: {what}{names}.", 110, subsequent_indent="    "),
        "",
        "On the command line:",
        f"    python {file_name} {inputs}{' ' * (14 - len(inputs))} predictions as CSV",
        *(
            [f"    python {file_name} {inputs} --labels labels.npy --train 100   check gradients, train"]
            if training
            else []
        ),
        *([f"    python {file_name} inputs.npy     the same for many inputs"] if _kind(trained) == "image" else []),
        "In Python:",
        f"    from {module} import predict, {trained.names_constant}",
        f"    {'values' if trained.regression else 'probabilities'} = predict(inputs)",
    ]
    body = "\n".join(lines).replace("\\", "\\\\").replace('"""', "'''")
    return f'"""{body}\n"""'


def _kind(trained: Trained) -> str:
    if trained.table:
        return "table"
    shape = trained.input_shape
    return "image" if len(shape) == 3 and shape[0] in (1, 3) else "array"


def _input_words(trained: Trained) -> str:
    if trained.table:
        return "rows of a table with the columns " + listed(c["name"] for c in trained.table["columns"])
    if _kind(trained) == "image":
        channels, height, width = trained.input_shape
        return (
            f"images {batch(trained.input_shape)}, {'grey' if channels == 1 else 'RGB'}, {width} pixels wide and "
            f"{height} high, raw values from 0 to {trained.value_range:g}"
        )
    if trained.frames:
        edges = "with the first or last one repeated at the edges of an utterance"
        return f"windows {batch(trained.input_shape)} of frames, {edges}"
    return f"raw numbers {batch(trained.input_shape)}"


def batch(shape: tuple[int, ...]) -> str:
    """A description of the shape of N inputs."""
    return f"({', '.join(map(str, ('N', *shape)))})"


def literal(array: Shaped[Array, "..."]) -> str:
    """An array as code: short ones as numbers, others as base64-encoded little-endian float32."""
    array = np.asarray(array, np.float32)
    if array.size <= 8:
        return f"np.array({array.astype(float).tolist()!r}, np.float32)"
    encoded = base64.b64encode(array.astype("<f4").tobytes()).decode()
    lines = "\n".join(encoded[i : i + 116] for i in range(0, len(encoded), 116))
    return f'unpack({array.shape}, """\n{lines}""")'


def named_tuple(name: str, values: tuple[str, ...]) -> str:
    """A tuple of strings as code, on several lines if it is long."""
    flat = f"{name} = ({', '.join(map(_quoted, values))}{',' if len(values) == 1 else ''})"
    if len(flat) <= 116:
        return flat
    return "\n".join([f"{name} = (", *textwrap.wrap(", ".join(map(_quoted, values)) + ",", 110), ")"])


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _constants(trained: Trained) -> str:
    lines = [
        f"# The {'targets' if trained.regression else 'classes'}, in the order of the network's outputs.",
        named_tuple(trained.names_constant, trained.classes),
        "# The shapes of one raw input and of one network input.",
        f"INPUT_SHAPE = {tuple(trained.input_shape)}",
        f"NETWORK_SHAPE = {tuple(trained.architecture.input_shape)}",
    ]
    if _kind(trained) == "image":
        lines.append(f"VALUE_RANGE = {trained.value_range!r}  # the largest raw value")
    if trained.table:
        columns = pprint.pformat(trained.table["columns"], width=110, sort_dicts=False)
        lines += ["# The encoding of each column.", f"COLUMNS = {columns}"]
        lines.append("# Strings that represent a missing number; a missing category is an empty string.")
        lines.append(named_tuple("MISSING", MISSING))
    return "\n".join(lines)


_ENCODE = '''\
def encode(rows):
    """Numbers (N, D) from rows of the table: dictionaries by column, or a DataFrame.

    A missing number is replaced by the median of training (and marked by a flag); a category is one-hot encoded, with a
    warning if it did not occur in training.
    """
    if hasattr(rows, "to_dicts"):  # polars
        rows = rows.to_dicts()
    elif hasattr(rows, "to_dict"):  # pandas
        rows = rows.to_dict("records")
    return np.array([encode_row(row, i) for i, row in enumerate(rows, 1)], np.float32).reshape(-1, *INPUT_SHAPE)


def encode_row(row, number):
    """The numbers of one row."""
    numbers = []
    for column in COLUMNS:
        name = column["name"]
        if name not in row:
            raise ValueError(f"row {number}: there is no column {name!r}; it has {', '.join(map(str, row))}")
        text = as_text(row[name])
        if column["kind"] == "category":
            if text not in column["values"]:
                warnings.warn(f"column {name}: {text!r} did not occur in training; encoded as all zeros", stacklevel=2)
            numbers += [float(text == known) for known in column["values"]]
            continue
        missing = text in MISSING
        try:
            numbers.append(column["fill"] if missing else float(text))
        except ValueError:
            raise ValueError(f"row {number}, column {name}: {text!r} is not a number") from None
        if column.get("flag"):
            numbers.append(float(missing))
    return numbers


def as_text(value):
    """A cell as text: empty if missing, integers without a decimal point."""
    if value is None or value != value:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
'''

_PREPROCESS = '''\
def preprocess(x):
    """Converts raw inputs to network inputs: (x - SHIFT) * SCALE, float32."""
    x = np.asarray(x, np.float32)
    if x.shape == INPUT_SHAPE:  # a single one
        x = x[np.newaxis]
    if x.ndim == 4 and x.shape[1:] != INPUT_SHAPE and x.shape[-1:] == INPUT_SHAPE[:1]:  # channels last
        x = np.moveaxis(x, -1, 1)
    if x.ndim < 2 or x.shape[1:] != INPUT_SHAPE and x[:1].size != math.prod(INPUT_SHAPE) * len(x[:1]):
        raise ValueError(f"inputs of shape {x.shape}: expected (N, {', '.join(map(str, INPUT_SHAPE))})")
    if not np.isfinite(x).all():
        raise ValueError("the inputs contain NaN or infinity: expected finite numbers")
    x = (x.reshape(len(x), *INPUT_SHAPE) - SHIFT) * SCALE
    return x.reshape(len(x), *NETWORK_SHAPE)
'''


def _inputs(trained: Trained) -> str:
    if not trained.table:
        return _PREPROCESS
    return _ENCODE + "\n\n" + _PREPROCESS


def _prediction(trained: Trained) -> str:
    first = f"x = preprocess({'x if isinstance(x, np.ndarray) else encode(x)' if trained.table else 'x'})"
    turn = {
        "scores": "softmax(y)",
        "log-probabilities": "np.exp(y)",
        "probabilities": "y",
        "outputs": "nearest_probabilities(y)",
        "targets": "y",
    }[trained.output]
    if trained.target_scale is not None:
        turn = "y / TARGET_SCALE + TARGET_SHIFT"
    what = "The targets" if trained.regression else "The probability of each class"
    unit = "in their original units, in the order of TARGETS" if trained.regression else "in the order of CLASSES"
    raw = "rows of the table (see `encode`)" if trained.table else f"raw inputs x {batch(trained.input_shape)}"
    return "\n".join(
        [
            "def predict(x):",
            f'    """{what} (N, {len(trained.classes)}), {unit}, for {raw}."""',
            f"    {first}",
            "    parts = [forward(x[i : i + 256]) for i in range(0, len(x), 256)]  # in batches",
            f"    y = np.concatenate(parts) if parts else np.empty((0, {len(trained.classes)}), np.float32)",
            f"    return {turn}",
        ]
    )


_UNPACK = '''\
def unpack(shape, text):
    """An array from base64 of little-endian float32."""
    return np.frombuffer(base64.b64decode(text), "<f4").reshape(shape).astype(np.float32)
'''

_READ_NPY = """\
    if path.lower().endswith(".npy"):
        return np.load(path, allow_pickle=False)
"""

_READ_TABLE = """\
    name = path.lower().removesuffix(".gz")
    if name.endswith((".csv", ".tsv", ".txt")):
        opened = gzip.open if path.lower().endswith(".gz") else open
        with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
            first = next((line for line in file if line.strip()), "")
            delimiter = "\\t" if name.endswith(".tsv") else max(",;\\t|", key=first.count)
            if re.fullmatch(r"sep=.\\s*", first):  # for Excel
                delimiter, first = first[4], next(file, "")

            def lines():  # a quoted name in the header may continue on the next line
                yield first
                yield from file

            reader = csv.reader(lines(), delimiter=delimiter)
            header, *cells = ((reader.line_num, row) for row in reader if row)
        names = [column.strip() for column in header[1]]
        rows = [dict(zip(names, row)) for _, row in cells]
        for (number, cell), row in zip(cells, rows):
            if len(cell) != len(names):
                raise ValueError(f"line {number} does not have {len(names)} cells, as the header has")
            if delimiter == ";":  # with decimal commas
                decimal = [name for name, text in row.items() if re.fullmatch(r"[-+]?\\d+,\\d+", text.strip())]
                row.update((name, row[name].replace(",", ".")) for name in decimal)
        return rows
"""

_READ_IMAGE = """\
    try:
        from PIL import Image, ImageOps
    except ImportError:
        sys.exit(f"{path}: reading pictures requires Pillow: pip install pillow")
    channels, height, width = INPUT_SHAPE
    with Image.open(path) as image:
        picture = ImageOps.exif_transpose(image)
    if picture.mode.startswith("I"):  # 16 bits
        levels = np.asarray(picture, np.float32)
        picture = Image.fromarray(np.round(levels / 257).clip(0, 255).astype(np.uint8))
    if picture.mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")  # put on black if its content is light, else on white
        alpha = np.asarray(picture)[..., 3] / 255
        light = (np.asarray(picture.convert("RGB").convert("L"), float) * alpha).sum() > 127.5 * alpha.sum()
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "black" if light else "white"), picture)
    picture = picture if picture.mode in ("L", "RGB") else picture.convert("RGB")
    if picture.size != (width, height):
        picture = picture.resize((width, height))
    pixels = np.asarray(picture.convert("L" if channels == 1 else "RGB"), np.float32)
    pixels = pixels.reshape(height, width, channels).transpose(2, 0, 1)
    return pixels[np.newaxis] * (VALUE_RANGE / 255)
"""


def _reader(trained: Trained) -> str:
    kind = _kind(trained)
    what = {
        "table": "A table from a .csv or .tsv file (.gz too), or already encoded numbers from a .npy",
        "image": "Raw inputs from a .npy file, or one from a picture",
        "array": "Raw inputs from a .npy file",
    }[kind]
    last = {"table": ".csv, .tsv or .npy", "image": "", "array": ".npy"}[kind]
    body = _READ_NPY + {"table": _READ_TABLE, "image": _READ_IMAGE, "array": ""}[kind]
    if last:
        body += f'    raise ValueError("expected a {last} file")\n'
    return f'def read(path):\n    """{what}."""\n{body}'


_TRAINING_FLAGS = """\
    parser.add_argument("--labels", help="a .npy file with labels: first check the gradients numerically")
    parser.add_argument("--train", type=int, default=0, metavar="STEPS", help="then train for this number of steps")
    parser.add_argument("--fresh", action="store_true", help="start from newly drawn weights")
"""

_TRAINING_ACTIONS = """\
        if arguments.labels:
            inputs = read(arguments.input)
            labels = np.load(arguments.labels, allow_pickle=False)
            if arguments.fresh:
                initialise()
            for name, error in check(inputs[:16], labels[:16]).items():
                print(f"gradient of {name}: relative error {error:.1e}")
            train(inputs, labels, steps=arguments.train)
            if not arguments.out:
                return
"""


def _command_line(trained: Trained, training: bool) -> str:
    flags, act = ("", "") if not training else (_TRAINING_FLAGS, _TRAINING_ACTIONS)
    if training and trained.table:
        act = act.replace("inputs = read(arguments.input)", "inputs = encode(read(arguments.input))")
    best = "" if trained.regression else "CLASSES[row.argmax()], "
    plain = '    warnings.formatwarning = lambda message, *_: f"{message}\\n"\n' if trained.table else ""
    header = "*TARGETS" if trained.regression else '"prediction", *CLASSES'
    return f"""\
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("input", help="the inputs: see the beginning of this file")
    parser.add_argument("--out", help="a CSV file for the predictions [printed]")
{flags}    arguments = parser.parse_args()
{plain}    try:
{act}        if arguments.out and os.path.exists(arguments.out) and os.path.samefile(arguments.out, arguments.input):
            raise ValueError("--out is the same file, which would be overwritten: choose another")
        predictions = predict(read(arguments.input))
    except (OSError, ValueError) as error:
        sys.exit(f"{{arguments.input}}: {{error}}")
    with open(arguments.out, "w", encoding="utf-8", newline="") if arguments.out else sys.stdout as file:
        table = csv.writer(file, lineterminator="\\n")
        table.writerow(["row", {header}])
        for i, row in enumerate(predictions, 1):
            table.writerow([i, {best}*(f"{{value:.6g}}" for value in row)])
"""


def _weights(trained: Trained) -> str:
    lines = [
        "# Preprocessing and weights: float32 in base64.",
        f"SHIFT = {literal(trained.shift)}",
        f"SCALE = {literal(trained.scale)}",
    ]
    if trained.target_scale is not None and trained.target_shift is not None:
        lines += [
            f"TARGET_SHIFT = {literal(trained.target_shift)}",
            f"TARGET_SCALE = {literal(trained.target_scale)}",
        ]
    lines.append("W = {")
    for name, array in trained.state.items():
        if array.dtype.kind == "f":  # without the number of batches seen by normalisations
            lines.append(f'    "{name}": {literal(array)},')
    return "\n".join([*lines, "}"])

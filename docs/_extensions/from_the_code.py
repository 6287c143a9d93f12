"""Directives that write a page's tables from the package itself, so that they cannot go stale.

`{settings}`: every field of `TrainConfig`. `{recipes}`: every recipe with its file. `{datasets}`: the catalogue.
`{layer-kinds}`: the kinds of layers that an architecture may name. `{bugs}`: every bug that the checker names.
`{floors}`: the rooms, as import-linter holds them to their floors.
"""

from __future__ import annotations

import ast
import dataclasses
import math
import re
import tomllib
from pathlib import Path
from typing import Any

from sphinx.util.docutils import SphinxDirective

from handgrad.architectures import KINDS
from handgrad.checking.catalogue import as_markdown
from handgrad.data import DATASETS
from handgrad.training import TrainConfig, merge_settings, recipe_names, recipe_title
from handgrad.training.config import GROUPS
from handgrad.training.recipes import recipe_text


def setup(app):
    for name, write in (
        ("settings", settings),
        ("recipes", recipes),
        ("datasets", datasets),
        ("layer-kinds", layer_kinds),
        ("bugs", as_markdown),
        ("floors", floors),
    ):
        app.add_directive(name, type(name, (Written,), {"write": staticmethod(write)}))
    return {"parallel_read_safe": True}


class Written(SphinxDirective):
    """Parses the Markdown that `write` gives back in the directive's place."""

    def run(self):
        return self.parse_text_to_nodes(self.write(), allow_section_headings=True)


def settings() -> str:
    """A definition list for each group of settings: narrow enough for a telephone."""
    fields = {field.name: field for field in dataclasses.fields(TrainConfig)}
    groups = {"Where the settings come from": ("recipe",), **GROUPS}
    if missing := fields.keys() - {name for names in groups.values() for name in names}:
        raise ValueError(f"settings without a heading: {sorted(missing)}")
    lines = []
    for heading, names in groups.items():
        lines += [f"### {heading}", ""]
        for name in names:
            field = fields[name]
            meaning, default = field.metadata["help"], field.metadata["default_text"]
            default = default or f"`{_value(field.default)}`"
            expected = "one of " + ", ".join(recipe_names()) if name == "recipe" else field.metadata["rule"][0]
            lines += [
                f"`--{name.replace('_', '-')}`",
                f": {meaning[0].upper()}{meaning[1:]}.",
                "",
                f"  Key `{name}`; default: {default}; expected: {expected}.",
                "",
            ]
    return "\n".join(lines)


def recipes() -> str:
    lines = []
    for name in recipe_names():
        config = TrainConfig.from_settings(merge_settings(name))
        data = DATASETS[config.dataset]
        if data.classes:
            network = config.architecture(data.input_shape, len(data.classes))
            widths = (math.prod(data.input_shape), *config.hidden_units, len(data.classes))
            network = f"{'-'.join(map(str, widths))}, {network.parameters:,} parameters"
        else:
            widths = ((2 * config.context + 1) * math.prod(data.input_shape), *config.hidden_units)
            network = f"{'-'.join(map(str, widths))} and a score for each state of the labels"
        title = recipe_title(name)
        lines += [
            f"### {name}",
            "",
            f"{title[0].upper()}{title[1:]}.",
            f"The network: {network}.",
            "",
            "```toml",
            *recipe_text(name).splitlines()[1:],
            "```",
            "",
        ]
    return "\n".join(lines)


def datasets() -> str:
    lines = []
    for entry in DATASETS.values():
        size = sum(download.size for download in entry.downloads)
        sizes = ", ".join(f"{count:,} {split}" for split, count in entry.sizes.items())
        shape = " × ".join(map(str, entry.input_shape))
        what = f"{sizes}; inputs {shape}, raw values 0 to {entry.value_range:g}; "
        what += f"{len(entry.classes)} classes: {', '.join(entry.classes)}."
        origin = "No download: it is a part of the package."
        if not entry.classes:
            what = f"Frames of {shape} numbers; the classes are those of the labels. See [Speech](speech-training.md)."
            origin = "No download: the files are yours."
        lines += [
            f"`{entry.name}`",
            f": {entry.title[0].upper()}{entry.title[1:]}.",
            "",
            f"  {what}",
            "",
            f"  Preprocessing where none is asked for: `{entry.preprocessing}`. "
            + (f"Download: {size / 1e6:.1f} MB." if size else origin),
            "",
            f"  Licence: {entry.licence}. Source: {entry.source}.",
            "",
        ]
    return "\n".join(lines)


def layer_kinds() -> str:
    return ", ".join(f"`{kind}`" for kind in sorted(KINDS)) + "."


def floors() -> str:
    """The layers of the first import-linter contract, highest first; rooms that are not built yet are left out."""
    root = Path(__file__).parents[2]
    tools = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    layers = next(c for c in tools["importlinter"]["contracts"] if c["type"] == "layers")["layers"]
    lines = ["| floor | room | what it is |", "|---|---|---|"]
    for floor, layer in zip(range(len(layers) - 1, -1, -1), layers, strict=True):
        for room in re.findall(r"\w+", layer):
            about = _about(root / "src" / "handgrad" / room)
            if about is not None and not room.startswith("_"):
                lines.append(f"| {floor} | `{room}` | {about} |")
    return "\n".join(lines)


def _about(room: Path) -> str | None:
    """The first sentence of a room's docstring, read without importing it; None where there is no such room."""
    file = room / "__init__.py" if room.is_dir() else room.with_suffix(".py")
    if not file.is_file():
        return None
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    paragraph = " ".join(docstring.partition("\n\n")[0].split())
    return re.split(r"(?<=\.)\s", paragraph)[0].replace("|", "\\|")


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)

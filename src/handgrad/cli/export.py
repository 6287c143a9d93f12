"""`handgrad export`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from handgrad.cli.common import Json, Weights, default_text, new_app
from handgrad.export import export
from handgrad.training import load_run

app = new_app(
    "export",
    "Write a run's network to a file that does not require handgrad.",
    """
    handgrad export runs/digits --to python --out net.py
    handgrad export runs/digits --to onnx --out net.onnx --with-preprocessing
    handgrad export runs/digits --to safetensors --out net.safetensors --no-card
    """,
)
_SWITCH: Any = {"negative": "", "show_default": False}


@app.default
def export_(
    run: Annotated[Path, Parameter(help="run folder")],
    /,
    *,
    to: Annotated[
        Literal["python", "onnx", "torch", "safetensors"],
        Parameter(
            help="format; python: one file that requires only NumPy; torch: a module and its state dict; safetensors: "
            "the weights"
        ),
    ],
    out: Annotated[Path, Parameter(help="file to write")],
    weights: Annotated[Literal["best", "last"], Weights] = "best",
    with_training: Annotated[bool, Parameter(help="python: also write the code of a training step", **_SWITCH)] = False,
    with_preprocessing: Annotated[
        bool, Parameter(help="onnx: include preprocessing and softmax: raw values in, probabilities out", **_SWITCH)
    ] = False,
    opset: Annotated[
        int | None,
        Parameter(
            help="onnx: newest operator set that the file may require, 17 to 24", show_default=default_text("24")
        ),
    ] = None,
    card: Annotated[
        bool, Parameter(help="also write a model card, README.md", show_default=default_text("yes"))
    ] = True,
    force: Annotated[bool, Parameter(help="overwrite existing files", **_SWITCH)] = False,
    json_: Json = False,
) -> int:
    options = {"weights": weights, "with_training": with_training, "with_preprocessing": with_preprocessing}
    options["opset"] = opset
    written = export(load_run(run), to, out, with_card=card, force=force, **options)
    print(json.dumps([*map(str, written)]) if json_ else "\n".join(map(str, written)))
    return 0

"""`handgrad export`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from handgrad.cli.common import Json, new_app
from handgrad.export import export
from handgrad.training import load_run

app = new_app("export", "Write a run's network to files that do not need handgrad.")
_SWITCH: Any = {"negative": "", "show_default": False}


@app.default
def export_(
    run: Annotated[Path, Parameter(help="run folder")],
    /,
    *,
    to: Annotated[
        Literal["python", "onnx", "torch", "safetensors"],
        Parameter(
            help="python: one file that needs NumPy alone; torch: a module and its state dict; safetensors: weights"
        ),
    ],
    out: Annotated[Path, Parameter(help="file to write")],
    weights: Annotated[Literal["best", "last"], Parameter(help="of the best evaluation or the last step")] = "best",
    with_training: Annotated[
        bool, Parameter(help="python: also a training step of this network, written out", **_SWITCH)
    ] = False,
    with_preprocessing: Annotated[bool, Parameter(help="onnx: raw values in, probabilities out", **_SWITCH)] = False,
    opset: Annotated[
        int | None, Parameter(help="onnx: newest operator set that the file may require, 17 to 24", show_default=False)
    ] = None,
    card: Annotated[bool, Parameter(help="a model card, README.md, beside it", show_default=False)] = True,
    force: Annotated[bool, Parameter(help="replace files that exist", **_SWITCH)] = False,
    json_: Json = False,
) -> int:
    options = {"weights": weights, "with_training": with_training, "with_preprocessing": with_preprocessing}
    options["opset"] = opset
    written = export(load_run(run), to, out, with_card=card, force=force, **options)
    print(json.dumps([*map(str, written)]) if json_ else "\n".join(map(str, written)))
    return 0

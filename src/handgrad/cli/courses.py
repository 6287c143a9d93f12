"""`handgrad courses`, `handgrad courses export EDITION DIR`, `handgrad courses stats`."""

from __future__ import annotations

import json
import sys
import time
from typing import Annotated

import numpy as np
from cyclopts import Parameter
from rich.console import Console
from rich.progress import track
from rich.table import Table

from handgrad import courses
from handgrad.cli.common import DataDir, Json, Offline, help_page, new_app
from handgrad.courses.cmu11785 import statistics
from handgrad.errors import ConfigError, HandgradError

app = new_app(
    "courses",
    "Working files for the assignments of two courses, to run the courses' own tests against. Without a command: list "
    "the editions.",
    """
    handgrad courses
    handgrad courses export cmu-f19 hw1
    handgrad courses stats --epochs 10
    """,
)


@app.default
def list_(*, json_: Json = False) -> int:
    if json_:
        editions = courses.EDITIONS.values()
        rows = {e.name: {"title": e.title, "needs_torch": e.needs_torch, "files": [*e.files]} for e in editions}
        print(json.dumps(rows, indent=2))
        return 0
    console = Console(highlight=False, soft_wrap=True)
    for edition in courses.EDITIONS.values():
        console.print(f"[bold]{edition.name}[/bold]  {edition.title}{'; needs PyTorch' * edition.needs_torch}")
        console.print(f"  {', '.join(edition.files)}")
    console.print("\nhandgrad courses export EDITION DIR writes the files, which import handgrad's drop-ins.")
    return 0


@app.command(
    help=help_page(
        "Write an edition's files, so that the course's test script runs against handgrad.",
        """
        handgrad courses export cmu-f19 hw1
        handgrad courses export uva-apr19 assignment1 --force
        """,
        "handgrad courses lists the editions. The files import handgrad.",
    )
)
def export(
    edition: Annotated[str, Parameter(help="name of an edition, see handgrad courses")],
    directory: Annotated[str, Parameter(help="folder to write to")],
    /,
    *,
    force: Annotated[bool, Parameter(negative="", help="overwrite existing files", show_default=False)] = False,
    json_: Json = False,
) -> int:
    written = [str(path) for path in courses.export(edition, directory, force=force)]
    print(json.dumps(written) if json_ else "\n".join(written))
    return 0


@app.command(
    help=help_page(
        "Run get_training_stats of CMU 11-785 on MNIST with the handout's network, and draw the handout's four plots.",
        """
        handgrad courses stats
        handgrad courses stats --epochs 10 --num-bn-layers 1 --out plots
        """,
    )
)
def stats(
    *,
    epochs: Annotated[int, Parameter(help="passes over the training set")] = 30,
    batch_size: Annotated[int, Parameter(help="samples per step")] = 100,
    num_bn_layers: Annotated[int, Parameter(help="number of layers, from the first, with batch normalisation")] = 0,
    seed: Annotated[int, Parameter(help="seed of NumPy's global generator")] = 0,
    out: Annotated[str, Parameter(help="folder for the four plots")] = "training-stats",
    data_dir: DataDir = None,
    offline: Offline = False,
    json_: Json = False,
) -> int:
    for name, value, least, most in (
        ("epochs", epochs, 1, None),
        ("batch_size", batch_size, 1, None),
        ("num_bn_layers", num_bn_layers, 0, 4),
        ("seed", seed, 0, 2**32 - 1),
    ):
        if value < least or (most is not None and value > most):
            expected = f"at least {least}" if most is None else f"{least} to {most}"
            raise ConfigError(f"{name}={value}: expected {expected}")
    dset = statistics.load_mnist(data_dir, offline=offline)
    np.random.seed(seed)  # noqa: NPY002 (the interface draws from it)
    network = statistics.handout_network(num_bn_layers)
    figures: dict[str, list[float]] = {}
    begin, stopped = time.perf_counter(), False
    console = Console(stderr=json_, highlight=False)
    rounds = statistics.epochs(network, dset, epochs, batch_size, figures)
    try:
        if console.is_terminal:
            rounds = track(rounds, "training", total=epochs, console=console, transient=True)
        for i, values in enumerate(rounds, 1):
            line = "   ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in values.items())
            console.print(f"epoch {i}/{epochs}   {line}", soft_wrap=True)
    except KeyboardInterrupt:
        if not figures:
            raise
        stopped = True
        print(f"interrupted: the statistics of {len(figures[statistics.NAMES[0]])} epochs are kept", file=sys.stderr)
    figures = {name: values[: len(figures[statistics.NAMES[-1]])] for name, values in figures.items()}
    seconds = round(time.perf_counter() - begin, 2)
    paths, failure = [], None
    try:
        paths = [str(path) for path in statistics.draw(figures, out)]
    except Exception as error:  # the training statistics are printed anyway
        failure = error
    if json_:
        print(json.dumps({**figures, "plots": paths, "seconds": seconds}))
    else:
        console.print(_table(figures))
        console.print(f"plots: {', '.join(paths) or 'none'}", soft_wrap=True)
    if isinstance(failure, HandgradError):
        raise failure
    if failure is not None:
        print(f"cannot draw the plots: {type(failure).__name__}: {' '.join(str(failure).split())}", file=sys.stderr)
    return 130 if stopped else 0


def _table(figures: dict[str, list[float]]) -> Table:
    done = len(figures[statistics.NAMES[0]])
    table = Table("", "epoch 1", f"epoch {done}", "handout: about")
    for name in statistics.NAMES:
        values = figures[name]
        table.add_row(name.replace("_", " "), f"{values[0]:.4f}", f"{values[-1]:.4f}", f"{statistics.EXPECTED[name]}")
    return table

"""Times training steps of an MLP for different batch sizes and widths, for the peers of `train_step`.

The network is 784-W-W-10 with Adam: W = 256 while the batch grows from 32 to 4096; a batch of 128 while W grows from 64
to 4096.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Mapping
from pathlib import Path

from benchmarks.harness import choose_peers, compare, machine, measure
from benchmarks.train_step import (
    NEEDS,
    OURS,
    PEERS,
    RULER,
    SLOW_TO_START,
    floating_point_operations,
    version,  # noqa: F401 (a peer's process asks for it)
)

BATCHES = tuple(2**power for power in range(5, 13))
WIDTHS = tuple(2**power for power in range(6, 13))


def _case(width: int, batch: int) -> dict:
    return {"sizes": (784, width, width, 10), "optimizer": "adam", "batch": batch}


CASES = {f"batch {batch}": _case(256, batch) for batch in BATCHES} | {
    f"width {width}": _case(width, 128) for width in WIDTHS
}
#: Okabe and Ito's colour-blind-safe palette.
COLORS = {
    "numpy": "#0072B2",
    "fast": "#56B4E9",
    "torch": "#D55E00",
    "compile": "#E69F00",
    "jax": "#009E73",
    "sklearn": "#CC79A7",
    "thinc": "#888888",
}


def draw(results: list[Mapping], labels: Mapping[str, str]):
    """Two log-log panels, milliseconds per step against batch size and width, with one line per peer."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.2), layout="constrained")
    titles = {"batch": "784-256-256-10", "width": "784-W-W-10, batch 128"}
    panels = figure.subplots(1, 2)
    for axes, (quantity, title) in zip(panels, titles.items(), strict=True):
        own = [result for result in results if result["case"].startswith(quantity)]
        for peer, color in COLORS.items():
            points = [
                (int(result["case"].split()[1]), result["median_us"][peer] / 1e3)
                for result in own
                if peer in result["median_us"]
            ]
            if points:
                heavy = 2.4 if peer in OURS else 1.4
                axes.loglog(*zip(*points, strict=True), "o-", ms=3, color=color, lw=heavy, label=labels.get(peer, peer))
        axes.set_xscale("log", base=2)
        axes.set_xlabel({"batch": "batch size", "width": "width W"}[quantity])
        axes.set_title(title)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("milliseconds a step")
    panels[0].legend(frameon=False, loc="upper left", fontsize=8)
    return figure


LABELS = {
    "numpy": "handgrad (NumPy)",
    "fast": "handgrad (fast)",
    "torch": "PyTorch eager",
    "compile": "torch.compile",
    "jax": "JAX jit",
    "sklearn": "scikit-learn",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="a few sizes and peers alone, within 45 seconds")
    parser.add_argument("--rounds", type=int, default=3, help="rounds a case, 0.6 s each for every peer [3]")
    parser.add_argument("--case", action="append", choices=list(CASES), help="only this case (may be given again)")
    parser.add_argument("--peer", action="append", choices=list(PEERS), help="only this peer beside ours (or again)")
    parser.add_argument("--figure", type=Path, help="draw the results into this PNG file")
    parser.add_argument(
        "--add-to", type=Path, help="a JSON file of results to go on with: what it has is not run again"
    )
    arguments = parser.parse_args()
    quick = [f"batch {batch}" for batch in (32, 512)] + [f"width {width}" for width in (64, 512)]
    chosen = arguments.case or (quick if arguments.quick else list(CASES))
    present, left_out = choose_peers(PEERS, OURS, NEEDS, SLOW_TO_START, arguments.peer, arguments.quick)
    left_out += [case for case in CASES if case not in chosen]
    before = json.loads(arguments.add_to.read_text()) if arguments.add_to and arguments.add_to.exists() else None
    results, versions = (before["cases"], before["versions"]) if before else ([], {})
    benchmark = argparse.Namespace(CASES=CASES, PEERS=PEERS, OURS=OURS, RULER=RULER)
    benchmark.floating_point_operations = floating_point_operations
    for case in chosen:
        if any(result["case"] == case for result in results):
            continue
        rounds, seconds = (2, 0.25) if arguments.quick else (arguments.rounds, 0.6)
        times, named = measure("benchmarks.scaling", case, present, rounds, seconds)
        results.append(compare(benchmark, case, times))
        versions.update(named)
        if arguments.add_to:
            report = _report(results, versions, left_out)
            arguments.add_to.write_text(json.dumps(report, indent=2) + "\n")
    results.sort(key=lambda result: list(CASES).index(result["case"]))
    if arguments.figure:
        draw(results, LABELS).savefig(arguments.figure, dpi=150)
    if arguments.json:
        print(json.dumps(_report(results, versions, left_out), indent=2))
        return
    print(f"median milliseconds a step on {machine()}")
    for result in results:
        cells = (f"{peer} {median / 1e3:.3f}" for peer, median in result["median_us"].items())
        print(f"{result['case']:12} " + "  ".join(cells))
    if left_out:
        print("left out:", ", ".join(left_out))


def _report(results: list, versions: dict, left_out: list) -> dict:
    return {
        "benchmark": "scaling",
        "machine": machine(),
        "versions": {"python": platform.python_version(), **versions},
        "cases": results,
        "left_out": left_out,
    }


if __name__ == "__main__":
    main()

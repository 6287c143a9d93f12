"""Measures import time, installed size, and memory of a small training run.

- Import: a fresh process that imports what training needs, less one that imports nothing; files are in the page cache.
- Disk: the files of the library's distribution and of all it requires, as they are installed here.
- Memory: the largest resident set of a fresh process that makes 200 steps of 784-64-64-32-10, SGD, batch 100, from
  4,096 samples (12.8 MB); for comparison, that of a process with these samples and no more than NumPy.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import re
import statistics
import subprocess
import sys
import time
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from benchmarks.harness import machine

#: The distributions to install, and the modules to import for training a network.
PEERS = {
    "handgrad": ("handgrad", "import handgrad; handgrad.train"),
    "handgrad[fast]": ("handgrad numba", "import handgrad; handgrad.train; import handgrad.kernels.compiled"),
    "torch": ("torch", "import torch"),
    "jax": ("jax", "import jax, jax.numpy; jax.devices()"),
    "sklearn": ("scikit-learn", "from sklearn.neural_network import MLPClassifier"),
    "thinc": ("thinc", "import thinc.api"),
    "numpy": ("numpy", "import numpy"),
}
MODULES = {"handgrad": "handgrad", "handgrad[fast]": "numba"}
TRAINED_BY = {"handgrad": "numpy", "handgrad[fast]": "fast"}

TRAIN = """
import resource, sys
from benchmarks import train_step
if sys.argv[1] == "numpy only":
    train_step._data(train_step.CASES["784-64-64-32-10 sgd 100"])
else:
    step = train_step.PEERS[sys.argv[1]](train_step.CASES["784-64-64-32-10 sgd 100"])
    for _ in range(200):
        step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def import_seconds(statement: str, runs: int) -> list[float]:
    """Wall time of fresh processes that run `statement`, less that of the same number that do nothing."""
    _seconds(statement)  # into the page cache
    nothing = statistics.median(_seconds("pass") for _ in range(runs))
    return [_seconds(statement) - nothing for _ in range(runs)]


def _seconds(statement: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True, capture_output=True)
    return time.perf_counter() - began


def installed_bytes(requirements: str) -> tuple[int, list[str]]:
    """The size of distributions and of everything they require, and their names."""
    found: dict[str, Distribution] = {}
    for requirement in requirements.split():
        _collect(requirement, found)
    return sum(map(_bytes, found.values())), sorted(found)


def _collect(requirement: str, found: dict[str, Distribution]) -> None:
    from packaging.requirements import Requirement

    name = re.sub(r"[-_.]+", "-", Requirement(requirement).name).lower()
    if name in found:
        return
    try:
        own = distribution(name)
    except PackageNotFoundError:
        return  # of another platform
    found[name] = own
    for line in own.requires or []:
        marker = Requirement(line).marker
        if marker is None or marker.evaluate({"extra": ""}):
            _collect(line, found)


def _bytes(own: Distribution) -> int:
    files = [Path(str(own.locate_file(file))) for file in own.files or []]
    if name := _checkout(own):
        files = list(name.rglob("*"))
    return sum(file.stat().st_size for file in files if file.is_file() and "__pycache__" not in file.parts)


def _checkout(own: Distribution) -> Path | None:
    """The folder of a package that is installed from a checkout (editable), whose distribution lists hardly a file."""
    text = own.read_text("direct_url.json")
    if not text or not json.loads(text).get("dir_info", {}).get("editable"):
        return None
    spec = importlib.util.find_spec(own.metadata["Name"])
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def peak_megabytes(peer: str) -> float:
    """Of a fresh process that trains a small network."""
    done = subprocess.run([sys.executable, "-c", TRAIN, peer], check=True, capture_output=True, text=True)
    kilobytes = int(done.stdout.split()[-1])
    return (kilobytes / 1024 if sys.platform == "darwin" else kilobytes) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="fewer processes, within 45 seconds")
    parser.add_argument("--runs", type=int, default=9, help="processes for each figure [9]")
    arguments = parser.parse_args()
    runs = 2 if arguments.quick else arguments.runs
    rows, left_out = [], []
    for peer, (requirement, statement) in PEERS.items():
        module = MODULES.get(peer, peer)
        if importlib.util.find_spec(module) is None:
            left_out.append(f"{peer} (pip install {module})")
            continue
        times = import_seconds(statement, runs)
        size, names = installed_bytes(requirement)
        trained = "numpy only" if peer == "numpy" else TRAINED_BY.get(peer, peer)
        memory = [peak_megabytes(trained) for _ in range(1 if arguments.quick else 3)]
        rows.append(
            {
                "peer": peer,
                "import_seconds": round(statistics.median(times), 3),
                "import_spread": [round(min(times), 3), round(max(times), 3)],
                "install_megabytes": round(size / 1e6, 1),
                "distributions": names,
                "peak_megabytes": round(statistics.median(memory), 1),
                "n": {"import": runs, "memory": len(memory)},
            }
        )
    report = {
        "benchmark": "footprint",
        "machine": machine(),
        "versions": {"python": platform.python_version()}
        | {row["peer"]: distribution(PEERS[row["peer"]][0].split()[-1]).version for row in rows},
        "peers": rows,
        "left_out": left_out,
    }
    if arguments.json:
        print(json.dumps(report, indent=2))
        return
    print(f"{'':16}{'import':>10}{'(spread)':>18}{'installed':>12}{'peak':>10}")
    for row in rows:
        low, high = row["import_spread"]
        print(
            f"{row['peer']:16}{row['import_seconds']:8.2f} s{f'{low:.2f} to {high:.2f}':>18}"
            f"{row['install_megabytes']:9.0f} MB{row['peak_megabytes']:7.0f} MB"
        )
    print(f"on {report['machine']}; " + ", ".join(f"{name} {own}" for name, own in report["versions"].items()))
    if left_out:
        print("left out:", ", ".join(left_out))


if __name__ == "__main__":
    main()

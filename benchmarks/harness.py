"""Benchmark harness for comparing libraries: one process per peer, short alternating rounds, medians.

Thread pools of two libraries in one process disturb each other, and a machine shared with others drifts; so every peer
has a process of its own, all are set up first, and then one at a time runs for a moment, round after round. Every
library waits for its threads as it does by default: told to let them sleep (`OMP_WAIT_POLICY`), PyTorch takes up to
four times as long on small networks. But threads that wait awake after their last call would slow down whoever comes
next (OpenBLAS's for a tenth of a second, to half the speed), so a pause follows every turn.

A benchmark is a module with `CASES` (name -> what the peers are given) and `PEERS` (name -> `Peer`, ours first), a
function `version(peer)`, and where it wants them:

- `OURS`: the peers that are ours, all others being compared with; by default the first.
- `CALLS`: how often a peer repeats the thing in one call.
- `NEEDS`: the package that a peer cannot do without, where it may be missing.
- `SLOW_TO_START`: peers that `--quick` leaves out.
- `TOGETHER`: whether the peers, of one library then, take turns call by call in one process: two processes differ more
  by where their arrays happen to lie than by a few microseconds of ours.
- `unable(peer, case)`: why a peer cannot take part in a case, or None.
- `floating_point_operations(case)` and a peer `sgemm` that multiplies two square matrices of side `RULER`: then the
  share of the machine's own matrix-product rate, measured in the same rounds, is given for every peer.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import itertools
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

#: A peer sets up a case and returns the function to time.
Peer = Callable[[Mapping[str, Any]], Callable[[], Any]]

THREADS = 2
#: Seconds after a turn until the threads of the peer sleep.
PAUSE = 0.15


class Worker:
    """The process of one peer, or of several alternating peers, with one case set up."""

    def __init__(self, module: str, peers: Sequence[str], case: str) -> None:
        threads = {name: str(THREADS) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.harness", module, case, *peers],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **threads},
        )

    def versions(self) -> dict[str, str]:
        """Of each peer; waits until the case is set up."""
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"a peer ended before its time, exit code {self.process.wait()}")
        return json.loads(line)

    def run(self, seconds: float) -> dict[str, list[float]]:
        """Times of single calls, in microseconds, for about so long a peer."""
        assert self.process.stdin is not None
        print(seconds, file=self.process.stdin, flush=True)
        return self._read()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def _serve(module: str, case: str, *peers: str) -> None:
    """The main loop of a worker process."""
    benchmark = importlib.import_module(module)
    steps = {peer: benchmark.PEERS[peer](benchmark.CASES[case]) for peer in peers}
    for step in [*steps.values()] * 3:
        step()
    print(json.dumps({peer: benchmark.version(peer) for peer in peers}), flush=True)
    calls = getattr(benchmark, "CALLS", {})
    for line in sys.stdin:
        end = time.perf_counter() + float(line) * len(peers)
        times: dict[str, list[float]] = {peer: [] for peer in peers}
        while time.perf_counter() < end:
            for peer, step in steps.items():
                began = time.perf_counter()
                step()
                times[peer].append((time.perf_counter() - began) * 1e6 / calls.get(peer, 1))
        print(json.dumps(times), flush=True)


def measure(module: str, case: str, peers: list[str], rounds: int, seconds: float) -> tuple[dict[str, list], dict]:
    """The times of every peer on one case, one list per round, and the versions of the peers."""
    benchmark = importlib.import_module(module)
    groups = [peers] if getattr(benchmark, "TOGETHER", False) else [[peer] for peer in peers]
    workers = [Worker(module, group, case) for group in groups]
    versions = {peer: version for worker in workers for peer, version in worker.versions().items()}
    times: dict[str, list[list[float]]] = {peer: [] for peer in peers}
    for _ in range(rounds):
        for worker in workers:
            for peer, taken in worker.run(seconds).items():
                times[peer].append(taken)
            time.sleep(PAUSE)
    for worker in workers:
        worker.close()
    return times, versions


def compare(benchmark: Any, case: str, times: dict[str, list[list[float]]]) -> dict[str, Any]:
    """The result of one case: medians, ratios to the fastest other peer with their range over the rounds,
    efficiency."""
    ours = getattr(benchmark, "OURS", (next(iter(benchmark.PEERS)),))
    rounds = {peer: [statistics.median(taken) for taken in lots] for peer, lots in times.items()}
    medians = {peer: statistics.median(itertools.chain(*lots)) for peer, lots in times.items()}
    result = {
        "case": case,
        "median_us": {peer: round(median, 1) for peer, median in medians.items() if peer != "sgemm"},
    }
    others = {peer: median for peer, median in medians.items() if peer not in (*ours, "sgemm")}
    if others:
        best = min(others, key=others.__getitem__)
        for peer in ours:
            if peer in medians:
                name = "ratio" if peer == ours[0] else f"ratio_{peer}"
                ratios = [a / b for a, b in zip(rounds[peer], rounds[best], strict=True)]
                result[name] = round(medians[peer] / others[best], 3)
                result[f"{name}_spread"] = [round(min(ratios), 3), round(max(ratios), 3)]
        result["best_other"] = best
    if "sgemm" in medians:
        rate = 2 * benchmark.RULER**3 / medians["sgemm"]  # operations a microsecond
        work = benchmark.floating_point_operations(benchmark.CASES[case])
        result["sgemm_gflops"] = round(rate / 1e3, 1)
        result["share_of_sgemm"] = {p: round(work / rate / m, 3) for p, m in medians.items() if p != "sgemm"}
    result["n"] = {peer: sum(map(len, lots)) for peer, lots in times.items()}
    return result


def main(module: str, description: str, cases: list[str], peers: list[str], quick_cases: list[str]) -> None:
    """The command line of a benchmark: `--json` prints one object, `--quick` finishes within 45 seconds."""
    benchmark = importlib.import_module(module)
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="end within 45 seconds, and name what was left out")
    parser.add_argument("--rounds", type=int, default=15, help="rounds a case, 0.6 s each for every peer [15]")
    parser.add_argument("--case", action="append", choices=cases, help="only this case (may be given again)")
    parser.add_argument(
        "--peer", action="append", choices=peers, help="only this peer beside ours (may be given again)"
    )
    arguments = parser.parse_args()
    chosen = arguments.case or (quick_cases if arguments.quick else cases)
    ours = getattr(benchmark, "OURS", peers[:1])
    needs, slow = getattr(benchmark, "NEEDS", {}), getattr(benchmark, "SLOW_TO_START", ())
    present, missing = choose_peers(peers, ours, needs, slow, arguments.peer, arguments.quick)
    left_out = [case for case in cases if case not in chosen] + missing
    rounds, seconds = (4, 0.25) if arguments.quick else (arguments.rounds, 0.6)
    results, versions = [], {}
    for case in chosen:
        able = []
        for peer in present:
            reason = getattr(benchmark, "unable", lambda peer, case: None)(peer, case)
            if reason is None:
                able.append(peer)
            else:
                left_out.append(f"{peer} on {case} ({reason})")
        times, named = measure(module, case, able, rounds, seconds)
        results.append(compare(benchmark, case, times))
        versions.update(named)
    report = {
        "benchmark": module.rpartition(".")[2],
        "machine": machine(),
        "versions": {"python": platform.python_version(), **versions},
        "cases": results,
        "left_out": left_out,
    }
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        _print(report, ours)


def choose_peers(
    peers: Iterable[str],
    ours: Sequence[str],
    needs: Mapping[str, str],
    slow: Sequence[str],
    wanted: Sequence[str] | None,
    quick: bool,
) -> tuple[list[str], list[str]]:
    """The available peers, and the others with reasons."""
    present, left_out = [], []
    for peer in peers:
        needed = needs.get(peer)
        if wanted and peer not in (*ours, *wanted):
            left_out.append(peer)
        elif needed and importlib.util.find_spec(needed) is None:
            left_out.append(f"{peer} (pip install {needed})")
        elif quick and not wanted and peer in slow:
            left_out.append(f"{peer} (slow to start)")
        else:
            present.append(peer)
    return present, left_out


def machine() -> str:
    """A description of the machine."""
    return f"{_processor()}, {os.cpu_count()} cores, {THREADS} threads"


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _print(report: dict[str, Any], ours: Sequence[str]) -> None:
    results = report["cases"]
    peers = [peer for peer in report["versions"] if any(peer in result["median_us"] for result in results)]
    width = max(len(result["case"]) for result in results)
    print(f"median microseconds; ratio: {ours[0]} over the fastest other (below 1: {ours[0]} is faster)")
    print(f"{'':{width}}" + "".join(f"  {peer:>9}" for peer in peers) + "   ratio  (rounds)")
    for result in results:
        cells = "".join(f"  {result['median_us'].get(peer, math.nan):9.1f}" for peer in peers)
        print(f"{result['case']:{width}}{cells}", end="")
        if "ratio" in result:
            low, high = result["ratio_spread"]
            print(f"   {result['ratio']:5.2f}  ({low:.2f} to {high:.2f})", end="")
        print()
        if "share_of_sgemm" in result:
            shares = "".join(f"  {result['share_of_sgemm'].get(peer, math.nan):9.0%}" for peer in peers)
            print(f"{'  share of ' + str(round(result['sgemm_gflops'])) + ' GFLOP/s':{width}}{shares}")
    print(f"on {report['machine']}: " + "; ".join(f"{peer}: {v}" for peer, v in report["versions"].items()))
    if report["left_out"]:
        print("left out:", ", ".join(report["left_out"]))


if __name__ == "__main__":
    _serve(*sys.argv[1:])

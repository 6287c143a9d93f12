"""Benchmarks of one thing done by several libraries: a process for each peer, short rounds in turn, medians.

Thread pools of two libraries in one process disturb each other, and a machine shared with others drifts; so every peer
has a process of its own, all are set up first, and then one at a time runs for a moment, round after round.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

#: A peer sets a case up and gives back what is timed.
Peer = Callable[[Mapping[str, Any]], Callable[[], Any]]

THREADS = 2


class Worker:
    """One peer's process, with one case set up."""

    def __init__(self, module: str, peer: str, case: str) -> None:
        threads = {name: str(THREADS) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.harness", module, peer, case],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **threads, "OMP_WAIT_POLICY": "PASSIVE"},
        )
        self.version = self._read()["version"]

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"a peer ended before its time, exit code {self.process.wait()}")
        return json.loads(line)

    def run(self, seconds: float) -> list[float]:
        """Times of single calls, in microseconds, for about so long."""
        assert self.process.stdin is not None
        print(seconds, file=self.process.stdin, flush=True)
        return self._read()["microseconds"]

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def _serve(module: str, peer: str, case: str) -> None:
    """The life of a worker process."""
    benchmark = importlib.import_module(module)
    step = benchmark.PEERS[peer](benchmark.CASES[case])
    for _ in range(5):
        step()
    print(json.dumps({"version": benchmark.version(peer)}), flush=True)
    for line in sys.stdin:
        end = time.perf_counter() + float(line)
        times = []
        while time.perf_counter() < end:
            began = time.perf_counter()
            step()
            times.append((time.perf_counter() - began) * 1e6)
        print(json.dumps({"microseconds": times}), flush=True)


def compare(
    module: str, cases: list[str], peers: list[str], ours: str, rounds: int, seconds: float
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Medians of every peer on every case, and the peers' versions."""
    results, versions = [], {}
    for case in cases:
        workers = {peer: Worker(module, peer, case) for peer in peers}
        versions.update({peer: worker.version for peer, worker in workers.items()})
        times: dict[str, list[float]] = {peer: [] for peer in peers}
        medians_a_round: dict[str, list[float]] = {peer: [] for peer in peers}
        for _ in range(rounds):
            for peer, worker in workers.items():
                measured = worker.run(seconds)
                times[peer] += measured
                medians_a_round[peer].append(statistics.median(measured))
        for worker in workers.values():
            worker.close()
        medians = {peer: statistics.median(t) for peer, t in times.items()}
        others = {peer: median for peer, median in medians.items() if peer != ours}
        best = min(others, key=others.__getitem__)
        ratios = [a / b for a, b in zip(medians_a_round[ours], medians_a_round[best], strict=True)]
        results.append(
            {
                "case": case,
                "median_us": {peer: round(median, 1) for peer, median in medians.items()},
                "ratio": round(medians[ours] / others[best], 3),
                "ratio_spread": [round(min(ratios), 3), round(max(ratios), 3)],
                "best_other": best,
                "n": {peer: len(t) for peer, t in times.items()},
            }
        )
    return results, versions


def main(module: str, description: str, cases: list[str], peers: list[str], quick_cases: list[str]) -> None:
    """The command line of a benchmark: `--json` prints one object, `--quick` ends within 45 seconds."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="end within 45 seconds, and name what was left out")
    parser.add_argument("--case", action="append", choices=cases, help="only this case (may be given again)")
    parser.add_argument(
        "--peer", action="append", choices=peers, help="only this peer beside ours (may be given again)"
    )
    arguments = parser.parse_args()
    chosen = arguments.case or (quick_cases if arguments.quick else cases)
    chosen_peers = [peers[0], *(arguments.peer or peers[1:])]
    rounds, seconds = (4, 0.4) if arguments.quick else (15, 0.6)
    results, versions = compare(module, chosen, chosen_peers, peers[0], rounds, seconds)
    report = {
        "benchmark": module.rpartition(".")[2],
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {THREADS} threads",
        "versions": {"python": platform.python_version(), **versions},
        "cases": results,
        "left_out": [case for case in cases if case not in chosen],
    }
    if arguments.json:
        print(json.dumps(report, indent=2))
        return
    width = max(map(len, chosen))
    print(f"median microseconds a step; ratio: {peers[0]} over the best other (below 1: {peers[0]} is faster)")
    print(f"{'case':{width}}  " + "  ".join(f"{peer:>12}" for peer in chosen_peers) + "   ratio  (rounds)")
    for result in results:
        cells = "  ".join(f"{result['median_us'][peer]:12.1f}" for peer in chosen_peers)
        low, high = result["ratio_spread"]
        print(f"{result['case']:{width}}  {cells}   {result['ratio']:.2f}  ({low:.2f} to {high:.2f})")
    print(", ".join(f"{peer} {version}" for peer, version in versions.items()), "on", report["machine"])
    if report["left_out"]:
        print("left out:", ", ".join(report["left_out"]))


if __name__ == "__main__":
    _serve(*sys.argv[1:])

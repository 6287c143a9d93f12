"""Trials per hour of an 18-trial slice of a grid search, stacked and not, and in PyTorch.

The grid is that of the fourth report in the docs: 486 multi-layer perceptrons on CIFAR-10. A slice has its three
optimisers, three learning rates and two lengths, at one network and batch size. A trial is trained, evaluated on all
10,000 test images every 100 steps, and its best weights are kept. All peers do the same arithmetic in float32 on two
cores, on the same images, which lie in memory: uint8 for handgrad, which subtracts the mean image as it takes a batch;
float32 with the mean image subtracted for PyTorch.

Peers:

- stacked: two processes, each with half of the trials as one network with an axis of models. The 1,500-step figure is
  not read off the 3,000-step run: both are trained.
- separate: two processes of one thread, each with nine trials one after the other.
- torch: one process of two threads, the trials one after the other; fused optimisers where PyTorch has them.
- torch-2: two processes of one thread, each with nine trials.

A loss that is not finite ends a trial, with every peer. Processes have loaded libraries and data before the clock
starts.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import machine

#: What the trials of a slice have in common; `share` is the part of their steps that is made, the rest being more of
#: the same. Evaluations are made as often and on as many images in proportion.
CASES: dict[str, dict[str, Any]] = {
    "100, batch 100": {"hidden": (100,), "batch": 100, "share": 1.0},
    "200,200, batch 200": {"hidden": (200, 200), "batch": 200, "share": 0.2},
    "400,400,400, batch 400": {"hidden": (400, 400, 400), "batch": 400, "share": 0.04},
}
QUICK = {"100, batch 100": 0.04}
RATES, LENGTHS, OPTIMIZERS = (2e-2, 2e-3, 2e-4), (1500, 3000), ("sgd", "adam", "adadelta")
PEERS = {"stacked": 2, "separate": 2, "torch": 1, "torch-2": 2}  # processes
TRAINING, TEST, EVALUATION_BATCH = 50_000, 10_000, 1024


def trials(case: str, share: float) -> list[dict[str, Any]]:
    """The trials of a slice, longer ones first."""
    found = CASES[case]
    grid = itertools.product(sorted(LENGTHS, reverse=True), OPTIMIZERS, RATES)
    return [
        {
            "hidden_units": list(found["hidden"]),
            "batch_size": found["batch"],
            "optimizer": optimizer,
            "learning_rate": rate,
            "max_steps": round(length * share),
        }
        for length, optimizer, rate in grid
    ]


def often(share: float) -> tuple[int, int]:
    """Steps between two evaluations, and images in one: as many images per step as 10,000 every 100 steps."""
    steps = min(100, max(1, round(1500 * share) // 3))
    return steps, round(TEST * steps / 100)


def images() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (TRAINING + TEST, 3, 32, 32), np.uint8), rng.integers(0, 10, TRAINING + TEST)


# -- peers: each sets up, and gives back what is timed, which returns how many trials diverged -------------------------


def handgrad_peer(own: list[dict[str, Any]], share: float, stacked: bool) -> Callable[[], int]:
    from threadpoolctl import threadpool_limits

    from handgrad.data import Dataset, fit_preprocessing
    from handgrad.errors import NonFiniteError
    from handgrad.training import Reporter, TrainConfig
    from handgrad.training.loop import Training
    from handgrad.training.run import RunFolder
    from handgrad.training.stacked import train_stacked

    class Folder(RunFolder):
        """As in a study, without figures for each trial."""

        def save_curves(self, records, title):
            return None

        def save_confusion(self, details, title):
            return None

    threadpool_limits(1, user_api="blas")
    inputs, labels = images()
    preprocessing = fit_preprocessing("mean-image", inputs[:TRAINING], 255.0)
    splits: Any = {"train": range(TRAINING), "test": range(TRAINING, TRAINING + TEST)}
    dataset = Dataset("cifar10", inputs, labels, splits, tuple("0123456789"), 255.0, preprocessing)
    eval_freq, eval_size = often(share)
    common = {"dataset": "cifar10", "eval_freq": eval_freq, "eval_size": eval_size, "threads": 1}
    configs = [TrainConfig.from_settings({**common, **trial}) for trial in own]

    def alone(folder: RunFolder, config: TrainConfig) -> bool:
        with folder.held():
            try:
                Training(folder, config, Reporter(), dataset=dataset).run()
            except NonFiniteError:
                return True
        return False

    def run() -> int:
        with tempfile.TemporaryDirectory() as path:
            folders = [Folder(Path(path) / str(i)) for i in range(len(configs))]
            if not stacked:
                return sum(map(alone, folders, configs))
            ended = train_stacked(configs, folders, dataset=dataset, read_off=False)
            return sum(isinstance(each, NonFiniteError) for each in ended)

    return run


def torch_peer(own: list[dict[str, Any]], share: float, threads: int) -> Callable[[], int]:
    import torch

    torch.set_num_threads(threads)
    raw, labels = images()
    inputs = torch.from_numpy(raw.reshape(len(raw), -1)).to(torch.float32)
    inputs -= inputs[:TRAINING].mean(dim=0)
    targets = torch.from_numpy(labels)
    eval_freq, eval_size = often(share)
    test = torch.arange(TRAINING, TRAINING + eval_size)
    rules = {
        "sgd": lambda parameters, rate: torch.optim.SGD(parameters, rate, fused=True),
        "adam": lambda parameters, rate: torch.optim.Adam(parameters, rate, fused=True),
        "adadelta": lambda parameters, rate: torch.optim.Adadelta(parameters, rate, foreach=True),
    }
    cross_entropy = torch.nn.functional.cross_entropy

    def alone(trial: dict[str, Any]) -> bool:
        sizes = (inputs.shape[1], *trial["hidden_units"])
        layers = [layer for d, k in itertools.pairwise(sizes) for layer in (torch.nn.Linear(d, k), torch.nn.ReLU())]
        network = torch.nn.Sequential(*layers, torch.nn.Linear(sizes[-1], 10))
        optimizer = rules[trial["optimizer"]](network.parameters(), trial["learning_rate"])
        batch, best = trial["batch_size"], -1
        order, total, right = torch.randperm(TRAINING), 0.0, 0
        for step in range(trial["max_steps"]):
            at = step * batch % (TRAINING - TRAINING % batch)
            if at == 0:
                order = torch.randperm(TRAINING)
            chosen = order[at : at + batch]
            target = targets[chosen]
            scores = network(inputs[chosen])
            loss = cross_entropy(scores, target)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            value = loss.item()
            if not np.isfinite(value):
                return True
            total, right = total + value, right + int((scores.argmax(-1) == target).sum())
            if (step + 1) % eval_freq == 0 or step + 1 == trial["max_steps"]:
                correct = 0
                with torch.no_grad():
                    for part in test.split(EVALUATION_BATCH):
                        scores, target = network(inputs[part]), targets[part]
                        cross_entropy(scores, target).item()
                        correct += int((scores.argmax(-1) == target).sum())
                if correct > best:
                    best, kept = correct, {name: value.clone() for name, value in network.state_dict().items()}
                    assert kept
        return False

    return lambda: sum(map(alone, own))


def serve(peer: str, case: str, share: float, worker: int) -> None:
    """The main function of a process: sets up, waits for a line, works, reports the time."""
    own = trials(case, share)[worker :: PEERS[peer]]
    if peer.startswith("torch"):
        run = torch_peer(own, share, 2 // PEERS[peer])
    else:
        run = handgrad_peer(own, share, peer == "stacked")
    print("ready", flush=True)
    for _ in sys.stdin:
        began, cpu = time.perf_counter(), time.process_time()
        diverged = run()
        print(json.dumps([time.perf_counter() - began, time.process_time() - cpu, diverged]), flush=True)


# -- the benchmark ----------------------------------------------------------------------------------------------------


class Peer:
    """The processes of one peer, set up for one case."""

    def __init__(self, peer: str, case: str, share: float) -> None:
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-m", "benchmarks.search", "--serve", peer, case, str(share), str(worker)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(2 // PEERS[peer]))},
            )
            for worker in range(PEERS[peer])
        ]
        for process in self.processes:
            self._line(process)

    def run(self) -> tuple[float, float, int]:
        """Seconds until the last process finished, CPU seconds of all, and number of diverged trials."""
        for process in self.processes:
            print(file=process.stdin, flush=True)
        answers = [json.loads(self._line(process)) for process in self.processes]
        seconds, cpu, diverged = zip(*answers, strict=True)
        return max(seconds), sum(cpu), sum(diverged)

    def close(self) -> None:
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()

    def _line(self, process: subprocess.Popen) -> str:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"a peer ended before its time, exit code {process.wait()}")
        return line


def measure(case: str, share: float, peers: list[str], rounds: int) -> dict[str, Any]:
    seconds: dict[str, list[float]] = {peer: [] for peer in peers}
    cpu: dict[str, list[float]] = {peer: [] for peer in peers}
    diverged = {}
    for _ in range(rounds):
        for name in peers:  # one at a time: the images of all of them together would fill a small machine
            peer = Peer(name, case, share)
            taken, worked, diverged[name] = peer.run()
            peer.close()
            seconds[name].append(taken)
            cpu[name].append(worked)
    best = {name: statistics.median(taken) for name, taken in seconds.items()}
    result: dict[str, Any] = {
        "case": case,
        "share_of_steps": share,
        "trials_per_hour": {name: round(18 * 3600 * share / taken, 1) for name, taken in best.items()},
        "seconds": {name: [round(each, 2) for each in taken] for name, taken in seconds.items()},
        "processor_seconds": {name: round(statistics.median(each), 2) for name, each in cpu.items()},
        "diverged": diverged,
    }
    others = [name for name in peers if name.startswith("torch")]
    if others:
        fastest = min(others, key=best.__getitem__)
        result["best_other"] = fastest
        ours = [name for name in peers if name not in others]
        result["times_the_best_other"] = {name: round(best[fastest] / best[name], 2) for name in ours}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="end within 45 seconds, and name what was left out")
    parser.add_argument("--rounds", type=int, default=3, help="rounds a case [3]")
    parser.add_argument("--case", action="append", choices=list(CASES), help="only this case (may be given again)")
    parser.add_argument("--peer", action="append", choices=list(PEERS), help="only this peer (may be given again)")
    parser.add_argument("--share", type=float, help="the part of the steps that is made [by case]")
    parser.add_argument("--serve", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        peer, case, share, worker = arguments.serve
        serve(peer, case, float(share), int(worker))
        return
    chosen = arguments.case or list(QUICK if arguments.quick else CASES)
    peers = arguments.peer or list(PEERS)
    results = []
    for case in chosen:
        share = arguments.share or (QUICK.get(case, 0.02) if arguments.quick else CASES[case]["share"])
        results.append(measure(case, share, peers, 1 if arguments.quick else arguments.rounds))
    report = {
        "benchmark": "search",
        "machine": machine(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in ("numpy", "torch")}},
        "cases": results,
        "left_out": [case for case in CASES if case not in chosen] + [peer for peer in PEERS if peer not in peers],
    }
    if arguments.json:
        print(json.dumps(report, indent=2))
        return
    for result in results:
        print(f"{result['case']} (the first {result['share_of_steps']:.0%} of the steps): trials per hour")
        for name, rate in result["trials_per_hour"].items():
            times = result.get("times_the_best_other", {}).get(name)
            note = f"  {times:.2f} times {result['best_other']}" if times else ""
            if result["diverged"][name]:
                note += f"  ({result['diverged'][name]} of 18 diverged)"
            print(f"  {name:9} {rate:9.1f}  {result['processor_seconds'][name]:8.1f} s of processor{note}")
    print(f"on {report['machine']}: " + ", ".join(f"{name} {number}" for name, number in report["versions"].items()))
    if report["left_out"]:
        print("left out:", ", ".join(report["left_out"]))


if __name__ == "__main__":
    main()

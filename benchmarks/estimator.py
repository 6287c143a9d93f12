"""Compares `HandgradClassifier` with scikit-learn's `MLPClassifier`: time and accuracy with equal settings and budget.

Both get one hidden layer of 100 ReLUs, Adam with a learning rate of 0.001, batches of at most 200 samples, the same
penalty of the weights and the same number of passes over the same samples, standardised. Each library has a process of
its own, with one thread (matrices so small are no quicker with two); they take turns, a fit at a time, on five splits
of each data set (the seed of the split is the seed of the weights). Accuracies are of the 40% held out; their
difference is a mean over the seeds, with its standard error.

Run as `python -m benchmarks.estimator [--json] [--quick] [--seeds N]`.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

from benchmarks.harness import machine

PEERS = ("handgrad", "sklearn")
#: Data sets that scikit-learn's examples and documentation train `MLPClassifier` on, and passes over each.
CASES = {"iris": 200, "wine": 200, "breast_cancer": 200, "digits": 100, "moons": 200, "circles": 200, "linear": 200}
QUICK = ("iris", "breast_cancer", "digits")
SEEDS = 5
HELD_OUT = 0.4
ALPHA, BATCH = 1e-4, 200


def _samples(case: str, seed: int):
    from sklearn import datasets
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    made = {
        "moons": lambda: datasets.make_moons(500, noise=0.3, random_state=0),
        "circles": lambda: datasets.make_circles(500, noise=0.2, factor=0.5, random_state=1),
        "linear": lambda: datasets.make_classification(
            500, n_features=2, n_redundant=0, n_informative=2, random_state=1, n_clusters_per_class=1
        ),
    }
    x, y = made[case]() if case in made else getattr(datasets, f"load_{case}")(return_X_y=True)
    x, x_test, y, y_test = train_test_split(x, y, test_size=HELD_OUT, random_state=seed, stratify=y)
    scaler = StandardScaler().fit(x)
    return scaler.transform(x), scaler.transform(x_test), y, y_test


def _estimator(peer: str, epochs: int, samples: int, seed: int) -> Any:
    options = {"max_iter": epochs, "tol": 0.0, "n_iter_no_change": epochs, "random_state": seed}
    if peer == "sklearn":
        from sklearn.neural_network import MLPClassifier

        return MLPClassifier((100,), alpha=ALPHA, **options)
    from handgrad.sklearn import HandgradClassifier

    return HandgradClassifier((100,), weight_decay=ALPHA / min(BATCH, samples), **options)


def _serve(peer: str) -> None:
    """The main loop of a worker process: one fit per line of input."""
    import warnings

    warnings.simplefilter("ignore")  # MLPClassifier's, that it was not given more passes
    package = importlib.import_module("handgrad" if peer == "handgrad" else "sklearn")
    print(json.dumps(package.__version__), flush=True)
    for line in sys.stdin:
        case, seed = json.loads(line)
        x, x_test, y, y_test = _samples(case, seed)
        estimator = _estimator(peer, CASES[case], len(x), seed)
        wall, cpu = time.perf_counter(), time.process_time()
        estimator.fit(x, y)
        taken = time.perf_counter() - wall, time.process_time() - cpu
        passes = len(estimator.loss_curve_)
        print(json.dumps([*taken, float(estimator.score(x_test, y_test)), passes]), flush=True)


class _Worker:
    def __init__(self, peer: str) -> None:
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.estimator", "--serve", peer],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **threads},
        )
        self.version = self._read()

    def _read(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"a peer ended before its time, exit code {self.process.wait()}")
        return json.loads(line)

    def fit(self, case: str, seed: int) -> list[float]:
        assert self.process.stdin is not None
        print(json.dumps([case, seed]), file=self.process.stdin, flush=True)
        return self._read()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def measure(cases: tuple[str, ...], seeds: tuple[int, ...]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """A result for each case, and the peers' versions."""
    workers = {peer: _Worker(peer) for peer in PEERS}
    for worker in workers.values():
        worker.fit("iris", 0)  # imports, and memory's first touch
    results = []
    for case in cases:
        fits: dict[str, list[list[float]]] = {peer: [] for peer in PEERS}
        for seed in seeds:
            for peer, worker in workers.items():
                fits[peer].append(worker.fit(case, seed))
        assert {fit[3] for lots in fits.values() for fit in lots} == {CASES[case]}
        median = {peer: statistics.median(fit[0] for fit in lots) for peer, lots in fits.items()}
        cpu = {peer: statistics.median(fit[1] for fit in lots) for peer, lots in fits.items()}
        ratios = [ours[0] / theirs[0] for ours, theirs in zip(*fits.values(), strict=True)]
        accuracies = {peer: [fit[2] for fit in lots] for peer, lots in fits.items()}
        differences = [ours - theirs for ours, theirs in zip(*accuracies.values(), strict=True)]
        results.append(
            {
                "case": case,
                "passes": CASES[case],
                "median_us": {peer: round(seconds * 1e6) for peer, seconds in median.items()},
                "ratio": round(median["handgrad"] / median["sklearn"], 3),
                "ratio_spread": [round(min(ratios), 3), round(max(ratios), 3)],
                "cpu_ratio": round(cpu["handgrad"] / cpu["sklearn"], 3),
                "accuracy": {peer: round(statistics.mean(lots), 4) for peer, lots in accuracies.items()},
                "difference": round(statistics.mean(differences), 4),
                "difference_standard_error": round(statistics.stdev(differences) / len(differences) ** 0.5, 4),
                "accuracy_spread": {peer: [round(min(a), 4), round(max(a), 4)] for peer, a in accuracies.items()},
            }
        )
    for worker in workers.values():
        worker.close()
    return results, {peer: worker.version for peer, worker in workers.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="three data sets and two seeds")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="number of splits, at least 2 [5]")
    parser.add_argument("--serve", choices=PEERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        _serve(arguments.serve)
        return
    cases, count = (QUICK, 2) if arguments.quick else (tuple(CASES), arguments.seeds)
    seeds = tuple(range(count))
    results, versions = measure(cases, seeds)
    left_out = [case for case in CASES if case not in cases]
    report = {
        "benchmark": "estimator",
        "machine": machine(),
        "versions": versions,
        "seeds": list(seeds),
        "cases": results,
        "left_out": left_out,
    }
    if arguments.json:
        print(json.dumps(report, indent=2))
        return
    print(
        f"{'data':14}{'handgrad':>10}{'sklearn':>10}{'ratio':>8}{'spread':>16}{'CPU':>8}{'accuracy':>14}{'apart':>18}"
    )
    for row in results:
        ours, theirs = (row["median_us"][peer] / 1e6 for peer in PEERS)
        spread = "{:.2f} to {:.2f}".format(*row["ratio_spread"])
        accuracy = "{handgrad:.3f} {sklearn:.3f}".format(**row["accuracy"])
        times = f"{ours:>8.2f} s{theirs:>8.2f} s"
        apart = "{difference:+.4f} ± {difference_standard_error:.4f}".format(**row)
        print(
            f"{row['case']:14}{times}{row['ratio']:>8.2f}{spread:>16}{row['cpu_ratio']:>8.2f}{accuracy:>14}{apart:>18}"
        )
    print(f"{len(seeds)} seeds; times are medians, accuracies means over the seeds; versions {versions}")
    if left_out:
        print(f"left out: {', '.join(left_out)}")


if __name__ == "__main__":
    main()

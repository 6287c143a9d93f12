"""Times gathering windows of speech frames, compared with a training step of an MLP of width 1000 and a PyTorch
DataLoader.

Frames as in the speech competition, (n, 40) float32 in utterances, 138 states; batches of random frames, each with its
context on both sides. `gather` is what the NumPy engine does for a batch (indices in, standardised windows out), `torch
engine` the same in PyTorch on a CPU, `step` a whole training step with Adam that begins with such a gather.
`DataLoader` is PyTorch's over the same frames: a map-style data set that slices one window from padded and standardised
utterances, default batching; with no worker, and with two. `share_of_step` is `gather` over `step`, of the same rounds.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
from importlib.metadata import version as installed_version

import numpy as np

from benchmarks.harness import THREADS, choose_peers, compare, machine, measure

FEATURES, CLASSES, UTTERANCES, LENGTH = 40, 138, 300, 400
_CASES = (
    {"context": 12, "batch": 128, "hidden": (1000,)},
    {"context": 12, "batch": 128, "hidden": (1000, 1000, 1000)},
    {"context": 12, "batch": 1024, "hidden": (1000,)},
    {"context": 25, "batch": 128, "hidden": (1000,)},
)
CASES = {
    f"context {case['context']}, batch {case['batch']}, {len(case['hidden'])} x 1000 hidden": case for case in _CASES
}
QUICK = [next(iter(CASES))]
OURS = ("gather", "torch engine", "step")
NEEDS: dict[str, str] = dict.fromkeys(("torch engine", "DataLoader", "DataLoader 2 workers"), "torch")


def _frames():
    rng = np.random.default_rng(0)
    lengths = rng.integers(LENGTH // 2, LENGTH * 3 // 2, UTTERANCES)
    offsets = np.cumsum([0, *lengths])
    return rng.standard_normal((offsets[-1], FEATURES), np.float32), rng.integers(0, CLASSES, offsets[-1]), offsets


def _dataset(case):
    from handgrad.data import FrameDataset, fit_preprocessing
    from handgrad.data.frames import Frames

    frames, labels, offsets = _frames()
    preprocessing = fit_preprocessing("standard", frames, 1.0)
    classes, splits = tuple(map(str, range(CLASSES))), {"train": range(len(frames))}
    about = (Frames([frames]), labels, splits, classes, 1.0, preprocessing)
    return FrameDataset("speech", *about, offsets=offsets, context=case["context"])


def _batches(dataset, case):
    return _round_robin(np.random.default_rng(1).integers(0, len(dataset.labels), (200, case["batch"])))


def _round_robin(batches):
    while True:
        yield from batches


def gather_peer(case):
    dataset = _dataset(case)
    turn, out = _batches(dataset, case), np.empty((case["batch"], *dataset.input_shape), np.float32)

    def gather():
        indices = next(turn)
        return dataset.gather_for_training(indices, 0, out=out), dataset.targets(indices)

    return gather


def step_peer(case):
    from threadpoolctl import threadpool_limits

    from handgrad.architectures import mlp
    from handgrad.engines import EngineSpec, OptimizerSpec
    from handgrad.engines.numpy import NumpyEngine

    threadpool_limits(1, user_api="blas")  # the engine divides the work itself
    dataset = _dataset(case)
    network = mlp(dataset.input_shape, case["hidden"], CLASSES)
    engine = NumpyEngine(network, OptimizerSpec("adam"), EngineSpec(threads=THREADS))
    engine.load(dataset)
    turn, rates = _batches(dataset, case), np.full(1, 1e-4)
    return lambda: float(engine.train(next(turn)[None], rates).loss[0])


def torch_engine_peer(case):
    import torch

    from handgrad.engines.torch import _ResidentFrames

    torch.set_num_threads(THREADS)
    dataset = _dataset(case)
    resident = _ResidentFrames(dataset, torch.device("cpu"), torch.float32)
    turn = _batches(dataset, case)
    return lambda: resident.gather(torch.from_numpy(next(turn)))


def loader_peer(case, workers=0):
    import torch
    from torch.utils.data import DataLoader
    from torch.utils.data import Dataset as MapStyle

    frames, labels, offsets = _frames()
    k = case["context"]
    frames = (frames - frames.mean(axis=0)) / frames.std(axis=0)
    padded = [np.pad(part, ((k, k), (0, 0)), mode="edge") for part in np.split(frames, offsets[1:-1])]
    starts = np.cumsum([0, *map(len, padded[:-1])])
    whole = torch.from_numpy(np.concatenate(padded))
    first = np.arange(len(frames)) + np.repeat(starts - offsets[:-1], np.diff(offsets))  # of each frame's window
    first, target = torch.from_numpy(first), torch.from_numpy(labels)

    class Windows(MapStyle):
        def __len__(self):
            return len(first)

        def __getitem__(self, i):
            return whole[first[i] : first[i] + 2 * k + 1], target[i]

    loader = DataLoader(
        Windows(), batch_size=case["batch"], shuffle=True, drop_last=True, num_workers=workers,
        persistent_workers=workers > 0,
    )  # fmt: skip

    def endless():
        while True:
            yield from loader

    turn = endless()
    return lambda: next(turn)


def loader_with_workers_peer(case):
    return loader_peer(case, workers=2)


PEERS = {
    "gather": gather_peer,
    "torch engine": torch_engine_peer,
    "step": step_peer,
    "DataLoader": loader_peer,
    "DataLoader 2 workers": loader_with_workers_peer,
}


def version(peer: str) -> str:
    if peer in ("gather", "step"):
        return f"handgrad {installed_version('handgrad')}, numpy {np.__version__}"
    return f"torch {installed_version('torch')}"


def main() -> None:
    parser = argparse.ArgumentParser(description="What gathering windows of speech frames costs.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="end within 45 seconds, and name what was left out")
    parser.add_argument("--rounds", type=int, default=11, help="rounds a case, 0.6 s each for every peer [11]")
    arguments = parser.parse_args()
    chosen = QUICK if arguments.quick else list(CASES)
    peers, missing = choose_peers(PEERS, OURS, NEEDS, (), None, arguments.quick)
    rounds, seconds = (4, 0.25) if arguments.quick else (arguments.rounds, 0.6)
    results, versions = [], {}
    for case in chosen:
        times, named = measure("benchmarks.frames", case, peers, rounds, seconds)
        versions.update(named)
        result = compare(_Compared, case, times)
        shares = [
            statistics.median(gather) / statistics.median(step)
            for gather, step in zip(times["gather"], times["step"], strict=True)
        ]
        result["share_of_step"] = round(statistics.median(shares), 4)
        result["share_of_step_spread"] = [round(min(shares), 4), round(max(shares), 4)]
        results.append(result)
    report = {
        "benchmark": "frames",
        "machine": machine(),
        "versions": {"python": platform.python_version(), **versions},
        "cases": results,
        "left_out": [case for case in CASES if case not in chosen] + missing,
    }
    if arguments.json:
        print(json.dumps(report, indent=2))
        return
    for result in results:
        print(result["case"])
        for peer, median in result["median_us"].items():
            print(f"  {peer:<22}{median:10.1f} us")
        low, high = result["share_of_step_spread"]
        print(f"  gather over step      {result['share_of_step']:10.1%}    (rounds: {low:.1%} to {high:.1%})")
        if "ratio" in result:
            print(f"  gather over {result['best_other']:<22} {result['ratio']:.3f}")
    print(f"on {report['machine']}: " + "; ".join(f"{peer}: {v}" for peer, v in report["versions"].items()))
    if report["left_out"]:
        print("left out:", "; ".join(report["left_out"]))


class _Compared:
    """The interface of a benchmark for `harness.compare`."""

    PEERS, OURS, CASES = PEERS, OURS, CASES


if __name__ == "__main__":
    main()

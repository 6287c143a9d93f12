"""A whole training step of an MLP: rows of the data set taken by index, forward, loss, backward, update.

Every peer does the same arithmetic in float32 on two threads, from data that lies in memory as float32.
"""

from __future__ import annotations

from importlib.metadata import version as installed_version
from itertools import pairwise

import numpy as np

from benchmarks.harness import main

CASES = {
    "3072-100-10 sgd 200": {"sizes": (3072, 100, 10), "optimizer": "sgd", "batch": 200},
    "784-64-64-32-10 sgd 100": {"sizes": (784, 64, 64, 32, 10), "optimizer": "sgd", "batch": 100},
    "64-128-128-10 adam 64": {"sizes": (64, 128, 128, 10), "optimizer": "adam", "batch": 64},
    "3072-400-400-400-10 adam 400": {"sizes": (3072, 400, 400, 400, 10), "optimizer": "adam", "batch": 400},
    "3072-1024-512-128-64-32-10 adam 128": {
        "sizes": (3072, 1024, 512, 128, 64, 32, 10),
        "optimizer": "adam",
        "batch": 128,
    },
    "3072-1024-512-128-64-32-10 adam 128 batchnorm dropout": {
        "sizes": (3072, 1024, 512, 128, 64, 32, 10),
        "optimizer": "adam",
        "batch": 128,
        "norm": "batch",
        "dropout": 0.2,
    },
}
QUICK = list(CASES)[:3]
LEARNING_RATE = 1e-4
SAMPLES = 4096


def _data(case):
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((SAMPLES, case["sizes"][0]), dtype=np.float32)
    return inputs, rng.integers(0, case["sizes"][-1], SAMPLES), rng.integers(0, SAMPLES, (64, case["batch"]))


def numpy_peer(case):
    from handgrad.architectures import mlp
    from handgrad.data import Dataset, fit_preprocessing
    from handgrad.engines import OptimizerSpec
    from handgrad.engines.numpy import NumpyEngine

    inputs, labels, batches = _data(case)
    sizes = case["sizes"]
    architecture = mlp(
        sizes[:1], sizes[1:-1], sizes[-1], norm=case.get("norm", "none"), dropout=case.get("dropout", 0.0)
    )
    engine = NumpyEngine(architecture, OptimizerSpec(case["optimizer"]))
    classes = tuple(map(str, range(sizes[-1])))
    preprocessing = fit_preprocessing("none", inputs, 1.0)
    engine.load(Dataset("random", inputs, labels, {"train": range(SAMPLES)}, classes, 1.0, preprocessing))
    rates, turn = np.full(1, LEARNING_RATE), iter(_round_robin(len(batches)))
    return lambda: engine.train(batches[(i := next(turn)) : i + 1], rates)


def torch_peer(case):
    import torch

    torch.set_num_threads(2)
    inputs, labels, batches = (torch.from_numpy(array) for array in _data(case))
    sizes, layers = case["sizes"], []
    for d, k in pairwise(sizes[:-1]):
        layers.append(torch.nn.Linear(d, k))
        if case.get("norm") == "batch":
            layers.append(torch.nn.BatchNorm1d(k))
        layers.append(torch.nn.ReLU())
        if "dropout" in case:
            layers.append(torch.nn.Dropout(case["dropout"]))
    network = torch.nn.Sequential(*layers, torch.nn.Linear(*sizes[-2:]))
    rule = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[case["optimizer"]]
    optimizer = rule(network.parameters(), lr=LEARNING_RATE, fused=True)
    loss_function, turn = torch.nn.CrossEntropyLoss(), iter(_round_robin(len(batches)))

    def step():
        batch = batches[next(turn)]
        scores = network(inputs[batch])
        target = labels[batch]
        loss = loss_function(scores, target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.item(), (scores.argmax(-1) == target).sum().item()

    return step


def _round_robin(n):
    while True:
        yield from range(n)


PEERS = {"numpy": numpy_peer, "torch": torch_peer}


def version(peer: str) -> str:
    package = {"numpy": "handgrad", "torch": "torch"}[peer]
    own = f"{installed_version(package)}"
    return f"{own} (NumPy {installed_version('numpy')})" if peer == "numpy" else f"{own} eager, fused optimiser"


if __name__ == "__main__":
    main("benchmarks.train_step", __doc__ or "", list(CASES), list(PEERS), QUICK)

"""Run by `torchrun` from test_processes.py: all processes train each case together, then each process alone."""

import sys
import warnings
from dataclasses import replace

import numpy as np
import torch

from handgrad.architectures import mlp, preact_resnet, vgg
from handgrad.data import Augmentation, Dataset, fit_preprocessing
from handgrad.engines import DivergedError, EngineSpec, OptimizerSpec
from handgrad.engines.processes import joined
from handgrad.engines.torch import TorchEngine
from handgrad.errors import ConfigError
from handgrad.training.compare import undetermined

warnings.simplefilter("error")
warnings.filterwarnings("ignore", category=DeprecationWarning, module="torch")
torch.set_num_threads(1)

DROPOUT = mlp((2, 32, 32), (12, 8), 3, norm="batch", dropout=0.3)
CASES = {
    "plain": (mlp((2, 32, 32), (12, 8), 3), OptimizerSpec("sgd", momentum=0.9), {}),
    "dropout": (DROPOUT, OptimizerSpec("adam"), {}),
    "by hand": (DROPOUT, OptimizerSpec("adam", clip_norm=0.5), {"gradients": "hand"}),
    "layer": (mlp((2, 32, 32), (12, 8), 3, norm="layer"), OptimizerSpec("muon"), {}),
    "vgg": (vgg((2, 32, 32), 3, width=2), OptimizerSpec("sgd", momentum=0.9), {}),
    "preact-resnet": (preact_resnet((2, 32, 32), 3, width=2), OptimizerSpec("sgd"), {"gradients": "hand"}),
}
STEPS, BATCH = 12, 7  # 7 rows for two: 3 and 4


def data() -> Dataset:
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((40, 2, 32, 32), np.float32)
    labels = rng.integers(0, 3, 40)
    made = Dataset(
        "made-up", inputs, labels, {"train": range(40)}, ("a", "b", "c"), 1.0, fit_preprocessing("none", inputs, 1.0)
    )
    return replace(made, augmentation=Augmentation(2, True, 0))


def relative(a, b) -> float:
    return float(np.abs(a - b).max() / max(np.abs(a).max(), np.abs(b).max(), 1e-8))


def main(processes) -> None:
    indices = np.random.default_rng(1).integers(0, 40, (STEPS, BATCH))
    rates = np.full(STEPS, 3e-3)
    report = []
    for name, (architecture, spec, options) in CASES.items():
        engine_spec, seeds = EngineSpec("torch", "float64", **options), {"init_seed": 3, "noise_seed": 4}
        together = TorchEngine(architecture, spec, engine_spec, processes=processes, **seeds)
        alone = TorchEngine(architecture, spec, engine_spec, **seeds)
        figures = []
        for engine in (together, alone):
            engine.load(data())
            figures.append([engine.train(indices[:5], rates[:5]), engine.train(indices[5:], rates[5:])])
            # Whole again from a checkpoint, which any number of processes can read.
            engine.restore(*engine.checkpoint())
            figures[-1].append(engine.train(indices[:4], rates[:4]))
        for a, b in zip(*figures, strict=True):
            assert a.samples == b.samples == BATCH
            assert relative(a.loss, b.loss) < 1e-10, (name, a.loss, b.loss)
            assert np.array_equal(a.correct, b.correct), name
        unclear = undetermined(architecture)
        states = together.state_dict(), alone.state_dict()
        assert states[0].keys() == states[1].keys()
        for parameter in states[0].keys() - unclear:
            assert relative(states[0][parameter], states[1][parameter]) < 1e-10, (name, parameter)
        evaluated = [engine.evaluate(np.arange(39)) for engine in (together, alone)]
        assert evaluated[0].samples == evaluated[1].samples == 39
        # The running means hold what undetermined biases drifted by.
        assert relative(*(e.loss for e in evaluated)) < (1e-3 if unclear else 1e-10), (name, evaluated)
        # Every process holds the same network.
        mine = {key: torch.from_numpy(value.astype(np.float64)) for key, value in together.state_dict().items()}
        for key, value in mine.items():
            other = value.clone()
            torch.distributed.broadcast(other, src=0)
            assert torch.equal(other, value), (name, key)
        report.append(name)

    # No process may take its neighbour's rows.
    rows = [range(10)[type(processes)(rank, 3).rows(10)] for rank in range(3)]
    assert sorted(row for own in rows for row in own) == list(range(10))

    wild = TorchEngine(*CASES["plain"][:2], processes=processes)
    wild.load(data())
    try:
        wild.train(indices[:, :1], rates)
    except ConfigError as error:
        report.append(str(error))
    try:
        wild.train(indices, 1e30 * rates)
    except DivergedError as error:
        report.append(f"diverged at {error.step}: {error.cause}")
    if processes.rank == 0:
        print("\n".join(report), file=sys.stderr)
        print(f"done by {processes.count}", file=sys.stderr)


with joined("torch") as processes:
    main(processes)  # a function, so that no engine, and none of its threads, outlives the connection

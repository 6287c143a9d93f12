"""Overhead over PyTorch: the training loop compared with a plain one, the normalisations with those of torch.nn.

Float32, two threads, the two peers call by call in turn. `loop` cases: ten steps (that is what the times are of) of a
run of the torch engine (data resident, indices sent, losses and correct samples of every step given back) against a
hand-written loop that does the same with the same modules and fused optimiser. Other cases: forward and backward of the
functions with the derivative written by hand against torch.nn's modules, on (N, D) inputs, eager and compiled. A
process in which no array above a megabyte was ever let go of gives its memory back to the system after every call and
takes it anew (glibc sets that bound by the largest array let go of), and is slow with either; so one is.
"""

from __future__ import annotations

import warnings
from importlib.metadata import version as installed_version

import numpy as np

from benchmarks import conv_step, train_step
from benchmarks.harness import THREADS, main

_LOOPS = {f"loop {name}": {"loop": case} for name, case in train_step.CASES.items()}
_LOOPS |= {f"loop {network} adam {conv_step.BATCH}": {"loop": {"network": network}} for network in conv_step.NETWORKS}
_NORMS = {
    f"{kind} ({n}, {d}){' compiled' if compiled else ''}": {"norm": kind, "shape": (n, d), "compiled": compiled}
    for compiled in (False, True)
    for kind in ("BatchNorm", "LayerNorm")
    for n, d in ((128, 400), (512, 512), (32, 2048))
}
CASES = {**_LOOPS, **_NORMS}
QUICK = [*list(_LOOPS)[:3], *(name for name in _NORMS if "(512, 512)" in name and "compiled" not in name)]
RATE = 1e-4


def handgrad_peer(case):
    if "norm" in case:
        import handgrad.torch as ht

        return _normalization(case, {"BatchNorm": ht.BatchNorm1d, "LayerNorm": ht.LayerNorm}[case["norm"]])
    import torch

    from handgrad.data import Dataset, fit_preprocessing
    from handgrad.engines import OptimizerSpec
    from handgrad.engines.torch import TorchEngine

    torch.set_num_threads(THREADS)
    inputs, labels, batches = _data(case["loop"])
    spec = OptimizerSpec(case["loop"].get("optimizer", "adam"))
    engine = TorchEngine(_architecture(case["loop"]), spec)
    classes, preprocessing = tuple(map(str, range(10))), fit_preprocessing("none", inputs, 1.0)
    engine.load(Dataset("random", inputs, labels, {"train": range(len(inputs))}, classes, 1.0, preprocessing))
    turn, rates = _chunks(batches), np.full(CHUNK, RATE)
    return lambda: engine.train(next(turn), rates)


def torch_peer(case):
    import torch

    if "norm" in case:
        return _normalization(case, {"BatchNorm": torch.nn.BatchNorm1d, "LayerNorm": torch.nn.LayerNorm}[case["norm"]])
    from handgrad.nn.dropout import draw_mask
    from handgrad.torch import build

    torch.set_num_threads(THREADS)
    inputs, labels, batches = (torch.from_numpy(array) for array in _data(case["loop"]))
    noise = np.random.default_rng(0)

    def mask(x, p):  # the masks of the NumPy engine, as the run draws them
        return torch.from_numpy(draw_mask(noise, p, tuple(x.shape)))

    architecture = _architecture(case["loop"])
    network = build(architecture, "autograd", masks=mask)
    rule = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[case["loop"].get("optimizer", "adam")]
    optimizer = rule(network.parameters(), lr=RATE, fused=True)
    loss_function, turn = torch.nn.CrossEntropyLoss(), _chunks(batches)

    def step(batch):
        x, target = inputs[batch].reshape(len(batch), *architecture.input_shape), labels[batch]
        scores = network(x)
        loss = loss_function(scores, target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.item(), (scores.argmax(-1) == target).sum().item()

    return lambda: [step(batch) for batch in next(turn)]


#: Number of steps per call of the engine, as in a run.
CHUNK = 10


def _chunks(batches):
    while True:
        yield from batches.reshape(-1, CHUNK, batches.shape[-1])


def _architecture(case):
    if "network" in case:
        return conv_step._architecture(case["network"])
    from handgrad.architectures import mlp

    sizes = case["sizes"]
    return mlp(sizes[:1], sizes[1:-1], sizes[-1], norm=case.get("norm", "none"), dropout=case.get("dropout", 0.0))


def _data(case):
    return conv_step._data() if "network" in case else train_step._data(case)


def _normalization(case, make):
    import torch

    torch.set_num_threads(THREADS)
    torch.empty(2**22)  # and let go of, as in any program that trains: see above
    module, dy = make(case["shape"][1]), torch.randn(case["shape"])
    x = torch.randn(case["shape"], requires_grad=True)
    forward = module
    if case["compiled"]:
        warnings.simplefilter("ignore")
        forward = torch.compile(module)

    def step():
        module.zero_grad(set_to_none=True)
        x.grad = None
        forward(x).backward(dy)

    return step


def saved_numbers() -> dict[str, dict[str, int]]:
    """Bytes that forward keeps for backward beside the parameters, at (512, 512), each tensor counted once."""
    import torch

    import handgrad.torch as ht

    makers = {
        "BatchNorm": {"handgrad": ht.BatchNorm1d, "torch": torch.nn.BatchNorm1d},
        "LayerNorm": {"handgrad": ht.LayerNorm, "torch": torch.nn.LayerNorm},
    }
    found: dict[str, dict[str, int]] = {}
    for kind, peers in makers.items():
        found[kind] = {}
        for peer, make in peers.items():
            module, x = make(512), torch.randn(512, 512, requires_grad=True)
            own = {tensor.data_ptr() for tensor in (*module.parameters(), *module.buffers())}
            kept: dict[int, int] = {}

            def keep(tensor, kept=kept, own=own):
                if tensor.data_ptr() not in own:
                    kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
                return tensor

            with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
                module(x)
            found[kind][peer] = sum(kept.values())
    return found


PEERS = {"handgrad": handgrad_peer, "torch": torch_peer}
TOGETHER = True
NEEDS = {"handgrad": "torch", "torch": "torch"}


def version(peer: str) -> str:
    return f"{'handgrad on ' if peer == 'handgrad' else ''}PyTorch {installed_version('torch')}"


if __name__ == "__main__":
    import sys

    main("benchmarks.torch_overhead", __doc__ or "", list(CASES), list(PEERS), QUICK)
    print("bytes kept for backward, (512, 512) float32:", saved_numbers(), file=sys.stderr)

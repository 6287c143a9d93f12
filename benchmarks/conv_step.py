"""Times training steps of the two convolutional networks, and forward and backward of each of their convolutions.

Batch 32, float32, two threads, Adam, images that lie in memory as float32. A step is that of `train_step`: it begins
with the indices of a batch and ends with its loss as a Python number. A convolution is one call of forward and one of
backward, for its weights and, but for the first of a network, its input.
"""

from __future__ import annotations

import warnings
from importlib.metadata import version as installed_version

import numpy as np

from benchmarks.harness import THREADS, main

BATCH, CLASSES, SAMPLES = 32, 10, 512
NETWORKS = ("vgg", "preact-resnet")


def _architecture(network: str):
    from handgrad.architectures import preact_resnet, vgg

    return {"vgg": vgg, "preact-resnet": preact_resnet}[network]((3, 32, 32), CLASSES)


def _cases() -> dict[str, dict]:
    cases = {f"{network} adam {BATCH}": {"network": network} for network in NETWORKS}
    for network in NETWORKS:
        for row in _architecture(network).rows():
            if row.kind == "conv2d":
                kernel, (channels, height, _) = row.options["kernel_size"], row.input_shape
                name = f"conv {kernel}x{kernel} {channels}-{row.output_shape[0]} {height}x{height}"
                cases[name] = {"row": row, "first": row.name == "0"}
    return cases


CASES = _cases()
QUICK = [f"{network} adam {BATCH}" for network in NETWORKS]
OURS = ("numpy", "fast")
NEEDS = {"fast": "numba", "torch": "torch", "torch channels-last": "torch", "torch compile": "torch"}
SLOW_TO_START = ("torch compile", "fast")
#: Size of the square matrices of the peer `sgemm`.
RULER = 1024


def floating_point_operations(case) -> float:
    """Of the products as they are defined; Winograd's algorithm gets by with fewer, so a share may be above 1."""
    if "row" in case:
        return 2 * BATCH * case["row"].multiply_adds * (2 if case["first"] else 3)
    rows = [row for row in _architecture(case["network"]).rows() if row.multiply_adds]
    return 2 * BATCH * (3 * sum(row.multiply_adds for row in rows) - rows[0].multiply_adds)


def _data():
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((SAMPLES, 3, 32, 32), dtype=np.float32)
    return inputs, rng.integers(0, CLASSES, SAMPLES), rng.integers(0, SAMPLES, (60, BATCH))


def numpy_peer(case, kernels="numpy"):
    from threadpoolctl import threadpool_limits

    threadpool_limits(1, user_api="blas")  # the engine divides the work itself
    if "row" in case:
        return _numpy_convolution(case, kernels)
    from handgrad.data import Dataset, fit_preprocessing
    from handgrad.engines import EngineSpec, OptimizerSpec
    from handgrad.engines.numpy import NumpyEngine

    inputs, labels, batches = _data()
    engine = NumpyEngine(
        _architecture(case["network"]), OptimizerSpec("adam"), EngineSpec(threads=THREADS, kernels=kernels)
    )
    classes, preprocessing = tuple(map(str, range(CLASSES))), fit_preprocessing("none", inputs, 1.0)
    engine.load(Dataset("random", inputs, labels, {"train": range(SAMPLES)}, classes, 1.0, preprocessing))
    turn, rates = _round_robin(batches[:, None]), np.full(1, 1e-4)
    return lambda: float(engine.train(next(turn), rates).loss[0])


def fast_peer(case):
    return numpy_peer(case, kernels="numba")


def _numpy_convolution(case, kernels):
    from handgrad import nn
    from handgrad.kernels import Kernels, lay_out_for_kernels

    row = case["row"]
    options = {name: value for name, value in row.options.items() if name != "gain"}
    layer = nn.Conv2d(**options, rng=0)
    lay_out_for_kernels(nn.Sequential(layer))
    layer.weight.grad = layer.weight.value.copy("K")
    kernel = Kernels(THREADS, compiled=kernels == "numba").lend(layer)
    kernel.input_gradient = not case["first"]
    rng = np.random.default_rng(0)
    x, dy = (_channels_last(rng, shape) for shape in (row.input_shape, row.output_shape))

    def run():
        kernel.forward(x)
        kernel.backward(dy)

    return run


def _channels_last(rng, shape):
    channels, height, width = shape
    return rng.standard_normal((BATCH, height, width, channels), dtype=np.float32).transpose(0, 3, 1, 2)


def torch_peer(case, channels_last=False, compiled=False):
    import torch

    torch.set_num_threads(THREADS)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    if "row" in case:
        return _torch_convolution(case, layout, compiled)
    inputs, labels, batches = (torch.from_numpy(array) for array in _data())
    inputs = inputs.contiguous(memory_format=layout)
    network = torch.nn.Sequential(*map(_module, _architecture(case["network"]).layers)).to(memory_format=layout)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)
    loss_function, turn = torch.nn.CrossEntropyLoss(), _round_robin(batches)
    forward = torch.compile(network) if compiled else network

    def step():
        batch = next(turn)
        loss = loss_function(forward(inputs[batch]), labels[batch])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def _torch_convolution(case, layout, compiled):
    import torch

    row = case["row"]
    module = _module(row).to(memory_format=layout)
    forward = torch.compile(module) if compiled else module
    x = torch.randn(BATCH, *row.input_shape).contiguous(memory_format=layout).requires_grad_(not case["first"])
    dy = torch.randn(BATCH, *row.output_shape).contiguous(memory_format=layout)

    def run():
        module.zero_grad(set_to_none=True)
        x.grad = None
        forward(x).backward(dy)

    return run


def _module(layer):
    """The PyTorch module of a layer of these networks."""
    import torch

    class Residual(torch.nn.Sequential):
        def forward(self, x):
            return x + super().forward(x)

    if layer.kind == "residual":
        return Residual(*map(_module, layer.children))
    options = {name: value for name, value in layer.options.items() if name != "gain"}
    kinds = {
        "conv2d": torch.nn.Conv2d,
        "batch_norm2d": torch.nn.BatchNorm2d,
        "relu": torch.nn.ReLU,
        "max_pool2d": torch.nn.MaxPool2d,
        "flatten": torch.nn.Flatten,
        "linear": torch.nn.Linear,
    }
    return kinds[layer.kind](**options)


def channels_last_peer(case):
    return torch_peer(case, channels_last=True)


def compiled_peer(case):
    warnings.simplefilter("ignore")
    return torch_peer(case, channels_last=True, compiled=True)


def sgemm_peer(case):
    a, c = np.ones((RULER, RULER), np.float32), np.empty((RULER, RULER), np.float32)
    return lambda: np.matmul(a, a, out=c)


def _round_robin(items):
    while True:
        yield from items


PEERS = {
    "numpy": numpy_peer,
    "fast": fast_peer,
    "torch": torch_peer,
    "torch channels-last": channels_last_peer,
    "torch compile": compiled_peer,
    "sgemm": sgemm_peer,
}


def version(peer: str) -> str:
    if peer in ("numpy", "fast", "sgemm"):
        with_numba = f", numba {installed_version('numba')}" if peer == "fast" else ""
        return f"{installed_version('handgrad')} (NumPy {installed_version('numpy')}{with_numba})"
    how = {"torch": "eager", "torch channels-last": "eager", "torch compile": "compiled, channels last"}[peer]
    return f"{installed_version('torch')} {how}, fused optimiser"


if __name__ == "__main__":
    main("benchmarks.conv_step", __doc__ or "", list(CASES), list(PEERS), QUICK)

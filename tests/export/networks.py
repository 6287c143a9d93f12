"""Small networks that together contain every kind of layer, and the data that a run would store about them."""

import dataclasses

import numpy as np

from handgrad.architectures import ACTIVATIONS, NORMS, Architecture, LayerSpec, mlp, preact_resnet, vgg
from handgrad.engines.numpy import build
from handgrad.export import Trained
from handgrad.training import TrainConfig


def _of(input_shape, *layers):
    return Architecture("test", input_shape, tuple(LayerSpec.from_dict(layer) for layer in layers))


def _linear(n, k, **options):
    return {"kind": "linear", "in_features": n, "out_features": k, **options}


_BLOCK = [{"kind": "layer_norm", "num_features": 6}, {"kind": "relu"}, _linear(6, 6)]

ARCHITECTURES = {
    "no-hidden-layer": mlp((5,), (), 3),
    **{f"mlp-{name}": mlp((5,), (6, 4), 3, activation=name, negative_slope=0.2) for name in ACTIVATIONS},
    **{f"mlp-{name}": mlp((5,), (8, 4), 3, norm=name, num_groups=2, dropout=0.25) for name in NORMS},
    "mlp-of-images": mlp((2, 3, 3), (4,), 3),
    "vgg": vgg((3, 9, 7), 3, width=4),
    "vgg-group": vgg((1, 8, 8), 3, width=4, norm="group", num_groups=2),
    "preact-resnet": preact_resnet((3, 8, 8), 3, width=4),
    "log-softmax": _of((5,), _linear(5, 3), {"kind": "log_softmax"}),
    "softmax": _of((5,), _linear(5, 3, bias=False), {"kind": "softmax"}),
    "nested": _of(
        (5,),
        _linear(5, 6),
        {"kind": "residual", "layers": [*_BLOCK, {"kind": "residual", "layers": _BLOCK}]},
        {"kind": "dropout", "p": 0.5},
        _linear(6, 3),
    ),
    "convolutions": _of(
        (4, 9, 10),
        {"kind": "conv2d", "in_channels": 4, "out_channels": 6, "kernel_size": [3, 2], "stride": [2, 1],
         "padding": [1, 2], "dilation": [1, 2], "groups": 2},
        {"kind": "gelu"},
        {"kind": "avg_pool2d", "kernel_size": 3, "stride": 2, "padding": 1},
        {"kind": "conv2d", "in_channels": 6, "out_channels": 3, "kernel_size": 1, "bias": False},
        {"kind": "max_pool2d", "kernel_size": [2, 3]},
        {"kind": "identity"},
        {"kind": "global_avg_pool2d"},
    ),
}  # fmt: skip


GELU_AND_RMS = _of((5,), _linear(5, 6), {"kind": "rms_norm", "num_features": 6}, {"kind": "gelu"}, _linear(6, 3))


def trained(name="mlp-relu", *, loss="cross_entropy", task="classification", seed=0, **fields):
    """The network of this name with random parameters and statistics."""
    architecture = fields.get("architecture", ARCHITECTURES[name])
    rng = np.random.default_rng(seed)
    state = build(architecture, init_rng=seed).state_dict()
    for key, array in state.items():
        if array.ndim == 1:
            array[...] = (
                rng.uniform(0.5, 1.5, array.shape) if key.endswith(("weight", "var")) else rng.normal(size=array.shape)
            )
    shape = (2, 3, 3) if name == "mlp-of-images" else architecture.input_shape
    one = (1,) * len(shape)
    values = {
        "name": name,
        "architecture": architecture,
        "state": state,
        "config": dataclasses.replace(TrainConfig(), loss=loss),
        "shift": rng.normal(size=shape).astype(np.float32),
        "scale": rng.uniform(0.5, 2, one).astype(np.float32),
        "input_shape": shape,
        "classes": ("one", 'two "2"', "drei ß"),
        "task": task,
        "value_range": 2.0,
    }
    return Trained(**{**values, **fields})


def inputs(network, n=7, seed=1):
    """Raw inputs (n, ...), the outputs of the network, and the predictions that a user gets."""
    raw = np.random.default_rng(seed).normal(size=(n, *network.input_shape)).astype(np.float32)
    x = (raw - network.shift) * network.scale
    outputs = network.network().forward(x.reshape(n, *network.architecture.input_shape))
    return raw, outputs, network.user_values(outputs)

"""PyTorch export: a file with a plain module, and its state dict, neither of which requires handgrad."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence

from safetensors.numpy import save

from handgrad import __version__
from handgrad._typing import Array, Shaped
from handgrad.export.python import batch, named_tuple
from handgrad.export.trained import Item, Trained, listed

#: A layer as an expression.
Expression = Callable[[Item], str]


def torch_module(trained: Trained, *, file_name: str) -> str:
    """The text of the file with the module."""
    module = file_name.removesuffix(".py")
    layers = _layer_lines(trained.items(), 12)
    used = "\n".join([*layers, _turned(trained)])
    classes = [text for name, text in DEFINITIONS.items() if f"{name}(" in used.replace("nn.", "")]
    return _FILE.format(
        name=trained.name.replace("\\", "").replace('"', "'"),
        version=__version__,
        module=module,
        input_words=f"raw {_what(trained)} {batch(trained.input_shape)}",
        names=trained.names_constant,
        answer="targets" if trained.regression else "probabilities",
        outputs="\n".join(textwrap.wrap(listed(trained.classes), 110, initial_indent="    ", subsequent_indent="    "))
        .replace("\\", "\\\\")
        .replace('"', "'"),
        constants="\n".join(
            [
                named_tuple(trained.names_constant, trained.classes),
                *([named_tuple("FEATURES", trained.feature_names)] if trained.table else []),
                f"INPUT_SHAPE = {tuple(trained.input_shape)}",
                f"NETWORK_SHAPE = {tuple(trained.architecture.input_shape)}",
            ]
        ),
        classes="".join(f"{text}\n\n" for text in classes),
        layers="\n".join(layers),
        output=trained.output,
        count=len(trained.classes),
        network_batch=batch(trained.architecture.input_shape),
        shift=tuple(trained.shift.shape),
        scale=tuple(trained.scale.shape),
        targets=_TARGET_BUFFERS.format(shape=trained.target_scale.shape) if trained.target_scale is not None else "",
        turned=_turned(trained),
    )


def torch_state(trained: Trained) -> dict[str, Shaped[Array, "..."]]:
    """The state dict of the module."""
    state = {**trained.state, "shift": trained.shift, "scale": trained.scale}
    if trained.target_shift is not None and trained.target_scale is not None:
        state |= {"target_shift": trained.target_shift, "target_scale": trained.target_scale}
    return state


def state_bytes(state: dict[str, Shaped[Array, "..."]], metadata: dict[str, str] | None = None) -> bytes:
    """A state dict in the format of a safetensors file."""
    return save({name: array.copy(order="C") for name, array in state.items()}, metadata)


def _what(trained: Trained) -> str:
    return "encoded rows of the table (see FEATURES)" if trained.table else "inputs"


def _turned(trained: Trained) -> str:
    if trained.regression:
        return "y / self.target_scale + self.target_shift" if trained.target_scale is not None else "y"
    return {
        "scores": "y.softmax(dim=1)",
        "log-probabilities": "y.exp()",
        "probabilities": "y",
        "outputs": "nearest_probabilities(y)",
    }[trained.output]


def _layer_lines(items: Sequence[Item], indent: int) -> list[str]:
    lines: list[str] = []
    space = " " * indent
    for item in items:
        if item.children:
            lines += [f"{space}Residual(  # {item.name}", *_layer_lines(item.children, indent + 4), f"{space}),"]
        else:
            lines.append(f"{space}{MODULES[item.row.kind](item)},  # {item.name}")
    return lines


def _fixed(text: str) -> Expression:
    return lambda item: text


def _linear(item):
    layer = item.layer
    return f"nn.Linear({layer.in_features}, {layer.out_features}{'' if layer.bias is not None else ', bias=False'})"


def _conv2d(item):
    layer = item.layer
    text = f"nn.Conv2d({layer.in_channels}, {layer.out_channels}, {layer.kernel_size}"
    for name, default in (("stride", (1, 1)), ("padding", (0, 0)), ("dilation", (1, 1)), ("groups", 1)):
        if getattr(layer, name) != default:
            text += f", {name}={getattr(layer, name)}"
    return text + ("" if layer.bias is not None else ", bias=False") + ")"


def _norm(name: str) -> Expression:
    return lambda item: f"nn.{name}({item.layer.num_features}, eps={item.layer.eps})"


def _batch_norm(name: str) -> Expression:
    def text(item):
        layer = item.layer
        return f"nn.{name}({layer.num_features}, eps={layer.eps}, momentum={layer.momentum})"

    return text


def _pool(name: str) -> Expression:
    def text(item):
        layer = item.layer
        return f"nn.{name}({layer.kernel_size}, stride={layer.stride}, padding={layer.padding})"

    return text


MODULES: dict[str, Expression] = {
    "linear": _linear,
    "batch_norm": _batch_norm("BatchNorm1d"),
    "layer_norm": _norm("LayerNorm"),
    "group_norm": lambda item: (
        f"nn.GroupNorm({item.layer.num_groups}, {item.layer.num_features}, eps={item.layer.eps})"
    ),
    "rms_norm": _norm("RMSNorm"),
    "dropout": lambda item: f"nn.Dropout({item.layer.p})",
    "flatten": _fixed("nn.Flatten()"),
    "relu": _fixed("nn.ReLU()"),
    "leaky_relu": lambda item: f"nn.LeakyReLU({item.layer.negative_slope})",
    "elu": lambda item: f"nn.ELU({item.layer.alpha})",
    "gelu": lambda item: f'nn.GELU(approximate="{item.layer.approximate}")',
    "silu": _fixed("nn.SiLU()"),
    "softplus": lambda item: f"nn.Softplus(beta={item.layer.beta}, threshold={item.layer.threshold})",
    "sigmoid": _fixed("nn.Sigmoid()"),
    "tanh": _fixed("nn.Tanh()"),
    "identity": _fixed("nn.Identity()"),
    "softmax": _fixed("nn.Softmax(dim=1)"),
    "log_softmax": _fixed("nn.LogSoftmax(dim=1)"),
    "conv2d": _conv2d,
    "max_pool2d": _pool("MaxPool2d"),
    "avg_pool2d": _pool("AvgPool2d"),
    "global_avg_pool2d": _fixed("GlobalAvgPool2d()"),
    "batch_norm2d": _batch_norm("BatchNorm2d"),
}

#: Classes and functions that the module may use.
DEFINITIONS = {
    "Residual": '''\
class Residual(nn.Sequential):
    """x + f(x), where f is the sequence of layers."""

    def forward(self, x):
        return x + super().forward(x)
''',
    "GlobalAvgPool2d": '''\
class GlobalAvgPool2d(nn.Module):
    """The mean of each feature map: (N, C, H, W) to (N, C)."""

    def forward(self, x):
        return x.mean(dim=(2, 3))
''',
    "nearest_probabilities": '''\
def nearest_probabilities(y):
    """The probabilities nearest to each row of y: max(0, y - theta), with the theta that makes them sum to 1."""
    falling = y.sort(dim=1, descending=True).values
    thresholds = (falling.cumsum(dim=1) - 1) / torch.arange(1, y.shape[1] + 1, device=y.device)
    positive = (falling > thresholds).sum(dim=1, keepdim=True)
    return (y - thresholds.gather(1, positive - 1)).clamp(min=0)
''',
}

_TARGET_BUFFERS = """
        self.register_buffer("target_shift", torch.zeros({shape}))
        self.register_buffer("target_scale", torch.ones({shape}))"""

_FILE = '''\
"""{name}: a network trained with handgrad {version}, as a plain PyTorch module that does not require handgrad.

    from {module} import load

    network = load("{module}.safetensors")
    {answer} = network.predict(x)  # x: {input_words}

Outputs, in order ({names}):
{outputs}
"""

import torch
from torch import nn

{constants}


{classes}class Network(nn.Sequential):
    """The layers; calling it gives the {output} (N, {count}) of preprocessed inputs {network_batch}.

    Its state dict has the names of the layers' own parameters (`0.weight`, ...), and the preprocessing.
    """

    def __init__(self):
        super().__init__(
{layers}
        )
        self.register_buffer("shift", torch.zeros({shift}))
        self.register_buffer("scale", torch.ones({scale})){targets}

    def preprocess(self, x):
        """Converts raw inputs to network inputs."""
        x = torch.as_tensor(x).to(self.scale)
        return ((x.reshape(-1, *INPUT_SHAPE) - self.shift) * self.scale).reshape(-1, *NETWORK_SHAPE)

    @torch.no_grad()
    def predict(self, x):
        """The {answer} (N, {count}) for raw inputs."""
        y = self.eval()(self.preprocess(x))
        return {turned}


def load(path):
    """The network with the weights of a .safetensors or .pt file."""
    if str(path).endswith(".pt"):
        state = torch.load(path, weights_only=True)
    else:
        from safetensors.torch import load_file

        state = load_file(path)
    network = Network()
    network.load_state_dict(state)
    return network.eval()
'''

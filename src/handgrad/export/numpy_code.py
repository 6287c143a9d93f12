"""NumPy code for the forward pass of each kind of layer, for the files written by `python.py`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence

from handgrad.export.trained import Item

#: √(2/π) and 0.044715 of the tanh approximation of GELU.
SCALE, CUBIC = math.sqrt(2 / math.pi), 0.044715

#: (layer, name of its input, name of its output) -> lines of code. `W` contains parameters and buffers by name.
Forward = Callable[[Item, str, str], list[str]]


def forward_lines(items: Sequence[Item], x: str = "x") -> list[str]:
    """The forward pass; each layer overwrites `x`."""
    lines: list[str] = []
    for item in items:
        lines.append(f"# {item.title}")
        if item.children:
            around = f"around_{item.name.replace('.', '_')}"
            lines += [f"{around} = {x}", *forward_lines(item.children, x), f"{x} = {around} + {x}  # {item.name}"]
        else:
            lines += FORWARD[item.row.kind](item, x, x)
    return lines


def helpers_used(code: str, helpers: Mapping[str, str]) -> list[str]:
    """The code of all functions that are called directly or indirectly, in order."""
    used: set[str] = set()
    texts = [code]
    while texts:
        text = texts.pop()
        for name, body in helpers.items():
            if name not in used and re.search(rf"(?<!def )\b{name}\(", text):
                used.add(name)
                texts.append(body)
    return [body for name, body in helpers.items() if name in used]


def w(item: Item, name: str, images: bool = False) -> str:
    """A parameter or buffer of the layer; channel parameters are broadcast over images."""
    return f'W["{item.name}.{name}"]' + ("[:, None, None]" if images else "")


def _plain(expression: str) -> Forward:
    """A layer without parameters, as an expression in {x}."""
    return lambda item, x, y: [f"{y} = {expression.format(x=x)}"]


def _linear(item, x, y):
    bias = f" + {w(item, 'bias')}" if item.layer.bias is not None else ""
    return [f"{y} = {x} @ {w(item, 'weight')}.T{bias}"]


def _conv2d(item, x, y):
    layer = item.layer
    bias = w(item, "bias") if layer.bias is not None else "None"
    options = f"stride={layer.stride}, padding={layer.padding}, dilation={layer.dilation}, groups={layer.groups}"
    return [f"{y} = conv2d({x}, {w(item, 'weight')}, {bias}, {options})"]


def _pool(function: str) -> Forward:
    def lines(item, x, y):
        layer = item.layer
        return [f"{y} = {function}({x}, {layer.kernel_size}, stride={layer.stride}, padding={layer.padding})"]

    return lines


def _batch_norm(item, x, y):
    images = not item.rows
    mean, variance, gamma, beta = (w(item, name, images) for name in ("running_mean", "running_var", "weight", "bias"))
    return [f"{y} = {gamma} * ({x} - {mean}) / np.sqrt({variance} + {item.layer.eps}) + {beta}"]


def _layer_norm(item, x, y):
    return [
        f"centered = {x} - {x}.mean(axis=1, keepdims=True)",
        f"{y} = centered / np.sqrt((centered**2).mean(axis=1, keepdims=True) + {item.layer.eps})",
        f"{y} = {w(item, 'weight')} * {y} + {w(item, 'bias')}",
    ]


def _group_norm(item, x, y):
    images = not item.rows
    return [
        f"groups = {x}.reshape(len({x}), {item.layer.num_groups}, -1)",
        "centered = groups - groups.mean(axis=2, keepdims=True)",
        f"groups = centered / np.sqrt((centered**2).mean(axis=2, keepdims=True) + {item.layer.eps})",
        f"{y} = {w(item, 'weight', images)} * groups.reshape({x}.shape) + {w(item, 'bias', images)}",
    ]


def _rms_norm(item, x, y):
    eps = item.layer.eps
    return [f"{y} = {w(item, 'weight')} * {x} / np.sqrt(({x}**2).mean(axis=1, keepdims=True) + {eps})"]


def _nothing(why: str) -> Forward:
    return lambda item, x, y: [f"{y} = {x}  # {why}"] if x != y else [f"# ({why})"]


def _leaky_relu(item, x, y):
    return [f"{y} = np.where({x} > 0, {x}, {item.layer.negative_slope} * {x})"]


def _elu(item, x, y):
    return [f"{y} = np.where({x} > 0, {x}, {item.layer.alpha} * np.expm1(np.minimum({x}, 0)))"]


def _gelu(item, x, y):
    return [f"{y} = {x} * {gelu_gate(item, x)}"]


def gelu_gate(item: Item, x: str) -> str:
    return f"{'normal_cdf' if item.layer.approximate == 'none' else 'gelu_gate'}({x})"


def _softplus(item, x, y):
    beta = item.layer.beta
    curve = f"np.maximum({x}, 0) + np.log1p(np.exp(-{beta} * np.abs({x}))) / {beta}"
    return [f"{y} = np.where({beta} * {x} > {item.layer.threshold}, {x}, {curve})"]


FORWARD: dict[str, Forward] = {
    "linear": _linear,
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "group_norm": _group_norm,
    "rms_norm": _rms_norm,
    "dropout": _nothing("dropout works in training only"),
    "flatten": _plain("{x}.reshape(len({x}), -1)"),
    "relu": _plain("np.maximum({x}, 0)"),
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "gelu": _gelu,
    "silu": _plain("{x} * sigmoid({x})"),
    "softplus": _softplus,
    "sigmoid": _plain("sigmoid({x})"),
    "tanh": _plain("np.tanh({x})"),
    "identity": _nothing("y = x"),
    "softmax": _plain("softmax({x})"),
    "log_softmax": _plain("log_softmax({x})"),
    "conv2d": _conv2d,
    "max_pool2d": _pool("max_pool2d"),
    "avg_pool2d": _pool("avg_pool2d"),
    "global_avg_pool2d": _plain("{x}.mean(axis=(2, 3))"),
    "batch_norm2d": _batch_norm,
}

#: Functions that the generated code may call.
HELPERS = {
    "sigmoid": '''\
def sigmoid(x):
    """1 / (1 + e^-x), in a form that cannot overflow."""
    return np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x)))
''',
    "normal_cdf": '''\
def normal_cdf(x):
    """The cumulative distribution function of the standard normal distribution."""
    erf = np.vectorize(math.erf, otypes=[float])
    return ((1 + erf(x * math.sqrt(0.5))) / 2).astype(x.dtype)
''',
    "gelu_gate": f'''\
def gelu_gate(x):
    """Approximation of the standard normal distribution function: (1 + tanh(u)) / 2 = sigmoid(2u)."""
    x = np.clip(x, -10, 10)
    return sigmoid(2 * {SCALE!r} * x * (1 + {CUBIC} * x * x))
''',
    "softmax": '''\
def softmax(x):
    """Probabilities from scores, row by row."""
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)
''',
    "log_softmax": '''\
def log_softmax(x):
    """The logarithm of softmax(x), finite even if a probability would be 0."""
    x = x - x.max(axis=1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))
''',
    "nearest_probabilities": '''\
def nearest_probabilities(x):
    """The probabilities nearest to each row of x: max(0, x - theta), with the theta that makes them sum to 1."""
    falling = -np.sort(-x, axis=1)
    thresholds = (falling.cumsum(axis=1) - 1) / np.arange(1, x.shape[1] + 1)
    positive = (falling > thresholds).sum(axis=1, keepdims=True)
    return np.maximum(x - np.take_along_axis(thresholds, positive - 1, axis=1), 0).astype(x.dtype)
''',
    "pad": '''\
def pad(x, padding, value=0.0):
    """The images x (N, C, H, W), padded with `value`."""
    (top, left) = padding
    return np.pad(x, ((0, 0), (0, 0), (top, top), (left, left)), constant_values=value)
''',
    "places": '''\
def places(height, width, kernel_size, stride, dilation=(1, 1)):
    """For each position (r, s) in a sliding window: the pixels of the (padded) image that it covers."""
    (R, S), (t, u), (d, e) = kernel_size, stride, dilation
    rows = (height - d * (R - 1) - 1) // t + 1
    columns = (width - e * (S - 1) - 1) // u + 1
    for r in range(R):
        for s in range(S):
            down = slice(r * d, r * d + (rows - 1) * t + 1, t)
            right = slice(s * e, s * e + (columns - 1) * u + 1, u)
            yield r, s, (slice(None), slice(None), down, right)
''',
    "conv2d": '''\
def conv2d(x, weight, bias, stride, padding, dilation, groups):
    """y[n,k,i,j] = b[k] + sum over c, r, s of x[n, c, i*stride + r*dilation, j*stride + s*dilation] * w[k,c,r,s]."""
    x = pad(x, padding)
    K, Cg, R, S = weight.shape
    y = 0
    for r, s, pixels in places(*x.shape[2:], (R, S), stride, dilation):
        part = x[pixels]  # (N, C, Ho, Wo): the pixels covered by this position of the kernel
        columns = part.reshape(len(x), groups, Cg, -1)
        y = y + weight[:, :, r, s].reshape(groups, K // groups, Cg) @ columns
    y = y.reshape(len(x), K, *part.shape[2:])
    return y if bias is None else y + bias[:, None, None]
''',
    "max_pool2d": '''\
def max_pool2d(x, kernel_size, stride, padding):
    """The maximum of each window."""
    x = pad(x, padding, -np.inf)
    y = -np.inf
    for _, _, pixels in places(*x.shape[2:], kernel_size, stride):
        y = np.maximum(y, x[pixels])
    return y
''',
    "avg_pool2d": '''\
def avg_pool2d(x, kernel_size, stride, padding):
    """The mean of each window; pixels outside the image count as 0."""
    x = pad(x, padding)
    y = 0
    for _, _, pixels in places(*x.shape[2:], kernel_size, stride):
        y = y + x[pixels]
    return y / (kernel_size[0] * kernel_size[1])
''',
}

"""Generates straight-line NumPy code for the training step of a network: forward, loss, backward, update."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from handgrad.errors import ConfigError
from handgrad.export.numpy_code import CUBIC, FORWARD, SCALE, gelu_gate, w
from handgrad.export.trained import Item, Trained
from handgrad.initializers import Normal, Orthogonal, Uniform, fans, parse_initializer


@dataclass(frozen=True)
class Names:
    """The names of the arrays of a layer in the code: input and output, their gradients, and a suffix for its own
    arrays."""

    x: str
    y: str
    dx: str
    dy: str
    own: str


#: (layer, names) -> lines of the forward pass in training mode, of the gradients of the parameters, and of dx.
Step = Callable[[Item, Names], tuple[list[str], list[str], list[str]]]


def training_code(trained: Trained) -> str:
    """The functions `gradients`, `update`, `initialise`, `train` and `check`.

    Raises:
        ConfigError: the loss or the update rule of the run is not supported.
    """
    check = _CHECK.strip("\n").replace("{rng}", ", np.random.default_rng(seed)" if _draws(trained) else "")
    return "\n\n\n".join([_gradients(trained), _update(trained), _initialise(trained), _train(trained), check])


@dataclass
class _Writer:
    """The passes under construction: `x0` is the input, `x1` the output of the first layer, ….

    Attributes:
        backward: the lines of each layer, in the order of the forward pass.
    """

    count: int = 0
    forward: list[str] = field(default_factory=list)
    backward: list[list[str]] = field(default_factory=list)

    def add(self, items: Sequence[Item]) -> None:
        for item in items:
            if item.children:
                self._add_residual(item)
            else:
                self._add_layer(item)

    def _add_layer(self, item: Item) -> None:
        i = self.count
        self.count += 1
        names = Names(f"x{i}", f"x{i + 1}", f"dx{i}", f"dx{i + 1}", f"_{i}")
        own = STEPS.get(item.row.kind)
        lines, gradients, dx = own(item, names) if own else _from_table(item, names)
        self.forward += [f"# {item.title}", *lines]
        into_data = i == 0  # the gradient of the data is not needed
        if gradients or not into_data:
            self.backward.append([f"# {item.title}", *gradients, *([] if into_data else dx)])

    def _add_residual(self, item: Item) -> None:
        start = self.count
        self.forward.append(f"# {item.title}")
        opening = len(self.backward)
        self.add(item.children)
        end = self.count
        self.count += 1
        self.forward.append(f"x{end + 1} = x{start} + x{end}")
        if start:
            closing = f"dx{start} = dx{start} + dx{end + 1}  # the residual connection"
            self.backward.insert(opening, [closing])
        self.backward.append(
            [f"# {item.title}: the gradient also flows through the shortcut", f"dx{end} = dx{end + 1}"]
        )


def _draws(trained: Trained) -> bool:
    """Whether a step draws dropout masks."""
    return any(row.kind == "dropout" for row in trained.architecture.rows())


def _gradients(trained: Trained) -> str:
    writer = _Writer()
    writer.add(trained.items())
    backward = [line for lines in reversed(writer.backward) for line in lines]
    out = f"x{writer.count}"
    random = _draws(trained)
    targets = "targets (N, T) in their original units" if trained.regression else "classes (N,), whole numbers"
    body = [
        '"""The loss (the mean over the batch) and its gradient for every parameter, by name.',
        "",
        f"x: preprocessed inputs; labels: {targets}{'; rng: draws the dropout masks' if random else ''}.",
        '"""',
        "x0 = x",
        "dW = {}",
        "",
        "# -- forward " + "-" * 60,
        *writer.forward,
        "",
        "# -- loss " + "-" * 63,
        *_loss(trained, out, f"d{out}"),
        "",
        "# -- backward: from the last layer to the first " + "-" * 25,
        *backward,
        "return loss, dW",
    ]
    head = f"def gradients(x, labels{', rng' if random else ''}):"
    return "\n".join([head, *(f"    {line}" if line else "" for line in body)])


def _loss(trained: Trained, x: str, dx: str) -> list[str]:
    spec = trained.config.loss_spec(trained.task)
    if trained.regression:
        scaled = trained.target_scale is not None
        lines = ["t = np.asarray(labels, x.dtype).reshape(len(labels), -1)"]
        if scaled:
            lines.append("t = (t - TARGET_SHIFT) * TARGET_SCALE  # standardised")
    else:
        lines = [f"t = np.eye({len(trained.classes)}, dtype=x.dtype)[labels]  # one-hot"]
    if spec.name == "cross_entropy":
        if spec.label_smoothing:
            share = f"{spec.label_smoothing} / {len(trained.classes)}"
            lines.append(f"t = {1 - spec.label_smoothing!r} * t + {share}  # label smoothing")
        return [
            *lines,
            "# Softmax and cross-entropy in one",
            f"loss = -(t * log_softmax({x})).sum(axis=1).mean()",
            f"{dx} = (softmax({x}) - t) / len(x)",
        ]
    if spec.name == "nll":
        return [*lines, f"loss = -(t * {x}).sum(axis=1).mean()", f"{dx} = -t / len(x)"]
    lines.append(f"d = {x} - t")
    if spec.name == "mse":
        return [*lines, "loss = (d * d).mean()", f"{dx} = 2 * d / d.size"]
    if spec.name == "l1":
        return [*lines, "loss = np.abs(d).mean()", f"{dx} = np.sign(d) / d.size"]
    if spec.name == "huber":
        clipped = f"c = np.clip(d, {-spec.huber_delta!r}, {spec.huber_delta!r})"
        return [*lines, clipped, "loss = (c * (d - c / 2)).mean()", f"{dx} = c / d.size"]
    raise ConfigError(f"with_training does not support loss={spec.name}: leave with_training out")


# -- layers -----------------------------------------------------------------------------------------------------------


def _from_table(item: Item, n: Names) -> tuple[list[str], list[str], list[str]]:
    """A layer without parameters that is the same in training mode, with dx as an expression."""
    return FORWARD[item.row.kind](item, n.x, n.y), [], [f"{n.dx} = {DX[item.row.kind](item, n)}"]


def _plain(expression: str) -> Callable[[Item, Names], str]:
    return lambda item, n: expression.format(x=n.x, y=n.y, dy=n.dy)


def _softplus_dx(item, n):
    beta, threshold = item.layer.beta, item.layer.threshold
    return f"{n.dy} * np.where({beta} * {n.x} > {threshold}, 1, sigmoid({beta} * {n.x}))"


def _pool_dx(function: str) -> Callable[[Item, Names], str]:
    def expression(item, n):
        layer = item.layer
        windows = f"{layer.kernel_size}, stride={layer.stride}, padding={layer.padding}"
        return f"{function}({n.dy}, {n.x}, {n.y}, {windows})"

    return expression


DX: dict[str, Callable[[Item, Names], str]] = {
    "flatten": _plain("{dy}.reshape({x}.shape)"),
    "relu": _plain("{dy} * ({x} > 0)"),
    "leaky_relu": lambda item, n: f"np.where({n.x} > 0, {n.dy}, {item.layer.negative_slope} * {n.dy})",
    "elu": lambda item, n: f"np.where({n.x} > 0, {n.dy}, {n.dy} * ({n.y} + {item.layer.alpha}))",
    "softplus": _softplus_dx,
    "sigmoid": _plain("{dy} * {y} * (1 - {y})"),
    "tanh": _plain("{dy} * (1 - {y} * {y})"),
    "identity": _plain("{dy}"),
    "softmax": _plain("{y} * ({dy} - ({dy} * {y}).sum(axis=1, keepdims=True))"),
    "log_softmax": _plain("{dy} - np.exp({y}) * {dy}.sum(axis=1, keepdims=True)"),
    "max_pool2d": _pool_dx("max_pool2d_backward"),
    "avg_pool2d": _pool_dx("avg_pool2d_backward"),
    "global_avg_pool2d": _plain("np.ones_like({x}) * {dy}[:, :, None, None] / ({x}.shape[2] * {x}.shape[3])"),
}


def _grad(item: Item, name: str) -> str:
    return f'dW["{item.name}.{name}"]'


def _linear(item, n):
    gradients = [f"{_grad(item, 'weight')} = {n.dy}.T @ {n.x}"]
    if item.layer.bias is not None:
        gradients.append(f"{_grad(item, 'bias')} = {n.dy}.sum(axis=0)")
    return FORWARD["linear"](item, n.x, n.y), gradients, [f"{n.dx} = {n.dy} @ {w(item, 'weight')}"]


def _conv2d(item, n):
    layer = item.layer
    options = f"stride={layer.stride}, padding={layer.padding}, dilation={layer.dilation}, groups={layer.groups}"
    call = f"conv2d_backward({n.dy}, {n.x}, {w(item, 'weight')}, {options})"
    gradients = [f"{n.dx}, {_grad(item, 'weight')} = {call}"]
    if layer.bias is not None:
        gradients.append(f"{_grad(item, 'bias')} = {n.dy}.sum(axis=(0, 2, 3))")
    return FORWARD["conv2d"](item, n.x, n.y), gradients, []


def _parameter_gradients(item: Item, n: Names, *, bias: bool = True) -> list[str]:
    """The sum over all axes but the features, for normalisations."""
    axes = "0" if item.rows else "(0, 2, 3)"
    lines = [f"{_grad(item, 'weight')} = ({n.dy} * normalized{n.own}).sum(axis={axes})"]
    return lines + ([f"{_grad(item, 'bias')} = {n.dy}.sum(axis={axes})"] if bias else [])


def _batch_norm(item, n):
    layer, images = item.layer, not item.rows
    axes = "(0, 2, 3)" if images else "0"
    spread = "[:, None, None]" if images else ""
    count = f"({n.x}.size // {layer.num_features})" if images else f"len({n.x})"
    mean, variance, inverse = f"mean{n.own}", f"variance{n.own}", f"inverse_std{n.own}"
    unbiased = f" * {count} / ({count} - 1)" if layer.running_variance == "unbiased" else ""
    keep, take = repr(round(1 - layer.momentum, 12)), repr(layer.momentum)
    running_mean, running_var = w(item, "running_mean"), w(item, "running_var")
    forward = [
        f"{mean} = {n.x}.mean(axis={axes})",
        f"{variance} = {n.x}.var(axis={axes})",
        f"{inverse} = 1 / np.sqrt({variance} + {layer.eps})",
        f"normalized{n.own} = ({n.x} - {mean}{spread}) * {inverse}{spread}",
        f"{n.y} = {w(item, 'weight', images)} * normalized{n.own} + {w(item, 'bias', images)}",
        f"{running_mean} = {keep} * {running_mean} + {take} * {mean}  # for evaluation mode",
        f"{running_var} = {keep} * {running_var} + {take} * {variance}{unbiased}",
    ]
    dx = [
        f"{n.dx} = ({w(item, 'weight')} * {inverse}){spread} * (",
        f"    {n.dy}",
        f"    - {_grad(item, 'bias')}{spread} / {count}",
        f"    - normalized{n.own} * {_grad(item, 'weight')}{spread} / {count}",
        ")",
    ]
    return forward, _parameter_gradients(item, n), dx


def _layer_norm(item, n):
    centered, inverse, normalized = f"centered{n.own}", f"inverse_std{n.own}", f"normalized{n.own}"
    forward = [
        f"{centered} = {n.x} - {n.x}.mean(axis=1, keepdims=True)",
        f"{inverse} = 1 / np.sqrt(({centered}**2).mean(axis=1, keepdims=True) + {item.layer.eps})",
        f"{normalized} = {centered} * {inverse}",
        f"{n.y} = {w(item, 'weight')} * {normalized} + {w(item, 'bias')}",
    ]
    dx = [
        f"dn = {w(item, 'weight')} * {n.dy}",
        f"{n.dx} = {inverse} * (",
        f"    dn - dn.mean(axis=1, keepdims=True) - {normalized} * (dn * {normalized}).mean(axis=1, keepdims=True)",
        ")",
    ]
    return forward, _parameter_gradients(item, n), dx


def _group_norm(item, n):
    images = not item.rows
    inverse, normalized = f"inverse_std{n.own}", f"normalized{n.own}"
    groups = f"len({n.x}), {item.layer.num_groups}, -1"
    forward = [
        f"groups = {n.x}.reshape({groups})",
        "centered = groups - groups.mean(axis=2, keepdims=True)",
        f"{inverse} = 1 / np.sqrt((centered**2).mean(axis=2, keepdims=True) + {item.layer.eps})",
        f"{normalized} = (centered * {inverse}).reshape({n.x}.shape)",
        f"{n.y} = {w(item, 'weight', images)} * {normalized} + {w(item, 'bias', images)}",
    ]
    dx = [
        f"dn = ({w(item, 'weight', images)} * {n.dy}).reshape({groups})",
        f"groups = {normalized}.reshape({groups})",
        f"{n.dx} = {inverse} * (",
        "    dn - dn.mean(axis=2, keepdims=True) - groups * (dn * groups).mean(axis=2, keepdims=True)",
        ")",
        f"{n.dx} = {n.dx}.reshape({n.x}.shape)",
    ]
    return forward, _parameter_gradients(item, n), dx


def _rms_norm(item, n):
    inverse, normalized = f"inverse_rms{n.own}", f"normalized{n.own}"
    forward = [
        f"{inverse} = 1 / np.sqrt(({n.x}**2).mean(axis=1, keepdims=True) + {item.layer.eps})",
        f"{normalized} = {n.x} * {inverse}",
        f"{n.y} = {w(item, 'weight')} * {normalized}",
    ]
    dx = [
        f"dn = {w(item, 'weight')} * {n.dy}",
        f"{n.dx} = {inverse} * (dn - {normalized} * (dn * {normalized}).mean(axis=1, keepdims=True))",
    ]
    return forward, _parameter_gradients(item, n, bias=False), dx


def _dropout(item, n):
    p = item.layer.p
    forward = [
        f"mask{n.own} = (rng.random({n.x}.shape) >= {p}).astype(x.dtype) / {1 - p!r}  # 0 with probability {p}",
        f"{n.y} = {n.x} * mask{n.own}",
    ]
    return forward, [], [f"{n.dx} = {n.dy} * mask{n.own}"]


def _gated(gate: Callable[[Item, str], str], slope: Callable[[Item, str, str], str]) -> Step:
    """y = x·g(x), so dx = dy·(g + x·g')."""

    def step(item, n):
        g = f"gate{n.own}"
        forward = [f"{g} = {gate(item, n.x)}", f"{n.y} = {n.x} * {g}"]
        return forward, [], [f"{n.dx} = {n.dy} * ({g} + {n.x} * {slope(item, n.x, g)})"]

    return step


def _gelu_slope(item: Item, x: str, gate: str) -> str:
    if item.layer.approximate == "none":
        return f"np.exp(-{x} * {x} / 2) / {math.sqrt(2 * math.pi)!r}"
    return f"2 * {gate} * (1 - {gate}) * {SCALE!r} * (1 + {3 * CUBIC!r} * {x} * {x})"


#: Layers with parameters or a different training mode.
STEPS: dict[str, Step] = {
    "linear": _linear,
    "conv2d": _conv2d,
    "batch_norm": _batch_norm,
    "batch_norm2d": _batch_norm,
    "layer_norm": _layer_norm,
    "group_norm": _group_norm,
    "rms_norm": _rms_norm,
    "dropout": _dropout,
    "silu": _gated(lambda item, x: f"sigmoid({x})", lambda item, x, gate: f"{gate} * (1 - {gate})"),
    "gelu": _gated(gelu_gate, _gelu_slope),
}


# -- update -----------------------------------------------------------------------------------------------------------


def _update(trained: Trained) -> str:
    config = trained.config
    spec = config.optimizer_spec()
    lines = ['STATE["steps"] += 1']
    if spec.clip_norm is not None:
        lines += [
            "# Clip the norm of all gradients together",
            "norm = np.sqrt(sum((dW[name] ** 2).sum() for name in dW))",
            f"dW = {{name: min(1, {spec.clip_norm} / (norm + 1e-6)) * dW[name] for name in dW}}",
        ]
    matrices = [name for name, array in trained.state.items() if name.endswith(".weight") and array.ndim > 1]
    hidden = matrices[1:-1] if spec.name == "muon" else []
    if hidden:
        lines += _loop(f"({', '.join(map(repr, hidden))},)".replace("'", '"'), _muon(spec))
    rule = {
        "sgd": _sgd,
        "adam": _adam,
        "adamw": _adam,
        "muon": _adam,
        "rmsprop": _rmsprop,
        "adadelta": _adadelta,
    }[spec.name]
    if hidden:
        names = f"[name for name in dW if name not in ({', '.join(map(repr, hidden))},)]".replace("'", '"')
    else:
        names = "dW"
    lines += _loop(names, rule(spec))
    text = "\n".join(f"    {line}" if line else "" for line in lines)
    return (
        "# The state of the update rule.\n"
        'STATE = {"steps": 0}\n\n\n'
        "def update(dW, learning_rate):\n"
        f'    """Updates every parameter: {spec.name}."""\n'
        f"{text}"
    )


def _loop(names: str, body: list[str]) -> list[str]:
    return [f"for name in {names}:", "    w, g = W[name], dW[name]", *(f"    {line}" for line in body)]


def _state(key: str, variable: str) -> str:
    return f'{variable} = STATE.setdefault(("{key}", name), np.zeros_like(w))'


def _decay(spec, *, decoupled: bool) -> list[str]:
    if not spec.weight_decay:
        return []
    if decoupled:
        return [f"w *= 1 - learning_rate * {spec.weight_decay}  # weight decay"]
    return [f"g = g + {spec.weight_decay} * w  # weight decay"]


def _sgd(spec) -> list[str]:
    lines = _decay(spec, decoupled=False)
    if not spec.momentum:
        return [*lines, "w -= learning_rate * g"]
    lines += [_state("momentum", "v"), f"v[...] = {spec.momentum} * v + g"]
    return [*lines, f"w -= learning_rate * {f'(g + {spec.momentum} * v)' if spec.nesterov else 'v'}"]


def _adam(spec) -> list[str]:
    beta1, beta2 = spec.betas
    return [
        *_decay(spec, decoupled=spec.name != "adam"),
        _state("m", "m"),
        _state("v", "v"),
        f"m[...] = {beta1} * m + (1 - {beta1}) * g",
        f"v[...] = {beta2} * v + (1 - {beta2}) * g**2",
        f'm_hat = m / (1 - {beta1} ** STATE["steps"])',
        f'v_hat = v / (1 - {beta2} ** STATE["steps"])',
        "w -= learning_rate * m_hat / (np.sqrt(v_hat) + 1e-8)",
    ]


def _rmsprop(spec) -> list[str]:
    lines = [
        *_decay(spec, decoupled=False),
        _state("v", "v"),
        "v[...] = 0.99 * v + (1 - 0.99) * g**2",
        "d = g / (np.sqrt(v) + 1e-8)",
    ]
    if spec.momentum:
        lines += [_state("momentum", "b"), f"b[...] = {spec.momentum} * b + d", "d = b"]
    return [*lines, "w -= learning_rate * d"]


def _adadelta(spec) -> list[str]:
    return [
        *_decay(spec, decoupled=False),
        _state("v", "v"),
        _state("u", "u"),
        "v[...] = 0.9 * v + (1 - 0.9) * g**2",
        "d = np.sqrt((u + 1e-6) / (v + 1e-6)) * g",
        "u[...] = 0.9 * u + (1 - 0.9) * d**2",
        "w -= learning_rate * d",
    ]


def _muon(spec) -> list[str]:
    momentum = 0.95 if spec.momentum is None else spec.momentum
    return [
        *_decay(spec, decoupled=True),
        _state("momentum", "b"),
        f"b[...] = {momentum} * b + g",
        f"d = (g + {momentum} * b).reshape(len(w), -1)  # a convolution's weight as a matrix",
        "scale = 0.2 * np.sqrt(max(d.shape))",
        "w -= learning_rate * scale * orthogonalized(d).reshape(w.shape)",
    ]


# -- initialisation, training, gradient check -------------------------------------------------------------------------


def _initialise(trained: Trained) -> str:
    config = trained.config
    gains = {}

    def find(items: Sequence[Item]) -> None:
        for item in items:
            gains[f"{item.name}.weight"] = item.row.options.get("gain", 1.0)
            find(item.children)

    find(trained.items())
    lines = []
    for name, array in trained.state.items():
        kind = name.rpartition(".")[2]
        if array.dtype.kind != "f":
            continue
        if kind == "weight" and array.ndim > 1:
            value = _drawn(config.init, array.shape, gains[name])
        else:
            value = "1" if kind in ("weight", "running_var") else "0"
        lines.append(f'    W["{name}"][...] = {value}')
    return "\n".join(
        [
            f"def initialise(seed={config.seeds()['init_seed']}):",
            f'    """Draws new weights ({config.init}); the default seed gives the run\'s initial weights."""',
            "    rng = np.random.default_rng(seed)",
            *lines,
            "    STATE.clear()",
            '    STATE["steps"] = 0',
        ]
    )


def _drawn(init: str, shape: tuple[int, ...], gain: float) -> str:
    """Code that draws the same values as an initialiser."""
    made = parse_initializer(init, gain=gain)
    fan_in, fan_out = fans(shape)
    name = type(made).__name__
    own = getattr(made, "gain", 1.0)
    if isinstance(made, Normal):
        return f"{made.std!r} * rng.standard_normal({shape})"
    if isinstance(made, Uniform):
        return f"rng.uniform(-{made.limit!r}, {made.limit!r}, {shape})"
    if isinstance(made, Orthogonal):
        return f"orthogonal({shape}, {own!r}, rng)"
    if name == "Zeros":
        return "0"
    if name.startswith("Kaiming"):
        if name.endswith("Uniform"):
            limit = own * math.sqrt(3 / fan_in)
            return f"rng.uniform(-{limit!r}, {limit!r}, {shape})"
        return f"{own / math.sqrt(fan_in)!r} * rng.standard_normal({shape})"
    if name.endswith("Uniform"):
        limit = own * math.sqrt(6 / (fan_in + fan_out))
        return f"rng.uniform(-{limit!r}, {limit!r}, {shape})"
    return f"{own * math.sqrt(2 / (fan_in + fan_out))!r} * rng.standard_normal({shape})"


def _train(trained: Trained) -> str:
    config = trained.config
    return f'''\
def train(x, labels, steps={config.max_steps or 1000}, learning_rate={config.learning_rate!r}, \
batch_size={config.batch_size}, seed=0):
    """Trains on raw inputs and their labels, batch by batch; continues from the current weights.

    The learning rate is constant. Schedules, augmentation and sample or class weights are not included.
    """
    x, labels, rng = preprocess(x), np.asarray(labels), np.random.default_rng(seed)
    for step in range(1, steps + 1):
        batch = rng.permutation(len(x))[:batch_size]
        loss, dW = gradients(x[batch], labels[batch]{", rng" if _draws(trained) else ""})
        update(dW, learning_rate)
        if step % max(1, steps // 10) == 0:
            print(f"step {{step}}/{{steps}}   loss {{loss:.4f}}")'''


_CHECK = '''
def check(x, labels, entries=5, seed=0):
    """Compares `gradients` with numerical derivatives of the loss, in float64, at some entries of every parameter.

    Returns the largest relative error of each parameter: about 1e-6 or less if the gradient is right (kinks, as in
    ReLU, can increase it).
    """
    kept = dict(W)
    W.update((name, array.astype(np.float64)) for name, array in kept.items())
    x, rng, errors = preprocess(x).astype(np.float64), np.random.default_rng(seed), {}

    def loss_and_gradients():
        return gradients(x, labels{rng})

    _, dW = loss_and_gradients()
    least = 1e-4 * max((np.abs(gradient).max() for gradient in dW.values()), default=1)  # less counts as 0
    for name in dW:
        errors[name] = 0.0
        for _ in range(entries):
            place = tuple(rng.integers(0, n) for n in dW[name].shape)
            value, h = W[name][place], 1e-6
            W[name][place] = value + h
            above, _ = loss_and_gradients()
            W[name][place] = value - h
            below, _ = loss_and_gradients()
            W[name][place] = value
            slope, ours = (above - below) / (2 * h), dW[name][place]
            error = abs(slope - ours) / max(np.abs(dW[name]).max(), least)
            errors[name] = max(errors[name], float(error))
    W.update(kept)
    return errors
'''

HELPERS = {
    "conv2d_backward": '''\
def conv2d_backward(dy, x, weight, stride, padding, dilation, groups):
    """dx and dweight of `conv2d`: every position of the kernel contributes to the pixels that it covers."""
    x = pad(x, padding)
    K, Cg, R, S = weight.shape
    dx, dweight = np.zeros_like(x), np.zeros_like(weight)
    upstream = dy.reshape(len(x), groups, K // groups, -1)
    for r, s, pixels in places(*x.shape[2:], (R, S), stride, dilation):
        columns = x[pixels].reshape(len(x), groups, Cg, -1)
        kernel = weight[:, :, r, s].reshape(groups, K // groups, Cg)
        dweight[:, :, r, s] = (upstream @ columns.swapaxes(2, 3)).sum(axis=0).reshape(K, Cg)
        dx[pixels] += (kernel.swapaxes(1, 2) @ upstream).reshape(x[pixels].shape)
    return crop(dx, padding), dweight
''',
    "max_pool2d_backward": '''\
def max_pool2d_backward(dy, x, y, kernel_size, stride, padding):
    """Each dy goes to the first maximum of its window."""
    x = pad(x, padding, -np.inf)
    dx, waiting = np.zeros_like(x), np.ones(dy.shape, bool)
    for _, _, pixels in places(*x.shape[2:], kernel_size, stride):
        found = waiting & (x[pixels] == y)
        dx[pixels] += dy * found
        waiting &= ~found
    return crop(dx, padding)
''',
    "avg_pool2d_backward": '''\
def avg_pool2d_backward(dy, x, y, kernel_size, stride, padding):
    """Each pixel of a window gets an equal part of dy."""
    dx = np.zeros_like(pad(x, padding))
    for _, _, pixels in places(*dx.shape[2:], kernel_size, stride):
        dx[pixels] += dy / (kernel_size[0] * kernel_size[1])
    return crop(dx, padding)
''',
    "crop": '''\
def crop(x, padding):
    """The images without padding."""
    (top, left) = padding
    return x[:, :, top : x.shape[2] - top, left : x.shape[3] - left]
''',
    "orthogonal": '''\
def orthogonal(shape, gain, rng):
    """A random matrix whose rows (or columns, if there are fewer) are orthogonal and have length `gain`."""
    rows, columns = shape[0], math.prod(shape[1:])
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return gain * (q if rows >= columns else q.T).reshape(shape)
''',
    "orthogonalized": '''\
def orthogonalized(d):
    """d with its singular values moved close to 1, in five Newton-Schulz steps."""
    a, b, c = 3.4445, -4.7750, 2.0315
    wide = d.shape[0] <= d.shape[1]
    x = d if wide else d.T
    x = x / np.maximum(np.sqrt((x * x).sum()), 1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x if wide else x.T
''',
}

"""Runs functions and modules of PyTorch with arrays instead of tensors."""

import numpy as np
import torch


def tensors(args, needed=None):
    """Converts arrays to tensors; other values stay unchanged. `needed` states which of them require a gradient."""
    converted = []
    for i, a in enumerate(args):
        if isinstance(a, np.ndarray):
            a = torch.tensor(a)
            if a.is_floating_point() and (needed is None or needed[i]):
                a.requires_grad_(True)
        converted.append(a)
    return converted


def plain(f, args):
    with torch.no_grad():
        return f(*tensors(args, [False] * len(args)))


def run(f, args, dy, needed=None):
    """Returns y, the gradients by position (g0, g1, ...), and the positions of inputs that were modified."""
    given = tensors(args, needed)
    copies = [a.detach().clone() if torch.is_tensor(a) else a for a in given]
    y = f(*given)
    result = {"y": y.detach().numpy().copy(), "tracked": bool(y.requires_grad), "dtype": str(y.dtype)}
    changed = [
        i
        for i, (a, b) in enumerate(zip(given, copies, strict=True))
        if torch.is_tensor(a) and not torch.equal(a.detach(), b)
    ]
    if y.requires_grad:
        up = torch.tensor(np.array(dy, dtype=result["y"].dtype))
        before = up.clone()
        y.backward(up)
        for i, a in enumerate(given):
            if torch.is_tensor(a) and a.grad is not None:
                result[f"g{i}"] = a.grad.detach().numpy().copy()
        if not torch.equal(before, up):
            result["dy changed"] = 1.0
    result["changed"] = [float(i) for i in changed]
    return result


def roles(module):
    """The names of gamma and beta. Under other names, they are recognised by their initial values, ones and zeros."""
    named = dict(module.named_parameters())
    found = {}
    for role, start in (("gamma", 1.0), ("beta", 0.0)):
        of_name = [n for n in named if n.rpartition(".")[2] == role]
        of_start = [n for n, p in named.items() if n not in found.values() and bool((p == start).all())]
        found[role] = (of_name or of_start or [None])[0]
    left = [n for n in named if n not in found.values()]
    for role in found:
        if found[role] is None and left:
            found[role] = left.pop(0)
    return found


def as_function(module, gamma, beta):
    """A module as a function of its input, gamma and beta, which are reshaped to the shapes of its own parameters."""
    own, named = roles(module), dict(module.named_parameters())

    def f(x, g, b):
        given = {own[gamma]: g, own[beta]: b}
        given = {n: v.reshape(named[n].shape) if v.numel() == named[n].numel() else v for n, v in given.items()}
        return torch.func.functional_call(module, given, (x,))

    return f


def parameter_names(module):
    return [name for name, _ in module.named_parameters()]


def initial_values(module):
    named = dict(module.named_parameters())
    return {role: named[n].detach().numpy().copy() for role, n in roles(module).items() if n is not None}


def training_step(module, x, dy):
    """Makes one training step with the module's own parameters. Returns their shapes."""
    named = dict(module.named_parameters())
    shapes = {name: list(p.shape) for name, p in named.items()}
    y = module(torch.tensor(x))
    y.backward(torch.tensor(np.resize(dy, tuple(y.shape))).to(y.dtype))
    with torch.no_grad():
        for p in named.values():
            if p.grad is not None:
                p -= 0.01 * p.grad
    return shapes

"""Functions and modules of PyTorch, run with arrays in place of tensors."""

import numpy as np
import torch


def tensors(args, needed=None):
    """Tensors of arrays, numbers as they are; a gradient is asked for where `needed` says so."""
    made = []
    for i, a in enumerate(args):
        if isinstance(a, np.ndarray):
            a = torch.tensor(a)
            if a.is_floating_point() and (needed is None or needed[i]):
                a.requires_grad_(True)
        made.append(a)
    return made


def plain(f, args):
    with torch.no_grad():
        return f(*tensors(args, [False] * len(args)))


def run(f, args, dy, needed=None):
    """y, the gradients by name of position, and whether inputs changed."""
    given = tensors(args, needed)
    kept = [a.detach().clone() if torch.is_tensor(a) else a for a in given]
    y = f(*given)
    result = {"y": y.detach().numpy().copy(), "tracked": bool(y.requires_grad), "dtype": str(y.dtype)}
    changed = [
        i
        for i, (a, b) in enumerate(zip(given, kept, strict=True))
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
    """gamma and beta by name; under other names by what they start with: ones and zeros."""
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


def wrapped(module, gamma, beta):
    """A module as a function of its input, gamma and beta, which have the shapes that its own parameters have."""
    own, named = roles(module), dict(module.named_parameters())

    def f(x, g, b):
        given = {own[gamma]: g, own[beta]: b}
        given = {n: v.reshape(named[n].shape) if v.numel() == named[n].numel() else v for n, v in given.items()}
        return torch.func.functional_call(module, given, (x,))

    return f


def parameter_names(module):
    return [name for name, _ in module.named_parameters()]


def starts(module):
    named = dict(module.named_parameters())
    return {role: named[n].detach().numpy().copy() for role, n in roles(module).items() if n is not None}


def joined(module, x, dy):
    """One training step as its user makes it; the shapes of the parameters before and after."""
    named = dict(module.named_parameters())
    before = {name: list(p.shape) for name, p in named.items()}
    y = module(torch.tensor(x))
    y.backward(torch.tensor(np.resize(dy, tuple(y.shape))).to(y.dtype))
    with torch.no_grad():
        for p in named.values():
            if p.grad is not None:
                p -= 0.01 * p.grad
    return before

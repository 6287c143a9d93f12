"""Stanford's CS231n, and any other pair of functions `NAME_forward` and `NAME_backward` with a cache.

`CS231N` describes the functions of the assignments: their arguments, and what they and their gradients compute. Other
pairs are compared with finite differences of their own forward.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from handgrad.checking import diagnosis_layers as layers
from handgrad.checking import diagnosis_more as more
from handgrad.checking.contracts import coursera
from handgrad.checking.contracts.checks import from_right_output
from handgrad.checking.contracts.contract import Contract
from handgrad.checking.contracts.cs231n_networks import networks
from handgrad.checking.contracts.described import Described, Given, Runner, of_argument
from handgrad.checking.contracts.generic import (
    defaults,
    kind_of,
    numeric_backward,
    parameter_subject,
    required,
    spread_out,
)
from handgrad.checking.contracts.judging import Judge, Trial, call, each_alone, get, trial
from handgrad.checking.contracts.source import Module, Source
from handgrad.checking.diagnosis import Draw, Subject, close, departure, number, slip
from handgrad.checking.probe import Observation, Operation
from handgrad.checking.results import Part

Pairs = list[tuple[Trial, Observation]]
#: Batch size, input features, output features.
SIZES = ((6, 4, 3), (5, 3, 5), (4, 4, 4), (1, 5, 4))


def _one_hot(g: np.random.Generator, N: int, K: int) -> np.ndarray:
    return np.eye(K)[g.integers(0, K, N)]


# -- arguments --------------------------------------------------------------------------------------------------------


def _affine(g: np.random.Generator, position: int) -> Given:
    N, D, K = SIZES[position]
    x = g.normal(
        size=(N, 2, D // 2) if D == 4 else (N, D)
    )  # x can have any number of axes; all but the first are flattened
    w, b = g.normal(size=(x[0].size, K)), g.normal(size=K)
    draw = Draw({"N": N, "D": D, "K": K}, x=x.reshape(N, -1), weight=w.T, bias=b)
    return Given({"x": x, "w": w, "b": b}, draw)


def _affine_dx() -> Subject:
    """dx in the shape of x, which can have any number of axes."""
    flat = layers.linear_dx()

    def compute(draw: Draw, **options: Any) -> Any:
        return np.asarray(flat.compute(draw, **options)).reshape(draw.handed["x"].shape)

    return replace(flat, compute=compute)


def _relu(g: np.random.Generator, position: int) -> Given:
    N, D, _ = SIZES[position]
    x = spread_out(g, (N, D))
    return Given({"x": x}, Draw({"N": N, "D": D}, x=x, p=0.0))


def _scores(g: np.random.Generator, position: int) -> Given:
    N, _, K = ((6, 0, 4), (5, 0, 3), (7, 0, 5), (1, 0, 4))[position]
    x, t = 2 * g.normal(size=(N, K)), _one_hot(g, N, K)
    return Given({"x": x, "y": t.argmax(axis=1)}, Draw({"N": N, "K": K}, x=x, t=t))


def _norm(g: np.random.Generator, position: int, settings: str) -> Given:
    N, D = ((6, 4), (9, 3), (5, 5), (7, 2))[position]
    spread = (1.0, 1.0, 1e-2, 1.0)[position]
    x = 0.5 * g.normal(size=(1, D)) + spread * g.normal(size=(N, D))
    gamma, beta = g.uniform(0.5, 2, D) * g.choice([-1, 1], D), g.normal(size=D)
    draw = Draw({"N": N, "D": D}, x=x, gamma=gamma, beta=beta, eps=1e-5)
    draw.running_mean = draw.running_mean_before = np.zeros(D)
    draw.running_var = draw.running_var_before = np.zeros(D)
    xhat, _, _, inverse = layers.normalised(x, 1e-5, axis=0 if settings == "bn" else 1)
    draw.xhat, draw.inverse = xhat, inverse
    arrays: dict[str, Any] = {"x": x, "gamma": gamma, "beta": beta}
    if settings == "ln":
        return Given({**arrays, "ln_param": {}}, draw)
    momentum = (0.9, 0.7, 0.9, 0.6)[position]
    draw.momentum = momentum
    draw.running = (g.normal(size=D), g.uniform(0.5, 2, D))
    return Given(
        {**arrays, "bn_param": {"path": ["bn"]}},
        draw,
        ({"op": "let", "value": _pairs(mode="train", momentum=momentum), "as": "bn", "send": False},),
        {"running_mean": ("bn", {"key": "running_mean"}), "running_var": ("bn", {"key": "running_var"})},
        (
            {
                "op": "let",
                "value": _pairs(mode="test", running_mean={"fresh": "rm"}, running_var={"fresh": "rv"}),
                "as": "bn test",
                "send": False,
            },
            call(
                "m",
                "batchnorm_forward",
                args=[{"fresh": "x"}, {"fresh": "gamma"}, {"fresh": "beta"}, {"path": ["bn test"]}],
                to="test",
                send=False,
            ),
            get("test", 0, to="y test"),
            get("bn test", {"key": "running_mean"}, to="rm after"),
            get("bn test", {"key": "running_var"}, to="rv after"),
        ),
        {"rm": draw.running[0], "rv": draw.running[1]},
    )


def _pairs(**items: Any) -> dict[str, Any]:
    return {"dict": [[key, value] for key, value in items.items()]}


def _channels_last(x: np.ndarray) -> np.ndarray:
    """(N, C, H, W) as (N H W, C)."""
    if x.ndim != 4:
        raise ValueError("not images")
    return x.transpose(0, 2, 3, 1).reshape(-1, x.shape[1])


def _spatial(g: np.random.Generator, position: int) -> Given:
    N, C, H, W = ((2, 3, 3, 2), (3, 2, 2, 4), (2, 4, 2, 2), (1, 3, 3, 3))[position]
    x = 0.3 * g.normal(size=(1, C, 1, 1)) + g.normal(size=(N, C, H, W))
    gamma, beta = g.uniform(0.5, 2, C), g.normal(size=C)
    flat = _channels_last(x)
    draw = Draw({"N": N * H * W, "D": C}, x=flat, gamma=gamma, beta=beta, eps=1e-5)
    draw.running_mean = draw.running_mean_before = np.zeros(C)
    draw.running_var = draw.running_var_before = np.zeros(C)
    draw.xhat, _, _, draw.inverse = layers.normalised(flat, 1e-5)
    return Given({"x": x, "gamma": gamma, "beta": beta, "bn_param": {"mode": "train"}}, draw)


def _group(g: np.random.Generator, position: int) -> Given:
    N, C, H, W, G = ((2, 6, 2, 3, 3), (3, 4, 2, 2, 2), (2, 6, 3, 2, 2), (1, 4, 2, 3, 2))[position]
    x = g.normal(size=(N, C, H, W))
    gamma, beta = g.uniform(0.5, 2, (1, C, 1, 1)), g.normal(size=(1, C, 1, 1))
    draw = Draw({"N": N}, x=x, gamma=gamma, beta=beta, groups=G)
    return Given({"x": x, "gamma": gamma, "beta": beta, "G": G, "gn_param": {}}, draw)


def _convolution(g: np.random.Generator, position: int) -> Given:
    shape, filters, size, stride, pad = (
        ((2, 3, 5, 4), 2, (3, 2), 1, 1),
        ((3, 2, 4, 6), 3, (2, 4), 2, 1),
        ((2, 2, 5, 5), 4, (3, 3), 2, 0),
        ((1, 1, 3, 5), 2, (3, 3), 1, 1),
    )[position]
    x, w = g.normal(size=shape), g.normal(size=(filters, shape[1], *size))
    b = g.normal(size=filters)
    draw = Draw({"N": shape[0], "K": filters}, x=x, weight=w, bias=b, stride=stride, pad=pad)
    return Given({"x": x, "w": w, "b": b, "conv_param": {"stride": stride, "pad": pad}}, draw)


def _square_convolution(g: np.random.Generator, position: int) -> Given:
    """Arguments that the fast versions accept: square windows that fit the padded image exactly."""
    shape, filters, size, stride, pad = (
        ((2, 3, 5, 5), 2, (3, 3), 1, 1),
        ((3, 2, 6, 6), 3, (2, 2), 2, 0),
        ((2, 2, 5, 5), 4, (3, 3), 2, 1),
        ((1, 1, 4, 4), 2, (3, 3), 1, 1),
    )[position]
    x, w = g.normal(size=shape), g.normal(size=(filters, shape[1], *size))
    b = g.normal(size=filters)
    draw = Draw({"N": shape[0], "K": filters}, x=x, weight=w, bias=b, stride=stride, pad=pad)
    return Given({"x": x, "w": w, "b": b, "conv_param": {"stride": stride, "pad": pad}}, draw)


def _pooling(g: np.random.Generator, position: int, square: bool = False) -> Given:
    shape, window, stride = (
        ((2, 3, 4, 6), (2, 3), 2),
        ((3, 2, 5, 4), (3, 2), 1),
        ((2, 2, 4, 4), (2, 2), 2),
        ((1, 1, 5, 5), (3, 3), 2),
    )[position]
    if square:
        shape, window, stride = ((2 + position, 2, 4, 6), (2, 2), 2)
    x = spread_out(g, shape)
    draw = Draw({"N": shape[0]}, x=x, window=window, stride=stride)
    settings = {"pool_height": window[0], "pool_width": window[1], "stride": stride}
    return Given({"x": x, "pool_param": settings}, draw)


def _dropout(g: np.random.Generator, position: int) -> Given:
    x = spread_out(g, ((40, 20), (30, 30), (50, 12), (20, 40))[position])
    settings = {"mode": "train", "p": (0.3, 0.6, 0.75, 0.5)[position], "seed": 7}
    arguments: dict[str, Any] = {"x": x, "dropout_param": settings}
    draw = Draw({"N": len(x)}, x=x, p=settings["p"])
    testing = (
        {"op": "let", "value": _pairs(mode="test", p=settings["p"]), "as": "testing", "send": False},
        call("m", "dropout_forward", args=[{"fresh": "x"}, {"path": ["testing"]}], to="test", send=False),
        get("test", 0, to="y test"),
        call("m", "dropout_backward", args=[{"fresh": "x"}, {"path": ["test", 1]}], to="dx test", attempt=True),
    )
    return Given(arguments, draw, after=testing)


def _recurrent(g: np.random.Generator, position: int, sequence: bool) -> Given:
    """The arguments of one step of a recurrent layer, x (N, D), or of a whole sequence, x (N, T, D)."""
    N, T, D, H = ((3, 3, 4, 3), (4, 2, 3, 5), (2, 4, 4, 4), (1, 3, 2, 3))[position]
    inputs, h0 = g.normal(size=(N, T if sequence else 1, D)), g.normal(size=(N, H))
    Wx, Wh, b = 0.6 * g.normal(size=(D, H)), 0.6 * g.normal(size=(H, H)), 0.5 * g.normal(size=H)
    draw = Draw({"N": N, "H": H}, inputs=inputs, h0=h0, Wx=Wx, Wh=Wh, bias=b, sequence=sequence)
    x = inputs if sequence else inputs[:, 0]
    return Given({"x": x, "h0" if sequence else "prev_h": h0, "Wx": Wx, "Wh": Wh, "b": b}, draw)


def _update(g: np.random.Generator, position: int, rule: str) -> Given:
    steps = 3
    w, gradients = g.normal(size=(4, 3 + position)), g.normal(size=(steps, 4, 3 + position))
    settings: dict[str, Any] = {"learning_rate": (0.1, 0.02, 0.3, 0.05)[position]}
    settings |= {
        "sgd": {},
        "momentum": {"momentum": 0.9 - 0.1 * position},
        "rmsprop": {"decay_rate": 0.9 - 0.1 * position, "epsilon": 1e-3},
        "adam": {"beta1": 0.9 - 0.1 * position, "beta2": 0.99 - 0.1 * position, "epsilon": 1e-3},
    }[rule]
    arrays = {f"dw{k}": gradients[k] for k in range(steps)}
    draw = Draw({}, w=w, gradients=gradients, settings=settings, more=arrays)
    return Given({"w": w, "dw": gradients[0], "config": dict(settings)}, draw)


def _classifier(g: np.random.Generator, position: int) -> Given:
    N, D, K = ((6, 4, 3), (5, 3, 5), (8, 5, 4), (1, 3, 4))[position]
    W, X, t = g.normal(size=(D, K)), g.normal(size=(N, D)), _one_hot(g, N, K)
    X[:, -1] = 1.0  # as in the assignment, so that the last row of W contains the biases
    reg = (0.3, 0.05, 1.2, 0.5)[position]
    draw = Draw({"N": N, "K": K}, W=W, X=X, t=t, reg=reg, share=1.0)
    return Given({"W": W, "X": X, "y": t.argmax(axis=1), "reg": reg}, draw)


def large(given: Given, everywhere: np.ndarray, by_row: np.ndarray, function: str, module: str = "m") -> Given:
    """Adds two calls in which the first argument is replaced. `everywhere` adds 1000 to all logits, so that exp
    overflows without a shift. `by_row` adds 1000 more in each row, so that exp is 0 in most rows if the shift is the
    maximum of the whole array. Neither changes the result of a correct softmax."""
    _, *rest = given.arrays.items()
    after = []
    for name in ("large", "apart"):
        args = [{"fresh": name}, *({"fresh": k} if isinstance(v, np.ndarray) else v for k, v in rest)]
        after += [
            call(module, function, args=args, to=f"{name} f", send=False),
            get(f"{name} f", 0, to=f"{name} y"),
        ]
    return replace(given, after=tuple(after), besides={"large": everywhere, "apart": by_row})


def large_rows(given: Given, function: str, module: str = "m") -> Given:
    """Adds the calls of `large`, if the first argument is the logits (N, K)."""
    x = next(iter(given.arrays.values()))
    return large(given, x + 1e3, x + 1e3 * np.arange(len(x))[:, None], function, module)


def _large_weights(given: Given, function: str) -> Given:
    """Adds the calls of `large`, if the logits are X W and the last column of X is 1."""
    everywhere = given.arrays["W"].copy()
    everywhere[-1] += 1e3
    return large(given, everywhere, given.arrays["W"] + 1e3, function)


# -- further checks ---------------------------------------------------------------------------------------------------


def judge_stability(forward: Judge, backward: Judge, trials: Pairs) -> None:
    """Checks that the result is finite for logits around 1000, and for rows of logits that differ by thousands."""
    for key, id, why in (
        ("large y", "softmax-no-shift", "with 1000 added to every logit, the result contains {bad}: exp overflows"),
        (
            "apart y",
            "softmax-global-shift",
            "if the rows of logits differ by 1000, the result contains {bad}: exp is 0 everywhere in the lower rows",
        ),
    ):
        for _, observation in trials:
            found = observation.get(key)
            if found is not None and found.dtype.kind == "f" and not np.isfinite(found).all() and forward.judged:
                forward.bug(id, why.format(bad=found[~np.isfinite(found)].ravel()[0]))
                return


def running_trial(one: Trial, which: str, start: float, alpha: float) -> Trial:
    """The trial for the running mean or variance after one training pass, with the initial value `start`."""
    x = one.draw.x
    statistics = {"mean": x.mean(axis=0), "var": x.var(axis=0)}
    draw = one.draw.changed(
        before=np.full(x.shape[1], start),
        batch=statistics[which],
        batch_other=statistics["var" if which == "mean" else "mean"],
        n=len(x),
        alpha=alpha,
    )
    draw.sizes = {"N": len(x), "alpha": alpha, "1-alpha": 1 - alpha}
    return Trial(_renamed(one, f"{one.name} / running {which}"), draw)


def _judge_running(forward: Judge, backward: Judge, trials: Pairs) -> None:
    """Checks the running statistics in bn_param: momentum * running + (1 - momentum) * batch, with the initial value
    0."""
    if forward.missing or not forward.judged:
        return
    for which in ("mean", "var"):
        named, shown = {}, []
        for one, observation in trials:
            value = observation.values.get(f"running_{which}")
            if value is None or value.array is None or value.failure is not None:
                forward.bug(
                    "running-never-updated", f"a pass in training mode does not set bn_param['running_{which}']"
                )
                return
            shown.append(running_trial(one, which, 0.0, one.draw.momentum))
            named[shown[-1].name] = Observation(shown[-1].name, {"r": value})
        kept = forward.observations
        forward.observations = {**kept, **named}
        forward.fit(running_from_zero(which), shown, "r", givens=already_reported(forward, which))
        forward.observations = kept


def judge_evaluation(forward: Judge, backward: Judge, trials: Pairs) -> None:
    """Checks that evaluation uses the running statistics and does not change them."""
    if forward.missing or not forward.judged:
        return
    named, shown = {}, []
    for one, observation in trials:
        value = observation.values.get("y test")
        failed = next((v.failure for k, v in observation.values.items() if k in ("test", "y test") and v.failure), None)
        if failed is not None:
            forward.failed(failed, "(in evaluation mode)")
            return
        if value is None or value.array is None:
            continue
        mean, var = one.draw.running
        draw = one.draw.changed(
            running_mean=mean,
            running_var=var,
            train_mean=one.draw.x.mean(axis=0),
            train_var=one.draw.x.var(axis=0),
            train_n=len(one.draw.x),
            train_xhat=one.draw.xhat,
            train_x=one.draw.x,
        )
        label = f"{one.name} / test"
        named[label] = Observation(label, {"t": value})
        shown.append(Trial(_renamed(one, label), draw))
        for key, statistic, start in (("rm after", "running_mean", mean), ("rv after", "running_var", var)):
            after = observation.get(key)
            if after is not None and not close(after, start):
                changed = departure(statistic, after, start)
                forward.bug(
                    "evaluation-updates-running",
                    f"a pass in evaluation mode changes the running statistics: {changed}{forward.legend(changed)}",
                )
    kept, before = forward.observations, list(forward.findings)
    forward.observations = {**kept, **named}
    given = {name: forward.options[name] for name in ("eps_at", "root", "gamma", "beta") if name in forward.options}
    if shown:
        judge_options = forward.options
        forward.fit(layers.norm_forward(0, evaluating=True), shown, "t", givens=({}, given) if given else ({},))
        forward.options = judge_options
    if before and any(bug.id == "unexplained" for bug in before):
        forward.findings = before
    forward.observations = kept


def already_reported(forward: Judge, which: str) -> tuple[dict[str, Any], ...]:
    """Options of `Judge.fit`: if forward divides the variance by N - 1, the same in the running variance is not
    reported again."""
    return ({}, {"batch": "unbiased"}) if which == "var" and forward.options.get("ddof") else ({},)


def running_from_zero(which: str) -> Subject:
    """A running statistic whose initial value is 0. The right value is (1 - momentum) times that of the batch, so that
    wrong updates appear as factors."""
    base = layers.norm_running(which)
    factors = {"alpha": "running-alpha-swapped", "1/1-alpha": "running-is-last-batch", "0": "running-never-updated"}
    return Subject(base.name, base.compute, base.slips, factors=factors)


def _renamed(one: Trial, label: str) -> Any:
    return replace(one.probe, name=label)


def _judge_dropout(forward: Judge, backward: Judge, trials: Pairs) -> None:
    """Checks dropout: each entry of the output is 0 or x times a constant, its expected value is x, and dx has the same
    mask."""
    if forward.missing:
        return
    for one, observation in trials:
        y, p = observation.get("y"), one.draw.p
        if y is None or y.shape != one.draw.x.shape:
            if y is not None:
                forward.bug("wrong-shape", departure("the output", y, one.draw.x))
            return
        forward.judged = True
        mask = y / one.draw.x
        kept = mask[np.abs(mask) > 1e-9]
        share = len(kept) / mask.size
        if not len(kept) or len(kept) == mask.size:
            forward.bug("dropout-not-applied", f"{len(kept)} of {mask.size} entries are kept, with p = {number(p)}")
            return
        scale = float(kept.ravel()[0])
        if not np.allclose(kept, scale, rtol=1e-6):
            forward.bug("unexplained", "the kept entries are not all multiplied by the same number")
            return
        margin = 5 * np.sqrt(p * (1 - p) / mask.size)
        keeps = [rate for rate in (p, 1 - p) if abs(share - rate) < margin]
        if not keeps:
            forward.bug(
                "dropout-rate",
                f"{share:.0%} of the entries are kept, expected {p:.0%} with p = {number(p)} "
                f"(or {1 - p:.0%} if p is the probability of dropping an entry)",
            )
        elif not any(abs(scale - 1 / rate) < 1e-6 for rate in keeps):
            rate = keeps[0]
            found = "not scaled" if abs(scale - 1) < 1e-6 else f"multiplied by {number(scale)}"
            forward.bug(
                "dropout-not-scaled",
                f"{share:.0%} of the entries are kept, and they are {found}; expected a factor of {number(1 / rate)} "
                "(1 / the probability of keeping an entry), so that the mean of the output is that of x",
            )
        tested = observation.get("y test")
        if tested is not None and not close(tested, one.draw.x):
            _judge_dropout_evaluation(forward, tested, one.draw.x, p)
        value = observation.values.get("g")
        dx = value.array if value is not None else None
        if backward.missing or value is None or value.kind == "exception":
            continue
        if dx is None:
            backward.judged = True
            backward.bug("returns-nothing", f"dx has the type {value.type or value.kind}")
            continue
        backward.judged = True
        up = np.resize(one.draw.up, y.shape)
        tested = observation.get("dx test")  # of the upstream gradient x
        if tested is not None and not close(tested, one.draw.x):
            evidence = f"with mode 'test': {departure('dx', tested, one.draw.x)}, the upstream gradient"
            backward.bug("dropout-in-evaluation", evidence)
        if not close(dx, up * mask):
            scaled = close(dx, up * (mask != 0))
            backward.bug(
                "dropout-not-scaled" if scaled else "wrong-derivative",
                f"`dx` is dout * mask without the factor {number(scale)} that forward multiplies by"
                if scaled
                else departure("dx", dx, up * mask),
            )


def _judge_dropout_evaluation(forward: Judge, tested: np.ndarray, x: np.ndarray, p: float) -> None:
    """Reports dropout whose output in evaluation is not x: it is scaled, or entries are dropped."""
    if tested.shape == x.shape and (tested == 0).any():
        dropped = f"{np.mean(tested == 0):.0%} of the entries are dropped"
        forward.bug("dropout-in-evaluation", f"with mode 'test', {dropped}; the output should be x")
        return
    for factor, name in ((p, "p"), (1 / p, "1 / p"), (1 - p, "1 - p"), (1 / (1 - p), "1 / (1 - p)")):
        if close(tested, factor * x):
            evidence = f"with mode 'test', the output is {name} times x (p = {number(p)}), expected x"
            forward.bug("dropout-in-evaluation", evidence)
            return
    forward.bug("dropout-in-evaluation", f"with mode 'test': {departure('the output', tested, x)}")


# -- the functions of the assignments ---------------------------------------------------------------------------------

#: The names that the assignments use for the arrays in our formulas.
UPSTREAM = {"dy": "dout"}
OF_NORM = {"dy": "dout", "y": "out", "dxhat": "dout * gamma"}
#: Slips in the forward pass of a normalisation that also change dx and dgamma.
SHARED = {"dx": layers.NORMALISED, "dgamma": layers.NORMALISED}
NORM_GRADIENTS = {
    "dx": layers.norm_dx(0),
    "dgamma": layers.norm_parameter_gradient("gamma"),
    "dbeta": layers.norm_parameter_gradient("beta"),
}
CONVOLUTION = {
    "dx": more.convolution_dx(),
    "dw": more.convolution_dweight(),
    "db": more.convolution_dbias(),
}


SOFTMAX_OPTIONS = ("axis", "shift", "form", "twice")
#: The penalty is reg * sum(W²) or half of it, depending on the edition.
SHARES = ({"share": 1.0}, {"share": 0.5})


def _described() -> Iterator[Described]:
    affine = {
        "dx": _affine_dx(),
        "dw": layers.linear_dweight("dw", averaged=False, transposed=True),
        "db": layers.linear_dbias("db", averaged=False),
    }
    yield Described(
        "affine", "affine_forward", "affine_backward", _affine, layers.linear_forward(), affine, symbols=UPSTREAM
    )
    joined = {name: _through_relu(subject) for name, subject in affine.items()}
    yield Described(
        "affine_relu",
        "affine_relu_forward",
        "affine_relu_backward",
        _affine,
        _affine_relu_forward(),
        joined,
        symbols=UPSTREAM,
    )
    relu = {
        "dx": from_right_output(layers.activation_backward("relu", upstream=True), layers.activation_forward("relu"))
    }
    yield Described(
        "relu", "relu_forward", "relu_backward", _relu, layers.activation_forward("relu"), relu, symbols=UPSTREAM
    )
    hinge = {"dx": more.hinge_derivative()}
    yield Described("svm_loss", "svm_loss", "", _scores, more.hinge_loss(), hinge, shared={"dx": ("margin",)})
    softmax = {"dx": replace(layers.softmax_crossentropy_derivative(averaged=True), name="dx")}
    yield Described(
        "softmax_loss",
        "softmax_loss",
        "",
        lambda g, position: large_rows(_scores(g, position), "softmax_loss"),
        more.softmax_loss(),
        softmax,
        shared={"dx": SOFTMAX_OPTIONS},
        more=(judge_stability,),
        symbols={"t": "the one-hot rows of y"},
    )
    for backward in ("batchnorm_backward", "batchnorm_backward_alt"):
        name = backward.replace("_backward", "")
        yield Described(
            name,
            "batchnorm_forward",
            backward,
            lambda g, position: _norm(g, position, "bn"),
            layers.norm_forward(0),
            NORM_GRADIENTS,
            shared=SHARED,
            symbols=OF_NORM,
            more=(judge_evaluation, _judge_running) if name == "batchnorm" else (),
        )
    yield Described(
        "layernorm",
        "layernorm_forward",
        "layernorm_backward",
        lambda g, position: _norm(g, position, "ln"),
        layers.norm_forward(1),
        {**NORM_GRADIENTS, "dx": layers.norm_dx(1), "dgamma": layers.norm_parameter_gradient("gamma", axis=1)},
        shared=SHARED,
        symbols=OF_NORM,
    )
    yield Described(
        "dropout", "dropout_forward", "dropout_backward", _dropout, None, more=(_judge_dropout,), numeric=False
    )
    for kind in ("naive", "fast", "strides", "im2col"):
        yield Described(
            f"conv_{kind}",
            f"conv_forward_{kind}",
            f"conv_backward_{kind}",
            _convolution if kind == "naive" else _square_convolution,
            more.convolution_forward(),
            CONVOLUTION,
            numeric=False,
        )
    for kind in ("naive", "fast", "reshape", "im2col"):
        yield Described(
            f"max_pool_{kind}",
            f"max_pool_forward_{kind}",
            f"max_pool_backward_{kind}",
            lambda g, position, kind=kind: _pooling(g, position, square=kind != "naive"),
            more.pooling_forward(),
            {"dx": more.pooling_dx()},
            numeric=False,
        )
    yield Described(
        "spatial_batchnorm",
        "spatial_batchnorm_forward",
        "spatial_batchnorm_backward",
        _spatial,
        _spatial_forward(),
        {name: _spatial_gradient(subject) for name, subject in NORM_GRADIENTS.items()},
        fold=_channels_last,
        shared=SHARED,
        symbols=OF_NORM,
    )
    for name, sequence in (("rnn_step", False), ("rnn", True)):
        state = "dh0" if sequence else "dprev_h"
        yield Described(
            name,
            f"{name}_forward",
            f"{name}_backward",
            lambda g, position, sequence=sequence: _recurrent(g, position, sequence),
            more.recurrent_forward(),
            {
                title: more.recurrent_gradient(which, title)
                for which, title in (("x", "dx"), ("h", state), ("Wx", "dWx"), ("Wh", "dWh"), ("b", "db"))
            },
            known=False,  # it has no derivation
        )
    yield Described(
        "spatial_groupnorm",
        "spatial_groupnorm_forward",
        "spatial_groupnorm_backward",
        _group,
        more.group_forward(),
        {
            "dx": more.group_dx(),
            "dgamma": more.group_parameter_gradient("gamma"),
            "dbeta": more.group_parameter_gradient("beta"),
        },
        shared={"dx": ("groups", "eps", "gamma"), "dgamma": ("groups",)},
    )
    for name in ("svm_loss_naive", "svm_loss_vectorized"):
        subjects = more.regularised(more.hinge_loss()), more.regularised_derivative(more.hinge_derivative())
        yield Described(
            name,
            name,
            "",
            _classifier,
            subjects[0],
            {"dW": subjects[1]},
            choices=SHARES,
            starts_at_zero=True,
            shared={"dW": ("margin",)},
        )
    softmax_dx = layers.softmax_crossentropy_derivative(averaged=True)
    for name in ("softmax_loss_naive", "softmax_loss_vectorized"):
        subjects = more.regularised(more.softmax_loss()), more.regularised_derivative(softmax_dx)
        yield Described(
            name,
            name,
            "",
            lambda g, position, name=name: _large_weights(_classifier(g, position), name),
            subjects[0],
            {"dW": subjects[1]},
            choices=SHARES,
            starts_at_zero=True,
            shared={"dW": SOFTMAX_OPTIONS},
            more=(judge_stability,),
            symbols={"x": "X W", "t": "the one-hot rows of y"},
        )


def _spatial_forward() -> Subject:
    """Normalisation of each channel. The draw: x as (N H W, C), and the images that were passed."""
    base = layers.norm_forward(0)

    def compute(draw: Draw, rows: str = "pixels", **options: Any) -> Any:
        if rows == "pixels":
            return base.compute(draw, **options)
        images = draw.handed["x"]
        own = {name: value for name, value in draw.__dict__.items() if name not in ("xhat", "inverse", "sizes")}
        if rows == "mixed":
            draw = Draw(draw.sizes, **{**own, "x": images.reshape(-1, images.shape[1])})
        found = base.compute(draw, **options)
        terms = found if isinstance(found, dict) else {"": found}
        whole = {name: np.broadcast_to(term, draw.x.shape).reshape(images.shape) for name, term in terms.items()}
        return {name: _channels_last(term) for name, term in whole.items()}

    mixed = slip(
        "reduced-over-wrong-axis",
        "x.reshape(-1, C) normalised without first moving the channels to the last axis, so that channels are mixed",
        rows="mixed",
    )
    left = slip("axes-mixed", f"the output of shape (N H W, C) {NOT_MOVED_BACK}", rows="left")
    return Subject(base.name, compute, (*base.slips, mixed, left), base.factors, base.terms)


#: The evidence of a reshape without a transposition.
NOT_MOVED_BACK = "reshaped to (N, C, H, W) without moving the channels back: pixels and channels are mixed"


def _images(rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(N H W, C) as (N, C, H, W), the inverse of `_channels_last`."""
    N, C, H, W = shape
    return rows.reshape(N, H, W, C).transpose(0, 3, 1, 2)


def _spatial_gradient(base: Subject) -> Subject:
    """A gradient of the normalisation over x as (N H W, C), with slips for reshapes without a transposition."""

    def compute(draw: Draw, rows: str = "right", **options: Any) -> Any:
        shape = draw.handed["x"].shape
        if rows in ("mixed", "both"):
            draw = draw.changed(dy=_images(draw.dy, shape).reshape(-1, shape[1]))
        found = base.compute(draw, **options)
        if rows in ("right", "mixed"):
            return found
        terms = found if isinstance(found, dict) else {"": found}
        whole = {name: np.broadcast_to(term, draw.x.shape).reshape(shape) for name, term in terms.items()}
        return {name: _channels_last(term) for name, term in whole.items()}

    mixed = f"{base.name} computed from dout.reshape(-1, C), which mixes pixels and channels"
    slips = [slip("axes-mixed", mixed, rows="mixed")]
    if base.name == "dx":
        slips += [slip("axes-mixed", mixed, rows="both"), slip("axes-mixed", f"dx {NOT_MOVED_BACK}", rows="left")]
    return replace(base, compute=compute, slips=(*base.slips, *slips))


def _through_relu(subject: Subject) -> Subject:
    """A gradient of affine_relu: that of the affine layer, with dout set to 0 where x w + b is not positive."""

    def compute(draw: Draw, mask: str = "right", **options: Any) -> Any:
        z = draw.x @ draw.weight.T + draw.bias
        dy = draw.dy * (z > 0) if mask == "right" else draw.dy * (draw.dy > 0) if mask == "of dout" else draw.dy
        return subject.compute(draw.changed(dy=dy), **options)

    slips = (
        slip("derivative-missing", f"{subject.name} of the affine layer only: relu_backward is missing", mask="none"),
        slip("mask-from-gradient", f"{subject.name} with dout masked by its own sign", mask="of dout"),
    )
    return Subject(subject.name, compute, (*slips, *subject.slips), subject.factors, subject.terms)


def _affine_relu_forward() -> Subject:
    affine = layers.linear_forward()

    def compute(draw: Draw, relu: str = "right", **options: Any) -> Any:
        terms = affine.compute(draw, **options)
        z = sum(terms.values()) if isinstance(terms, dict) else terms
        return np.maximum(z, 0) if relu == "right" else z

    missing = slip("wrong-function", "x w + b: the ReLU is missing", relu="none")
    return Subject(affine.name, compute, (missing, *affine.slips), affine.factors)


CS231N = tuple(_described())
UPDATES = {"sgd": "sgd", "sgd_momentum": "momentum", "rmsprop": "rmsprop", "adam": "adam"}


class CS231n(Runner):
    """The functions of the assignments, in any file of the hand-in."""

    name = "cs231n"
    title = "Stanford CS231n: layers, losses, linear classifiers and update rules as functions"

    def __init__(self, source: Source, described: list[tuple[Described, Module]], updates: list[tuple[str, Module]]):
        super().__init__(source)
        self.described, self.updates = described, updates

    @classmethod
    def recognise(cls, source: Source) -> Contract | None:
        described, updates = [], []
        for each in CS231N:
            module = next((m for m in source.modules if _defines(m, each)), None)
            if module is not None:
                described.append((each, module))
        for name in UPDATES:
            module = next((m for m in source.modules if _arguments(m, name)[:2] == ["w", "dw"]), None)
            if module is not None:
                updates.append((name, module))
        found_networks: dict[str, tuple[Described, Module]] = {}
        for module in source.modules:
            for each in networks(module, (judge_stability,)):
                found_networks.setdefault(each.name, (each, module))
        described += found_networks.values()
        if not described and not updates:
            return None
        listed = {each.forward for each, _ in described}
        described += [one for one in pairs_of(source) if one[0].forward not in listed]
        return cls(source, described, updates)

    @property
    def paths(self) -> tuple[str, ...]:
        folders = [module.folder for _, module in self.updates]
        return tuple(dict.fromkeys([*folders, *super().paths]))

    def make_trials(self) -> dict[str, list[Trial]]:
        updates = {
            f"update {name}": [self._update_trial(name, module, position) for position in range(3)]
            for name, module in self.updates
        }
        return super().make_trials() | updates

    def _judges(self, each: Described, module: Module, observations: Mapping[str, Observation]) -> tuple[Judge, Judge]:
        """The judges of a part. The `loss` of a network returns scores, or the loss and its gradients, so its parts are
        named after the call."""
        if not each.owner:
            return super()._judges(each, module, observations)
        forward, gradient = (
            Judge(name, observations, module, each.owner, "loss", each.owner)
            for name in (each.name, f"{each.name}, gradient")
        )
        return forward, gradient

    def _told(self, each: Described) -> bool:
        return not each.owner and super()._told(each)

    def _update_trial(self, name: str, module: Module, position: int) -> Trial:
        g = self.generator(name, position)
        given = _update(g, position, UPDATES[name])
        arrays = {"w": given.draw.w, **given.draw.more}
        operations: list[Operation] = [
            {"op": "import", "module": module.name, "as": "m", "send": False},
            {"op": "let", "value": _pairs(**given.draw.settings), "as": "config", "send": False},
            {"op": "let", "value": {"fresh": "w"}, "as": "now", "send": False},
        ]
        for k in range(len(given.draw.gradients)):
            operations += [
                call(
                    "m", name, args=[{"path": ["now"]}, {"fresh": f"dw{k}"}, {"path": ["config"]}], to="r", send=False
                ),
                get("r", 0, to="now"),
                get("now", to=f"w after {k}"),
                get("r", 1, to="config", optional=True) | {"send": False},
            ]
        operations += [call("m", name, args=[{"fresh": "w"}, {"fresh": "dw0"}], to="r", attempt=True) | {"send": False}]
        operations += [get("r", 0, to="by default", optional=True)]
        return trial(f"{module.name}.{name} {position}", operations, given.draw, arrays)

    def judge(self, observations: Mapping[str, Observation]) -> list[Part]:
        rules = ((name, partial(self._judge_update, name, module, observations)) for name, module in self.updates)
        return super().judge(observations) + each_alone(*rules)

    def _judge_update(self, name: str, module: Module, observations: Mapping[str, Observation]) -> list[Part]:
        judge = Judge(name, observations, module, "", name, "update rules")
        subject, named, shown = more.update(UPDATES[name]), {}, []
        for one in self.trials()[f"update {name}"]:
            observation = observations.get(one.name)
            if observation is None or judge.missing:
                continue
            if observation.failure is not None:
                judge.failed(observation.failure)
                continue
            for k in range(len(one.draw.gradients)):
                label = f"{one.name} / {k}"
                value = observation.values.get(f"w after {k}")
                if value is None or value.kind == "none":
                    judge.missing = "it returns None: not filled in"
                    return [judge.result()]
                named[label] = Observation(label, {"w": value})
                draw = Draw({}, w=one.draw.w, gradients=one.draw.gradients[: k + 1], settings=one.draw.settings)
                shown.append(Trial(_renamed(one, label), draw))
        if shown:
            judge.observations = {**observations, **named}
            judge.fit(subject, shown, "w")
        return [judge.result()]


def _arguments(module: Module, name: str) -> list[str]:
    node = module.functions.get(name)
    return [each.arg for each in node.args.args] if node is not None else []


def _defines(module: Module, each: Described) -> bool:
    """Whether the module defines the function with the right number of arguments, and its backward if there is one. A
    forward whose backward is missing is accepted if its arguments have the names of the course and it returns a
    cache."""
    if each.forward not in module.functions:
        return False
    values = each.make(np.random.default_rng(0), 0).arrays
    names, node = list(values), module.functions[each.forward]
    given = defaults(node)
    for value, arg in zip(values.values(), node.args.args, strict=False):
        default = given.get(arg.arg)
        number = isinstance(default, ast.Constant) and isinstance(default.value, int | float)
        if isinstance(value, dict) and (number or re.search(r"eps|momentum|rate", arg.arg.lower())):
            return False  # the course has a dict here, so this is a different function with the same name
    if each.backward and each.backward not in module.functions:
        others = {one.backward for one in CS231N if one.forward == each.forward}
        first = next(one for one in CS231N if one.forward == each.forward) is each
        unfinished = first and not others & set(module.functions) and _returns_pair(node)
        return unfinished and [arg.arg for arg in node.args.args] == names
    return len(required(node)) <= len(names) <= len(node.args.args)


# -- any other pair ---------------------------------------------------------------------------------------------------


class CachedPairs(Runner):
    """Pairs of functions `NAME_forward` and `NAME_backward` with a cache that belong to no course, and the networks of
    Coursera."""

    name = "pairs"
    title = "pairs of functions, NAME_forward and NAME_backward with a cache"

    def __init__(self, source: Source, described: list[tuple[Described, Module]]) -> None:
        super().__init__(source)
        self.described = described

    @classmethod
    def recognise(cls, source: Source) -> Contract | None:
        found = pairs_of(source)
        for module in source.modules:
            found += [(one, module) for one in coursera.networks(module)]
        return cls(source, found) if found else None


def pairs_of(source: Source) -> list[tuple[Described, Module]]:
    """The pairs in which forward returns two values and backward takes the second."""
    found = []
    for module in source.modules:
        for forward in module.functions:
            match = re.fullmatch(r"(.+?)_?(forward|fwd|forward_pass)(_\w+)?", forward)
            if match is None:
                continue
            start, word, end = match.groups()
            backward = forward.replace(word, word.replace("forward", "backward").replace("fwd", "bwd"))
            if backward not in module.functions or not _returns_pair(module.functions[forward]):
                continue
            takes = required(module.functions[backward])
            chosen = tuple(KINDS if re.search(r"activation|kind|nonlin", name) else name for name in takes[2:])
            generated = _generated_arguments(module.functions[forward])
            if generated is None or len(takes) < 2 or any(one is not KINDS for one in chosen):
                continue
            make, names = generated
            gradients = {f"d{name}": numeric_gradient(f"d{name}", k) for k, name in enumerate(names)}
            name, further = f"{start}{end or ''}", tuple("sigmoid" for _ in chosen)
            known = kind_of(name) is not None
            one = Described(name, forward, backward, make, None, gradients, trials=3, further=further, known=known)
            found.append((one, module))
            taken = len(required(module.functions[forward]))
            if _has_mode(module.functions[forward], taken) and _has_mode(module.functions[backward], 2):
                other: dict[str, Any] = {"make": _averaging(make), "further": ("average",), "case": "average"}
                found.append((replace(one, name=f"{name}, average", **other), module))
    return found


def _has_mode(function: ast.FunctionDef, position: int) -> bool:
    """Whether this argument is the mode of Coursera's pooling, `max` or `average`."""
    arguments = function.args.args
    if len(arguments) <= position or arguments[position].arg != "mode":
        return False
    default = defaults(function).get("mode")
    return isinstance(default, ast.Constant) and default.value == "max"


def _averaging(make: Callable[[np.random.Generator, int], Given]) -> Callable[[np.random.Generator, int], Given]:
    def averaging(g: np.random.Generator, position: int) -> Given:
        given = make(g, position)
        return replace(given, arrays={**given.arrays, "mode": "average"})

    return averaging


def _returns_pair(function: ast.FunctionDef) -> bool:
    returns = [node.value for node in ast.walk(function) if isinstance(node, ast.Return) and node.value is not None]
    return any(isinstance(value, ast.Tuple) and len(value.elts) == 2 for value in returns)


def numeric_gradient(name: str, k: int) -> Subject:
    """A gradient that is compared with finite differences of the hand-in's own forward, with respect to argument k."""
    base = numeric_backward() if k == 0 else parameter_subject(name, bias=name[1:].lower().startswith("b"))
    return replace(base, name=name, compute=of_argument(base, k))


KINDS = ("relu", "sigmoid")


#: Names of the arguments of recurrent layers: the hidden state (N, H), the input weights (D, H) and the recurrent
#: weights (H, H).
STATE = re.compile(r"(prev_?h|h_?prev|a_?prev|h_?0|a_?0|h|h_?t_?1|state|hidden)$")
FROM_INPUT = re.compile(r"w_?(x|xh|ax|ih|xa|hx)$|u$")
FROM_STATE = re.compile(r"w_?(h|hh|aa|a)$|v$")


def _generated_arguments(
    function: ast.FunctionDef,
) -> tuple[Callable[[np.random.Generator, int], Given], list[str]] | None:
    """A function that generates the arguments of forward according to their names, and the names of the arrays. Samples
    are rows, or columns if the names suggest it. A convolution or pooling gets images."""
    names = required(function)
    if not names or len(names) > 6:
        return None
    low = [name.lower() for name in names]
    if re.search(r"conv|pool", function.name.lower()) and not re.search(r"1d|3d|transpose", function.name.lower()):
        make = _generated_images(names, function)
    elif any(map(FROM_INPUT.match, low[1:])) and any(map(FROM_STATE.match, low[1:])) and STATE.match(low[1]):
        make = _generated_recurrent(names, sequence=not re.search(r"step|cell", function.name.lower()))
    elif len(names) > 4:
        return None
    else:
        make = _generated_features(names)
    example = make(np.random.default_rng(0), 0).arrays
    if any(value is None for value in example.values()):
        return None
    return make, [name for name, value in example.items() if isinstance(value, np.ndarray)]


def _generated_recurrent(names: list[str], *, sequence: bool) -> Callable[[np.random.Generator, int], Given]:
    """The arguments of one step of a recurrent layer, x (N, D), or of a whole sequence, x (N, T, D)."""

    def make(g: np.random.Generator, position: int) -> Given:
        N, D, H = SIZES[position]
        arrays: dict[str, Any] = {}
        for k, name in enumerate(names):
            low = name.lower()
            if k == 0:
                arrays[name] = g.normal(size=(N, 3, D) if sequence else (N, D))
            elif FROM_INPUT.match(low):
                arrays[name] = 0.5 * g.normal(size=(D, H))
            elif FROM_STATE.match(low):
                arrays[name] = 0.5 * g.normal(size=(H, H))
            elif STATE.match(low):
                arrays[name] = g.normal(size=(N, H))
            else:
                arrays[name] = g.normal(size=H) if re.match(r"b\w?$|bias", low) else None
        return Given(arrays, Draw({"N": N, "D": D}))

    return make


def _generated_images(names: list[str], function: ast.FunctionDef) -> Callable[[np.random.Generator, int], Given]:
    """The arguments of a convolution or pooling: (N, C, H, W), or (N, H, W, C) if the names are those of the Coursera
    course."""
    last = bool(re.match(r"A(_prev)?$", names[0])) or "hparameters" in [each.arg for each in function.args.args]
    pooling = "pool" in function.name.lower()

    def make(g: np.random.Generator, position: int) -> Given:
        N, C, F, size, stride, pad, f = ((2, 2, 3, 4, 1, 0, 2), (3, 1, 2, 4, 2, 0, 2), (2, 2, 2, 4, 1, 1, 3))[
            position % 3
        ]
        arrays: dict[str, Any] = {}
        for k, name in enumerate(names):
            low = name.lower()
            if k == 0:
                arrays[name] = spread_out(g, (N, size, size, C) if last else (N, C, size, size))
            elif re.match(r"w\d*$|weight|kernel$|filters?$", low):
                arrays[name] = g.normal(size=(f, f, C, F) if last else (F, C, f, f))
            elif re.match(r"b\d*$|bias", low):
                arrays[name] = g.normal(size=(1, 1, 1, F) if last else F)
            elif "param" in low and last:
                arrays[name] = {"f": f, "stride": stride, "pad": 0 if pooling else pad}
            elif "param" in low:
                pools = {"pool_height": f, "pool_width": f, "stride": stride}
                arrays[name] = pools if pooling else {"stride": stride, "pad": pad}
            elif "stride" in low:
                arrays[name] = stride
            elif "pad" in low:
                arrays[name] = 0 if pooling else pad
            else:
                arrays[name] = f if re.match(r"f$|size|k$|(pool|kernel)_?(size|height|width|h|w)?$", low) else None
        return Given(arrays, Draw({"N": N}))

    return make


def _generated_features(names: list[str]) -> Callable[[np.random.Generator, int], Given]:
    columns = bool(re.fullmatch(r"A(_prev|_\w+)?|Z|X_?T", names[0]))
    weight = re.compile(r"^w\d*$|weight|kernel|theta")
    has_weight = any(weight.search(name.lower()) for name in names)

    def value(name: str, g: np.random.Generator, N: int, D: int, K: int) -> Any:
        low = name.lower()
        if weight.search(low):
            return g.normal(size=(K, D) if columns else (D, K))
        if low == "b" and not has_weight and names[0].lower() == "a":  # two operands: a * b
            return spread_out(g, (N, D))
        if not has_weight and re.search(r"^b\d*$|bias", low):  # x + b
            return g.normal(size=(D, 1) if columns else D)
        if re.search(r"^b\d*$|bias", low):
            return g.normal(size=(K, 1) if columns else K)
        if re.search(r"gamma|beta|scale|shift", low):
            return g.uniform(0.5, 1.5, size=(D, 1) if columns else D)
        if re.search(r"slope|alpha|lam|margin", low):
            return 0.3
        if "eps" in low:
            return 1e-5
        if "param" in low:
            return {"mode": "train"}
        if re.search(r"activation|kind|nonlin", low):
            return "sigmoid"
        return spread_out(g, (D, N) if columns else (N, D))

    def make(g: np.random.Generator, position: int) -> Given:
        N, D, K = SIZES[position]
        arrays = {name: value(name, g, N, D, K) for name in names}
        return Given(arrays, Draw({"N": N, "D": D}))

    return make


__all__ = ["CS231N", "CS231n", "CachedPairs"]

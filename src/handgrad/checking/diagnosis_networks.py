"""Models of multi-layer perceptrons with their known bugs: CMU's MLP and its parameter update, and UvA's MLP.

The draw contains x (N, in), the one-hot labels t (N, K), the slope or alpha `p` of the activations, and lists with one
item per layer: `W` (in, out), `b` (out,), `kinds` (names of the activations), and `norms` (None, or a dict with gamma,
beta, running_mean and running_var).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad.checking.diagnosis import NOT_AVERAGED, Array, Draw, Subject, slip
from handgrad.checking.diagnosis_layers import BACKWARD, FORWARD, softmax

EPS = 1e-8


class _Pass:
    """Forward and backward pass through the network of a draw. Each option replaces a part by a known mistake."""

    def __init__(
        self, draw: Draw, *, bias="used", norm="right", activations="right", end="right", slope=None, evaluating=False
    ):
        self.draw = draw
        self.p = draw.p if slope is None else slope
        if slope is not None and "leaky" not in draw.kinds:
            raise ValueError("this network has no slope")
        self.inputs: list[Array] = []
        self.outputs: list[Array] = []
        self.before: list[Array] = []  # the input of the activation
        self.xhat: list[Any] = []
        self.inverse: list[Any] = []
        value = draw.x
        last = len(draw.W) - 1
        self.kinds = list(draw.kinds)
        if activations == "reversed":
            self.kinds.reverse()
        elif activations == "first for all":
            self.kinds = [self.kinds[0]] * len(self.kinds)
        elif activations == "none at the end":
            self.kinds[-1] = "identity"
        elif activations == "none":
            self.kinds = ["identity"] * len(self.kinds)
        elif activations == "also at the end":
            self.kinds[-1] = getattr(draw, "hidden_kind", self.kinds[0])
        self.norms = []
        for index, (weight, b) in enumerate(zip(draw.W, draw.b, strict=True)):
            self.inputs.append(value)
            z = value @ weight
            if bias == "used":
                z = z + np.ravel(b)
            elif bias == "subtracted":
                z = z - np.ravel(b)
            elif bias == "twice":
                z = z + 2 * np.ravel(b)
            use = draw.norms[index]
            if norm == "none" or (norm == "first only" and index > 0):
                use = None
            if norm == "last only" and index < len(draw.norms) - 1 and draw.norms[index + 1] is not None:
                use = None
            self.norms.append(use)
            if use is not None and norm != "after":
                z = self._normalise(z, use, evaluating)
            else:
                self.xhat.append(None)
                self.inverse.append(None)
            self.before.append(z)
            value = FORWARD[self.kinds[index]]["right"](z, self.p)
            if use is not None and norm == "after":
                self.xhat.pop()
                self.inverse.pop()
                value = self._normalise(value, use, evaluating)
            self.outputs.append(value)
            if end == "softmax everywhere" and index < last:
                value = softmax(value)
        self.y = value
        if draw.softmax:
            end = {"right": "softmax", "no softmax": "right", "softmax twice": "softmax twice"}.get(end, end)
        self.ends: list[Array] = []
        for _ in range({"softmax": 1, "softmax everywhere": 1, "softmax twice": 2}.get(end, 0)):
            self.y = softmax(self.y)
            self.ends.append(self.y)

    def _normalise(self, z: Array, use: dict[str, Any], evaluating: bool) -> Array:
        if evaluating:
            mean, variance = np.ravel(use["running_mean"]), np.ravel(use["running_var"])
        else:
            mean, variance = z.mean(axis=0), z.var(axis=0)
        inverse = 1 / np.sqrt(variance + use.get("eps", EPS))
        self.xhat.append((z - mean) * inverse)
        self.inverse.append(inverse)
        return np.ravel(use["gamma"]) * self.xhat[-1] + np.ravel(use["beta"])

    def deltas(
        self, start="p - t", derivative="used", passed="right", norm_back="used", averaging="none", softmax_back="used"
    ) -> tuple[list[Array], list[Array]]:
        """For each layer: delta at the output of the linear layer, and delta at the output of the normalisation."""
        draw = self.draw
        last = len(draw.W) - 1
        if draw.dy is not None:
            delta = draw.dy
            for y in reversed(self.ends if softmax_back == "used" else []):
                delta = y * (delta - (delta * y).sum(axis=1, keepdims=True))
        else:
            p = softmax(self.y)
            delta = {
                "p - t": p - draw.t,
                "p": p,
                "t - p": draw.t - p,
                "y - t": self.y - draw.t,
                "ones": np.ones_like(p),
            }[start]
        if averaging == "at the start":
            delta = delta / len(delta)
        linear: list[Array] = [delta] * (last + 1)
        normal: list[Array] = [delta] * (last + 1)
        for index in range(last, -1, -1):
            kind = draw.kinds[index] if derivative == "declared" else self.kinds[index]
            slope = BACKWARD[kind]["right"](
                self.before[index], FORWARD[kind]["right"](self.before[index], draw.p), draw.p
            )
            if derivative == "shifted" and index > 0:
                before = BACKWARD[self.kinds[index - 1]]["right"](
                    self.before[index - 1], self.outputs[index - 1], self.p
                )
                slope = before if before.shape == slope.shape else slope * np.nan
            skip = (
                derivative == "missing"
                or (derivative == "missing at the end" and index == last)
                or (derivative == "missing inside" and index < last)
                or (derivative == "missing at the start" and index == 0)
            )
            early = norm_back == "before the activation" and self.norms[index] is not None
            if not skip and not early:
                delta = delta * slope
            if derivative == "twice":
                delta = delta * slope
            normal[index] = delta
            if self.norms[index] is not None and norm_back != "skipped":
                xhat, inverse = self.xhat[index], self.inverse[index]
                d = delta * np.ravel(self.norms[index]["gamma"])
                delta = (d - d.mean(axis=0) - xhat * (d * xhat).mean(axis=0)) * inverse
            if early:
                delta = delta * slope
            linear[index] = delta
            if passed == "gradient":
                delta = delta @ (self.inputs[index].T @ delta).T
            elif passed == "averaged gradient":
                delta = delta @ (self.inputs[index].T @ delta).T / len(delta)
            elif passed == "transposed":
                delta = delta @ draw.W[index]
            elif passed == "updated":
                step = draw.lr * self.inputs[index].T @ delta / len(delta)
                delta = delta @ (draw.W[index] - step).T
            else:
                delta = delta @ draw.W[index].T
            if averaging == "every layer":
                delta = delta / len(delta)
            elif averaging == "summed":
                delta = delta.mean(axis=0, keepdims=True) + 0 * delta
        return linear, normal


FORWARD_SLIPS = (
    slip("bias-unused", "the output without any bias", bias="unused"),
    slip("bias-sign", "the output with the biases subtracted", bias="subtracted"),
    slip("bias-twice", "the output with each bias added twice", bias="twice"),
    slip("norm-not-applied", "the output without batch normalisation", norm="none"),
    slip("norm-first-layer-only", "the output with batch normalisation only in the first layer", norm="first only"),
    slip(
        "norm-last-layer-only",
        "the output with batch normalisation only in the last of the layers that have it",
        norm="last only",
    ),
    slip("norm-after-activation", "the output with batch normalisation after the activation", norm="after"),
    slip("activation-missing", "the output without the last activation", activations="none at the end"),
    slip("activation-missing", "the output without any activation", activations="none"),
    slip("activation-order", "the output with the activations in reverse order", activations="reversed"),
    slip("activation-order", "the output with the first activation in every layer", activations="first for all"),
    slip(
        "activation-at-the-end",
        "the output with the hidden activation after the last layer",
        activations="also at the end",
    ),
    slip("softmax-in-forward", "the softmax of the output", end="softmax"),
    slip("softmax-twice", "the output with the softmax applied twice", end="softmax twice"),
    slip("softmax-twice", "the output with a softmax after every layer", end="softmax everywhere"),
    slip("softmax-missing", "the output without the softmax at the end", end="no softmax"),
    slip("slope-ignored", "the output with a slope of 0.01 instead of the given slope", slope=0.01),
    slip("slope-ignored", "the output with a slope of 0.02 instead of the given slope", slope=0.02),
    slip("slope-ignored", "the output with a slope of 0 instead of the given slope", slope=0.0),
)
_FORWARD_OPTIONS = {"bias", "norm", "activations", "end", "slope", "evaluating"}


def _forward_pass(draw: Draw, options: dict[str, Any]) -> _Pass:
    return _Pass(draw, **{name: value for name, value in options.items() if name in _FORWARD_OPTIONS})


def _backward_options(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in _FORWARD_OPTIONS}


def _check_applicable(draw: Draw, options: dict[str, Any]) -> None:
    """Raises ValueError for slips that change nothing in this network, so that the search does not name them."""
    if draw.softmax and options.get("end") == "softmax":
        raise ValueError("this network ends in a softmax")
    if not draw.softmax and options.get("end") == "no softmax":
        raise ValueError("this network does not end in a softmax")


def mlp_forward() -> Subject:
    """The network's output."""

    def compute(draw: Draw, **options) -> Array:
        _check_applicable(draw, options)
        return _forward_pass(draw, options).y

    return Subject("the output", compute, FORWARD_SLIPS, factors={"0": "all-zero", **NOT_AVERAGED})


DELTA_SLIPS = (
    slip("derivative-missing", "delta without the derivative of the last activation", derivative="missing at the end"),
    slip("derivative-missing", "delta without the derivative of any activation", derivative="missing"),
    slip("derivative-missing", "delta without the derivatives of the hidden activations", derivative="missing inside"),
    slip(
        "derivative-missing", "delta without the derivative of the first activation", derivative="missing at the start"
    ),
    slip(
        "activation-missing", "delta with the derivative of an activation that was not applied", derivative="declared"
    ),
    slip("derivative-twice", "delta with each activation's derivative applied twice", derivative="twice"),
    slip("derivative-of-other-layer", "delta with the derivative of the layer below", derivative="shifted"),
    slip("norm-backward-skipped", "delta without the backward pass through batch normalisation", norm_back="skipped"),
    slip(
        "backward-order",
        "delta that goes backward through batch normalisation before the activation",
        norm_back="before the activation",
    ),
    slip("dx-from-dweight", "delta multiplied by dW instead of W", passed="gradient"),
    slip("dx-from-dweight", "delta multiplied by dW instead of W", passed="averaged gradient"),
    slip("weight-transposed", "delta multiplied by W instead of its transpose", passed="transposed"),
    slip("updated-before-passing", "delta multiplied by the weights after their update", passed="updated"),
    slip("delta-averaged", "delta divided by N in every layer of the backward pass", averaging="every layer"),
    slip("delta-averaged", "delta averaged over the batch before it reaches the layer below", averaging="summed"),
    slip("softmax-backward-skipped", "dy without the backward pass through the softmax", softmax_back="skipped"),
)
START_SLIPS = (
    slip("labels-unused", "delta that starts as softmax(y): the labels are not subtracted", start="p"),
    slip("label-sign", "delta that starts as t - softmax(y)", start="t - p"),
    slip("softmax-missing", "delta that starts as y - t: the softmax is missing", start="y - t"),
    slip("upstream-missing", "delta that starts as ones", start="ones"),
)


def mlp_weight_gradient(index: int, *, name: str = "", averaged: bool = True, out_in: bool = False) -> Subject:
    """dW[index] = inputᵀ delta, divided by N if `averaged`; (in, out), or (out, in) if `out_in`."""

    def compute(draw: Draw, axes="right", by="input", **options) -> Array:
        forward = _forward_pass(draw, options)
        linear, _ = forward.deltas(**_backward_options(options))
        if by == "input":
            value = forward.inputs[index]
        elif by == "raw input":
            value = draw.x
        else:
            value = forward.before[index - 1] if index else draw.x * np.nan
        gradient = value.T @ linear[index]
        gradient = gradient / len(draw.x) if averaged else gradient
        return gradient.T if (axes == "transposed") != out_in else gradient

    slips = (
        *DELTA_SLIPS,
        *START_SLIPS,
        slip("gradient-transposed", "dW transposed", axes="transposed"),
        slip(
            "dweight-from-preactivation",
            "dW computed from the input of the activation below instead of its output",
            by="before",
        ),
        slip("dweight-from-raw-input", "dW computed from the network's input in every layer", by="raw input"),
        *FORWARD_SLIPS,
    )
    factors = {} if averaged else NOT_AVERAGED
    return Subject(name or f"dW[{index}]", compute, slips, factors=factors)


def mlp_bias_gradient(index: int, *, name: str = "", averaged: bool = True) -> Subject:
    """db[index] = sum of delta over the batch, divided by N if `averaged`."""

    def compute(draw: Draw, over="right", **options) -> Array:
        forward = _forward_pass(draw, options)
        linear, normal = forward.deltas(**_backward_options(options))
        delta = linear[index] / len(draw.x) if averaged else linear[index]
        if draw.norms[index] is not None and over == "right":
            # The exact sum is zero. Sums that are only rounding errors of delta count as zero.
            total = delta.sum(axis=0)
            return np.where(np.abs(total) < 1e-9 * np.abs(delta).max(initial=1e-300), 0.0, total)
        return {
            "right": lambda: delta.sum(axis=0),
            "none": lambda: delta,
            "features": lambda: delta.sum(axis=1),
            "features mean": lambda: delta.mean(axis=1),
            "one number": lambda: delta.sum(),
            "mean of all": lambda: delta.mean(),
            "all": lambda: np.full(delta.shape[1], delta.sum()),
            "before norm": lambda: (normal[index] / len(draw.x) if averaged else normal[index]).sum(axis=0),
            "first": lambda: delta[0],
        }[over]()

    slips = (
        slip("bias-gradient-unsummed", "delta for each sample: the sum over the batch is missing", over="none"),
        slip("reduced-over-wrong-axis", "the sum over the features, one value per sample", over="features"),
        slip("reduced-over-wrong-axis", "the mean over the features, one value per sample", over="features mean"),
        slip("summed-over-everything", "one number, the sum over batch and features", over="one number"),
        slip("summed-over-everything", "one number, the mean over batch and features", over="mean of all"),
        slip("summed-over-everything", "the sum over batch and features in every entry", over="all"),
        slip(
            "bias-gradient-before-norm",
            "the sum of delta before the backward pass of batch normalisation",
            over="before norm",
        ),
        slip("bias-gradient-first-sample", "delta of the first sample only", over="first"),
        *DELTA_SLIPS,
        *START_SLIPS,
        *FORWARD_SLIPS,
    )
    factors = {"0": "bias-gradient-zero"}
    if averaged:
        factors |= {"N": "bias-gradient-not-averaged", "1/N": "batch-mean-twice"}
    else:
        factors |= {**NOT_AVERAGED, "1/N": "bias-gradient-averaged"}
    return Subject(name or f"db[{index}]", compute, slips, factors=factors)


def mlp_norm_gradient(index: int, which: str) -> Subject:
    """dgamma or dbeta of the batch normalisation of layer `index`, from the MLP's delta. Assumes that the backward pass
    of the normalisation layer itself is right."""

    def compute(draw: Draw, **options) -> Array:
        forward = _forward_pass(draw, options)
        _, normal = forward.deltas(**_backward_options(options))
        delta = normal[index]
        if forward.xhat[index] is None:
            raise ValueError("this layer is not normalised")
        return (delta * forward.xhat[index]).sum(axis=0) if which == "gamma" else delta.sum(axis=0)

    return Subject(
        f"bn_layers[{index}].d{which}",
        compute,
        (*DELTA_SLIPS, *START_SLIPS, *FORWARD_SLIPS),
        factors={"1/N": "delta-averaged", "0": "norm-backward-skipped"},
    )


def mlp_step(name: str, *, momentum: bool) -> Subject:
    """The change of one parameter in one step.

    W and b: v = momentum v - lr g, W = W + v. gamma and beta: a step without momentum. The draw: gradient, earlier (the
    gradient of the previous step; None in the first step), lr, momentum.
    """

    def compute(draw: Draw, velocity="right") -> Any:
        terms = {"lr * gradient": -draw.lr * draw.gradient}
        if velocity == "late":
            return -draw.lr * draw.earlier if draw.earlier is not None else 0 * draw.gradient
        if draw.earlier is not None:
            earlier = -draw.lr * draw.earlier
            if velocity == "kept":
                terms["lr * gradient"] = terms["lr * gradient"] + earlier
            elif momentum and draw.momentum:
                terms["momentum * velocity"] = draw.momentum * earlier
            elif velocity == "with momentum":
                terms["lr * gradient"] = terms["lr * gradient"] + draw.momentum * earlier
            elif velocity == "averaged":
                terms["lr * gradient"] = (1 - draw.momentum) * (terms["lr * gradient"] + draw.momentum * earlier)
        if velocity == "nesterov":
            total = sum(terms.values())
            return {"update": -draw.lr * draw.gradient + draw.momentum * total}
        return terms

    slips = [
        slip(
            "momentum-nesterov",
            "Nesterov's form: the step is lr * gradient + momentum * the new velocity",
            velocity="nesterov",
        ),
        slip("velocity-late", "the velocity of the previous step", velocity="late"),
    ]
    if momentum:
        slips.append(
            slip("momentum-factor-missing", "lr * gradient + the previous step, without the momentum", velocity="kept")
        )
    else:
        slips = [
            slip(
                "momentum-on-gamma-beta",
                "a step with momentum, which gamma and beta should not have",
                velocity="with momentum",
            ),
            slip("momentum-on-gamma-beta", "a step with averaged momentum", velocity="averaged"),
        ]
    gradient = {
        "0": "not-updated" if momentum else "gamma-beta-not-updated",
        "-1": "update-sign",
        "1/lr": "learning-rate-missing",
        "lr": "learning-rate-twice",
        "1-momentum": "momentum-average",
        "1/N": "batch-mean-twice",
        "N": "batch-mean-missing",
    }
    velocity = {
        **gradient,
        "0": "momentum-ignored",
        "-1": "momentum-sign",
        "1/momentum": "momentum-factor-missing",
        "momentum": "momentum-twice",
        "1-momentum": "momentum-average",
    }
    return Subject(
        name,
        compute,
        tuple(slips),
        factors=gradient,
        terms={"momentum * velocity": velocity},
    )

"""Models of the other layers of Stanford's CS231n with their known bugs: hinge loss, regularised losses, convolution,
pooling, group normalisation, recurrent layers and update rules. Each function returns a `Subject`, as in
`diagnosis_layers`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.checking import diagnosis_layers as layers
from handgrad.checking.diagnosis import NOT_AVERAGED, Array, Draw, Subject, slip

# ---------------------------------------------------------------------------------------------------------------------
# Losses: one number, the mean over the batch, computed from scores x (N, K) and one-hot labels t


def softmax_loss() -> Subject:
    """mean of -log softmax(x)[label]. The draw: x, t."""
    per_sample = layers.softmax_crossentropy_forward()

    def compute(draw: Draw, reduction: str = "mean", **options: Any) -> Any:
        return per_sample.compute(draw, reduction=reduction, **options)

    slips = tuple(each for each in per_sample.slips if "reduction" not in each.options)
    unreduced = slip("not-averaged", "one loss per sample instead of their mean", reduction="none")
    return Subject(
        "the loss",
        compute,
        (*slips, unreduced),
        factors={"N": "batch-mean-missing", "1/N": "batch-mean-twice", "1/K": "averaged-over-classes"},
        tolerance=1e-5,
    )


def hinge_loss() -> Subject:
    """mean over the batch of the sum over the wrong classes of max(0, x_j - x_label + 1). The draw: x, t."""

    def compute(
        draw: Draw, margin: float = 1.0, own: str = "left out", clip: bool = True, square: bool = False
    ) -> Array:
        margins = draw.x - (draw.x * draw.t).sum(axis=1, keepdims=True) + margin
        margins = np.maximum(margins, 0) if clip else margins
        margins = margins**2 if square else margins
        if own == "left out":
            margins = margins * (1 - draw.t)
        return margins.sum() / len(draw.x)

    slips = (
        slip("hinge-margin", "the hinge loss without the margin of 1", margin=0.0),
        slip("hinge-margin", "the hinge loss with a margin of -1", margin=-1.0),
        slip("hinge-correct-class", "the hinge loss with the correct class in the sum, which adds 1", own="counted"),
        slip("hinge-not-clipped", "the sum of the margins without max(0, ...)", clip=False),
        slip("wrong-function", "the squared hinge loss", square=True),
    )
    factors = {"N": "batch-mean-missing", "1/N": "batch-mean-twice", "1/K": "averaged-over-classes"}
    return Subject("the loss", compute, slips, factors=factors)


def hinge_derivative() -> Subject:
    """1 for each wrong class that violates the margin, minus their number for the label; divided by N. The draw: x,
    t."""

    def compute(
        draw: Draw, margin: float = 1.0, label: str = "counted", own: str = "left out", form: str = "mask"
    ) -> Any:
        margins = draw.x - (draw.x * draw.t).sum(axis=1, keepdims=True) + margin
        others = (margins > 0) * (1 - draw.t) if own == "left out" else (margins > 0) * 1.0
        others = others * margins if form == "margins" else others
        count = others.sum(axis=1, keepdims=True)
        if label == "once":
            return (others - draw.t) / len(draw.x)
        if label == "once if any":
            return (others - draw.t * (count > 0)) / len(draw.x)
        return {"wrong classes": others / len(draw.x), "label": -draw.t * count / len(draw.x)}

    slips = (
        slip(
            "hinge-correct-class",
            "-1 at the label instead of minus the number of classes that violate the margin",
            label="once",
        ),
        slip(
            "hinge-correct-class",
            "-1 at the label if any class violates the margin, instead of minus their number",
            label="once if any",
        ),
        slip(
            "hinge-correct-class",
            "the derivative with the correct class counted among those that violate the margin",
            own="counted",
        ),
        slip("hinge-margin", "the derivative of the hinge loss without its margin", margin=0.0),
        slip("function-for-derivative", "the margins themselves instead of 1", form="margins"),
    )
    return Subject(
        "dx",
        compute,
        slips,
        factors={"N": "batch-mean-missing", "1/N": "batch-mean-twice"},
        terms={
            "label": {"0": "hinge-correct-class", "-1": "label-sign"},
            "wrong classes": {"0": "only-the-labels-entry"},
        },
    )


def regularised(subject: Subject) -> Subject:
    """A loss of the scores X W, plus share * reg * sum(W²). The draw: W, X, t, reg, share (1 or 1/2)."""

    def compute(draw: Draw, penalty: str = "right", averaged: bool = True, **options: Any) -> Any:
        data = subject.compute(draw.changed(x=draw.X @ draw.W), **options) * (1 if averaged else len(draw.X))
        square = (draw.W**2).sum()
        factor = {
            "right": square,
            "none": 0.0,
            "absolute": np.abs(draw.W).sum(),
            "root": np.sqrt(square),
            "over N": square / len(draw.X),
            "subtracted": -square,
            "without reg": square / draw.reg,
        }[penalty]
        return data + draw.share * draw.reg * factor

    slips = (
        slip("regularisation-missing", "the loss without reg * sum(W * W)", penalty="none"),
        slip("regularisation-wrong", "the loss with reg * sum(abs(W))", penalty="absolute"),
        slip("regularisation-wrong", "the loss with reg * sqrt(sum(W * W))", penalty="root"),
        slip("regularisation-wrong", "the loss with reg * sum(W * W) / N", penalty="over N"),
        slip("regularisation-wrong", "the loss with -reg * sum(W * W)", penalty="subtracted"),
        slip("regularisation-wrong", "the loss with sum(W * W), without reg", penalty="without reg"),
        slip("batch-mean-missing", "the sum of the samples' losses instead of their mean", averaged=False),
        *subject.slips,
    )
    return Subject("the loss", compute, slips, factors={"N": "batch-mean-missing", "1/N": "batch-mean-twice"})


def regularised_derivative(subject: Subject) -> Subject:
    """dW = Xᵀ dscores + 2 share reg W."""

    def compute(draw: Draw, axes: str = "right", **options: Any) -> Any:
        found = subject.compute(draw.changed(x=draw.X @ draw.W), **options)
        scores = sum(found.values()) if isinstance(found, dict) else found
        return {"X.T @ dscores": draw.X.T @ np.asarray(scores), "regularisation": 2 * draw.share * draw.reg * draw.W}

    factors = {"N": "batch-mean-missing", "1/N": "batch-mean-twice", "-1": "label-sign"}
    return Subject("dW", compute, subject.slips, terms={"X.T @ dscores": factors, "regularisation": _REGULARISATION})


_REGULARISATION = {
    "0": "regularisation-missing",
    "-1": "regularisation-wrong",
    "c": "regularisation-wrong",
    "1/N": "regularisation-wrong",
    "N": "regularisation-wrong",
}

# ---------------------------------------------------------------------------------------------------------------------
# Convolution: x (N, C, H, W), weight (F, C, HH, WW), bias (F,), stride, pad


def _windows(x: Array, height: int, width: int, stride: int, starts: str = "right") -> Array:
    """The windows of x as a read-only view, (N, C, rows, columns, height, width). If `starts` is not "right", there are
    as many windows as the stride gives, but they start one pixel apart."""
    view = np.lib.stride_tricks.sliding_window_view(x, (height, width), axis=(2, 3))  # type: ignore[call-overload]
    strided = view[:, :, ::stride, ::stride]
    return strided if starts == "right" else view[:, :, : strided.shape[2], : strided.shape[3]]


def _padded(x: Array, pad: int) -> Array:
    return np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))


def convolution_forward() -> Subject:
    """out[n, f] = sum over channels and window of x * w, plus b[f]. The draw: x, weight, bias, stride, pad."""

    def compute(
        draw: Draw, pad: str = "right", flipped: bool = False, channels: str = "all", starts: str = "right"
    ) -> Any:
        weight = draw.weight[:, :, ::-1, ::-1] if flipped else draw.weight
        x = (
            np.roll(_padded(draw.x, draw.pad), draw.pad, axis=(2, 3))
            if pad == "one side"
            else _padded(draw.x, draw.pad)
        )
        windows = _windows(x, weight.shape[2], weight.shape[3], draw.stride, starts)
        if channels == "first":
            windows, weight = windows[:, :1], weight[:, :1]
        product = np.einsum("nchwij,fcij->nfhw", windows, weight)
        return {"x * w": product, "b": np.broadcast_to(draw.bias.reshape(1, -1, 1, 1), product.shape)}

    slips = (
        slip("kernel-flipped", "a true convolution: the kernel is rotated by 180 degrees", flipped=True),
        slip("padding-wrong", "the output with the padding on one side only", pad="one side"),
        slip("channels-not-summed", "the output computed from the first channel only", channels="first"),
        slip(
            "stride-ignored",
            "the output whose window (i, j) starts at input (i, j) regardless of the stride",
            starts="one apart",
        ),
    )
    return Subject(
        "the output", compute, slips, terms={"b": {"0": "bias-unused", "-1": "bias-sign"}}, factors=NOT_AVERAGED
    )


def convolution_dx() -> Subject:
    """dout times w for each window, summed where windows overlap. The draw: x, weight, dy, stride, pad."""

    def compute(
        draw: Draw, overlap: str = "added", flipped: bool = False, crop: str = "right", starts: str = "right"
    ) -> Array:
        weight = draw.weight[:, :, ::-1, ::-1] if flipped else draw.weight
        padded = np.zeros(_padded(draw.x, draw.pad).shape)
        height, width, s = *weight.shape[2:], draw.stride if starts == "right" else 1
        for i in range(draw.dy.shape[2]):
            for j in range(draw.dy.shape[3]):
                window = (slice(None), slice(None), slice(i * s, i * s + height), slice(j * s, j * s + width))
                part = np.einsum("nf,fcij->ncij", draw.dy[:, :, i, j], weight)
                if overlap == "added":
                    padded[window] += part
                elif overlap == "last filter":
                    padded[window] = np.einsum("n,cij->ncij", draw.dy[:, -1, i, j], weight[-1])
                else:
                    padded[window] = part
        end = [size + draw.pad for size in draw.x.shape[2:]]
        if crop == "from the corner":
            return padded[:, :, : draw.x.shape[2], : draw.x.shape[3]]
        if crop == "none":
            return padded
        if crop == "to the negative":
            return padded[:, :, draw.pad : -draw.pad, draw.pad : -draw.pad]
        return padded[:, :, draw.pad : end[0], draw.pad : end[1]]

    slips = (
        slip(
            "overlap-overwritten",
            "dx in which each window overwrites the values of the window before it",
            overlap="overwritten",
        ),
        slip("overlap-overwritten", "dx in which each filter and window overwrites the others", overlap="last filter"),
        slip("kernel-flipped", "dx with the kernel rotated by 180 degrees", flipped=True),
        slip(
            "stride-ignored",
            "dx in which the window of dout (i, j) starts at input (i, j) regardless of the stride",
            starts="one",
        ),
        slip("padding-wrong", "dx cropped from the corner of the padded gradient", crop="from the corner"),
        slip("padding-wrong", "dx including its padding", crop="none"),
        slip("padding-wrong", "dx cropped with pad:-pad, which is empty if pad is 0", crop="to the negative"),
    )
    return Subject("dx", compute, slips, factors=NOT_AVERAGED)


def convolution_dweight() -> Subject:
    """dw = sum over samples and positions of dout times the window of x. The draw: x, dy, weight, stride, pad."""

    def compute(draw: Draw, sample: str = "all", flipped: bool = False, starts: str = "right") -> Array:
        windows = _windows(_padded(draw.x, draw.pad), draw.weight.shape[2], draw.weight.shape[3], draw.stride, starts)
        dy = draw.dy
        if sample == "last":
            windows, dy = windows[-1:], dy[-1:]
        dw = np.einsum("nfhw,nchwij->fcij", dy, windows)
        return dw[:, :, ::-1, ::-1] if flipped else dw

    slips = (
        slip("parameter-gradient-unsummed", "dw of the last sample only", sample="last"),
        slip("kernel-flipped", "dw rotated by 180 degrees", flipped=True),
        slip(
            "stride-ignored",
            "dw in which the window of dout (i, j) starts at input (i, j) regardless of the stride",
            starts="one",
        ),
    )
    return Subject("dw", compute, slips, factors=NOT_AVERAGED)


def convolution_dbias() -> Subject:
    """db = dout summed over samples and positions. The draw: dy."""

    def compute(draw: Draw, over: str = "right") -> Array:
        axes: Any = {
            "right": (0, 2, 3),
            "batch": 0,
            "places": (2, 3),
            "batch and height": (0, 2),
            "batch and width": (0, 3),
            "all but the width": (0, 1, 2),
            "all but the height": (0, 1, 3),
            "all but the batch": (1, 2, 3),
            "all": None,
        }[over]
        return draw.dy.sum(axis=axes)

    slips = (
        slip("reduced-over-wrong-axis", "dout summed over the batch only", over="batch"),
        slip(
            "reduced-over-wrong-axis",
            "dout summed over batch and height, but not over the width",
            over="batch and height",
        ),
        slip(
            "reduced-over-wrong-axis",
            "dout summed over batch and width, but not over the height",
            over="batch and width",
        ),
        slip("bias-gradient-unsummed", "dout summed over height and width, but not over the batch", over="places"),
        *(
            slip(
                "reduced-over-wrong-axis",
                f"dout summed over all axes except the {kept}: one value per filter is expected",
                over=f"all but the {kept}",
            )
            for kept in ("width", "height", "batch")
        ),
        slip("summed-over-everything", "one number, the sum over all entries", over="all"),
    )
    return Subject(
        "db", compute, slips, factors={**NOT_AVERAGED, "0": "bias-gradient-zero", "1/N": "bias-gradient-averaged"}
    )


# ---------------------------------------------------------------------------------------------------------------------
# Max-pooling: x (N, C, H, W), window height and width, stride


def pooling_forward() -> Subject:
    """The largest of each window. The draw: x, window (height, width), stride."""

    def compute(draw: Draw, of: str = "largest", starts: str = "right") -> Array:
        windows = _windows(draw.x, draw.window[0], draw.window[1], draw.stride, starts)
        return {"largest": windows.max, "mean": windows.mean, "smallest": windows.min}[of](axis=(-2, -1))

    slips = (
        slip("wrong-function", "the mean of each window", of="mean"),
        slip("wrong-function", "the smallest of each window", of="smallest"),
        slip(
            "stride-ignored",
            "the output whose window (i, j) starts at input (i, j) regardless of the stride",
            starts="one apart",
        ),
    )
    return Subject("the output", compute, slips, factors=NOT_AVERAGED)


def pooling_dx() -> Subject:
    """dout at the largest entry of each window, summed where windows overlap. The draw: x, dy, window, stride."""

    def compute(draw: Draw, to: str = "the largest", overlap: str = "added", starts: str = "right") -> Array:
        dx = np.zeros_like(draw.x, dtype=float)
        (height, width), s = draw.window, draw.stride if starts == "right" else 1
        for i in range(draw.dy.shape[2]):
            for j in range(draw.dy.shape[3]):
                window = (slice(None), slice(None), slice(i * s, i * s + height), slice(j * s, j * s + width))
                block = draw.x[window]
                mask = block == block.max(axis=(2, 3), keepdims=True)
                share = {
                    "the largest": mask,
                    "all": np.ones(block.shape),
                    "mean": np.ones(block.shape) / height / width,
                }
                part = share[to] * draw.dy[:, :, i, j][:, :, None, None]
                if overlap == "added":
                    dx[window] += part
                elif overlap == "entry":
                    dx[window] = np.where(mask, part, dx[window])
                else:
                    dx[window] = part
        return dx

    slips = (
        slip("pooling-spread", "dout at every entry of its window", to="all"),
        slip("pooling-spread", "dout distributed evenly over its window, as for a mean", to="mean"),
        slip(
            "stride-ignored",
            "dx in which the window of dout (i, j) starts at input (i, j) regardless of the stride",
            starts="one",
        ),
        slip(
            "overlap-overwritten",
            "dx in which each window overwrites the values of the window before it",
            overlap="overwritten",
        ),
        slip("overlap-overwritten", "dx in which an entry has the dout of its last window only", overlap="entry"),
    )
    return Subject("dx", compute, slips, factors=NOT_AVERAGED)


# ---------------------------------------------------------------------------------------------------------------------
# Group normalisation: x (N, C, H, W), gamma and beta (1, C, 1, 1), G groups of channels


def _grouped(draw: Draw, groups: str, eps: float, ddof: int = 0) -> tuple[Array, Array, Any, tuple[int, ...]]:
    N, C, H, W = draw.x.shape
    count = {"one": 1, "each channel": C}.get(groups, draw.groups)
    shape, axes = (N, count, C // count, H, W), (2, 3, 4)
    if groups == "interleaved":
        shape, axes = (N, C // count, count, H, W), (1, 3, 4)
    x = draw.x.reshape(shape)
    inverse = 1 / np.sqrt(x.var(axis=axes, keepdims=True, ddof=ddof) + eps)
    return (x - x.mean(axis=axes, keepdims=True)) * inverse, inverse, axes, shape


def group_forward() -> Subject:
    """gamma * xhat + beta, with x normalised over each group of channels of each sample. The draw: x, gamma, beta,
    groups."""

    def compute(draw: Draw, groups: str = "right", eps: float = 1e-5, gamma: str = "used", ddof: int = 0) -> Any:
        xhat, *_ = _grouped(draw, groups, eps, ddof)
        xhat = xhat.reshape(draw.x.shape)
        return {
            "gamma * xhat": (draw.gamma if gamma == "used" else 1) * xhat,
            "beta": np.broadcast_to(draw.beta, xhat.shape),
        }

    slips = (
        slip("groups-ignored", "the output normalised over all channels as one group", groups="one"),
        slip("groups-ignored", "the output normalised over each channel separately", groups="each channel"),
        slip("groups-interleaved", "x.reshape(N, C // G, G, H, W), normalised over axes 1, 3, 4", groups="interleaved"),
        slip("gamma-unused", "xhat + beta", gamma="missing"),
        slip("bessel", "the output normalised with the variance divided by n - 1", ddof=1),
        slip("eps-ignored", "the output normalised without eps", eps=0.0),
        slip("eps-value", "the output normalised with eps = 1e-08", eps=1e-8),
    )
    return Subject("the output", compute, slips, terms={"beta": {"0": "beta-unused", "-1": "beta-sign"}})


def group_dx() -> Subject:
    """The derivative of normalisation over each group. The draw: x, gamma, dy, groups."""

    def compute(draw: Draw, groups: str = "right", eps: float = 1e-5, gamma: str = "used", ddof: int = 0) -> Any:
        xhat, inverse, axes, shape = _grouped(draw, groups, eps)
        d = (draw.dy * (draw.gamma if gamma == "used" else 1)).reshape(shape)
        terms = {
            "dxhat": d,
            "mean(dxhat)": -d.mean(axis=axes, keepdims=True) + 0 * d,
            "xhat * mean(dxhat * xhat)": -xhat * (d * xhat).mean(axis=axes, keepdims=True),
        }
        return {name: (term * inverse).reshape(draw.x.shape) for name, term in terms.items()}

    slips = (
        slip("gamma-forgotten", "dx without gamma", gamma="missing"),
        slip("groups-ignored", "dx with all channels as one group", groups="one"),
        slip("groups-ignored", "dx with each channel as a separate group", groups="each channel"),
        slip("groups-interleaved", "dx with the channels reshaped to (C // G, G)", groups="interleaved"),
        slip("eps-value", "dx with eps = 1e-08", eps=1e-8),
    )
    return Subject("dx", compute, slips, factors=NOT_AVERAGED, terms=layers.norm_dx(1).terms)


def group_parameter_gradient(which: str) -> Subject:
    """dgamma = sum of dy xhat, dbeta = sum of dy, over samples and positions: (1, C, 1, 1)."""

    def compute(draw: Draw, groups: str = "right", over: str = "right", by: str = "right") -> Array:
        xhat = _grouped(draw, groups, 1e-5)[0].reshape(draw.x.shape)
        product = draw.dy * xhat if (which == "gamma") != (by == "other") else draw.dy
        axes: Any = {"right": (0, 2, 3), "batch": (0,), "places": (2, 3)}[over]
        return product.sum(axis=axes, keepdims=True)

    slips = (
        slip(
            "dgamma-dbeta-exchanged",
            f"the right value of {'dbeta' if which == 'gamma' else 'dgamma'}",
            by="other",
        ),
        slip("parameter-gradient-unsummed", "the sum over height and width, but not over the batch", over="places"),
        slip("reduced-over-wrong-axis", "the sum over the batch only", over="batch"),
    )
    factors = {"1/N": "norm-parameter-averaged", "0": "parameter-gradient-zero"}
    return Subject(f"d{which}", compute, slips, factors=factors)


# ---------------------------------------------------------------------------------------------------------------------
# A recurrent layer: h_t = tanh(x_t Wx + h_(t-1) Wh + b), x (N, T, D), h (N, T, H); a single step has T = 1

# The derivative of the tanh as a function of next_h, z = x Wx + h Wh + b and prev_h
_SLOPES: dict[str, tuple[str, Callable[[Array, Array, Array], Array]]] = {
    "right": ("", lambda h, z, before: 1 - h * h),
    "1": ("derivative-missing", lambda h, z, before: np.ones_like(h)),
    "(1 - z**2), z the input of the tanh": ("derivative-at-input", lambda h, z, before: 1 - z * z),
    "(1 - prev_h**2) instead of (1 - next_h**2)": ("wrong-derivative", lambda h, z, before: 1 - before * before),
    "(1 - tanh(next_h)**2)": ("derivative-at-output", lambda h, z, before: 1 - np.tanh(h) ** 2),
    "(1 - next_h)": ("square-missing", lambda h, z, before: 1 - h),
    "(1 + next_h**2)": ("sign-inside", lambda h, z, before: 1 + h * h),
    "next_h * (1 - next_h)": ("wrong-derivative", lambda h, z, before: h * (1 - h)),
    "next_h**2": ("wrong-derivative", lambda h, z, before: h * h),
    "next_h": ("function-for-derivative", lambda h, z, before: h),
}


def _over_time(draw: Draw, bias: str = "used", state: str = "used", function: str = "tanh") -> list[tuple[Array, ...]]:
    """For each time step: h before it, z, and h after it."""
    h, found = draw.h0, []
    for t in range(draw.inputs.shape[1]):
        z = draw.inputs[:, t] @ draw.Wx + (h if state == "used" else 0 * h) @ draw.Wh
        z = z + draw.bias if bias == "used" else z
        after = {"tanh": np.tanh(z), "none": z, "sigmoid": (1 + np.tanh(z / 2)) / 2, "relu": np.maximum(z, 0)}[function]
        found.append((h, z, after))
        h = after
    return found


def recurrent_forward() -> Subject:
    """All h_t. The draw: inputs (N, T, D), h0, Wx, Wh, bias."""

    def compute(draw: Draw, **options: Any) -> Array:
        h = np.stack([after for _, _, after in _over_time(draw, **options)], axis=1)
        return h if draw.sequence else h[:, 0]

    slips = (
        slip("bias-unused", "tanh(x Wx + h Wh), without the bias", bias="unused"),
        slip("activation-missing", "x Wx + h Wh + b: the tanh is missing", function="none"),
        slip("wrong-function", "sigmoid(x Wx + h Wh + b)", function="sigmoid"),
        slip("wrong-function", "max(x Wx + h Wh + b, 0)", function="relu"),
        slip("wrong-function", "tanh(x Wx + b): the previous state is not used", state="unused"),
    )
    return Subject("the output", compute, slips, factors=NOT_AVERAGED)


def recurrent_gradient(which: str, name: str) -> Subject:
    """The gradient with respect to x, h0, Wx, Wh or b, by backpropagation through time. The draw: as for forward, and
    dy."""

    def compute(draw: Draw, slope: str = "right", carry: str = "used", steps: str = "all", by: str = "right") -> Array:
        dy = draw.dy if draw.sequence else draw.dy[:, None]
        rows = _over_time(draw)
        last, dprev, found = len(rows) - 1, 0 * draw.h0, []
        for t in range(last, -1, -1):
            before, z, after = rows[t]
            da = (dy[:, t] + (dprev if carry == "used" else 0)) * _SLOPES[slope][1](after, z, before)
            dprev = da @ draw.Wh.T
            of = {"right": before, "next": after}[by]
            here = {"x": lambda da=da: da @ draw.Wx.T, "h": lambda dprev=dprev: dprev}
            here["Wx"] = lambda da=da, t=t: draw.inputs[:, t].T @ da
            here["Wh"] = lambda da=da, of=of: of.T @ da
            here["b"] = lambda da=da: da.sum(axis=0)
            found.append(here[which]())
        if which == "h":
            return found[-1]
        if which == "x":
            return np.stack(found[::-1], axis=1) if draw.sequence else found[0]
        return {"all": lambda: sum(found), "first": lambda: found[-1], "last": lambda: found[0]}[steps]()

    slips = [slip(id, f"{name} with dtanh = {form}", slope=form) for form, (id, _) in _SLOPES.items() if id]
    slips.append(slip("through-time-missing", f"{name} without the gradient of the following time steps", carry="none"))
    if which in ("Wx", "Wh", "b"):
        slips += [
            slip("time-steps-not-summed", f"{name} of the {step} time step only", steps=step)
            for step in ("first", "last")
        ]
    if which == "Wh":
        slips.append(slip("wrong-derivative", f"{name} = next_h.T @ da instead of prev_h.T @ da", by="next"))
    factors = {**NOT_AVERAGED, "1/N": "bias-gradient-averaged"} if which == "b" else NOT_AVERAGED
    return Subject(name, compute, tuple(slips), factors=factors)


# ---------------------------------------------------------------------------------------------------------------------
# Update rules: w after several steps. The draw: w, gradients (steps, ...), settings of the rule


def update(rule: str) -> Subject:
    """The value of w after one step for each gradient of the draw."""

    def compute(draw: Draw, **options: Any) -> Array:
        w, kept = np.array(draw.w, dtype=float), {}
        for t, gradient in enumerate(draw.gradients, 1):
            settings = {**draw.settings, **options}
            if settings.pop("rate_twice", False):
                settings["learning_rate"] = draw.settings["learning_rate"] ** 2
            w = RULES[rule](w, gradient, kept, t, **settings)
        return w

    lr = slip("learning-rate-missing", "w after steps without the learning rate", learning_rate=1.0)
    twice = slip("learning-rate-twice", "w after steps with the learning rate squared", rate_twice=True)
    uphill = slip("update-sign", "w after steps uphill: the gradient is added instead of subtracted", sign=1.0)
    state_lost = slip(
        "state-not-kept",
        "w if every step is computed like the first one: the state in config is not updated",
        keep=False,
    )
    own = {
        "sgd": (),
        "momentum": (
            slip("momentum-sign", "v = -momentum * v - learning_rate * dw", decay_sign=-1.0),
            slip("momentum-average", "v = momentum * v - (1 - momentum) * learning_rate * dw", average=True),
            slip("momentum-ignored", "w - learning_rate * dw", momentum=0.0),
            slip("momentum-factor-missing", "v - learning_rate * dw: v is not multiplied by momentum", momentum=1.0),
            slip("momentum-nesterov", "Nesterov momentum", nesterov=True),
            slip("velocity-late", "w + v with the velocity of the previous step", late=True),
            state_lost,
        ),
        "rmsprop": (
            slip("decay-swapped", "cache = (1 - decay_rate) * cache + decay_rate * dw**2", swapped=True),
            slip("root-missing", "the step divided by the cache instead of its square root", root=False),
            slip("eps-misplaced", "the step divided by sqrt(cache + epsilon)", eps_at="inside"),
            slip("square-missing", "a cache of dw instead of dw**2", square=False),
            slip("accumulated-without-decay", "cache = cache + dw**2, as in AdaGrad", adagrad=True),
            state_lost,
        ),
        "adam": (
            slip("bias-correction-missing", "m and v without their bias correction", corrected="none"),
            slip("bias-correction-missing", "v without its bias correction", corrected="m"),
            slip("bias-correction-missing", "m without its bias correction", corrected="v"),
            slip("bias-correction-step", "the bias correction with t + 1 instead of t", t_shift=1),
            slip("bias-correction-step", "the bias correction with t = 1 in every step: t is not increased", t_fixed=1),
            slip("bias-correction-step", "the bias correction with t = 2 in every step: t is not increased", t_fixed=2),
            slip("bias-correction-decay", "v / (1 - beta1**t) instead of v / (1 - beta2**t)", correction="beta1"),
            slip("bias-correction-decay", "m / (1 - beta2**t) instead of m / (1 - beta1**t)", correction="beta2"),
            slip(
                "bias-correction-decay",
                "m / (1 - beta2**t) and v / (1 - beta1**t): beta1 and beta2 are swapped",
                correction="exchanged",
            ),
            slip(
                "bias-correction-decay",
                "the bias correction with 1 - beta * t instead of 1 - beta**t",
                correction="product",
            ),
            slip(
                "bias-correction-stored",
                "the step with the corrected m and v stored for the next step",
                stored="both",
            ),
            slip("bias-correction-stored", "the step with the corrected m stored for the next step", stored="m"),
            slip("bias-correction-stored", "the step with the corrected v stored for the next step", stored="v"),
            slip("eps-misplaced", "the step divided by sqrt(v + epsilon)", eps_at="inside"),
            slip("root-missing", "the step divided by v instead of its square root", root=False),
            slip("square-missing", "v computed from dw instead of dw**2", square=False),
            slip("decay-swapped", "the step with beta1 and beta2 swapped", exchanged=True),
            slip("decay-swapped", "m = (1 - beta1) * m + beta1 * dw, and the same for v", swapped=True),
            state_lost,
        ),
    }[rule]
    return Subject("next_w", compute, (uphill, lr, twice, *own))


def _kept(kept: dict[str, Any], name: str, w: Array, keep: bool) -> Array:
    return kept.get(name, np.zeros_like(w)) if keep else np.zeros_like(w)


def _sgd(w, g, kept, t, *, learning_rate, sign=-1.0):
    return w + sign * learning_rate * g


def _momentum(
    w, g, kept, t, *, learning_rate, momentum, sign=-1.0, decay_sign=1.0, average=False, nesterov=False, keep=True,
    late=False,
):  # fmt: skip
    share = 1 - momentum if average else 1.0
    before = _kept(kept, "v", w, keep)
    v = kept["v"] = decay_sign * momentum * _kept(kept, "v", w, keep) + sign * share * learning_rate * g
    if late:
        return w + before
    return w + (momentum * v + sign * learning_rate * g if nesterov else v)


def _rmsprop(
    w, g, kept, t, *, learning_rate, decay_rate, epsilon, sign=-1.0, swapped=False, root=True, eps_at="outside",
    square=True, adagrad=False, keep=True,
):  # fmt: skip
    old, new = (1 - decay_rate, decay_rate) if swapped else (decay_rate, 1 - decay_rate)
    old, new = (1.0, 1.0) if adagrad else (old, new)
    cache = kept["c"] = old * _kept(kept, "c", w, keep) + new * (g * g if square else g)
    return w + sign * learning_rate * g / _root(cache, epsilon, root, eps_at)


def _adam(
    w, g, kept, t, *, learning_rate, beta1, beta2, epsilon, sign=-1.0, corrected="both", t_shift=0, t_fixed=0,
    eps_at="outside", root=True, square=True, exchanged=False, swapped=False, keep=True, correction="own", stored="",
):  # fmt: skip
    beta1, beta2 = (beta2, beta1) if exchanged else (beta1, beta2)
    t = t_fixed or (t if keep else 1) + t_shift
    first, second = (1 - beta1, 1 - beta2) if swapped else (beta1, beta2)
    m = kept["m"] = first * _kept(kept, "m", w, keep) + (1 - first) * g
    v = kept["v"] = second * _kept(kept, "v", w, keep) + (1 - second) * (g * g if square else g)
    of_m, of_v = {
        "own": (beta1**t, beta2**t),
        "beta1": (beta1**t, beta1**t),
        "beta2": (beta2**t, beta2**t),
        "exchanged": (beta2**t, beta1**t),
        "product": (beta1 * t, beta2 * t),
    }[correction]
    m = m / (1 - of_m) if corrected in ("both", "m") else m
    v = v / (1 - of_v) if corrected in ("both", "v") else v
    kept |= {name: value for name, value in (("m", m), ("v", v)) if stored in ("both", name)}
    return w + sign * learning_rate * m / _root(v, epsilon, root, eps_at)


def _root(value: Array, epsilon: float, root: bool, eps_at: str) -> Array:
    with np.errstate(all="ignore"):
        if eps_at == "inside":
            return np.sqrt(value + epsilon)
        return (np.sqrt(value) if root else value) + epsilon


RULES: dict[str, Callable[..., Array]] = {"sgd": _sgd, "momentum": _momentum, "rmsprop": _rmsprop, "adam": _adam}

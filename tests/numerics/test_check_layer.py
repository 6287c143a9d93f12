"""check_layer: right layers keep to everything; each broken one breaks the one property that it is made to break."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

from handgrad import nn
from handgrad.numerics import check_layer

PROPERTIES = [
    "gradients",
    "dtype",
    "arguments",
    "batch of one",
    "empty batch",
    "memory layout",
    "two forwards",
    "two backwards",
    "train and eval",
    "state",
]
X = np.random.default_rng(0).standard_normal((5, 4))
IMAGES = np.random.default_rng(1).standard_normal((4, 2, 6, 6))
LABELS = np.array([0, 2, 1, 3, 1])


class Centred:
    """y = γ (x - m) with a running mean m, in eval mode only, and the batch's mean in training."""

    def __init__(self):
        self.training = True
        self.params = {"gamma": np.array([0.5, -1.5, 2.0, 1.0])}
        self.grads = {}
        self.running_mean = np.zeros(4)

    def train(self):
        self.training = True

    def eval(self):
        self.training = False

    def forward(self, x):
        if self.training:
            self.mean = x.sum(axis=0) / max(len(x), 1)
            self.running_mean = (0.9 * self.running_mean + 0.1 * np.real(self.mean)).astype(np.real(x).dtype)
        else:
            self.mean = self.running_mean
        self.centred = x - self.mean
        return self.params["gamma"] * self.centred

    def backward(self, dy):
        self.grads["gamma"] = (dy * self.centred).sum(axis=0)
        dx = dy * self.params["gamma"]
        return dx - dx.sum(axis=0) / max(len(dx), 1) if self.training else dx

    def state_dict(self):
        return {"gamma": self.params["gamma"].copy(), "running_mean": self.running_mean.copy()}

    def load_state_dict(self, state):
        self.params["gamma"] = state["gamma"].copy()
        self.running_mean = state["running_mean"].copy()


class Plain:
    """y = w x², with plain attributes and nothing else."""

    def __init__(self):
        self.w, self.dw = np.array([0.5, -1.5, 2.0, 1.0]), None

    def forward(self, x):
        self.x = x
        return self.w * x**2

    def backward(self, dy):
        self.dw = (dy * self.x**2).sum(axis=0)
        return 2 * dy * self.w * self.x


def test_right_layers():
    report = check_layer(Centred(), X)
    assert report, str(report)
    assert report.ok
    assert [(p.name, p.status) for p in report] == [(name, "kept") for name in PROPERTIES]

    plain = check_layer(Plain(), X)
    assert plain, str(plain)
    assert plain["gradients"].sentence == "right: x, w"
    assert [p.name for p in plain if p.status == "not checked"] == ["train and eval", "state"]
    assert plain["train and eval"].sentence == "not checked: the layer has no train()"
    assert plain["state"].sentence == "not checked: the layer has no state_dict()"


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Linear(4, 3, rng=0),
        *(
            getattr(nn, n)
            for n in ("Identity", "ReLU", "LeakyReLU", "ELU", "Sigmoid", "Tanh", "SiLU", "GELU", "Softplus")
        ),
        nn.Softmax,
        nn.LogSoftmax,
        lambda: nn.Dropout(rng=0),
        lambda: nn.BatchNorm1d(4),
        lambda: nn.LayerNorm(4),
        lambda: nn.GroupNorm(1, 4),
        lambda: nn.RMSNorm(4),
        lambda: nn.Residual(nn.Linear(4, 4, rng=0), nn.Tanh()),
        lambda: nn.Sequential(nn.Linear(4, 3, rng=0), nn.BatchNorm1d(3), nn.ReLU(), nn.Dropout(rng=1)),
        nn.Flatten,
        lambda: nn.Conv2d(2, 3, 3, rng=0),
        lambda: nn.MaxPool2d(2),
        lambda: nn.AvgPool2d(2),
        nn.GlobalAvgPool2d,
        lambda: nn.BatchNorm2d(2),
    ],
)
def test_every_layer_of_nn(make):
    layer = make()
    images = type(layer).__name__ in ("Flatten", "Conv2d", "MaxPool2d", "AvgPool2d", "GlobalAvgPool2d", "BatchNorm2d")
    report = check_layer(layer, IMAGES if images else X)
    assert report, str(report)
    assert {p.status for p in report} == {"kept"}


def test_every_layer_of_nn_is_in_this_test():
    listed = {layer().__class__ for layer in test_every_layer_of_nn.pytestmark[0].args[1]}
    classes = {getattr(nn, name) for name in nn.__all__}
    assert listed == {c for c in classes if isinstance(c, type) and issubclass(c, nn.Layer) and c is not nn.Layer}


@pytest.mark.parametrize("make", [nn.SoftmaxCrossEntropy, nn.CrossEntropy, nn.NegativeLogLikelihood])
def test_losses(make):
    x = X if make is not nn.CrossEntropy else np.exp(X) / np.exp(X).sum(axis=1, keepdims=True)
    report = check_layer(make(), (x, LABELS))
    assert report, str(report)


def test_a_refusal_with_a_message_is_no_fault_and_an_accident_is():
    report = check_layer(nn.BatchNorm1d(4), X)
    assert report["batch of one"].sentence.startswith(
        "refused with a message: BatchNorm1d(4) got a training batch of N=1"
    )

    class Accident(Centred):
        def forward(self, x):
            x.max(axis=0)  # numpy: zero-size array to reduction operation
            return super().forward(x)

    broken = check_layer(Accident(), X)["empty batch"]
    assert broken.status == "broken"
    assert "forward raises ValueError: zero-size array" in broken.sentence


# --- one broken layer for each property


class Gradients(Centred):
    def backward(self, dy):
        dx = super().backward(dy)
        self.grads["gamma"] = self.grads["gamma"] * 1.01
        return dx


class Dtype(Centred):
    def forward(self, x):
        y = super().forward(x)
        return y.astype(np.float64) if y.dtype == np.float32 else y


class Argument(Centred):
    def forward(self, x):
        y = super().forward(x)
        x *= 1.0 + 1e-3
        return y


class Upstream(Centred):
    def backward(self, dy):
        dx = super().backward(dy)
        dy[...] = 0
        return dx


class One(Centred):
    def forward(self, x):
        y = super().forward(x)
        return y[0] if len(x) == 1 and self.training else y


class Empty(Centred):
    def backward(self, dy):
        dx = super().backward(dy)
        if len(dy) == 0:
            self.grads["gamma"] = self.grads["gamma"] / len(dy)
        return dx


class Layout(Centred):
    def forward(self, x):
        return super().forward(x if x.flags.c_contiguous else np.sort(x, axis=0))


class TwoForwards(Centred):
    """Keeps the first number of samples for good."""

    n = None

    def backward(self, dy):
        self.n = self.n or len(self.centred)
        dx = dy * self.params["gamma"]
        self.grads["gamma"] = (dy * self.centred).sum(axis=0)
        return dx - dx.sum(axis=0) / max(self.n, 1) if self.training else dx

    def forward(self, x):
        self.n = self.n or len(x)
        return super().forward(x)


class Overwriting(Centred):
    """Returns an array that the next forward uses again."""

    def forward(self, x):
        y = super().forward(x)
        if not hasattr(self, "work") or self.work.shape[1:] != y.shape[1:] or self.work.dtype != y.dtype:
            self.work = np.empty((8, *y.shape[1:]), y.dtype)
        self.work[: len(y)] = y
        return self.work[: len(y)]


class Adding(Centred):
    def backward(self, dy):
        before = self.grads.get("gamma", 0.0)
        dx = super().backward(dy)
        self.grads["gamma"] = before + self.grads["gamma"]
        return dx


class UsingUp(Centred):
    def backward(self, dy):
        dx = super().backward(dy)
        self.centred = self.centred * 0
        return dx


class Training(Centred):
    def eval(self):
        pass


class NoWayBack(Centred):
    def train(self):
        pass


class EvalUpdates(Centred):
    def forward(self, x):
        y = super().forward(x)
        if not self.training:
            self.running_mean = self.running_mean + 0.5
        return y


class EvalBatch(Centred):
    def forward(self, x):
        if self.training:
            return super().forward(x)
        self.centred = x - x.mean(axis=0)
        return self.params["gamma"] * self.centred


class EvalGradient(Centred):
    def backward(self, dy):
        return super().backward(dy) * (1 if self.training else 2)


class OneGradient(Centred):
    def backward(self, dy):
        return super().backward(dy) + (self.training and len(dy) == 1)


class OneInfinite(Centred):
    def forward(self, x):
        return super().forward(x) + (np.inf if self.training and len(x) == 1 else 0)


class Forgetful(Centred):
    def load_state_dict(self, state):
        self.params["gamma"] = state["gamma"].copy()


class Handing(Centred):
    def state_dict(self):
        return {"gamma": self.params["gamma"], "running_mean": self.running_mean}


class Lacking(Centred):
    def state_dict(self):
        return {"gamma": self.params["gamma"].copy()}

    def load_state_dict(self, state):
        self.params["gamma"] = state["gamma"].copy()


class Raising(Centred):
    def load_state_dict(self, state):
        raise NotImplementedError("later")


@pytest.mark.parametrize(
    ("layer", "name", "said"),
    [
        (Gradients, "gradients", "wrong: gamma: backward gives"),
        (Dtype, "dtype", "the output is float64 where input and parameters are float32: compute in the input's dtype"),
        (Argument, "arguments", "it changes its input in forward: work on a copy"),
        (Upstream, "arguments", "it changes the upstream gradient dy in backward: work on a copy"),
        (One, "batch of one", "the output has shape (4,) for 1 samples, expected (1, 4)"),
        (OneGradient, "batch of one", "x: backward gives"),
        (OneInfinite, "batch of one", "the output is not finite"),
        (Empty, "empty batch", "the gradient of gamma contains nan for an empty batch, expected 0"),
        (Layout, "memory layout", "the output differs for Fortran-ordered arrays"),
        (TwoForwards, "two forwards", "backward after a second forward with fewer samples does not use that forward"),
        (Overwriting, "two forwards", "the second forward overwrites the output of the first: return a new array"),
        (Adding, "two backwards", "backward adds to the gradient of gamma: a second backward doubles it"),
        (UsingUp, "two backwards", "the gradient of gamma is different after a second backward"),
        (Training, "train and eval", "forward changes running_mean in eval mode"),
        (NoWayBack, "train and eval", "train() after eval() does not restore training mode"),
        (EvalUpdates, "train and eval", "in eval mode, the same input gives a different output the second time"),
        (EvalBatch, "train and eval", "in eval mode, a single sample gives a different output than in a batch"),
        (EvalGradient, "train and eval", "the gradient is wrong in eval mode: x: backward gives"),
        (Forgetful, "state", "state_dict returns a different running_mean from the one that was loaded"),
        (Handing, "state", "state_dict returns the layer's own arrays"),
        (Lacking, "state", "after loading the state, the output is different (eval mode): the state is incomplete"),
        (Raising, "state", "the layer raises NotImplementedError: later"),
    ],
)
def test_each_property_is_missed_alone(layer, name, said):
    report = check_layer(layer(), X)
    assert [p.name for p in report if p.status == "broken"] == [name], str(report)
    assert said in report[name].sentence
    assert not report.ok


def test_gradients_that_cannot_be_judged_are_not_checked():
    class Noisy(Plain):
        def forward(self, x):
            return super().forward(x) + np.random.default_rng().random(x.shape)

    gradients = check_layer(Noisy(), X)["gradients"]
    assert gradients.status == "not checked"
    assert "cannot be judged here: x: randomness: the same forward gives a different output each" in gradients.sentence


def test_gradients_that_are_added_up_are_right_with_a_zero_grad():
    class Zeroed(Adding):
        def zero_grad(self):
            self.grads.clear()

    report = check_layer(Zeroed(), X)
    assert report
    assert report["two backwards"].sentence == "gradients are added up, and there is a zero_grad()"


def test_the_report_as_text_and_data():
    report = check_layer(Dtype(), X)
    lines = str(report).splitlines()
    assert lines[0] == "Dtype: broken: dtype"
    assert lines[2] == "  ✓ gradients       right: x, gamma"
    assert lines[3].startswith("  ✗ dtype           the output is float64")
    assert str(check_layer(Plain(), X)).splitlines()[-1].startswith("  – state           not checked")
    data = json.loads(json.dumps(report.to_dict()))
    assert data["ok"] is False
    assert data["properties"][1]["status"] == "broken"
    with pytest.raises(KeyError, match="no property 'speed': this report has 'gradients', 'dtype'"):
        report["speed"]


def test_layer_and_inputs_stay_as_they_are():
    layer, x = Argument(), X.copy()
    before = copy.deepcopy(vars(layer))
    check_layer(layer, x)
    np.testing.assert_array_equal(x, X)
    assert vars(layer).keys() == before.keys()
    np.testing.assert_array_equal(layer.running_mean, before["running_mean"])
    np.testing.assert_array_equal(layer.params["gamma"], before["params"]["gamma"])


def test_what_cannot_be_checked():
    with pytest.raises(TypeError, match="sin is a function: check_layer takes an object with forward and backward"):
        check_layer(np.sin, X)
    with pytest.raises(ValueError, match=r"inputs have shape \(1, 4\), expected a batch of two or more samples"):
        check_layer(Plain(), X[:1])
    with pytest.raises(TypeError, match="Plain is a class: pass an instance"):
        check_layer(Plain, X)


def test_a_gradient_that_is_rounding_only_is_no_difference_of_layouts():
    """A bias before a mean is taken away: its gradient cancels, and what is left hangs on the order of the sums."""

    class MeanTakenAway:
        def __init__(self):
            self.bias = np.random.default_rng(1).standard_normal(5)

        def forward(self, x):
            return (x + self.bias) - (x + self.bias).mean(axis=0)

        def backward(self, dy):
            dx = dy - dy.mean(axis=0)
            # As different sums would: in the order in which the numbers lie in memory.
            self.dbias = np.array([float(sum(column)) for column in dx[:: np.sign(dy.strides[0])].T])
            return dx

    report = check_layer(MeanTakenAway(), np.random.default_rng(0).standard_normal((37, 5)))
    assert report["memory layout"].status == "kept", str(report)

"""The bugs that the checker names, from `bugs.toml`: an id, a title for students, and two hints.

The nudge says where to look and which question to ask; the full hint says what to change.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True)
class Bug:
    """One entry.

    Arguments:
        id: identifies the bug; stable across versions.
        title: the first line that a student reads.
        fingerprint: how it is recognised.
        nudge, full: the two hints.
        step: the derivation and its step (`handgrad derive NAME`) that is wrong, if there is one.
        general: the full hint for a function that the checker does not know, if `full` lists known ones.
    """

    id: str
    title: str
    fingerprint: str
    nudge: str
    full: str
    step: Sequence[str] = ()
    general: str = ""


def _read() -> dict[str, tuple[Bug, ...]]:
    text = (resources.files("handgrad.checking") / "bugs.toml").read_text(encoding="utf-8")
    return {
        section: tuple(Bug(id, **entry) for id, entry in entries.items())
        for section, entries in tomllib.loads(text).items()
    }


#: Sections of the documented list, in its order.
SECTIONS = _read()
BUGS: dict[str, Bug] = {bug.id: bug for bugs in SECTIONS.values() for bug in bugs}


#: The derivation and step of each bug, by id, for any part.
STEPS = {id: (bug.step[0], bug.step[1]) for id, bug in BUGS.items() if bug.step}

_SLOPE = ("wrong-derivative", "function-for-derivative", "derivative-at-input", "derivative-at-output", "slope-sign")
_CHAIN = ("derivative-missing", "derivative-twice", "upstream-missing", "mask-from-gradient")
_EPS = ("eps-ignored", "eps-misplaced", "eps-subtracted", "eps-value", "root-missing")
_OUTPUT = ("gamma-unused", "gamma-added", "beta-unused", "beta-sign", "beta-inside", "gamma-beta-exchanged")
_GAMMA = (
    "dgamma-from-input", "dgamma-from-output", "gamma-in-parameter-gradient", "dgamma-dbeta-exchanged",
    "parameter-gradient-unsummed", "norm-parameter-averaged",
)  # fmt: skip
_BY_VARIANCE = (
    "variance-power", "norm-variance-factor", "norm-variance-constant", "norm-variance-sign", "xhat-forgotten",
    "norm-variance-not-averaged",
)  # fmt: skip
_BY_MEAN = ("norm-mean-constant", "norm-mean-sign", "norm-mean-not-averaged")


def _each(*steps: tuple[tuple[str, ...], str]) -> dict[str, str]:
    return {id: step for ids, step in steps for id in ids}


_OF_ACTIVATIONS = _each((_SLOPE, "the slope"), (_CHAIN, "the chain rule"), (("wrong-function",), "definition"))

#: Words in the name of a part -> its derivation and the step of each bug; the first match counts. Other bugs have
#: their step in `STEPS`.
STEPS_OF_PARTS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("gelu", "gelu", _OF_ACTIVATIONS),
    ("leaky", "leaky-relu", _OF_ACTIVATIONS),
    ("relu", "relu", _OF_ACTIVATIONS),
    ("elu", "elu", _OF_ACTIVATIONS),
    (
        "tanh",
        "tanh",
        _each((_SLOPE, "from the output"), (_CHAIN, "the chain rule"), (("wrong-function",), "definition")),
    ),
    (
        "mse",
        "mse",
        _each((("square-missing", "averaged-over-classes"), "definition"), (("constant-factor",), "term by term")),
    ),
    (
        "softmax_loss|softmaxcross|crossentropyloss",
        "softmax-cross-entropy",
        _each(
            (("sign-flipped", "labels-as-numbers"), "targets that sum to 1"),
            (("softmax-missing", "softmax-jacobian-missing"), "the product of the two derivatives"),
        ),
    ),
    ("softmax", "softmax", _each((("upstream-missing",), "the chain rule with the full Jacobian"))),
    (
        "layer_?norm",
        "layernorm",
        _each(
            (("mean-not-subtracted", "mean-added"), "mean of a sample"),
            (("variance-uncentred", "bessel", "variance-squared"), "variance of a sample"),
            (_EPS, "normalised input"),
            (_OUTPUT, "output"),
            (_GAMMA, "gradient of gamma"),
            (("gamma-forgotten", "gamma-twice"), "term 1: output by normalised input"),
            (("norm-direct-missing", "norm-direct-sign"), "term 2: normalised input by input"),
            (_BY_VARIANCE, "term 3: output by variance"),
            (_BY_MEAN, "term 4: output by mean, both ways"),
            (("wrong-factor",), "term 5: mean by input"),
        ),
    ),
    (
        "group_?norm",
        "groupnorm",
        _each(
            (("groups-ignored", "groups-interleaved"), "groups of channels"),
            (("bessel", "variance-uncentred"), "variance of a group"),
            (_EPS, "normalised input"),
            (_OUTPUT, "output"),
            (_GAMMA, "gradient of gamma"),
            (("gamma-forgotten", "gamma-twice"), "gradient of the normalised input"),
            (("norm-direct-missing", "norm-direct-sign"), "gradient of the input: three paths"),
            (_BY_VARIANCE, "gradient of the variance"),
            (_BY_MEAN, "gradient of the mean"),
        ),
    ),
    (
        "batch_?norm",
        "batchnorm",
        _each((("norm-parameter-averaged", "parameter-gradient-unsummed"), "gradient of gamma")),
    ),
    ("layer_?norm.*forward", "layernorm", {"reduced-over-wrong-axis": "mean of a sample"}),
    ("batch_?norm.*forward", "batchnorm", {"reduced-over-wrong-axis": "mean"}),
    (
        "conv",
        "convolution",
        _each(
            (("kernel-flipped", "channels-not-summed", "stride-ignored", "bias-unused", "bias-sign"), "definition"),
            (("padding-wrong", "overlap-overwritten"), "gradient of the input, tap by tap"),
            (("parameter-gradient-unsummed",), "gradient of the weight, tap by tap"),
            (
                ("reduced-over-wrong-axis", "summed-over-everything", "bias-gradient-unsummed", "bias-gradient-zero"),
                "gradient of the bias",
            ),
        ),
    ),
    (
        "pool",
        "max-pooling",
        _each(
            (("stride-ignored", "wrong-function"), "definition"),
            (("pooling-spread",), "the local derivative"),
            (("overlap-overwritten",), "the gradient, window by window"),
        ),
    ),
    (
        "dropout",
        "dropout",
        _each(
            (("dropout-not-scaled", "dropout-in-evaluation"), "the expectation is the input"),
            (("dropout-rate", "dropout-not-applied"), "definition"),
        ),
    ),
    (
        "adam",
        "adam",
        _each(
            (("bias-correction-missing", "bias-correction-step", "bias-correction-decay"), "the expectation"),
            (("square-missing",), "the running square, corrected in the same way"),
            (("eps-misplaced", "root-missing"), "the step"),
            (("decay-swapped",), "the running mean"),
        ),
    ),
    (
        r"momentum|sgd\b.*step|\.step",
        "momentum",
        _each(
            (
                (
                    "momentum-average", "momentum-sign", "momentum-ignored", "momentum-factor-missing",
                    "learning-rate-missing", "learning-rate-twice", "update-sign",
                ),
                "the recursion",
            )
        ),
    ),
)  # fmt: skip
#: Parts without a derivation.
_RULES = re.compile(r"rmsprop|adam|sgd|\.step")


def place_of(id: str, part: str = "", known: bool = True) -> tuple[str, str] | None:
    """The derivation and the step that a bug of that part gets wrong. If the checker does not know the part's
    function (`known`), only the part's name can lead to a derivation."""
    name = part.lower()
    for words, derivation, steps in STEPS_OF_PARTS:
        if id in steps and re.search(words, name):
            return derivation, steps[id]
    return None if _RULES.search(name) or not known else STEPS.get(id)


def step_of(id: str, part: str = "", known: bool = True) -> str:
    """The step of a derivation that a bug gets wrong: `handgrad derive batchnorm, step 9: gradient of the mean`."""
    place = place_of(id, part, known)
    if place is None:
        return ""
    from handgrad import derivations  # loads all of them, so only on request

    name, step = place
    number = [one.name for one in derivations.get(name).steps].index(step) + 1
    return f"handgrad derive {name}, step {number}: {step}"


def as_markdown() -> str:
    """The documented list: sections with one row per bug, the target of `bugs.md#ID`."""
    lines = []
    for title, bugs in SECTIONS.items():
        lines += [f"## {title}", "", "| id | meaning | fingerprint | derivation |", "|---|---|---|---|"]
        for bug in bugs:
            where = f"`{bug.step[0]}`: {bug.step[1]}" if bug.step else ""
            lines.append(f'| <a id="{bug.id}"></a>`{bug.id}` | {bug.title} | {bug.fingerprint} | {where} |')
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"

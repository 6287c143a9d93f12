"""Checks of a network as it is, at its first step or trained: one look inside it tells them all."""

from __future__ import annotations

import math

import numpy as np

from handgrad.training.doctor.findings import CANNOT_JUDGE, OK, PROBLEM, WARNING, Finding, number, percent
from handgrad.training.doctor.inside import Inside, Look
from handgrad.training.doctor.patient import Patient, State

# Each limit has a healthy network on one side and a broken one on the other; tests/training/test_doctor.py holds both.

#: Spread of what enters the first activation: it is 0.25 to 1.2 where inputs and initial weights fit. The courses' raw
#: images with N(0, 1e-4) have 0.35, and 0.0056 with inputs of unit variance.
LITTLE_INPUT, MUCH_INPUT, TOO_MUCH_INPUT = 0.03, 5.0, 20.0
#: Root mean square of inputs above which they, and not the weights, are what is too large.
RAW_INPUT = 3.0
#: Share of the inputs' energy that may lie in their mean: 0.4 (mnist), 0.69 (digits), 0.78 (cifar10 in 0..1).
NOT_CENTRED = 0.75
#: Spread of a layer by that of the first: three layers of sigmoids have 0.06, ten have 1e-5.
FADES = 3e-3
#: Spread of scores, and of what enters an activation, above which a signal has grown.
GROWN = 10.0
#: Loss at the start, by that of a network without opinion.
HIGH_LOSS, LOW_LOSS = 2.0, 0.8
#: Shares of a layer's units, and of a layer's outputs.
SOME_DEAD, MANY_DEAD = 0.4, 0.75
SATURATED_START, SATURATED_TRAINED = 0.5, 0.98  # a sharp, good network of sigmoids has 0.9
#: Gradient of a weight by its size, the least by the largest of all layers: 0.02 for three sigmoids, 2e-7 for ten.
VANISHES = 1e-3
#: Gradient that arrives at the first layer by that at the last.
EXPLODES = 1e3


def check_weights(inside: Inside, state: State) -> Finding:
    """Whether weights are finite, and whether the units of a hidden layer differ."""
    for name, array in state.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            layer = name.rpartition(".")[0]
            kind = next(row.kind for row in inside.architecture.rows() if row.name == layer)
            count = int((~np.isfinite(array)).sum())
            return Finding(
                "weights",
                PROBLEM,
                "weights-not-finite",
                f"{name} of layer {layer} ({kind}) is the first: {count:,} of its {array.size:,} numbers are NaN or "
                "infinite",
                "NaN spreads to everything that is computed from it: this network is lost",
                ("train anew, with a smaller --learning-rate", "handgrad predict --weights best, if those are whole"),
                {"parameter": name, "numbers": count},
            )
    weights = [name for name, array in state.items() if array.ndim >= 2]
    for name in weights[:-1]:
        rows = state[name].reshape(len(state[name]), -1)
        if len(rows) > 1 and (rows == rows[0]).all():
            zeros = not rows.any()
            return Finding(
                "weights",
                PROBLEM,
                "units-identical",
                f"the {len(rows)} units of {name} have the same weights" + (", all zero" if zeros else ""),
                "units with equal weights get equal gradients and stay equal"
                + ("; with zeros in two layers there is no gradient at all" if zeros else ""),
                ("--init kaiming",),
                {"parameter": name, "units": len(rows)},
            )
    total = sum(array.size for array in state.values())
    return Finding("weights", OK, "weights", f"{total:,} numbers are finite, the units of each layer differ")


def check_input_scale(patient: Patient, look: Look, severity: str) -> Finding:
    """Whether inputs and initial weights fit each other: what enters the first activation says it."""
    config = patient.config
    x = patient.probe.x
    rms = math.sqrt(float(np.square(x, dtype=np.float64).mean()))
    mean = x.mean(axis=0, dtype=np.float64)
    centre = float(np.square(mean).mean()) / max(rms**2, 1e-300)
    if not look.activations or not look.weighted:
        spread, where = look.scores_spread, "the scores"
    else:
        first = look.activations[0]
        spread, where = first.input_spread, f"what enters {first.label}"
    figures = {"rms": rms, "share_in_mean": centre, "spread": spread}
    evidence = (
        f"inputs have root mean square {number(rms)}, init is {config.init}, {where} has a spread of {number(spread)}"
    )
    if spread > MUCH_INPUT:
        raw = rms > RAW_INPUT
        return Finding(
            "input-scale",
            PROBLEM if spread > TOO_MUCH_INPUT else severity,
            "inputs-too-large" if raw else "init-too-large",
            evidence,
            f"{'inputs' if raw else 'weights'} this large make scores, loss and gradients large: the network begins "
            "with loud wrong answers and unlearns them first; expected is about 1",
            ("--preprocessing standard", "--norm batch") if raw else ("--init kaiming",),
            figures,
        )
    if look.activations and spread < LITTLE_INPUT:
        change = ["--init kaiming"]
        if rms < RAW_INPUT and patient.dataset.value_range > 50 and config.preprocessing != "mean-image":
            change.append("--preprocessing mean-image, which keeps the raw scale that small weights are made for")
        return Finding(
            "input-scale",
            severity,
            "init-too-small",
            evidence,
            "weights this small are made for raw inputs of 0..255; with these inputs hardly any signal enters, and "
            "hardly any gradient comes back; expected is about 1",
            tuple(change),
            figures,
        )
    if centre > NOT_CENTRED and not any("norm" in layer.kind for layer in look.layers):
        return Finding(
            "input-scale",
            WARNING,
            "inputs-not-centred",
            f"{percent(centre)} of the inputs' energy lies in their mean",
            "all gradients of a unit then have much the same direction, and learning is slow",
            ("--preprocessing standard",),
            figures,
        )
    return Finding("input-scale", OK, "input-scale", evidence, figures=figures)


def check_signal(look: Look, severity: str) -> Finding:
    """Whether the signal keeps its size from layer to layer."""
    hidden = [(layer.label, layer.input_spread) for layer in look.activations]
    if not hidden:
        return Finding("signal", OK, "signal", "there is no hidden layer")
    figures = {"spreads": [spread for _, spread in hidden], "scores": look.scores_spread}
    first = hidden[0][1]
    last_name, last = hidden[-1]
    evidence = f"spread {number(first)} entering {hidden[0][0]}, "
    if len(hidden) > 1:
        evidence += f"{number(last)} entering {last_name}, "
    evidence += f"{number(look.scores_spread)} of the scores"
    grown = max(last, look.scores_spread)
    if first <= MUCH_INPUT and grown > GROWN and grown > 3 * first:
        return Finding(
            "signal",
            severity,
            "signal-grows",
            evidence,
            "weights this large make each layer's output larger than the one before: scores and loss begin far too "
            "large",
            ("--init kaiming", "--norm batch"),
            figures,
        )
    if last < FADES * first:
        return Finding(
            "signal",
            severity,
            "signal-fades",
            evidence,
            "every layer passes on less of what tells samples apart; the last ones see the same for all of them",
            _for_depth(look),
            figures,
        )
    return Finding("signal", OK, "signal", evidence, figures=figures)


def _for_depth(look: Look) -> tuple[str, ...]:
    """What helps a signal or a gradient through many layers."""
    flat = any(layer.kind in ("sigmoid", "tanh") for layer in look.activations)
    normed = any("norm" in layer.kind for layer in look.layers)
    change = (["--activation relu"] if flat else ["--init kaiming"]) + ([] if normed else ["--norm batch"])
    return (*change, "fewer layers in --hidden-units")


def check_initial_loss(patient: Patient, look: Look, severity: str) -> Finding:
    """Whether the untrained network's loss is that of having no opinion."""
    classes = patient.classes
    chance = math.log(classes)
    if patient.config.loss == "mse":
        evidence = "outputs of an mse network are no probabilities: there is no loss to expect of them"
        return Finding("initial-loss", CANNOT_JUDGE, "initial-loss", evidence)
    figures = {"loss": look.loss, "no_opinion": chance}
    evidence = f"loss {number(look.loss)}; equal probabilities for {classes} classes give ln {classes} = {chance:.3g}"
    if not math.isfinite(look.loss) or look.loss > HIGH_LOSS * chance + 1:
        return Finding(
            "initial-loss",
            severity,
            "initial-loss-high",
            evidence + f"; the scores spread by {number(look.scores_spread)}",
            "the network is sure of wrong answers before it has seen a label: inputs or initial weights are too large",
            ("--preprocessing standard", "--init kaiming"),
            figures,
        )
    if look.loss < LOW_LOSS * chance:
        return Finding(
            "initial-loss",
            WARNING,
            "initial-loss-low",
            evidence,
            "an untrained network cannot know better than chance: are the labels part of the inputs, or almost all "
            "the same?",
            ("check what the inputs hold",),
            figures,
        )
    return Finding("initial-loss", OK, "initial-loss", evidence, figures=figures)


def check_dead_units(look: Look, *, trained: bool) -> Finding:
    """Whether units react: one whose activation has no slope for any sample gets no gradient, and cannot recover."""
    layers = look.activations
    if not layers:
        return Finding("dead-units", OK, "dead-units", "there is no hidden layer with an activation")
    share, worst = max(((layer.dead or 0) / (layer.units or 1), i) for i, layer in enumerate(layers))
    layer = layers[worst]
    figures = {layer.label: [layer.dead, layer.units] for layer in layers}
    evidence = f"at most {percent(share)}, in {layer.label}: {layer.dead} of {layer.units}"
    if share < SOME_DEAD:
        return Finding("dead-units", OK, "dead-units", evidence, figures=figures)
    change = ("--activation leaky_relu", "--norm batch")
    return Finding(
        "dead-units",
        PROBLEM if share >= MANY_DEAD else WARNING,
        "units-dead",
        evidence.replace("at most", "up to") + " units have no slope for any sample",
        "they get no gradient and stay as they are; a step that was too large, or a large negative bias, does this",
        (("train anew with a third of the --learning-rate",) if trained else ("--init kaiming",)) + change,
        figures,
    )


def check_saturation(look: Look, severity: str, *, trained: bool) -> Finding | None:
    """Whether sigmoids and tanhs work where they have a slope; None where there are none."""
    layers = [layer for layer in look.activations if layer.saturated is not None]
    if not layers:
        return None
    worst = max(layers, key=lambda layer: layer.saturated or 0)
    share = worst.saturated or 0.0
    figures = {layer.label: layer.saturated for layer in layers}
    evidence = f"{percent(share)} of the outputs of {worst.label} lie where it has under a tenth of its slope"
    if share < (SATURATED_TRAINED if trained else SATURATED_START):
        return Finding("saturation", OK, "saturation", evidence, figures=figures)
    return Finding(
        "saturation",
        severity,
        "units-saturated",
        evidence,
        "a saturated unit passes on next to no gradient: what enters it is too large",
        (
            ("a smaller --learning-rate, or --weight-decay 1e-4", "--norm batch")
            if trained
            else ("--init kaiming", "--preprocessing standard", "--norm batch")
        ),
        figures,
    )


def check_gradient(look: Look, severity: str) -> Finding:
    """Whether the gradient reaches the first layer, neither faded nor grown."""
    layers = [layer for layer in look.weighted if layer.weight_size]  # a last layer may begin with zeros
    relative = [(layer.weight_gradient or 0.0) / (layer.weight_size or 1.0) for layer in layers]
    arriving = [layer.gradient for layer in layers]
    figures = {
        "weight_gradient_by_weight": {layer.label: value for layer, value in zip(layers, relative, strict=True)},
        "gradient": {layer.label: value for layer, value in zip(layers, arriving, strict=True)},
    }
    bad = [la for la, *values in zip(layers, relative, arriving, strict=True) if not all(map(math.isfinite, values))]
    if bad:
        return Finding(
            "gradient",
            PROBLEM,
            "gradient-not-finite",
            f"the gradient is not finite in {bad[-1].label}",
            "no step can be made with it",
            ("--preprocessing standard", "--init kaiming"),
            figures,
        )
    if len(layers) < 2:
        return Finding("gradient", OK, "gradient", "there is no layer that a gradient has to reach", figures=figures)
    least = min(range(len(layers)), key=lambda i: relative[i])
    ratio = relative[least] / max(max(relative), 1e-300)
    evidence = (
        f"gradient by weight: {number(relative[0])} in {layers[0].label}, {number(relative[-1])} in {layers[-1].label}"
    )
    if not max(relative):
        return Finding("gradient", PROBLEM, "gradient-zero", "no weight has a gradient", *_NO_GRADIENT, figures)
    if not relative[least]:
        where = layers[least].label
        return Finding("gradient", severity, "gradient-zero", f"{where} gets no gradient", *_NO_GRADIENT, figures)
    if ratio < VANISHES:
        return Finding(
            "gradient",
            severity,
            "gradient-vanishes",
            evidence + f", a factor of {number(1 / ratio)}",
            f"{layers[least].label} learns that much more slowly than the fastest layer: as good as not at all",
            _for_depth(look),
            figures,
        )
    if arriving[0] > EXPLODES * arriving[-1]:
        return Finding(
            "gradient",
            severity,
            "gradient-explodes",
            f"the gradient is {number(arriving[-1])} at {layers[-1].label} and {number(arriving[0])} at "
            f"{layers[0].label}",
            "it grows from layer to layer on its way back, and a step that suits the last is far too large for the "
            "first",
            ("--init kaiming", "--norm batch"),
            figures,
        )
    return Finding("gradient", OK, "gradient", evidence, figures=figures)


_NO_GRADIENT = (
    "where no gradient arrives nothing is learned: the units above are dead, or their weights are zero",
    ("--init kaiming", "--activation leaky_relu"),
)


def check_normalization(patient: Patient, state: State, *, trained: bool) -> Finding | None:
    """Whether batch normalisation gives the same answers by batches and by its running figures; None where there is
    none."""
    inside = patient.inside
    if inside is None or not any(row.kind.startswith("batch_norm") for row in patient.architecture.rows()):
        return None
    probe, size = patient.probe, patient.config.batch_size
    batches, accuracy = inside.loss(state, probe.x, probe.labels, batch_size=min(size, len(probe.x)))
    running, running_accuracy = inside.loss(state, probe.x, probe.labels, training=False)
    figures = {"by_batch": batches, "by_running": running, "batch_size": size}
    evidence = (
        f"loss {number(batches)} (accuracy {accuracy:.3f}) normalised by batches of {size}, "
        f"{number(running)} ({running_accuracy:.3f}) by the running figures"
    )
    if running > 1.5 * batches + 0.3 or running_accuracy < accuracy - 0.2:
        return Finding(
            "normalization",
            PROBLEM if trained else WARNING,
            "normalization-gap",
            evidence,
            "the network is trained with one set of figures and used with another",
            (f"--batch-size {max(64, 4 * size)}", "--norm layer") if size < 32 else ("--norm layer",),
            figures,
        )
    return Finding("normalization", OK, "normalization", evidence, figures=figures)


def no_inside_view(check: str, patient: Patient) -> Finding:
    """What a check says where the network cannot be looked into."""
    return Finding(check, CANNOT_JUDGE, check, f"no view inside this network: {patient.why_not_inside}")

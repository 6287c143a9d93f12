"""Checks of a network before its first step or after training, based on one inspection."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from handgrad._typing import Array, Float
from handgrad.training.doctor.findings import CANNOT_JUDGE, OK, PROBLEM, WARNING, Finding, number, percent
from handgrad.training.doctor.inside import Inside, Look
from handgrad.training.doctor.patient import Patient, State

# Each limit separates a healthy network from a broken one; tests/training/test_doctor.py contains both.

#: Spread of the input of the first activation: 0.25 to 1.2 if inputs and initial weights match. The raw images of the
#: courses with N(0, 1e-4) have 0.35, and 0.0056 with inputs of unit variance.
SMALL_SPREAD, LARGE_SPREAD, HUGE_SPREAD = 0.03, 5.0, 20.0
#: Root mean square of inputs above which the inputs, not the weights, are too large.
LARGE_RMS = 3.0
#: Maximum fraction of the energy of the inputs in their mean: 0.4 (mnist), 0.69 (digits), 0.78 (cifar10 in 0..1).
MAX_MEAN_ENERGY = 0.75
#: Spread of a layer relative to that of the first: three layers of sigmoids have 0.06, ten have 1e-5.
MIN_RELATIVE_SPREAD = 3e-3
#: Spread of the scores, and of the input of an activation, above which the signal grows.
MAX_SPREAD = 10.0
#: Initial loss relative to that of uniform predictions.
MAX_RELATIVE_LOSS, MIN_RELATIVE_LOSS = 2.0, 0.8
#: The same limit in regression, as a multiple of the loss of predicting a constant; healthy networks reach 4.
MAX_RELATIVE_LOSS_OF_REGRESSION = 10.0
#: Fractions of the units and of the outputs of a layer.
DEAD_WARNING, DEAD_PROBLEM = 0.5, 0.75
MAX_SATURATED_AT_START, MAX_SATURATED_TRAINED = 0.5, 0.98  # a well-trained network of sigmoids has 0.9
#: Number of values for a mean and a variance of batch normalisation; two normalised values are always +1 and -1.
MIN_VALUES, SMALL_BATCH, LARGER_BATCH = 4, 32, 64
#: Decrease of the loss below that of an uninformed prediction with batches of the run's size, relative to larger
#: batches or running statistics (the digits, 100 and 1,000 steps): 0.44 to 0.62 for batches of 2, 0.6 to 0.8 for 3,
#: 0.74 to 0.9 for 4, above 0.87 for 8, above 0.96 for 16. If the loss has hardly decreased, this is inconclusive.
PROGRESS_PROBLEM, PROGRESS_WARNING, MIN_PROGRESS = 0.65, 0.72, 0.1
#: Running statistics compared with those of a batch: the ratio of the variances (0.98 to 1.25 in healthy runs, more
#: with strong dropout), the distance of the means in standard deviations (at most 0.07), and the number of batches
#: until the initial values no longer matter.
MAX_VARIANCE_RATIO, MAX_MEAN_DISTANCE, MIN_BATCHES = 8.0, 1.0, 100
#: Dropout: rates, remaining fractions of the paths through all layers, remaining units of a layer. With 0.5 in each of
#: four layers, 0.06 remain and 1,000 steps reach 0.90 on the digits; with 0.7, 0.008 remain and they reach 0.26.
RATE_WARNING, RATE_PROBLEM = 0.9, 0.95
PATHS_WARNING, PATHS_PROBLEM = 0.03, 0.012
UNITS_WARNING, UNITS_PROBLEM = 4.0, 2.0
#: Gradient of a weight relative to its size, ratio of the smallest and largest layer: 0.02 for three sigmoids, 2e-7 for
#: ten.
MIN_GRADIENT_RATIO = 1e-3
#: Gradient at the first layer relative to that at the last.
MAX_GRADIENT_RATIO = 1e3


def check_weights(inside: Inside, state: State) -> Finding:
    """Checks whether weights are finite, and whether the units of a hidden layer differ."""
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
                ("train again, with a smaller --learning-rate", "handgrad predict --weights best, if those are finite"),
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
                "units with equal weights get equal gradients and remain equal"
                + ("; with zeros in two layers there is no gradient at all" if zeros else ""),
                ("--init kaiming",),
                {"parameter": name, "units": len(rows)},
            )
    total = sum(array.size for array in state.values())
    return Finding("weights", OK, "weights", f"{total:,} numbers are finite, the units of each layer differ")


def check_input_scale(patient: Patient, look: Look, severity: str) -> Finding:
    """Checks whether inputs and initial weights match, by the input of the first activation."""
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
    if spread > LARGE_SPREAD:
        raw = rms > LARGE_RMS
        return Finding(
            "input-scale",
            PROBLEM if spread > HUGE_SPREAD else severity,
            "inputs-too-large" if raw else "init-too-large",
            evidence,
            f"{'inputs' if raw else 'weights'} this large make scores, loss and gradients large: the network starts "
            "with confident wrong predictions; about 1 is expected",
            ("--preprocessing standard", "--norm batch") if raw else ("--init kaiming",),
            figures,
        )
    if look.activations and spread < SMALL_SPREAD:
        change = ["--init kaiming"]
        if rms < LARGE_RMS and patient.dataset.value_range > 50 and config.preprocessing != "mean-image":
            change.append("--preprocessing mean-image, which keeps the raw scale that small weights are designed for")
        return Finding(
            "input-scale",
            severity,
            "init-too-small",
            evidence,
            "weights this small are designed for raw inputs of 0..255; with these inputs, the signal and the gradient "
            "are tiny; about 1 is expected",
            tuple(change),
            figures,
        )
    if centre > MAX_MEAN_ENERGY and not any("norm" in layer.kind for layer in look.layers):
        return Finding(
            "input-scale",
            WARNING,
            "inputs-not-centred",
            f"{percent(centre)} of the energy of the inputs is in their mean",
            "all gradients of a unit then have a similar direction, and learning is slow",
            ("--preprocessing standard",),
            figures,
        )
    return Finding("input-scale", OK, "input-scale", evidence, figures=figures)


def check_signal(look: Look, severity: str) -> Finding:
    """Checks whether the size of the signal is preserved from layer to layer."""
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
    if first <= LARGE_SPREAD and grown > MAX_SPREAD and grown > 3 * first:
        return Finding(
            "signal",
            severity,
            "signal-grows",
            evidence,
            "weights this large make the output of each layer larger than the previous one: initial scores and loss "
            "are far too large",
            ("--init kaiming", "--norm batch"),
            figures,
        )
    if last < MIN_RELATIVE_SPREAD * first:
        return Finding(
            "signal",
            severity,
            "signal-fades",
            evidence,
            "each layer reduces the differences between samples, and the last layers get nearly the same input for "
            "all of them",
            _for_depth(look),
            figures,
        )
    return Finding("signal", OK, "signal", evidence, figures=figures)


def _for_depth(look: Look) -> tuple[str, ...]:
    """Changes that help a signal or a gradient through many layers."""
    flat = any(layer.kind in ("sigmoid", "tanh") for layer in look.activations)
    normed = any("norm" in layer.kind for layer in look.layers)
    change = (["--activation relu"] if flat else ["--init kaiming"]) + ([] if normed else ["--norm batch"])
    return (*change, "fewer layers in --hidden-units")


def check_initial_loss(patient: Patient, look: Look, severity: str) -> Finding:
    """Checks whether the loss of the untrained network is that of uniform predictions."""
    classes = patient.classes
    if patient.regression:
        return _initial_loss_of_regression(patient, look, severity)
    chance = math.log(classes)
    if patient.config.loss == "mse":
        evidence = "the outputs of an mse network are not probabilities, so there is no expected loss"
        return Finding("initial-loss", CANNOT_JUDGE, "initial-loss", evidence)
    figures = {"loss": look.loss, "no_opinion": chance}
    evidence = f"loss {number(look.loss)}; equal probabilities for {classes} classes give ln {classes} = {chance:.3g}"
    if not math.isfinite(look.loss) or look.loss > MAX_RELATIVE_LOSS * chance + 1:
        return Finding(
            "initial-loss",
            severity,
            "initial-loss-high",
            evidence + f"; the scores spread by {number(look.scores_spread)}",
            "the network is confident in wrong predictions before training: inputs or initial weights are too large",
            ("--preprocessing standard", "--init kaiming"),
            figures,
        )
    if look.loss < MIN_RELATIVE_LOSS * chance:
        return Finding(
            "initial-loss",
            WARNING,
            "initial-loss-low",
            evidence,
            "an untrained network cannot be better than chance: are the labels part of the inputs, or almost all the "
            "same?",
            ("check the contents of the inputs",),
            figures,
        )
    return Finding("initial-loss", OK, "initial-loss", evidence, figures=figures)


def _initial_loss_of_regression(patient: Patient, look: Look, severity: str) -> Finding:
    """Checks whether the initial loss is far above that of predicting the mean; it may be below it by chance."""
    chance = patient.chance
    figures = {"loss": look.loss, "no_opinion": chance}
    evidence = f"loss {number(look.loss)}; predicting a constant for each target gives {number(chance)}"
    if math.isfinite(look.loss) and look.loss <= MAX_RELATIVE_LOSS_OF_REGRESSION * chance:
        return Finding("initial-loss", OK, "initial-loss", evidence, figures=figures)
    return Finding(
        "initial-loss",
        severity,
        "initial-loss-high",
        evidence + f"; the outputs spread by {number(look.scores_spread)}",
        "targets are standardised, and outputs this large are far from all of them: inputs or initial weights are too "
        "large",
        ("--preprocessing standard", "--init kaiming"),
        figures,
    )


def check_dead_units(look: Look, *, trained: bool) -> Finding:
    """Checks for dead units: if the activation has no slope for any sample, a unit gets no gradient and cannot
    recover."""
    layers = look.activations
    if not layers:
        return Finding("dead-units", OK, "dead-units", "there is no hidden layer with an activation")
    share, worst = max(((layer.dead or 0) / (layer.units or 1), i) for i, layer in enumerate(layers))
    layer = layers[worst]
    figures = {layer.label: [layer.dead, layer.units] for layer in layers}
    evidence = f"at most {percent(share)}, in {layer.label}: {layer.dead} of {layer.units}"
    if share < DEAD_WARNING:
        return Finding("dead-units", OK, "dead-units", evidence, figures=figures)
    change = ("--activation leaky_relu", "--norm batch")
    return Finding(
        "dead-units",
        PROBLEM if share >= DEAD_PROBLEM else WARNING,
        "units-dead",
        evidence.replace("at most", "up to") + " units have no slope for any sample",
        "they get no gradient and stay as they are; a step that was too large, or a large negative bias, does this",
        (("train again with a third of the --learning-rate",) if trained else ("--init kaiming",)) + change,
        figures,
    )


def check_saturation(look: Look, severity: str, *, trained: bool) -> Finding | None:
    """Checks whether sigmoid and tanh units are saturated; None if there are none."""
    layers = [layer for layer in look.activations if layer.saturated is not None]
    if not layers:
        return None
    worst = max(layers, key=lambda layer: layer.saturated or 0)
    share = worst.saturated or 0.0
    figures = {layer.label: layer.saturated for layer in layers}
    evidence = f"{percent(share)} of the outputs of {worst.label} have a slope below a tenth of the maximum"
    if share < (MAX_SATURATED_TRAINED if trained else MAX_SATURATED_AT_START):
        return Finding("saturation", OK, "saturation", evidence, figures=figures)
    return Finding(
        "saturation",
        severity,
        "units-saturated",
        evidence,
        "a saturated unit passes on almost no gradient: its inputs are too large",
        (
            ("a smaller --learning-rate, or --weight-decay 1e-4", "--norm batch")
            if trained
            else ("--init kaiming", "--preprocessing standard", "--norm batch")
        ),
        figures,
    )


def check_gradient(look: Look, severity: str) -> Finding:
    """Checks whether the gradient reaches the first layer without vanishing or exploding."""
    layers = [layer for layer in look.weighted if layer.weight_size]  # the last layer may be initialised with zeros
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
            "training steps are impossible with it",
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
    if ratio < MIN_GRADIENT_RATIO:
        return Finding(
            "gradient",
            severity,
            "gradient-vanishes",
            evidence + f", a factor of {number(1 / ratio)}",
            f"{layers[least].label} learns that much more slowly than the fastest layer, practically not at all",
            _for_depth(look),
            figures,
        )
    if arriving[0] > MAX_GRADIENT_RATIO * arriving[-1]:
        return Finding(
            "gradient",
            severity,
            "gradient-explodes",
            f"the gradient is {number(arriving[-1])} at {layers[-1].label} and {number(arriving[0])} at "
            f"{layers[0].label}",
            "it grows from layer to layer in the backward pass, and a step size for the last layer is far too large "
            "for the first",
            ("--init kaiming", "--norm batch"),
            figures,
        )
    return Finding("gradient", OK, "gradient", evidence, figures=figures)


_NO_GRADIENT = (
    "a layer without a gradient does not learn: the units after it are dead, or their weights are zero",
    ("--init kaiming", "--activation leaky_relu"),
)


def check_normalization(patient: Patient, state: State | None, *, trained: bool) -> Finding | None:
    """Checks batch size and running statistics of batch normalisation; None if there is no batch normalisation.

    Three losses of the same weights are compared: normalised by batches of the run's size, by larger ones, and by the
    running statistics. If the running statistics are much worse, they do not match the weights. If they are much
    *better*, like larger batches, the batches of the run are too small for normalisation.

    Arguments:
        state: weights after some training; if None, only the batch size is checked.
    """
    inside = patient.inside
    counted = fewest_values(patient)
    if inside is None or counted is None:
        return None
    fewest, where = counted
    size = patient.config.batch_size
    figures: dict[str, Any] = {"batch_size": size, "fewest_values": fewest}
    evidence, share = "", math.nan
    if state is not None:
        probe = patient.probe
        larger = min(max(LARGER_BATCH, size), len(probe.x))
        batches, accuracy = inside.loss(state, probe.x, probe.labels, batch_size=min(size, len(probe.x)))
        steadier, _ = inside.loss(state, probe.x, probe.labels, batch_size=larger)
        running, running_accuracy = inside.loss(state, probe.x, probe.labels, training=False)
        learned = patient.chance - min(steadier, running)
        if learned > MIN_PROGRESS * patient.chance:
            share = (patient.chance - batches) / learned
        figures |= {"by_batch": batches, "by_larger": steadier, "by_running": running, "share": share}
        evidence = f"loss {number(batches)} ({patient.measure} {accuracy:.3f}) normalised by batches of {size}, "
        if larger > size:
            evidence += f"{number(steadier)} by batches of {larger}, "
        evidence += f"{number(running)} ({running_accuracy:.3f}) by the running statistics"
    small = f"{where} computes each mean and variance from {counted_values(fewest)}"
    if fewest < MIN_VALUES or share < PROGRESS_PROBLEM or (size < SMALL_BATCH and share < PROGRESS_WARNING):
        severe = fewest <= 2 or share < PROGRESS_PROBLEM
        meaning = (
            "two values normalised by their own mean and variance are always +1 and -1: in training, only the sign of "
            "the difference between samples remains"
            if fewest == 2
            else "means and variances of so few values are mostly noise: in training, each prediction depends on the "
            "other samples of the batch, and the running statistics are better than those used for training"
        )
        return Finding(
            "normalization",
            PROBLEM if severe else WARNING,
            "batch-too-small",
            "; ".join(filter(None, (evidence, small))),
            meaning,
            _for_small_batches(patient),
            figures,
        )
    if state is None:
        return None
    apart = _wrong_statistics(inside, state, probe.x)
    if apart or running > 1.5 * batches + 0.3 or running_accuracy < accuracy - 0.2:
        evidence = "; ".join(filter(None, (evidence, apart)))
        return Finding(
            "normalization",
            PROBLEM if trained else WARNING,
            "normalization-gap",
            evidence,
            "the network is trained with different statistics than those used for prediction",
            _for_small_batches(patient)[0 if size < SMALL_BATCH else 1 :],
            figures,
        )
    return Finding("normalization", OK, "normalization", evidence, figures=figures)


def _wrong_statistics(inside: Inside, state: State, x: Float[Array, "N ..."]) -> str:
    """A description of the first batch normalisation whose running statistics are far from those of these samples;
    "" if there is none, or after too few batches. Loss and accuracy are not sufficient: scores of any magnitude have
    the same accuracy."""
    if not all(state[name] >= MIN_BATCHES for name in state if name.endswith("num_batches_tracked")):
        return ""
    for name, ratio, distance in inside.running_statistics(state, x):
        if not 1 / MAX_VARIANCE_RATIO < ratio < MAX_VARIANCE_RATIO:
            return f"the running variance of layer {name} is {number(ratio)} times that of a batch"
        if distance > MAX_MEAN_DISTANCE:
            return f"the running mean of layer {name} is {number(distance)} standard deviations from that of a batch"
    return ""


def fewest_values(patient: Patient) -> tuple[int, str] | None:
    """The smallest number of values (samples times pixels of a channel) for a mean and variance of a batch
    normalisation in training, and its layer. None if there is no batch normalisation."""
    size = patient.config.batch_size
    counts = [
        (size * math.prod(row.input_shape[1:]), f"layer {row.name} ({row.kind})")
        for row in patient.architecture.rows()
        if row.kind.startswith("batch_norm")
    ]
    return min(counts, key=lambda count: count[0], default=None)


def counted_values(count: int) -> str:
    return f"{count} value" + ("s" if count != 1 else "")


def _for_small_batches(patient: Patient) -> tuple[str, ...]:
    """Suggestions: a larger batch, then normalisations that do not depend on the batch."""
    larger = min(max(LARGER_BATCH, 4 * patient.config.batch_size), len(patient.train_indices))
    channels = math.gcd(
        *(row.output_shape[0] for row in patient.architecture.rows() if row.kind.startswith("batch_norm"))
    )
    groups = max(count for count in (1, 2, 3, 4) if channels % count == 0)
    group = "--norm group" + (f" --num-groups {groups}" if groups != 4 else "")
    norms = ("--norm layer", group) if patient.config.model == "mlp" else (group,)
    return (f"--batch-size {larger}", *norms)


def check_dropout(patient: Patient, state: State | None) -> Finding | None:
    """Checks whether dropout preserves enough of the signal; None if there is no dropout.

    Arguments:
        state: weights after some training, to show the effect of dropout; may be None.
    """
    rows = patient.architecture.rows()
    layers = [(row.options["p"], math.prod(row.output_shape)) for row in rows if row.kind == "dropout"]
    if not layers or patient.inside is None:
        return None
    rate = max(p for p, _ in layers)
    kept = min((1 - p) * units for p, units in layers)
    through = math.prod(1 - p for p, _ in layers)
    figures: dict[str, Any] = {"rate": rate, "units_kept": kept, "share_through": through}
    evidence = f"{percent(rate)} dropped leave {number(kept)} units of a layer on average"
    if len(layers) > 1:
        evidence += f", and {percent(through)} of the paths through {len(layers)} layers"
    if state is not None:
        probe = patient.probe
        _, without = patient.inside.loss(state, probe.x, probe.labels)
        _, dropped = patient.inside.loss(state, probe.x, probe.labels, dropout=patient.seeds["noise_seed"])
        figures |= {"accuracy": without, "accuracy_dropped": dropped}
        evidence += f"; after the trial the {patient.measure} is {without:.3f}, {dropped:.3f} with units dropped"
    if rate < RATE_WARNING and through >= PATHS_WARNING and kept >= UNITS_WARNING:
        return Finding("dropout", OK, "dropout", evidence, figures=figures)
    severe = rate >= RATE_PROBLEM or through < PATHS_PROBLEM or kept < UNITS_PROBLEM
    return Finding(
        "dropout",
        PROBLEM if severe else WARNING,
        "dropout-too-high",
        evidence,
        f"the remaining units are scaled up by {number(1 / (1 - rate))}, so the output of a layer is mostly noise, "
        "which increases with the number of layers; 0.2 to 0.5 is typical",
        ("--dropout 0.5", "--dropout 0 until the network learns its training samples"),
        figures,
    )


def not_inspected(check: str, patient: Patient) -> Finding:
    """The finding if the network cannot be inspected."""
    return Finding(check, CANNOT_JUDGE, check, f"this network cannot be inspected: {patient.why_not_inside}")

"""Checks of the targets of a regression: outliers, differences between the sets, and dependence on the inputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from handgrad._typing import Array, Float
from handgrad.training.doctor.findings import CANNOT_JUDGE, OK, WARNING, Finding, number, percent
from handgrad.training.doctor.patient import Patient

#: Maximum share of a hundredth of the samples in the sum of squared distances from the mean: it is 0.08 for normally
#: distributed targets and 0.29 for log-normal ones.
MAX_TAIL_SHARE, TAIL = 0.5, 0.01
#: Maximum distance of the means of both sets, in standard deviations of the training targets, in addition to chance.
MAX_MEAN_DISTANCE = 0.5
#: Minimum correlation with the targets, in standard errors, that counts as related, and minimum number of samples.
MIN_DEVIATIONS, MIN_SAMPLES = 4.0, 100
NEIGHBOURS, MAX_SAMPLES = 5, 2000
#: Ridge penalty relative to the mean variance of the inputs, so that duplicated columns do not matter.
RIDGE = 0.01


def check_targets(patient: Patient) -> Finding:
    """Checks whether a few samples outweigh all others, whether the targets of both sets are similar, and whether they
    depend on the inputs."""
    names = patient.dataset.classes
    train, other = (patient.gather(patient.choose(split, MAX_SAMPLES)) for split in ("train", patient.held_out))
    y, held = train.labels.astype(np.float64), other.labels.astype(np.float64)
    squares = np.sort(np.square(y - y.mean(axis=0)), axis=0)[::-1]
    few = max(1, round(TAIL * len(y)))
    tails = squares[:few].sum(axis=0) / np.maximum(squares.sum(axis=0), 1e-300)
    spread = np.maximum(y.std(axis=0), 1e-12)
    apart = np.abs(held.mean(axis=0) - y.mean(axis=0)) / spread
    limit = MAX_MEAN_DISTANCE + 4 * math.sqrt(1 / len(y) + 1 / len(held))
    deviations, by = _related(train.x, y, patient)
    figures: dict[str, Any] = {"tails": tails.tolist(), "means_apart": apart.tolist(), "deviations": deviations}
    if len(y) >= MIN_SAMPLES and tails.max() > MAX_TAIL_SHARE:
        name = names[int(tails.argmax())]
        return Finding(
            "labels",
            WARNING,
            "targets-heavy-tailed",
            f"{percent(float(tails.max()))} of the variance of {name} is due to {few} of {len(y):,} training samples",
            "a few samples dominate the squared error: the network fits them and neglects all others",
            (
                "--loss huber",
                f"train on the logarithm of {name}, if it is positive",
                "check these samples for typos",
            ),
            figures,
        )
    if apart.max() > limit:
        t = int(apart.argmax())
        return Finding(
            "labels",
            WARNING,
            "targets-differ",
            f"the mean of {names[t]} in the {patient.held_out} set is {number(float(apart[t]))} standard deviations "
            f"from that of the training set; up to {number(limit)} is usual",
            "the sets are not drawn from the same distribution, for example because a sorted file was split in the "
            "middle: what is learned from one does not hold for the other",
            ("shuffle the data before splitting it",),
            figures,
        )
    if deviations is None:
        return Finding("labels", CANNOT_JUDGE, "labels", f"only {len(y)} training samples", figures=figures)
    evidence = f"{by} predict the targets with a correlation of {number(deviations)} times its standard error"
    if deviations < MIN_DEVIATIONS:
        return Finding(
            "labels",
            WARNING,
            "targets-unrelated",
            evidence + f"; from {number(MIN_DEVIATIONS)} on it would not be chance",
            "similar samples do not have similar targets, and no linear function of the inputs predicts them: inputs "
            "and targets may have been shuffled independently, or the inputs contain almost no information",
            ("check that inputs and targets are read, sorted and shuffled together",),
            figures,
        )
    return Finding("labels", OK, "labels", evidence, figures=figures)


def _related(x: Float[Array, "n ..."], y: Float[Array, "n T"], patient: Patient) -> tuple[float | None, str]:
    """Evidence that targets depend on the inputs: the highest correlation of a target, in standard errors under
    independence, with the mean of its nearest neighbours or with a linear fit. Each half of the samples is predicted
    from the other."""
    n = len(x)
    if n < MIN_SAMPLES:
        return None, ""
    order = np.random.default_rng((patient.seeds["data_seed"], NEIGHBOURS)).permutation(n)
    x, y = x.reshape(n, -1)[order].astype(np.float64), y[order]
    x -= x.mean(axis=0)
    estimates = {"5 nearest neighbours": np.empty_like(y), "linear functions of the inputs": np.empty_like(y)}
    for asked, known in ((slice(n // 2), slice(n // 2, n)), (slice(n // 2, n), slice(n // 2))):
        a, b, mean = x[asked], x[known], y[known].mean(axis=0)
        products = b @ b.T  # between samples, because images have more features than there are samples
        distances = np.diag(products) - 2.0 * (a @ b.T)
        near = np.argpartition(distances, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
        ridge = RIDGE * max(float(np.trace(products)), 1e-300) * np.eye(len(b)) / math.sqrt(len(b))
        linear = b.T @ np.linalg.solve(products + ridge, y[known] - mean)
        estimates["5 nearest neighbours"][asked] = y[known][near].mean(axis=1) - mean
        estimates["linear functions of the inputs"][asked] = a @ linear
    targets = range(y.shape[1])
    sure = {by: max(_correlation(e[:, t], y[:, t]) for t in targets) * math.sqrt(n) for by, e in estimates.items()}
    by = max(sure, key=sure.__getitem__)
    return sure[by], by


def _correlation(a: Float[Array, "n"], b: Float[Array, "n"]) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / size if size > 0 else 0.0

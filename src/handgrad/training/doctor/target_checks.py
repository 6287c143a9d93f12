"""Checks of the targets of a regression: do they vary, are they alike in both sets, and do they go with the inputs?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from handgrad._typing import Array, Float
from handgrad.training.doctor.findings import CANNOT_JUDGE, OK, WARNING, Finding, number, percent
from handgrad.training.doctor.patient import Patient

#: Share of the sum of squared distances from the mean that a hundredth of the samples may have: 0.08 of normally
#: distributed targets, 0.29 of log-normal ones.
HEAVY_TAIL, FEW = 0.5, 0.01
#: Standard deviations of the training targets by which the mean of the others may be away, besides chance.
MEANS_APART = 0.5
#: Standard errors of a correlation with the targets that count as related.
RELATED, FEWEST_RELATED = 4.0, 100
NEIGHBOURS, MOST = 5, 2000
#: Ridge, as a share of the mean variance of the inputs: it keeps repeated columns from mattering.
RIDGE = 0.01


def check_targets(patient: Patient) -> Finding:
    """Whether the targets have no few samples that outweigh all others, are alike in both sets, and depend on the
    inputs."""
    names = patient.dataset.classes
    train, other = (patient.gather(patient.choose(split, MOST)) for split in ("train", patient.held_out))
    y, held = train.labels.astype(np.float64), other.labels.astype(np.float64)
    squares = np.sort(np.square(y - y.mean(axis=0)), axis=0)[::-1]
    few = max(1, round(FEW * len(y)))
    tails = squares[:few].sum(axis=0) / np.maximum(squares.sum(axis=0), 1e-300)
    spread = np.maximum(y.std(axis=0), 1e-12)
    apart = np.abs(held.mean(axis=0) - y.mean(axis=0)) / spread
    limit = MEANS_APART + 4 * math.sqrt(1 / len(y) + 1 / len(held))
    deviations, by = _related(train.x, y, patient)
    figures: dict[str, Any] = {"tails": tails.tolist(), "means_apart": apart.tolist(), "deviations": deviations}
    if len(y) >= FEWEST_RELATED and tails.max() > HEAVY_TAIL:
        name = names[int(tails.argmax())]
        return Finding(
            "labels",
            WARNING,
            "targets-heavy-tailed",
            f"{percent(float(tails.max()))} of the squared spread of {name} come from {few} of {len(y):,} training "
            "samples",
            "squared errors are those of a few samples: the network fits these, and neglects all others",
            (
                "--loss huber",
                f"train on the logarithm of {name}, where it is positive",
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
            f"from that of the training set, where up to {number(limit)} is usual",
            "the sets were not drawn from the same samples, as where a sorted file is cut in two: what is learned from "
            "one does not hold for the other",
            ("shuffle the data before splitting it",),
            figures,
        )
    if deviations is None:
        return Finding("labels", CANNOT_JUDGE, "labels", f"only {len(y)} training samples", figures=figures)
    evidence = f"{by} tell the targets with a correlation of {number(deviations)} times its standard error"
    if deviations < RELATED:
        return Finding(
            "labels",
            WARNING,
            "targets-unrelated",
            evidence + f"; {number(RELATED)} and more would not be chance",
            "neither samples that look alike have like targets, nor does any sum of the inputs go with them: inputs "
            "and targets were perhaps shuffled apart, or the inputs say next to nothing",
            ("check that inputs and targets are read, sorted and shuffled together",),
            figures,
        )
    return Finding("labels", OK, "labels", evidence, figures=figures)


def _related(x: Float[Array, "n ..."], y: Float[Array, "n T"], patient: Patient) -> tuple[float | None, str]:
    """How surely targets depend on the inputs: the highest correlation, by its standard error under independence, of a
    target with what its nearest neighbours have, or with a linear fit to other samples. Each half of the samples is
    estimated from the other."""
    n = len(x)
    if n < FEWEST_RELATED:
        return None, ""
    order = np.random.default_rng((patient.seeds["data_seed"], NEIGHBOURS)).permutation(n)
    x, y = x.reshape(n, -1)[order].astype(np.float64), y[order]
    x -= x.mean(axis=0)
    estimates = {"5 nearest neighbours": np.empty_like(y), "sums of the inputs": np.empty_like(y)}
    for asked, known in ((slice(n // 2), slice(n // 2, n)), (slice(n // 2, n), slice(n // 2))):
        a, b, mean = x[asked], x[known], y[known].mean(axis=0)
        products = b @ b.T  # of the samples: images have more features than these
        distances = np.diag(products) - 2.0 * (a @ b.T)
        near = np.argpartition(distances, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
        ridge = RIDGE * max(float(np.trace(products)), 1e-300) * np.eye(len(b)) / math.sqrt(len(b))
        linear = b.T @ np.linalg.solve(products + ridge, y[known] - mean)
        estimates["5 nearest neighbours"][asked] = y[known][near].mean(axis=1) - mean
        estimates["sums of the inputs"][asked] = a @ linear
    targets = range(y.shape[1])
    sure = {by: max(_correlation(e[:, t], y[:, t]) for t in targets) * math.sqrt(n) for by, e in estimates.items()}
    by = max(sure, key=sure.__getitem__)
    return sure[by], by


def _correlation(a: Float[Array, "n"], b: Float[Array, "n"]) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / size if size > 0 else 0.0

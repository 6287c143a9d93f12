"""Checks of the data: inputs, labels, and the relation of training and test samples."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from handgrad._typing import Array, Float, Integer, Num
from handgrad.data import Dataset
from handgrad.training.doctor import target_checks
from handgrad.training.doctor.findings import CANNOT_JUDGE, OK, PROBLEM, WARNING, Finding, number, percent
from handgrad.training.doctor.patient import Patient

#: Maximum fraction of constant features, such as the borders of images.
MANY_CONSTANT = 0.9
#: Maximum ratio of the spreads of test and training inputs.
OTHER_SCALE = 3.0
#: Maximum fraction of samples in one class.
MOST_OF_ONE_CLASS = 0.9
#: Number of standard deviations by which the neighbours' predictions must exceed chance for labels to count as related.
RELATED = 4.0
NEIGHBOURS, REFERENCES, QUERIES = 5, 2000, 500
#: Maximum fraction of duplicated features, and the squared distance of two duplicates, both normalised to length 1.
MANY_COPIES, SAME_FEATURE = 0.1, 1e-6
#: Fraction of neighbours from a sample's own set, where 0.5 is expected: up to 0.52 on average for the digits, MNIST
#: and CIFAR-10, and up to 0.1 apart for the two sets. Half of the training images inverted have 0.66 to 0.70 (digits,
#: MNIST), mirrored 0.62 to 0.64; noisy ones are 0.30 to 0.46 apart.
OWN_KIND, OWN_KIND_APART = 0.58, 0.25
NEIGHBOURHOOD, FEWEST_ALIKE = 500, 200
#: How often samples of both are drawn. A few images are near to all others; once they put the sets of CIFAR-10 0.25
#: apart.
DRAWS = 4
#: Images of each set whose statistics are compared, and how far the distributions of one may be apart, besides what
#: samples of these sizes are by chance: up to 0.06 for MNIST, Fashion-MNIST and CIFAR-10 (2,000 and 2,000 images), 0.13
#: for the digits (1,438 and 359). Where half the training images are altered, the share that differs is at most 0.5.
COMPARED, COMPARED_NUMBERS, FEWEST_COMPARED = 2000, 2**23, 50
USUALLY_APART, BY_CHANCE_APART = 0.1, 1.95
#: Shares of test samples that may be among the training samples.
SOME_KNOWN, MANY_KNOWN = 0.01, 0.1
#: Share of training samples that may repeat another: rows of a table with few columns do, images do not.
MANY_REPEATED, MANY_IMAGES_REPEATED = 0.5, 0.2


def check_inputs(patient: Patient) -> Finding:
    """Checks whether inputs are finite, vary, and are similar in training and test."""
    dataset = patient.dataset
    bad = _not_finite(dataset)
    if len(bad):
        sample = f"sample {bad[0]}" + (" (training)" if bad[0] in dataset.splits["train"] else "")
        return Finding(
            "inputs",
            PROBLEM,
            "inputs-not-finite",
            f"{len(bad):,} of {len(dataset.inputs):,} samples hold NaN or infinity, the first is {sample}",
            "one such sample makes the loss and then every weight NaN",
            ("fix or remove these samples",),
            {"samples": len(bad), "first": int(bad[0])},
        )
    x = patient.probe.x.reshape(len(patient.probe.x), -1)
    constant = float((x.min(axis=0) == x.max(axis=0)).mean())
    rms = _rms(x)
    figures = {"rms": rms, "mean": float(x.mean(dtype=np.float64)), "constant_features": constant}
    evidence = f"values {number(float(x.min()))} to {number(float(x.max()))}, root mean square {number(rms)}"
    if constant == 1:
        return Finding(
            "inputs",
            PROBLEM,
            "inputs-constant",
            f"all {x.shape[1]:,} features have one value in {len(x):,} samples",
            "all samples look the same to the network, so it cannot distinguish the classes",
            ("check how the input files were written",),
            figures,
        )
    if constant > MANY_CONSTANT:
        return Finding(
            "inputs",
            WARNING,
            "features-constant",
            f"{percent(constant)} of {x.shape[1]:,} features have one value in {len(x):,} samples",
            "constant features contain no information",
            ("check how the input files were written",),
            figures,
        )
    centre = x.mean(axis=0, dtype=np.float64)
    other = patient.unseen.x.reshape(len(patient.unseen.x), -1)
    here, there = _rms(x - centre), _rms(other - centre)
    figures["spread"], figures["unseen_spread"] = here, there
    if not 1 / OTHER_SCALE < there / here < OTHER_SCALE:
        return Finding(
            "inputs",
            WARNING,
            "test-inputs-differ",
            f"about the training mean, training inputs spread by {number(here)}, test inputs by {number(there)}",
            "the test inputs have a different scale, so the trained network does not apply to them",
            ("give both sets the same preprocessing",),
            figures,
        )
    evidence += f", {percent(constant)} of {x.shape[1]:,} features constant"
    return Finding("inputs", OK, "inputs", evidence, figures=figures)


def check_features(patient: Patient) -> Finding:
    """Checks whether features are copies of each other, up to scale and offset."""
    x = patient.probe.x.reshape(len(patient.probe.x), -1).astype(np.float64)
    x -= x.mean(axis=0)
    size = np.sqrt(np.square(x).sum(axis=0))
    varying = np.flatnonzero(size > 1e-6 * size.max())
    x = x[:, varying] / size[varying]
    # Copies are at the same or the opposite point of the sphere, so they are neighbours along a random direction.
    along = np.random.default_rng((patient.seeds["data_seed"], len(varying))).standard_normal(len(x)) @ x
    x, along = x * np.where(along < 0, -1, 1), np.abs(along)
    order = np.argsort(along, kind="stable")
    same = np.square(x[:, order[1:]] - x[:, order[:-1]]).sum(axis=0) < SAME_FEATURE
    share = float(same.sum() / len(varying))
    figures = {"varying": len(varying), "copies": int(same.sum())}
    evidence = f"{int(same.sum()):,} of {len(varying):,} features that vary are copies of another"
    if share > MANY_COPIES:
        i = int(same.argmax())
        first, second = sorted(varying[order[i : i + 2]].tolist())
        return Finding(
            "features",
            WARNING,
            "features-repeated",
            f"{evidence}, as {second} of {first}",
            f"there are only {len(varying) - int(same.sum()):,} different features: the input files contain the same "
            "values twice, or greyscale images are stored as several equal channels",
            ("check how the input files were written", "keep one of each"),
            {**figures, "first": [first, second]},
        )
    return Finding("features", OK, "features", evidence, figures=figures)


def check_splits(patient: Patient) -> Finding:
    """Checks whether the training set is larger than the test set, and whether both have similar samples."""
    dataset = patient.dataset
    counts = {name: len(indices) for name, indices in dataset.splits.items()}
    evidence = ", ".join(f"{count:,} {name}" for name, count in counts.items()) + " samples"
    figures: dict[str, Any] = {"samples": counts}
    if counts["train"] < counts[patient.held_out]:
        change = ["swap the two, or split the data again with most samples for training"]
        if "validation" in counts:
            change.insert(0, f"--validation-size {counts['validation'] // 4}")
        return Finding(
            "splits",
            WARNING,
            "training-set-smaller",
            evidence,
            "the training set is smaller than the test set: the files may have been swapped",
            tuple(change),
            figures,
        )
    appearance = _appearance(patient)
    if appearance is not None and appearance.verdict != OK:
        return appearance
    rng = np.random.default_rng((patient.seeds["data_seed"], counts[patient.held_out]))
    most = min(NEIGHBOURHOOD, counts["train"], counts[patient.held_out])
    if most < FEWEST_ALIKE:
        return Finding("splits", OK, "splits", evidence, figures=figures)
    draws = []
    for _ in range(DRAWS):
        train, test = (rng.permutation(dataset.indices(split))[:most] for split in ("train", patient.held_out))
        draws.append(_own_neighbours(patient.gather(train).x, patient.gather(test).x))
    own = np.mean(draws, axis=0).tolist()
    figures |= {"own_train": own[0], "own_test": own[1]}
    near = (
        f"of the {NEIGHBOURS} nearest of {most} training and {most} {patient.held_out} samples, training samples have "
        f"{percent(own[0])} and the others {percent(own[1])} of their own kind; about 50% each where both are alike"
    )
    if sum(own) / 2 > OWN_KIND or abs(own[0] - own[1]) > OWN_KIND_APART:
        return _sets_differ(near, figures)
    return Finding("splits", OK, "splits", f"{evidence}; {near}", figures=figures)


def _sets_differ(evidence: str, figures: dict[str, Any]) -> Finding:
    return Finding(
        "splits",
        WARNING,
        "train-test-differ",
        evidence,
        "a good part of the samples of one set looks like none of the other: some were altered (inverted, moved, "
        "covered, made noisy), or they come from somewhere else; what is learned from them does not help in the test",
        (
            "look at samples of both, and read both sets in the same way",
            "where altered samples are meant: --random-crop and --horizontal-flip, which alter each again at every "
            "step",
        ),
        figures,
    )


def _appearance(patient: Patient) -> Finding | None:
    """Whether the images of both sets have the same brightness, roughness and so on; None where there are no images, or
    too few. Photographs have no near neighbours: these figures of an image tell altered ones all the same."""
    dataset = patient.dataset
    if dataset.inputs.ndim != 4 or min(dataset.inputs.shape[2:]) < 4:
        return None
    most = min(COMPARED, COMPARED_NUMBERS // math.prod(dataset.inputs.shape[1:]))
    chosen = [patient.choose(split, most) for split in ("train", patient.held_out)]
    n, m = map(len, chosen)
    if min(n, m) < FEWEST_COMPARED:
        return None
    train, other = (_image_statistics(dataset.inputs[indices]) for indices in chosen)
    apart = {name: _distance(train[name], other[name]) for name in train}
    limit = USUALLY_APART + BY_CHANCE_APART * math.sqrt((n + m) / (n * m))
    name = max(apart, key=apart.__getitem__)
    figures = {"apart": apart, "limit": limit, "compared": [n, m]}
    evidence = (
        f"the {name} of {n:,} training and {m:,} {patient.held_out} images has distributions that are "
        f"{percent(apart[name])} apart, where up to {percent(limit)} is usual"
    )
    if apart[name] <= limit:
        return Finding("splits", OK, "splits", evidence, figures=figures)
    return _sets_differ(evidence, figures)


def _image_statistics(x: Num[Array, "n C H W"]) -> dict[str, Float[Array, "n"]]:
    """Figures of each image that alterations change. Those in the scale of its contrast are divided by that."""
    n, height, width = len(x), *x.shape[2:]
    x = x.astype(np.float32)
    flat, grey = x.reshape(n, -1), x.mean(axis=1)
    mean, contrast = flat.mean(axis=1), flat.std(axis=1)
    unit = np.where(contrast > 0, contrast, 1)
    z = (flat - mean[:, None]) / unit[:, None]
    steps = [np.diff(x, axis=axis) for axis in (2, 3)]
    edge = max(1, min(height, width) // 8)
    inner = grey[:, edge:-edge, edge:-edge].sum(axis=(1, 2))
    pixels, inner_pixels = height * width, (height - 2 * edge) * (width - 2 * edge)
    border = (pixels * mean - inner) / (pixels - inner_pixels)
    halves = {
        "difference of top and bottom": (grey[:, : height // 2], grey[:, -(height // 2) :]),
        "difference of left and right": (grey[:, :, : width // 2], grey[:, :, -(width // 2) :]),
    }
    statistics = {
        "brightness": mean,
        "contrast": contrast,
        "skewness of the values": np.einsum("nd,nd,nd->n", z, z, z) / z.shape[1],
        "roughness": np.sqrt(sum(np.einsum("nchw,nchw->n", step, step) / step[0].size for step in steps) / 2) / unit,
        "share of equal neighbours": sum((step == 0).all(axis=1).mean(axis=(1, 2)) for step in steps) / 2,
        "difference of border and middle": (border - mean) / unit,
        "darkest value": flat.min(axis=1),
        "brightest value": flat.max(axis=1),
        **{name: (a.mean(axis=(1, 2)) - b.mean(axis=(1, 2))) / unit for name, (a, b) in halves.items()},
    }
    if x.shape[1] > 1:
        statistics["colour"] = x.std(axis=1).mean(axis=(1, 2)) / unit
        statistics["difference of the first and last channel"] = (x[:, 0] - x[:, -1]).mean(axis=(1, 2)) / unit
    return {name: np.round(values.astype(np.float64), 6) for name, values in statistics.items()}


def _distance(a: Float[Array, "n"], b: Float[Array, "m"]) -> float:
    """The largest difference of two distribution functions (Kolmogorov and Smirnov): 0 to 1."""
    both = np.concatenate([a, b])
    below = [np.searchsorted(np.sort(values), both, side="right") / len(values) for values in (a, b)]
    return float(np.abs(below[0] - below[1]).max())


def _own_neighbours(a: Float[Array, "n ..."], b: Float[Array, "n ..."]) -> tuple[float, float]:
    """The fraction of nearest neighbours, among both sets, that belong to the same set. Copies do not count.

    Source: Henze (1988), A multivariate two-sample test based on the number of nearest neighbor type coincidences.
    """
    n = len(a)
    x = np.concatenate([a, b]).reshape(2 * n, -1).astype(np.float64)
    norms = np.square(x).sum(axis=1)
    distances = norms[:, None] + norms - 2.0 * (x @ x.T)
    distances[distances <= 1e-9 * norms.max()] = np.inf
    near = np.argpartition(distances, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
    own = (near >= n) == (np.arange(2 * n) >= n)[:, None]
    return float(own[:n].mean()), float(own[n:].mean())


def check_labels(patient: Patient) -> list[Finding]:
    """Checks whether there are several classes, and whether similar samples have the same label."""
    if patient.regression:
        return [target_checks.check_targets(patient)]
    dataset, k = patient.dataset, patient.classes
    train = dataset.labels[patient.train_indices]
    counts = np.bincount(train, minlength=k)
    share = counts.max() / len(train)
    figures = {"counts": counts.tolist()}
    if (counts > 0).sum() == 1:
        only = dataset.classes[int(counts.argmax())]
        return [
            Finding(
                "labels",
                PROBLEM,
                "one-class-only",
                f"all {len(train):,} training labels are {only!r}, of {k} classes",
                "the loss decreases to 0, but the network only learns to predict this label",
                ("shuffle the data before splitting it, or check how the labels were read",),
                figures,
            )
        ]
    missing = [dataset.classes[i] for i in np.flatnonzero(counts == 0)]
    if missing:
        return [
            Finding(
                "labels",
                WARNING,
                "classes-missing",
                f"{len(missing)} of {k} classes have no training sample: {', '.join(missing[:5])}",
                "the network will never predict these classes",
                ("shuffle the data before splitting it, or check how the labels were read",),
                figures,
            )
        ]
    if share > MOST_OF_ONE_CLASS:
        return [
            Finding(
                "labels",
                WARNING,
                "classes-unbalanced",
                f"{percent(share)} of the training labels are {dataset.classes[int(counts.argmax())]!r}",
                f"always predicting that class is right in {percent(share)} of cases: judge by the loss, not the "
                "accuracy",
                ("use the same number of samples for each class",),
                figures,
            )
        ]
    return _neighbours(patient, figures)


def _neighbours(patient: Patient, figures: dict) -> list[Finding]:
    """Compares the labels with those of the nearest training samples."""
    rng = np.random.default_rng((patient.seeds["data_seed"], NEIGHBOURS))
    chosen = rng.permutation(patient.train_indices)[: REFERENCES + QUERIES]
    queries = min(QUERIES, len(chosen) // 3)
    references = patient.gather(chosen[queries:])
    findings = []
    splits = {"train": chosen[:queries], patient.held_out: patient.choose(patient.held_out, QUERIES)}
    for split, indices in splits.items():
        asked = patient.gather(indices)
        agreement, expected, deviations = _agreement(references.x, references.labels, asked.x, asked.labels)
        figures = {
            **figures,
            f"{split}_agreement": agreement,
            f"{split}_chance": expected,
            f"{split}_deviations": deviations,
        }
        evidence = (
            f"{NEIGHBOURS} nearest neighbours name {percent(agreement)} of {len(indices)} {split} labels; "
            f"labels drawn at random would give {percent(expected)}"
        )
        if deviations >= RELATED:
            if split == patient.held_out:
                findings.append(Finding("labels", OK, "labels", evidence, figures=figures))
            continue
        if len(indices) < 50:
            findings.append(
                Finding("labels", CANNOT_JUDGE, "labels", f"only {len(indices)} {split} samples", figures=figures)
            )
        elif split == "train":
            findings.append(_unrelated(patient, evidence, figures))
        else:
            findings.append(
                Finding(
                    "labels",
                    PROBLEM,
                    "test-labels-unrelated",
                    evidence,
                    "training labels match the inputs, but test labels do not: they are shuffled or in a different "
                    "order",
                    ("check how the test labels were read",),
                    figures,
                )
            )
        break
    return findings


def _unrelated(patient: Patient, evidence: str, figures: dict) -> Finding:
    return Finding(
        "labels",
        PROBLEM,
        "labels-unrelated",
        evidence,
        "similar samples have different labels, as if inputs and labels had been shuffled independently: a network "
        "can only memorise such labels",
        (
            "check that inputs and labels are read, sorted and shuffled together",
            f"handgrad data check {patient.dataset.name}",
        ),
        figures,
    )


def _agreement(
    references: Float[Array, "R ..."],
    labels: Integer[Array, "R"],
    asked: Float[Array, "Q ..."],
    truth: Integer[Array, "Q"],
) -> tuple[float, float, float]:
    """The accuracy of the majority of the nearest neighbours, the accuracy expected by chance (if labels were
    independent of the inputs), and the difference in standard deviations."""
    a = asked.reshape(len(asked), -1)
    b = references.reshape(len(references), -1)
    distances = np.square(b, dtype=np.float64).sum(axis=1) - 2.0 * (a @ b.T)
    near = np.argpartition(distances, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
    k = int(max(labels.max(), truth.max())) + 1
    votes = (labels[near][..., None] == np.arange(k)).sum(axis=1)
    named = votes.argmax(axis=1)
    right = float((named == truth).mean())
    expected = float((np.bincount(named, minlength=k) / len(named)) @ (np.bincount(truth, minlength=k) / len(truth)))
    spread = math.sqrt(max(expected * (1 - expected), 1e-12) / len(truth))
    return right, expected, (right - expected) / spread


def check_duplicates(patient: Patient) -> Finding:
    """Checks for test samples that are exact copies of training samples."""
    dataset = patient.dataset
    hashes = {i: hash(dataset.inputs[i].tobytes()) for i in patient.train_indices}
    train = set(hashes.values())
    test = dataset.indices(patient.held_out)
    known = sum(hash(dataset.inputs[i].tobytes()) in train for i in test) / len(test)
    repeated = 1 - len(train) / len(hashes)
    figures = {"test_in_train": known, "repeated_in_train": repeated}
    evidence = (
        f"{percent(known)} of {len(test):,} {patient.held_out} samples are training samples too, "
        f"{percent(repeated)} of the training samples repeat another"
    )
    if known > SOME_KNOWN:
        return Finding(
            "duplicates",
            PROBLEM if known > MANY_KNOWN else WARNING,
            "test-in-train",
            evidence,
            "the test set contains samples that the network was trained on, so the test accuracy is too optimistic",
            ("remove the training samples from the test set",),
            figures,
        )
    if repeated > (MANY_IMAGES_REPEATED if dataset.inputs.ndim == 4 else MANY_REPEATED):
        return Finding(
            "duplicates",
            WARNING,
            "samples-repeated",
            evidence,
            "there are fewer distinct samples than it seems",
            ("remove duplicates",),
            figures,
        )
    return Finding("duplicates", OK, "duplicates", evidence, figures=figures)


def _not_finite(dataset: Dataset) -> Integer[Array, "n"]:
    """Samples that contain NaN or infinity."""
    if dataset.inputs.dtype.kind != "f":
        return np.empty(0, np.int64)
    bad = [
        i + np.flatnonzero(~np.isfinite(part.reshape(len(part), -1)).all(axis=1))
        for i in range(0, len(dataset.inputs), 1024)
        for part in [dataset.inputs[i : i + 1024]]
    ]
    return np.concatenate(bad) if bad else np.empty(0, np.int64)


def _rms(x: Float[Array, "..."]) -> float:
    return math.sqrt(float(np.square(x, dtype=np.float64).mean()))

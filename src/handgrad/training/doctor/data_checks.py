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
MAX_CONSTANT = 0.9
#: Maximum ratio of the spreads of test and training inputs.
MAX_SPREAD_RATIO = 3.0
#: Maximum fraction of samples in one class.
MAX_CLASS_SHARE = 0.9
#: Number of standard deviations by which the neighbours' predictions must exceed chance for labels to count as related.
MIN_DEVIATIONS = 4.0
NEIGHBOURS, REFERENCES, QUERIES = 5, 2000, 500
#: Maximum fraction of duplicated features, and the squared distance of two duplicates, both normalised to length 1.
MAX_DUPLICATE_FEATURES, DUPLICATE_DISTANCE = 0.1, 1e-6
#: Fraction of neighbours from a sample's own set, where 0.5 is expected: up to 0.52 on average for the digits, MNIST
#: and CIFAR-10, and a difference of up to 0.1 between the sets. With half of the training images inverted it is 0.66 to
#: 0.70 (digits, MNIST), mirrored 0.62 to 0.64; with noisy ones the difference is 0.30 to 0.46.
MAX_SAME_SET, MAX_SAME_SET_DIFFERENCE = 0.58, 0.25
SAMPLES_PER_SET, MIN_SAMPLES_PER_SET = 500, 200
#: Number of draws of samples of both sets. A few images are near neighbours of all others; with a single draw, they
#: caused a difference of 0.25 between the sets of CIFAR-10.
DRAWS = 4
#: Number of images per set whose statistics are compared, and the maximum distance of their distributions, in addition
#: to that expected by chance: it is up to 0.06 for MNIST, Fashion-MNIST and CIFAR-10 (2,000 and 2,000 images), 0.13 for
#: the digits (1,438 and 359). If half of the training images are altered, it is at most 0.5.
IMAGES_PER_SET, MAX_VALUES_PER_SET, MIN_IMAGES = 2000, 2**23, 50
USUAL_DISTANCE, CHANCE_DISTANCE = 0.1, 1.95
#: Maximum fractions of test samples that are also training samples.
KNOWN_WARNING, KNOWN_PROBLEM = 0.01, 0.1
#: Maximum fraction of duplicate training samples: rows of a table with few columns are often equal, images are not.
MAX_REPEATED_ROWS, MAX_REPEATED_IMAGES = 0.5, 0.2


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
            f"{len(bad):,} of {len(dataset.inputs):,} samples contain NaN or infinity, the first is {sample}",
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
    if constant > MAX_CONSTANT:
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
    if not 1 / MAX_SPREAD_RATIO < there / here < MAX_SPREAD_RATIO:
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
    same = np.square(x[:, order[1:]] - x[:, order[:-1]]).sum(axis=0) < DUPLICATE_DISTANCE
    share = float(same.sum() / len(varying))
    figures = {"varying": len(varying), "copies": int(same.sum())}
    evidence = f"{int(same.sum()):,} of {len(varying):,} features that vary are copies of another"
    if share > MAX_DUPLICATE_FEATURES:
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
    most = min(SAMPLES_PER_SET, counts["train"], counts[patient.held_out])
    if most < MIN_SAMPLES_PER_SET:
        return Finding("splits", OK, "splits", evidence, figures=figures)
    draws = []
    for _ in range(DRAWS):
        train, test = (rng.permutation(dataset.indices(split))[:most] for split in ("train", patient.held_out))
        draws.append(_same_set_neighbours(patient.gather(train).x, patient.gather(test).x))
    own = np.mean(draws, axis=0).tolist()
    figures |= {"own_train": own[0], "own_test": own[1]}
    near = (
        f"of the {NEIGHBOURS} nearest of {most} training and {most} {patient.held_out} samples, training samples have "
        f"{percent(own[0])} and the others {percent(own[1])} from their own set; about 50% each if the sets are similar"
    )
    if sum(own) / 2 > MAX_SAME_SET or abs(own[0] - own[1]) > MAX_SAME_SET_DIFFERENCE:
        return _sets_differ(near, figures)
    return Finding("splits", OK, "splits", f"{evidence}; {near}", figures=figures)


def _sets_differ(evidence: str, figures: dict[str, Any]) -> Finding:
    return Finding(
        "splits",
        WARNING,
        "train-test-differ",
        evidence,
        "many samples of one set do not look like those of the other: some were altered (inverted, shifted, covered, "
        "made noisy), or they come from a different source; what is learned from them does not help in the test",
        (
            "look at samples of both sets, and read both in the same way",
            "if altered samples are intended: --random-crop and --horizontal-flip, which alter each one anew in every "
            "step",
        ),
        figures,
    )


def _appearance(patient: Patient) -> Finding | None:
    """Checks whether the images of both sets have similar statistics (brightness, roughness, …); None if there are no
    images, or too few. This also detects altered photographs, which have no near neighbours."""
    dataset = patient.dataset
    if dataset.inputs.ndim != 4 or min(dataset.inputs.shape[2:]) < 4:
        return None
    most = min(IMAGES_PER_SET, MAX_VALUES_PER_SET // math.prod(dataset.inputs.shape[1:]))
    chosen = [patient.choose(split, most) for split in ("train", patient.held_out)]
    n, m = map(len, chosen)
    if min(n, m) < MIN_IMAGES:
        return None
    train, other = (_image_statistics(dataset.inputs[indices]) for indices in chosen)
    apart = {name: _distance(train[name], other[name]) for name in train}
    limit = USUAL_DISTANCE + CHANCE_DISTANCE * math.sqrt((n + m) / (n * m))
    name = max(apart, key=apart.__getitem__)
    figures = {"apart": apart, "limit": limit, "compared": [n, m]}
    evidence = (
        f"the {name} of {n:,} training and {m:,} {patient.held_out} images has distributions that "
        f"differ by {percent(apart[name])}; up to {percent(limit)} is usual"
    )
    if apart[name] <= limit:
        return Finding("splits", OK, "splits", evidence, figures=figures)
    return _sets_differ(evidence, figures)


def _image_statistics(x: Num[Array, "n C H W"]) -> dict[str, Float[Array, "n"]]:
    """Statistics of each image that alterations change, relative to its contrast where they scale with it."""
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


def _same_set_neighbours(a: Float[Array, "n ..."], b: Float[Array, "n ..."]) -> tuple[float, float]:
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
    if share > MAX_CLASS_SHARE:
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
        if deviations >= MIN_DEVIATIONS:
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
        f"{percent(known)} of {len(test):,} {patient.held_out} samples are also training samples, "
        f"{percent(repeated)} of the training samples are duplicates"
    )
    if known > KNOWN_WARNING:
        return Finding(
            "duplicates",
            PROBLEM if known > KNOWN_PROBLEM else WARNING,
            "test-in-train",
            evidence,
            "the test set contains samples that the network was trained on, so the test accuracy is too optimistic",
            ("remove the training samples from the test set",),
            figures,
        )
    if repeated > (MAX_REPEATED_IMAGES if dataset.inputs.ndim == 4 else MAX_REPEATED_ROWS):
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

"""Checks of the data: inputs, labels, and the relation of training and test samples."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from handgrad._typing import Array, Float, Integer
from handgrad.data import Dataset
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
#: Maximum fractions of test samples that are also training samples.
SOME_KNOWN, MANY_KNOWN = 0.01, 0.1


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
        return Finding(
            "splits",
            WARNING,
            "train-test-differ",
            near,
            "many samples of one set are unlike those of the other: they were altered (inverted, shifted, covered, "
            "noisy) or have a different source, so training on them does not help in the test",
            (
                "inspect samples of both sets, and read both in the same way",
                "if the alterations are intended: --random-crop and --horizontal-flip, which augment each sample "
                "differently at every step",
            ),
            figures,
        )
    return Finding("splits", OK, "splits", f"{evidence}; {near}", figures=figures)


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
    if repeated > 0.5:
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

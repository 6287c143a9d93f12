"""Examination of a configuration or a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from threadpoolctl import threadpool_limits

from handgrad.data import Dataset
from handgrad.errors import RunError
from handgrad.training.config import TrainConfig
from handgrad.training.doctor import curve_checks, data_checks, learning_checks, network_checks
from handgrad.training.doctor.findings import CANNOT_JUDGE, OK, PROBLEM, WARNING, Finding, Report
from handgrad.training.doctor.inside import Look
from handgrad.training.doctor.patient import Patient, State
from handgrad.training.run import CHECKPOINT, Run, load_dataset

#: Total number of steps of all trials.
BUDGET = 2000
#: Total multiply-adds of all trials: large networks get fewer steps, so that an examination remains short.
MULTIPLY_ADDS = 4e11

#: Minimum number of steps after which a trial is informative about dropout and running statistics.
MIN_INFORMATIVE_STEPS = 50

DATA, START, TRIALS, TRAINED, FIGURES = (
    "the data",
    "at the first step",
    "short trials",
    "the trained network",
    "the metrics of the run",
)

Progress = Callable[[str], Any]


def examine(
    config: TrainConfig,
    *,
    dataset: Dataset | None = None,
    budget: int | None = None,
    subject: str = "",
    progress: Progress = lambda part: None,
) -> Report:
    """Examines a configuration before training.

    Arguments:
        config: the settings.
        dataset: its data, if already loaded.
        budget: total number of steps of all trials; by default 2,000, fewer for large networks.
        subject: name in the report.
        progress: called with the name of each part at its start.

    Returns: the report. The same settings and budget give the same report.

    Raises:
        ConfigError: invalid setting.
        DataError: the data cannot be loaded.
    """
    progress(DATA)
    dataset = load_dataset(config) if dataset is None else dataset
    report = Report(subject or config.recipe or f"{config.dataset}, {config.model}")
    patient = Patient(config, dataset)
    with threadpool_limits(1, user_api="blas"):  # engines divide the work themselves
        if examine_data(patient, report):
            progress(START)
            report.parts[START] = []  # shown before the trials, judged after them
            _examine_start(patient, report, budget, progress)
    report.settle()
    return report


def examine_run(
    run: Run,
    *,
    config: TrainConfig | None = None,
    dataset: Dataset | None = None,
    budget: int | None = None,
    progress: Progress = lambda part: None,
) -> Report:
    """Examines a run: settings before the first step, current network, and metrics. The run is not modified.

    Arguments:
        run: the run.
        config: settings to examine instead of those of the run.
        dataset, budget, progress: as for `examine`.

    Raises:
        RunError: a file of the run cannot be read.
        DataError: the data cannot be loaded.
    """
    config = config or run.config
    progress(DATA)
    dataset = load_dataset(config) if dataset is None else dataset
    report = examine(config, dataset=dataset, budget=budget, subject=str(run.path), progress=progress)
    own = Patient(run.config, dataset)
    if "inputs-not-finite" not in report.diagnoses:
        with threadpool_limits(1, user_api="blas"):
            progress(TRAINED)
            found = weights_of(run)
            if found is None:
                report.add(TRAINED, Finding("weights", CANNOT_JUDGE, "weights", "the run has saved no weights yet"))
            else:
                name, state = found
                report.series["weights"] = name
                examine_trained(own, state, report)
    finished = (run.path / "summary.json").exists()
    report.add(
        FIGURES,
        curve_checks.check_curve(
            run.metrics,
            own.chance,
            own.most_frequent,
            finished=finished,
            run_dir=str(run.path),
            problems=[finding.diagnosis for finding in report.having(PROBLEM)],
        ),
    )
    report.settle()
    return report


def weights_of(run: Run) -> tuple[str, State] | None:
    """The latest saved weights of a run: of its last step, its checkpoint, or its best evaluation."""
    for name in ("model.safetensors", CHECKPOINT, "best.safetensors"):
        if (run.path / name).exists():
            arrays, _ = run.folder.arrays(name)
            if name == CHECKPOINT:
                arrays = {n.removeprefix("model/"): a for n, a in arrays.items() if n.startswith("model/")}
            return name, arrays
    return None


def examine_data(patient: Patient, report: Report) -> bool:
    """Adds the checks of the data; returns False if they are unusable for training."""
    inputs = data_checks.check_inputs(patient)
    report.add(DATA, inputs)
    if inputs.diagnosis in ("inputs-not-finite", "inputs-constant"):
        return False
    report.add(DATA, data_checks.check_features(patient), data_checks.check_splits(patient))
    report.add(DATA, *data_checks.check_labels(patient), data_checks.check_duplicates(patient))
    return True


def _examine_start(patient: Patient, report: Report, budget: int | None, progress: Progress) -> None:
    inside = patient.inside
    if inside is None:
        report.add(START, network_checks.not_inspected("signal", patient))
        report.add(TRIALS, network_checks.not_inspected("learning-rate", patient))
        return
    weights = network_checks.check_weights(inside, patient.start_state)
    look = inside.look(patient.start_state, patient.probe.x, patient.probe.labels)
    report.series["start"] = [layer.to_dict() for layer in look.layers]

    progress(TRIALS)
    budget = _budget(patient) if budget is None else budget
    test = _examine_trials(patient, report, budget)
    # Something unusual at the start that does not prevent learning is a warning, not a problem.
    severity = WARNING if test is not None and test.enough else PROBLEM
    report.add(START, weights)
    if weights.verdict == OK:
        report.add(START, *start_findings(patient, look, severity))


def start_findings(patient: Patient, look: Look, severity: str) -> list[Finding]:
    """All checks of the network before the first step."""
    findings = [
        network_checks.check_input_scale(patient, look, severity),
        network_checks.check_signal(look, severity),
        network_checks.check_initial_loss(patient, look, severity),
        network_checks.check_dead_units(look, trained=False),
        network_checks.check_saturation(look, severity, trained=False),
        network_checks.check_gradient(look, severity),
    ]
    return [finding for finding in findings if finding is not None]


def _budget(patient: Patient) -> int:
    step = 3 * patient.config.batch_size * max(1, patient.architecture.multiply_adds)
    return int(min(BUDGET, max(2 * learning_checks.MIN_STEPS, MULTIPLY_ADDS / step)))


def _examine_trials(patient: Patient, report: Report, budget: int) -> learning_checks.RangeTest | None:
    steps = learning_checks.trial_steps(patient, budget)
    test = None
    if steps >= learning_checks.MIN_STEPS:
        test = learning_checks.range_test(patient, steps)
        own = test.own
        rate = test.named_text if test.learns else None
        rate_finding = learning_checks.check_learning_rate(test)
        too_high = rate_finding.diagnosis == "learning-rate-too-high"
        report.series["range_test"] = rate_finding.figures
        report.add(TRIALS, rate_finding)
    else:
        few = max(1, budget // 2)
        own = patient.trial(patient.rates(few), few, looks=tuple(sorted({1, 2, 5, few} & set(range(1, few + 1)))))
        rate, too_high = None, False
        needed = learning_checks.SHARES * learning_checks.MIN_STEPS
        evidence = f"budget={budget} steps leave {steps} for each rate, and {learning_checks.MIN_STEPS} are needed"
        advice = (f"--budget {needed} (takes as long as {needed} steps of training)",)
        report.add(TRIALS, Finding("learning-rate", CANNOT_JUDGE, "learning-rate", evidence, "too few to tell", advice))
    report.series["updates"] = [{"step": step, **ratios} for step, ratios in own.updates]
    report.add(
        TRIALS,
        learning_checks.check_finite(own, rate),
        learning_checks.check_updates(patient, own, rate, too_high=too_high),
    )
    report.add(
        TRIALS,
        learning_checks.check_one_batch(patient, test, min(learning_checks.ONE_BATCH_STEPS, max(1, budget // 4))),
    )
    state = own.states.get(own.steps) if own.steps >= MIN_INFORMATIVE_STEPS else None
    for finding in (
        network_checks.check_dropout(patient, state),
        network_checks.check_normalization(patient, state, trained=False),
    ):
        if finding is not None:
            report.add(TRIALS, finding)
    return test


def examine_trained(patient: Patient, state: State, report: Report, part: str = TRAINED) -> Look | None:
    """Adds the checks of a trained network."""
    inside = patient.inside
    if inside is None:
        report.add(part, network_checks.not_inspected("weights", patient))
        return None
    try:
        weights = network_checks.check_weights(inside, state)
        if weights.diagnosis == "weights-not-finite":
            report.add(part, weights)
            return None
        look = inside.look(state, patient.probe.x, patient.probe.labels, training=False)
    except ValueError as error:
        raise RunError(f"the saved weights do not fit the run's config.toml: {error}") from None
    report.add(part, weights, network_checks.check_dead_units(look, trained=True))
    for finding in (
        network_checks.check_saturation(look, WARNING, trained=True),
        network_checks.check_normalization(patient, state, trained=True),
    ):
        if finding is not None:
            report.add(part, finding)
    report.series["trained"] = [layer.to_dict() for layer in look.layers]
    return look

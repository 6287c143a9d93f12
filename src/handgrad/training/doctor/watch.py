"""Watching a run in progress without affecting it: its results are bit-for-bit the same."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from handgrad.engines import DivergedError, Engine
from handgrad.errors import NonFiniteError, RunError
from handgrad.training.config import TrainConfig
from handgrad.training.doctor import curve_checks, learning_checks, network_checks
from handgrad.training.doctor.examine import FIGURES, TRAINED, examine, examine_trained
from handgrad.training.doctor.files import write_report
from handgrad.training.doctor.findings import PROBLEM, Finding, Report
from handgrad.training.doctor.patient import Patient, update_ratios
from handgrad.training.reporter import Reporter
from handgrad.training.run import load_dataset

TRAINING = "while training"


class Watch(Reporter, contextlib.AbstractContextManager):
    """A reporter that examines a run before its start and at every evaluation, and forwards all events.

    It works on copies of the state of the engine. The effect of a step on the weights is measured with a second engine,
    which runs that step on the copy.

    Arguments:
        inner: the reporter that receives all events.
        begun: called with the report of the settings, before the first step.

    Attributes:
        report: the findings so far.
    """

    def __init__(self, inner: Reporter, begun: Callable[[Report], Any] = lambda report: None) -> None:
        self.inner, self.begun = inner, begun
        self.report = Report("")
        self.records: list[dict[str, Any]] = []
        self.updates: list[tuple[int, dict[str, float]]] = []
        self.judged: list[tuple[int, dict[str, float]]] = []  # the last step with about the full learning rate
        self.dead: list[dict[str, Any]] = []
        self._reported: set[str] = set()
        self.folder: Path | None = None

    def started(self, run_dir: Path, config: TrainConfig, engine: Engine, steps: int, first_step: int) -> None:
        dataset = load_dataset(config)
        self.folder = run_dir / "doctor"
        self.report = Report(str(run_dir))
        if first_step == 0:
            self.report = examine(config, dataset=dataset, subject=str(run_dir))
            self.begun(self.report)
        self.engine, self.patient = engine, Patient(config, dataset)
        self.inner.started(run_dir, config, engine, steps, first_step)

    def stepped(self, step: int, loss: float) -> None:
        self.inner.stepped(step, loss)

    def evaluated(self, record: dict[str, Any]) -> None:
        self.inner.evaluated(record)
        self.records.append(record)
        patient, step = self.patient, record["step"]
        if patient.inside is None:
            return
        state = self.engine.state_dict()
        look = patient.inside.look(state, patient.probe.x, patient.probe.labels, training=False, gradients=False)
        self.dead.append({"step": step, **{layer.label: [layer.dead, layer.units] for layer in look.activations}})
        patient.engine.restore(*self.engine.checkpoint())
        with contextlib.suppress(DivergedError):  # the run itself will raise it
            patient.engine.train(patient.order.batches(step, step + 1), np.array([record["learning_rate"]]))
            ratios = update_ratios(state, patient.engine.state_dict())
            self.updates.append((step + 1, ratios))
            if record["learning_rate"] >= learning_checks.SMALL_RATE * patient.config.learning_rate:
                self.judged = [(step + 1, ratios)]
        for finding in self._findings(look):
            if finding.verdict == PROBLEM and finding.diagnosis not in self._reported:
                self._reported.add(finding.diagnosis)
                self.inner.note(f"doctor: {finding.diagnosis} at step {step}: {finding.evidence}")

    def _findings(self, look) -> list[Finding]:
        found = [network_checks.check_dead_units(look, trained=True)]
        if self.judged:
            found.append(learning_checks.judge_updates(self.judged, self.patient.steps, None))
        return found

    def finished(self, summary: dict[str, Any]) -> None:
        self._conclude()
        self.inner.finished(summary)

    def note(self, text: str) -> None:
        self.inner.note(text)

    def __exit__(self, kind, error, trace) -> None:
        if isinstance(error, NonFiniteError) and self.folder is not None:
            why = str(error).partition(". Evaluations up to")[0]
            change = ("a third of the --learning-rate", "--clip-norm 1")
            meaning = "values grew until they overflowed"
            self.report.add(TRAINING, Finding("finite", PROBLEM, "diverges", why, meaning, change))
            self._conclude()
        if isinstance(self.inner, contextlib.AbstractContextManager):
            self.inner.__exit__(kind, error, trace)

    def _conclude(self) -> None:
        assert self.folder is not None
        patient = self.patient
        if self.judged:
            self.report.add(TRAINING, learning_checks.judge_updates(self.judged, patient.steps, None))
            self.report.series["watched_updates"] = [{"step": step, **ratios} for step, ratios in self.updates]
            self.report.series["watched_dead"] = self.dead
        examine_trained(patient, self.engine.state_dict(), self.report, TRAINED)
        self.report.add(
            FIGURES,
            curve_checks.check_curve(
                self.records,
                patient.chance,
                patient.most_frequent,
                finished="finite" not in {finding.check for finding in self.report.parts.get(TRAINING, ())},
                run_dir=str(self.folder.parent),
                problems=[finding.diagnosis for finding in self.report.having(PROBLEM)],
            ),
        )
        self.report.settle()
        try:
            failed = write_report(self.report, self.folder)
        except RunError as error:  # the run is saved, and the report is printed
            failed, self.folder = [str(error)], None
        for line in failed:
            self.inner.note(line)

"""Checks by short trials: whether the network learns, with which learning rate, and how its weights change."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from handgrad.training.doctor.findings import CANNOT_JUDGE, FIX_FIRST, OK, PROBLEM, WARNING, Finding, number, percent
from handgrad.training.doctor.inside import LayerLook
from handgrad.training.doctor.patient import Patient, Trial

#: Learning rates of the range test, in addition to that of the run.
RATES = tuple(float(f"{digit}e{power}") for power in range(-6, 2) for digit in (1, 3))[:-1]
#: Number of trials by which the budget is divided: those of the range test, and the same number for the other checks.
SHARES = 20
STEPS, MIN_STEPS = 100, 20
#: Minimum number of steps after which a rate is too high if it makes less progress than a lower one; with fewer steps,
#: only if it makes none. With so few steps, a trial is also inconclusive if no rate makes progress.
MIN_CONCLUSIVE_STEPS = 50
#: Progress is the decrease of the loss below that of an uninformed prediction, relative to the best rate. The first
#: number is the minimum progress of a sufficient rate, the second that of a recommended rate.
HIGH_PROBLEM, HIGH_WARNING = 0.6, 0.7
LOW_PROBLEM, LOW_WARNING = 0.3, 0.5
RECOMMENDED = 0.9
#: Decrease of the loss, relative to that of an uninformed prediction, below which nothing was learned.
MIN_DECREASE = 0.02
#: Root mean square of an update relative to that of the weight.
MAX_UPDATE = 0.3
#: The same, times the number of steps of the run: how much a weight can change in total.
MIN_TOTAL_CHANGE = 0.02
#: Fraction of the full learning rate below which small updates are due to the schedule.
SMALL_RATE = 0.1
ONE_BATCH, ONE_BATCH_STEPS, MIN_ONE_BATCH_STEPS = 32, 200, 100
#: Accuracy, and R², from which a batch counts as overfitted; a regression never matches its targets exactly.
OVERFITTED_ACCURACY, OVERFITTED_R2 = 0.95, 0.6


@dataclass
class RangeTest:
    """The loss after a short trial with each of several learning rates.

    Attributes:
        trials: by increasing rate, including the rate of the run.
        own: the trial with the rate of the run.
        chance: the loss of an uninformed prediction.
        before: the loss before any step.
        run_steps: number of steps of the run; `travel` is the equivalent number of steps at the full rate.
    """

    trials: list[Trial]
    own: Trial
    chance: float
    before: float
    run_steps: int
    travel: float

    @property
    def base(self) -> float:
        return min(self.chance, self.before)

    @property
    def best(self) -> Trial:
        return min(self.trials, key=lambda trial: trial.loss)

    @property
    def learns(self) -> bool:
        """Whether any rate makes progress."""
        return self.best.loss < (1 - MIN_DECREASE) * self.base

    def progress(self, loss: float) -> float:
        """Decrease of the loss relative to that of the best rate."""
        return (self.base - loss) / (self.base - self.best.loss) if self.learns else 0.0

    @property
    def within_reach(self) -> float:
        """The lowest loss that the rate of the run may reach in all its steps: T steps with rate η make about as
        much progress as n steps with rate η·T/n."""
        farthest = self.own.rate * max(1.0, self.travel / max(1, self.own.steps))
        reached = [t.loss for t in self.trials if self.own.rate <= t.rate <= farthest]
        above = next((t for t in self.trials if t.rate > farthest), None)
        below = max((t for t in self.trials if t.rate <= farthest), key=lambda t: t.rate)
        if above is not None and math.isfinite(above.loss) and math.isfinite(below.loss):
            share = math.log(farthest / below.rate) / math.log(above.rate / below.rate)
            reached.append(below.loss + share * (above.loss - below.loss))
        return min(reached)

    @property
    def named(self) -> float:
        """The lowest rate with almost the progress of the best one, far from where the loss diverges."""
        return next(t.rate for t in self.trials if self.progress(t.loss) >= RECOMMENDED)

    @property
    def named_text(self) -> str:
        return rate_text(self.named)

    @property
    def enough(self) -> bool:
        """Whether the run will learn with its settings."""
        return self.learns and self.progress(min(self.own.loss, self.within_reach)) >= LOW_WARNING


def rate_text(rate: float) -> str:
    """A learning rate in the form that users type."""
    return f"{float(f'{rate:.2g}'):g}".replace("e-0", "e-").replace("e+0", "e+")


def trial_steps(patient: Patient, budget: int) -> int:
    """Number of steps per trial: a fraction of the budget, at most `STEPS`."""
    return min(STEPS, budget // SHARES)


def range_test(patient: Patient, steps: int) -> RangeTest:
    """A trial with each of `RATES` and with the rate of the run."""
    own = patient.config.learning_rate
    looks = tuple(sorted({1, 2, 5, 10, 20, 50, steps} & set(range(1, steps + 1))))
    own_trial = patient.trial(patient.rates(steps), steps, looks=looks)
    own_trial.rate = own
    others = [patient.trial(rate, steps) for rate in RATES if not math.isclose(rate, own, rel_tol=0.05)]
    before, _ = patient.loss_of(patient.start_state)
    return RangeTest(
        sorted([*others, own_trial], key=lambda trial: trial.rate),
        own_trial,
        patient.chance,
        before,
        patient.steps,
        patient.travel,
    )


def check_learning_rate(test: RangeTest) -> Finding:
    """Checks whether the loss decreases with the rate of the run."""
    own, best = test.own, test.best
    steps = max(trial.steps for trial in test.trials)
    figures = {
        "rates": [trial.rate for trial in test.trials],
        "losses": [trial.loss for trial in test.trials],
        "own_rate": own.rate,
        "own_loss": own.loss,
        "within_reach": test.within_reach,
        "named_rate": test.named if test.learns else None,
        "chance": test.chance,
        "steps": steps,
    }
    at_own = f"diverges in step {own.diverged}" if own.diverged else f"reaches a loss of {number(own.loss)}"
    if not test.learns:
        return Finding(
            "learning-rate",
            WARNING if steps >= MIN_CONCLUSIVE_STEPS else CANNOT_JUDGE,
            "nothing-learned",
            f"no rate of {RATES[0]:g} to {RATES[-1]:g} brings the loss below {number(best.loss)} in {steps} steps; "
            f"an uninformed prediction has {number(test.base)}",
            "the learning rate is not the cause: something else is wrong",
            (
                FIX_FIRST,
                "--budget 10000, if there are no other findings: some networks take long to start learning",
            ),
            figures,
        )
    progress = test.progress(own.loss)
    at_best = f"{rate_text(best.rate)} to {number(best.loss)}"
    evidence = f"in {steps} steps {rate_text(own.rate)} {at_own}, the best rate {at_best}"
    # In a few steps, the loss may still fluctuate with a good rate; then only a rate without progress is too high.
    well = HIGH_WARNING if steps >= MIN_CONCLUSIVE_STEPS else 0.0
    if best.rate < own.rate and progress < well and test.progress(test.within_reach) < HIGH_WARNING:
        return Finding(
            "learning-rate",
            PROBLEM if progress < HIGH_PROBLEM else WARNING,
            "learning-rate-too-high",
            evidence,
            "the steps are so large that they overshoot the minimum",
            (f"--learning-rate {test.named_text}",),
            figures,
        )
    reach = test.progress(test.within_reach)
    if best.rate > own.rate and reach < LOW_WARNING:
        return Finding(
            "learning-rate",
            PROBLEM if reach < LOW_PROBLEM else WARNING,
            "learning-rate-too-low",
            evidence + f"; in all its {test.run_steps:,} steps the run can reach about {number(test.within_reach)}",
            "the run ends long before it has made enough progress",
            (f"--learning-rate {test.named_text}",),
            figures,
        )
    return Finding(
        "learning-rate",
        OK,
        "learning-rate",
        evidence + f"; {test.named_text} makes almost as much progress",
        figures=figures,
    )


def check_finite(own: Trial, rate: str | None) -> Finding:
    """Checks whether all values remain finite in the trial with the rate of the run."""
    change = (f"--learning-rate {rate}",) if rate else ("a tenth of the --learning-rate", "--preprocessing standard")
    if own.diverged:
        where = own.cause.label + " is the first that is not finite" if isinstance(own.cause, LayerLook) else own.cause
        return Finding(
            "finite",
            PROBLEM,
            "diverges",
            f"step {own.diverged}: {where}",
            "values grew until they overflowed; after that, everything is NaN",
            change,
            {"step": own.diverged, "layer": own.cause.name if isinstance(own.cause, LayerLook) else None},
        )
    return Finding("finite", OK, "finite", f"{own.steps} steps without NaN or infinity")


def check_updates(patient: Patient, own: Trial, rate: str | None, *, too_high: bool = False) -> Finding:
    """Checks whether the weights change, neither too little nor too much."""
    if not own.updates:
        return Finding("updates", CANNOT_JUDGE, "updates", f"the trial diverged in step {own.diverged}")
    rates = patient.rates(own.steps)  # if a schedule has reduced the rate to almost nothing, updates are small as well
    updates = [(step, ratios) for step, ratios in own.updates if rates[step - 1] >= SMALL_RATE * rates.max()]
    return judge_updates(updates or own.updates, patient.steps, rate, too_high=too_high)


def judge_updates(
    updates: list[tuple[int, dict[str, float]]], run_steps: int, rate: str | None, *, too_high: bool = False
) -> Finding:
    """Judges the last of these updates.

    Arguments:
        updates: pairs (step, {weight: relative size of its update}).
        run_steps: number of steps of the run.
        rate: a learning rate to recommend.
        too_high: whether the learning rate is known to be too high: small updates are then due to dead units.
    """
    step, last = updates[-1]
    low, high = min(last, key=last.__getitem__), max(last, key=last.__getitem__)
    figures = {"updates": [{"step": s, **ratios} for s, ratios in updates]}
    evidence = (
        f"step {step} changes weights by {number(last[low])} ({low}) to {number(last[high])} ({high}) of their size"
    )
    change = (f"--learning-rate {rate}",) if rate else (FIX_FIRST,)
    if not last[high]:
        return Finding(
            "updates",
            PROBLEM,
            "updates-none",
            f"in step {step} no weight changes at all",
            "the gradient is zero: the units are dead",
            (*change, "--activation leaky_relu"),
            figures,
        )
    if last[high] > MAX_UPDATE:
        return Finding(
            "updates",
            WARNING,
            "updates-large",
            evidence,
            "a step that changes a weight by a third of its size destroys what earlier steps learned; 0.001 is typical",
            change,
            figures,
        )
    if not too_high and last[high] * run_steps < MIN_TOTAL_CHANGE:
        return Finding(
            "updates",
            WARNING,
            "updates-small",
            evidence + f": in {run_steps:,} steps at most {percent(last[high] * run_steps)}",
            "the weights hardly change",
            change,
            figures,
        )
    return Finding("updates", OK, "updates", evidence, figures=figures)


def check_one_batch(patient: Patient, test: RangeTest | None, steps: int) -> Finding:
    """Checks whether the network can overfit a few samples: otherwise it is broken or too small."""
    rng = np.random.default_rng((patient.seeds["data_seed"], ONE_BATCH))
    chosen = rng.permutation(patient.train_indices)[:ONE_BATCH]
    batch = patient.gather(chosen)
    repeated = np.tile(chosen, (steps, 1))
    rates = sorted(
        {test.named, test.best.rate, patient.config.learning_rate} if test and test.learns else set(RATES[4:])
    )
    if patient.regression and test and test.learns:  # noise favours low rates, but here it is to be learned
        rates.append(10 * rates[-1])
    enough = OVERFITTED_R2 if patient.regression else OVERFITTED_ACCURACY
    best: Trial | None = None
    for rate in rates:
        trial = patient.trial(rate, steps, indices=repeated)
        if trial.diverged:
            continue
        trial.loss, trial.accuracy = patient.loss_of(patient.engine.state_dict(), batch)
        if patient.regression:  # relative to predicting the mean of this batch
            trial.accuracy = 1 - (1 - trial.accuracy) / max(float(batch.labels.var(axis=0).mean()), 1e-12)
        if best is None or trial.accuracy > best.accuracy:
            best = trial
        if trial.accuracy >= enough:
            break
    if best is None:
        return Finding(
            "one-batch",
            PROBLEM,
            "cannot-learn-one-batch",
            f"{len(chosen)} samples: every rate diverges",
            "no learning rate helps: inputs or weights are too large",
            ("--preprocessing standard", "--init kaiming"),
        )
    figures = {"samples": len(chosen), "steps": steps, "loss": best.loss, "accuracy": best.accuracy, "rate": best.rate}
    evidence = (
        f"{len(chosen)} samples, {steps} steps with {rate_text(best.rate)}: {patient.measure} {best.accuracy:.2f}, "
        f"loss {number(best.loss)}"
    )
    if best.accuracy >= enough:
        return Finding("one-batch", OK, "one-batch", evidence, figures=figures)
    if steps < MIN_ONE_BATCH_STEPS:
        evidence += f"; {MIN_ONE_BATCH_STEPS} steps are needed to judge"
        return Finding("one-batch", CANNOT_JUDGE, "one-batch", evidence, change=("--budget 400",), figures=figures)
    parameters, numbers = patient.architecture.parameters, len(chosen) * patient.classes
    if patient.regression and parameters <= numbers:
        evidence += f"; {parameters} parameters cannot memorise {numbers} targets"
        return Finding("one-batch", CANNOT_JUDGE, "one-batch", evidence, figures=figures)
    config = patient.config
    change = [FIX_FIRST]
    if config.dropout:
        change.append("--dropout 0")
    if config.weight_decay:
        change.append("--weight-decay 0")
    change.append("--hidden-units with larger numbers, or --optimizer adam")
    return Finding(
        "one-batch",
        PROBLEM if best.accuracy < 0.5 else WARNING,
        "cannot-learn-one-batch",
        evidence,
        "a network that cannot overfit so few samples will not learn more: no gradient reaches its weights, or it is "
        "too small",
        tuple(change),
        figures,
    )

"""Schedules and warm-up, compared with PyTorch's over many steps."""

import json
import math

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from tests.run_files import figures

from handgrad.errors import ConfigError
from handgrad.training import Reporter, TrainConfig, train
from handgrad.training.schedules import SCHEDULES, Plateau, Schedule, laid_out_over_steps

ETA = 0.3


def rates_in_pytorch(make, steps: int) -> np.ndarray:
    """The rates of an optimiser at each step, with the scheduler called after each."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], ETA)
    scheduler = make(optimizer)
    rates = []
    for step in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < steps - 1:
            scheduler.step()
    return np.array(rates)


@pytest.mark.parametrize(("step_size", "gamma"), [(7, 0.5), (1, 0.99), (1000, 0.1), (50, 0.0)])
def test_step_is_pytorchs(step_size, gamma):
    expected = rates_in_pytorch(lambda o: torch.optim.lr_scheduler.StepLR(o, step_size, gamma), 200)
    actual = Schedule("step", ETA, 200, step_size=step_size, gamma=gamma).rates(0, 200)
    np.testing.assert_allclose(actual, expected, rtol=1e-12)


@pytest.mark.parametrize("steps", [1, 2, 10, 997])
@pytest.mark.parametrize("least", [0.0, 0.07])
def test_cosine_is_pytorchs(steps, least):
    expected = rates_in_pytorch(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, steps, least), steps)
    actual = Schedule("cosine", ETA, steps, min_learning_rate=least).rates(0, steps)
    np.testing.assert_allclose(actual, expected, rtol=1e-10)


@pytest.mark.parametrize("steps", [3, 5, 10, 997])
@pytest.mark.parametrize(("pct_start", "div_factor", "final"), [(0.3, 25.0, 1e4), (0.5, 2.0, 10.0), (0.0, 7.0, 3.0)])
def test_one_cycle_is_pytorchs(steps, pct_start, div_factor, final):
    expected = rates_in_pytorch(
        lambda o: torch.optim.lr_scheduler.OneCycleLR(
            *(o, ETA, steps), pct_start=pct_start, div_factor=div_factor, final_div_factor=final
        ),
        steps,
    )
    least = ETA / div_factor / final
    schedule = Schedule("one_cycle", ETA, steps, pct_start=pct_start, div_factor=div_factor, min_learning_rate=least)
    np.testing.assert_allclose(schedule.rates(0, steps), expected, rtol=1e-12)


def test_one_cycle_where_pytorch_divides_by_zero():
    """With pct_start·T = 1 the first step is the peak."""
    schedule = Schedule("one_cycle", ETA, 5, pct_start=0.2)
    np.testing.assert_allclose(schedule.rates(0, 5), [ETA * (1 + math.cos(math.pi * t / 4)) / 2 for t in range(5)])
    assert np.isfinite(Schedule("one_cycle", ETA, 1).rates(0, 1)).all()


@pytest.mark.parametrize(("gamma", "patience", "least"), [(0.1, 3, 0.0), (0.5, 0, 0.0), (0.5, 2, 0.1), (0.9, 10, 0.0)])
def test_plateau_is_pytorchs(gamma, patience, least):
    """Losses that decrease, stay constant, increase by chance, and become NaN."""
    rng = np.random.default_rng(0)
    losses = 1 / (1 + 0.05 * np.arange(300)) + 0.05 * rng.standard_normal(300)
    losses[100:140] = 0.2
    losses[150] = math.nan
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], ETA)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=gamma, patience=patience, min_lr=least, eps=0
    )
    schedule = Schedule("plateau", ETA, 300, gamma=gamma, plateau_patience=patience, min_learning_rate=least)
    drops = set()
    for step, loss in enumerate(losses.tolist()):
        assert schedule.rate(step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        schedule.evaluated(loss)
        scheduler.step(loss)
        drops.add(schedule.rate(step))
    assert len(drops) > 2


def test_plateau_by_hand():
    plateau = Plateau(patience=1)
    seen = []
    for loss in (2.0, 1.0, 0.99995, 1.0, 1.0, 1.0, 0.5, 0.6, 0.6):
        plateau.evaluated(loss)
        seen.append((plateau.best, plateau.worse, plateau.drops))
    # 0.99995 is better by less than a share of 1e-4, so it does not count
    assert seen == [
        *((2.0, 0, 0), (1.0, 0, 0), (1.0, 1, 0), (1.0, 0, 1), (1.0, 1, 1), (1.0, 0, 2)),
        *((0.5, 0, 2), (0.5, 1, 2), (0.5, 0, 3)),
    ]


def test_constant():
    np.testing.assert_array_equal(Schedule("constant", ETA, 10).rates(3, 8), np.full(5, ETA))


@pytest.mark.parametrize("name", sorted(set(SCHEDULES) - {"one_cycle"}))
@pytest.mark.parametrize("warmup", [1, 4, 30])
def test_warm_up_is_a_line_up_to_the_schedule(name, warmup):
    """PyTorch's `SequentialLR` of a linear warm-up and the schedule over the remaining steps."""
    whole = Schedule(name, ETA, 30, warmup_steps=warmup).rates(0, 30)
    np.testing.assert_allclose(whole[:warmup], ETA * np.arange(1, warmup + 1) / warmup, rtol=1e-15)
    np.testing.assert_array_equal(whole[warmup:], Schedule(name, ETA, 30 - warmup).rates(0, 30 - warmup))


def test_warm_up_and_cosine_are_pytorchs():
    def make(optimizer):
        line = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: (t + 1) / 20)
        wave = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 80)
        return torch.optim.lr_scheduler.SequentialLR(optimizer, [line, wave], [20])

    actual = Schedule("cosine", ETA, 100, warmup_steps=20).rates(0, 100)
    np.testing.assert_allclose(actual, rates_in_pytorch(make, 100), rtol=1e-10)


def test_the_default_step_size_is_a_third():
    rates = Schedule("step", 1.0, 10).rates(0, 10)
    np.testing.assert_allclose(rates, [1] * 4 + [0.1] * 4 + [0.01] * 2, rtol=1e-15)


@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_do_not_depend_on_how_they_are_asked_for(name):
    schedule = Schedule(name, ETA, 100, warmup_steps=0 if name == "one_cycle" else 7)
    whole = schedule.rates(0, 100)
    assert whole.shape == (100,)
    assert whole.dtype == np.float64
    np.testing.assert_array_equal(np.concatenate([schedule.rates(0, 33), schedule.rates(33, 100)]), whole)
    assert [schedule.rate(step) for step in range(100)] == whole.tolist()
    assert schedule.rates(5, 5).shape == (0,)


def test_the_state_goes_through_json():
    schedule = Schedule("plateau", ETA, 100, plateau_patience=0)
    fresh = Schedule("plateau", ETA, 100, plateau_patience=0)
    fresh.restore(json.loads(json.dumps(schedule.state())))
    for loss in (1.0, 1.0, 2.0):
        schedule.evaluated(loss)
    fresh.restore(json.loads(json.dumps(schedule.state())))
    assert fresh.rate(3) == schedule.rate(3) == pytest.approx(ETA / 100)
    for one in (schedule, fresh):
        one.evaluated(0.9)
        one.evaluated(0.9)
    assert fresh.rate(3) == schedule.rate(3) == pytest.approx(ETA / 1000)
    other = Schedule("cosine", ETA, 100)
    other.restore(other.state())
    assert other.state() == {}


# -- as settings ------------------------------------------------------------------------------------------------------


def test_the_settings_arrive():
    config = TrainConfig(schedule="cosine", learning_rate=0.5, warmup_steps=2, min_learning_rate=0.25)
    rates = config.learning_rates(6).rates(0, 6)
    np.testing.assert_allclose(rates, [0.25, 0.5, *(0.25 + 0.125 * (1 + math.cos(math.pi * t / 4)) for t in range(4))])
    config = TrainConfig(schedule="step", learning_rate=1.0, step_size=2, gamma=0.5)
    np.testing.assert_array_equal(config.learning_rates(6).rates(0, 6), [1, 1, 0.5, 0.5, 0.25, 0.25])
    config = TrainConfig(schedule="plateau", learning_rate=1.0, plateau_patience=0, gamma=0.5, min_learning_rate=0.3)
    schedule = config.learning_rates(6)
    for _ in range(5):
        schedule.evaluated(1.0)
    assert schedule.rate(0) == 0.3
    config = TrainConfig(schedule="one_cycle", learning_rate=1.0, pct_start=0.5, div_factor=4.0)
    np.testing.assert_allclose(config.learning_rates(6).rates(0, 6)[[0, 2, 5]], [0.25, 1, 0], atol=1e-15)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"schedule": "linear"}, "schedule=linear: expected one of constant, step, cosine, one_cycle, plateau"),
        ({"step_size": 5}, "step_size=5 applies to schedule=step, not to constant: leave it out"),
        (
            {"schedule": "cosine", "gamma": 0.5},
            "gamma=0.5 applies to schedule=step or plateau, not to cosine: leave it out",
        ),
        ({"schedule": "step", "gamma": 1.0}, r"gamma=1.0: expected a number in \[0, 1\)"),
        (
            {"schedule": "one_cycle", "warmup_steps": 5},
            "warmup_steps=5 does not apply to schedule=one_cycle, which has its own warm-up: leave it out",
        ),
        (
            {"schedule": "cosine", "min_learning_rate": 0.1},
            "min_learning_rate=0.1: expected less than learning_rate=0.001",
        ),
        ({"warmup_steps": -1}, "warmup_steps=-1: expected a whole number of at least 0"),
        ({"schedule": "plateau", "plateau_patience": -1}, "plateau_patience=-1: expected a whole number of at least 0"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ConfigError, match=message):
        TrainConfig(**settings)


def test_a_warm_up_longer_than_the_run():
    with pytest.raises(ConfigError, match="warmup_steps=7: expected at most the 6 steps of the run"):
        TrainConfig(warmup_steps=7).learning_rates(6)


def test_which_are_laid_out_over_the_steps():
    for name in SCHEDULES:
        short, long = (Schedule(name, ETA, steps).rates(0, 9) for steps in (9, 900))
        assert laid_out_over_steps(name, None) == (not np.array_equal(short, long))
    assert not laid_out_over_steps("step", 5)


# -- in runs ----------------------------------------------------------------------------------------------------------

RUN = {"dataset": "digits", "hidden_units": (8,), "max_steps": 40, "eval_freq": 4, "learning_rate": 0.01}
IN_RUNS = {
    "constant": {"warmup_steps": 9},
    "step": {"gamma": 0.5, "warmup_steps": 3},
    "cosine": {"min_learning_rate": 1e-4, "warmup_steps": 5},
    "one_cycle": {},
    # drops every few evaluations: a loss that shrinks by half does not happen in four steps
    "plateau": {"plateau_patience": 0, "gamma": 0.5, "learning_rate": 0.3},
}


class StopAt(Reporter):
    def __init__(self, step):
        self.at = step

    def stepped(self, step, loss):
        if step >= self.at:
            raise SystemExit


def test_every_schedule_is_tried_in_runs():
    assert IN_RUNS.keys() == SCHEDULES.keys()


@pytest.mark.parametrize("name", IN_RUNS)
def test_a_resumed_run_takes_the_same_rates(tmp_path, monkeypatch, name):
    settings = {**RUN, "schedule": name, **IN_RUNS[name]}
    train(run_dir=tmp_path / "a", **settings)
    monkeypatch.setattr("handgrad.training.loop.SECONDS_PER_CHUNK", 0.0)  # one step at a time
    for stop in (7, 22, 31):
        with pytest.raises(SystemExit):
            train(
                run_dir=tmp_path / "b",
                resume=(tmp_path / "b").exists(),
                reporter=StopAt(stop),
                checkpoint_seconds=0,
                **settings,
            )
    train(run_dir=tmp_path / "b", resume=True)
    records = figures(tmp_path / "a")
    assert figures(tmp_path / "b") == records
    one, other = (load_file(tmp_path / run / "model.safetensors") for run in "ab")
    assert all(np.array_equal(one[key], other[key]) for key in one)

    rates = [record["learning_rate"] for record in records]
    if name == "plateau":
        assert len(set(rates)) > 2, "no drop to forget"
        plateau = Plateau(patience=0)
        for record in records:
            assert record["learning_rate"] == 0.3 * 0.5**plateau.drops
            plateau.evaluated(record["test_loss"])
    else:
        schedule = TrainConfig(**settings).learning_rates(40)
        assert rates == [schedule.rate(record["step"] - 1) for record in records]


def test_plateau_goes_by_the_validation_set_where_there_is_one(tmp_path):
    settings = {**RUN, "schedule": "plateau", **IN_RUNS["plateau"]}
    run = train(run_dir=tmp_path / "a", validation_size=300, **settings)
    plateau = Plateau(patience=0)
    for record in run.metrics:
        assert record["learning_rate"] == 0.3 * 0.5**plateau.drops
        plateau.evaluated(record["validation_loss"])
    assert plateau.drops > 1


def test_the_rates_reach_the_updates(tmp_path):
    """The first step of SGD is the rate times the gradient, so a quarter of the rate gives a quarter of the step."""

    def bias_after_a_step(name, **settings):
        config = {**RUN, "max_steps": 1, "optimizer": "sgd", "precision": "float64"}
        return load_file(train(run_dir=tmp_path / name, **config, **settings).path / "model.safetensors")["2.bias"]

    whole = bias_after_a_step("whole")
    slow = bias_after_a_step("slow", schedule="one_cycle", div_factor=4.0, pct_start=0.99, min_learning_rate=0.0025)
    np.testing.assert_allclose(slow, whole / 4, rtol=1e-12)


@pytest.mark.parametrize("settings", [{"schedule": "cosine"}, {"schedule": "one_cycle"}, {"schedule": "step"}], ids=str)
def test_the_end_of_a_schedule_that_is_laid_out_over_the_run_cannot_be_moved(tmp_path, settings):
    with pytest.raises(SystemExit):
        train(run_dir=tmp_path / "a", reporter=StopAt(7), checkpoint_seconds=0, **RUN, **settings)
    name = settings["schedule"]
    message = f"the run began with max_steps=40, and schedule={name} spans exactly that: leave max_steps out, or"
    with pytest.raises(ConfigError, match=message):
        train(run_dir=tmp_path / "a", resume=True, max_steps=50)
    with pytest.raises(ConfigError, match="spans exactly that: leave epochs out, or start a new run"):
        train(run_dir=tmp_path / "a", resume=True, epochs=5)
    assert train(run_dir=tmp_path / "a", resume=True, max_steps=40).summary["last"]["step"] == 40


@pytest.mark.parametrize("settings", [{"schedule": "plateau"}, {"schedule": "step", "step_size": 10}], ids=str)
def test_the_end_of_other_schedules_can_be_moved(tmp_path, settings):
    train(run_dir=tmp_path / "a", **{**RUN, "max_steps": 20}, **settings)
    train(run_dir=tmp_path / "a", resume=True, max_steps=40)
    train(run_dir=tmp_path / "b", **RUN, **settings)
    assert figures(tmp_path / "a") == figures(tmp_path / "b")

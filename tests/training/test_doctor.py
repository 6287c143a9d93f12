"""The doctor names what is wrong with networks that are broken in one way each; healthy networks cause no alarm."""

import dataclasses
import json
import math

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from tests.run_files import figures, seal

from handgrad import data
from handgrad.architectures import ACTIVATIONS
from handgrad.errors import ConfigError, DataError, NonFiniteError, RunError
from handgrad.training import Reporter, TrainConfig, load_run, merge_settings, train
from handgrad.training.doctor import CANNOT_JUDGE, CHECKS, OK, PROBLEM, VERDICTS, WARNING, Watch, examine, examine_run
from handgrad.training.doctor.curve_checks import check_curve
from handgrad.training.doctor.inside import Inside
from handgrad.training.doctor.learning_checks import judge_updates
from handgrad.training.doctor.network_checks import check_gradient, check_initial_loss
from handgrad.training.doctor.patient import Patient

pytestmark = pytest.mark.usefixtures("unchecked")

SGD = {"optimizer": "sgd", "learning_rate": 0.1}
DEEP = {"hidden_units": (64,) * 10}


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


@pytest.fixture(scope="module")
def pixels():
    """The digits on the scale of bytes, as in image files."""
    raw = data.load("digits", preprocessing="none")
    return dataclasses.replace(raw, inputs=raw.inputs * np.float32(255 / 16), value_range=255.0)


def settings(recipe=None, **given):
    return TrainConfig.from_settings(merge_settings(recipe, None, given if recipe else {"dataset": "digits", **given}))


def look_at(config, dataset=None):
    """An examination without trials."""
    return examine(config, dataset=dataset, budget=1)


def look_at_run(run):
    return examine_run(run, budget=1)


def finding(report, check):
    found = [f for f in report if f.check == check]
    assert len(found) == 1, (check, report.diagnoses)
    return found[0]


# -- healthy networks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_the_recipe_digits_is_healthy(digits, seed):
    report = examine(settings("digits", seed=seed), dataset=digits)
    assert report.diagnoses == []
    assert report.verdict == OK
    assert {f.check for f in report} == set(CHECKS) - {"saturation", "curve"}
    assert all(f.verdict == OK for f in report)


NORMED = [(activation, norm) for activation in ACTIVATIONS for norm in ("none", "batch", "layer")]


@pytest.mark.parametrize(
    ("activation", "norm"),
    # A third of them by default, each activation with another norm.
    [pytest.param(*pair, marks=[pytest.mark.exhaustive] if i % 4 else []) for i, pair in enumerate(NORMED)],
)
def test_every_activation_and_norm_is_healthy(digits, activation, norm):
    config = settings(activation=activation, norm=norm, hidden_units=(64, 64), seed=len(activation))
    assert examine(config, dataset=digits).diagnoses == []


HEALTHY = {
    "sgd": SGD,
    "momentum": {**SGD, "learning_rate": 0.02, "momentum": 0.9},
    "adamw": {"optimizer": "adamw", "weight_decay": 0.01},
    "rmsprop": {"optimizer": "rmsprop"},
    "adadelta": {"optimizer": "adadelta", "learning_rate": 1.0},
    "muon": {"optimizer": "muon", "learning_rate": 0.02, "hidden_units": (64, 64)},
    "cosine": {"schedule": "cosine"},
    "one-cycle": {"schedule": "one_cycle"},
    "step": {"schedule": "step", "step_size": 400},
    "warm-up": {"warmup_steps": 200},
    "mse": {"loss": "mse"},
    "nll": {"loss": "nll"},
    "smoothing": {"label_smoothing": 0.1},
    "clipped": {"clip_norm": 1.0},
    "dropout": {"dropout": 0.5},
    "float64": {"precision": "float64"},
    "standard": {"preprocessing": "standard"},
    "validation": {"validation_size": 200},
    "logistic regression": {"hidden_units": (), "learning_rate": 1e-2},
    "logistic regression from zero": {"hidden_units": (), "learning_rate": 1e-2, "init": "zeros"},
    "one sample a batch": {**SGD, "learning_rate": 0.01, "batch_size": 1},
    "large batches": {"batch_size": 512},
    "three sigmoid layers": {"activation": "sigmoid", "hidden_units": (64, 64, 32), "learning_rate": 1e-2},
    "ten ReLU layers": DEEP,
    "ten tanh layers": {**DEEP, "activation": "tanh"},
    "ten sigmoid layers, normalised": {**DEEP, "activation": "sigmoid", "norm": "batch"},
    "xavier": {"init": "xavier"},
    "orthogonal": {"init": "orthogonal"},
}


#: The others are left to the slow tests.
BY_DEFAULT = (
    "three sigmoid layers",
    "sgd",
    "muon",
    "cosine",
    "one-cycle",
    "warm-up",
    "mse",
    "nll",
    "logistic regression from zero",
)


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(given, id=name, marks=[] if name in BY_DEFAULT else [pytest.mark.exhaustive])
        for name, given in HEALTHY.items()
    ],
)
def test_healthy_settings_get_no_alarm(given):
    assert examine(settings(**given)).diagnoses == []


def test_what_looks_odd_but_learns_is_a_warning(digits):
    report = examine(settings(preprocessing="none"))  # 0..16, with Kaiming weights; Adam makes the best of it
    assert report.verdict == WARNING
    assert report.diagnoses == ["inputs-too-large", "initial-loss-high"]


# -- settings broken on purpose ---------------------------------------------------------------------------------------

#: What is broken: the settings, and the diagnosis that has to come first. Every other one has to be a consequence.
BROKEN = {
    "adam 1000 times too high": (settings("digits", learning_rate=1.0), "learning-rate-too-high"),
    "adam too high, no norm": (settings(learning_rate=1.0), "learning-rate-too-high"),
    "sgd 1000 times too high": (settings(**{**SGD, "learning_rate": 100.0}), "learning-rate-too-high"),
    "adam 1000 times too low": (settings("digits", learning_rate=1e-6), "learning-rate-too-low"),
    "adam too low, no norm": (settings(learning_rate=1e-6), "learning-rate-too-low"),
    "sgd 1000 times too low": (settings(**{**SGD, "learning_rate": 1e-4}), "learning-rate-too-low"),
    "zeros": (settings("digits", init="zeros"), "units-identical"),
    "zeros, sgd": (settings(**SGD, init="zeros", hidden_units=(20, 20)), "units-identical"),
    "tiny weights": (settings(**{**SGD, "learning_rate": 2e-3}, init="normal:1e-4"), "init-too-small"),
    "huge weights": (settings(**SGD, init="normal:3", hidden_units=(64, 64)), "init-too-large"),
    "growing weights": (settings(**SGD, init="normal:0.6", hidden_units=(64,) * 4), "signal-grows"),
    "ten sigmoids": (settings(**DEEP, activation="sigmoid"), "signal-fades"),
    "one hidden unit": (settings(hidden_units=(1,), learning_rate=1e-2), "cannot-learn-one-batch"),
}


@pytest.mark.parametrize(("config", "diagnosis"), BROKEN.values(), ids=BROKEN)
def test_broken_settings_get_their_name(digits, config, diagnosis):
    report = examine(config, dataset=digits)
    assert report.verdict == PROBLEM
    assert report.diagnoses[0] == diagnosis
    (named,) = [f for f in report if f.diagnosis == diagnosis]
    assert any(character.isdigit() for character in named.evidence)
    assert named.meaning
    assert named.change


def test_one_way_of_breaking_gives_no_other_names(digits):
    """Without consequences: a rate that is too low also causes small updates."""
    consequences = {"updates-small", "updates-none", "updates-large", "diverges"}
    for name in ("adam 1000 times too high", "adam 1000 times too low", "sgd 1000 times too low"):
        config, diagnosis = BROKEN[name]
        assert set(examine(config, dataset=digits).diagnoses) - consequences == {diagnosis}


def test_the_rate_that_is_named_trains(tmp_path, digits):
    for start in (1.0, 1e-6):
        report = examine(settings(learning_rate=start), dataset=digits)
        (change,) = finding(report, "learning-rate").change
        flag, rate = change.split()
        assert flag == "--learning-rate"
        assert 3e-4 <= float(rate) <= 3e-2
        run = train(run_dir=tmp_path / f"{start}", dataset="digits", learning_rate=float(rate), max_steps=500)
        assert run.summary["last"]["test_accuracy"] > 0.95


def test_ten_sigmoids_lose_the_gradient_too(digits):
    report = examine(settings(**DEEP, activation="sigmoid"), dataset=digits)
    assert {"gradient-vanishes", "nothing-learned"} <= set(report.diagnoses)
    assert "layer 0 (linear)" in finding(report, "gradient").evidence
    assert finding(report, "gradient").change[0] == "--activation relu"


def test_weights_that_grow_the_signal_grow_the_gradient_too(digits):
    report = examine(settings(**SGD, **DEEP, init="normal:0.6"), dataset=digits)
    assert {"signal-grows", "initial-loss-high", "gradient-explodes"} <= set(report.diagnoses)


def test_saturated_units(digits):
    report = examine(settings(activation="tanh", init="normal:8", **SGD), dataset=digits)
    assert "units-saturated" in report.diagnoses
    assert "layer 1 (tanh)" in finding(report, "saturation").evidence


def test_the_step_and_the_layer_that_overflow_are_named(digits):
    report = examine(settings(**{**SGD, "learning_rate": 1e25}), dataset=digits)
    diverged = finding(report, "finite")
    assert diverged.verdict == PROBLEM
    assert diverged.diagnosis == "diverges"
    assert diverged.evidence == "step 2: layer 2 (linear) is the first that is not finite"
    assert diverged.figures == {"step": 2, "layer": "2"}
    assert "--learning-rate" in diverged.change[0]
    assert report.diagnoses[0] == "learning-rate-too-high"


# -- inputs that do not fit the weights -------------------------------------------------------------------------------


def test_pixels_of_0_to_255_with_kaiming_weights(pixels):
    report = examine(settings(preprocessing="none"), dataset=pixels)
    assert report.diagnoses[0] == "inputs-too-large"
    assert finding(report, "input-scale").verdict == PROBLEM
    assert finding(report, "input-scale").change[0] == "--preprocessing standard"


def test_normalised_by_batches_the_scale_of_inputs_does_not_matter(pixels):
    assert examine(settings(preprocessing="none", norm="batch"), dataset=pixels).diagnoses == []


def test_the_courses_weights_fit_raw_pixels_and_not_scaled_ones(pixels):
    config = settings(**{**SGD, "learning_rate": 2e-3}, init="normal:1e-3", preprocessing="mean-image")
    mean = data.fit_preprocessing("mean-image", pixels.inputs[: pixels.splits["train"].stop], 255.0)
    fitting = examine(config, dataset=dataclasses.replace(pixels, preprocessing=mean))
    assert "input-scale" not in {f.check for f in fitting if f.verdict != OK}
    unit = data.fit_preprocessing("standard", pixels.inputs[: pixels.splits["train"].stop], 255.0)
    scaled = dataclasses.replace(pixels, preprocessing=unit)
    report = examine(dataclasses.replace(config, preprocessing="standard"), dataset=scaled)
    assert report.diagnoses[0] == "init-too-small"
    assert finding(report, "input-scale").verdict == PROBLEM
    assert [change.split(",")[0] for change in finding(report, "input-scale").change] == [
        "--init kaiming",
        "--preprocessing mean-image",
    ]


def test_inputs_that_are_not_centred(digits):
    shifted = dataclasses.replace(digits, inputs=digits.inputs + np.float32(16))
    report = examine(settings(), dataset=shifted)
    assert report.diagnoses == ["inputs-not-centred"]
    assert report.verdict == WARNING


# -- data broken on purpose -------------------------------------------------------------------------------------------


def with_labels(dataset, split, labels):
    changed = dataset.labels.copy()
    changed[dataset.indices(split)] = labels
    return dataclasses.replace(dataset, labels=changed)


def with_inputs(dataset, split, inputs):
    changed = dataset.inputs.copy()
    changed[dataset.indices(split)] = inputs
    return dataclasses.replace(dataset, inputs=changed)


def test_shuffled_labels(digits):
    train_labels = digits.targets(digits.indices("train"))
    shuffled = with_labels(digits, "train", np.random.default_rng(0).permutation(train_labels))
    report = look_at(settings(), dataset=shuffled)
    assert report.diagnoses[0] == "labels-unrelated"
    assert finding(report, "labels").verdict == PROBLEM


def test_shuffled_test_labels(digits):
    test_labels = digits.targets(digits.indices("test"))
    shuffled = with_labels(digits, "test", np.random.default_rng(0).permutation(test_labels))
    assert look_at(settings(), dataset=shuffled).diagnoses == ["test-labels-unrelated"]


def test_half_of_the_labels_wrong_are_still_related(digits):
    labels = digits.targets(digits.indices("train"))
    rng = np.random.default_rng(0)
    wrong = np.where(rng.random(len(labels)) < 0.5, rng.permutation(labels), labels)
    assert "labels-unrelated" not in look_at(settings(), dataset=with_labels(digits, "train", wrong)).diagnoses


def test_one_class_only(digits):
    report = look_at(settings(), dataset=with_labels(digits, "train", 3))
    assert report.diagnoses[0] == "one-class-only"
    assert "'3'" in finding(report, "labels").evidence


def test_a_class_that_is_missing(digits):
    labels = digits.targets(digits.indices("train"))
    report = look_at(settings(), dataset=with_labels(digits, "train", np.where(labels == 7, 1, labels)))
    assert report.diagnoses[0] == "classes-missing"
    assert finding(report, "labels").evidence.endswith(": 7")


def test_classes_that_are_unbalanced(digits):
    labels = digits.targets(digits.indices("train"))
    mostly = np.where(np.arange(len(labels)) % 20 < 19, 0, labels)
    assert "classes-unbalanced" in look_at(settings(), dataset=with_labels(digits, "train", mostly)).diagnoses


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_inputs_that_are_not_finite(digits, value):
    inputs = digits.inputs.astype(np.float32)
    inputs[[5, 900], 0, 0, 0] = value
    report = look_at(settings(), dataset=dataclasses.replace(digits, inputs=inputs))
    assert report.diagnoses == ["inputs-not-finite"]
    assert "2 of 1,797 samples" in finding(report, "inputs").evidence
    assert "sample 5 (training)" in finding(report, "inputs").evidence


def test_inputs_that_are_all_the_same(digits):
    report = look_at(settings(), dataset=with_inputs(digits, "train", 1.0))
    assert report.diagnoses == ["inputs-constant"]


def test_features_that_are_constant(digits):
    inputs = np.zeros_like(digits.inputs)
    inputs[:, 0, 3, 2:6] = digits.inputs[:, 0, 3, 2:6]
    report = look_at(settings(), dataset=dataclasses.replace(digits, inputs=inputs))
    assert finding(report, "inputs").diagnosis == "features-constant"
    assert "93.8% of 64" in finding(report, "inputs").evidence


def test_test_inputs_on_another_scale(digits):
    test = digits.inputs[digits.indices("test")]
    report = look_at(settings(), dataset=with_inputs(digits, "test", test / 16))
    assert "test-inputs-differ" not in report.diagnoses  # the spread about the mean is hardly larger than the mean
    report = look_at(settings(), dataset=with_inputs(digits, "test", test * 16))
    assert "test-inputs-differ" in report.diagnoses


@pytest.mark.parametrize(("share", "verdict"), [(0.005, OK), (0.05, WARNING), (0.5, PROBLEM)])
def test_test_samples_that_are_training_samples(digits, share, verdict):
    test, count = digits.indices("test"), round(share * len(digits.indices("test")))
    inputs, labels = digits.inputs.copy(), digits.labels.copy()
    inputs[test[:count]], labels[test[:count]] = inputs[:count], labels[:count]
    report = look_at(settings(), dataset=dataclasses.replace(digits, inputs=inputs, labels=labels))
    assert finding(report, "duplicates").verdict == verdict
    assert ("test-in-train" in report.diagnoses) == (verdict != OK)


def test_samples_that_are_repeated(digits):
    count = len(digits.indices("train"))
    repeated = digits.inputs[np.arange(count) % 300]
    labels = digits.labels[np.arange(count) % 300]
    broken = with_labels(with_inputs(digits, "train", repeated), "train", labels)
    assert "samples-repeated" in look_at(settings(), dataset=broken).diagnoses


# -- trained networks -------------------------------------------------------------------------------------------------

SHORT = {"dataset": "digits", "hidden_units": (32,), "max_steps": 300, "eval_freq": 50}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("doctor") / "run"
    train(run_dir=run_dir, norm="batch", **SHORT)
    return run_dir


def broken_weights(tmp_path, source, change):
    """A copy of a run whose weights were changed."""
    for path in source.rglob("*"):
        if path.is_file() and "doctor" not in path.parts:
            target = tmp_path / "run" / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    file = tmp_path / "run" / "model.safetensors"
    with safe_open(file, framework="numpy") as opened:
        about = opened.metadata()
    state = load_file(file)
    change(state)
    save_file(state, file, metadata=about)
    seal(file)
    return load_run(tmp_path / "run")


def test_a_trained_network_that_is_well(trained):
    report = look_at_run(load_run(trained))
    assert report.diagnoses == []
    assert report.parts.keys() == {
        *("the data", "at the first step", "short trials", "the trained network", "the metrics of the run")
    }
    assert report.series["weights"] == "model.safetensors"


def in_part(report, part="the trained network"):
    return [f.diagnosis for f in report.parts[part] if f.verdict == PROBLEM]


def test_units_killed_by_a_large_negative_bias(tmp_path, trained):
    run = broken_weights(tmp_path, trained, lambda state: state["1.bias"].__isub__(1000))
    report = look_at_run(run)
    assert in_part(report) == ["units-dead"]
    (dead,) = [f for f in report.parts["the trained network"] if f.check == "dead-units"]
    assert "layer 2 (relu): 32 of 32" in dead.evidence


def test_some_dead_units_are_no_problem(tmp_path, trained):
    def kill(state, count):
        state["1.bias"][:count] -= 1000

    assert look_at_run(broken_weights(tmp_path / "8", trained, lambda s: kill(s, 8))).diagnoses == []
    assert look_at_run(broken_weights(tmp_path / "16", trained, lambda s: kill(s, 16))).diagnoses == ["units-dead"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite(tmp_path, trained, value):
    def damage(state):
        state["3.weight"][2, 3] = value

    report = look_at_run(broken_weights(tmp_path, trained, damage))
    assert in_part(report) == ["weights-not-finite"]
    assert "3.weight of layer 3 (linear) is the first: 1 of" in report.parts["the trained network"][0].evidence


def test_units_that_are_all_the_same(tmp_path, trained):
    def level(state):
        state["0.weight"][:] = state["0.weight"][0]

    assert in_part(look_at_run(broken_weights(tmp_path, trained, level))) == ["units-identical"]


def test_running_statistics_that_do_not_belong_to_the_weights(tmp_path, trained):
    def forget(state):
        state["1.running_mean"] += 3 * np.sqrt(state["1.running_var"])

    assert in_part(look_at_run(broken_weights(tmp_path, trained, forget))) == ["normalization-gap"]


@pytest.mark.parametrize(
    ("name", "change", "evidence"),
    [
        ("running_var", lambda figure: figure / 400, "the running variance of layer 1 is 0.00"),
        ("running_var", lambda figure: figure * 30, "the running variance of layer 1 is "),
        ("running_mean", lambda figure: figure + 100, "the running mean of layer 1 is "),
    ],
)
def test_running_figures_far_from_those_of_a_batch(tmp_path, trained, monkeypatch, name, change, evidence):
    """Also if loss and accuracy look good."""

    def alter(state):
        state[f"1.{name}"][...] = change(state[f"1.{name}"])

    monkeypatch.setattr(Inside, "loss", lambda *_, **__: (0.1, 0.99))
    report = look_at_run(broken_weights(tmp_path, trained, alter))
    (finding,) = [f for f in report.parts["the trained network"] if f.diagnosis == "normalization-gap"]
    assert evidence in finding.evidence


def test_saturated_trained_network(tmp_path):
    run = train(run_dir=tmp_path / "a", activation="tanh", **{**SHORT, "max_steps": 50})

    def blow_up(state):
        state["0.weight"] *= 1000

    report = look_at_run(broken_weights(tmp_path, run.path, blow_up))
    assert "units-saturated" in [f.diagnosis for f in report.parts["the trained network"]]


def test_a_run_without_weights_is_judged_by_its_settings(tmp_path):
    with pytest.raises(NonFiniteError):
        train(run_dir=tmp_path / "a", **{**SHORT, "optimizer": "sgd", "learning_rate": 1e25})
    report = examine_run(load_run(tmp_path / "a"))
    assert report.diagnoses[0] == "learning-rate-too-high"
    assert "diverges" in report.diagnoses
    assert [f.verdict for f in report.parts["the trained network"]] == [CANNOT_JUDGE]
    assert [f.verdict for f in report.parts["the metrics of the run"]] == [CANNOT_JUDGE]


def test_a_run_under_way_is_judged_by_its_checkpoint(tmp_path):
    class Stop(Reporter):
        def evaluated(self, record):
            raise SystemExit

    with pytest.raises(SystemExit):
        train(run_dir=tmp_path / "a", checkpoint_seconds=0, reporter=Stop(), **SHORT)
    report = look_at_run(load_run(tmp_path / "a"))
    assert report.series["weights"] in ("checkpoint/state.safetensors", "best.safetensors")
    assert finding(report, "curve").evidence.endswith("the run has not finished")


def test_weights_of_another_network_are_refused(tmp_path, trained):
    run = broken_weights(tmp_path, trained, lambda state: state.pop("1.bias"))
    with pytest.raises(RunError, match=r"the saved weights do not fit the run's config.toml: the state has no 1.bias"):
        look_at_run(run)


# -- the metrics of the run --------------------------------------------------------------------------------------------


def records(train_losses, test_losses, train_accuracy=0.9, test_accuracy=0.9):
    return [
        {
            "step": 100 * (i + 1),
            "train_loss": a,
            "train_accuracy": train_accuracy,
            "validation_loss": None,
            "validation_accuracy": None,
            "test_loss": b,
            "test_accuracy": test_accuracy,
        }
        for i, (a, b) in enumerate(zip(train_losses, test_losses, strict=True))
    ]


FALLING = [1.2, 0.6, 0.4, 0.33, 0.3, 0.29, 0.28, 0.28]
CURVES = {
    "well": (records(FALLING, FALLING), OK, "curve"),
    "overfits": (
        records(FALLING, [1.2, 0.7, 0.5, 0.5, 0.6, 0.7, 0.8, 0.9], 0.99, 0.85),
        WARNING,
        "overfits",
    ),
    "risen, but no gap": (records(FALLING, [1.2, 0.7, 0.5, 0.5, 0.6, 0.7, 0.8, 0.9], 0.9, 0.89), OK, "curve"),
    "never learned": (records([2.31] * 8, [2.31] * 8, 0.11, 0.1), PROBLEM, "never-learned"),
    "diverged": (records([1.2, 0.6, 0.4, 5.0], [1.2, 0.6, 0.4, 5.0], 0.5, 0.5), PROBLEM, "loss-diverged"),
    "not a number": (records([1.2, math.nan], [1.2, math.nan]), PROBLEM, "loss-diverged"),
    "too early": (records([2.0, 1.8, 1.6, 1.4, 1.2, 1.0, 0.8, 0.6], FALLING), WARNING, "ended-too-early"),
    "few": (records([2.0, 1.0], [2.0, 1.0]), OK, "curve"),
    "none": ([], CANNOT_JUDGE, "curve"),
}


@pytest.mark.parametrize(("lines", "verdict", "diagnosis"), CURVES.values(), ids=CURVES)
def test_curves(lines, verdict, diagnosis):
    found = check_curve(lines, math.log(10), 0.1, finished=True)
    assert (found.verdict, found.diagnosis) == (verdict, diagnosis)


def test_curves_name_what_to_change():
    lines, *_ = CURVES["overfits"]
    assert check_curve(lines, math.log(10), 0.1, finished=True).change[0] == "--max-steps 300, or --patience 5"
    lines, *_ = CURVES["too early"]
    change = check_curve(lines, math.log(10), 0.1, finished=True, run_dir="runs/x").change
    assert change == ("handgrad train --run-dir runs/x --resume --max-steps 1600",)
    assert check_curve(lines, math.log(10), 0.1, finished=False).diagnosis == "curve"


# -- single verdicts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ratios", "steps", "verdict", "diagnosis"),
    [
        ({"0.weight": 1e-3, "2.weight": 5e-3}, 1000, OK, "updates"),
        ({"0.weight": 1e-3, "2.weight": 0.5}, 1000, WARNING, "updates-large"),
        ({"0.weight": 1e-6, "2.weight": 1e-5}, 1000, WARNING, "updates-small"),
        ({"0.weight": 0.0, "2.weight": 0.0}, 1000, PROBLEM, "updates-none"),
    ],
)
def test_updates(ratios, steps, verdict, diagnosis):
    found = judge_updates([(100, ratios)], steps, "0.01")
    assert (found.verdict, found.diagnosis) == (verdict, diagnosis)
    assert not found.change or found.change[0] == "--learning-rate 0.01"


def test_a_loss_that_begins_too_low(digits):
    patient = Patient(settings(), digits)
    assert patient.inside is not None
    look = patient.inside.look(patient.start_state, patient.probe.x, patient.probe.labels)
    assert check_initial_loss(patient, look, PROBLEM).verdict == OK
    look.loss = 1.0
    found = check_initial_loss(patient, look, PROBLEM)
    assert (found.verdict, found.diagnosis) == (WARNING, "initial-loss-low")


def test_a_gradient_that_is_missing_or_not_finite(digits):
    patient = Patient(settings(), digits)
    assert patient.inside is not None
    look = patient.inside.look(patient.start_state, patient.probe.x, patient.probe.labels)
    first, last = look.weighted
    assert check_gradient(look, PROBLEM).verdict == OK
    first.weight_gradient = 0.0
    found = check_gradient(look, WARNING)
    assert (found.verdict, found.diagnosis) == (WARNING, "gradient-zero")
    assert found.evidence == "layer 0 (linear) gets no gradient"
    last.weight_gradient = 0.0
    found = check_gradient(look, WARNING)
    assert (found.verdict, found.evidence) == (PROBLEM, "no weight has a gradient")
    last.gradient = math.nan
    found = check_gradient(look, WARNING)
    assert (found.verdict, found.diagnosis) == (PROBLEM, "gradient-not-finite")
    assert "layer 2 (linear)" in found.evidence


def test_a_small_budget_is_said_to_be_too_small(digits):
    report = examine(settings(), dataset=digits, budget=40)
    rate = finding(report, "learning-rate")
    assert rate.verdict == CANNOT_JUDGE
    assert rate.change[0].startswith("--budget 400")
    assert finding(report, "finite").evidence == "20 steps without NaN or infinity"
    assert report.diagnoses == []
    assert finding(examine(settings(), dataset=digits, budget=1), "one-batch").verdict == CANNOT_JUDGE


def test_a_network_without_an_inside_view_cannot_be_judged(digits, monkeypatch):
    def refuse(*_, **__):
        raise ConfigError("the numpy engine has no layer 'mystery'")

    monkeypatch.setattr("handgrad.training.doctor.inside.build", refuse)
    report = examine(settings(), dataset=digits)
    unknown = [f for f in report if f.verdict == CANNOT_JUDGE]
    assert {f.check for f in unknown} == {"signal", "learning-rate"}
    assert all("no layer 'mystery'" in f.evidence for f in unknown)
    assert finding(report, "labels").verdict == OK


def test_a_batch_larger_than_the_data_is_refused(digits):
    with pytest.raises(ConfigError, match=r"batch_size=5000: expected at most 1438, the training samples of digits"):
        examine(settings(batch_size=5000), dataset=digits)


# -- real data: slow, and skipped where it is not there ----------------------------------------------------------------


def on_real_data(real_data, recipe, **given):
    try:
        config = settings(recipe, data_dir=str(real_data), **given)
        return examine(config)
    except DataError:
        pytest.skip(f"needs the data of {recipe} in {real_data}")


@pytest.mark.exhaustive
@pytest.mark.parametrize("recipe", ["cmu-mnist", "mnist", "uva-numpy-mlp"])
def test_the_recipes_are_healthy_on_real_data(real_data, recipe):
    assert on_real_data(real_data, recipe).diagnoses == []


@pytest.mark.exhaustive
def test_the_courses_settings_on_unit_inputs_are_named_on_real_data(real_data):
    report = on_real_data(real_data, "uva-numpy-mlp", preprocessing="standard")
    assert report.diagnoses == ["init-too-small", "learning-rate-too-low"]
    assert report.verdict == PROBLEM


@pytest.mark.exhaustive
def test_raw_pixels_with_kaiming_weights_are_named_on_real_data(real_data):
    report = on_real_data(real_data, "mnist", preprocessing="none", norm="none")
    assert report.diagnoses[0] == "inputs-too-large"
    assert report.verdict == PROBLEM


# -- how it works -----------------------------------------------------------------------------------------------------


def test_the_same_settings_give_the_same_report(digits):
    config = settings("digits", learning_rate=0.3)
    one, other = (json.dumps(examine(config, dataset=digits).to_dict()) for _ in range(2))
    assert one == other


def test_a_report_is_strict_json_whatever_was_found(digits):
    report = examine(settings(**{**SGD, "learning_rate": 1e25}), dataset=digits).to_dict()
    json.dumps(report, allow_nan=False)
    for part in report["parts"].values():
        for found in part:
            assert found["check"] in CHECKS
            assert found["verdict"] in VERDICTS
            assert found.keys() == {"check", "verdict", "diagnosis", "evidence", "meaning", "change", "figures"}


def test_a_trial_is_the_first_steps_of_the_run(tmp_path, digits):
    """Same weights, same batches in the same order, same masks."""
    given = {"dataset": "digits", "norm": "batch", "dropout": 0.3, "batch_size": 32}
    run = train(run_dir=tmp_path / "a", max_steps=60, eval_freq=60, **given)
    patient = Patient(settings(max_steps=1000, **given), digits)
    patient.trial(1e-3, 60)
    patient.trial(1e-3, 60)  # a trial leaves nothing behind
    state = load_file(run.path / "model.safetensors")
    assert all(np.array_equal(state[name], array) for name, array in patient.engine.state_dict().items())


def test_a_trial_takes_the_schedule_laid_out_over_its_steps(digits):
    config = settings(schedule="one_cycle", max_steps=1000)
    rates = Patient(config, digits).rates(100)
    assert rates.shape == (100,)
    assert rates.max() == pytest.approx(config.learning_rate, rel=1e-3)
    assert rates[0] < 0.1 * config.learning_rate
    constant = Patient(settings(warmup_steps=100, max_steps=1000), digits).rates(100)
    np.testing.assert_allclose(constant[:10], 1e-3 * np.arange(1, 11) / 10)
    np.testing.assert_allclose(constant[10:], 1e-3)


def test_what_is_seen_inside(digits):
    """Compares with the same measurements computed directly."""
    patient = Patient(settings(hidden_units=(16,)), digits)
    assert patient.inside is not None
    state = patient.start_state
    x, labels = patient.probe.x, patient.probe.labels
    look = patient.inside.look(state, x, labels)
    rows = x.reshape(len(x), -1).astype(np.float64)
    hidden = rows @ state["0.weight"].T + state["0.bias"]
    scores = np.maximum(hidden, 0) @ state["2.weight"].T + state["2.bias"]
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    dy = p.copy()
    dy[np.arange(len(labels)), labels] -= 1
    dhidden = (dy @ state["2.weight"]) * (hidden > 0)
    linear, relu, last = look.layers
    assert [layer.label for layer in look.layers] == ["layer 0 (linear)", "layer 1 (relu)", "layer 2 (linear)"]
    assert look.loss == pytest.approx(-np.log(p[np.arange(len(labels)), labels]).mean(), rel=1e-5)
    assert look.accuracy == pytest.approx((scores.argmax(axis=1) == labels).mean())
    assert linear.spread == pytest.approx(np.sqrt(hidden.var(axis=0).mean()), rel=1e-4)
    assert relu.input_spread == linear.spread
    assert last.gradient == pytest.approx(np.sqrt(np.square(dy).mean()), rel=1e-4)
    assert linear.gradient == pytest.approx(np.sqrt(np.square(dhidden).mean()), rel=1e-4)
    gradient = dhidden.T @ rows / len(rows)
    assert linear.weight_gradient == pytest.approx(np.sqrt(np.square(gradient).mean()), rel=1e-4)
    assert linear.weight_size == pytest.approx(np.sqrt(np.square(state["0.weight"]).mean()), rel=1e-4)
    assert (relu.units, relu.dead) == (16, int((hidden <= 0).all(axis=0).sum()))


def test_nested_layers_are_seen_one_by_one():
    config = TrainConfig.from_settings({"dataset": "cifar10", "model": "preact-resnet", "width": 2, "batch_size": 4})
    architecture = config.architecture((3, 32, 32), 10)
    inside = Inside(architecture)
    rng = np.random.default_rng(0)
    from handgrad.engines.numpy import build

    state = build(architecture, init_rng=0).state_dict()
    look = inside.look(state, rng.standard_normal((4, 3, 32, 32), np.float32), np.array([1, 2, 3, 4]))
    names = [row.name for row in architecture.rows() if row.kind != "residual"]
    assert [layer.name for layer in look.layers] == names
    assert "1.1" in names
    assert all(math.isfinite(layer.gradient) and layer.gradient > 0 for layer in look.layers)
    assert all(layer.weight_gradient for layer in look.weighted)
    assert {layer.units for layer in look.activations} == {2, 4, 8, 16}


# -- watching a run ---------------------------------------------------------------------------------------------------


def run_files(path):
    return {
        p.relative_to(path): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file() and "doctor" not in p.parts
    }


WATCHED = {**SHORT, "max_steps": 60, "eval_freq": 20, "norm": "batch", "dropout": 0.3}


@pytest.mark.parametrize("given", [{}, {"optimizer": "sgd", "momentum": 0.9}, {"optimizer": "muon"}])
def test_watching_changes_no_bit_of_a_run(tmp_path, given):
    plain = train(run_dir=tmp_path / "plain", **WATCHED, **given)
    watch = Watch(Reporter())
    watched = train(run_dir=tmp_path / "watched", reporter=watch, **WATCHED, **given)
    for name in ("model", "best"):
        one, other = ((run.path / f"{name}.safetensors").read_bytes() for run in (plain, watched))
        assert one == other
    one, other = (load_file(run.path / "checkpoint" / "state.safetensors") for run in (plain, watched))
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[name], other[name]) for name in one)
    assert figures(plain.path) == figures(watched.path)
    assert watch.report.parts.keys() >= {"while training", "the trained network", "the metrics of the run"}
    assert {path.name for path in (watched.path / "doctor").iterdir()} == {
        *("doctor.json", "layers.png", "learning-rate.png")
    }


def test_the_watch_sees_the_step_that_the_run_makes_next(tmp_path):
    watch = Watch(Reporter())
    train(run_dir=tmp_path / "a", reporter=watch, **{**WATCHED, "eval_freq": 1, "max_steps": 3})
    states = []

    class Keep(Reporter):
        def started(self, run_dir, config, engine, steps, first_step):
            self.engine = engine

        def evaluated(self, record):
            states.append(self.engine.state_dict())

    train(run_dir=tmp_path / "b", reporter=Keep(), **{**WATCHED, "eval_freq": 1, "max_steps": 3})
    for i in (0, 1):
        step, ratios = watch.updates[i]
        assert step == i + 2
        for name, ratio in ratios.items():
            before, after = states[i][name], states[i + 1][name]
            expected = np.sqrt(np.square(after - before, dtype=np.float64).mean() / np.square(before).mean())
            assert ratio == pytest.approx(expected, rel=1e-5)


def test_a_resumed_run_can_be_watched(tmp_path):
    train(run_dir=tmp_path / "a", **WATCHED)
    watch = Watch(Reporter())
    train(run_dir=tmp_path / "a", resume=True, max_steps=80, reporter=watch)
    assert "at the first step" not in watch.report.parts
    assert [step for step, _ in watch.updates] == [81]


def test_the_watch_tells_of_units_that_die_and_of_the_end(tmp_path):
    notes = []

    class Listen(Reporter):
        def note(self, text):
            notes.append(text)

    given = {**SHORT, "optimizer": "sgd", "learning_rate": 100.0, "max_steps": 40, "eval_freq": 20}
    train(run_dir=tmp_path / "a", reporter=Watch(Listen()), **given)
    assert any(note.startswith("doctor: units-dead at step 20: up to") for note in notes), notes
    assert len(notes) == len({note.split(" at step")[0] for note in notes})


def test_a_watched_run_that_diverges_leaves_a_report(tmp_path):
    given = {**SHORT, "optimizer": "sgd", "learning_rate": 1e25}
    with pytest.raises(NonFiniteError), Watch(Reporter()) as watch:
        train(run_dir=tmp_path / "a", reporter=watch, **given)
    report = json.loads((tmp_path / "a" / "doctor" / "doctor.json").read_text())
    assert report["parts"]["while training"][0]["diagnosis"] == "diverges"
    assert "at step 2" in report["parts"]["while training"][0]["evidence"]


def test_examining_a_run_changes_none_of_its_files(trained):
    before = run_files(trained)
    examine_run(load_run(trained))
    assert run_files(trained) == before

"""Problems that the doctor once missed: batches that are too small for normalisation, extreme dropout, and swapped,
repeated or altered data. Each is named, and healthy runs are not."""

import dataclasses
import math

import numpy as np
import pytest

from handgrad import data
from handgrad.errors import DataError
from handgrad.training import Reporter, TrainConfig, merge_settings, train
from handgrad.training.doctor import OK, PROBLEM, WARNING, Finding, Report, Watch, examine, examine_run
from handgrad.training.doctor.curve_checks import check_curve
from handgrad.training.doctor.data_checks import check_splits
from handgrad.training.doctor.findings import FIX_FIRST
from handgrad.training.doctor.inside import Inside
from handgrad.training.doctor.learning_checks import RangeTest, check_learning_rate
from handgrad.training.doctor.network_checks import check_normalization
from handgrad.training.doctor.patient import Patient, Trial

pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


def settings(recipe=None, **given):
    return TrainConfig.from_settings(merge_settings(recipe, None, given if recipe else {"dataset": "digits", **given}))


def look_at(config, dataset):
    """An examination without trials."""
    return examine(config, dataset=dataset, budget=1)


def found(report, check):
    return [finding for finding in report if finding.check == check]


# -- batches that are too small for their normalisation ---------------------------------------------------------------


@pytest.fixture(scope="module")
def batches_of_two(tmp_path_factory):
    """The recipe with batches of 2, trained with a watch: the test accuracy varies between 0.7 and 0.9."""
    watch = Watch(Reporter())
    run_dir = tmp_path_factory.mktemp("doctor") / "two"
    run = train("digits", run_dir=run_dir, batch_size=2, max_steps=3000, eval_freq=100, reporter=watch)
    return run, watch.report


def test_a_run_with_batches_of_two(batches_of_two):
    run, watched = batches_of_two
    report = examine_run(run)
    assert report.verdict == watched.verdict == PROBLEM
    assert set(report.diagnoses) == {"batch-too-small"}, report.diagnoses
    assert set(watched.diagnoses) == {"batch-too-small"}, watched.diagnoses
    at_start, trained = found(report, "normalization")
    assert (at_start.verdict, trained.verdict) == (PROBLEM, PROBLEM)
    assert trained.evidence.startswith("loss 1.")
    assert "normalised by batches of 2, " in trained.evidence
    assert "by batches of 64, " in trained.evidence
    assert (
        "by the running statistics; layer 1 (batch_norm) computes each mean and variance from 2 values"
        in trained.evidence
    )
    assert "always +1 and -1" in trained.meaning
    assert trained.change == ("--batch-size 64", "--norm layer", "--norm group")
    assert trained.figures["by_running"] < trained.figures["by_batch"]
    assert trained.figures["by_larger"] < trained.figures["by_batch"]


def test_what_the_doctor_advises_mends_it(tmp_path, batches_of_two):
    ill = batches_of_two[0].summary["last"]["test_accuracy"]
    for change in ({"batch_size": 64, "max_steps": 300}, {"norm": "layer"}, {"norm": "group"}):
        given = {"batch_size": 2, "max_steps": 3000, **change}
        run = train("digits", run_dir=tmp_path / "-".join(map(str, change.values())), **given)
        assert run.summary["last"]["test_accuracy"] > ill + 0.03
        assert "batch-too-small" not in examine_run(run, budget=1).diagnoses


@pytest.mark.parametrize("budget", [None, 1])
@pytest.mark.parametrize(("batch_size", "verdict"), [(2, PROBLEM), (3, WARNING), (8, OK), (16, OK), (64, OK)])
def test_small_batches_before_a_run(digits, batch_size, verdict, budget):
    report = examine(settings(norm="batch", batch_size=batch_size, hidden_units=(64,)), dataset=digits, budget=budget)
    named = [finding.diagnosis for finding in found(report, "normalization") if finding.verdict != OK]
    assert named == (["batch-too-small"] if verdict != OK else [])
    if budget and verdict != OK:
        assert found(report, "normalization")[0].verdict == verdict


@pytest.mark.parametrize("norm", ["none", "layer", "group", "rms"])
def test_other_normalisations_know_no_batch(digits, norm):
    report = look_at(settings(norm=norm, batch_size=2), digits)
    assert found(report, "normalization") == []
    assert report.diagnoses == []


def test_a_batch_of_images_has_as_many_values_as_pixels(digits):
    config = settings(model="preact-resnet", width=4, batch_size=2)
    (finding,) = found(look_at(config, digits), "normalization")
    assert (finding.verdict, finding.diagnosis) == (PROBLEM, "batch-too-small")
    assert "2 values" in finding.evidence  # maps of one pixel at the end; those of the first layers have 128
    assert finding.change == ("--batch-size 64", "--norm group")
    assert found(look_at(dataclasses.replace(config, batch_size=16), digits), "normalization") == []
    assert found(look_at(dataclasses.replace(config, norm="group"), digits), "normalization") == []


def losses(monkeypatch, by_batch, by_larger, by_running):
    """Sets the three losses by which normalisation is judged; the accuracies are equal."""

    def loss(self, state, x, labels, *, training=True, batch_size=None, dropout=None):
        return (by_running if not training else by_batch if batch_size == 16 else by_larger), 0.8

    monkeypatch.setattr(Inside, "loss", loss)


@pytest.mark.parametrize(
    ("by_batch", "by_larger", "by_running", "diagnosis"),
    [
        (0.5, 0.45, 0.46, "normalization"),
        (1.5, 0.5, 0.5, "batch-too-small"),  # the batches' own figures are worse than any others
        (1.5, 1.5, 0.5, "batch-too-small"),  # running statistics alone are better
        (1.0, 0.4, 1.0, "batch-too-small"),
        (0.5, 0.45, 2.0, "normalization-gap"),  # running statistics are worse
        (2.30, 2.20, 2.25, "normalization"),  # nothing learned yet: it says nothing
    ],
)
def test_both_directions_of_a_gap(digits, monkeypatch, by_batch, by_larger, by_running, diagnosis):
    patient = Patient(settings(norm="batch", batch_size=16), digits)
    losses(monkeypatch, by_batch, by_larger, by_running)
    finding = check_normalization(patient, patient.start_state, trained=True)
    assert finding is not None
    assert finding.diagnosis == diagnosis


@pytest.mark.parametrize(
    ("width", "change"), [(8, "--norm group"), (6, "--norm group --num-groups 3"), (5, "--norm group --num-groups 1")]
)
def test_the_groups_that_are_advised_divide_the_channels(digits, width, change):
    (finding,) = found(look_at(settings(hidden_units=(width,), norm="batch", batch_size=2), digits), "normalization")
    assert finding.change[-1] == change
    groups = {"num_groups": int(change.split()[-1])} if "num" in change else {}
    look_at(settings(hidden_units=(width,), norm="group", batch_size=2, **groups), digits)


# -- dropout ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        ({"dropout": 0.95}, PROBLEM),
        ({"dropout": 0.95, "norm": "batch"}, PROBLEM),
        ({"dropout": 0.9}, WARNING),
        ({"dropout": 0.9, "hidden_units": (64, 64)}, PROBLEM),
        ({"dropout": 0.7, "hidden_units": (64,) * 4}, PROBLEM),
        ({"dropout": 0.5, "hidden_units": (3,)}, PROBLEM),
        ({"dropout": 0.2}, OK),
        ({"dropout": 0.5}, OK),
        ({"dropout": 0.5, "hidden_units": (64,) * 4}, OK),
        ({"dropout": 0.7, "hidden_units": (64, 64)}, OK),
        ({"dropout": 0.8}, OK),
    ],
)
def test_dropout(digits, given, verdict):
    (finding,) = found(look_at(settings(**given), digits), "dropout")
    assert finding.verdict == verdict
    assert (finding.diagnosis == "dropout-too-high") == (verdict != OK)
    assert not finding.change or finding.change[0] == "--dropout 0.5"


def test_what_dropout_costs_is_shown_and_comes_first(digits):
    report = examine(settings("digits", dropout=0.95), dataset=digits)
    assert report.diagnoses[0] == "dropout-too-high"
    (finding,) = found(report, "dropout")
    assert finding.figures["accuracy_dropped"] < finding.figures["accuracy"] - 0.1
    assert f"{finding.figures['accuracy_dropped']:.3f} with units dropped" in finding.evidence
    for other in report:
        assert "above" not in " ".join(other.change), other
    (one_batch,) = found(report, "one-batch")
    if one_batch.verdict != OK:
        assert one_batch.change[0] == "fix dropout-too-high first"


# -- short trials ------------------------------------------------------------------------------------------------------


def range_test(steps, own_loss):
    """Trials of this number of steps: 0.001 reaches a loss of 1.9, the rate of the run, 0.003, another."""
    better, own = Trial(1e-3, steps, 1.9), Trial(3e-3, steps, own_loss)
    return RangeTest([better, own], own, math.log(10), 2.4, 300, 300.0)


@pytest.mark.parametrize(
    ("steps", "own_loss", "diagnosis"),
    [
        (100, 2.28, "learning-rate-too-high"),
        (20, 2.28, "learning-rate"),  # it shakes yet: a healthy vgg with group normalisation does
        (20, 2.5, "learning-rate-too-high"),
        (100, 1.95, "learning-rate"),
    ],
)
def test_a_rate_that_shakes_in_a_few_steps_is_not_too_high(steps, own_loss, diagnosis):
    assert check_learning_rate(range_test(steps, own_loss)).diagnosis == diagnosis


# -- what a finding refers to -----------------------------------------------------------------------------------------


def test_a_finding_refers_to_what_was_found_or_to_nothing():
    late = Finding("one-batch", WARNING, "cannot-learn-one-batch", "1", change=(FIX_FIRST, "--dropout 0"))
    alone = Report("")
    alone.add("trials", late)
    alone.settle()
    assert [finding.change for finding in alone] == [("--dropout 0",)]
    together = Report("")
    together.add("start", Finding("weights", WARNING, "odd", "1"), Finding("signal", PROBLEM, "signal-fades", "1"))
    together.add("trials", late)
    together.add("figures", Finding("curve", PROBLEM, "never-learned", "1"))
    together.settle()
    together.settle()  # once more changes nothing
    assert found(together, "one-batch")[0].change == ("fix signal-fades first", "--dropout 0")


def test_what_became_of_a_network_comes_after_what_its_settings_do():
    report = Report("")
    report.add("trials", Finding("dropout", PROBLEM, "dropout-too-high", "1"))
    report.add("trained", Finding("dead-units", PROBLEM, "units-dead", "1", change=(FIX_FIRST,)))
    report.settle()
    assert report.diagnoses == ["dropout-too-high", "units-dead"]
    assert found(report, "dead-units")[0].change == ("fix dropout-too-high first",)


def test_a_run_that_is_ill_is_not_to_be_trained_on():
    falling = [2.0, 1.8, 1.6, 1.4, 1.2, 1.0, 0.8, 0.6]
    record = {"train_accuracy": 0.5, "test_accuracy": 0.5, "validation_loss": None}
    records = [{**record, "step": i, "train_loss": loss, "test_loss": loss} for i, loss in enumerate(falling, 1)]
    told = {"finished": True, "run_dir": "x"}
    assert check_curve(records, math.log(10), 0.1, **told).diagnosis == "ended-too-early"
    ill = check_curve(records, math.log(10), 0.1, problems=["batch-too-small"], **told)
    assert (ill.verdict, ill.change) == (OK, ())
    assert ill.evidence.endswith("; still decreasing, but fix batch-too-small first")


def test_a_noisy_curve_is_not_still_falling():
    """A curve that is constant after its first fifth, with a spike a quarter before the end."""
    losses = [2.3 - 0.9 * min(1, i / 40) + 0.15 * math.sin(7.0 * i) for i in range(200)]
    losses[-1 - len(losses) // 4], losses[-1] = 1.6, 1.2
    record = {"train_accuracy": 0.5, "test_accuracy": 0.5, "validation_loss": None}
    records = [{**record, "step": i, "train_loss": loss, "test_loss": 1.0} for i, loss in enumerate(losses, 1)]
    assert check_curve(records, math.log(10), 0.1, finished=True).diagnosis == "curve"


# -- data -------------------------------------------------------------------------------------------------------------


def exchanged(dataset):
    """Trains on the 359 test samples and tests on the 1,438 training samples."""
    order = np.concatenate([dataset.indices("test"), dataset.indices("train")])
    count = len(dataset.indices("test"))
    splits = {"train": range(count), "test": range(count, len(order))}
    return dataclasses.replace(dataset, inputs=dataset.inputs[order], labels=dataset.labels[order], splits=splits)


def test_splits_that_are_exchanged(digits):
    report = look_at(settings(), exchanged(digits))
    assert report.diagnoses == ["training-set-smaller"]
    (finding,) = found(report, "splits")
    assert finding.verdict == WARNING
    assert finding.evidence == "359 train, 1,438 test samples"
    assert "swap the two" in finding.change[0]


def test_a_validation_set_that_leaves_too_little(digits):
    validated = data.load("digits", validation_size=1200)
    (finding,) = found(look_at(settings(validation_size=1200), validated), "splits")
    assert finding.diagnosis == "training-set-smaller"
    assert finding.change[0] == "--validation-size 300"
    half = data.load("digits", validation_size=300)
    assert look_at(settings(validation_size=300), half).diagnoses == []


@pytest.mark.parametrize(
    "copy",
    [
        lambda x: np.concatenate([x[..., :4], x[..., :4]], axis=3),
        lambda x: np.concatenate([x[..., :4], 0.5 * x[..., :4] + 3], axis=3),
        lambda x: np.concatenate([x[..., :4], 16 - x[..., :4]], axis=3),
        lambda x: np.repeat(np.repeat(x[:, :, ::2, ::2], 2, axis=2), 2, axis=3),
    ],
    ids=["copies", "scaled", "negated", "enlarged"],
)
def test_features_that_are_copies_of_each_other(digits, copy):
    repeated = dataclasses.replace(digits, inputs=copy(digits.inputs.astype(np.float32)))
    report = look_at(settings(), repeated)
    assert set(report.diagnoses) - {"inputs-not-centred"} == {"features-repeated"}
    (finding,) = found(report, "features")
    assert finding.verdict == WARNING
    assert finding.figures["copies"] >= finding.figures["varying"] // 2 - 1
    first, second = (repeated.gather(digits.indices("train")).reshape(-1, 64)[:, i] for i in finding.figures["first"])
    assert abs(np.corrcoef(first, second)[0, 1]) > 0.999


def test_features_that_only_go_along_with_each_other_are_no_copies(digits):
    left = digits.inputs[..., :4].astype(np.float32)
    noisy = left + np.random.default_rng(0).normal(0, 0.2, left.shape).astype(np.float32)
    likewise = dataclasses.replace(digits, inputs=np.concatenate([left, noisy], axis=3))
    assert look_at(settings(), likewise).diagnoses == []


def altered(dataset, how, share=0.5, split="train"):
    indices = dataset.indices(split)
    chosen = indices[np.random.default_rng(1).random(len(indices)) < share]
    inputs = dataset.inputs.copy()
    inputs[chosen] = how(inputs[chosen])
    return dataclasses.replace(dataset, inputs=inputs)


ALTERATIONS = {
    "inverted": lambda x: 16 - x,
    "mirrored": lambda x: x[..., ::-1],
    "turned": lambda x: np.rot90(x, 1, (2, 3)),
    "moved": lambda x: np.roll(x, 2, 3),
    "darker": lambda x: x // 2,
    "half covered": lambda x: np.where(np.arange(8) < 4, 0, x),
    "noisy": lambda x: np.clip(x + np.random.default_rng(0).normal(0, 4, x.shape), 0, 16).astype(x.dtype),
    "pixels shuffled": lambda x: x.reshape(len(x), 64)[:, np.random.default_rng(0).permutation(64)].reshape(x.shape),
}


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("how", ALTERATIONS.values(), ids=ALTERATIONS)
def test_half_of_the_images_altered(digits, how, split):
    report = look_at(settings(), altered(digits, how, split=split))
    assert report.diagnoses[0] == "train-test-differ"
    (finding,) = found(report, "splits")
    assert finding.verdict == WARNING
    assert finding.change
    assert "50% each if the sets are similar" in finding.evidence or "distributions that differ by" in finding.evidence


@pytest.mark.parametrize("how", ["mirrored", "moved"])
def test_both_sets_altered_alike_are_alike(digits, how):
    both = altered(altered(digits, ALTERATIONS[how]), ALTERATIONS[how], split="test")
    assert look_at(settings(), both).diagnoses == []


@pytest.mark.parametrize("seed", range(20))
def test_the_digits_themselves_are_alike(digits, seed):
    assert look_at(settings(data_seed=seed), digits).diagnoses == []


# -- photographs, which have no near neighbours -----------------------------------------------------------------------


def _blurred(x):
    for axis in (2, 3):
        x = (np.roll(x, 1, axis) + x + np.roll(x, -1, axis)) / 3
    return x


def _covered(x):
    x, rng = x.copy(), np.random.default_rng(0)
    for image, (row, column) in zip(x, rng.integers(0, 22, (len(x), 2)), strict=True):
        image[:, row : row + 10, column : column + 10] = 0
    return x


def _moved(x):
    return np.pad(x, ((0, 0), (0, 0), (4, 0), (4, 0)))[:, :, :-4, :-4]


PHOTOGRAPHS = {
    "noisy": lambda x: np.clip(x + np.random.default_rng(0).normal(0, 13, x.shape), 0, 255),
    "specks": lambda x: np.where(np.random.default_rng(0).random(x.shape) < 0.05, 255, x),
    "blurred": _blurred,
    "inverted": lambda x: 255 - x,
    "moved": _moved,
    "covered": _covered,
    "darker": lambda x: x / 2,
    "less contrast": lambda x: x / 2 + 64,
    "grey": lambda x: np.broadcast_to(x.mean(axis=1, keepdims=True), x.shape),
    "channels exchanged": lambda x: x[:, ::-1],
    "coarse": lambda x: x[:, :, ::2, ::2].repeat(2, axis=2).repeat(2, axis=3),
}


@pytest.fixture(scope="module")
def photographs(request):
    """4,000 training and 2,000 test images of CIFAR-10."""
    folder = request.getfixturevalue("real_data")
    try:
        whole = data.load("cifar10", data_dir=folder)
    except DataError:
        pytest.skip(f"needs CIFAR-10 in {folder}")
    chosen = np.concatenate([whole.indices("train")[:4000], whole.indices("test")[:2000]])
    splits = {"train": range(4000), "test": range(4000, 6000)}
    return dataclasses.replace(whole, inputs=whole.inputs[chosen], labels=whole.labels[chosen], splits=splits)


@pytest.mark.slow
@pytest.mark.parametrize("how", PHOTOGRAPHS.values(), ids=PHOTOGRAPHS)
def test_half_of_the_photographs_altered(photographs, how):
    inputs = photographs.inputs.astype(np.float32)
    inputs[:4000:2] = how(inputs[:4000:2])
    finding = check_splits(Patient(settings(), dataclasses.replace(photographs, inputs=inputs)))
    assert (finding.verdict, finding.diagnosis) == (WARNING, "train-test-differ")
    assert "images has distributions that differ by" in finding.evidence


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_photographs_that_are_alike(photographs, seed):
    assert check_splits(Patient(settings(data_seed=seed), photographs)).verdict == OK


def test_images_that_are_copies_of_others(digits):
    """Half of the training images are replaced by copies of the other half."""
    inputs, labels, n = digits.inputs.copy(), digits.labels.copy(), len(digits.indices("train")) // 2
    inputs[:n], labels[:n] = inputs[n : 2 * n], labels[n : 2 * n]
    report = look_at(settings(), dataclasses.replace(digits, inputs=inputs, labels=labels))
    assert report.diagnoses == ["samples-repeated"]
    (finding,) = found(report, "duplicates")
    assert "of the training samples are duplicates" in finding.evidence

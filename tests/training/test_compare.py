"""Comparison of two runs: whether they agree, and where they diverge."""

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from tests.run_files import seal

from handgrad.architectures import Architecture, LayerSpec, mlp, preact_resnet, vgg
from handgrad.cli import main
from handgrad.errors import ConfigError, RunError
from handgrad.training import TrainConfig, load_run, train
from handgrad.training.compare import compare_runs, undetermined

SETTINGS = {
    **{"dataset": "digits", "hidden_units": (16, 12), "max_steps": 30, "eval_freq": 10, "batch_size": 32},
    **{"norm": "batch", "dropout": 0.3, "precision": "float64", "threads": 1},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Run folders by name, each created once."""
    folder = tmp_path_factory.mktemp("runs")
    differing = {
        "numpy": {},
        "torch": {"engine": "torch", "gradients": "hand"},
        "rate": {"learning_rate": 2e-3},
        "seed": {"init_seed": 5},
        "order": {"data_seed": 5},
        "short": {"max_steps": 20},
        "narrow": {"hidden_units": (16, 8)},
        "float32": {"precision": "float32"},
    }
    return {name: train(run_dir=folder / name, **{**SETTINGS, **own}).path for name, own in differing.items()}


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def copied(run, tmp_path, change=None):
    """A copy of a run whose final weights were changed on disk."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in run.iterdir():
        if path.is_file():
            (copy / path.name).write_bytes(path.read_bytes())
    if change is not None:
        with safe_open(run / "model.safetensors", "numpy") as file:
            about = file.metadata()
        state = load_file(copy / "model.safetensors")
        change(state)
        save_file(state, copy / "model.safetensors", about)
        seal(copy / "model.safetensors")
    return copy


def test_equivalent_runs_agree_and_are_not_modified(runs):
    before = {name: contents(runs[name]) for name in ("numpy", "torch")}
    found = compare_runs(runs["numpy"], runs["torch"])
    assert found.agree
    assert found.tolerance == 1e-8
    assert [step.step for step in found.steps] == list(range(31))
    assert found.settings == {"engine": ("numpy", "torch"), "gradients": (None, "hand")}
    assert max(step.loss for step in found.steps[1:]) < 1e-10
    assert len({step.losses for step in found.steps[1:]}) == 30
    assert [row["step"] for row in found.evaluations] == [10, 20, 30]
    assert {name: contents(runs[name]) for name in ("numpy", "torch")} == before


def test_a_bias_before_batch_normalisation_is_undetermined(runs):
    found = compare_runs(runs["numpy"], runs["torch"])
    assert found.undetermined == {"0.bias", "4.bias", "1.running_mean", "5.running_mean"}
    # Adam makes whole steps of rounding: it drifts, as nothing else does.
    assert found.weights["0.bias"] > 1e-3
    assert all(d < 1e-8 for name, d in found.weights.items() if name not in found.undetermined)
    rows = {row["parameter"]: row for row in found.parameters()}
    assert rows["0.bias"]["undetermined"]
    assert rows["0.bias"]["diverges_at_step"] is not None
    assert not rows["0.weight"]["undetermined"]
    assert list(rows)[:3] == ["0.weight", "0.bias", "1.weight"]


@pytest.mark.parametrize(
    ("other", "step", "layer", "kind"),
    [("rate", 1, "0", "linear"), ("order", 1, "0", "linear"), ("seed", 0, "0", "linear")],
)
def test_where_runs_diverge(runs, other, step, layer, kind):
    found = compare_runs(runs["numpy"], runs[other], steps=3)
    assert not found.agree
    assert (found.divergence.step, found.divergence.layer, found.divergence.kind) == (step, layer, kind)
    assert found.divergence.parameter == "0.weight"
    assert found.divergence.difference == found.steps[step].parameters["0.weight"] > 1e-3
    assert found.evaluation_divergence == 10


def test_the_first_layer_in_the_order_of_the_forward_pass(runs, tmp_path):
    def change(state):
        state["5.weight"][0] += 1e-3
        state["8.bias"] += 1.0

    found = compare_runs(runs["numpy"], copied(runs["numpy"], tmp_path, change))
    assert found.divergence is None
    assert found.evaluation_divergence is None
    assert not found.agree
    final = found.final_divergence
    assert (final.layer, final.kind, final.parameter) == ("5", "batch_norm", "5.weight")
    state = load_file(runs["numpy"] / "model.safetensors")["5.weight"]
    assert final.difference == pytest.approx(1e-3 / max(np.abs(state).max(), state[0] + 1e-3), rel=1e-6)
    assert {name for name, d in found.weights.items() if d} == {"5.weight", "8.bias"}


def test_an_undetermined_parameter_that_was_changed_is_not_judged(runs, tmp_path):
    def change(state):
        state["0.bias"] += 1.0

    assert compare_runs(runs["numpy"], copied(runs["numpy"], tmp_path, change), steps=2).agree


def test_weights_that_are_not_finite_differ(runs, tmp_path):
    def change(state):
        state["8.weight"][0, 0] = np.nan

    found = compare_runs(runs["numpy"], copied(runs["numpy"], tmp_path, change), steps=0)
    assert found.final_divergence.parameter == "8.weight"
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["final_divergence"]["difference"] is None


def test_weights_of_different_steps_are_not_compared(runs):
    found = compare_runs(runs["numpy"], runs["short"])
    assert found.agree
    assert len(found.steps) == 21
    assert found.weights == {}
    assert found.weights_note.startswith("not compared: those of ")
    assert [row["step"] for row in found.evaluations] == [10, 20]


def test_the_coarser_precision_sets_the_tolerance(runs):
    assert compare_runs(runs["numpy"], runs["float32"]).tolerance == 1e-3
    found = compare_runs(runs["numpy"], runs["float32"], tolerance=1e-12)
    assert found.divergence.step == 0  # weights are drawn in double and rounded


def test_a_run_that_diverges_ends_the_steps(tmp_path):
    settings = {**SETTINGS, "norm": "none", "optimizer": "sgd", "precision": "float32"}
    fine = train(run_dir=tmp_path / "fine", **settings).path
    (wild := tmp_path / "wild").mkdir()
    text = (fine / "config.toml").read_text().replace("learning_rate = 0.001", "learning_rate = 1e30")
    (wild / "config.toml").write_text(text)
    seal(wild / "config.toml")
    found = compare_runs(fine, wild)
    assert not found.agree
    assert found.divergence.step == 1
    assert 2 <= found.steps[-1].step < 30
    assert "the loss is no longer a finite number at step" in found.note
    assert found.weights_note.endswith("has no weights yet")


def test_a_rate_that_follows_the_evaluations(tmp_path):
    settings = {**SETTINGS, "schedule": "plateau", "plateau_patience": 0, "learning_rate": 0.3, "max_steps": 60}
    twins = [train(run_dir=tmp_path / engine, engine=engine, **settings) for engine in ("numpy", "torch")]
    rates = [record["learning_rate"] for record in twins[0].metrics]
    assert len(set(rates)) > 1, "the schedule never dropped the rate: the test shows nothing"
    found = compare_runs(*twins, steps=60)
    # The repeated steps are those of the run: the mean loss of the steps up to an evaluation is the same.
    for first, record in zip(range(0, 60, 10), twins[0].metrics, strict=True):
        losses = [step.losses[0] for step in found.steps[first + 1 : first + 11]]
        assert np.mean(losses) == pytest.approx(record["train_loss"], rel=1e-12)


# -- undetermined ------------------------------------------------------------------------------------------------


def test_undetermined_parameters_of_networks():
    assert undetermined(mlp((6,), (5, 4), 3)) == set()
    assert undetermined(mlp((6,), (5, 4), 3, norm="layer")) == set()
    network = vgg((3, 32, 32), 10, width=2)
    convolutions = [row.name for row in network.rows() if row.kind == "conv2d"]
    norms = [row.name for row in network.rows() if row.kind == "batch_norm2d"]
    expected = {f"{name}.bias" for name in convolutions} | {f"{name}.running_mean" for name in norms}
    assert undetermined(network) == expected
    network = preact_resnet((3, 32, 32), 10, width=2)
    convolutions = {f"{row.name}.bias" for row in network.rows() if row.kind == "conv2d"}
    assert {name for name in undetermined(network) if name.endswith("bias")} <= convolutions
    assert "1.2.bias" in undetermined(network)


@pytest.mark.parametrize(
    ("between", "found"),
    [
        (["identity"], True),
        (["relu"], False),
        (["dropout"], False),
        ([], True),
    ],
)
def test_what_lies_between_a_bias_and_its_normalisation(between, found):
    options = {"dropout": {"p": 0.5}}
    layers = [
        LayerSpec("linear", {"in_features": 6, "out_features": 4}),
        *(LayerSpec(kind, options.get(kind, {})) for kind in between),
        LayerSpec("batch_norm", {"num_features": 4}),
        LayerSpec("linear", {"in_features": 4, "out_features": 3}),
    ]
    names = undetermined(Architecture("one", (6,), tuple(layers)))
    norm = 1 + len(between)
    assert names == ({"0.bias", f"{norm}.running_mean"} if found else set())


# -- the command ------------------------------------------------------------------------------------------------------


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_command_on_twins(capsys, runs, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, err = run(capsys, "compare", runs["numpy"], runs["torch"])
    assert (code, err) == (0, "")
    assert "The runs agree in 30 steps repeated from the seeds, in their evaluations and in the final weights" in out
    assert "undetermined: a bias that is cancelled by batch normalisation" in out
    assert [line for line in out.splitlines() if "0.bias" in line and "undetermined" in line]


def test_the_command_on_runs_that_diverge(capsys, runs, monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = run(capsys, "compare", runs["numpy"], runs["rate"], "--steps", "5")
    assert code == 1
    assert "The runs diverge at step 1, first in layer 0 (linear): 0.weight by" in out
    assert "learning_rate" in out
    code, out, _ = run(capsys, "compare", runs["numpy"], runs["rate"], "--steps", "0")
    assert code == 1
    assert "The final weights differ, first in layer 0 (linear): 0.weight by" in out
    assert "epeated" not in out


def test_the_command_as_json(capsys, runs):
    code, out, _ = run(capsys, "compare", runs["numpy"], runs["rate"], "--steps", "2", "--json")
    printed = json.loads(out)
    assert code == 1
    assert printed["agree"] is False
    assert printed["divergence"]["step"] == 1
    assert printed["divergence"]["layer"] == "0"
    assert printed["settings"] == {"learning_rate": [0.001, 0.002]}
    assert len(printed["steps"]) == 3
    assert "0.bias" in printed["undetermined"]


def test_runs_that_cannot_be_compared(capsys, runs, tmp_path):
    code, out, err = run(capsys, "compare", runs["numpy"], runs["narrow"])
    assert (code, out) == (2, "")
    assert f"the runs have different architectures: hidden_units=16,12 in {runs['numpy']}, hidden_units=16,8 in" in err
    assert "(layer 4 is linear(in_features=16, out_features=12) in" in err
    assert err.count("\n") == 1
    code, _, err = run(capsys, "compare", runs["numpy"], tmp_path)
    assert code == 2
    assert "is not a run folder: it has no config.toml" in err


#: Settings over `SETTINGS` -> what a person would name, and where it shows first.
OTHER_NETWORKS = {
    "activation": (
        {"activation": "tanh"},
        "activation=relu in A, activation=tanh in B (layer 2 is relu in A, tanh in B)",
    ),
    "gelu": (
        {"activation": "gelu"},
        "activation=relu in A, activation=gelu in B (layer 2 is relu in A, gelu(approximate",
    ),
    "norm": ({"norm": "layer"}, "norm=batch in A, norm=layer in B (layer 1 is batch_norm(num_features=16) in A, layer"),
    "dropout": ({"dropout": 0.5}, "dropout=0.3 in A, dropout=0.5 in B (layer 3 is dropout(p=0.3) in A, dropout(p=0.5)"),
    "two at once": (
        {"activation": "tanh", "negative_slope": 0.2, "learning_rate": 0.5, "hidden_units": [16]},
        "hidden_units=16,12 in A, hidden_units=16 in B; activation=relu in A, activation=tanh in B (layer 2 is relu in",
    ),
    "model": ({"model": "vgg", "width": 2, "hidden_units": None, "dropout": None}, "model=mlp in A, model=vgg in B"),
    "loss": ({"loss": "nll"}, "loss=its default in A, loss=nll in B (9 layers in A, 10 in B)"),
}


@pytest.mark.parametrize(("given", "named"), OTHER_NETWORKS.values(), ids=OTHER_NETWORKS)
def test_the_difference_of_two_networks_is_named_as_a_person_would(runs, tmp_path, given, named):
    changed = {**load_run(runs["numpy"]).config.to_dict(), **given}
    config = TrainConfig.from_settings({name: value for name, value in changed.items() if value is not None})
    (tmp_path / "config.toml").write_text(config.to_toml())
    seal(tmp_path / "config.toml")
    with pytest.raises(RunError) as raised:
        compare_runs(runs["numpy"], tmp_path)
    said = str(raised.value).replace(str(runs["numpy"]), "A").replace(str(tmp_path), "B")
    assert said.startswith(f"the runs have different architectures: {named}")
    assert "negative_slope" not in said
    assert "learning_rate" not in said


def test_arguments_that_cannot_be(runs):
    with pytest.raises(ConfigError, match="steps=-1: expected a whole number of at least 0; 0 repeats none"):
        compare_runs(runs["numpy"], runs["rate"], steps=-1)
    with pytest.raises(ConfigError, match=r"tolerance=-1\.0: expected a number of at least 0"):
        compare_runs(runs["numpy"], runs["rate"], tolerance=-1.0)


def test_a_file_of_another_network(runs, tmp_path):
    copy = copied(runs["numpy"], tmp_path, lambda state: state.pop("8.bias"))
    with pytest.raises(RunError, match=r"8\.bias is in the weights of one run only: a file in .* was changed"):
        compare_runs(runs["numpy"], copy, steps=0)

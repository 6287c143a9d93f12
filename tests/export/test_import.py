"""`handgrad import`: a run folder from weights of any origin, and errors."""

import json
import pickle
import sys

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

import handgrad
from handgrad.cli import main
from handgrad.errors import ConfigError, DataError, RunError
from handgrad.export import export, import_weights

SETTINGS = {"dataset": "digits", "hidden_units": (16, 16), "norm": "batch"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "digits"
    return handgrad.train(run_dir=folder, max_steps=60, eval_freq=30, learning_rate=0.02, seed=1, **SETTINGS)


@pytest.fixture
def state(run):
    return run.engine().state_dict()


@pytest.fixture(scope="module")
def digits():
    data = handgrad.data.load("digits")
    return data.inputs[data.indices("test")]


def same(imported, run, digits):
    np.testing.assert_allclose(imported.predict(digits), run.predict(digits), atol=1e-6)
    assert imported.summary["last"]["test_accuracy"] == pytest.approx(run.summary["last"]["test_accuracy"])


def test_an_export_comes_back_whole(run, digits, tmp_path):
    export(run, "safetensors", tmp_path / "net.safetensors", weights="last")
    imported, notes = import_weights(tmp_path / "net.safetensors", tmp_path / "again", dataset="digits")
    assert notes == []
    same(imported, run, digits)
    assert imported.evaluate()["test"]["accuracy"] == pytest.approx(run.summary["last"]["test_accuracy"])
    export(imported, "python", tmp_path / "net.py")
    export(run, "torch", tmp_path / "t.py", weights="last")
    same(import_weights(tmp_path / "t.safetensors", tmp_path / "third", arch=run.path)[0], run, digits)


def test_training_goes_on_from_imported_weights(run, state, tmp_path):
    save_file(state, tmp_path / "net.safetensors")
    import_weights(tmp_path / "net.safetensors", tmp_path / "again", arch=run.path / "config.toml", learning_rate=1e-4)
    again = handgrad.train(run_dir=tmp_path / "again", resume=True, max_steps=30)
    assert [record["step"] for record in again.metrics] == [0, 30]
    assert again.metrics[1]["train_loss"] < run.metrics[0]["train_loss"] / 2  # not from the beginning


def test_names_of_other_networks(run, state, digits, tmp_path):
    """Layers with arbitrary names in the order of a .pt file; prefixes; the wrappers of training scripts."""
    names = {"0": "input", "1": "norm_a", "3": "hidden", "4": "norm_b", "6": "head"}
    tensors = {name: torch.from_numpy(array) for name, array in state.items()}
    named = {f"{names[n.partition('.')[0]]}.{n.partition('.')[2]}": t for n, t in tensors.items()}
    wrapped = {f"module.net.{name}": tensor for name, tensor in tensors.items()}
    doubled = {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    for number, (content, note) in enumerate(
        [
            (tensors, None),
            (named, "layers by their shapes and order: input -> 0, norm_a -> 1, hidden -> 3, norm_b -> 4, head -> 6"),
            ({"epoch": 3, "state_dict": wrapped, "optimizer": {}}, "names without the common prefix 'module.net.'"),
            ({"model_state_dict": doubled}, None),
        ]
    ):
        torch.save(content, tmp_path / f"net{number}.pt")
        imported, notes = import_weights(tmp_path / f"net{number}.pt", tmp_path / f"run{number}", **SETTINGS)
        assert note in notes[0] if note else notes == []
        same(imported, run, digits)


def test_layers_of_a_safetensors_file_have_no_order_but_their_numbers(run, state, digits, tmp_path):
    numbered, guessed = {}, {}
    for name, array in state.items():
        layer, _, kind = name.partition(".")
        numbered[{"0": "fc1", "1": "bn1", "3": "fc2", "4": "bn2", "6": "fc10"}[layer] + "." + kind] = array
        guessed[{"0": "w", "1": "zeta", "3": "v", "4": "alpha", "6": "a"}[layer] + "." + kind] = array
    for name in [name for name in numbered if "tracked" in name]:
        del numbered[name]  # an older file
    save_file(numbered, tmp_path / "numbered.safetensors")
    save_file(guessed, tmp_path / "guessed.safetensors")
    imported, notes = import_weights(tmp_path / "numbered.safetensors", tmp_path / "numbered", **SETTINGS)
    assert "fc2 -> 3" in notes[0]
    same(imported, run, digits)
    with pytest.raises(ConfigError, match=r"guessed.safetensors: the state has no 0.bias"):  # zeta and alpha are alike
        import_weights(tmp_path / "guessed.safetensors", tmp_path / "guessed", **SETTINGS)


def test_layers_in_another_order_that_only_their_shapes_tell(tmp_path):
    rng = np.random.default_rng(0)
    shapes = {"out": (10, 7), "first": (5, 64), "second": (7, 5)}
    state = {f"{name}.weight": rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    state |= {f"{name}.bias": np.zeros(shape[0], np.float32) for name, shape in shapes.items()}
    save_file(state, tmp_path / "net.safetensors")
    run, notes = import_weights(tmp_path / "net.safetensors", tmp_path / "run", dataset="digits", hidden_units=(5, 7))
    assert "first -> 0, second -> 2, out -> 4" in notes[0]
    np.testing.assert_array_equal(run.engine().state_dict()["2.weight"], state["second.weight"])


def test_an_architecture_as_json(tmp_path, capsys):
    torch.manual_seed(0)
    plain = torch.nn.Sequential(
        torch.nn.Conv2d(1, 3, 3, stride=2), torch.nn.ELU(), torch.nn.Flatten(), torch.nn.Linear(27, 10)
    )
    torch.save(plain.state_dict(), tmp_path / "net.pth")
    layers = [
        {"kind": "conv2d", "in_channels": 1, "out_channels": 3, "kernel_size": 3, "stride": 2},
        {"kind": "elu"},
        {"kind": "flatten"},
        {"kind": "linear", "in_features": 27, "out_features": 10},
    ]
    description = {"name": "mine", "input_shape": [1, 8, 8], "layers": layers}
    (tmp_path / "net.json").write_text(json.dumps(description))
    arguments = ["import", tmp_path / "net.pth", "--run-dir", tmp_path / "run", "--arch", tmp_path / "net.json"]
    assert main([*map(str, arguments), "--dataset", "digits", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["parameters"] == 310
    digits = handgrad.data.load("digits")
    x = digits.gather(np.arange(5))
    with torch.no_grad():
        expected = plain(torch.from_numpy(x)).softmax(dim=1).numpy()
    run = handgrad.load_run(tmp_path / "run")
    np.testing.assert_allclose(run.predict(digits.inputs[:5]), expected, atol=1e-6)


def test_a_softmax_at_the_end_is_left_to_predict(tmp_path):
    rng = np.random.default_rng(0)
    state = {"0.weight": rng.normal(size=(10, 64)).astype(np.float32), "0.bias": np.zeros(10, np.float32)}
    layers = [{"kind": "linear", "in_features": 64, "out_features": 10}, {"kind": "softmax"}]
    (tmp_path / "net.json").write_text(json.dumps({"name": "mine", "input_shape": [64], "layers": layers}))
    save_file(state, tmp_path / "net.safetensors")
    options = {"arch": tmp_path / "net.json", "dataset": "digits", "preprocessing": "none"}
    run, notes = import_weights(tmp_path / "net.safetensors", tmp_path / "run", **options)
    assert notes == ["the last layer, softmax, is left out: predict and export turn scores into probabilities"]
    digits = handgrad.data.load("digits").inputs[:5]
    scores = digits.reshape(5, 64) @ state["0.weight"].T
    expected = np.exp(scores - scores.max(axis=1, keepdims=True))
    np.testing.assert_allclose(
        run.predict(digits), expected / expected.sum(axis=1, keepdims=True), rtol=1e-3, atol=1e-6
    )


# -- what is refused --------------------------------------------------------------------------------------------------


def refuse(error, match, file, tmp_path, **options):
    with pytest.raises(error, match=match):
        import_weights(file, tmp_path / "new" / "run", **options)
    assert not (tmp_path / "new").exists()


def test_weights_of_another_network(run, state, tmp_path):
    save_file(state, tmp_path / "net.safetensors")
    file = tmp_path / "net.safetensors"
    refuse(
        ConfigError,
        r"expected shape=\(8, 64\), got shape=\(16, 64\)",
        file,
        tmp_path,
        **{**SETTINGS, "hidden_units": (8, 8)},
    )
    refuse(ConfigError, "this network has 0.weight 10x64, 0.bias 10", file, tmp_path, dataset="digits", hidden_units=())
    refuse(ConfigError, "does not specify the network of its weights: give --arch", file, tmp_path)
    refuse(ConfigError, "arch=none.toml does not exist", file, tmp_path, arch="none.toml")
    refuse(ConfigError, "is not a run folder: it has no config.toml", file, tmp_path, arch=tmp_path)
    refuse(ConfigError, "expected a run folder, a .toml file", file, tmp_path, arch=file)


def test_a_description_that_is_none(tmp_path, state):
    save_file(state, tmp_path / "net.safetensors")
    file, arch = tmp_path / "net.safetensors", tmp_path / "net.json"
    for text, message in (
        ("{", "describes no architecture"),
        ("[1]", "describes no architecture"),
        ('{"name": "a", "input_shape": [64], "layers": [{"kind": "lstm"}]}', "kind='lstm' is unknown"),
    ):
        arch.write_text(text)
        refuse(ConfigError, message, file, tmp_path, arch=arch, dataset="digits")
    refuse(ConfigError, "does not specify the data set of the weights: add it", file, tmp_path, arch=arch)
    arch.write_text('{"name": "a", "input_shape": [9], "layers": [{"kind": "relu"}]}')
    refuse(ConfigError, "the network takes 9 numbers per sample", file, tmp_path, arch=arch, dataset="digits")


def test_files_that_hold_no_weights(tmp_path):
    options = {"tmp_path": tmp_path, **SETTINGS}
    file = tmp_path / "net.safetensors"
    refuse(DataError, "there is no file", file, **options)
    file.write_bytes(b"12345678901234")
    refuse(DataError, "cannot read .*net.safetensors", file, **options)
    save_file({}, file)
    refuse(DataError, "contains no arrays", file, **options)
    save_file({"0.weight": np.array([[np.nan]], np.float32)}, file)
    refuse(DataError, "0.weight contains NaN or infinity", file, **options)
    refuse(DataError, "expected a .safetensors, .pt or .pth file", __file__, **{**options, "tmp_path": tmp_path})


class Evil:
    def __reduce__(self):
        return exec, ("raise SystemExit('run!')",)


def test_a_pickle_that_calls_something_is_not_run(tmp_path):
    file = tmp_path / "net.pt"
    torch.save({"0.weight": torch.ones(2), "x": Evil()}, file)
    refuse(DataError, "cannot read .*net.pt as weights alone: .*Save the state dict", file, tmp_path, **SETTINGS)
    file.write_bytes(pickle.dumps(Evil()))
    refuse(DataError, "cannot read .*net.pt as weights alone", file, tmp_path, **SETTINGS)
    torch.save([torch.ones(2)], file)
    refuse(
        DataError, "contains a list with other values than tensors: expected a state dict", file, tmp_path, **SETTINGS
    )


def test_where_pytorch_is_missing(tmp_path, monkeypatch):
    torch.save({"0.weight": torch.ones(2)}, tmp_path / "net.pt")
    monkeypatch.setitem(sys.modules, "torch", None)
    message = r'reading net.pt requires torch, .*pip install "handgrad\[torch\]"; or save the weights as .safetensors'
    refuse(ConfigError, message, tmp_path / "net.pt", tmp_path, **SETTINGS)


def test_a_run_folder_that_is_there(run, state, tmp_path):
    save_file(state, tmp_path / "net.safetensors")
    with pytest.raises(RunError, match="already exists: choose another --run-dir"):
        import_weights(tmp_path / "net.safetensors", run.path, **SETTINGS)


def test_nothing_is_left_where_writing_fails(state, tmp_path, monkeypatch):
    from handgrad.training.run import RunFolder

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RunFolder, "save_summary", full)
    save_file(state, tmp_path / "net.safetensors")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot create the run folder .*file/run: .*. Choose another --run-dir"):
        import_weights(tmp_path / "net.safetensors", tmp_path / "file" / "run", **SETTINGS)
    (tmp_path / "file").unlink()
    with pytest.raises(RunError, match=r"cannot write .*No space left"):
        import_weights(tmp_path / "net.safetensors", tmp_path / "run", **SETTINGS)
    assert [path.name for path in tmp_path.iterdir()] == ["net.safetensors"]

"""`handgrad export`: from a run folder to files, and errors."""

import ast
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from tests.export import networks
from tests.run_files import seal

import handgrad
from handgrad.architectures import KINDS, Architecture, Kind, LayerSpec
from handgrad.cli import main
from handgrad.errors import ConfigError, RunError
from handgrad.export import FORMS, export, trained
from handgrad.export.onnx import onnx_model
from handgrad.export.python import python_file


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "my-digits"
    return handgrad.train("digits", run_dir=folder, max_steps=40, eval_freq=20, hidden_units=16, seed=1)


@pytest.fixture(scope="module")
def digits():
    data = handgrad.data.load("digits")
    return data.inputs[data.indices("test")]


def refused(capsys, *arguments):
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert len(captured.err.strip().splitlines()) == 1
    assert captured.out == ""
    return captured.err


def test_a_file_that_runs_by_itself(run, digits, tmp_path, capsys):
    assert main(["export", str(run.path), "--to", "python", "--out", str(tmp_path / "net.py")]) == 0
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / "net.py"), str(tmp_path / "README.md")]
    np.save(tmp_path / "x.npy", digits[:5])
    done = subprocess.run(
        [sys.executable, "-I", "net.py", "x.npy"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    header, *rows = [line.split(",") for line in done.stdout.splitlines()]
    assert header == ["row", "prediction", *"0123456789"]
    probabilities = run.predict(digits[:5], "best")
    np.testing.assert_allclose([[float(p) for p in row[2:]] for row in rows], probabilities, atol=1e-5)
    assert [row[1] for row in rows] == [str(k) for k in probabilities.argmax(axis=1)]


def test_its_command_line_takes_pictures_and_writes_a_table(run, digits, tmp_path):
    export(run, "python", tmp_path / "net.py")
    pixels = np.round(digits[0, 0] * (255 / 16)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "digit.png")
    command = [sys.executable, "net.py", "digit.png", "--out", "table.csv"]
    subprocess.run(command, cwd=tmp_path, check=True)
    row = (tmp_path / "table.csv").read_text().splitlines()[1].split(",")
    expected = run.predict(digits[:1], "best")[0]
    np.testing.assert_allclose([float(p) for p in row[2:]], expected, atol=0.02)  # 17 levels of grey, rounded to 256
    # 16 bits and transparency are converted as `predict` does
    Image.fromarray(pixels.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    clear = np.stack([np.full_like(pixels, 255), pixels], axis=-1)  # white, visible where the digit is
    channels = [Image.fromarray(np.ascontiguousarray(clear[..., i])) for i in range(2)]
    Image.merge("LA", channels).save(tmp_path / "clear.png")
    for name in ("deep.png", "clear.png"):
        done = subprocess.run(
            [sys.executable, "net.py", name], cwd=tmp_path, check=True, capture_output=True, text=True
        )
        again = [float(p) for p in done.stdout.splitlines()[1].split(",")[2:]]
        np.testing.assert_allclose(again, [float(p) for p in row[2:]], atol=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: np.save(path, np.zeros((2, 65))), "inputs of shape (2, 65): expected (N, 1, 8, 8)"),
        (lambda path: np.save(path, np.full((2, 64), np.nan)), "NaN or infinity"),
        (lambda path: np.save(path, np.array([{}], object)), "Object arrays cannot be loaded"),
        (lambda path: None, "No such file"),
    ],
)
def test_its_command_line_refuses_in_one_line(make, message, run, tmp_path):
    export(run, "python", tmp_path / "net.py")
    make(tmp_path / "x.npy")
    done = subprocess.run(
        [sys.executable, "net.py", "x.npy"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_it_imports_numpy_and_what_comes_with_python(run):
    for training in (False, True):
        tree = ast.parse(python_file(trained(run), file_name="net.py", training=training))
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        assert imported - sys.stdlib_module_names == {"numpy"}


@pytest.mark.parametrize("name", ["vgg", "preact-resnet", "nested", "mlp-gelu", "no-hidden-layer"])
def test_it_holds_what_it_uses_and_nothing_else(name):
    network = networks.trained(name)
    for training in (False, True):
        tree = ast.parse(python_file(network, file_name="net.py", training=training))
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert imported - used - {"numpy"} == set()
        offered = {"predict", "main", *(["check", "train", "initialise"] if training else [])}
        assert defined - used <= offered


def test_the_weights_of_the_last_step_where_they_are_asked_for(run, tmp_path):
    for weights, file in (("best", "best.safetensors"), ("last", "model.safetensors")):
        (out, _) = export(run, "safetensors", tmp_path / f"{weights}.safetensors", weights=weights)
        from safetensors.numpy import load_file

        expected = load_file(run.path / file)
        found = load_file(out)
        assert found.keys() == expected.keys()
        for name, array in found.items():
            np.testing.assert_array_equal(array, expected[name])


def test_weights_load_into_plain_pytorch(run, tmp_path):
    import torch
    from safetensors.torch import load_file

    export(run, "safetensors", tmp_path / "net.safetensors")
    plain = torch.nn.Sequential(torch.nn.Linear(64, 16), torch.nn.BatchNorm1d(16), torch.nn.ReLU())
    plain = torch.nn.Sequential(*plain, torch.nn.Dropout(0.3), torch.nn.Linear(16, 10))
    plain.load_state_dict(load_file(tmp_path / "net.safetensors"), strict=True)


def test_json_names_the_files(run, tmp_path, capsys):
    arguments = ["export", str(run.path), "--to", "torch", "--out", str(tmp_path / "net.py"), "--json", "--no-card"]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out) == [str(tmp_path / "net.py"), str(tmp_path / "net.safetensors")]


# -- what is refused --------------------------------------------------------------------------------------------------


def test_a_file_that_is_there_is_kept(run, tmp_path, capsys):
    (tmp_path / "net.safetensors").write_text("mine")
    arguments = ["export", run.path, "--to", "torch", "--out", tmp_path / "net.py"]
    assert "net.safetensors already exists: choose another --out, or replace it with --force" in refused(
        capsys, *arguments
    )
    assert [path.name for path in tmp_path.iterdir()] == ["net.safetensors"]
    assert main([*map(str, arguments), "--force"]) == 0
    assert (tmp_path / "net.safetensors").read_bytes() != b"mine"


@pytest.mark.parametrize("form", FORMS)
def test_the_name_says_what_is_in_it(form, run, tmp_path, capsys):
    for out in (tmp_path / "net.txt", tmp_path):
        message = refused(capsys, "export", run.path, "--to", form, "--out", out)
        assert f"expected the name of a file that ends in {FORMS[form]}" in message
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["my-net.py", "numpy.py", "class.py", "random.py", "1.py"])
def test_a_name_that_cannot_be_imported(name, run, tmp_path):
    for form in ("python", "torch"):
        with pytest.raises(ConfigError, match=r"Python could not import it, .*choose another, as net.py"):
            export(run, form, tmp_path / name)


def test_all_files_or_none(run, tmp_path, monkeypatch):
    written = []

    def full(path, content):
        written.append(path)
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        with path.open("wb") as file:
            file.write(content)

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(RunError, match=r"cannot write .*No space left"):
        export(run, "torch", tmp_path / "net.py")
    assert not list(tmp_path.iterdir())


def test_unknown_arguments(run, tmp_path):
    with pytest.raises(ConfigError, match="to='keras': expected one of python, onnx, torch, safetensors"):
        export(run, "keras", tmp_path / "net.py")
    with pytest.raises(ConfigError, match="with_training requires to=python, not to=onnx"):
        export(run, "onnx", tmp_path / "net.onnx", with_training=True)
    with pytest.raises(ConfigError, match="with_preprocessing requires to=onnx, not to=torch"):
        export(run, "torch", tmp_path / "net.py", with_preprocessing=True)
    with pytest.raises(ConfigError, match="weights='first': expected best or last"):
        export(run, "torch", tmp_path / "net.py", weights="first")


def test_no_run_and_no_weights(run, tmp_path, capsys):
    message = refused(capsys, "export", tmp_path / "none", "--to", "onnx", "--out", tmp_path / "net.onnx")
    assert "there is no run folder" in message
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "config.toml").write_text(run.config.to_toml())
    seal(tmp_path / "begun" / "config.toml")
    message = refused(capsys, "export", tmp_path / "begun", "--to", "onnx", "--out", tmp_path / "net.onnx")
    assert "has no best.safetensors yet: finish the run with" in message


def test_a_run_under_way_can_be_exported(run, tmp_path):
    (tmp_path / "run").mkdir()
    for name in ("config.toml", "best.safetensors", "preprocessing.safetensors"):
        (tmp_path / "run" / name).write_bytes((run.path / name).read_bytes())
    (out, card) = export(handgrad.load_run(tmp_path / "run"), "safetensors", tmp_path / "net.safetensors")
    assert out.exists()
    assert "## Metrics" not in card.read_text("utf-8")


def test_a_place_that_cannot_be_written_to(run, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot write .*net.py: .*choose another --out"):
        export(run, "python", tmp_path / "file" / "net.py")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_library_that_is_not_there(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r'requires onnxruntime, .*pip install "handgrad\[onnx\]"'):
        export(run, "onnx", tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def test_a_layer_of_ones_own_has_no_form(monkeypatch):
    class Own(handgrad.nn.ReLU):
        pass

    monkeypatch.setitem(KINDS, "own", Kind(Own, lambda shape: (shape, 0, 0)))
    network = networks.trained(architecture=Architecture("own", (3,), (LayerSpec("own"),)), state={})
    with pytest.raises(ConfigError, match=r"layer 0 \(own\) is a custom layer class, which cannot be exported"):
        python_file(network, file_name="net.py")


def test_outputs_that_differ_are_not_written(run, tmp_path, monkeypatch):
    from handgrad.export import onnx

    monkeypatch.setitem(onnx.OPERATORS, "relu", onnx.OPERATORS["tanh"])
    with pytest.raises(RunError, match="computes outputs that differ from handgrad's"):
        export(run, "onnx", tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def test_onnx_keeps_to_the_oldest_operator_set_and_says_what_it_is(run, tmp_path):
    import onnx

    (out, _) = export(run, "onnx", tmp_path / "net.onnx")
    model = onnx.load(out)
    assert model.ir_version == 10
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)]
    about = {prop.key: prop.value for prop in model.metadata_props}
    assert json.loads(about["classes"]) == list("0123456789")
    assert about["preprocessing"] == "not included: (x - 0.0) * 0.0625"
    assert [node.op_type for node in model.graph.node] == [
        *("Gemm", "BatchNormalization", "Relu", "Dropout", "Gemm", "Identity")
    ]


@pytest.mark.parametrize(
    ("layer", "operator", "opset", "ir_version"),
    [
        ("mlp-gelu", "Gelu", 20, 10),
        ("mlp-gelu_tanh", "Gelu", 20, 10),
        ("mlp-group", "GroupNormalization", 21, 10),
        ("vgg-group", "GroupNormalization", 21, 10),
        ("mlp-rms", "RMSNormalization", 23, 11),
        ("mlp-silu", "Swish", 24, 12),
    ],
)
def test_a_layer_is_one_node_of_the_lowest_operator_set_that_has_it(layer, operator, opset, ir_version):
    import onnx

    network = networks.trained(layer)
    model = onnx.load_from_string(onnx_model(network, with_preprocessing=False))
    assert (model.opset_import[0].version, model.ir_version) == (opset, ir_version)
    rows = [row for row in network.architecture.rows() if row.kind != "residual"]
    pooled = sum(row.kind == "global_avg_pool2d" for row in rows)
    assert len(model.graph.node) == len(rows) + pooled + 1  # the last one names the output
    assert operator in {node.op_type for node in model.graph.node}

    older = onnx.load_from_string(onnx_model(network, with_preprocessing=False, opset=opset - 1))
    assert older.opset_import[0].version == 17
    assert operator not in {node.op_type for node in older.graph.node}


def test_an_older_onnxruntime_gets_the_nodes_that_it_knows(monkeypatch):
    import onnx
    import onnxruntime

    class Old(onnxruntime.InferenceSession):
        def __init__(self, content, *args, **kwargs):
            if onnx.load_from_string(content).opset_import[0].version > 20:
                raise RuntimeError("ONNX Runtime only guarantees support for models of opset 20")
            super().__init__(content, *args, **kwargs)

    monkeypatch.setattr(onnxruntime, "InferenceSession", Old)
    network = networks.trained("mlp-gelu", architecture=networks.GELU_AND_RMS)
    model = onnx.load_from_string(onnx_model(network, with_preprocessing=False))
    operators = [node.op_type for node in model.graph.node]
    assert model.opset_import[0].version == 20
    assert "Gelu" in operators
    assert "RMSNormalization" not in operators


def test_the_newest_operator_set_is_checked(run, tmp_path, capsys):
    for opset in (16, 25):
        with pytest.raises(ConfigError, match=f"opset={opset}: expected an operator set from 17 to 24"):
            export(run, "onnx", tmp_path / "net.onnx", opset=opset)
    with pytest.raises(ConfigError, match="opset requires to=onnx, not to=python: leave it out"):
        export(run, "python", tmp_path / "net.py", opset=17)
    assert not list(tmp_path.iterdir())


# -- the model card ---------------------------------------------------------------------------------------------------


def test_the_card_says_what_it_is_how_good_and_how_to_run_it(run, tmp_path):
    export(run, "python", tmp_path / "net.py")
    export(run, "onnx", tmp_path / "net.onnx", with_preprocessing=True)
    card = (tmp_path / "README.md").read_text("utf-8")
    for text in (
        "# my-digits",
        "distinguishes 10 classes: 1,242 parameters",
        "1 × 8 × 8 numbers per sample, raw values from 0 to 16",
        f"| test | {run.summary['best']['test_loss']:.4f} | {run.summary['best']['test_accuracy']:.4f} |",
        "| test | precision | recall | f1 | support |",
        "Licence: CC BY 4.0",
        "python net.py inputs.npy --out predictions.csv",  # the earlier file is still there
        'InferenceSession("net.onnx")',
        "## Licence\n\n(to be filled in",
    ):
        assert text in card
    (tmp_path / "net.py").unlink()
    export(run, "safetensors", tmp_path / "w.safetensors")
    assert "net.py" not in (tmp_path / "README.md").read_text("utf-8")


def test_the_readme_of_something_else_is_left_alone(run, tmp_path):
    for text in ("# My project", '<!-- handgrad model card: {"network": "another, best", "files": {}} -->'):
        (tmp_path / "README.md").write_text(text)
        written = export(run, "safetensors", tmp_path / "net.safetensors", force=True)
        assert written == [tmp_path / "net.safetensors", tmp_path / "net.safetensors.md"]
        assert (tmp_path / "README.md").read_text() == text
    export(run, "python", tmp_path / "net.py")
    written = export(run, "python", tmp_path / "net.py", force=True)
    assert "### net.py" in written[1].read_text("utf-8")


def test_windows_of_speech_are_called_so(tmp_path):
    import dataclasses

    from handgrad.export.card import card

    config = dataclasses.replace(handgrad.TrainConfig(), dataset="speech", context=1)
    made = networks.mlp((3, 2), (4,), 3)
    network = networks.trained(config=config, architecture=made, state={}, input_shape=(3, 2))
    assert "Windows of 3 frames with 2 features each, 3 × 2 numbers" in card(network, tmp_path / "README.md", {})
    assert "windows (N, 3, 2) of frames" in python_file(network, file_name="net.py")


def test_the_card_of_a_table(tmp_path):
    from handgrad.export.card import card

    table = {
        "columns": [
            {"name": "age", "kind": "number", "fill": 31.5, "flag": True},
            {"name": "town", "kind": "category", "values": ["", "Ulm"]},
        ]
    }
    network = networks.trained("no-hidden-layer", table=table, task="regression")
    text = card(network, tmp_path / "README.md", {"net.py": "python", "net.onnx": "onnx"})
    assert "| age | number | becomes 31.5, and is flagged by a 0/1 feature | 2 |" in text
    assert "python net.py table.csv" in text
    assert "Targets, in their original units" in text

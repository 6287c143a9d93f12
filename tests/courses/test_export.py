"""Exported files: their contents, and that a course's script runs against them in a separate folder."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from handgrad.cli import main
from handgrad.courses import EDITIONS, export, files
from handgrad.errors import ConfigError, HandgradError

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def run(folder, *arguments):
    environment = {**os.environ, **ONE_THREAD}
    command = [sys.executable, "-W", "error", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout


CMU = """
import numpy as np
{imports}
np.random.seed(0)
x, y = np.random.normal(size=(20, 784)), np.eye(10)[np.random.randint(10, size=20)]
mlp = MLP(784, 10, [64, 32], [Sigmoid(), ReLU(), Identity()], random_normal_weight_init, zeros_bias_init,
          SoftmaxCrossEntropy(), 0.008, momentum=0.9, num_bn_layers=1)
for _ in range(3):
    mlp.zero_grads(); mlp.forward(x); mlp.backward(y); mlp.step()
print(repr(float(mlp.criterion(mlp(x), y).sum())))
"""
STAR = "from hw1 import *"


def expected_loss():
    from handgrad.courses import cmu11785

    namespace = {}
    exec(CMU.format(imports="from handgrad.courses.cmu11785 import *; print = lambda text: None"), namespace)
    mlp, x, y = (namespace[name] for name in ("mlp", "x", "y"))
    assert isinstance(mlp, cmu11785.MLP)
    return float(mlp.criterion(mlp(x), y).sum())


@pytest.mark.parametrize("edition", ["cmu-s19", "cmu-f19", "cmu-2020"])
def test_a_script_beside_the_files_runs(tmp_path, edition):
    export(edition, tmp_path)
    (tmp_path / "test.py").write_text(CMU.format(imports=STAR))
    np.testing.assert_allclose(float(run(tmp_path, "test.py")), expected_loss(), rtol=1e-12)


@pytest.mark.parametrize(
    "imports",
    [
        "import sys; sys.path.insert(0, '../files/hw1'); from hw1 import *",
        "import sys; sys.path.insert(0, '../files'); from hw1.hw1 import *",
        "import sys; sys.path.insert(0, '../files'); from hw1 import hw1; globals().update(vars(hw1))",
        "exec(open('../files/hw1.py').read())",
    ],
)
def test_a_script_elsewhere_finds_hw1_in_each_of_the_usual_ways(tmp_path, imports):
    export("cmu-f19", tmp_path / "files")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test.py").write_text(CMU.format(imports=imports))
    np.testing.assert_allclose(float(run(tmp_path / "tests", "test.py")), expected_loss(), rtol=1e-12)


def test_mytorch_has_its_modules(tmp_path):
    export("cmu-2020", tmp_path)
    (tmp_path / "test.py").write_text(
        "import sys; sys.path.append('mytorch'); sys.path.append('hw1')\n"
        "from activation import *; from loss import *; from linear import *; from batchnorm import *\n"
        "import hw1, mytorch.linear\n"
        "mlp = hw1.MLP(3, 2, [4], [Sigmoid(), Identity()], hw1.random_normal_weight_init, hw1.zeros_bias_init,\n"
        "              SoftmaxCrossEntropy(), 0.1, num_bn_layers=1)\n"
        "assert isinstance(mlp.linear_layers[0], Linear) and mytorch.linear.Linear is Linear\n"
        "assert isinstance(mlp.bn_layers[0], BatchNorm)\n"
    )
    run(tmp_path, "test.py")


UVA_TEST = """
import numpy as np, torch
from modules import LinearModule, SoftMaxModule, CrossEntropyModule, {activation}
from mlp_numpy import MLP as NumPyMLP
from mlp_pytorch import MLP as TorchMLP
from convnet_pytorch import ConvNet
from custom_{norm}norm import Custom{Norm}NormAutograd, Custom{Norm}NormManualFunction, Custom{Norm}NormManualModule
from cifar10_utils import get_cifar10
from train_mlp_numpy import accuracy
numpy_network, torch_network = NumPyMLP(12, [5, 4], 3, *{slope}), TorchMLP(12, [5, 4], 3, *{slope})
linears = [layer for layer in numpy_network.layers if isinstance(layer, LinearModule)]
parameters = list(torch_network.parameters())
for i, layer in enumerate(linears):
    layer.params['weight'][...] = parameters[2 * i].detach().numpy()
    layer.params['bias'][...] = parameters[2 * i + 1].detach().numpy()
assert isinstance(numpy_network.layers[1], {activation})
x = np.random.randn(6, 12).astype(np.float32)
twin = torch.softmax(torch_network(torch.from_numpy(x)), 1).detach().numpy()
np.testing.assert_allclose(numpy_network.forward(x), twin, atol=1e-6)
print(sum(p.numel() for p in ConvNet(3, 10).parameters()))
torch.testing.assert_close(Custom{Norm}NormAutograd(5)(torch.eye(5)), Custom{Norm}NormManualModule(5)(torch.eye(5)))
"""


@pytest.mark.parametrize(
    ("edition", "activation", "slope", "norm", "parameters"),
    [
        ("uva-apr19", "ReLUModule", "()", "batch", 9231114),
        ("uva-nov19", "LeakyReLUModule", "(0.3,)", "batch", 9231114),
        ("uva-2020", "ELUModule", "()", "layer", 11138122),
    ],
)
def test_a_script_runs_against_the_uva_files(tmp_path, edition, activation, slope, norm, parameters):
    export(edition, tmp_path)
    text = UVA_TEST.format(activation=activation, slope=slope, norm=norm, Norm=norm.title())
    (tmp_path / "unittests.py").write_text(text)
    assert int(run(tmp_path, "unittests.py")) == parameters


@pytest.mark.parametrize("script", ["train_mlp_numpy", "train_mlp_pytorch"])
def test_an_exported_training_script_has_its_editions_flags(tmp_path, script):
    export("uva-nov19", tmp_path)
    usage = run(tmp_path, f"{script}.py", "--help")
    flags = ("dnn_hidden_units", "learning_rate", "max_steps", "batch_size", "eval_freq", "data_dir", "neg_slope")
    assert all(f"--{flag}" in usage for flag in flags)
    assert usage.startswith(f"usage: {script}.py")
    assert "neg_slope" not in run(tmp_path, "-c", "import train_convnet_pytorch as t; t._main(['--help'])")


def test_an_exported_training_script_finds_the_data_where_the_course_has_it(tmp_path):
    export("uva-apr19", tmp_path)
    folder = tmp_path / "cifar10" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    import pickle

    rng = np.random.default_rng(0)
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        data = {b"data": rng.integers(0, 256, size=(10, 3072), dtype=np.uint8), b"labels": list(range(10))}
        (folder / name).write_bytes(pickle.dumps(data, protocol=2))
    out = run(tmp_path, "train_mlp_numpy.py", "--max_steps", "2", "--batch_size", "10", "--dnn_hidden_units", "5")
    assert "data_dir : ./cifar10/cifar-10-batches-py" in out
    assert "step 2/2   train loss " in out


# -- writing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("edition", EDITIONS)
def test_files_are_thin_and_are_python(tmp_path, edition):
    paths = export(edition, tmp_path / "new" / "folder")
    assert sorted(path.relative_to(tmp_path / "new" / "folder").as_posix() for path in paths) == sorted(
        EDITIONS[edition].files
    )
    for path in paths:
        text = path.read_text()
        compile(text, path, "exec")
        assert len(text.splitlines()) <= 30
        assert max(map(len, text.splitlines())) <= 120
        assert f"handgrad courses export {edition}" in text
    assert not list((tmp_path / "new").rglob("*.part"))


def test_a_file_that_is_there_is_not_overwritten(tmp_path):
    (tmp_path / "hw1").mkdir()
    (tmp_path / "hw1" / "hw1.py").write_text("mine")
    with pytest.raises(HandgradError, match=r"already has hw1/hw1.py: choose another folder, or overwrite"):
        export("cmu-f19", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["hw1"]
    assert (tmp_path / "hw1" / "hw1.py").read_text() == "mine"
    export("cmu-f19", tmp_path, force=True)
    assert "handgrad" in (tmp_path / "hw1" / "hw1.py").read_text()


def test_a_failure_changes_nothing(tmp_path, monkeypatch):
    (tmp_path / "hw1.py").write_text("mine")
    calls = []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(HandgradError, match=r"cannot write .*hw1.*: No space left on device. Choose another folder"):
        export("cmu-f19", tmp_path, force=True)
    assert (tmp_path / "hw1.py").read_text() == "mine"
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["hw1.py"]


def test_a_folder_in_the_way_is_named(tmp_path):
    (tmp_path / "modules.py").mkdir()
    with pytest.raises(HandgradError, match=r"cannot write .*modules.py: there is a folder of that name"):
        export("uva-2020", tmp_path, force=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(HandgradError, match=r"cannot write .*file.*hw1.py: "):
        export("cmu-f19", tmp_path / "file")


def test_an_unknown_edition_is_refused(tmp_path):
    with pytest.raises(
        ConfigError, match=r"edition='cmu-1985' is unknown, expected one of cmu-s19, cmu-f19, cmu-2020, uva-a"
    ):
        export("cmu-1985", tmp_path)


# -- the command ------------------------------------------------------------------------------------------------------


def test_the_command_lists_the_editions(capsys):
    assert main(["courses"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in EDITIONS)
    assert main(["courses", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed.keys() == EDITIONS.keys()
    assert listed["uva-2020"]["needs_torch"] is True
    assert "custom_layernorm.py" in listed["uva-2020"]["files"]
    assert "custom_batchnorm.py" not in listed["uva-2020"]["files"]


def test_the_command_exports(capsys, tmp_path):
    assert main(["courses", "export", "cmu-f19", str(tmp_path / "a")]) == 0
    assert capsys.readouterr().out.splitlines()[0] == str(tmp_path / "a" / "hw1.py")
    assert main(["courses", "export", "cmu-f19", str(tmp_path / "a")]) == 2
    error = capsys.readouterr().err
    assert "already has hw1.py, hw1/__init__.py, hw1/hw1.py" in error
    assert len(error.splitlines()) == 1
    assert main(["courses", "export", "cmu-f19", str(tmp_path / "a"), "--force", "--json"]) == 0
    assert all(Path(path).is_file() for path in json.loads(capsys.readouterr().out))
    assert main(["courses", "export", "cmu-f18", str(tmp_path / "b")]) == 2
    assert "edition='cmu-f18' is unknown" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()

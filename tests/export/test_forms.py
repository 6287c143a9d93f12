"""Every kind of layer in every form, run in a process where handgrad cannot be imported."""

import json
import subprocess
import sys

import numpy as np
import pytest
from tests.export import networks

from handgrad.architectures import KINDS
from handgrad.export.numpy_code import FORWARD
from handgrad.export.onnx import OPERATORS, onnx_model
from handgrad.export.python import python_file
from handgrad.export.torch import MODULES, state_bytes, torch_module, torch_state

#: Networks beside those of each kind of layer: what stands behind the last one.
CASES = {name: networks.trained(name) for name in networks.ARCHITECTURES} | {
    "mse": networks.trained("mlp-tanh", loss="mse"),
    "regression": networks.trained("mlp-tanh", loss="mse", task="regression"),
    "scaled-regression": networks.trained(
        "mlp-tanh",
        loss="mse",
        task="regression",
        target_shift=np.array([10, 20, -5], np.float32),
        target_scale=np.array([2, 0.5, 100], np.float32),
    ),
}

RUNNER = """
import importlib, json, sys
from pathlib import Path

class Blocked:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] == "handgrad":
            raise ModuleNotFoundError("handgrad is not here")

sys.meta_path.insert(0, Blocked())
import numpy as np

answers = {}
for number, file in json.loads(sys.argv[1]):
    x = np.load(f"x{number}.npy")
    before = set(sys.modules)
    module = importlib.import_module(f"net{number}")
    answers[f"python{number}"] = module.predict(x)
    answers[f"python-forward{number}"] = module.forward(module.preprocess(x))
    answers[f"python-one{number}"] = module.predict(x[0])
    answers[f"python-flat{number}"] = module.predict(x.reshape(len(x), -1))
    answers[f"python-none{number}"] = module.predict(x[:0])
    assert not {name for name in set(sys.modules) - before if name.partition(".")[0] not in sys.stdlib_module_names} - {
        f"net{number}"}
import onnxruntime, torch
from safetensors.torch import load_file
torch.set_num_threads(1)
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
for number, file in json.loads(sys.argv[1]):
    x = np.load(f"x{number}.npy")
    module = importlib.import_module(f"torch{number}")
    network = module.load(f"torch{number}.safetensors")
    answers[f"torch{number}"] = network.predict(x).numpy()
    seen = network.preprocess(x)
    answers[f"torch-forward{number}"] = network(seen).detach().numpy()
    for name, inputs in (("onnx", x), ("onnx-bare", seen.numpy()), ("onnx-old", x)):
        session = onnxruntime.InferenceSession(f"{name}{number}.onnx", options)
        answers[f"{name}{number}"] = session.run(None, {"input": inputs})[0]
        answers[f"{name}-one{number}"] = session.run(None, {"input": inputs[:1]})[0]
np.savez("answers.npz", **answers)
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """The outputs of each file, by form and name of the network."""
    folder = tmp_path_factory.mktemp("exported")
    for number, network in enumerate(CASES.values()):
        folder.joinpath(f"net{number}.py").write_text(python_file(network, file_name="net.py"), "utf-8")
        folder.joinpath(f"torch{number}.py").write_text(torch_module(network, file_name="torch.py"), "utf-8")
        folder.joinpath(f"torch{number}.safetensors").write_bytes(state_bytes(torch_state(network)))
        folder.joinpath(f"onnx{number}.onnx").write_bytes(onnx_model(network, with_preprocessing=True))
        folder.joinpath(f"onnx-bare{number}.onnx").write_bytes(onnx_model(network, with_preprocessing=False))
        old = onnx_model(network, with_preprocessing=True, opset=17)
        folder.joinpath(f"onnx-old{number}.onnx").write_bytes(old)
        np.save(folder / f"x{number}.npy", networks.inputs(network)[0])
    folder.joinpath("runner.py").write_text(RUNNER)
    names = json.dumps(list(enumerate(CASES)))
    done = subprocess.run([sys.executable, "runner.py", names], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(folder / "answers.npz") as found:
        return {name: found[name] for name in found.files}


@pytest.mark.parametrize("name", CASES)
def test_an_exported_network_gives_the_same_answer_without_handgrad(name, answers, close):
    number = list(CASES).index(name)
    _, outputs, values = networks.inputs(CASES[name])
    for form in ("python", "python-flat", "torch", "onnx", "onnx-old"):
        close(answers[f"{form}{number}"], values, 3e-6)
        assert answers[f"{form}{number}"].dtype == np.float32
    for form in ("python-forward", "torch-forward", "onnx-bare"):
        close(answers[f"{form}{number}"], outputs, 3e-6)
    for form in ("python-one", "onnx-one"):
        close(answers[f"{form}{number}"], values[:1], 3e-6)
    assert answers[f"python-none{number}"].shape == (0, 3)


def test_the_networks_hold_every_kind_and_every_form_knows_it():
    kinds = {row.kind for network in CASES.values() for row in network.architecture.rows()}
    assert kinds == set(KINDS)
    for table in (FORWARD, OPERATORS, MODULES):
        assert {*table, "residual"} == set(KINDS)

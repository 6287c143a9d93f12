"""Windows of frames in both engines give the same results as stored windows."""

import numpy as np
import pytest
from tests.speech_files import write_set

from handgrad import data
from handgrad.architectures import mlp
from handgrad.data import Dataset
from handgrad.engines import EngineSpec, OptimizerSpec, make_engine

ENGINES = ["numpy", "torch"]


@pytest.fixture(scope="module", params=["objects", "flat"])
def speech(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("speech")
    write_set(folder, classes=12, features=5, layout=request.param)
    return data.load("speech", data_dir=folder, context=2)


def stored(speech):
    """The same samples as a data set of stored windows."""
    windows = np.ascontiguousarray(speech.inputs.take(speech.rows(np.arange(len(speech.labels)))))
    return Dataset("windows", windows, speech.labels, speech.splits, speech.classes, 1.0, speech.preprocessing)


def made(engine, speech, **spec):
    if engine == "torch":
        pytest.importorskip("torch")
    network = mlp(speech.input_shape, (16,), len(speech.classes), norm="batch")
    return make_engine(EngineSpec(engine, **spec), network, OptimizerSpec("adam"))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_like_windows_that_are_stored(engine, precision, speech):
    rng = np.random.default_rng(0)
    batches = rng.integers(0, len(speech.labels), (5, 32))  # across the splits
    ours, theirs = (made(engine, speech, precision=precision) for _ in range(2))
    ours.load(speech)
    theirs.load(stored(speech))
    for indices in (batches, batches % len(speech.splits["train"])):
        a, b = (chosen.train(indices, np.full(5, 1e-2)) for chosen in (ours, theirs))
        np.testing.assert_allclose(a.loss, b.loss, rtol=1e-6)
        np.testing.assert_array_equal(a.correct, b.correct)
    for split in speech.splits:
        a, b = (chosen.evaluate(speech.indices(split)) for chosen in (ours, theirs))
        np.testing.assert_allclose(a.loss, b.loss, rtol=1e-6)
    assert ours.evaluate(speech.indices("train")[:0]).samples == 0


def test_both_engines_make_the_same_steps(speech, close):
    batches = np.random.default_rng(0).integers(0, len(speech.labels), (8, 16))
    losses = []
    for engine in ENGINES:
        chosen = made(engine, speech, precision="float64")
        chosen.load(speech)
        losses.append(chosen.train(batches, np.full(8, 1e-2)).loss)
    close(*losses)


def test_frames_in_the_memory_of_a_device(speech, monkeypatch):
    """The behaviour of a GPU, on a CPU: all frames are copied into one tensor."""
    torch = pytest.importorskip("torch")
    import handgrad.engines.torch as module

    here = module._ResidentFrames(speech, torch.device("cpu"), torch.float32)
    monkeypatch.setattr(module, "_has_own_memory", lambda device: True)
    there = module._ResidentFrames(speech, torch.device("cpu"), torch.float32)
    assert len(here.parts) == 2
    assert len(there.parts) == 1
    indices = torch.from_numpy(np.random.default_rng(0).permutation(len(speech.labels)))
    for ours, theirs in zip(here.gather(indices), there.gather(indices), strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_frames_on_a_gpu_like_on_a_cpu(speech):
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    losses = []
    for device in ("cpu", "cuda"):
        chosen = made("torch", speech, device=device)
        chosen.load(speech)
        losses.append(chosen.train(np.arange(80).reshape(5, 16), np.full(5, 1e-2)).loss)
    np.testing.assert_allclose(*losses, rtol=1e-4)

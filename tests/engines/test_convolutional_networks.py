"""Convolutional networks in the NumPy engine: training as PyTorch trains, the choice of algorithms, augmentation."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from tests.specs import specs

from handgrad import engines, kernels
from handgrad.architectures import preact_resnet, vgg
from handgrad.data import Augmentation
from handgrad.engines import OptimizerSpec
from handgrad.engines.numpy import NumpyEngine, convolution_plan
from handgrad.errors import ConfigError
from handgrad.kernels import convolution_algorithms

SHAPE, CLASSES = (3, 16, 16), 4


@pytest.fixture(scope="module")
def images(make_dataset):
    """96 images whose class shows in their mean colour."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, 96)
    inputs = rng.standard_normal((96, *SHAPE), dtype=np.float32) + labels[:, None, None, None] / 2
    return make_dataset(inputs.astype(np.float32), labels, CLASSES)


def make(images, model=vgg, width=4, **options) -> NumpyEngine:
    spec, loss, others = specs(**options)
    engine = NumpyEngine(model(SHAPE, CLASSES, width=width), OptimizerSpec("adam"), spec, loss, **others)
    engine.load(images)
    return engine


def batches(steps: int, batch: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 96, (steps, batch))


class _Residual(torch.nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


def module(layer) -> torch.nn.Module:
    options = {name: value for name, value in layer.options.items() if name != "gain"}
    if layer.kind == "residual":
        return _Residual(*map(module, layer.children))
    names = {"conv2d": "Conv2d", "batch_norm2d": "BatchNorm2d", "max_pool2d": "MaxPool2d", "relu": "ReLU"}
    names |= {"flatten": "Flatten", "linear": "Linear"}
    return getattr(torch.nn, names[layer.kind])(**options)


@pytest.mark.parametrize("kernels", ["numpy", "numba"])
@pytest.mark.parametrize("model", [vgg, preact_resnet])
@pytest.mark.parametrize(
    ("dtype", "algorithm", "tolerance"),
    [
        (np.float64, "auto", 1e-9),
        (np.float64, "winograd-4x4", 1e-9),
        # In float32 rounding grows from step to step: PyTorch with and without oneDNN ends 1e-3 apart.
        (np.float32, "auto", 1e-2),
    ],
)
def test_fifty_steps_are_pytorchs(images, model, dtype, algorithm, tolerance, kernels):
    if kernels == "numba":
        pytest.importorskip("numba")
    engine = make(images, model, dtype=dtype, threads=2, convolution=algorithm, kernels=kernels)
    twin = torch.nn.Sequential(*map(module, engine.architecture.layers)).to(
        torch.float64 if dtype == np.float64 else torch.float32
    )
    twin.load_state_dict({name: torch.tensor(array) for name, array in engine.state_dict().items()}, strict=True)
    optimizer = torch.optim.Adam(twin.parameters(), lr=1e-4)
    steps, losses = batches(50, 32), []
    for batch in steps:
        x = torch.tensor(images.inputs[batch].astype(dtype))
        loss = torch.nn.functional.cross_entropy(twin(x), torch.tensor(images.labels[batch]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    figures = engine.train(steps, np.full(50, 1e-4))
    difference = np.abs(figures.loss / 32 - losses)
    assert losses[-1] < losses[0]
    assert difference.max() < tolerance
    if dtype == np.float32:
        assert difference[:10].max() < 1e-3
    twin.eval()
    logits = twin(torch.tensor(images.inputs[:20].astype(dtype))).detach().numpy()
    ours = engine.predict(images.inputs[:20])
    assert np.abs(ours - logits).max() / np.abs(logits).max() < 10 * tolerance


def test_a_step_grows_no_memory(images):
    engine = make(images, preact_resnet, threads=2)
    engine.train(batches(2), np.full(2, 1e-3))
    held = engine.kernels.arena.nbytes
    engine.train(batches(3), np.full(3, 1e-3))
    assert engine.kernels.arena.nbytes == held > 0


# -- algorithms -------------------------------------------------------------------------------------------------------


def test_the_choice_is_settled_and_kept_in_the_checkpoint(images):
    engine = make(images, width=8)
    assert engine.convolutions == {}
    engine.train(batches(3), np.full(3, 1e-3))
    assert engine.convolutions == convolution_plan(engine.architecture, 8)
    assert set(engine.convolutions) == {"0", "4", "8", "11", "15", "18", "22", "25"}

    other = dict.fromkeys(engine.convolutions, "taps")
    chosen = make(images, width=8)
    chosen._use_convolutions(other)
    chosen.train(batches(3), np.full(3, 1e-3))
    arrays, settings = chosen.checkpoint()
    assert settings["convolutions"] == other
    resumed = make(images, width=8, init_seed=5)
    resumed.restore(arrays, settings)
    more = batches(4, seed=1)
    expected, figures = chosen.train(more, np.full(4, 1e-3)), resumed.train(more, np.full(4, 1e-3))
    np.testing.assert_array_equal(figures.loss, expected.loss)
    assert resumed.convolutions == other
    for name, array in resumed.state_dict().items():
        np.testing.assert_array_equal(array, chosen.state_dict()[name])


def test_the_algorithms_of_the_settings_are_the_kernels_own():
    assert engines.CONVOLUTIONS == kernels.CONVOLUTIONS == tuple(convolution_algorithms.ALGORITHMS)


def test_a_wanted_algorithm_is_taken_where_it_fits(images):
    engine = make(images, preact_resnet, convolution="winograd-2x2")
    engine.train(batches(1), np.full(1, 1e-3))
    kernels = {row.name: row.options["kernel_size"] for row in engine.architecture.rows() if row.kind == "conv2d"}
    for name, kernel in kernels.items():
        assert (engine.convolutions[name] == "winograd-2x2") == (kernel == 3)


def test_measuring_takes_the_fastest(images, monkeypatch):
    engine = make(images, convolution="measure", threads=2)
    before = engine.state_dict()
    slow = convolution_algorithms.ALGORITHMS["im2col"]
    seen = []

    def forward(self, *arguments, inner=slow.forward):
        seen.append(self.geometry)
        for _ in range(50):
            result = inner(self, *arguments)
        return result

    monkeypatch.setattr(slow, "forward", forward)
    engine._select_convolutions(8)
    assert len(set(seen)) >= 6  # one a shape
    assert set(engine.convolutions.values()) <= {"taps", "winograd-2x2", "winograd-4x4"}
    for name, array in engine.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_an_evaluation_of_a_large_network_takes_few_samples_at_a_time():
    large = NumpyEngine(vgg((3, 32, 32), 10, width=64), OptimizerSpec("adam"), init="zeros")
    small = NumpyEngine(vgg((1, 8, 8), 10, width=4), OptimizerSpec("adam"), init="zeros")
    assert large._evaluation_batch() == 32
    assert small._evaluation_batch() == 1024


def test_convolutional_networks_are_not_stacked():
    with pytest.raises(ConfigError, match="convolutional networks cannot be stacked: train them one at a time"):
        NumpyEngine(vgg(SHAPE, CLASSES, width=2), OptimizerSpec("adam"), init_seed=[0, 1])


# -- augmentation -----------------------------------------------------------------------------------------------------


def test_crops_and_flips_by_hand():
    image = np.arange(1, 10, dtype=np.uint8).reshape(1, 1, 3, 3)
    augmentation = Augmentation(random_crop=1, horizontal_flip=True, seed=3)
    seen = set()
    for step in range(60):
        rows, columns, flips = augmentation.draw(1, step)
        changed = augmentation.apply(image, step)
        padded = np.zeros((5, 5), np.uint8)
        padded[1:4, 1:4] = image
        cut = padded[rows[0] : rows[0] + 3, columns[0] : columns[0] + 3]
        np.testing.assert_array_equal(changed[0, 0], cut[:, ::-1] if flips[0] else cut)
        assert changed.dtype == np.uint8
        seen.add((rows[0], columns[0], flips[0]))
    assert len(seen) > 14  # of the 18 there are
    np.testing.assert_array_equal(image.ravel(), range(1, 10))


def test_nothing_is_changed_where_nothing_is_asked():
    images = np.ones((2, 1, 3, 3))
    assert not Augmentation()
    assert Augmentation().apply(images, 0) is images
    with pytest.raises(ConfigError, match="random_crop=-1, expected at least 0"):
        Augmentation(-1)
    with pytest.raises(ConfigError, match=r"change images \(C, H, W\); these samples have shape=\(5,\)"):
        Augmentation(1).apply(np.ones((2, 5)), 0)


def test_augmentation_depends_on_the_step_alone_and_evaluation_has_none(images):
    augmented = dataclasses.replace(images, augmentation=Augmentation(2, True, 7))
    whole, parts = make(augmented), make(augmented)
    steps = batches(6)
    expected = whole.train(steps, np.full(6, 1e-3)).loss
    first = parts.train(steps[:4], np.full(4, 1e-3)).loss
    arrays, settings = parts.checkpoint()
    resumed = make(augmented, init_seed=3)
    resumed.restore(arrays, settings)
    np.testing.assert_array_equal([*first, *resumed.train(steps[4:], np.full(2, 1e-3)).loss], expected)
    plain = make(images)
    plain.restore(*whole.checkpoint())
    np.testing.assert_array_equal(plain.evaluate(np.arange(90)).loss, whole.evaluate(np.arange(90)).loss)
    assert not np.array_equal(make(images).train(steps, np.full(6, 1e-3)).loss, expected)

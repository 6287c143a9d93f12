"""The NumPy files of the UvA assignment, sentence by sentence, as the tests of the course use them. The expected values
come from formulas in plain NumPy, from central differences like those of the course's `gradient_check` (which changes
arrays in place), and from PyTorch."""

import numpy as np
import pytest
import torch

from handgrad.courses.uvadlc import cifar10_utils, mlp_numpy, modules, train_mlp_numpy
from handgrad.courses.uvadlc.modules import (
    CrossEntropyModule,
    ELUModule,
    LeakyReLUModule,
    LinearModule,
    ReLUModule,
    SoftMaxModule,
)
from handgrad.errors import ConfigError


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def close(actual, expected, tolerance=1e-12):
    assert np.shape(actual) == np.shape(expected)
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


def numerical_gradient(f, x, upstream=1.0, h=1e-5):
    """Central differences of Σ f · upstream; x is changed in place and restored, as in the helper of the course."""
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        old = x[i]
        x[i] = old + h
        plus = np.array(f())
        x[i] = old - h
        minus = np.array(f())
        x[i] = old
        gradient[i] = np.sum((plus - minus) * upstream) / (2 * h)
    return gradient


def relative_error(a, b):
    return np.max(np.abs(a - b) / np.maximum(1e-8, np.abs(a) + np.abs(b)))


def probabilities(rng, n, k):
    x = rng.uniform(1e-2, 1, size=(n, k))
    return x / x.sum(axis=1, keepdims=True), np.eye(k)[rng.integers(k, size=n)]


# -- the linear module ------------------------------------------------------------------------------------------------


def test_a_linear_module_begins_with_small_weights_and_no_bias():
    np.random.seed(3)
    module = LinearModule(300, 40)
    after = np.random.rand()
    np.random.seed(3)
    np.testing.assert_array_equal(module.params["weight"], np.random.normal(0, 0.0001, (40, 300)))
    assert np.random.rand() == after
    assert abs(module.params["weight"].std() - 1e-4) < 2e-6
    np.testing.assert_array_equal(module.params["bias"], np.zeros(40))
    assert set(module.params) == set(module.grads) == {"weight", "bias"}
    for name, value in module.params.items():
        assert value.dtype == np.float64  # float32 would swallow the course's differences of 1e-5
        assert module.grads[name].shape == value.shape
        assert not module.grads[name].any()
    assert LinearModule(in_features=2, out_features=3).params["weight"].shape == (3, 2)


@pytest.mark.parametrize("n", [1, 7])
def test_a_linear_module_by_formulas(rng, n):
    module = LinearModule(5, 4)
    module.params["weight"][...], module.params["bias"][...] = rng.normal(size=(4, 5)), rng.normal(size=4)
    x, dout = rng.normal(size=(n, 5)), rng.normal(size=(n, 4))
    before = x.copy(), dout.copy()
    close(module.forward(x), x @ module.params["weight"].T + module.params["bias"])
    close(module.backward(dout), dout @ module.params["weight"])
    close(module.grads["weight"], dout.T @ x)
    close(module.grads["bias"], dout.sum(axis=0))
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(dout, before[1])


def test_a_linear_module_passes_the_courses_gradient_check(rng):
    module = LinearModule(4, 3)
    x, dout = rng.normal(size=(5, 4)), rng.normal(size=(5, 3))
    module.forward(x)
    dx = module.backward(dout)
    gradients = {name: value.copy() for name, value in module.grads.items()}
    assert relative_error(numerical_gradient(lambda: module.forward(x), x, dout), dx) < 1e-6
    for name, value in module.params.items():
        assert relative_error(numerical_gradient(lambda: module.forward(x), value, dout), gradients[name]) < 1e-6


def test_parameters_are_live(rng):
    module = LinearModule(2, 3)
    x, dout = rng.normal(size=(4, 2)), rng.normal(size=(4, 3))
    module.params["weight"] += 1.0
    module.params["bias"][1] = 5.0
    close(module.forward(x), x @ module.params["weight"].T + [0, 5, 0])
    module.params["weight"] = np.ones((3, 2))
    module.params["bias"] = np.full((1, 3), 2.0)
    close(module.forward(x), x @ np.ones((2, 3)) + 2)
    module.params["weight"] = np.full((3, 2), 4.0)  # between forward and backward
    close(module.backward(dout), dout @ np.full((3, 2), 4.0))
    assert module.grads["bias"].shape == (1, 3)
    module.params = {"weight": np.zeros((3, 2)), "bias": np.ones(3)}
    close(module.forward(x), np.ones((4, 3)))


def test_gradients_and_outputs_that_somebody_holds_stay(rng):
    module = LinearModule(2, 3)
    x = rng.normal(size=(4, 2))
    held = [module.forward(x), module.backward(np.ones((4, 3))), *module.grads.values()]
    copies = [array.copy() for array in held]
    module.forward(2 * x)
    module.backward(np.full((4, 3), 3.0))
    for array, value in zip(held, copies, strict=True):
        np.testing.assert_array_equal(array, value)


# -- activations, softmax, loss ---------------------------------------------------------------------------------------

ACTIVATIONS = {
    "ReLU": (ReLUModule, lambda x: np.where(x > 0, x, 0), lambda x: np.where(x > 0, 1.0, 0)),
    "LeakyReLU": (
        lambda: LeakyReLUModule(0.02),
        lambda x: np.where(x > 0, x, 0.02 * x),
        lambda x: np.where(x > 0, 1, 0.02),
    ),
    "ELU": (ELUModule, lambda x: np.where(x > 0, x, np.expm1(x)), lambda x: np.where(x > 0, 1, np.exp(x))),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_by_formulas(rng, name):
    make, f, slope = ACTIVATIONS[name]
    module = make()
    x, dout = rng.normal(size=(2, 30, 8))
    before = x.copy(), dout.copy()
    close(module.forward(x), f(x))
    close(module.backward(dout), dout * slope(x))
    module.forward(-x)  # the last forward counts
    close(module.backward(dout), dout * slope(-x))
    np.testing.assert_array_equal((x, dout), before)
    assert module.forward(np.array([[1, -2]])).dtype == np.float64


@pytest.mark.parametrize("make", [ReLUModule, lambda: LeakyReLUModule(0.1), ELUModule, SoftMaxModule])
def test_modules_without_parameters_keep_float32(make):
    module = make()
    assert module.forward(np.ones((2, 3), np.float32)).dtype == np.float32
    assert module.backward(np.ones((2, 3), np.float32)).dtype == np.float32


def test_elu_does_not_overflow():
    close(ELUModule().forward(np.array([[1e4, -1e4]])), [[1e4, -1.0]])


def test_the_slope_of_a_leaky_relu_is_its_argument():
    assert LeakyReLUModule(neg_slope=0.3).neg_slope == 0.3
    close(LeakyReLUModule(0.3).forward(np.array([[-1.0, 1.0]])), [[-0.3, 1.0]])


def test_softmax_by_its_full_jacobian(rng):
    module = SoftMaxModule()
    x, dout = rng.normal(size=(2, 6, 4))
    y = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    close(module.forward(x), y)
    dx = [(np.diag(row) - np.outer(row, row)) @ d for row, d in zip(y, dout, strict=True)]
    close(module.backward(dout), np.array(dx))
    assert relative_error(numerical_gradient(lambda: module.forward(x), x, dout), np.array(dx)) < 1e-6


def test_softmax_is_shifted_by_the_maximum():
    close(SoftMaxModule().forward(np.array([[1e4, 1e4, 0.0]])), [[0.5, 0.5, 0.0]])
    close(SoftMaxModule().forward(np.array([[-1e4, -1e4]])), [[0.5, 0.5]])


@pytest.mark.parametrize(("n", "k"), [(1, 1), (1, 5), (20, 1), (20, 10)])
def test_cross_entropy(rng, n, k):
    x, y = probabilities(rng, n, k)
    before = x.copy()
    loss = CrossEntropyModule().forward(x, y)
    assert np.ndim(loss) == 0
    close(loss, -np.mean(np.log(x[y == 1])))
    dx = CrossEntropyModule().backward(x, y)
    close(dx, -y / (n * x))
    np.testing.assert_array_equal(x, before)
    assert relative_error(numerical_gradient(lambda: CrossEntropyModule().forward(x, y), x), dx) < 1e-6


def test_the_losss_backward_does_not_depend_on_an_earlier_forward(rng):
    x, y = probabilities(rng, 6, 4)
    other, labels = probabilities(rng, 9, 4)
    module = CrossEntropyModule()
    module.forward(other, labels)
    close(module.backward(x, y), -y / (6 * x))
    close(module.backward(other, labels), -labels / (9 * other))


def test_cross_entropy_is_finite_where_a_probability_is_0():
    x, y = np.array([[0.0, 1.0]]), np.array([[1.0, 0.0]])
    assert np.isfinite(CrossEntropyModule().forward(x, y))
    assert np.isfinite(CrossEntropyModule().backward(x, y)).all()


def test_integer_one_hot_labels_do_as_well(rng):
    x, y = probabilities(rng, 6, 4)
    close(CrossEntropyModule().forward(x, y.astype(int)), CrossEntropyModule().forward(x, y))


# -- the network ------------------------------------------------------------------------------------------------------

EDITIONS = {
    "April 2019": (mlp_numpy.MLP, (), ReLUModule, torch.nn.ReLU()),
    "November 2019": (mlp_numpy.MLPNovember2019, (0.1,), LeakyReLUModule, torch.nn.LeakyReLU(0.1)),
    "2020": (mlp_numpy.MLP2020, (), ELUModule, torch.nn.ELU()),
}


@pytest.fixture(params=EDITIONS)
def edition(request):
    return EDITIONS[request.param]


@pytest.mark.parametrize("n_hidden", [[], [5], [6, 5, 4]])
def test_the_network_is_that_of_pytorch(rng, edition, n_hidden):
    make, slope, activation, theirs = edition
    network = make(7, n_hidden, 3, *slope)
    assert sum(isinstance(layer, activation) for layer in network.layers) == len(n_hidden)
    layers = []
    for module in (layer for layer in network.layers if isinstance(layer, LinearModule)):
        module.params["weight"][...] = rng.normal(size=module.params["weight"].shape)
        module.params["bias"][...] = rng.normal(size=module.params["bias"].shape)
        linear = torch.nn.Linear(*module.params["weight"].shape[::-1], dtype=torch.float64)
        linear.weight.data = torch.tensor(module.params["weight"])
        linear.bias.data = torch.tensor(module.params["bias"])
        layers += [linear, theirs]
    twin = torch.nn.Sequential(*layers[:-1])
    x, y = rng.normal(size=(9, 7)), np.eye(3)[rng.integers(3, size=9)]
    out = network.forward(x)
    scores = twin(torch.tensor(x))
    close(out, torch.softmax(scores, 1).detach().numpy())
    torch.nn.functional.cross_entropy(scores, torch.tensor(y)).backward()
    network.backward(CrossEntropyModule().backward(out, y))
    modules_ = [layer for layer in network.layers if isinstance(layer, LinearModule)]
    for module, linear in zip(modules_, layers[::2], strict=True):
        close(module.grads["weight"], linear.weight.grad.numpy(), 1e-11)
        close(module.grads["bias"], linear.bias.grad.numpy(), 1e-11)


def test_weights_are_drawn_in_layer_order_and_nothing_else_is_drawn(edition):
    make, slope, *_ = edition
    np.random.seed(5)
    network = make(7, [6, 5], 3, *slope)
    after = np.random.rand()
    np.random.seed(5)
    shapes = [(6, 7), (5, 6), (3, 5)]
    linear = [layer for layer in network.layers if isinstance(layer, LinearModule)]
    for module, shape in zip(linear, shapes, strict=True):
        np.testing.assert_array_equal(module.params["weight"], np.random.normal(0, 0.0001, shape))
    assert np.random.rand() == after


def test_the_constructors_of_the_editions():
    assert isinstance(mlp_numpy.MLP(4, [3], 2, 0.5).layers[1], LeakyReLUModule)
    assert mlp_numpy.MLP(n_inputs=4, n_hidden=[3], n_classes=2, neg_slope=0.5).layers[1].neg_slope == 0.5
    assert mlp_numpy.MLPNovember2019(4, [3], 2).layers[1].neg_slope == 0.02
    hidden = [3, 2]
    mlp_numpy.MLP2020(4, hidden, 2)
    assert hidden == [3, 2]


# -- the data ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cifar_folder(tmp_path_factory):
    """CIFAR-10's binary files with 5 x 12 training and 10 test images."""
    return write_cifar10(tmp_path_factory.mktemp("data"))


def write_cifar10(base):
    folder = base / "cifar-10-batches-bin"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for name, n in [(f"data_batch_{i}", 12) for i in range(1, 6)] + [("test_batch", 10)]:
        records = rng.integers(0, 256, size=(n, 3073), dtype=np.uint8)
        records[:, 0] = np.arange(n) % 10
        (folder / f"{name}.bin").write_bytes(records.tobytes())
    return folder


def raw(folder, *names):
    records = np.concatenate([np.fromfile(folder / f"{name}.bin", np.uint8).reshape(-1, 3073) for name in names])
    return records[:, 1:].reshape(-1, 3, 32, 32).astype(float), records[:, 0].astype(int)


TRAIN = [f"data_batch_{i}" for i in range(1, 6)]


def test_images_keep_the_scale_and_lose_the_mean_image_of_the_training_set(cifar_folder):
    cifar10 = cifar10_utils.get_cifar10(str(cifar_folder))
    assert isinstance(cifar10, dict)
    assert set(cifar10) == {"train", "validation", "test"}
    images, labels = raw(cifar_folder, *TRAIN)
    mean = images.mean(axis=0)
    assert cifar10["train"].images.dtype == cifar10["test"].images.dtype == np.float32
    np.testing.assert_allclose(cifar10["train"].images, images - mean, atol=1e-4)
    np.testing.assert_allclose(cifar10["test"].images, raw(cifar_folder, "test_batch")[0] - mean, atol=1e-4)
    np.testing.assert_array_equal(cifar10["train"].labels, np.eye(10)[labels])
    assert [cifar10[name].num_examples for name in ("train", "validation", "test")] == [60, 0, 10]
    assert cifar10["train"].images.shape == (60, 3, 32, 32)


def test_labels_as_classes_and_a_validation_split(cifar_folder):
    cifar10 = cifar10_utils.get_cifar10(cifar_folder.parent, one_hot=False, validation_size=20)
    assert [cifar10[name].num_examples for name in ("train", "validation", "test")] == [40, 20, 10]
    images, labels = raw(cifar_folder, *TRAIN)
    np.testing.assert_array_equal(cifar10["train"].labels, labels[:40])
    np.testing.assert_array_equal(cifar10["validation"].labels, labels[40:])
    assert cifar10["test"].labels.shape == (10,)
    np.testing.assert_allclose(cifar10["validation"].images, images[40:] - images[:40].mean(axis=0), atol=1e-4)


def test_next_batch_goes_through_the_samples_then_shuffles():
    np.random.seed(0)
    dataset = cifar10_utils.DataSet(np.arange(10.0).reshape(10, 1), np.arange(10))
    assert dataset.epochs_completed == 0
    for start in (0, 4):
        images, labels = dataset.next_batch(4)
        np.testing.assert_array_equal(labels, np.arange(start, start + 4))
        np.testing.assert_array_equal(images[:, 0], labels)
    seen = [dataset.next_batch(4) for _ in range(2)]  # two are left: dropped
    assert dataset.epochs_completed == 1
    labels = np.concatenate([labels for _, labels in seen])
    assert len(set(labels)) == 8
    assert labels.tolist() != sorted(labels)
    for images, labels in seen:
        np.testing.assert_array_equal(images[:, 0], labels)
    for _ in range(2):
        dataset.next_batch(5)
    assert dataset.epochs_completed == 2
    np.random.seed(0)
    np.random.shuffle(order := np.arange(10))
    np.testing.assert_array_equal(seen[0][1], order[:4])


def test_every_epoch_sees_every_sample_once():
    dataset = cifar10_utils.DataSet(np.zeros((12, 1)), np.arange(12))
    for epoch in range(3):
        labels = np.concatenate([dataset.next_batch(4)[1] for _ in range(3)])
        assert sorted(labels) == list(range(12))
        assert dataset.epochs_completed == epoch


def test_a_batch_is_a_copy():
    dataset = cifar10_utils.DataSet(np.zeros((4, 1)), np.zeros(4))
    images, labels = dataset.next_batch(4)
    images += 1
    labels += 1
    assert not dataset.images.any()
    assert not dataset.labels.any()


def test_a_batch_larger_than_the_set_is_refused():
    dataset = cifar10_utils.DataSet(np.zeros((4, 1)), np.zeros(4))
    with pytest.raises(ValueError, match=r"next_batch got batch_size=5, expected 1 to 4, all examples"):
        dataset.next_batch(5)


def test_one_hot_rows():
    np.testing.assert_array_equal(cifar10_utils.dense_to_one_hot(np.array([1, 0]), 3), [[0, 1, 0], [1, 0, 0]])


# -- the script -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("edition", "flags"), [("uva-apr19", []), ("uva-nov19", ["--neg_slope", "0.1"]), ("uva-2020", [])]
)
def test_the_script_trains(capsys, cifar_folder, edition, flags):
    arguments = ["--dnn_hidden_units", "8,6", "--max_steps", "5", "--batch_size", "20", "--eval_freq", "2"]
    records = train_mlp_numpy.main([*arguments, *flags, "--data_dir", str(cifar_folder)], edition)
    assert [record["step"] for record in records] == [2, 4, 5]
    out = capsys.readouterr().out
    assert "dnn_hidden_units : [8, 6]" in out
    assert ("neg_slope : 0.1" in out) == bool(flags)
    assert f"step 5/5   train loss {records[-1]['train_loss']:.4f}" in out
    assert "test accuracy: last " in out


def test_a_step_of_the_script_by_formulas(cifar_folder):
    """Logistic regression: one step from the seed of the script, then the test metrics."""
    arguments = ["--dnn_hidden_units", "", "--max_steps", "1", "--batch_size", "20", "--learning_rate", "1e-5"]
    (record,) = train_mlp_numpy.main([*arguments, "--data_dir", str(cifar_folder)])
    images, labels = raw(cifar_folder, *TRAIN)
    mean = images.mean(axis=0)
    x, y = (images[:20] - mean).reshape(20, -1), np.eye(10)[labels[:20]]
    np.random.seed(0)
    W = np.random.normal(0, 0.0001, (10, 3072))

    def softmax(x):
        e = np.exp(x - x.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    out = softmax(x @ W.T)
    close(record["train_loss"], -(y * np.log(out)).sum() / 20, 1e-6)
    close(record["train_accuracy"], (out.argmax(axis=1) == labels[:20]).mean())
    delta = (out - y) / 20
    W, b = W - 1e-5 * delta.T @ x, -1e-5 * delta.sum(axis=0)
    test_images, test_labels = raw(cifar_folder, "test_batch")
    out = softmax((test_images - mean).reshape(10, -1) @ W.T + b)
    close(record["test_loss"], -np.log(out[np.arange(10), test_labels]).mean(), 1e-6)
    close(record["test_accuracy"], (out.argmax(axis=1) == test_labels).mean())


@pytest.mark.parametrize(
    ("edition", "defaults"),
    [
        ("uva-apr19", {"learning_rate": 2e-3, "max_steps": 1500, "batch_size": 200, "eval_freq": 100}),
        (
            "uva-nov19",
            {"learning_rate": 2e-3, "max_steps": 1500, "batch_size": 200, "eval_freq": 100, "neg_slope": 0.02},
        ),
        ("uva-2020", {"learning_rate": 1e-3, "max_steps": 1400, "batch_size": 200, "eval_freq": 100}),
    ],
)
def test_the_scripts_defaults(monkeypatch, edition, defaults):
    monkeypatch.setattr(train_mlp_numpy, "train", lambda flags, _: vars(flags))
    flags = train_mlp_numpy.main([], edition)
    assert flags == {"dnn_hidden_units": [100], "data_dir": None, **defaults}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data_dir", "/nonexistent"], "cifar10 is not in /nonexistent"),
        (["--dnn_hidden_units", "10,x"], "argument --dnn_hidden_units: invalid list of units value: '10,x'"),
        (["--dnn_hidden_units", "0"], "invalid list of units value: '0'"),
        (["--learning_rate", "-1"], "argument --learning_rate: invalid float above 0 value: '-1'"),
        (["--max_steps", "0"], "argument --max_steps: invalid int above 0 value: '0'"),
        (["--neg_slope", "0.1"], "unrecognized arguments: --neg_slope"),
    ],
)
def test_what_cannot_be_ends_the_script_with_a_line(capsys, arguments, message):
    with pytest.raises(SystemExit) as end:
        train_mlp_numpy.main(arguments)
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_an_unknown_edition_is_refused():
    with pytest.raises(
        ConfigError, match=r"edition='uva-2030' is unknown, expected one of uva-apr19, uva-nov19, uva-2020"
    ):
        train_mlp_numpy.main([], "uva-2030")


def test_everything_the_course_names_is_there():
    for name in ("LinearModule", "ReLUModule", "LeakyReLUModule", "ELUModule", "SoftMaxModule", "CrossEntropyModule"):
        assert hasattr(getattr(modules, name), "forward")
        assert hasattr(getattr(modules, name), "backward")

"""The PyTorch files of the UvA assignment, as the tests of the course use them."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from handgrad.courses.uvadlc import (
    convnet_pytorch,
    custom_batchnorm,
    custom_layernorm,
    mlp_pytorch,
    train_convnet_pytorch,
    train_mlp_pytorch,
)
from handgrad.courses.uvadlc.custom_batchnorm import (
    CustomBatchNormAutograd,
    CustomBatchNormManualFunction,
    CustomBatchNormManualModule,
)
from handgrad.courses.uvadlc.custom_layernorm import (
    CustomLayerNormAutograd,
    CustomLayerNormManualFunction,
    CustomLayerNormManualModule,
)

NORMS = {
    "batch": (CustomBatchNormAutograd, CustomBatchNormManualFunction, CustomBatchNormManualModule, 0),
    "layer": (CustomLayerNormAutograd, CustomLayerNormManualFunction, CustomLayerNormManualModule, 1),
}


@pytest.fixture(params=NORMS)
def norm(request):
    return NORMS[request.param]


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def by_formulas(x, gamma, beta, axis, eps=1e-5):
    mean = x.mean(axis=axis, keepdims=True)
    variance = ((x - mean) ** 2).mean(axis=axis, keepdims=True)
    return gamma * (x - mean) / np.sqrt(variance + eps) + beta


def modules_of(norm):
    return norm[0], norm[2]


@pytest.mark.parametrize("which", [0, 1])
def test_a_module_begins_as_the_identity_of_normalised_input(norm, which):
    module = modules_of(norm)[which](6)
    assert isinstance(module, torch.nn.Module)
    assert [name for name, _ in module.named_parameters()] == ["gamma", "beta"]
    assert not list(module.buffers())  # no running figures
    assert torch.equal(module.gamma, torch.ones(6))
    assert torch.equal(module.beta, torch.zeros(6))
    assert module.eps == 1e-5
    assert modules_of(norm)[which](n_neurons=6, eps=0.5).eps == 0.5


@pytest.mark.parametrize("which", [0, 1])
def test_a_module_normalises_in_training_and_evaluation_alike(norm, which):
    x = 2 * torch.randn(64, 8) + 10
    module = modules_of(norm)[which](8)
    module.gamma.data, module.beta.data = torch.randn(8), torch.randn(8)
    expected = by_formulas(
        x.double().numpy(), module.gamma.double().detach().numpy(), module.beta.detach().numpy(), norm[3]
    )
    np.testing.assert_allclose(module(x).detach(), expected, atol=2e-5)
    np.testing.assert_allclose(module.eval()(x).detach(), expected, atol=2e-5)


@pytest.mark.parametrize("which", [0, 1])
def test_gradients_of_a_module_are_those_of_pytorch(norm, which):
    x = torch.randn(12, 5, dtype=torch.float64, requires_grad=True)
    dout = torch.randn(12, 5, dtype=torch.float64)
    module = modules_of(norm)[which](5, eps=0.01).double()
    module.gamma.data, module.beta.data = torch.randn(2, 5, dtype=torch.float64)
    twin = torch.nn.LayerNorm(5, 0.01) if norm[3] else torch.nn.BatchNorm1d(5, 0.01)
    twin = twin.double()
    twin.weight.data, twin.bias.data = module.gamma.data, module.beta.data
    theirs = x.detach().clone().requires_grad_()
    twin(theirs).backward(dout)
    module(x).backward(dout)
    for ours, expected in (
        (x.grad, theirs.grad),
        (module.gamma.grad, twin.weight.grad),
        (module.beta.grad, twin.bias.grad),
    ):
        np.testing.assert_allclose(ours, expected, atol=1e-12)


def test_the_function_passes_gradcheck_as_the_course_calls_it(norm):
    function = norm[1]
    for n_neurons in (1, 6):
        x = (2 * torch.randn(40, n_neurons, dtype=torch.float64) + 10).requires_grad_()
        gamma = torch.sqrt(10 * torch.arange(n_neurons, dtype=torch.float64)).requires_grad_()  # begins with a 0
        beta = (100 * torch.arange(n_neurons, dtype=torch.float64)).requires_grad_()
        assert torch.autograd.gradcheck(function.apply, (x, gamma, beta))
        assert torch.autograd.gradcheck(function.apply, (x, gamma, beta, 0.1))
        expected = by_formulas(x.detach().numpy(), gamma.detach().numpy(), beta.detach().numpy(), norm[3])
        np.testing.assert_allclose(function.apply(x, gamma, beta).detach(), expected, atol=1e-9)


def test_the_function_can_be_made_with_an_argument_as_the_course_does(norm):
    with pytest.warns(DeprecationWarning, match="should not be instantiated"):
        function = norm[1](4)
    x, gamma, beta = torch.randn(3, 4), torch.ones(4), torch.zeros(4)
    assert function.apply(x, gamma, beta).shape == (3, 4)


@pytest.mark.parametrize(
    "needed", [(True, True, True), (True, False, False), (False, True, False), (False, False, True)]
)
def test_backward_gives_four_gradients_and_none_where_none_is_needed(norm, needed):
    x = torch.randn(7, 4, dtype=torch.float64)
    gamma, beta, dout = torch.randn(4).double(), torch.randn(4).double(), torch.randn(7, 4).double()
    ctx = SimpleNamespace(needs_input_grad=(*needed, False))
    ctx.save_for_backward = lambda *tensors: setattr(ctx, "saved_tensors", tensors)
    out = norm[1].forward(ctx, x, gamma, beta, 1e-5)
    gradients = norm[1].backward(ctx, dout)
    assert len(gradients) == 4
    assert gradients[3] is None
    leaves = [t.clone().requires_grad_() for t in (x, gamma, beta)]
    module = norm[0](4)
    expected = torch.nn.functional.layer_norm(leaves[0], (4,), leaves[1], leaves[2]) if norm[3] else (
        torch.nn.functional.batch_norm(leaves[0], None, None, leaves[1], leaves[2], training=True)
    )  # fmt: skip
    np.testing.assert_allclose(out, expected.detach(), atol=1e-12)
    expected.backward(dout)
    for gradient, leaf, wanted in zip(gradients, leaves, needed, strict=False):
        assert (gradient is not None) == wanted
        if wanted:
            np.testing.assert_allclose(gradient, leaf.grad, atol=1e-12)
    assert module.n_neurons == 4


@pytest.mark.parametrize("shape", [(4,), (3, 5), (2, 3, 4), (3, 4, 1, 1)])
def test_shapes_are_checked(norm, shape):
    for make in modules_of(norm):
        with pytest.raises(ValueError, match=rf"{make.__name__} got input with shape=.*, expected \(n_batch, 4\)"):
            make(4)(torch.zeros(shape))
    with pytest.raises(ValueError, match=rf"{norm[1].__name__} got input with shape=.*, expected \(n_batch, 4\)"):
        norm[1].apply(torch.zeros(shape), torch.ones(4), torch.zeros(4))


def test_only_the_manual_forms_use_the_hand_written_function(norm):
    x = torch.randn(5, 3)
    assert norm[1].__name__ in norm[2](3)(x).grad_fn.name()
    assert norm[1].__name__ not in norm[0](3)(x).grad_fn.name()


def test_the_files_name_what_the_course_names():
    for module in (custom_batchnorm, custom_layernorm):
        kind = module.__name__.removeprefix("handgrad.courses.uvadlc.custom_")
        names = {name for name in vars(module) if name.lower().startswith(f"custom{kind}")}
        assert len(names) == 3


# -- networks ---------------------------------------------------------------------------------------------------------

MLPS = {
    "April 2019": (mlp_pytorch.MLP, (), torch.nn.ReLU()),
    "November 2019": (mlp_pytorch.MLPNovember2019, (0.1,), torch.nn.LeakyReLU(0.1)),
    "2020": (mlp_pytorch.MLP2020, (), torch.nn.ELU()),
}


@pytest.mark.parametrize("edition", MLPS)
@pytest.mark.parametrize("n_hidden", [[], [5], [6, 5, 4]])
def test_the_mlp_is_that_of_pytorch(edition, n_hidden):
    make, slope, activation = MLPS[edition]
    network = make(7, n_hidden, 3, *slope)
    assert isinstance(network, torch.nn.Module)
    sizes = [7, *n_hidden, 3]
    parameters = list(network.parameters())
    assert [tuple(p.shape) for p in parameters] == [shape for d, k in pairwise(sizes) for shape in ((k, d), (k,))]
    x = torch.randn(9, 7)
    y = x
    for i in range(0, len(parameters), 2):
        y = torch.nn.functional.linear(y, *parameters[i : i + 2])
        y = activation(y) if i < len(parameters) - 2 else y
    torch.testing.assert_close(network(x), y)
    target = torch.randint(3, (9,))
    expected = torch.autograd.grad(torch.nn.functional.cross_entropy(y, target), parameters)
    torch.nn.functional.cross_entropy(network(x), target).backward()
    for parameter, gradient in zip(parameters, expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


@pytest.mark.parametrize(
    ("make", "parameters", "convolutions"),
    [
        (convnet_pytorch.ConvNet, 9_231_114, 8),
        (convnet_pytorch.ConvNetNovember2019, 9_231_114, 8),
        (convnet_pytorch.ConvNet2020, 11_138_122, 13),
    ],
)
def test_the_convnets(make, parameters, convolutions):
    network = make(3, 10)
    assert sum(p.numel() for p in network.parameters()) == parameters
    found = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)]
    assert len(found) == convolutions
    assert all(module.bias is not None for module in found)
    scores = network(torch.randn(2, 3, 32, 32))
    assert scores.shape == (2, 10)
    torch.nn.functional.cross_entropy(scores, torch.tensor([1, 2])).backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())
    assert make(1, 4).eval()(torch.randn(1, 1, 32, 32)).shape == (1, 4)


# -- scripts ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cifar_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "cifar-10-batches-bin"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for name, n in [(f"data_batch_{i}", 12) for i in range(1, 6)] + [("test_batch", 10)]:
        records = rng.integers(0, 256, size=(n, 3073), dtype=np.uint8)
        records[:, 0] = np.arange(n) % 10
        (folder / f"{name}.bin").write_bytes(records.tobytes())
    return folder


@pytest.mark.parametrize("edition", ["uva-apr19", "uva-nov19", "uva-2020"])
def test_the_mlp_script_trains(capsys, cifar_folder, edition):
    arguments = ["--dnn_hidden_units", "8,6", "--max_steps", "5", "--batch_size", "20", "--eval_freq", "2"]
    records = train_mlp_pytorch.main([*arguments, "--data_dir", str(cifar_folder)], edition)
    assert [record["step"] for record in records] == [2, 4, 5]
    assert all(np.isfinite(list(record.values())).all() for record in records)
    assert "test accuracy: last " in capsys.readouterr().out


def test_the_mlp_script_learns_the_few_images_there_are(capsys, cifar_folder):
    arguments = ["--max_steps", "100", "--batch_size", "20", "--eval_freq", "50", "--learning_rate", "1e-3"]
    records = train_mlp_pytorch.main([*arguments, "--data_dir", str(cifar_folder)])
    assert records[-1]["train_loss"] < 0.2


@pytest.mark.parametrize("edition", ["uva-apr19", "uva-2020"])
def test_the_convnet_script_trains(capsys, cifar_folder, edition):
    arguments = ["--max_steps", "2", "--batch_size", "4", "--eval_freq", "1"]
    records = train_convnet_pytorch.main([*arguments, "--data_dir", str(cifar_folder)], edition)
    assert [record["step"] for record in records] == [1, 2]


def test_the_convnet_scripts_defaults(monkeypatch):
    monkeypatch.setattr(train_convnet_pytorch, "train", lambda flags, _: vars(flags))
    expected = {"learning_rate": 1e-4, "max_steps": 5000, "batch_size": 32, "eval_freq": 500, "data_dir": None}
    assert train_convnet_pytorch.main([], "uva-2020") == expected


def test_the_convnet_script_uses_adam(monkeypatch):
    seen = []

    def remember(network, optimizer, flags, *, flat):
        seen.append((type(network), type(optimizer), optimizer.defaults["lr"], flat))

    monkeypatch.setattr(train_convnet_pytorch.torch_training, "train", remember)
    train_convnet_pytorch.main(["--learning_rate", "0.5"], "uva-2020")
    assert seen == [(convnet_pytorch.ConvNet2020, torch.optim.Adam, 0.5, False)]

"""UvA report, 2020."""

from __future__ import annotations

from typing import Any

from handgrad.reproduce.documents.common import CNN, JPEG, NUMPY_MLP, PYTORCH_MLP
from handgrad.reproduce.entries import Case, Entry, Printed, Statement

_EDITION = {"activation": "elu", "learning_rate": 1e-3, "max_steps": 1400}
_NUMPY = {**NUMPY_MLP, **_EDITION}
_PYTORCH = {**PYTORCH_MLP, **_EDITION}
_DEFAULTS = (
    "A dash in the table stands for the default of this edition: SGD, 100 units, batch size 200, ELU, 1,400 steps, "
    "learning rate 1e-3."
)

#: What differs from the defaults, and the printed result.
_TABLE_1: tuple[tuple[str, dict[str, Any], float], ...] = (
    ("defaults", {}, 0.451),
    ("adam", {"optimizer": "adam"}, 0.461),
    ("batch size 64", {"batch_size": 64}, 0.41),
    ("batch size 256", {"batch_size": 256}, 0.456),
    ("batch norm", {"norm": "batch"}, 0.412),
    ("10,000 steps", {"max_steps": 10000}, 0.480),
    ("tanh", {"activation": "tanh"}, 0.353),
    ("64, 128", {"hidden_units": [64, 128]}, 0.426),
    ("adam, 64, 128", {"optimizer": "adam", "hidden_units": [64, 128]}, 0.421),
    ("adam, 64, 128, 10,000 steps", {"optimizer": "adam", "hidden_units": [64, 128], "max_steps": 10000}, 0.462),
    (
        "adam, 64, 128, batch norm, 10,000 steps",
        {"optimizer": "adam", "hidden_units": [64, 128], "norm": "batch", "max_steps": 10000},
        0.524,
    ),
    (
        "adam, 64, 128, 256, batch norm, 10,000 steps",
        {"optimizer": "adam", "hidden_units": [64, 128, 256], "norm": "batch", "max_steps": 10000},
        0.531,
    ),
)
_PERMUTATIONS = {name: Case({**_PYTORCH, **settings}) for name, settings, _ in _TABLE_1}
_LAST = _TABLE_1[-1][0]
_WITHOUT, _WITH = "adam, 64, 128, 10,000 steps", "adam, 64, 128, batch norm, 10,000 steps"

_SAMPLES = 100_000
_SIZES = (4, 16, 128)


def _normalised(norm: str, batch_size: int) -> Case:
    steps = _SAMPLES // batch_size
    settings = {"dataset": "cifar10", "hidden_units": [100, 100], "norm": norm, "batch_size": batch_size}
    return Case({**settings, "max_steps": steps, "eval_freq": steps // 5})


ENTRIES = (
    Entry(
        name="uva-2020/figure-1",
        kind="figure",
        title="Training loss and test accuracy of the NumPy MLP",
        says="The test accuracy reaches 0.48 and then hardly changes; the training loss still falls slightly.",
        cases={"mlp_numpy": Case(_NUMPY)},
        printed=(Printed("mlp_numpy", "last test_accuracy", 0.48),),
        notes=("ELU, learning rate 1e-3 and 1,400 steps are the defaults of this edition.", JPEG),
    ),
    Entry(
        name="uva-2020/table-1",
        kind="table",
        title="The permutation table: twelve PyTorch MLPs",
        says="The test accuracies range from 0.353 with Tanh to 0.531 with Adam, three layers, batch normalisation and "
        "10,000 steps.",
        cases=_PERMUTATIONS,
        printed=tuple(Printed(name, "last test_accuracy", value) for name, _, value in _TABLE_1),
        notes=(_DEFAULTS, JPEG),
    ),
    Entry(
        name="uva-2020/figure-2",
        kind="figure",
        title="Accuracy and loss of the PyTorch MLP with its defaults",
        says="Curves of the first row of table 1, with a test accuracy of 0.451.",
        cases={"defaults": _PERMUTATIONS["defaults"]},
        printed=(Printed("defaults", "last test_accuracy", 0.451),),
        notes=(_DEFAULTS, JPEG),
    ),
    Entry(
        name="uva-2020/figure-3",
        kind="figure",
        title="Accuracy and loss of the best network of table 1",
        says="Curves of the last row of table 1, with a test accuracy of 0.531.",
        cases={_LAST: _PERMUTATIONS[_LAST]},
        printed=(Printed(_LAST, "last test_accuracy", 0.531),),
        notes=(_DEFAULTS, JPEG),
    ),
    Entry(
        name="uva-2020/claim-tanh-slower-than-elu",
        kind="claim",
        title="Tanh converges more slowly than ELU",
        says="“Networks with Tanh activation functions have converged a lot slower in this example”: the test accuracy "
        "is 0.353 against 0.451.",
        cases={
            "ELU": Case(_PYTORCH),
            "Tanh": Case({**_PYTORCH, "activation": "tanh"}),
            "ELU, standardised": Case({**_PYTORCH, "preprocessing": "standard", "learning_rate": 0.1}),
            "Tanh, standardised": Case(
                {**_PYTORCH, "preprocessing": "standard", "learning_rate": 0.1, "activation": "tanh"}
            ),
        },
        statements=(
            Statement("ELU has a higher accuracy on average over the run", "mean test_accuracy", ("ELU",), ("Tanh",)),
            Statement("ELU has a higher accuracy at the end", "last test_accuracy", ("ELU",), ("Tanh",)),
        ),
        notes=(
            "The inputs range from 0 to 255 in this course, so Tanh saturates from the first step. The cases with "
            "standardised inputs (learning rate 0.1) show the difference without this effect.",
            JPEG,
        ),
    ),
    Entry(
        name="uva-2020/claim-elu-floor",
        kind="claim",
        title="ELU drives activations towards its lower bound",
        says="“With ELU, many insignificant weights go to practically 0, whereas with Tanh, the weights are scaled "
        "somewhere between -1 and 1.” Weights have no bounds in either network, so the document must mean activations. "
        "ELU has a lower bound of -1, where its derivative is practically 0.",
        cases={
            "ELU": Case(_PYTORCH),
            "ELU, step 1": Case({**_PYTORCH, "max_steps": 1, "eval_freq": 1}),
            "ELU, standardised": Case({**_PYTORCH, "preprocessing": "standard", "learning_rate": 0.1}),
            "ELU, standardised, step 1": Case(
                {**_PYTORCH, "preprocessing": "standard", "learning_rate": 0.1, "max_steps": 1, "eval_freq": 1}
            ),
            "Tanh": Case({**_PYTORCH, "activation": "tanh"}),
        },
        statements=(
            Statement(
                "More activations are within 0.1 of the lower bound after training than before",
                "share of the activations at ELU's floor",
                ("ELU",),
                ("ELU, step 1",),
            ),
            Statement(
                "The same on standardised inputs",
                "share of the activations at ELU's floor",
                ("ELU, standardised",),
                ("ELU, standardised, step 1",),
            ),
            Statement(
                "More weights of the last layer are close to 0 with ELU than with Tanh",
                "share of the weights near 0",
                ("ELU",),
                ("Tanh",),
            ),
        ),
        notes=(
            "The share is that of the hidden activations of 1,000 test images.",
            "With inputs from 0 to 255, about half of all activations are at the lower bound from the first step, so "
            "training can hardly add to them. With standardised inputs, training does drive them there.",
            JPEG,
        ),
    ),
    Entry(
        name="uva-2020/claim-batch-norm-more-layers",
        kind="claim",
        title="Batch normalisation improves the network, and more layers then improve it further",
        says="“Especially when adding batch-norm, the ability to generalize with more layers started improving "
        "tremendously”: the test accuracy is 0.462 without it, 0.524 with it and 0.531 with another layer.",
        cases={name: _PERMUTATIONS[name] for name in (_WITHOUT, _WITH, _LAST)},
        statements=(
            Statement("Batch normalisation raises the test accuracy", "last test_accuracy", (_WITH,), (_WITHOUT,)),
            Statement("A third layer raises it further", "last test_accuracy", (_LAST,), (_WITH,)),
        ),
        notes=(_DEFAULTS, JPEG),
    ),
    Entry(
        name="uva-2020/claim-batch-norm-batch-size",
        kind="claim",
        title="Batch normalisation depends on the batch size, layer normalisation does not",
        says="“The definition of your batch-size can influence the perforamnce of batch-normalization immensely. We "
        "are required to enforce a higher batch-size to prevent noise from coming in.”",
        cases={
            f"{norm} norm, batch size {size}": _normalised(norm, size) for norm in ("batch", "layer") for size in _SIZES
        },
        statements=(
            Statement(
                "With batches of 128, batch normalisation beats layer normalisation",
                "last test_accuracy",
                ("batch norm, batch size 128",),
                ("layer norm, batch size 128",),
            ),
            Statement(
                "With batches of 4, layer normalisation beats batch normalisation",
                "last test_accuracy",
                ("layer norm, batch size 4",),
                ("batch norm, batch size 4",),
            ),
            Statement(
                "Batch normalisation is better with batches of 16 than of 4",
                "last test_accuracy",
                ("batch norm, batch size 16",),
                ("batch norm, batch size 4",),
            ),
        ),
        notes=(
            "Each run trains two layers of 100 units on 100,000 images (two epochs), with Adam and a learning rate of "
            "1e-3. Layer normalisation is the control: it shows the effect of the batch size alone.",
            JPEG,
        ),
    ),
    Entry(
        name="uva-2020/claim-layer-norm-conv-nets",
        kind="claim",
        title="Layer normalisation can hurt convolutional networks",
        says="Layer normalisation assumes that all neurons are equally important, which “can work to its detriment in "
        "for instance ConvNets”.",
        cases={
            "batch norm": Case({**CNN, "norm": "batch"}),
            "layer norm": Case({**CNN, "norm": "group", "num_groups": 1}),
            "no norm": Case(CNN),
        },
        statements=(
            Statement("Batch normalisation is better", "last test_accuracy", ("batch norm",), ("layer norm",)),
            Statement("No normalisation is better", "last test_accuracy", ("no norm",), ("layer norm",)),
        ),
        notes=(
            "Layer normalisation of an image is group normalisation with one group, over all channels and pixels. The "
            "network has three convolutions with 8, 16 and 32 channels and is trained for 600 steps on batches of 64 "
            "images, with Adam and a learning rate of 1e-3.",
            "The claim says “can”, so one example would be enough. It requires a network that is better without "
            "normalisation; one that is better with batch normalisation does not show that layer normalisation hurts.",
            JPEG,
        ),
    ),
    Entry(
        name="uva-2020/figure-4",
        kind="figure",
        title="Accuracy and loss of the PreAct ResNet over 5,000 steps",
        says="The document states no values. According to the text, the accuracy still rises at the end, but more "
        "slowly from about step 800 on.",
        cases={"PreAct ResNet": Case({"recipe": "uva-preact-resnet"})},
        seeds=2,
        statements=(
            Statement(
                "The test accuracy still rises in the last fifth of the steps",
                "gain of the test accuracy in the last fifth of the steps",
                ("PreAct ResNet",),
                0.0,
            ),
            Statement(
                "It rises more in the first fifth of the steps than in all the others",
                "gain of the first fifth over the others",
                ("PreAct ResNet",),
                0.0,
            ),
        ),
        notes=(JPEG,),
    ),
    Entry(
        name="uva-2020/claim-loss-hops",
        kind="claim",
        title="The training loss of the PreAct ResNet falls in jumps",
        says="Around steps 700, 1500, 3000 and 4700 the loss makes “significant ‘average’ drops”.",
        cannot="The document's loss is that of single batches of 32 images and, as the document says, should have been "
        "averaged. An epoch has 1,562 steps, so the drops at 1,500, 3,000 and 4,700 are at the ends of epochs, and the "
        "drop at 700 is one of many in the noise. The document states no value that a run could be compared with.",
    ),
)

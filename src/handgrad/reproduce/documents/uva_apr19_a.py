"""UvA report A, April 2019."""

from __future__ import annotations

from handgrad.reproduce.documents.common import BATCH, JPEG, NUMPY_MLP, STEPS, VGG, combination_name, combinations
from handgrad.reproduce.entries import Case, Entry, Printed, Statement

_MLP = {"recipe": "uva-pytorch-mlp"}
_BEST = "1024, 512, 128, 64, 32"
_NORM = "Each layer has batch normalisation, because the document says “we also normalize the inputs of every layer”."

#: Hidden units, optimiser, learning rate, weight decay, batch size; accuracy and loss of training and test.
_TABLE_4 = (
    ((100,), "sgd", 5e-3, 1e-5, 200, 0.62, 0.53, 1.09, 1.35),
    ((100,), "adam", 5e-5, 1e-10, 200, 0.65, 0.54, 1.28, 1.31),
    ((1024, 512, 128, 64, 32), "sgd", 5e-3, 1e-5, 200, 0.66, 0.56, 0.98, 1.25),
    ((512, 128, 64), "sgd", 5e-3, 1e-5, 200, 0.64, 0.57, 1.02, 1.22),
    ((1000, 800, 200), "adam", 5e-5, 1e-10, 200, 0.97, 0.58, 0.11, 1.19),
    ((4000, 1000, 4000), "adam", 5e-5, 1e-10, 200, 1.0, 0.586, 0.02, 1.22),
    ((4000, 1000, 800, 200), "adam", 4e-5, 1e-10, 256, 1.0, 0.587, 0.02, 1.21),
    ((1024, 512, 128, 64, 32), "adam", 5e-5, 2e-10, 128, 0.86, 0.59, 0.51, 1.23),
)


def _row_name(row: tuple) -> str:
    return f"{', '.join(map(str, row[0]))} {row[1]}"


def _row_case(row: tuple) -> Case:
    hidden, optimizer, learning_rate, weight_decay, batch_size = row[:5]
    momentum = {"momentum": 0.9, "nesterov": True} if optimizer == "sgd" else {}
    settings = {"learning_rate": learning_rate, "weight_decay": weight_decay, "batch_size": batch_size}
    return Case({**_MLP, "hidden_units": list(hidden), "optimizer": optimizer, **momentum, **settings})


_TABLE_3 = {
    "recipe": "uva-pytorch-mlp",
    "batch_size": [32, 64, 128, 256],
    "learning_rate": [3e-5, 4e-5, 5e-5, 6e-5],
    "search": {"select": "test"},
}
_TABLE_3_PRINTED = {
    32: (0.537, 0.545, 0.551, 0.551),
    64: (0.567, 0.569, 0.575, 0.578),
    128: (0.582, 0.583, 0.590, 0.589),
    256: (0.577, 0.588, 0.586, 0.585),
}

_RANGES = {
    "recipe": "uva-pytorch-mlp",
    "max_steps": 2000,
    "eval_freq": 200,
    "learning_rate": [1e-2, 1e-3, 1e-4, 9e-5, 8e-5, 7e-5, 6e-5, 5e-5, 4e-5, 3e-5, 2e-5, 1e-5, 1e-6, 1e-7],
    "weight_decay": [1e-9, 1e-10, 1e-11],
    "search": {"select": "test"},
}


def _at(learning_rate: float, weight_decay: float) -> str:
    return combination_name({"learning_rate": learning_rate, "weight_decay": weight_decay})


_DECAYS = (1e-9, 1e-10, 1e-11)

ENTRIES = (
    Entry(
        name="uva-apr19-a/table-1",
        kind="settings",
        title="Settings of the NumPy MLP",
        says="100 hidden units, SGD, learning rate 2e-3, batch size 200.",
        cases={"mlp_numpy": Case(NUMPY_MLP)},
        printed=(
            Printed("mlp_numpy", "setting hidden_units", "100"),
            Printed("mlp_numpy", "setting optimizer", "sgd"),
            Printed("mlp_numpy", "setting learning_rate", 2e-3),
            Printed("mlp_numpy", "setting batch_size", 200),
        ),
    ),
    Entry(
        name="uva-apr19-a/figure-1",
        kind="figure",
        title="Accuracy and loss of the NumPy MLP during training",
        says="Training and test curves, with a test evaluation every 100 steps. The figure states no values; the text "
        "gives the best ones (table 2).",
        cases={"mlp_numpy": Case(NUMPY_MLP)},
        printed=(Printed("mlp_numpy", "best test_accuracy", 0.48), Printed("mlp_numpy", "best test_loss", 1.50)),
        notes=(STEPS, JPEG),
    ),
    Entry(
        name="uva-apr19-a/table-2",
        kind="table",
        title="The best results of the NumPy MLP",
        says="The accuracy is 0.61 on the training data and 0.48 on the test data; the losses are 1.16 and 1.50. The "
        "text calls 0.48 “equally a with random pick”, although chance would be 0.10.",
        cases={"mlp_numpy": Case(NUMPY_MLP)},
        printed=(
            Printed("mlp_numpy", "best test_accuracy", 0.48),
            Printed("mlp_numpy", "best test_loss", 1.50),
            Printed("mlp_numpy", "best train_accuracy", 0.61, samples=200, headline=False),
            Printed("mlp_numpy", "best train_loss", 1.16, samples=200, headline=False),
        ),
        notes=(
            STEPS,
            "The document's training results are the best of many single batches of 200, which biases them upwards. "
            "Ours are means over 100 batches, so the verdict depends only on the test results.",
            JPEG,
        ),
    ),
    Entry(
        name="uva-apr19-a/claim-search-ranges",
        kind="claim",
        title="The ranges that were searched, and the result",
        says="The authors searched a grid of learning rates from 1e-2 to 1e-7, then from 1e-5 to 9e-5, and of weight "
        "decays from 1e-9 to 1e-11. They chose a learning rate of 5e-5. Their initial runs were short.",
        study=_RANGES,
        cases=combinations(_RANGES, ("learning_rate", "weight_decay")),
        seeds=1,
        statements=(
            *(
                Statement(
                    f"A learning rate of 5e-5 beats {other:g}",
                    "best test_accuracy",
                    tuple(_at(5e-5, decay) for decay in _DECAYS),
                    tuple(_at(other, decay) for decay in _DECAYS),
                )
                for other in (1e-2, 1e-3, 1e-4, 1e-6, 1e-7)
            ),
        ),
        notes=(
            "The document does not state the length of the initial runs. Ours have 2,000 steps.",
            "The three weight decays serve as three repetitions, because an L2 penalty of 1e-9 or less is smaller than "
            "the rounding error.",
            JPEG,
        ),
    ),
    Entry(
        name="uva-apr19-a/table-3",
        kind="table",
        title="Test accuracy by batch size and learning rate: the 4x4 grid",
        says="The table has 16 networks, trained for 20,000 steps each. The best test accuracy is 0.590, with batch "
        "size 128 and learning rate 5e-5.",
        study=_TABLE_3,
        cases=combinations(_TABLE_3, ("batch_size", "learning_rate")),
        seeds=1,
        printed=tuple(
            Printed(
                combination_name({"batch_size": batch_size, "learning_rate": learning_rate}),
                "best test_accuracy",
                value,
            )
            for batch_size, values in _TABLE_3_PRINTED.items()
            for learning_rate, value in zip(_TABLE_3["learning_rate"], values, strict=True)
        ),
        notes=(
            "The document does not state whether the values are the best or the last of a run. Ours are the best of 40 "
            "evaluations.",
            _NORM,
            JPEG,
        ),
    ),
    Entry(
        name="uva-apr19-a/table-4",
        kind="table",
        title="PyTorch MLPs of eight shapes",
        says="Test accuracies range from 0.53 (100 units, SGD) to 0.59 (five layers, Adam). All networks have dropout "
        "0.2; SGD has Nesterov momentum 0.9.",
        cases={_row_name(row): _row_case(row) for row in _TABLE_4},
        seeds=1,
        printed=tuple(
            Printed(_row_name(row), measure, value, samples, headline)
            for row in _TABLE_4
            for measure, value, samples, headline in (
                ("best test_accuracy", row[6], None, True),
                ("best train_accuracy", row[5], row[4], False),
                ("best test_loss", row[8], None, False),
                ("best train_loss", row[7], row[4], False),
            )
        ),
        notes=(
            "The document states the number of steps only for table 3. We use its 20,000 steps for these rows, too.",
            "The losses of a row may come from a different step than its accuracies.",
            BATCH,
            _NORM,
            JPEG,
        ),
    ),
    Entry(
        name="uva-apr19-a/figure-2",
        kind="figure",
        title="Accuracy and loss of the best PyTorch MLP over 20,000 steps",
        says="The test accuracy is 0.59. The test loss begins to rise at about step 10,000, while the accuracy does "
        "not change.",
        cases={_BEST: Case({**_MLP, "eval_freq": 100})},
        seeds=1,
        printed=(
            Printed(_BEST, "best test_accuracy", 0.59),
            Printed(_BEST, "share of the steps before the smallest test loss", 0.5, headline=False),
        ),
        notes=(_NORM, JPEG),
    ),
    Entry(
        name="uva-apr19-a/claim-dropout-test-above-training",
        kind="claim",
        title="The test accuracy lies above the training accuracy at first, because of dropout",
        says="“It is very surprising that the model from the beginning until the 1.000th step …”: dropout is active "
        "in training and not in evaluation. The document names L2 regularisation as a second cause.",
        cases={
            "dropout 0.2": Case({**_MLP, "max_steps": 1000, "eval_freq": 100}),
            "no dropout": Case({**_MLP, "max_steps": 1000, "eval_freq": 100, "dropout": 0.0}),
        },
        seeds=2,
        statements=(
            Statement(
                "With dropout, the test accuracy is above the training accuracy in most of the first 1,000 steps",
                "share of the first 1,000 steps with test above training accuracy",
                ("dropout 0.2",),
                0.5,
            ),
            Statement(
                "This happens more often with dropout than without",
                "share of the first 1,000 steps with test above training accuracy",
                ("dropout 0.2",),
                ("no dropout",),
            ),
        ),
        notes=(
            "The training accuracy is a mean over the steps since the previous evaluation, so it also lags behind. The "
            "runs without dropout show the size of this effect alone.",
            "A weight decay of 2e-10 has no measurable effect, so L2 regularisation is not a cause here.",
        ),
    ),
    Entry(
        name="uva-apr19-a/claim-accuracy-stays-while-loss-rises",
        kind="claim",
        title="The accuracy does not change while the loss rises",
        says="After about step 10,000 of 20,000, the test loss rises slowly and the test accuracy remains the same. "
        "The document explains that the predicted classes are still right, but with less confidence.",
        cases={_BEST: Case({**_MLP, "eval_freq": 100})},
        seeds=2,
        statements=(
            Statement(
                "The test loss rises by more than 0.02 after its minimum", "rise of the test loss", (_BEST,), 0.02
            ),
            Statement(
                "After that minimum, the test accuracy falls by no more than 0.01",
                "change of the test accuracy after the smallest test loss",
                (_BEST,),
                -0.01,
            ),
        ),
        notes=(
            "This entry does not test the document's explanation. If the loss rises while the accuracy remains the "
            "same, the usual reason is that the network makes its mistakes with more confidence.",
        ),
    ),
    Entry(
        name="uva-apr19-a/claim-sgd-close-to-adam",
        kind="claim",
        title="SGD with Nesterov momentum performs very similarly to Adam",
        says="With 100 hidden units, the test accuracy is 0.53 with SGD and 0.54 with Adam (table 4).",
        cases={_row_name(row): _row_case(row) for row in _TABLE_4[:2]},
        printed=(
            Printed(_row_name(_TABLE_4[0]), "best test_accuracy", 0.53),
            Printed(_row_name(_TABLE_4[1]), "best test_accuracy", 0.54),
        ),
        notes=(
            "The document states the number of steps only for table 3. We use its 20,000 steps for these rows, too.",
            _NORM,
            JPEG,
        ),
    ),
    Entry(
        name="uva-apr19-a/figure-3",
        kind="settings",
        title="The layers of the VGG network",
        says="The network has eight 3x3 convolutions, each followed by batch normalisation and ReLU, five max-pooling "
        "layers and a linear layer. The 1x1 average pooling at its end has no effect.",
        cases={"convnet": Case(VGG)},
        printed=tuple(
            Printed("convnet", f"setting layer {i}", text)
            for i, text in enumerate(
                (
                    "conv 3x3 stride 1 padding 1 3/64",
                    "maxpool 3x3 stride 2 padding 1",
                    "conv 3x3 stride 1 padding 1 64/128",
                    "maxpool 3x3 stride 2 padding 1",
                    "conv 3x3 stride 1 padding 1 128/256",
                    "conv 3x3 stride 1 padding 1 256/256",
                    "maxpool 3x3 stride 2 padding 1",
                    "conv 3x3 stride 1 padding 1 256/512",
                    "conv 3x3 stride 1 padding 1 512/512",
                    "maxpool 3x3 stride 2 padding 1",
                    "conv 3x3 stride 1 padding 1 512/512",
                    "conv 3x3 stride 1 padding 1 512/512",
                    "maxpool 3x3 stride 2 padding 1",
                    "linear 512/10",
                ),
                start=1,
            )
        ),
    ),
    Entry(
        name="uva-apr19-a/table-5",
        kind="table",
        title="The best results of VGG",
        says="The accuracy is 1.00 on the training data and 0.80 on the test data; the losses are 1.46 and 1.66.",
        cases={"softmax twice": Case({**VGG, "max_steps": 22000}, "softmax-twice")},
        seeds=1,
        printed=(
            Printed("softmax twice", "best test_accuracy", 0.80),
            Printed("softmax twice", "best test_loss", 1.66),
            Printed("softmax twice", "best train_accuracy", 1.00, samples=32, headline=False),
            Printed("softmax twice", "best train_loss", 1.46, samples=32, headline=False),
        ),
        notes=(
            "A loss of 1.46 at an accuracy of 1.00 is log(e + 9) - 1. This is the result of a confident softmax if the "
            "loss applies another softmax, so our network ends with a softmax. See uva-apr19-a/claim-softmax-twice.",
            "A training batch has 32 images, so an accuracy of 1.00 is the best of many batches.",
            "The learning rate 1e-4 and batch size 32 are the course's defaults; the 22,000 steps are the document's.",
            JPEG,
        ),
    ),
    Entry(
        name="uva-apr19-a/figure-4",
        kind="figure",
        title="Accuracy and loss of VGG over 22,000 steps",
        says="The test accuracy reaches 0.80 and does not fall until step 22,000, so the network does not overfit.",
        cases={"softmax twice": Case({**VGG, "max_steps": 22000}, "softmax-twice")},
        seeds=1,
        printed=(
            Printed("softmax twice", "best test_accuracy", 0.80),
            Printed("softmax twice", "last test_accuracy", 0.80),
        ),
        notes=("uva-apr19-a/table-5 explains the second softmax.", JPEG),
    ),
    Entry(
        name="uva-apr19-a/claim-cnn-beats-mlp",
        kind="claim",
        title="The convolutional network beats the MLP by 21 points",
        says="The test accuracy is 0.80 against 0.59.",
        cases={"VGG": Case(VGG), "MLP": Case({**_MLP, "max_steps": 5000})},
        seeds=2,
        statements=(Statement("VGG's test accuracy is larger", "last test_accuracy", ("VGG",), ("MLP",)),),
        notes=(
            "Both networks have 5,000 steps here, VGG's default. The document's 21 points come from 22,000 and 20,000 "
            "steps.",
        ),
    ),
    Entry(
        name="uva-apr19-a/claim-softmax-twice",
        kind="claim",
        title="Losses of 1.46 at accuracy 1.00 and 1.66 at 0.80 come from softmax applied twice",
        says="Table 5 has a loss of 1.46 at an accuracy of 1.00 and a loss of 1.66 at an accuracy of 0.80. The "
        "document does not explain them. If a second softmax follows the first, a network with full confidence has a "
        "loss of log(e + 9) - 1 = 1.461 on samples that it classifies correctly and log(e + 9) = 2.461 on the others. "
        "Then loss + accuracy = 2.461, which holds for both pairs in the table.",
        cases={
            "softmax twice": Case(
                {"recipe": "mnist", "epochs": None, "max_steps": 3000, "eval_freq": 300, "dropout": 0.0},
                "softmax-twice",
            ),
            "softmax twice, CIFAR-10": Case(
                {
                    **_MLP,
                    "hidden_units": [400, 400],
                    "dropout": 0.0,
                    "learning_rate": 1e-3,
                    "max_steps": 5000,
                    "batch_size": 100,
                },
                "softmax-twice",
            ),
            "softmax once": Case(
                {"recipe": "mnist", "epochs": None, "max_steps": 3000, "eval_freq": 300, "dropout": 0.0}
            ),
        },
        seeds=2,
        printed=(
            Printed("softmax twice", "last train_loss", 1.46),
            Printed("softmax twice", "last train_loss_and_accuracy", 2.46),
            Printed("softmax twice", "last test_loss_and_accuracy", 2.46),
            Printed("softmax twice, CIFAR-10", "last test_loss_and_accuracy", 2.46),
        ),
        statements=(
            Statement(
                "With two softmaxes, the training loss stays above 1.4 …", "last train_loss", ("softmax twice",), 1.4
            ),
            Statement(
                "… although the training accuracy is above 0.98", "last train_accuracy", ("softmax twice",), 0.98
            ),
            Statement(
                "With one softmax, the loss of the same network is smaller",
                "last train_loss",
                ("softmax twice",),
                ("softmax once",),
            ),
        ),
        notes=(
            "The runs are MLPs on MNIST and CIFAR-10. The effect of the second softmax on the loss depends only on the "
            "confidence of the network, and not on the data. uva-apr19-a/table-5 trains VGG itself, for 22,000 steps.",
        ),
    ),
)

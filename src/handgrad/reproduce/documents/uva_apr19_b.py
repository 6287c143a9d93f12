"""UvA report B, April 2019."""

from __future__ import annotations

from handgrad.reproduce.documents.common import BATCH, JPEG, NUMPY_MLP, VGG, combination_name, combinations
from handgrad.reproduce.entries import Case, Entry, Printed, Statement

_HIDDEN = [
    [100], [200], [400],
    [100, 100], [200, 200], [400, 400],
    [100, 100, 100], [200, 200, 200], [400, 400, 400],
]  # fmt: skip
_RATES = [2e-2, 2e-3, 2e-4]
_GRID = {
    "dataset": "cifar10",
    "activation": "relu",
    "init": "pytorch",
    "eval_freq": 100,
    "learning_rate": _RATES,
    "max_steps": [1500, 3000],
    "batch_size": [100, 200, 400],
    "hidden_units": _HIDDEN,
    "optimizer": ["sgd", "adam", "adadelta"],
    "search": {"select": "test"},
}
_VARIED = ("learning_rate", "max_steps", "batch_size", "hidden_units", "optimizer")
_BEST = {
    "learning_rate": 2e-4,
    "max_steps": 3000,
    "batch_size": 400,
    "hidden_units": [400, 400, 400],
    "optimizer": "adam",
}

_PART_VARIED = ("learning_rate", "hidden_units", "optimizer")
#: Parts for the claims, small enough for several seeds: the pairs of optimiser and learning rate; the nine networks.
_OPTIMIZERS = {**_GRID, "max_steps": 1500, "batch_size": 200, "hidden_units": [[100], [100, 100]]}
_DEPTHS = {**_GRID, "max_steps": 1500, "batch_size": 100, "learning_rate": 2e-4, "optimizer": "adam"}

_LONGER = {
    **{name: _GRID[name] for name in ("dataset", "activation", "init", "eval_freq", "search")},
    **{name: _BEST[name] for name in ("learning_rate", "max_steps", "batch_size", "optimizer")},
    "hidden_units": [[400] * 3, [400] * 4, [400] * 5],
}

_ALONE = {**{name: value for name, value in _LONGER.items() if name != "search"}, "hidden_units": [400] * 3}

_INPUTS = "Our inputs have mean 0 and standard deviation 1 per channel. The document does not state its preprocessing."


def _grid(learning_rate: float, hidden: list[int], optimizer: str) -> str:
    return combination_name({"learning_rate": learning_rate, "hidden_units": hidden, "optimizer": optimizer})


def _hidden(hidden: list[int]) -> str:
    return combination_name({"hidden_units": hidden})


_TWO = ([100], [100, 100])


def _better(words: str, optimizer: str, rate: float, other: str, other_rate: float) -> Statement:
    return Statement(
        words,
        "best test_accuracy",
        tuple(_grid(rate, hidden, optimizer) for hidden in _TWO),
        tuple(_grid(other_rate, hidden, other) for hidden in _TWO),
    )


ENTRIES = (
    Entry(
        name="uva-apr19-b/figure-1",
        kind="figure",
        title="Accuracy and loss of the NumPy MLP",
        says="Curves over 1,500 steps with the course's defaults; table 1 states the values.",
        cases={"mlp_numpy": Case(NUMPY_MLP)},
        printed=(
            Printed("mlp_numpy", "best test_accuracy", 0.469),
            Printed("mlp_numpy", "last test_accuracy", 0.437),
        ),
        notes=(JPEG,),
    ),
    Entry(
        name="uva-apr19-b/table-1",
        kind="table",
        title="Best and last results of the NumPy MLP",
        says="The best test accuracy is 0.469 and the last 0.437. For the training accuracy, they are 0.525 and 0.39.",
        cases={"mlp_numpy": Case(NUMPY_MLP)},
        printed=(
            Printed("mlp_numpy", "best test_accuracy", 0.469),
            Printed("mlp_numpy", "last test_accuracy", 0.437),
            Printed("mlp_numpy", "best test_loss", 1.515),
            Printed("mlp_numpy", "last test_loss", 1.602),
            Printed("mlp_numpy", "best train_accuracy", 0.525, samples=200, headline=False),
            Printed("mlp_numpy", "last train_accuracy", 0.39, samples=200, headline=False),
            Printed("mlp_numpy", "best train_loss", 1.367, samples=200, headline=False),
            Printed("mlp_numpy", "last train_loss", 1.616, samples=200, headline=False),
        ),
        notes=(BATCH, JPEG),
    ),
    Entry(
        name="uva-apr19-b/grid",
        kind="table",
        title="The best of the 486 combinations",
        says="The grid has three learning rates, two numbers of steps, three batch sizes, nine networks and three "
        "optimisers. The best test accuracy is 0.5192, with Adam, learning rate 2e-4, batch size 400, 3,000 steps and "
        "three layers of 400 units.",
        study=_GRID,
        cases=combinations(_GRID, _VARIED),
        seeds=1,
        printed=(Printed(combination_name(_BEST), "best test_accuracy", 0.5192),),
        notes=(_INPUTS, JPEG),
    ),
    Entry(
        name="uva-apr19-b/figure-6",
        kind="figure",
        title="Test accuracies of the combinations with 3,000 steps and batch size 400",
        says="SGD and Adam have a low accuracy at 2e-2 (except Adam with one layer), Adadelta at 2e-4. More layers and "
        "more units are better throughout.",
        study=_GRID,
        cases={
            name: case
            for name, case in combinations(_GRID, _VARIED).items()
            if (case.settings["max_steps"], case.settings["batch_size"]) == (3000, 400)
        },
        seeds=1,
        printed=(Printed(combination_name(_BEST), "best test_accuracy", 0.5192),),
        notes=(_INPUTS, JPEG),
    ),
    Entry(
        name="uva-apr19-b/claim-adadelta-learning-rate",
        kind="claim",
        title="Adadelta needs a larger learning rate than SGD and Adam",
        says="At 2e-4, Adadelta is much worse than SGD and Adam; at 2e-2, it is not. SGD and Adam are worst at 2e-2 "
        "and best at 2e-4, except Adam with a single hidden layer.",
        study=_OPTIMIZERS,
        cases=combinations(_OPTIMIZERS, _PART_VARIED),
        seeds=2,
        statements=(
            _better("Adadelta is better at 2e-2 than at 2e-3", "adadelta", 2e-2, "adadelta", 2e-3),
            _better("Adadelta is better at 2e-3 than at 2e-4", "adadelta", 2e-3, "adadelta", 2e-4),
            _better("Adam is better at 2e-4 than at 2e-2", "adam", 2e-4, "adam", 2e-2),
            _better("At 2e-4 Adam beats Adadelta", "adam", 2e-4, "adadelta", 2e-4),
            _better("At 2e-4 SGD beats Adadelta", "sgd", 2e-4, "adadelta", 2e-4),
        ),
        notes=(
            "These runs are a part of the 486: 1,500 steps, batch size 200, one and two layers of 100 units.",
            _INPUTS,
            JPEG,
        ),
    ),
    Entry(
        name="uva-apr19-b/claim-sgd-poor-at-large-rate",
        kind="claim",
        title="SGD performs very poorly with a learning rate of 2e-2, and best with 2e-4",
        says="“Both the SGD and Adam … perform very poorly when a ‘large’ learning rate of 0.02 is used”; “the highest "
        "accuracies seem to be obtained when using the smallest learning rate … for both SGD and Adam”.",
        study=_OPTIMIZERS,
        cases=combinations(_OPTIMIZERS, _PART_VARIED),
        seeds=2,
        statements=(
            _better("SGD is better at 2e-4 than at 2e-2", "sgd", 2e-4, "sgd", 2e-2),
            _better("SGD is better at 2e-4 than at 2e-3", "sgd", 2e-4, "sgd", 2e-3),
        ),
        notes=(
            "These runs have standardised inputs. The course's inputs range from 0 to 255, where SGD needs much "
            "smaller learning rates: uva-nov19/claim-input-scale shows this effect.",
            JPEG,
        ),
    ),
    Entry(
        name="uva-apr19-b/claim-deeper-is-better",
        kind="claim",
        title="Among the 486, more layers and more units are better",
        says="“The models that have more layers with more neurons per layer consistently outperform those with less "
        "layers or less neurons per layer.”",
        study=_DEPTHS,
        cases=combinations(_DEPTHS, ("hidden_units",)),
        seeds=2,
        statements=(
            Statement(
                "Three layers beat one of the same width",
                "best test_accuracy",
                tuple(_hidden([n] * 3) for n in (100, 200, 400)),
                tuple(_hidden([n]) for n in (100, 200, 400)),
            ),
            Statement(
                "400 units per layer beat 100 at the same depth",
                "best test_accuracy",
                tuple(_hidden([400] * depth) for depth in (1, 2, 3)),
                tuple(_hidden([100] * depth) for depth in (1, 2, 3)),
            ),
        ),
        notes=(
            "These runs are a part of the 486: Adam, learning rate 2e-4, batch size 100, 1,500 steps.",
            _INPUTS,
            JPEG,
        ),
    ),
    Entry(
        name="uva-apr19-b/figure-2",
        kind="figure",
        title="Accuracy and loss of the best of the 486 combinations",
        says="Three layers of 400 units, Adam, learning rate 2e-4, batch size 400, 3,000 steps: test accuracy 0.5192.",
        cases={"400, 400, 400": Case(_ALONE)},
        printed=(Printed("400, 400, 400", "best test_accuracy", 0.5192),),
        notes=(
            "The best of 486 test accuracies is biased upwards by selection; ours is not.",
            _INPUTS,
            JPEG,
        ),
    ),
    Entry(
        name="uva-apr19-b/figure-3",
        kind="figure",
        title="Three, four and five layers of 400 units",
        says="The deepest network has the highest test accuracy at the end, 0.5247. The network with three layers has "
        "the highest accuracy during training, 0.5311. (The text describes the deepest network as 400,400,400,400, but "
        "the list above it has a network with five layers.)",
        study=_LONGER,
        cases=combinations(_LONGER, ("hidden_units",)),
        printed=(
            Printed(_hidden([400] * 3), "best test_accuracy", 0.5311),
            Printed(_hidden([400] * 5), "last test_accuracy", 0.5247),
        ),
        notes=(_INPUTS, JPEG),
    ),
    Entry(
        name="uva-apr19-b/figure-4",
        kind="figure",
        title="The best network of the additional search overfits",
        says="The training accuracy approaches 1 and the training loss 0, while the test loss rises for most of the "
        "run.",
        cases={"400, 400, 400": Case(_ALONE)},
        printed=(
            Printed("400, 400, 400", "best test_accuracy", 0.5311),
            Printed("400, 400, 400", "last train_accuracy", 1.0, samples=400, headline=False),
        ),
        statements=(
            Statement(
                "The test loss is smallest in the first half of the run",
                "share of the steps after the smallest test loss",
                ("400, 400, 400",),
                0.5,
            ),
            Statement("From there, it rises by more than 0.1", "rise of the test loss", ("400, 400, 400",), 0.1),
        ),
        notes=("“Close to 1” is transcribed as 1.0.", _INPUTS, JPEG),
    ),
    Entry(
        name="uva-apr19-b/figure-5",
        kind="figure",
        title="Accuracy and loss of VGG over 5,000 steps",
        says="The test accuracy is 0.750 at the end, which is also the best.",
        cases={"convnet": Case(VGG)},
        seeds=2,
        printed=(Printed("convnet", "last test_accuracy", 0.750),),
        notes=(JPEG,),
    ),
    Entry(
        name="uva-apr19-b/table-2",
        kind="table",
        title="Best and last results of VGG",
        says="The best and the last test accuracy are 0.750, with a loss of 0.748.",
        cases={"convnet": Case(VGG)},
        seeds=2,
        printed=(
            Printed("convnet", "best test_accuracy", 0.750),
            Printed("convnet", "last test_accuracy", 0.750),
            Printed("convnet", "last test_loss", 0.748),
            Printed("convnet", "best train_accuracy", 0.844, samples=32, headline=False),
            Printed("convnet", "last train_accuracy", 0.750, samples=32, headline=False),
            Printed("convnet", "best train_loss", 0.433, samples=32, headline=False),
            Printed("convnet", "last train_loss", 0.941, samples=32, headline=False),
        ),
        notes=(
            "The training results come from one batch of 32 images: 0.844 is 27 of 32, and 0.750 is 24.",
            BATCH,
            JPEG,
        ),
    ),
)

"""UvA report, November 2019."""

from __future__ import annotations

from handgrad.reproduce.documents.common import JPEG, NUMPY_MLP, PYTORCH_MLP, VGG
from handgrad.reproduce.entries import Case, Entry, Printed, Statement

_LEAKY = {"activation": "leaky_relu", "negative_slope": 0.02}
_NUMPY = {**NUMPY_MLP, **_LEAKY}
_PYTORCH = {**PYTORCH_MLP, **_LEAKY}
_SIX = {**_PYTORCH, "hidden_units": [300, 200, 100, 100, 50, 50], "optimizer": "adam", "max_steps": 2500}
_SLOPE = "The hidden layers have leaky ReLUs with slope 0.02, the default of this edition of the course."
_RATE = "The document does not state the learning rate of Adam. We use the course's default, 2e-3."

ENTRIES = (
    Entry(
        name="uva-nov19/figure-1",
        kind="figure",
        title="Accuracy of the NumPy MLP with the course's defaults",
        says="The test accuracy is 0.4732 after 1,500 steps, and already 0.4604 at step 500.",
        cases={"mlp_numpy": Case(_NUMPY)},
        seeds=5,
        printed=(
            Printed("mlp_numpy", "last test_accuracy", 0.4732),
            Printed("mlp_numpy", "step 500 test_accuracy", 0.4604),
        ),
        notes=(_SLOPE, JPEG),
    ),
    Entry(
        name="uva-nov19/figure-2",
        kind="figure",
        title="Accuracy of the PyTorch MLP, 1,500 steps",
        says="The test accuracy is 0.4079, less than with NumPy, and still rising.",
        cases={"1,500 steps": Case(_PYTORCH)},
        seeds=5,
        printed=(Printed("1,500 steps", "last test_accuracy", 0.4079),),
        notes=(_SLOPE, "The initial weights are PyTorch's defaults; everything else is as in the NumPy network.", JPEG),
    ),
    Entry(
        name="uva-nov19/figure-3",
        kind="figure",
        title="Accuracy of the PyTorch MLP, 2,500 steps",
        says="The test accuracy is 0.4615.",
        cases={"2,500 steps": Case({**_PYTORCH, "max_steps": 2500})},
        seeds=5,
        printed=(Printed("2,500 steps", "last test_accuracy", 0.4615),),
        notes=(_SLOPE, JPEG),
    ),
    Entry(
        name="uva-nov19/figure-4",
        kind="figure",
        title="Accuracy of the MLP with six hidden layers and Adam",
        says="The network with 300, 200, 100, 100, 50 and 50 units and 2,500 steps has the best test accuracy, 0.5226.",
        cases={"six layers": Case(_SIX), "six layers, 2e-4": Case({**_SIX, "learning_rate": 2e-4})},
        printed=(
            Printed("six layers", "last test_accuracy", 0.5226),
            Printed("six layers, 2e-4", "last test_accuracy", 0.5226, headline=False),
        ),
        notes=(_SLOPE, _RATE + " The second case has 2e-4.", JPEG),
    ),
    Entry(
        name="uva-nov19/claim-more-steps",
        kind="claim",
        title="2,500 steps are better than 1,500",
        says="The test accuracy is 0.4615 against 0.4079, with the same network.",
        cases={"1,500 steps": Case(_PYTORCH), "2,500 steps": Case({**_PYTORCH, "max_steps": 2500})},
        seeds=5,
        statements=(
            Statement("The test accuracy is larger", "last test_accuracy", ("2,500 steps",), ("1,500 steps",)),
        ),
        notes=(_SLOPE, JPEG),
    ),
    Entry(
        name="uva-nov19/claim-numpy-beats-pytorch",
        kind="claim",
        title="The NumPy network is more accurate than the same network in PyTorch",
        says="The test accuracy is 0.4732 against 0.4079, after 1,500 steps with the same settings.",
        cases={"NumPy's weights": Case(_NUMPY), "PyTorch's weights": Case(_PYTORCH)},
        seeds=5,
        statements=(
            Statement(
                "The test accuracy is larger", "last test_accuracy", ("NumPy's weights",), ("PyTorch's weights",)
            ),
        ),
        notes=(
            "The layers of both networks compute the same. Only the initial weights differ: normal with standard "
            "deviation 1e-4 in the NumPy assignment, uniform within ±1/sqrt(inputs) in PyTorch. Here the same engine "
            "trains both.",
            _SLOPE,
            JPEG,
        ),
    ),
    Entry(
        name="uva-nov19/claim-input-scale",
        kind="claim",
        title="The result of the defaults depends on inputs from 0 to 255",
        says="The test accuracy is 0.4732 with plain SGD, a learning rate of 2e-3 and 1,500 steps. The course's code "
        "subtracts the mean image from pixels between 0 and 255, which the document does not mention.",
        cases={
            "0 to 255": Case(_NUMPY),
            "0 to 1": Case({**_NUMPY, "preprocessing": "unit"}),
            "standardised": Case({**_NUMPY, "preprocessing": "standard"}),
        },
        printed=(Printed("0 to 255", "last test_accuracy", 0.4732),),
        statements=(
            Statement("Better than on pixels from 0 to 1", "last test_accuracy", ("0 to 255",), ("0 to 1",)),
            Statement("Better than on standardised pixels", "last test_accuracy", ("0 to 255",), ("standardised",)),
        ),
        notes=(
            "Pixels that are 255 times as large make the gradient of the first layer 255 times as large. The learning "
            "rate of 2e-3 therefore only suits this scale.",
            _SLOPE,
            JPEG,
        ),
    ),
    Entry(
        name="uva-nov19/figure-5",
        kind="figure",
        title="Accuracy and loss of VGG over 5,000 steps",
        says="The test accuracy on 1,000 images is 0.726, below the 0.75 that the assignment expects. The training "
        "loss converges to 0, while the test loss rises at the end.",
        cases={"convnet": Case(VGG)},
        seeds=2,
        printed=(Printed("convnet", "last test_accuracy", 0.726, samples=1000),),
        notes=(JPEG,),
    ),
)

"""Times training steps of an MLP: gathering rows by index, forward, loss, backward, update.

Every peer does the same arithmetic in float32 on two threads, from data that lies in memory as float32. A step begins
with the indices of a batch and ends when its loss and the number of samples that were right are there as Python
numbers: a loop that stops at the first loss that is not finite needs them at every step.
"""

from __future__ import annotations

import warnings
from importlib.metadata import version as installed_version
from itertools import pairwise

import numpy as np

from benchmarks.harness import THREADS, main

CASES = {
    "3072-100-10 sgd 200": {"sizes": (3072, 100, 10), "optimizer": "sgd", "batch": 200},
    "784-64-64-32-10 sgd 100": {"sizes": (784, 64, 64, 32, 10), "optimizer": "sgd", "batch": 100},
    "64-128-128-10 adam 64": {"sizes": (64, 128, 128, 10), "optimizer": "adam", "batch": 64},
    "3072-400-400-400-10 adam 400": {"sizes": (3072, 400, 400, 400, 10), "optimizer": "adam", "batch": 400},
    "3072-1024-512-128-64-32-10 adam 128": {
        "sizes": (3072, 1024, 512, 128, 64, 32, 10),
        "optimizer": "adam",
        "batch": 128,
    },
    "3072-1024-512-128-64-32-10 adam 128 batchnorm dropout": {
        "sizes": (3072, 1024, 512, 128, 64, 32, 10),
        "optimizer": "adam",
        "batch": 128,
        "norm": "batch",
        "dropout": 0.2,
    },
}
QUICK = list(CASES)[:3]
LEARNING_RATE = 1e-4
SAMPLES = 4096


def _data(case):
    """Inputs, labels and the indices of sixty batches."""
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((SAMPLES, case["sizes"][0]), dtype=np.float32)
    labels = rng.integers(0, case["sizes"][-1], SAMPLES)
    return inputs, labels, rng.integers(0, SAMPLES, (60, case["batch"]))


def numpy_peer(case, kernels="numpy"):
    from threadpoolctl import threadpool_limits

    from handgrad.architectures import mlp
    from handgrad.data import Dataset, fit_preprocessing
    from handgrad.engines import EngineSpec, OptimizerSpec
    from handgrad.engines.numpy import NumpyEngine

    threadpool_limits(1, user_api="blas")  # the engine divides the work itself
    inputs, labels, batches = _data(case)
    sizes = case["sizes"]
    architecture = mlp(
        sizes[:1], sizes[1:-1], sizes[-1], norm=case.get("norm", "none"), dropout=case.get("dropout", 0.0)
    )
    engine = NumpyEngine(architecture, OptimizerSpec(case["optimizer"]), EngineSpec(threads=THREADS, kernels=kernels))
    classes = tuple(map(str, range(sizes[-1])))
    preprocessing = fit_preprocessing("none", inputs, 1.0)
    engine.load(Dataset("random", inputs, labels, {"train": range(SAMPLES)}, classes, 1.0, preprocessing))
    rates, turn = np.full(1, LEARNING_RATE), _round_robin(batches[:, None])

    def step():
        figures = engine.train(next(turn), rates)
        return float(figures.loss[0]), int(figures.correct[0])

    return step


def fast_peer(case):
    return numpy_peer(case, kernels="numba")


def torch_peer(case, compiled=False):
    import torch

    torch.set_num_threads(THREADS)
    inputs, labels, batches = (torch.from_numpy(array) for array in _data(case))
    sizes, layers = case["sizes"], []
    for d, k in pairwise(sizes[:-1]):
        layers.append(torch.nn.Linear(d, k))
        if case.get("norm") == "batch":
            layers.append(torch.nn.BatchNorm1d(k))
        layers.append(torch.nn.ReLU())
        if "dropout" in case:
            layers.append(torch.nn.Dropout(case["dropout"]))
    network = torch.nn.Sequential(*layers, torch.nn.Linear(*sizes[-2:]))
    rule = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[case["optimizer"]]
    optimizer = rule(network.parameters(), lr=LEARNING_RATE, fused=True)
    loss_function, turn = torch.nn.CrossEntropyLoss(), _round_robin(batches)

    def forward(x, target):
        scores = network(x)
        return loss_function(scores, target), (scores.argmax(-1) == target).sum()

    if compiled:
        forward = torch.compile(forward)

    def step():
        batch = next(turn)
        loss, correct = forward(inputs[batch], labels[batch])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.item(), correct.item()

    return step


def compiled_peer(case):
    warnings.simplefilter("ignore")
    return torch_peer(case, compiled=True)


def jax_peer(case):
    import jax
    import jax.numpy as jnp

    inputs, labels, batches = _data(case)
    inputs, labels = jnp.asarray(inputs), jnp.asarray(labels)
    batches = [jnp.asarray(batch) for batch in batches]
    normalised, dropout = case.get("norm") == "batch", case.get("dropout", 0.0)
    rng = np.random.default_rng(0)
    parameters = [
        {"w": jnp.asarray(rng.standard_normal((d, k), np.float32) * np.float32((2 / d) ** 0.5)), "b": jnp.zeros(k)}
        for d, k in pairwise(case["sizes"])
    ]
    running = []
    if normalised:
        for layer, k in zip(parameters, case["sizes"][1:-1], strict=False):
            layer |= {"gamma": jnp.ones(k), "beta": jnp.zeros(k)}
            running.append((jnp.zeros(k), jnp.ones(k)))

    def scores_of(parameters, running, x, key):
        moved = []
        for i, layer in enumerate(parameters[:-1]):
            x = x @ layer["w"] + layer["b"]
            if normalised:
                n, mean, variance = len(x), x.mean(0), x.var(0)
                x = (x - mean) * jax.lax.rsqrt(variance + 1e-5) * layer["gamma"] + layer["beta"]
                old_mean, old_variance = running[i]
                moved.append((0.9 * old_mean + 0.1 * mean, 0.9 * old_variance + 0.1 * variance * (n / (n - 1))))
            x = jax.nn.relu(x)
            if dropout:
                kept = jax.random.bernoulli(jax.random.fold_in(key, i), 1 - dropout, x.shape)
                x = jnp.where(kept, x / (1 - dropout), 0)
        return x @ parameters[-1]["w"] + parameters[-1]["b"], moved

    def loss_of(parameters, running, x, target, key):
        scores, moved = scores_of(parameters, running, x, key)
        losses = -jnp.take_along_axis(jax.nn.log_softmax(scores), target[:, None], 1)
        return losses.mean(), ((scores.argmax(-1) == target).sum(), moved)

    def whole_step(state, inputs, labels, batch):
        parameters, running, key, t, m, v = state
        key, own = jax.random.split(key) if dropout else (key, key)
        (loss, (correct, running)), g = jax.value_and_grad(loss_of, has_aux=True)(
            parameters, running, inputs[batch], labels[batch], own
        )
        each = jax.tree.map
        if case["optimizer"] == "adam":
            t = t + 1
            m = each(lambda m, g: 0.9 * m + 0.1 * g, m, g)
            v = each(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
            c1, c2 = 1 - 0.9**t, 1 - 0.999**t
            parameters = each(
                lambda w, m, v: w - LEARNING_RATE * (m / c1) / (jnp.sqrt(v / c2) + 1e-8), parameters, m, v
            )
        else:
            parameters = each(lambda w, g: w - LEARNING_RATE * g, parameters, g)
        return (parameters, running, key, t, m, v), loss, correct

    zeros = [jax.tree.map(jnp.zeros_like, parameters) if case["optimizer"] == "adam" else 0.0 for _ in range(2)]
    state = (parameters, running, jax.random.key(0), jnp.float32(0), *zeros)
    compiled, turn = jax.jit(whole_step, donate_argnums=0), _round_robin(batches)

    def step():
        nonlocal state
        state, loss, correct = compiled(state, inputs, labels, next(turn))
        jax.block_until_ready(state)
        return float(loss), int(correct)

    return step


def sklearn_peer(case):
    from sklearn.neural_network import MLPClassifier

    inputs, labels, batches = _data(case)
    sizes = case["sizes"]
    network = MLPClassifier(
        sizes[1:-1],
        solver=case["optimizer"],
        learning_rate_init=LEARNING_RATE,
        alpha=0,
        momentum=0,
        batch_size=case["batch"],
        shuffle=False,
    )
    turn = _round_robin(batches)
    network.partial_fit(inputs[: case["batch"]], labels[: case["batch"]], classes=np.arange(sizes[-1]))

    def step():
        batch = next(turn)
        network.partial_fit(inputs[batch], labels[batch])
        return network.loss_

    return step


def thinc_peer(case):
    from thinc.api import SGD, Adam, Relu, Softmax, chain

    inputs, labels, batches = _data(case)
    sizes = case["sizes"]
    network = chain(*(Relu(k, d) for d, k in pairwise(sizes[:-1])), Softmax(sizes[-1], sizes[-2]))
    network.initialize()
    plain = {"L2": 0.0, "grad_clip": 0.0, "use_averages": False}
    optimizer = (Adam if case["optimizer"] == "adam" else SGD)(LEARNING_RATE, **plain)
    rows, turn = np.eye(sizes[-1], dtype=np.float32), _round_robin(batches)

    def step():
        batch = next(turn)
        target = labels[batch]
        probabilities, backward = network.begin_update(inputs[batch])
        backward((probabilities - rows[target]) / len(batch))
        network.finish_update(optimizer)
        loss = -np.log(probabilities[np.arange(len(batch)), target]).mean()
        return float(loss), int((probabilities.argmax(-1) == target).sum())

    return step


def sgemm_peer(case):
    """A reference: a square matrix product on all threads, to which the work of the steps is compared."""
    a, b = np.random.default_rng(0).standard_normal((2, RULER, RULER), dtype=np.float32)
    out = np.empty_like(a)
    return lambda: np.matmul(a, b, out=out)


def _round_robin(batches):
    while True:
        yield from batches


RULER = 1536
PEERS = {
    "numpy": numpy_peer,
    "fast": fast_peer,
    "torch": torch_peer,
    "compile": compiled_peer,
    "jax": jax_peer,
    "sklearn": sklearn_peer,
    "thinc": thinc_peer,
    "sgemm": sgemm_peer,
}
OURS = ("numpy", "fast")
NEEDS = {"fast": "numba", "torch": "torch", "compile": "torch", "jax": "jax", "sklearn": "sklearn", "thinc": "thinc"}
SLOW_TO_START = ("compile", "sklearn", "thinc")


def floating_point_operations(case) -> float:
    """Of the matrix products of one step: forward, weights' gradients, and inputs' gradients but for the data's."""
    products = [d * k for d, k in pairwise(case["sizes"])]
    return 2 * case["batch"] * (3 * sum(products) - products[0])


def unable(peer: str, case: str) -> str | None:
    """The reason why a peer does not support a case."""
    if "norm" in CASES[case] and peer in ("sklearn", "thinc"):
        return "has no batch normalisation"
    return None


def version(peer: str) -> str:
    packages = {"numpy": "numpy", "fast": "numba", "torch": "torch", "compile": "torch", "jax": "jax", "sgemm": "numpy"}
    packages |= {"sklearn": "scikit-learn", "thinc": "thinc"}
    named = {
        "numpy": "handgrad, NumPy",
        "fast": "handgrad with its extra `fast`, numba",
        "torch": "PyTorch eager, fused optimiser,",
        "compile": "torch.compile, fused optimiser,",
        "jax": "JAX jit, donated buffers,",
        "sgemm": f"the matrix product of {RULER} by {RULER}, NumPy",
    }
    return f"{named.get(peer, packages[peer])} {installed_version(packages[peer])}"


if __name__ == "__main__":
    main("benchmarks.train_step", __doc__ or "", list(CASES), list(PEERS), QUICK)

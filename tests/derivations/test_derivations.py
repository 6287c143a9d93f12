"""Every step of every derivation is correct, and a broken step is always detected."""

import inspect

import numpy as np
import pytest

from handgrad import derivations, nn
from handgrad.derivations import D, Derivation, Link
from handgrad.errors import ConfigError

NAMES = derivations.names()
STEPS = [(name, number) for name in NAMES for number in range(1, len(derivations.get(name).steps) + 1)]
SMALLEST = {
    name: {axis: derivations.get(name).least.get(axis, 1) for axis in derivations.get(name).sizes} for name in NAMES
}


@pytest.mark.parametrize("seed", [0, 1, 20])
@pytest.mark.parametrize("name", NAMES)
def test_every_step_holds(name, seed):
    wrong = [(r.number, r.name, r.error, r.at) for r in derivations.get(name).check(seed=seed) if not r.ok]
    assert not wrong


@pytest.mark.parametrize("name", NAMES)
def test_every_step_holds_at_other_sizes(name):
    derivation = derivations.get(name)
    larger = {axis: min(size + 1, derivation.most.get(axis, 12)) for axis, size in derivation.sizes.items()}
    assert all(result.ok for result in derivation.check(larger, seed=3))


@pytest.mark.parametrize("name", NAMES)
def test_every_step_holds_at_the_smallest_sizes(name):
    wrong = [(r.number, r.name, r.error) for r in derivations.get(name).check(SMALLEST[name], seed=4) if not r.ok]
    assert not wrong


@pytest.mark.parametrize(("name", "number"), STEPS)
def test_every_step_can_be_broken_and_is_caught(name, number):
    results = derivations.get(name).check(seed=5, break_step=number)
    assert [result.number for result in results if not result.ok] == [number]
    assert results[number - 1].error > 1e-4
    assert "→" in (results[number - 1].broken or "")


@pytest.mark.parametrize("name", ["batchnorm", "batchnorm-handout", "groupnorm", "rmsnorm", "softmax", "relu"])
def test_a_break_is_caught_where_gradients_vanish(name):
    derivation = derivations.get(name)
    for number in range(1, len(derivation.steps) + 1):
        results = derivation.check(SMALLEST[name], seed=6, break_step=number)
        assert [result.number for result in results if not result.ok] == [number]


@pytest.mark.parametrize("name", NAMES)
def test_links_are_alive(name):
    derivation = derivations.get(name)
    links = [step.link for step in derivation.steps if step.link]
    for link in links:
        path, line = link.place().rsplit(":", 1)
        source = inspect.getsourcefile(inspect.unwrap(link.target))
        assert source is not None
        assert source.endswith(path)
        with open(source, encoding="utf-8") as file:  # noqa: PTH123
            assert link.snippet in file.readlines()[int(line) - 1]
    assert derivation.steps[-1].link is not None


def test_a_link_whose_code_has_moved_away_says_so():
    link = Link(nn.Linear.backward, "no such line")
    with pytest.raises(LookupError, match=r"Linear\.backward has no line with 'no such line'"):
        link.place()


@pytest.mark.parametrize("name", NAMES)
def test_steps_are_complete(name):
    derivation = derivations.get(name)
    for step in derivation.steps:
        assert step.name
        assert step.statement
        assert step.text
        assert len(step.why) > 4
        assert step.statement.count("{") == step.statement.count("}")
        assert step.statement.count(r"\left") - step.statement.count(r"\leftarrow") == step.statement.count(r"\right")
        assert step.source().startswith("def ")
    assert derivation.title
    assert len({step.function.__name__ for step in derivation.steps}) == len(derivation.steps)


def test_sizes_are_unequal_so_that_a_transpose_cannot_hide():
    for name in NAMES:
        sizes = [size for axis, size in derivations.get(name).sizes.items() if axis not in ("R", "S")]
        assert len(set(sizes)) == len(sizes), name


def test_the_handout_has_its_35_equations():
    steps = derivations.get("batchnorm-handout").steps
    assert [step.name.split()[0] for step in steps] == [f"({n})" for n in range(1, 36)]


def test_a_misplaced_epsilon_of_adam_would_show():
    from handgrad.derivations import optimizers

    step = next(s for s in derivations.get("adam").steps if s.function is optimizers.one_division)
    moved = step.source().replace("EPS * np.sqrt(c2)", "EPS")
    namespace = dict(vars(optimizers))
    exec(moved, namespace)
    rng = np.random.default_rng(0)
    w, g = rng.normal(size=3), rng.normal(size=(6, 3))
    assert np.abs(namespace["one_division"](w, g) - optimizers.one_division(w, g)).max() > 1e-7


@pytest.mark.parametrize("name", ["relu", "leaky-relu", "elu"])
def test_activations_are_checked_at_their_kink(name):
    derivation = derivations.get(name)
    x = next(derivation._points(None, 0)).value("x")
    assert (x == 0).any()
    assert (x < 0).any()
    assert (x > 0).any()


def test_adam_tells_decay_from_a_penalty():
    for point in derivations.get("weight-decay")._points(None, 0):
        assert np.linalg.norm(point.value("differ")) > 1e-4
        assert np.linalg.norm(point.value("sgd_l2") - point.value("sgd_decay")) < 1e-14


def test_what_is_covered():
    assert len(NAMES) == len(set(NAMES)) >= 27
    assert sum(len(derivations.get(name).steps) for name in NAMES) >= 200


def test_the_point_depends_on_the_seed_alone():
    softmax = derivations.get("softmax")
    errors = [[result.error for result in softmax.check(seed=seed)] for seed in (1, 1, 2)]
    assert errors[0] == errors[1]
    assert errors[0] != errors[2]


def _square(slope):
    square = Derivation(
        "square", "Tests", "A square", {"N": 3, "D": 2}, lambda rng, N, D: {"x": rng.normal(size=(N, D))}
    )

    @square.step("definition", "y = x^2", "y = x²", "So.", direct=lambda x: x**2)
    def y(x):
        return x * x

    @square.given
    def L(y):
        return y.sum()

    square.step("slope", "2x", "2x", "Power rule.", derivative=D("L", "x"))(slope)
    return square


def test_a_wrong_step_fails_by_itself():
    def dx(x):
        return 2 * x + 1e-6

    assert [result.ok for result in _square(dx).check()] == [True, False]


def test_a_transposed_step_fails():
    def dx(x):
        return (2 * x).T

    result = _square(dx).check()[1]
    assert not result.ok
    assert result.error == np.inf
    assert result.to_dict()["error"] == "inf"


def test_a_nan_fails():
    def dx(x):
        return 2 * x * np.nan

    assert not _square(dx).check()[1].ok


def test_a_partial_derivative_holds_what_it_is_told_to():
    def dx(x):
        return 0 * x

    derivation = Derivation("held", "Tests", "Held", {"N": 3}, lambda rng, N: {"x": rng.normal(size=N)})

    @derivation.given
    def y(x):
        return x * x

    @derivation.given
    def L(y):
        return y.sum()

    derivation.step("partial", "0", "0", "y does not move.", derivative=D("L", "x", hold=("y",)), scale=1)(dx)
    # L does not depend on x any more: no imaginary part reaches it.
    with pytest.raises(TypeError, match="gives float64 for a complex128 input"):
        derivation.check()


def test_a_step_compared_with_nothing_is_refused():
    derivation = Derivation("empty", "Tests", "", {"N": 3}, lambda rng, N: {"x": rng.normal(size=N)})
    with pytest.raises(ValueError, match="has nothing to compare with: give same, derivative or direct"):
        derivation.step("definition", "x", "x", "So.")(lambda x: x)


def test_a_name_may_be_used_once():
    derivation = _square(lambda x: 2 * x)
    with pytest.raises(ValueError, match="has two quantities named y"):

        @derivation.step("again", "y", "y", "So.", direct=lambda x: x)
        def y(x):
            return x


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: derivations.get("batchnrm"), r"there is no derivation 'batchnrm': did you mean batchnorm\?"),
        (lambda: derivations.get("qqqq"), "handgrad derive lists them"),
        (lambda: derivations.get("softmax").check({"D": 3}), "softmax has no size D: it has N, K"),
        (lambda: derivations.get("softmax").check({"n": 3}), r"softmax has no size n: did you mean N\?"),
        (lambda: derivations.get("softmax").check({"N": 0}), "N=0 is out of range: softmax accepts 1 to 12"),
        (lambda: derivations.get("softmax").check({"N": 99}), "N=99 is out of range"),
        (lambda: derivations.get("convolution").check({"H": 3}), "H=3 is out of range: convolution accepts 5 to 8"),
        (lambda: derivations.get("softmax").check(break_step=9), "softmax has no step 9: expected 1 to 7"),
        (lambda: derivations.get("softmax").check(break_step=0), "softmax has no step 0"),
        (lambda: derivations.get("softmax").check(seed=-1), "seed=-1 must be 0 or more"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ConfigError, match=message):
        call()

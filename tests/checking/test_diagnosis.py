"""Fitting: what is named, what is not, and on what evidence."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from handgrad import derivations
from handgrad.checking import diagnosis_layers as layers
from handgrad.checking.catalogue import BUGS, SECTIONS, STEPS_OF_PARTS, as_markdown, step_of
from handgrad.checking.diagnosis import Draw, Subject, close, departure, explain, name_factor, reshaped, slip

SOURCES = Path(layers.__file__).parent


def softmax_draws():
    g = np.random.default_rng(0)
    found = []
    for N, K in ((5, 4), (7, 3), (4, 4)):
        x, dy = g.normal(size=(N, K)), g.normal(size=(N, K))
        found.append(Draw({"N": N, "K": K}, x=x, y=layers.softmax(x), dy=dy))
    return found


def right(subject, draws, **options):
    found = []
    for draw in draws:
        terms = subject.compute(draw, **options)
        found.append(sum(terms.values()) if isinstance(terms, dict) else terms)
    return found


def ids(explanation):
    return sorted(cause.bug for cause in explanation.causes)


def test_right_is_right():
    subject, draws = layers.softmax_backward(), softmax_draws()
    assert explain(subject, draws, right(subject, draws)).right


def test_a_slip_is_named():
    subject, draws = layers.softmax_backward(), softmax_draws()
    observed = [draw.dy * draw.y * (1 - draw.y) for draw in draws]
    assert ids(explain(subject, draws, observed)) == ["softmax-jacobian-diagonal"]


def test_a_slip_and_a_factor_are_both_named():
    subject, draws = layers.softmax_backward(), softmax_draws()
    observed = [-draw.dy * draw.y * (1 - draw.y) / len(draw.x) for draw in draws]
    assert ids(explain(subject, draws, observed)) == [
        "batch-mean-unwanted",
        "sign-flipped",
        "softmax-jacobian-diagonal",
    ]


def test_a_factor_of_one_term_is_named_by_its_term():
    subject, draws = layers.softmax_backward(), softmax_draws()
    observed = [draw.y * draw.dy + draw.y * (draw.dy * draw.y).sum(axis=1, keepdims=True) for draw in draws]
    found = explain(subject, draws, observed)
    assert ids(found) == ["softmax-jacobian-sign"]
    assert "sum(dy * y)" in found.causes[0].evidence


def test_what_fits_one_draw_alone_names_nothing():
    subject, draws = layers.softmax_backward(), softmax_draws()
    observed = right(subject, draws)
    observed[0] = observed[0] * 5  # the batch size of the first draw, and nothing of the others
    assert not explain(subject, draws, observed).explained


def test_noise_names_nothing():
    subject, draws = layers.softmax_backward(), softmax_draws()
    g = np.random.default_rng(1)
    assert not explain(subject, draws, [g.normal(size=draw.x.shape) for draw in draws]).explained


def test_the_evidence_holds_the_figures():
    subject = layers.linear_dweight(averaged=True)
    g = np.random.default_rng(2)
    draws = [Draw({"N": N}, x=g.normal(size=(N, 3)), dy=g.normal(size=(N, 2))) for N in (4, 20)]
    found = explain(subject, draws, [draw.dy.T @ draw.x for draw in draws])
    assert ids(found) == ["batch-mean-missing"]
    assert found.causes[0].evidence == "`dW` is 20 times the right value (N; the batch size is 20)"


@pytest.mark.parametrize(
    ("factor", "expected"),
    [
        (lambda n, k: 1.0, ()),
        (lambda n, k: n, ("N",)),
        (lambda n, k: 1 / n, ("1/N",)),
        (lambda n, k: -1 / n, ("-1", "1/N")),
        (lambda n, k: 1 / (n * k), ("1/N", "1/K")),
        (lambda n, k: n / 100, ("N c",)),
        (lambda n, k: 2.0, ("c",)),
        (lambda n, k: 0.0, ("0",)),
        (lambda n, k: n / (n - 1), ("N/(N-1)",)),
        (lambda n, k: np.sin(n + 7 * k), None),
    ],
)
def test_factors(factor, expected):
    sizes = [{"N": n, "K": k} for n, k in ((5.0, 4.0), (8.0, 3.0), (11.0, 6.0))]
    assert name_factor([factor(size["N"], size["K"]) for size in sizes], sizes) == expected


def test_a_factor_of_two_sizes_is_shown_whole():
    """The mean over all N K entries is missing: no finding calls the factor N or K alone."""
    draws = [Draw({"N": n, "K": k}, x=np.random.default_rng(n).normal(size=(n, k))) for n, k in ((5, 5), (8, 3))]
    observed = [draw.x * draw.x.size for draw in draws]
    subject = Subject("dx", lambda draw: draw.x)
    whole = "`dx` is 25 times the right value (N * K; the batch size is 5, the number of classes is 5)"
    assert [(cause.bug, cause.evidence) for cause in explain(subject, draws, observed).causes] == [
        ("batch-mean-missing", f"{whole}; one of its factors is N"),
        ("summed-over-classes", f"{whole}; one of its factors is K"),
    ]
    for symbol, bug in (("K", "batch-mean-missing"), ("N", "wrong-factor")):  # only the other one has a name
        (cause,) = explain(Subject("dx", lambda draw: draw.x, factors={symbol: "wrong-factor"}), draws, observed).causes
        assert (cause.bug, cause.evidence) == (bug, whole)


def test_zeros_against_zeros_prove_nothing():
    subject = Subject("y", lambda draw, form="right": 0 * draw.x, (slip("bias-unused", "0", form="other"),))
    draws = [Draw({"N": 3}, x=np.ones((3, 2)))]
    assert explain(subject, draws, [np.zeros((3, 2))]).right


def test_axes_of_length_one_are_a_shape_not_a_bug():
    subject = Subject("the loss", lambda draw: draw.x.sum(axis=1))
    draws = [Draw({"N": n}, x=np.random.default_rng(n).normal(size=(n, 3))) for n in (4, 6)]
    found = explain(subject, draws, [draw.x.sum(axis=1, keepdims=True) for draw in draws])
    assert found.right
    assert found.shape_differs == "(4, 1) where (4,) was expected"


def test_reshaped_refuses_another_order():
    assert reshaped(np.zeros((2, 3)), (3, 2)) is None
    assert reshaped(np.zeros((1, 3)), (3,)).shape == (3,)


def test_close_looks_at_the_whole_array():
    assert close([1.0, 1e-9], [1.0, 0.0])
    assert not close([1.0, 1e-3], [1.0, 0.0])
    assert not close([np.nan], [1.0])


def test_departure_names_the_side_of_zero():
    x = np.array([[1.0, -1.0], [-2.0, 3.0]])
    text = departure("dx", np.where(x < 0, 7.0, x), x, {"x": x})
    assert "`dx[0, 1]` is 7, expected -1" in text
    assert "2 of 4 entries are wrong, exactly those where x < 0" in text


def test_a_draw_says_what_it_has():
    with pytest.raises(AttributeError, match=r"no 'weight', only \['sizes', 'x'\]"):
        _ = Draw({}, x=1).weight


# -- the catalogue ----------------------------------------------------------------------------------------------------


def test_every_id_that_can_be_found_is_in_the_catalogue():
    used = set()
    for path in [*SOURCES.glob("diagnosis*.py"), *SOURCES.glob("contracts/*.py")]:
        text = path.read_text()
        used |= set(re.findall(r"(?:slip|\.bug|wrong = )\(?\s*\"([a-z0-9]+(?:-[a-z0-9]+)+)\"", text))
    assert len(used) > 120
    assert used - set(BUGS) == set()


def test_ids_are_unique_and_every_bug_has_words_and_hints():
    listed = [bug for bugs in SECTIONS.values() for bug in bugs]
    assert len({bug.id for bug in listed}) == len(listed)
    for bug in listed:
        assert bug.title, bug.id
        assert bug.fingerprint, bug.id
        assert bug.nudge != bug.full, bug.id
        assert bug.nudge.endswith((".", "?")), bug.id
        assert bug.full.endswith((".", ")")), bug.id


def test_the_documentation_lists_every_bug():
    text = (Path(__file__).parents[2] / "docs" / "bugs.md").read_text()
    assert "```{bugs}\n```" in text  # which the directive writes from the list
    rows = re.findall(r'^\| <a id="(.*)"></a>`\1` \| .+ \| .+ \| .*\|$', as_markdown(), re.M)
    assert rows == list(BUGS)


def test_every_step_of_a_derivation_is_there():
    stepped = [id for id, bug in BUGS.items() if bug.step]
    assert len(stepped) > 50
    for id in stepped:
        assert step_of(id).startswith("handgrad derive ")
    assert step_of("norm-mean-constant") == "handgrad derive batchnorm, step 9: gradient of the mean"
    assert step_of("raises") == ""


def test_every_step_of_a_part_is_there_and_is_told():
    """The derivation of what the part computes, not that of any layer with such a bug."""
    for _, derivation, steps in STEPS_OF_PARTS:
        there = {step.name for step in derivations.get(derivation).steps}
        assert set(steps) <= set(BUGS), derivation
        assert set(steps.values()) <= there, derivation
    for id, part, step in (
        ("function-for-derivative", "ReLU.backward", "relu, step 2: the slope"),
        ("function-for-derivative", "LeakyReLUModule.backward", "leaky-relu, step 2: the slope"),
        ("wrong-derivative", "ELUModule.backward", "elu, step 2: the slope"),
        ("wrong-derivative", "GELU.backward", "gelu, step 2: the slope"),
        ("wrong-derivative", "Sigmoid.derivative", "sigmoid, step 4: from the output"),
        ("norm-mean-constant", "layernorm_backward", "layernorm, step 14: term 4: output by mean, both ways"),
        ("norm-mean-constant", "batchnorm_backward_alt", "batchnorm, step 9: gradient of the mean"),
        ("stride-ignored", "conv_forward_naive", "convolution, step 1: definition"),
        ("bias-correction-missing", "adam", "adam, step 5: the expectation"),
    ):
        number, _, name = step.partition(": ")
        assert step_of(id, part).endswith(f": {name}"), step_of(id, part)
        assert step_of(id, part).startswith(f"handgrad derive {number.split(',')[0]}, step ")
    assert step_of("eps-misplaced", "rmsprop") == ""
    assert step_of("eps-misplaced", "BatchNorm1d.forward").startswith("handgrad derive batchnorm, ")


def test_the_symbols_of_a_formula_are_said_in_the_interfaces_words():
    from handgrad.checking.contracts.judging import Judge, Trial
    from handgrad.checking.probe import Observation, Probe, Value

    judge = Judge("Tanh.backward", {"a": Observation("a", {"dx": Value("array", array=np.array([[1.0, 2.25]]))})})
    judge.symbols = {"dy": "dLdA", "x": "Z"}
    subject = Subject("dLdZ", lambda draw, power=1: draw.x**power, (slip("upstream-missing", "dy alone", power=2),))
    draw = Draw({"N": 1}, x=np.array([[1.0, 1.5]]))
    judge.fit(subject, [Trial(Probe("a", []), draw)], "dx")
    (bug,) = judge.findings
    assert bug.evidence == "`dLdZ` equals this on every random input: dy alone (dy is dLdA)"


#: What the words of a form may hold, entry by entry.
WORDS = {
    "exp": math.exp,
    "tanh": math.tanh,
    "cosh": math.cosh,
    "log": math.log,
    "sqrt": math.sqrt,
    "erf": math.erf,
    "pi": math.pi,
    "max": max,
    "min": min,
    "abs": abs,
    "sign": lambda x: math.copysign(1.0, x),
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
}
#: Forms that are not expressions.
SPOKEN = {
    "right",
    "negative",
    "ones",
    "max(x, max(0, mean))",
    "s * (1 - s)",
    "the derivative of the tanh approximation",
}
FORMS = [
    (side, kind, form)
    for side, table in (("forward", layers.FORWARD), ("backward", layers.BACKWARD))
    for kind, forms in table.items()
    for form in forms
    if form not in SPOKEN
]


@pytest.mark.parametrize(("side", "kind", "form"), FORMS)
def test_the_words_of_a_form_are_its_code(side, kind, form):
    """A student reads the words: they have to be what was fitted."""
    x, p = np.array([-1.3, -0.4, 0.3, 0.8, 1.7]), 0.3
    y = layers.FORWARD[kind]["right"](x, p)
    code = layers.FORWARD[kind][form](x, p) if side == "forward" else layers.BACKWARD[kind][form](x, y, p)
    formula, _, s = form.partition(", with s = ")

    def value(a: float, b: float) -> float:
        names: dict[str, float] = {"x": a, "y": b, "slope": p, "alpha": p}
        return float(eval(formula, WORDS, names | ({"s": eval(s, WORDS, names)} if s else {})))

    said = [value(float(a), float(b)) for a, b in zip(x, y, strict=True)]
    assert np.allclose(code, said), (code, said)


def test_one_sample_alone_has_a_factor_too():
    """N / (N - 1) is infinite there, and no factor."""
    found = explain(
        Subject("dx", lambda draw: draw.x), [Draw({"N": 1}, x=np.array([1.0, 2.0]))], [np.array([7.0, 14.0])]
    )
    assert [cause.bug for cause in found.causes] == ["constant-factor"]

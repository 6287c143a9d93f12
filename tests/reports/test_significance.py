"""Whether A beats B, compared with SciPy and a simulation."""

import numpy as np
import pytest

from handgrad.errors import ConfigError
from handgrad.reports import significance
from handgrad.reports.significance import (
    MIN_SEEDS,
    compare,
    mean_interval,
    seeds_needed,
    share_interval,
    t_quantile,
    t_tail,
    welch_power,
)

stats = pytest.importorskip("scipy.stats", reason="the judge of these distributions is scipy")


@pytest.mark.parametrize("df", [1, 1.3, 2, 3.7, 8, 30, 500, 19_998])
def test_students_distribution(df):
    for t in (0.0, 0.3, 1.0, 2.5, 6.0, 30.0):
        assert t_tail(t, df) == pytest.approx(stats.t.sf(t, df), rel=2e-5, abs=1e-14)
    for tail in (0.4, 0.025, 0.025 / 45, 1e-6):
        assert t_quantile(tail, df) == pytest.approx(stats.t.isf(tail, df), rel=2e-5)


@pytest.mark.parametrize(("n", "m"), [(3, 3), (3, 8), (10, 5), (20, 20)])
def test_welchs_test_is_scipys(n, m):
    rng = np.random.default_rng(n * m)
    one, other = rng.normal(0.97, 0.004, n).tolist(), rng.normal(0.965, 0.001, m).tolist()
    expected = stats.ttest_ind(one, other, equal_var=False)
    found = compare(one, other)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-6)
    interval = expected.confidence_interval(0.95)
    assert found.interval == pytest.approx((interval.low, interval.high), rel=1e-6)
    assert (found.winner is None) == (expected.pvalue > 0.05)
    three = compare(one, other, comparisons=3)
    assert three.p == pytest.approx(min(1, 3 * expected.pvalue), rel=1e-6)
    wider = expected.confidence_interval(1 - 0.05 / 3)
    assert three.interval == pytest.approx((wider.low, wider.high), rel=1e-6)


def test_the_interval_of_a_mean_is_scipys():
    values = [0.91, 0.93, 0.92, 0.90]
    expected = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert mean_interval(values) == pytest.approx(expected)
    assert mean_interval([0.9]) is None
    expected = stats.binomtest(342, 360).proportion_ci(method="wilson")
    assert share_interval(342 / 360, 360) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize(("shift", "df", "alpha"), [(0.5, 2.2, 0.05), (2.8, 6, 0.05), (4, 11.5, 0.01), (3, 400, 0.05)])
def test_power_is_the_noncentral_distributions(shift, df, alpha):
    c = stats.t.isf(alpha / 2, df)
    expected = stats.nct.sf(c, df, shift) + stats.nct.cdf(-c, df, shift)
    assert welch_power(shift, df, alpha) == pytest.approx(expected, abs=1e-6)


def test_the_number_of_seeds_by_simulation():
    """This number of seeds detects the difference in 80% of repetitions, one fewer in less than 80%."""
    n = seeds_needed(0.01, 0.01, 0.006)
    rng = np.random.default_rng(0)

    def shown(n: int) -> float:
        one, other = rng.normal(0.01, 0.01, (40_000, n)), rng.normal(0, 0.006, (40_000, n))
        return float((stats.ttest_ind(one, other, axis=1, equal_var=False).pvalue < 0.05).mean())

    assert shown(n) > 0.793  # three standard errors of the simulation below
    assert shown(n - 1) < 0.806
    assert seeds_needed(0.01, 0.01, 0.006, comparisons=10) > n
    assert seeds_needed(0.0, 0.01, 0.01) is None
    assert seeds_needed(1e-6, 0.01, 0.01) is None


def test_equal_configurations_are_told_apart_as_seldom_as_promised(monkeypatch):
    """For pairs without a difference, a winner is named in at most 5% of cases, also over three comparisons."""
    monkeypatch.setattr(significance, "seeds_needed", lambda *_, **__: None)  # which takes its time
    rng = np.random.default_rng(1)
    pairs = rng.normal(size=(1500, 2, 3))
    wrong = sum(compare(one, other).winner is not None for one, other in pairs.tolist())
    assert 0.01 * len(pairs) < wrong < 0.065 * len(pairs)
    triples = rng.normal(size=(500, 3, 4)).tolist()
    wrong = sum(
        any(compare(t[i], t[j], comparisons=3).winner is not None for i, j in ((0, 1), (0, 2), (1, 2))) for t in triples
    )
    assert 0 < wrong < 0.07 * len(triples)


def test_which_is_better_and_when_nothing_is_said():
    high, low = [0.95, 0.951, 0.952], [0.90, 0.901, 0.903]
    assert compare(high, low).winner == 0
    assert compare(low, high).winner == 1
    assert compare(low, high, less_is_better=True).winner == 0
    assert compare(high, low).needed is None  # enough as it is

    alone = compare([0.95], [0.90, 0.91])
    assert alone.winner is None
    assert alone.interval is None
    assert alone.needed is None
    assert "one seed gives no standard deviation: train at least 3" in alone.why
    two = compare(high[:2], low[:2])
    assert two.winner is None
    assert two.p is None
    assert two.needed == MIN_SEEDS
    assert "2 seeds are too few for a test" in two.why
    for wrong in ([], [0.9, float("nan")]):
        with pytest.raises(ConfigError, match="expected at least one finite result of each"):
            compare(high, wrong)
    same = compare([1.0] * 5, [0.9] * 5)
    assert same.winner is None
    assert "standard deviation is 0" in same.why
    near = compare([0.95, 0.93, 0.94], [0.93, 0.95, 0.935])
    assert near.winner is None
    assert near.needed == seeds_needed(
        near.difference, np.std([0.95, 0.93, 0.94], ddof=1), np.std([0.93, 0.95, 0.935], ddof=1)
    )

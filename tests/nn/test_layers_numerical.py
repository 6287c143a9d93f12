"""Second oracle: numerical derivatives in float64, by `gradient_check`."""

from __future__ import annotations

import pytest

from handgrad.numerics import gradient_check


def test_gradient_check(example):
    report = gradient_check(example.layer(), example.input(), samples=200)
    assert report, report
    assert {part.name for part in report.parts} >= {name for name, _ in example.layer().named_parameters()}
    for part in report.parts:
        assert part.checked == part.total
        assert part.error < (1e-9 if part.method == "complex step" else 1e-6)


def test_gradient_check_of_a_batch_of_one(sample_by_sample):
    assert gradient_check(sample_by_sample.layer(), sample_by_sample.input(1))


@pytest.mark.parametrize("target", ["classes", "one-hot", "soft", "rows of another sum"])
def test_gradient_check_of_losses(loss_example, target):
    loss, t = loss_example.make(), loss_example.targets()[target]

    def gradient(dy, x):
        loss.forward(x, t)
        return dy * loss.backward()

    report = gradient_check(lambda x: loss.forward(x, t), loss_example.input(), gradient=gradient)
    assert report, report
    assert report["x"].method == "complex step"
    assert report["x"].error < 1e-9
    assert gradient_check(loss_example.make(), (loss_example.input(), t))["input 0" if t.dtype == float else "x"]

"""The report as data and as text."""

from __future__ import annotations

import json

import numpy as np
import pytest

from handgrad.numerics import GradientReport, PartReport, gradient_check

RIGHT = PartReport("x", "right", 1.2e-16, "complex step", 12, 12)
WRONG = PartReport("weight", "wrong", 0.5, "complex step", 6, 6, (1, 2), 0.5, 1.0, "backward gives 0.5")
OPEN = PartReport("bias", "cannot judge", None, "-", 0, 3, reason="randomness")


def test_the_verdict():
    assert GradientReport("f", (RIGHT,)).verdict == "right"
    assert GradientReport("f", (RIGHT, OPEN)).verdict == "cannot judge"
    assert GradientReport("f", (RIGHT, OPEN, WRONG)).verdict == "wrong"
    assert GradientReport("f", ()).verdict == "cannot judge"
    assert [bool(GradientReport("f", parts)) for parts in ((RIGHT,), (RIGHT, OPEN), (WRONG,))] == [True, False, False]
    assert not GradientReport("f", (RIGHT,), faults=("changes its input",))


def test_parts_by_name():
    report = GradientReport("f", (RIGHT, WRONG))
    assert report["weight"] is WRONG
    assert list(report) == [RIGHT, WRONG]
    with pytest.raises(KeyError, match="no part 'dx': this report has 'x', 'weight'"):
        report["dx"]


def test_the_table():
    text = str(GradientReport("Linear", (RIGHT, WRONG, OPEN), ("a note", "changes its input"), ("changes its input",)))
    assert text.splitlines() == [
        "Linear: wrong",
        "",
        "  part    verdict       error    entries   method",
        "  x       right         1.2e-16  12 of 12  complex step",
        "  weight  wrong         5.0e-01  6 of 6    complex step",
        "  bias    cannot judge  -        0 of 3    -",
        "",
        "  weight: backward gives 0.5",
        "  bias: randomness",
        "  it changes its input",
        "  note: a note",
    ]
    assert str(GradientReport("f", (RIGHT,), ("n",))).startswith("f: right, but see below\n")
    changed = GradientReport("f", (RIGHT,), (), ("changes its input",))
    assert str(changed).startswith("f: right gradients, but it changes its input\n")


def test_to_dict_goes_into_json():
    nan = PartReport("x", "wrong", None, "-", 0, 4, (np.int64(1).item(),), float("nan"), None, "nan")
    report = GradientReport("f", (nan, WRONG), ("note",))
    data = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert data["verdict"] == "wrong"
    assert data["ok"] is False
    assert data["parts"][0]["analytic"] == "nan"
    assert data["parts"][1]["index"] == [1, 2]
    assert data["notes"] == ["note"]


def test_a_real_report_goes_into_json(zoo, x):
    report = gradient_check(zoo.Linear(), x)
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["ok"] is True
    broken = type("Broken", (zoo.Tanh,), {"backward": lambda s, dy: dy / 0.0})
    json.dumps(gradient_check(broken(), x).to_dict(), allow_nan=False)

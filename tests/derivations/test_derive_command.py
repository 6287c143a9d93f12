"""`handgrad derive`, through its app."""

import json

import pytest

from handgrad import derivations
from handgrad.cli.derive import app
from handgrad.errors import ConfigError


def run(capsys, *arguments):
    code = app(list(arguments), exit_on_error=False, print_error=False, result_action="return_value")
    return code, capsys.readouterr().out


def test_the_list_names_every_derivation(capsys):
    code, out = run(capsys)
    assert code == 0
    assert all(name in out for name in derivations.names())
    assert "Normalisation" in out


def test_the_list_as_json(capsys):
    code, out = run(capsys, "--json")
    assert code == 0
    assert [row["name"] for row in json.loads(out)] == derivations.names()


def test_a_derivation_is_printed_step_by_step(capsys):
    code, out = run(capsys, "batchnorm", "--at", "N=4,D=3", "--seed", "7")
    assert code == 0
    assert out.count("✓") == len(derivations.get("batchnorm").steps)
    assert "✗" not in out
    assert "dβ" in out
    assert "error" in out
    assert "handgrad/nn/normalization.py:" in out
    assert "All 16 steps hold." in out
    assert "\\frac" not in out


def test_latex_on_demand(capsys):
    assert "\\frac" in run(capsys, "batchnorm", "--latex")[1]


def test_a_broken_step_is_shown_and_ends_with_1(capsys):
    code, out = run(capsys, "batchnorm", "--break", "5")
    assert code == 1
    assert out.count("✗") == 1
    assert "5 ✗ gradient of beta" in out
    assert "changed: dy.sum(axis=0)  →  -dy.sum(axis=0)" in out
    assert "1 of 16 steps failed: 5" in out


def test_a_broken_step_as_json(capsys):
    code, out = run(capsys, "batchnorm", "--break", "5", "--at", "N=4", "--json")
    assert code == 1
    report = json.loads(out)
    assert report["ok"] is False
    assert [step["number"] for step in report["steps"] if not step["ok"]] == [5]
    assert report["steps"][4]["at"] == "N=4, D=3"
    assert report["steps"][0].keys() >= {"name", "statement", "text", "why", "error", "method", "link", "broken"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["batchnrom"], r"there is no derivation 'batchnrom': did you mean batchnorm\?"),
        (["batchnorm", "--at", "N4"], "--at N4: cannot read 'N4', expected sizes such as N=4,D=3"),
        (["batchnorm", "--at", "N=-1"], "cannot read 'N=-1'"),
        (["batchnorm", "--at", "K=4"], "batchnorm has no size K: it has N, D"),
        (["batchnorm", "--break", "17"], "batchnorm has no step 17: expected 1 to 16"),
        (["--break", "3"], "--break needs the name of a derivation"),
        (["--at", "N=3"], "--at needs the name of a derivation"),
    ],
)
def test_one_clear_line_for_what_cannot_be(arguments, message):
    with pytest.raises(ConfigError, match=message):
        app(arguments, exit_on_error=False, print_error=False, result_action="return_value")

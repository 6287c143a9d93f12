"""Programs written blind by others: right ones are not called wrong, bugs are found and named."""

import hashlib
import tomllib

import pytest
from benchmarks.checker import PROGRAMS, score

from handgrad.checking import check

LISTED = tomllib.loads((PROGRAMS / "index.toml").read_text())["program"]


def report_of(each):
    gradient = f"{each['function']}:{each['gradient']}" if each["contract"] == "function" else None
    return check(PROGRAMS / each["path"], gradient=gradient).to_dict("none")


def test_they_are_as_they_were_frozen():
    for line in (PROGRAMS / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split(maxsplit=1)
        assert hashlib.sha256((PROGRAMS / name.strip("* ")).read_bytes()).hexdigest() == digest, name


@pytest.mark.parametrize("path", ["right/cmu19_r01/hw1.py", "right/uva_r01", "right/class_r02.py"])
def test_a_right_program(path):
    (each,) = [one for one in LISTED if one["path"] == path]
    found = score([each], {path: report_of(each)})
    assert found["false_alarms"] == []


@pytest.mark.parametrize("path", ["wrong/cmu19_w01/hw1.py", "wrong/cmu20_w05", "wrong/uva_w01"])
def test_a_wrong_program(path):
    (each,) = [one for one in LISTED if one["path"] == path]
    found = score([each], {path: report_of(each)})
    assert found["undetected"] == []
    assert found["unnamed"] == []


@pytest.mark.slow
def test_all_programs():
    chosen = [each for each in LISTED if each["contract"] != "torch-function" or _has_torch()]
    found = score(chosen, {each["path"]: report_of(each) for each in chosen})
    assert found["false_alarms"] == []
    assert found["undetected"] == []
    assert found["named"] >= 0.9 * found["bugs"], found["unnamed"]


def _has_torch() -> bool:
    try:
        import torch  # noqa: F401
    except ImportError:
        return False
    return True

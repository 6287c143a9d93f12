"""The examples in docstrings run."""

import doctest
import importlib
import pkgutil

import pytest

import handgrad

MODULES = ["handgrad", *(module.name for module in pkgutil.walk_packages(handgrad.__path__, "handgrad."))]


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_some_modules_have_examples():
    finder = doctest.DocTestFinder()
    having = [
        name
        for name in ("handgrad", "handgrad.nn", "handgrad.data")
        if any(test.examples for test in finder.find(importlib.import_module(name)))
    ]
    assert having == ["handgrad", "handgrad.nn", "handgrad.data"]

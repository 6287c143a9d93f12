"""The examples in the documentation are tests.

`python` blocks run in order, one namespace a page; blocks that begin with `>>>` are doctests, where `...` stands for
anything. `bash` blocks run as they stand. `console` blocks show what `handgrad` commands after `$ ` print, whatever
their exit code; `...` stands for anything, and white space counts alike. `bash` blocks find the `handgrad` of this
environment first, activated or not. Each page has a folder of its own to work in; kinds of layers that it registers are
gone after it. A block after `<!--- skip: next -->` is not run: it downloads, installs, or takes minutes.
"""

import contextlib
import doctest
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy  # noqa: F401 (the limit below holds for libraries that are loaded)
import pytest
from sybil import Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser
from threadpoolctl import threadpool_limits

from handgrad.architectures import KINDS
from handgrad.cli import main

#: These networks are small, and threads that wait for each other on a busy machine take a hundred times as long.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def in_a_folder_of_its_own(tmp_path_factory):
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.chdir(tmp_path_factory.mktemp("docs")),
        threadpool_limits(1),
        mock.patch.dict(KINDS),
    ):
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
        yield


def run_bash(example) -> None:
    environment = {**os.environ, **ONE_THREAD, "MPLBACKEND": "Agg"}
    shell = ["bash", "-euo", "pipefail", "-c", example.parsed]
    done = subprocess.run(shell, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"


def run_console(example) -> None:
    """In this process, because a page of errors would otherwise start Python dozens of times."""
    for command, expected in re.findall(r"^\$ handgrad (.*)\n((?:(?!\$ ).*\n?)*)", example.parsed, re.MULTILINE):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            main(shlex.split(command))
        pattern = r"\s+".join(re.escape(word) for word in expected.split()).replace(re.escape("..."), ".*")
        assert re.fullmatch(pattern, printed.getvalue().strip(), re.DOTALL), printed.getvalue()


pytest_collect_file = Sybil(
    parsers=[
        PythonCodeBlockParser(doctest_optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE),
        CodeBlockParser("bash", run_bash),
        CodeBlockParser("console", run_console),
        SkipParser(),
    ],
    patterns=["*.md"],
    excludes=["LOG.md"],
    fixtures=["in_a_folder_of_its_own"],
).pytest()

"""Pickles that would call something as they are read."""

import builtins
import os
import subprocess

import numpy as np


class Call:
    """Pickled, it is a call of the function."""

    def __init__(self, function, *arguments):
        self.called = (function, arguments)

    def __reduce__(self):
        return self.called


CALLS = (
    Call(os.system, "exit 1"),
    Call(builtins.eval, "1/0"),
    Call(builtins.exec, "raise SystemExit"),
    Call(builtins.getattr, "x", "y"),
    Call(subprocess.Popen, "x"),
    Call(np.ones, 10**12),
)

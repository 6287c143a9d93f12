"""Numerical derivatives, and `gradient_check`, which holds a derivation by hand against them."""

from handgrad.numerics.check import gradient_check
from handgrad.numerics.derivatives import central_difference, complex_step, relative_error
from handgrad.numerics.report import GradientReport, PartReport

__all__ = [
    "GradientReport",
    "PartReport",
    "central_difference",
    "complex_step",
    "gradient_check",
    "relative_error",
]

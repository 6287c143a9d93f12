"""Numerical derivatives; `gradient_check`, which compares hand-written gradients with them; `check_layer`."""

from handgrad.numerics.check import gradient_check
from handgrad.numerics.contract import LayerReport, Property, check_layer
from handgrad.numerics.derivatives import central_difference, complex_step, relative_error
from handgrad.numerics.report import GradientReport, PartReport

__all__ = [
    "GradientReport",
    "LayerReport",
    "PartReport",
    "Property",
    "central_difference",
    "check_layer",
    "complex_step",
    "gradient_check",
    "relative_error",
]

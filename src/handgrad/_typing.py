"""Shapes in annotations, for readers and for the tests.

Every array argument of the package states its shape the way `jaxtyping` writes it: `Float[Array, "N D"]`. The
annotations are strings (`from __future__ import annotations`), so running code neither evaluates nor checks them and
jaxtyping need not be installed; the tests install jaxtyping's import hook with beartype and every call is checked.

`Inexact` is any real or complex floating type: the layers also accept complex128, for complex-step derivatives.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING or "jaxtyping" in sys.modules:
    from jaxtyping import Bool, Float, Inexact, Integer, Num, Shaped, UInt8
    from numpy import ndarray as Array

    #: A learning rate: a number, or one per stacked model.
    Rate = float | Float[Array, "M 1"]
else:  # the names exist, and mean nothing
    Array = Bool = Float = Inexact = Integer = Num = Shaped = UInt8 = Rate = None

__all__ = ["Array", "Bool", "Float", "Inexact", "Integer", "Num", "Rate", "Shaped", "UInt8"]

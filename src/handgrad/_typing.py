"""Array shapes in annotations, for readers and tests.

The annotation of every array argument states its shape in the notation of `jaxtyping`: `Float[Array, "N D"]`. The
annotations are strings (`from __future__ import annotations`), so production code neither evaluates nor checks them,
and jaxtyping does not have to be installed. The tests install the import hook of jaxtyping with beartype, which checks
every call.

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
else:  # placeholders at run time
    Array = Bool = Float = Inexact = Integer = Num = Shaped = UInt8 = Rate = None

__all__ = ["Array", "Bool", "Float", "Inexact", "Integer", "Num", "Rate", "Shaped", "UInt8"]

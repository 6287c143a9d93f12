"""Winograd's algorithm for convolutions with 3x3 kernels, on tiles: the same result with fewer multiplications.

`Conv2d` does not use it. The convolution kernels of the engine are based on it.
"""

from __future__ import annotations

import numpy as np

from handgrad._typing import Array, Inexact

#: Bᵀ, G and Aᵀ of the source, by the side length of the output tile.
# fmt: off
TRANSFORMS = {
    2: {"input": [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]],
        "kernel": [[1, 0, 0], [1 / 2, 1 / 2, 1 / 2], [1 / 2, -1 / 2, 1 / 2], [0, 0, 1]],
        "output": [[1, 1, 1, 0], [0, 1, -1, -1]]},
    4: {"input": [[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
                  [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]],
        "kernel": [[1 / 4, 0, 0], [-1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6],
                   [1 / 24, 1 / 12, 1 / 6], [1 / 24, -1 / 12, 1 / 6], [0, 0, 1]],
        "output": [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]},
}
# fmt: on


def winograd(d: Inexact[Array, "N C t t"], w: Inexact[Array, "K C 3 3"], m: int) -> Inexact[Array, "N K m m"]:
    """F(m x m, 3x3): the m x m results of each tile of (m + 2) x (m + 2) pixels.

    Formula: y = Aᵀ [Σ_c (G w Gᵀ) ⊙ (Bᵀ d B)] A, with (m + 2)² multiplications per tile and pair of channels, not 9m².

    Source: Lavin and Gray (2016), Fast algorithms for convolutional neural networks, section 4.
    """
    bt, g, at = (np.array(TRANSFORMS[m][name], d.dtype) for name in ("input", "kernel", "output"))
    v, u = bt @ d @ bt.T, g @ w @ g.T
    return at @ np.einsum("kcij,ncij->nkij", u, v) @ at.T


def winograd_gradients(
    d: Inexact[Array, "N C t t"], w: Inexact[Array, "K C 3 3"], dy: Inexact[Array, "N K m m"]
) -> tuple[Inexact[Array, "N C t t"], Inexact[Array, "K C 3 3"]]:
    """The gradients dd and dw of `winograd`.

    Formula: dM = A dy Aᵀ,  dw = Gᵀ [Σ_n dM ⊙ (Bᵀ d B)] G,  dd = B [Σ_k (G w Gᵀ) ⊙ dM] Bᵀ
    """
    bt, g, at = (np.array(TRANSFORMS[dy.shape[-1]][name], d.dtype) for name in ("input", "kernel", "output"))
    v, u, dm = bt @ d @ bt.T, g @ w @ g.T, at.T @ dy @ at
    dw = g.T @ np.einsum("nkij,ncij->kcij", dm, v) @ g
    dd = bt.T @ np.einsum("kcij,nkij->ncij", u, dm) @ bt
    return dd, dw

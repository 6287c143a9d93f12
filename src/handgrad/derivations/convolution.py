"""Convolution as a sum over taps, its gradients as convolutions, im2col, Winograd; max-pooling; residual blocks."""

from __future__ import annotations

import numpy as np

from handgrad import nn
from handgrad.derivations.derivation import D, Derivation, Link
from handgrad.derivations.running import FLOAT64, run_layer
from handgrad.winograd import TRANSFORMS, winograd_gradients

TOPIC = "Convolution"
STRIDE, PADDING = 2, 1


def _padded(x, padding, value=0.0):
    return np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)), constant_values=value)


def _output_size(size, kernel, stride=STRIDE, padding=PADDING):
    return (size + 2 * padding - kernel) // stride + 1


def _correlate(x, weight, stride=1):
    """Σ over channels and taps of x (N, C, H, W) with weight (K, C, R, S), no padding: (N, K, Ho, Wo), by loops."""
    r, s = weight.shape[2:]
    ho, wo = ((x.shape[2 + axis] - (r, s)[axis]) // stride + 1 for axis in (0, 1))
    y = np.zeros((len(x), len(weight), ho, wo), np.result_type(x, weight))
    for i, j in np.ndindex(ho, wo):
        patch = x[:, :, i * stride : i * stride + r, j * stride : j * stride + s]
        y[:, :, i, j] = np.einsum("ncrs,kcrs->nk", patch, weight)
    return y


def _dilated(dy, stride):
    """dy with stride - 1 zeros between neighbours."""
    n, k, ho, wo = dy.shape
    spread = np.zeros((n, k, (ho - 1) * stride + 1, (wo - 1) * stride + 1), dy.dtype)
    spread[:, :, ::stride, ::stride] = dy
    return spread


# -- convolution ------------------------------------------------------------------------------------------------------

convolution = Derivation(
    "convolution",
    TOPIC,
    "Convolution: a sum over taps, two gradients that are convolutions, im2col",
    {"N": 2, "C": 3, "K": 4, "H": 6, "W": 7, "R": 3, "S": 4},
    lambda rng, N, C, K, H, W, R, S: {
        "x": rng.normal(size=(N, C, H, W)),
        "weight": rng.normal(size=(K, C, R, S)),
        "bias": rng.normal(size=K),
        "dy": rng.normal(size=(N, K, _output_size(H, R), _output_size(W, S))),
    },
    least={"H": 5, "W": 5},
    most={"N": 4, "C": 4, "K": 4, "H": 8, "W": 8, "R": 5, "S": 5},
    intro="x (N, C, H, W), weight (K, C, R, S), stride 2, padding 1; x⁺ is x padded with zeros. As in all frameworks, "
    "this is a cross-correlation: the kernel is not flipped.",
    source="Dumoulin and Visin (2016), A guide to convolution arithmetic for deep learning",
)


@convolution.step(
    "definition",
    r"y_{nkij} = b_k + \sum_{crs} x^+_{n,c,2i+r,2j+s}\, w_{kcrs}",
    "yₙₖᵢⱼ = bₖ + Σ_crs x⁺[n, c, 2i+r, 2j+s] w[k, c, r, s]",
    "Each output is the inner product of the kernel and the image patch below it.",
    direct=lambda x, weight, bias: np.array(
        [
            [
                [
                    [
                        (
                            _padded(x, 1)[n, :, 2 * i : 2 * i + weight.shape[2], 2 * j : 2 * j + weight.shape[3]]
                            * kernel
                        ).sum()
                        + bias[k]
                        for j in range(_output_size(x.shape[3], weight.shape[3]))
                    ]
                    for i in range(_output_size(x.shape[2], weight.shape[2]))
                ]
                for k, kernel in enumerate(weight)
            ]
            for n in range(len(x))
        ]
    ),
    direct_label="a loop over every output",
)
def y(x, weight, bias):
    return _correlate(_padded(x, PADDING), weight, STRIDE) + bias[:, None, None]


@convolution.given
def L(dy, y):
    return (dy * y).sum()


@convolution.step(
    "a sum over taps",
    r"y_{nk} = b_k + \sum_{rs} \sum_c x^+_{nc}[r::2, s::2]\, w_{kcrs}",
    "y = b + Σ_rs Σ_c x⁺[r::2, s::2] w[:, c, r, s]",
    "Exchange the loops: sum R·S shifted and subsampled images, each multiplied over the channels by a small matrix.",
    same=True,
)
def taps(x, weight, bias, dy):
    padded, (ho, wo) = _padded(x, PADDING), dy.shape[2:]
    total = np.broadcast_to(bias[:, None, None], dy.shape)
    for r, s in np.ndindex(weight.shape[2:]):
        window = padded[:, :, r : r + STRIDE * ho : STRIDE, s : s + STRIDE * wo : STRIDE][:, :, :ho, :wo]
        total = total + np.einsum("nchw,kc->nkhw", window, weight[:, :, r, s])
    return total


@convolution.given
def columns(x, weight, dy):
    """im2col: one row per output position and one column per entry of its patch: (N·Ho·Wo, C·R·S)."""
    padded, (ho, wo), (r, s) = _padded(x, PADDING), dy.shape[2:], weight.shape[2:]
    rows = [
        padded[n, :, i * STRIDE : i * STRIDE + r, j * STRIDE : j * STRIDE + s].ravel()
        for n, i, j in np.ndindex(len(x), ho, wo)
    ]
    return np.stack(rows)


@convolution.step(
    "im2col: one product of matrices",
    r"Y = \operatorname{im2col}(x)\, W^\top + b, \quad W \in \mathbb R^{K \times CRS}",
    "Y = im2col(x) Wᵀ + b, W as (K, C·R·S)",
    "Copy the patches to rows: the convolution becomes a linear layer.",
    same=True,
)
def by_columns(columns, weight, bias, dy):
    n, k, ho, wo = dy.shape
    rows = columns @ weight.reshape(k, -1).T + bias
    return rows.reshape(n, ho, wo, k).transpose(0, 3, 1, 2)


@convolution.step(
    "gradient of the bias",
    r"\frac{\partial L}{\partial b_k} = \sum_{nij} dy_{nkij}",
    "∂L/∂bₖ = Σₙᵢⱼ dyₙₖᵢⱼ",
    "The bias is added at every position of every sample.",
    derivative=D("L", "bias"),
)
def dbias(dy):
    return dy.sum(axis=(0, 2, 3))


@convolution.step(
    "gradient of the weight, tap by tap",
    r"\frac{\partial L}{\partial w_{kcrs}} = \sum_{nij} dy_{nkij}\, x^+_{n,c,2i+r,2j+s}",
    "∂L/∂w[k,c,r,s] = Σₙᵢⱼ dyₙₖᵢⱼ x⁺[n, c, 2i+r, 2j+s]",
    "Each tap contributes once to every output position: an inner product of dy and the image shifted by (r, s).",
    derivative=D("L", "weight"),
)
def dweight(x, dy, weight):
    padded, (ho, wo) = _padded(x, PADDING), dy.shape[2:]
    result = np.zeros(weight.shape)
    for r, s in np.ndindex(weight.shape[2:]):
        window = padded[:, :, r : r + STRIDE * ho : STRIDE, s : s + STRIDE * wo : STRIDE][:, :, :ho, :wo]
        result[:, :, r, s] = np.einsum("nkhw,nchw->kc", dy, window)
    return result


@convolution.step(
    "gradient of the weight, as a convolution",
    r"\frac{\partial L}{\partial w} = x^+ \star \operatorname{dilate}_2(dy), \text{ batch and channels exchanged}",
    "∂L/∂w = x⁺ ⋆ dilate(dy), with batch and channels exchanged",
    "dy acts as the kernel, with zeros between its entries for the skipped positions of the stride. The sum runs over "
    "the batch.",
    same=True,
)
def dweight_convolution(x, dy, weight):
    image = _padded(x, PADDING).transpose(1, 0, 2, 3)
    kernel = _dilated(dy, STRIDE).transpose(1, 0, 2, 3)
    r, s = weight.shape[2:]
    return _correlate(image, kernel)[:, :, :r, :s].transpose(1, 0, 2, 3)


@convolution.step(
    "gradient of the weight, by im2col",
    r"\frac{\partial L}{\partial W} = dY^\top \operatorname{im2col}(x)",
    "∂L/∂W = dYᵀ im2col(x)",
    "The formula of the linear layer.",
    same=True,
)
def dweight_columns(columns, dy, weight):
    rows = dy.transpose(0, 2, 3, 1).reshape(-1, dy.shape[1])
    return (rows.T @ columns).reshape(weight.shape)


@convolution.step(
    "gradient of the input, tap by tap",
    r"\frac{\partial L}{\partial x^+_{n,c,2i+r,2j+s}} \mathrel{+}= \sum_k dy_{nkij}\, w_{kcrs}",
    "∂L/∂x⁺[n, c, 2i+r, 2j+s] += Σₖ dyₙₖᵢⱼ w[k, c, r, s]",
    "Each tap adds the gradient of its output to the position that it read. The padding is removed at the end.",
    derivative=D("L", "x"),
)
def dx(x, dy, weight):
    padded, (ho, wo) = np.zeros_like(_padded(x, PADDING)), dy.shape[2:]
    for r, s in np.ndindex(weight.shape[2:]):
        window = padded[:, :, r : r + STRIDE * ho : STRIDE, s : s + STRIDE * wo : STRIDE][:, :, :ho, :wo]
        window += np.einsum("nkhw,kc->nchw", dy, weight[:, :, r, s])
    return padded[:, :, PADDING:-PADDING, PADDING:-PADDING]


@convolution.step(
    "gradient of the input, as a convolution",
    r"\frac{\partial L}{\partial x^+} = \operatorname{pad}_{R-1,S-1}\big(\operatorname{dilate}_2(dy)\big)"
    r" \star \operatorname{flip}(w)",
    "∂L/∂x⁺ = pad(dilate(dy)) ⋆ flip(w), with inputs and outputs of w exchanged",
    "x⁺[p] is multiplied by tap r at output (p − r)/2. The kernel is therefore reversed, and dy is padded by R − 1 "
    "and S − 1.",
    same=True,
)
def dx_convolution(x, dy, weight):
    r, s = weight.shape[2:]
    spread = np.pad(_dilated(dy, STRIDE), ((0, 0), (0, 0), (r - 1, r - 1), (s - 1, s - 1)))
    flipped = weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
    full = _correlate(spread, flipped)
    padded = np.zeros_like(_padded(x, PADDING))  # a row or column that the stride never reaches gets 0
    padded[:, :, : full.shape[2], : full.shape[3]] = full
    return padded[:, :, PADDING:-PADDING, PADDING:-PADDING]


@convolution.step(
    "gradient of the input, by col2im",
    r"\frac{\partial L}{\partial x} = \operatorname{col2im}(dY\, W)",
    "∂L/∂x = col2im(dY W)",
    "The formula of the linear layer gives a gradient for each patch; overlapping patches are added.",
    same=True,
)
def dx_columns(x, dy, weight):
    rows = dy.transpose(0, 2, 3, 1).reshape(-1, dy.shape[1]) @ weight.reshape(len(weight), -1)
    padded, (ho, wo), (r, s) = np.zeros_like(_padded(x, PADDING)), dy.shape[2:], weight.shape[2:]
    for row, (n, i, j) in zip(rows, np.ndindex(len(x), ho, wo), strict=True):
        patch = padded[n, :, i * STRIDE : i * STRIDE + r, j * STRIDE : j * STRIDE + s]
        patch += row.reshape(patch.shape)
    return padded[:, :, PADDING:-PADDING, PADDING:-PADDING]


@convolution.step(
    "what nn computes",
    r"\frac{\partial L}{\partial x} = \operatorname{col2im}(dY\, W)",
    "∂L/∂x = col2im(dY W)",
    "nn.Conv2d adds the patches tap by tap and never stores them; the im2col kernel of the engine does.",
    same=True,
    link=Link(nn.Conv2d.backward, "dx[pixels] += "),
)
def dx_nn(x, dy, weight, bias):
    sizes = x.shape[1], len(weight), weight.shape[2:]
    layer = nn.Conv2d(*sizes, stride=STRIDE, padding=PADDING, dtype=FLOAT64)
    return run_layer(layer, x, dy, weight=weight, bias=bias).dx


# -- Winograd ---------------------------------------------------------------------------------------------------------


def _winograd_point(m):
    def point(rng, N, C, K, P, Q):
        transforms = {name: np.array(rows, float) for name, rows in TRANSFORMS[m].items()}
        return {
            "Bt": transforms["input"],
            "G": transforms["kernel"],
            "At": transforms["output"],
            "d": rng.normal(size=(m + 2, m + 2)),
            "g": rng.normal(size=(3, 3)),
            "dy": rng.normal(size=(m, m)),
            "x": rng.normal(size=(N, C, m * P + 2, m * Q + 2)),
            "weight": rng.normal(size=(K, C, 3, 3)),
            "m": m,
        }

    return point


def _winograd(m: int, reduction: str) -> Derivation:
    tile = m + 2
    winograd = Derivation(
        f"winograd-{m}x{m}",
        TOPIC,
        f"Winograd's F({m}x{m}, 3x3): {tile * tile} multiplications instead of {9 * m * m}",
        {"N": 2, "C": 4, "K": 5, "P": 3, "Q": 6},
        _winograd_point(m),
        intro=f"g is a 3x3 kernel, d a tile of {tile}x{tile} numbers, its result {m}x{m}. P and Q count the tiles of "
        f"an image down and across. {reduction} Stride 1; padding is in x.",
        source="Winograd (1980); Lavin and Gray (2016), Fast algorithms for convolutional neural networks, section 4",
    )

    @winograd.step(
        "in one dimension, directly",
        r"y_i = \sum_{r=0}^{2} d_{i+r}\, g_r",
        "yᵢ = Σᵣ dᵢ₊ᵣ gᵣ",
        f"{m} outputs of 3 products each: {3 * m} multiplications.",
        direct=lambda d, g: np.correlate(d[0], g[0]),
        direct_label="np.correlate",
    )
    def line(d, g, m):
        return sum(d[0, r : r + m] * g[0, r] for r in range(3))

    @winograd.step(
        "in one dimension, transformed",
        r"y = A^\top \big[(G g) \odot (B^\top d)\big]",
        "y = Aᵀ [(G g) ⊙ (Bᵀ d)]",
        f"Polynomials multiplied by their values at {tile - 1} points and infinity: {tile} multiplications. The "
        "entries of Bᵀ and Aᵀ are small integers.",
        same=True,
    )
    def line_transformed(d, g, Bt, G, At):
        return At @ ((G @ g[0]) * (Bt @ d[0]))

    @winograd.step(
        "a tile, directly",
        r"y_{ij} = \sum_{rs} d_{i+r,j+s}\, g_{rs}",
        "yᵢⱼ = Σᵣₛ d[i+r, j+s] g[r, s]",
        f"{9 * m * m} multiplications.",
        direct=lambda d, g: _correlate(d[None, None], g[None, None])[0, 0],
        direct_label="direct convolution",
    )
    def tile_direct(d, g, m):
        return sum(d[r : r + m, s : s + m] * g[r, s] for r, s in np.ndindex(3, 3))

    @winograd.given
    def L(dy, tile_direct):
        return (dy * tile_direct).sum()

    @winograd.step(
        "a tile, transformed",
        r"y = A^\top \big[(G g G^\top) \odot (B^\top d B)\big] A",
        "y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A",
        f"The one-dimensional form along rows and along columns: {tile * tile} multiplications.",
        same=True,
    )
    def tile_transformed(d, g, Bt, G, At):
        return At @ ((G @ g @ G.T) * (Bt @ d @ Bt.T)) @ At.T

    @winograd.step(
        "an image, tile by tile",
        r"Y_{nk} = A^\top \Big[\sum_c (G w_{kc} G^\top) \odot (B^\top d_{nc} B)\Big] A",
        "Yₙₖ = Aᵀ [Σ_c (G wₖ_c Gᵀ) ⊙ (Bᵀ dₙ_c B)] A, for every tile",
        "Tiles overlap by 2. The sum over channels is computed before the inverse transform, as matrix products.",
        direct=lambda x, weight: _correlate(x, weight),
        direct_label="direct convolution",
    )
    def image(x, weight, Bt, G, At, m):
        n, k = len(x), len(weight)
        result = np.zeros((n, k, x.shape[2] - 2, x.shape[3] - 2))
        kernels = np.einsum("ar,kcrs,bs->kcab", G, weight, G)
        for i, j in np.ndindex(result.shape[2] // m, result.shape[3] // m):
            tiles = x[:, :, i * m : i * m + m + 2, j * m : j * m + m + 2]
            spread = np.einsum("ar,ncrs,bs->ncab", Bt, tiles, Bt)
            summed = np.einsum("kcab,ncab->nkab", kernels, spread)
            result[:, :, i * m : i * m + m, j * m : j * m + m] = np.einsum("ia,nkab,jb->nkij", At, summed, At)
        return result

    @winograd.step(
        "gradient of the tile",
        r"\frac{\partial L}{\partial d} = B \big[(G g G^\top) \odot (A\, dy\, A^\top)\big] B^\top",
        "∂L/∂d = B [(G g Gᵀ) ⊙ (A dy Aᵀ)] Bᵀ",
        "All factors are linear, so the backward pass applies the transposes in reverse order.",
        derivative=D("L", "d"),
    )
    def dtile(dy, g, Bt, G, At):
        return Bt.T @ ((G @ g @ G.T) * (At.T @ dy @ At)) @ Bt

    @winograd.step(
        "gradient of the kernel",
        r"\frac{\partial L}{\partial g} = G^\top \big[(B^\top d B) \odot (A\, dy\, A^\top)\big] G",
        "∂L/∂g = Gᵀ [(Bᵀ d B) ⊙ (A dy Aᵀ)] G",
        "In the same way, with the other factor.",
        derivative=D("L", "g"),
    )
    def dkernel(dy, d, Bt, G, At):
        return G.T @ ((Bt @ d @ Bt.T) * (At.T @ dy @ At)) @ G

    @winograd.step(
        "what nn computes",
        r"dw = G^\top \big(\textstyle\sum dM \odot V\big) G, \quad dM = A\, dy\, A^\top,\ V = B^\top d B",
        "dw = Gᵀ (Σ dM ⊙ V) G with dM = A dy Aᵀ and V = Bᵀ d B",
        "The engine computes each transform as one product with a Kronecker matrix, and the sums as products over all "
        "tiles.",
        same=True,
        link=Link(winograd_gradients, "g.T @ "),
    )
    def dkernel_nn(dy, d, g):
        _, dw = winograd_gradients(d[None, None], g[None, None], dy[None, None])
        return dw[0, 0]

    return winograd


winograd_2, winograd_4 = _winograd(2, "A factor of 2.25 less."), _winograd(4, "A factor of 4 less.")

# -- max-pooling ------------------------------------------------------------------------------------------------------

pooling = Derivation(
    "max-pooling",
    TOPIC,
    "Max-pooling: the gradient goes to the maximum",
    {"N": 2, "C": 3, "H": 5, "W": 6},
    lambda rng, N, C, H, W: {
        "x": rng.permutation(np.linspace(-1, 1, N * C * H * W)).reshape(N, C, H, W),  # no ties
        "dy": rng.normal(size=(N, C, _output_size(H, 3), _output_size(W, 3))),
    },
    most={"N": 4, "C": 4, "H": 8, "W": 8},
    intro="Windows of 3x3, stride 2, padding 1 with −∞, as in the VGG of the Amsterdam course, so windows overlap. At "
    "a tie there is no derivative; frameworks use the first of the equal entries.",
    source="Goodfellow, Bengio, Courville, Deep Learning (2016), section 9.3",
)


@pooling.step(
    "definition",
    r"y_{ncij} = \max_{rs} x^+_{n,c,2i+r,2j+s}",
    "yₙ_cᵢⱼ = max over the window x⁺[n, c, 2i : 2i+3, 2j : 2j+3]",
    "The padding is −∞, so it is never the maximum.",
    direct=lambda x, dy: np.array(
        [
            [
                [
                    [
                        x[n, c, max(0, 2 * i - 1) : 2 * i + 2, max(0, 2 * j - 1) : 2 * j + 2].max()
                        for j in range(dy.shape[3])
                    ]
                    for i in range(dy.shape[2])
                ]
                for c in range(x.shape[1])
            ]
            for n in range(len(x))
        ]
    ),
    direct_label="a loop over every window",
)
def pooled(windows, winner):
    return np.take_along_axis(windows, winner[..., None], axis=-1)[..., 0]


@pooling.given
def windows(x, dy):
    """The nine entries of each window, (N, C, Ho, Wo, 9)."""
    padded, (ho, wo) = _padded(x, 1, -np.inf), dy.shape[2:]
    shifted = [padded[:, :, r : r + 2 * ho : 2, s : s + 2 * wo : 2][:, :, :ho, :wo] for r, s in np.ndindex(3, 3)]
    return np.stack(shifted, axis=-1)


@pooling.given
def winner(windows):
    return windows.real.argmax(axis=-1)


@pooling.given
def total(pooled):
    return pooled.sum()


@pooling.given
def pooled_loss(dy, pooled):
    return (dy * pooled).sum()


@pooling.step(
    "the local derivative",
    r"\frac{\partial y}{\partial x^+_{rs}} = \mathbb 1\big((r, s) = \arg\max\big)",
    "∂y/∂x⁺ᵣₛ = 1 for the maximum of the window, else 0",
    "A small change of the largest entry changes the maximum by the same amount; a small change of another entry does "
    "not change it.",
    derivative=D("total", "windows"),
)
def chosen(windows):
    return np.where(windows == windows.max(axis=-1, keepdims=True), 1.0, 0.0)


@pooling.step(
    "the gradient, window by window",
    r"\frac{\partial L}{\partial x_p} = \sum_{\text{windows won by } p} dy",
    "∂L/∂x[p] = Σ dy over the windows whose maximum is p",
    "Windows overlap, so an entry can be the maximum of several windows, and the gradients are added.",
    derivative=D("pooled_loss", "x"),
)
def pool_dx(x, dy):
    padded, result = _padded(x, 1, -np.inf), np.zeros((*x.shape[:2], x.shape[2] + 2, x.shape[3] + 2))
    for n, c, i, j in np.ndindex(dy.shape):
        window = padded[n, c, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
        r, s = np.unravel_index(window.argmax(), window.shape)
        result[n, c, 2 * i + r, 2 * j + s] += dy[n, c, i, j]
    return result[:, :, 1:-1, 1:-1]


@pooling.step(
    "the vectorised formula, tap by tap",
    r"dx^+[r::2, s::2] \mathrel{+}= dy \odot \mathbb 1(\arg\max = (r, s))",
    "dx⁺[r::2, s::2] += dy ⊙ (argmax = (r, s))",
    "Nine additions of whole arrays; forward stores the index of the maximum.",
    same=True,
)
def pool_taps(x, dy, winner):
    result, (ho, wo) = np.zeros_like(_padded(x, 1)), dy.shape[2:]
    for tap, (r, s) in enumerate(np.ndindex(3, 3)):
        result[:, :, r : r + 2 * ho : 2, s : s + 2 * wo : 2][:, :, :ho, :wo] += dy * (winner == tap)
    return result[:, :, 1:-1, 1:-1]


@pooling.step(
    "what nn computes",
    r"dx^+[r::2, s::2] \mathrel{+}= dy \odot \mathbb 1(\arg\max = (r, s))",
    "dx⁺[r::2, s::2] += dy ⊙ (argmax = (r, s))",
    "nn.MaxPool2d stores the index of the maximum, the first one in row order if there are several.",
    same=True,
    link=Link(nn.MaxPool2d.backward, "dx[pixels] += "),
)
def pool_nn(x, dy):
    return run_layer(nn.MaxPool2d(3, 2, 1), x, dy).dx


# -- residual blocks --------------------------------------------------------------------------------------------------


def _residual_point(rng, N, D):
    x = rng.normal(size=(N, D))
    if N > 1:  # a sample that neither block changes, with one feature at the kink
        x[0] = -np.abs(x[0])
        x[0, 0] = 0
        x[1, 0] = 0  # and one that the second block changes
    return {
        "x": x,
        "dy": rng.normal(size=(N, D)),
        "W1": rng.normal(size=(D, D)),
        "W2": rng.normal(size=(D, D)),
    }


residual = Derivation(
    "residual",
    TOPIC,
    "Residual blocks: the identity in the Jacobian",
    {"N": 4, "D": 3},
    _residual_point,
    intro="A block is y = x + f(x), here with f(x) = ReLU(x) Wᵀ. The activation comes first, as in PreAct ResNets.",
    source="He, Zhang, Ren, Sun (2016), Identity mappings in deep residual networks, equations 4 and 5",
)


def _relu(x):
    return np.where(x.real > 0, x, 0)


@residual.step(
    "definition",
    r"y = x + f(x), \quad f(x) = \max(0, x)\, W^\top",
    "y = x + f(x), f(x) = max(0, x) Wᵀ",
    "The input is passed on unchanged, and the layers add to it.",
    direct=lambda x, dy, W1: x + _branch(x, dy, W1).y,
    direct_label="x + nn.Sequential",
)
def block(x, W1):
    return x + _relu(x) @ W1.T


def _branch(x, dy, weight):
    linear = nn.Linear(*weight.shape, bias=False, dtype=FLOAT64)
    linear.weight = nn.Parameter(weight.copy())
    return run_layer(nn.Sequential(nn.ReLU(), linear), x, dy)


@residual.given
def block_loss(dy, block):
    return (dy * block).sum()


@residual.step(
    "the Jacobian of a sample",
    r"\frac{\partial y}{\partial x} = I + \frac{\partial f}{\partial x} = I + W \operatorname{diag}(\mathbb 1(x > 0))",
    "∂y/∂x = I + W diag(x > 0)",
    "The derivative of x with respect to itself is the identity.",
    derivative=D("block", "x", take="ninj->nij"),
)
def jacobian(x, W1):
    return np.eye(x.shape[1]) + W1 * (x > 0)[:, None, :]


@residual.step(
    "the chain rule",
    r"\frac{\partial L}{\partial x} = dy\, (I + J_f) = dy + dy\, J_f",
    "∂L/∂x = dy (I + J_f)",
    "x is used twice, so two gradients are added.",
    derivative=D("block_loss", "x"),
)
def dx_jacobian(dy, jacobian):
    return np.einsum("ni,nij->nj", dy, jacobian)


@residual.step(
    "the vectorised formula",
    r"dx = dy + (dy\, W) \odot \mathbb 1(x > 0)",
    "dx = dy + (dy W) ⊙ (x > 0)",
    "dy itself, plus dy propagated through the layers of f.",
    same=True,
)
def dx_block(x, dy, W1):
    return dy + (dy @ W1) * (x > 0)


@residual.given
def two_blocks(block, W2):
    return block + _relu(block) @ W2.T


@residual.given
def two_loss(dy, two_blocks):
    return (dy * two_blocks).sum()


@residual.step(
    "two blocks: multiplied out",
    r"\frac{\partial L}{\partial x} = dy\, (I + J_2)(I + J_1) = dy + dy\, J_2 + dy\, J_1 + dy\, J_2 J_1",
    "∂L/∂x = dy (I + J₂)(I + J₁) = dy + dy J₂ + dy J₁ + dy J₂ J₁",
    "One path for every subset of the blocks. One of these paths bypasses all blocks, regardless of their number.",
    derivative=D("two_loss", "x"),
)
def four_paths(x, dy, block, W1, W2):
    through_2 = (dy @ W2) * (block > 0)
    through_1 = (dy @ W1) * (x > 0)
    return dy + through_2 + through_1 + (through_2 @ W1) * (x > 0)


@residual.step(
    "what nn computes",
    r"dx = dy + f.\mathrm{backward}(dy)",
    "dx = dy + f.backward(dy)",
    "The branch is an nn.Sequential; the block adds dy.",
    same="dx_block",
    link=Link(nn.Sequential.backward, "reversed("),
)
def residual_nn(x, dy, W1):
    return dy + _branch(x, dy, W1).dx


DERIVATIONS = [convolution, winograd_2, winograd_4, pooling, residual]

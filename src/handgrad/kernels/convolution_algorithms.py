"""Convolution algorithms (sums over taps, im2col, Winograd) and the choice between them for a shape.

All use channels-last arrays: x (N, H, W, C), y (N, Ho, Wo, K), weight (K, R, S, C/groups). Large arrays are processed a
few images at a time, so that they stay in the cache, and divided among the workers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.lib.stride_tricks import as_strided

from handgrad._typing import Array, Inexact
from handgrad.kernels.arena import Workspace
from handgrad.kernels.images import add_to_pixels
from handgrad.kernels.products import product
from handgrad.kernels.workers import Workers
from handgrad.windows import window_output
from handgrad.winograd import TRANSFORMS

Pair = tuple[int, int]


@dataclass(frozen=True)
class Geometry:
    """The sizes of a convolution, except for the batch size. Pairs are (height, width)."""

    size: Pair
    out: Pair
    in_channels: int
    out_channels: int
    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int

    @classmethod
    def of(
        cls,
        size: Pair,
        in_channels: int,
        out_channels: int,
        kernel: Pair,
        stride: Pair = (1, 1),
        padding: Pair = (0, 0),
        dilation: Pair = (1, 1),
        groups: int = 1,
    ) -> Geometry:
        """The geometry for images of this size. Raises ValueError if the kernel spans more than the padded image."""
        out = window_output(size, kernel, stride, padding, dilation)
        return cls(size, out, in_channels, out_channels, kernel, stride, padding, dilation, groups)

    @property
    def padded(self) -> Pair:
        return self.size[0] + 2 * self.padding[0], self.size[1] + 2 * self.padding[1]

    @property
    def pointwise(self) -> bool:
        """Whether every output depends on one pixel and every pixel is used: a single matrix product."""
        return self.kernel == self.stride == (1, 1) and self.padding == (0, 0)


class Algorithm:
    """An algorithm for one geometry."""

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry

    @classmethod
    def fits(cls, geometry: Geometry) -> bool:
        """Whether the algorithm can compute this geometry."""
        raise NotImplementedError

    @classmethod
    def cost(cls, geometry: Geometry, n: int) -> float | int:
        """Estimated time of forward and backward for a batch of n, in multiply-adds of a large matrix product."""
        raise NotImplementedError

    def forward(
        self,
        x: Inexact[Array, "N H W C"],
        weight: Inexact[Array, "K R S Cg"],
        bias: Inexact[Array, "K"] | None,
        y: Inexact[Array, "N Ho Wo K"],
        work: Workspace,
        workers: Workers,
    ) -> tuple:
        """Writes the output to `y`; returns what backward needs in addition to x."""
        raise NotImplementedError

    def backward(
        self,
        x: Inexact[Array, "N H W C"],
        kept: tuple,
        dy: Inexact[Array, "N Ho Wo K"],
        weight: Inexact[Array, "K R S Cg"],
        dweight: Inexact[Array, "K R S Cg"],
        dx: Inexact[Array, "N H W C"] | None,
        work: Workspace,
        workers: Workers,
    ) -> None:
        """Writes the gradients of the weight and, if `dx` is given, of the input."""
        raise NotImplementedError


def _slowdown(rows: float | int, g: Geometry) -> float:
    """The slowdown of products with few rows or channels relative to large ones (fitted to measurements)."""
    return 1.1 + 24 / max(rows, 1) + 16 / min(g.in_channels, g.out_channels)


def _chains(n: int, block: int, workers: Workers) -> list[list[slice]]:
    """`range(n)` divided into blocks for each worker."""
    return [
        [slice(start, min(start + block, part.stop)) for start in range(part.start, part.stop, block)]
        for part in workers.split(n)
    ]


# -- im2col -----------------------------------------------------------------------------------------------------------


class Im2col(Algorithm):
    """Copies each patch of the image to a row of a matrix and applies a linear layer to the rows.

    Formula, with X⁺ the patches (N·Ho·Wo, R·S·C): Y = X⁺ Wᵀ + b; dW = dYᵀ X⁺; dX = fold(dY W), which adds overlapping
    patches. The patches are created for a few images at a time, and again in backward.

    Source: Chellapilla, Puri, Simard (2006), High performance convolutional neural networks for document processing.
    """

    #: Minimum number of rows of the matrix per block: enough for a fast product.
    ROWS = 512
    #: Minimum number of elements of the matrix per block: with few channels, more rows.
    NUMBERS = 2**18

    @classmethod
    def fits(cls, geometry: Geometry) -> bool:
        return True

    @classmethod
    def cost(cls, geometry: Geometry, n: int) -> float | int:
        g = geometry
        positions, taps = n * g.out[0] * g.out[1], g.kernel[0] * g.kernel[1]
        products = positions * taps * g.in_channels // g.groups * g.out_channels
        moved = 0 if g.pointwise else positions * taps * g.in_channels
        return 3.3 * products + 40 * moved

    def _blocks(self, n: int, workers: Workers) -> list[list[slice]]:
        g = self.geometry
        rows = g.out[0] * g.out[1]
        at_once = max(self.ROWS, self.NUMBERS // (g.kernel[0] * g.kernel[1] * g.in_channels))
        return _chains(n, max(1, math.ceil(at_once / rows)), workers)

    def _matrices(self, weight) -> Inexact[Array, "G Kg RSCg"]:
        g = self.geometry
        return weight.reshape(g.groups, g.out_channels // g.groups, math.prod(weight.shape[1:]))

    def _scratch(self, name: str, chain: int, n: int, work: Workspace, dtype):
        """The padded images and their columns, for one worker."""
        g = self.geometry
        if g.pointwise:
            return None, None
        columns = (g.groups, n, *g.out, *g.kernel, g.in_channels // g.groups)
        padded = work.scratch(f"padded {chain}", (n, *g.padded, g.in_channels), dtype)
        return padded, work.scratch(f"columns {chain}", columns, dtype)

    def _windows(self, padded) -> Inexact[Array, "G n Ho Wo R S Cg"]:
        """All patches of the padded images, as a view."""
        g = self.geometry
        n, row, pixel, number = padded.strides
        channels = g.in_channels // g.groups
        return as_strided(
            padded,
            (g.groups, len(padded), *g.out, *g.kernel, channels),
            (
                *(channels * number, n, g.stride[0] * row, g.stride[1] * pixel),
                *(g.dilation[0] * row, g.dilation[1] * pixel, number),
            ),
        )

    def _columns(self, x, padded, columns) -> Inexact[Array, "G rows RSCg"]:
        """The im2col matrix of a block of images."""
        g = self.geometry
        if g.pointwise:
            return x.reshape(-1, g.groups, g.in_channels // g.groups).transpose(1, 0, 2)
        padded, columns = padded[: len(x)], columns[:, : len(x)]
        if g.padding != (0, 0):
            padded.fill(0)
        (top, left), (height, width) = g.padding, g.size
        padded[:, top : top + height, left : left + width] = x
        columns[...] = self._windows(padded)
        return columns.reshape(g.groups, math.prod(columns.shape[1:4]), math.prod(columns.shape[4:]))

    def _rows(self, y) -> Inexact[Array, "G rows Kg"]:
        """A block of outputs, with one matrix per group."""
        g = self.geometry
        return y.reshape(math.prod(y.shape[:3]), g.groups, g.out_channels // g.groups).transpose(1, 0, 2)

    def forward(self, x, weight, bias, y, work, workers):
        matrices = self._matrices(weight).transpose(0, 2, 1)
        chains = self._blocks(len(x), workers)
        scratch = [self._scratch("x", i, _longest(chain), work, x.dtype) for i, chain in enumerate(chains)]

        def run(i: int) -> None:
            for images in chains[i]:
                product(self._columns(x[images], *scratch[i]), matrices, out=self._rows(y[images]))()
                if bias is not None:
                    add_to_pixels(y[images].reshape(-1, len(bias)), bias)

        workers.run(run, range(len(chains)))
        return ()

    def backward(self, x, kept, dy, weight, dweight, dx, work, workers):
        matrices = self._matrices(weight)
        chains = self._blocks(len(x), workers)
        scratch = [self._scratch("x", i, _longest(chain), work, x.dtype) for i, chain in enumerate(chains)]
        totals = [self._matrices(dweight)]
        totals += [work.scratch(f"dweight {i}", totals[0].shape, dweight.dtype) for i in range(1, len(chains))]
        parts = [work.scratch(f"part {i}", totals[0].shape, dweight.dtype) for i in range(len(chains))]

        def run(i: int) -> None:
            if not chains[i]:
                totals[i].fill(0)
            for number, images in enumerate(chains[i]):
                columns, rows = self._columns(x[images], *scratch[i]), self._rows(dy[images])
                np.matmul(rows.transpose(0, 2, 1), columns, out=parts[i] if number else totals[i])
                if number:
                    totals[i] += parts[i]
                if dx is not None:
                    self._input_gradient(rows, matrices, columns, scratch[i][0], dx[images])

        workers.run(run, range(len(chains)))
        for total in totals[1:]:
            totals[0] += total

    def _input_gradient(self, rows, matrices, columns, padded, dx) -> None:
        """The gradient of a block of images; its patches overwrite the columns."""
        g = self.geometry
        product(rows, matrices, out=columns if not g.pointwise else self._columns(dx, None, None))()
        if g.pointwise:
            return
        padded = padded[: len(dx)]
        padded.fill(0)
        patches = columns.reshape(g.groups, len(dx), *g.out, *g.kernel, g.in_channels // g.groups)
        windows = self._windows(padded)
        for r, s in np.ndindex(*g.kernel):
            windows[:, :, :, :, r, s] += patches[:, :, :, :, r, s]
        (top, left), (height, width) = g.padding, g.size
        dx[...] = padded[:, top : top + height, left : left + width]


def _longest(chain: list[slice]) -> int:
    return max((block.stop - block.start for block in chain), default=0)


# -- sums over taps ---------------------------------------------------------------------------------------------------


class Taps(Algorithm):
    """One small product per tap of the kernel, over the outputs for which the tap covers the image and not the padding.

    Formula, with x[t] the pixels that tap t = (r, s) reads and y[t] the outputs it goes to:
        y[t] += x[t] wₜᵀ;  dwₜ = dy[t]ᵀ x[t];  dx[t] += dy[t] wₜ

    On small feature maps, taps mostly cover padding: a 3x3 kernel on 2x2 pixels needs only 16 of the 36 products of
    im2col.
    """

    @classmethod
    def fits(cls, geometry: Geometry) -> bool:
        return geometry.groups == 1

    @classmethod
    def cost(cls, geometry: Geometry, n: int) -> float | int:
        g = geometry
        rows = n * sum(_covered(g, tap)[2] for tap in np.ndindex(*g.kernel))
        rows_per_tap = rows / math.prod(g.kernel)
        products = 3 * _slowdown(rows_per_tap, g) * g.in_channels * g.out_channels
        return rows * (products + 60 * (g.in_channels + g.out_channels))

    @cached_property
    def _taps(self):
        """For every tap that covers the image: the tap, the slices of the pixels and of the outputs, and their
        number."""
        taps = [(tap, *_covered(self.geometry, tap)) for tap in np.ndindex(*self.geometry.kernel)]
        # The tap that covers the most pixels comes first: it writes, the others add.
        return sorted((tap for tap in taps if tap[3]), key=lambda tap: -tap[3])

    def _scratch(self, n: int, columns: int, count: int, work: Workspace, dtype):
        """For each worker, an array for the rows that a tap reads and one for its results."""
        g, most = self.geometry, n * max((tap[3] for tap in self._taps), default=0)
        return [
            (
                work.scratch(f"rows {i}", (most * max(g.in_channels, g.out_channels),), dtype),
                work.scratch(f"made {i}", (most * columns,), dtype),
            )
            for i in range(count)
        ]

    def forward(self, x, weight, bias, y, work, workers):
        g = self.geometry
        parts = workers.split(g.out_channels, 64)
        scratch = self._scratch(len(x), g.out_channels, len(parts), work, y.dtype)

        def run(i: int) -> None:
            part, (rows, made) = y[..., parts[i]], scratch[i]
            part[...] = 0 if bias is None else bias[parts[i]]
            for (r, s), pixels, outputs, _ in self._taps:
                _add_product(x[pixels], weight[parts[i], r, s].T, part[outputs], rows, made)

        workers.run(run, range(len(parts)))
        return ()

    def backward(self, x, kept, dy, weight, dweight, dx, work, workers):
        g = self.geometry
        dweight.fill(0)
        parts = [(True, part) for part in workers.split(g.out_channels, 64)]
        if dx is not None:
            dx.fill(0)
            parts += [(False, part) for part in workers.split(g.in_channels, 64)]
        scratch = self._scratch(len(x), max(g.in_channels, g.out_channels), len(parts), work, dy.dtype)

        def run(i: int) -> None:
            (for_weight, channels), (rows, made) = parts[i], scratch[i]
            for (r, s), pixels, outputs, _ in self._taps:
                if for_weight:
                    upstream = _rows(dy[outputs][..., channels], made)
                    np.matmul(upstream.T, _rows(x[pixels], rows), out=dweight[channels, r, s])
                elif dx is not None:
                    _add_product(dy[outputs], weight[:, r, s, channels], dx[pixels][..., channels], rows, made)

        workers.run(run, range(len(parts)))


def _rows(part: Inexact[Array, "n h w C"], memory: Inexact[Array, "m"]) -> Inexact[Array, "rows C"]:
    """A copy of a part of an image, with one row per pixel, in scratch memory."""
    copy = memory[: part.size].reshape(part.shape)
    copy[...] = part
    return copy.reshape(math.prod(part.shape[:3]), part.shape[3])


def _add_product(part, matrix, target, rows, made) -> None:
    """target += part · matrix, pixel by pixel."""
    product = made[: target.size].reshape(math.prod(target.shape[:3]), target.shape[3])
    np.matmul(_rows(part, rows), matrix, out=product)
    target += product.reshape(target.shape)


def _covered(g: Geometry, tap: Pair) -> tuple[tuple[slice, ...], tuple[slice, ...], int]:
    """The pixels that a tap reads, the outputs that they contribute to, and their number."""
    pixels, outputs, count = [slice(None)], [slice(None)], 1
    for axis in (0, 1):
        offset = tap[axis] * g.dilation[axis] - g.padding[axis]  # output i reads pixel i · stride + offset
        first = max(0, -(offset // g.stride[axis]))
        last = min(g.out[axis] - 1, (g.size[axis] - 1 - offset) // g.stride[axis])
        count *= max(0, last - first + 1)
        start = first * g.stride[axis] + offset
        pixels.append(slice(start, start + (last - first) * g.stride[axis] + 1, g.stride[axis]))
        outputs.append(slice(first, last + 1))
    return tuple(pixels), tuple(outputs), count


# -- Winograd ---------------------------------------------------------------------------------------------------------

#: Columns of a transform per product: BLAS does not need to pack such small products (see `products`).
COLUMNS = 512
#: Maximum number of channel pairs for which the kernels are transposed in memory before the product.
MAX_TRANSPOSED_PAIRS = 128 * 128


def _in_pieces(matrix, columns: int) -> Inexact[Array, "pieces rows COLUMNS"]:
    """The first columns of a matrix, `COLUMNS` at a time: a view."""
    pieces = matrix[:, :columns].reshape(len(matrix), columns // COLUMNS, COLUMNS)
    return pieces.transpose(1, 0, 2)


class Winograd(Algorithm):
    """Winograd's F(m x m, 3x3): tiles of m x m outputs with (m + 2)² multiplications instead of 9m².

    Formula, for a tile d of (m + 2)² pixels, with Bᵀ, G, Aᵀ the transforms of input, kernel and output:
        V = Bᵀ d B,  U = G w Gᵀ,  M = Σ_c U ⊙ V,  y = Aᵀ M A
        dM = A dy Aᵀ,  dw = Gᵀ (Σ dM ⊙ V) G,  dd = B (Σ_k U ⊙ dM) Bᵀ

    Every transform is one product with a Kronecker matrix, Bᵀ ⊗ Bᵀ and so on; every sum is (m + 2)² products over
    channels (over tiles for dw). Stride 1, dilation 1, one group.

    Source: Lavin and Gray (2016), Fast algorithms for convolutional neural networks, section 4.
    """

    m: int
    #: Number of tile elements that a worker transforms, or that are multiplied, at a time.
    CHUNK, BLOCK = 2**18, 2**21

    def __init__(self, geometry: Geometry) -> None:
        super().__init__(geometry)
        self.tiles = math.ceil(geometry.out[0] / self.m), math.ceil(geometry.out[1] / self.m)
        self.count = self.tiles[0] * self.tiles[1]
        self._matrices: dict[tuple[str, str], np.ndarray] = {}

    @classmethod
    def fits(cls, geometry: Geometry) -> bool:
        g = geometry
        return g.kernel == (3, 3) and g.stride == g.dilation == (1, 1) and g.groups == 1

    @classmethod
    def cost(cls, geometry: Geometry, n: int) -> float | int:
        g, m, numbers = geometry, cls.m, (cls.m + 2) ** 2
        tiles = n * math.ceil(g.out[0] / m) * math.ceil(g.out[1] / m)
        products = 3 * _slowdown(tiles, g) * numbers * tiles * g.in_channels * g.out_channels
        images = tiles * numbers * (g.in_channels * (2 * numbers + 150) + g.out_channels * (2 * m * m + 150))
        kernels = g.in_channels * g.out_channels * numbers * 65
        return products + images + kernels

    def _matrix(self, name: str, dtype) -> np.ndarray:
        key = name, np.dtype(dtype).str
        if key not in self._matrices:
            rows = TRANSFORMS[self.m][name]
            self._matrices[key] = np.kron(rows, rows).astype(dtype)
        return self._matrices[key]

    def _elements(self, channels: int) -> int:
        """Number of tile elements per image."""
        return (self.m + 2) ** 2 * self.tiles[0] * self.tiles[1] * channels

    def _chains(self, images: slice, channels: int, workers: Workers) -> list[list[slice]]:
        """For each worker, its images, a few at a time."""
        at_once = max(1, self.CHUNK // self._elements(channels))
        return [
            [slice(part.start + images.start, part.stop + images.start) for part in chain]
            for chain in _chains(images.stop - images.start, at_once, workers)
        ]

    def _blocks(self, n: int) -> list[slice]:
        """The images whose products all workers compute together, limited by memory."""
        g = self.geometry
        count = math.ceil(n * self._elements(max(g.in_channels, g.out_channels)) / self.BLOCK)
        return [slice(n * i // count, n * (i + 1) // count) for i in range(count)]

    def forward(self, x, weight, bias, y, work, workers):
        g, dtype = self.geometry, y.dtype
        u = self._spread(work.empty, "u", g.out_channels * g.in_channels, weight.dtype)
        v = self._spread(work.empty, "v", len(x) * self.count * g.in_channels, dtype)
        rows = weight.reshape(g.out_channels, 9, g.in_channels)
        workers.run(lambda part: self._transform_kernels(rows[part], u, part.start), workers.split(g.out_channels))
        chains = self._chains(slice(0, len(x)), g.in_channels, workers)
        scratch = self._input_scratch(chains, work, dtype)

        def to_tiles(i: int) -> None:
            for images in chains[i]:
                self._transform_input(x[images], scratch[i], v, images.start)

        workers.run(to_tiles, range(len(chains)))
        kernels = self._matrices_of(u, g.in_channels, g.out_channels).transpose(0, 2, 1)
        few_channels = g.in_channels * g.out_channels <= MAX_TRANSPOSED_PAIRS
        transposed = work.scratch("u", kernels.shape if few_channels else (0,), u.dtype)
        for block in self._blocks(len(x)):
            sums = self._spread(work.scratch, "sums", self._tiles(block) * g.out_channels, dtype)
            pixels = self._matrices_of(v, g.in_channels, self._tiles(block), block.start * self.count)
            products = self._matrices_of(sums, g.out_channels, self._tiles(block))

            def multiply(part: slice, pixels=pixels, products=products) -> None:
                matrices = kernels[part]
                if few_channels:
                    transposed[part] = matrices
                    matrices = transposed[part]
                product(pixels[part], matrices, out=products[part])()

            workers.run(multiply, workers.split(len(u)))
            chains = self._chains(block, g.out_channels, workers)
            memory = self._output_scratch(chains, work, dtype)

            def from_tiles(i: int, block=block, sums=sums, chains=chains, memory=memory) -> None:
                for images in chains[i]:
                    self._transform_sums(sums, images.start - block.start, memory[i], bias, y[images])

            workers.run(from_tiles, range(len(chains)))
        return u, v

    def backward(self, x, kept, dy, weight, dweight, dx, work, workers):
        g, dtype = self.geometry, dy.dtype
        u, v = kept
        tiles = len(x) * self.count
        dm = self._spread(work.scratch, "dm", tiles * g.out_channels, dtype)
        du = self._spread(work.scratch, "du", g.out_channels * g.in_channels, dtype)
        chains = self._chains(slice(0, len(x)), g.out_channels, workers)
        memory = self._output_scratch(chains, work, dtype)

        def to_tiles(i: int) -> None:
            for images in chains[i]:
                self._transform_gradient(dy[images], memory[i], dm, images.start)

        workers.run(to_tiles, range(len(chains)))
        pixels, gradients = self._matrices_of(v, g.in_channels, tiles), self._matrices_of(dm, g.out_channels, tiles)
        products = self._matrices_of(du, g.in_channels, g.out_channels)

        def multiply_kernels(part: slice) -> None:
            np.matmul(gradients[part].transpose(0, 2, 1), pixels[part], out=products[part])

        workers.run(multiply_kernels, workers.split(len(du)))
        rows = dweight.reshape(g.out_channels, 9, g.in_channels)
        workers.run(lambda part: self._transform_back(du, part.start, rows[part]), workers.split(g.out_channels))
        if dx is None:
            return
        kernels = self._matrices_of(u, g.in_channels, g.out_channels)
        for block in self._blocks(len(x)):
            sums = self._spread(work.scratch, "sums", self._tiles(block) * g.in_channels, dtype)
            gradients = self._matrices_of(dm, g.out_channels, self._tiles(block), block.start * self.count)
            products = self._matrices_of(sums, g.in_channels, self._tiles(block))

            def multiply(part: slice, gradients=gradients, products=products) -> None:
                product(gradients[part], kernels[part], out=products[part])()

            workers.run(multiply, workers.split(len(u)))
            chains = self._chains(block, g.in_channels, workers)
            scratch = self._input_scratch(chains, work, dtype)

            def from_tiles(i: int, block=block, sums=sums, chains=chains, scratch=scratch) -> None:
                for images in chains[i]:
                    self._transform_sums_back(sums, images.start - block.start, scratch[i], dx[images])

            workers.run(from_tiles, range(len(chains)))

    # -- transforms: each of some images, or of some kernels, whose tiles begin at an image (a kernel) of an array -----

    def _transform_kernels(self, weight: Inexact[Array, "k 9 C"], u: Inexact[Array, "f numbers"], start: int) -> None:
        matrix, columns = self._matrix("kernel", u.dtype), self._matrices_of(u, weight.shape[2], len(weight), start)
        np.matmul(matrix, weight, out=columns.transpose(1, 0, 2))

    def _transform_back(self, du: Inexact[Array, "f numbers"], start: int, dweight: Inexact[Array, "k 9 C"]) -> None:
        columns = self._matrices_of(du, dweight.shape[2], len(dweight), start)
        np.matmul(self._matrix("kernel", du.dtype).T, columns.transpose(1, 0, 2), out=dweight)

    def _transform_input(self, x: Inexact[Array, "n H W C"], scratch, v: Inexact[Array, "f numbers"], start: int):
        padded, tiles = self._input_tiles(scratch, len(x))
        self._pad(x, padded)
        tiles[...] = self._windows(padded)
        self._transform(self._matrix("input", v.dtype), tiles, self._columns(v, start, len(x), x.shape[3]))

    def _transform_sums(self, sums: Inexact[Array, "f numbers"], start: int, scratch, bias, y) -> None:
        n, channels = len(y), y.shape[3]
        tiles = self._output_tiles(scratch, n)
        self._transform(self._matrix("output", sums.dtype), self._columns(sums, start, n, channels), tiles)
        self._untile(tiles, y)
        if bias is not None:
            add_to_pixels(y.reshape(-1, channels), bias)

    def _transform_gradient(
        self, dy: Inexact[Array, "n Ho Wo K"], scratch, dm: Inexact[Array, "f numbers"], start: int
    ):
        tiles = self._output_tiles(scratch, len(dy))
        self._tile(dy, tiles)
        self._transform(self._matrix("output", dm.dtype).T, tiles, self._columns(dm, start, len(dy), dy.shape[3]))

    def _transform_sums_back(self, sums: Inexact[Array, "f numbers"], start: int, scratch, dx) -> None:
        padded, tiles = self._input_tiles(scratch, len(dx))
        self._transform(self._matrix("input", sums.dtype).T, self._columns(sums, start, len(dx), dx.shape[3]), tiles)
        self._overlap(tiles, padded, dx)

    # -- memory -------------------------------------------------------------------------------------------------------

    def _tiles(self, images: slice) -> int:
        return (images.stop - images.start) * self.count

    def _spread(self, memory: Callable[..., np.ndarray], name: str, numbers: int, dtype) -> Inexact[Array, "f numbers"]:
        """An array with one row per position in a tile, (m + 2)² in total.

        The length of a row is an odd multiple of 64 bytes. With a power of two, the elements of a tile, one from each
        row, would map to the same cache sets and evict each other.
        """
        line = 64 // np.dtype(dtype).itemsize
        return memory(name, ((self.m + 2) ** 2, (math.ceil(numbers / line) | 1) * line), dtype)

    def _columns(self, array: Inexact[Array, "f numbers"], start: int, n: int, channels: int):
        """The part of such an array for the tiles of n images, starting at image `start`."""
        numbers = self.count * channels
        return array[:, start * numbers : (start + n) * numbers]

    @staticmethod
    def _matrices_of(array: Inexact[Array, "f numbers"], columns: int, rows: int, start: int = 0):
        """Each row of such an array as a matrix, starting at its row `start`: a view (f, rows, columns)."""
        return array[:, start * columns : (start + rows) * columns].reshape(len(array), rows, columns)

    def _input_scratch(self, chains: list[list[slice]], work: Workspace, dtype):
        """For each worker, padded images and memory for their tiles of (m + 2)² pixels."""
        channels, (down, across) = self.geometry.in_channels, self.tiles
        return [
            (
                work.scratch(f"padded {i}", (n, down * self.m + 2, across * self.m + 2, channels), dtype),
                work.scratch(f"tiles {i}", (n * self._elements(channels),), dtype),
            )
            for i, n in enumerate(map(_longest, chains))
        ]

    def _input_tiles(self, scratch, n: int):
        padded, memory = scratch
        t = self.m + 2
        shape = (t, t, n, *self.tiles, self.geometry.in_channels)
        return padded[:n], memory[: math.prod(shape)].reshape(shape)

    def _output_scratch(self, chains: list[list[slice]], work: Workspace, dtype):
        """For each worker, memory for the tiles of m² outputs."""
        numbers = self.m**2 * self.count * self.geometry.out_channels
        return [work.scratch(f"outputs {i}", (_longest(chain) * numbers,), dtype) for i, chain in enumerate(chains)]

    def _output_tiles(self, memory, n: int) -> Inexact[Array, "m m n th tw K"]:
        shape = (self.m, self.m, n, *self.tiles, self.geometry.out_channels)
        return memory[: math.prod(shape)].reshape(shape)

    # -- tiles --------------------------------------------------------------------------------------------------------

    def _transform(self, matrix, source, target) -> None:
        """target = matrix · source, where the first axes are the positions in a tile and the rest is contiguous."""
        columns = source.size // matrix.shape[1]
        # Both are views: positions in a tile are evenly spaced, and the rest is contiguous.
        source, target = source.reshape(matrix.shape[1], columns), target.reshape(matrix.shape[0], columns)
        whole = columns - columns % COLUMNS
        np.matmul(matrix, _in_pieces(source, whole), out=_in_pieces(target, whole))
        if whole < columns:
            np.matmul(matrix, source[:, whole:], out=target[:, whole:])

    def _pad(self, x, padded) -> None:
        (top, left), (height, width) = self.geometry.padding, self.geometry.size
        padded[:, :top] = 0
        padded[:, top + height :] = 0
        padded[:, top : top + height, :left] = 0
        padded[:, top : top + height, left + width :] = 0
        padded[:, top : top + height, left : left + width] = x

    def _windows(self, padded) -> Inexact[Array, "t t n th tw C"]:
        """The overlapping tiles of the padded images, as a view."""
        n, row, pixel, number = padded.strides
        t = self.m + 2
        return as_strided(
            padded,
            (t, t, len(padded), *self.tiles, padded.shape[3]),
            (row, pixel, n, self.m * row, self.m * pixel, number),
        )

    def _tile(self, dy, tiles) -> None:
        """The gradient of the outputs in tiles, with zeros where a tile exceeds the image."""
        m, (height, width) = self.m, self.geometry.out
        if (height, width) != (m * self.tiles[0], m * self.tiles[1]):
            tiles.fill(0)
        for i, j in np.ndindex(m, m):
            part = dy[:, i::m, j::m]
            tiles[i, j, :, : part.shape[1], : part.shape[2]] = part

    def _untile(self, tiles, y) -> None:
        for i, j in np.ndindex(self.m, self.m):
            part = y[:, i :: self.m, j :: self.m]
            part[...] = tiles[i, j, :, : part.shape[1], : part.shape[2]]

    def _overlap(self, tiles, padded, dx) -> None:
        """Adds overlapping tiles and removes the padding."""
        m, (down, across) = self.m, self.tiles
        padded[:, down * m :] = 0
        padded[:, :, across * m :] = 0
        inner = padded[:, : down * m, : across * m]
        for i, j in np.ndindex(m, m):
            inner[:, i::m, j::m] = tiles[i, j]
        for i, j in np.ndindex(m + 2, m + 2):
            if i >= m or j >= m:
                region = padded[:, i : i + down * m - m + 1 : m, j : j + across * m - m + 1 : m]
                region += tiles[i, j]
        (top, left), (height, width) = self.geometry.padding, self.geometry.size
        dx[...] = padded[:, top : top + height, left : left + width]


class Winograd2x2(Winograd):
    """F(2x2, 3x3): 16 multiplications instead of 36, accurate to a few rounding errors."""

    m = 2


class Winograd4x4(Winograd):
    """F(4x4, 3x3): 36 multiplications instead of 144; its transforms lose about two decimal digits."""

    m = 4


#: The algorithms by their names in settings and `handgrad show`.
ALGORITHMS: dict[str, type[Algorithm]] = {
    "im2col": Im2col,
    "taps": Taps,
    "winograd-2x2": Winograd2x2,
    "winograd-4x4": Winograd4x4,
}
CONVOLUTIONS = tuple(ALGORITHMS)


def costs(geometry: Geometry, n: int) -> dict[str, float]:
    """The estimates of all applicable algorithms, in multiply-adds of a large matrix product."""
    return {name: float(kind.cost(geometry, n)) for name, kind in ALGORITHMS.items() if kind.fits(geometry)}


def choose(geometry: Geometry, n: int, wanted: str = "auto") -> str:
    """The name of the requested algorithm if it is applicable, otherwise of the one with the lowest estimate for a
    batch of n, which is the same on every machine."""
    estimates = costs(geometry, n)
    if wanted in estimates:
        return wanted
    return min(estimates, key=lambda name: estimates[name])

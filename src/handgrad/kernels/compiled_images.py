"""Compiled kernels for images: the transforms of Winograd's algorithm, and max-pooling.

In `convolution_algorithms`, tiles are copied and then transformed by a product with a Kronecker matrix, most of whose
entries are 0, 1 or -1. A compiled transform consists only of the few necessary additions. It reads the tiles from the
images and writes them to their destination directly.
"""

from __future__ import annotations

import numba
import numpy as np

from handgrad import nn
from handgrad.kernels import convolution, pooling
from handgrad.kernels.convolution_algorithms import ALGORITHMS
from handgrad.kernels.convolution_algorithms import Winograd4x4 as NumpyWinograd4x4
from handgrad.kernels.images import channels_first, channels_last
from handgrad.kernels.kernel import NUMBA_KERNELS, kernel_of
from handgrad.kernels.pooling import _index_dtype
from handgrad.nn.images import check_images
from handgrad.nn.layer import check_gradient
from handgrad.windows import window_output

_compiled = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})

_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def plain(*arrays: np.ndarray) -> bool:
    """Whether all arrays are float32, or all float64, and C-contiguous."""
    dtype = arrays[0].dtype
    if dtype not in _DTYPES:
        return False
    for array in arrays:  # a generator instead would take twice as long
        if array.dtype != dtype:
            return False
        if not array.flags.c_contiguous:
            return False
    return True


#: Number of channels per transform: its 36 positions then fill a quarter of a core's L1 cache.
LANES = 64
#: Number of elements that are written to, or read from, one row of a tiled array at a time. The rows are far apart, so
#: with fewer elements the processor would wait for memory at each row.
RUN = 512
#: Stride between the rows of a tile, independent of the used part of its rows and columns.
ROW = 6

# -- transforms of lines ----------------------------------------------------------------------------------------------

# Each transforms the first `columns` columns of a tile and writes them as rows: applied twice, it transforms rows and
# columns and restores their order. The coefficients are those of `winograd.TRANSFORMS`.


@_compiled
def _input_lines(s, columns, t):
    """Bᵀ: 6 to 6."""
    two, four, five = s.dtype.type(2), s.dtype.type(4), s.dtype.type(5)
    for j in range(columns):
        for i in range(j * LANES, (j + 1) * LANES):
            d0, d1, d2 = s[i], s[i + ROW * LANES], s[i + 2 * ROW * LANES]
            d3, d4, d5 = s[i + 3 * ROW * LANES], s[i + 4 * ROW * LANES], s[i + 5 * ROW * LANES]
            even, odd = d4 - four * d2, d3 - four * d1
            far_even, far_odd = d4 - d2, two * (d3 - d1)
            o = i + (ROW - 1) * j * LANES
            t[o] = four * d0 - five * d2 + d4
            t[o + LANES] = even + odd
            t[o + 2 * LANES] = even - odd
            t[o + 3 * LANES] = far_even + far_odd
            t[o + 4 * LANES] = far_even - far_odd
            t[o + 5 * LANES] = four * d1 - five * d3 + d5


@_compiled
def _input_lines_back(s, columns, t):
    """B: 6 to 6."""
    two, four, five = s.dtype.type(2), s.dtype.type(4), s.dtype.type(5)
    for j in range(columns):
        for i in range(j * LANES, (j + 1) * LANES):
            d0, d1, d2 = s[i], s[i + ROW * LANES], s[i + 2 * ROW * LANES]
            d3, d4, d5 = s[i + 3 * ROW * LANES], s[i + 4 * ROW * LANES], s[i + 5 * ROW * LANES]
            near, far = d1 + d2, d3 + d4
            apart, far_apart = d2 - d1, two * (d4 - d3)
            o = i + (ROW - 1) * j * LANES
            t[o] = four * d0
            t[o + LANES] = four * (apart + d5) + far_apart
            t[o + 2 * LANES] = -five * d0 - four * near - far
            t[o + 3 * LANES] = -apart - far_apart - five * d5
            t[o + 4 * LANES] = d0 + near + far
            t[o + 5 * LANES] = d5


@_compiled
def _output_lines(s, columns, t):
    """Aᵀ: 6 to 4."""
    two, four, eight = s.dtype.type(2), s.dtype.type(4), s.dtype.type(8)
    for j in range(columns):
        for i in range(j * LANES, (j + 1) * LANES):
            d0, d1, d2 = s[i], s[i + ROW * LANES], s[i + 2 * ROW * LANES]
            d3, d4, d5 = s[i + 3 * ROW * LANES], s[i + 4 * ROW * LANES], s[i + 5 * ROW * LANES]
            near, apart, far, far_apart = d1 + d2, d1 - d2, d3 + d4, d3 - d4
            o = i + (ROW - 1) * j * LANES
            t[o] = d0 + near + far
            t[o + LANES] = apart + two * far_apart
            t[o + 2 * LANES] = near + four * far
            t[o + 3 * LANES] = apart + eight * far_apart + d5


@_compiled
def _output_lines_back(s, columns, t):
    """A: 4 to 6."""
    two, four, eight = s.dtype.type(2), s.dtype.type(4), s.dtype.type(8)
    for j in range(columns):
        for i in range(j * LANES, (j + 1) * LANES):
            d0, d1 = s[i], s[i + ROW * LANES]
            d2, d3 = s[i + 2 * ROW * LANES], s[i + 3 * ROW * LANES]
            even, odd, far_even, far_odd = d0 + d2, d1 + d3, d0 + four * d2, two * d1 + eight * d3
            o = i + (ROW - 1) * j * LANES
            t[o] = d0
            t[o + LANES] = even + odd
            t[o + 2 * LANES] = even - odd
            t[o + 3 * LANES] = far_even + far_odd
            t[o + 4 * LANES] = far_even - far_odd
            t[o + 5 * LANES] = d3


@_compiled
def _kernel_lines(s, columns, t):
    """G: 3 to 6."""
    two, four = s.dtype.type(2), s.dtype.type(4)
    quarter, sixth, small = s.dtype.type(1 / 4), s.dtype.type(-1 / 6), s.dtype.type(1 / 24)
    for j in range(columns):
        for i in range(j * LANES, (j + 1) * LANES):
            d0, d1, d2 = s[i], s[i + ROW * LANES], s[i + 2 * ROW * LANES]
            even, far_even = sixth * (d0 + d2), small * (d0 + four * d2)
            odd, far_odd = sixth * d1, small * two * d1
            o = i + (ROW - 1) * j * LANES
            t[o] = quarter * d0
            t[o + LANES] = even + odd
            t[o + 2 * LANES] = even - odd
            t[o + 3 * LANES] = far_even + far_odd
            t[o + 4 * LANES] = far_even - far_odd
            t[o + 5 * LANES] = d2


@_compiled
def _kernel_lines_back(s, columns, t):
    """Gᵀ: 6 to 3."""
    two, four = s.dtype.type(2), s.dtype.type(4)
    quarter, sixth, small = s.dtype.type(1 / 4), s.dtype.type(-1 / 6), s.dtype.type(1 / 24)
    for j in range(columns):
        for i in range(j * LANES, (j + 1) * LANES):
            d0, d1, d2 = s[i], s[i + ROW * LANES], s[i + 2 * ROW * LANES]
            d3, d4, d5 = s[i + 3 * ROW * LANES], s[i + 4 * ROW * LANES], s[i + 5 * ROW * LANES]
            near, far = sixth * (d1 + d2), small * (d3 + d4)
            o = i + (ROW - 1) * j * LANES
            t[o] = quarter * d0 + near + far
            t[o + LANES] = sixth * (d1 - d2) + two * small * (d3 - d4)
            t[o + 2 * LANES] = near + four * far + d5


# -- tiles ------------------------------------------------------------------------------------------------------------

# All functions but `_copy` and `_add` copy and add slices, because an index that may be negative prevents
# vectorisation. Tiled arrays have one row per position f = 6i + j, which contains the flattened rows of a matrix:
# channel c of tile p is element p · channels + c. They are read and written through `stage`, 36 rows of `RUN` elements.


@_compiled
def _tiles_per_run(channels):
    return max(1, RUN // channels)


@_compiled
def _copy(source, target):
    for i in range(source.size):
        target[i] = source[i]


@_compiled
def _add(source, other, target):
    for i in range(target.size):
        target[i] = source[i] + other[i]


@_compiled
def _from_rows(rows, first, count, stage):
    for f in range(ROW * ROW):
        _copy(rows[f, first : first + count], stage[f * RUN : f * RUN + count])


@_compiled
def _to_rows(stage, rows, first, count):
    for f in range(ROW * ROW):
        _copy(stage[f * RUN : f * RUN + count], rows[f, first : first + count])


@_compiled
def _from_stage(stage, at, width, s):
    for f in range(ROW * ROW):
        _copy(stage[f * RUN + at : f * RUN + at + width], s[f * LANES : f * LANES + width])


@_compiled
def _to_stage(s, stage, at, width):
    for f in range(ROW * ROW):
        _copy(s[f * LANES : f * LANES + width], stage[f * RUN + at : f * RUN + at + width])


@_compiled
def _scratch_lines(dtype_of):
    lines = np.zeros((2, ROW * ROW * LANES), dtype_of.dtype)
    return lines[0], lines[1], np.empty(ROW * ROW * RUN, dtype_of.dtype)


@_compiled
def _load_pixels(x, image, top, left, size, first, width, s):
    """`size` x `size` pixels starting at (top, left), with zeros outside the image."""
    _, height, breadth, _ = x.shape
    for i in range(size):
        for j in range(size):
            to = s[(ROW * i + j) * LANES : (ROW * i + j) * LANES + width]
            if 0 <= top + i < height and 0 <= left + j < breadth:
                _copy(x[image, top + i, left + j, first : first + width], to)
            else:
                to[:] = 0


# `size` is 6 for pixels of the input, 4 for those of the output, 3 for the taps of a kernel (an image of one tile).


@_compiled
def _to_tiles(images, size, top, left, down, across, tiles, start):
    """Transforms squares of the images, every 4 pixels starting at (-top, -left), to tiles, starting at number
    `start`."""
    n, _, _, channels = images.shape
    s, t, stage = _scratch_lines(images)
    count, together = n * down * across, _tiles_per_run(channels)
    for group in range(0, count, together):
        several = min(together, count - group)
        for run in range(0, channels, RUN):
            length = min(RUN, channels - run)
            for p in range(several):
                image, place = divmod(group + p, down * across)
                a, b = divmod(place, across)
                for first in range(0, length, LANES):
                    width = min(LANES, length - first)
                    _load_pixels(images, image, 4 * a - top, 4 * b - left, size, run + first, width, s)
                    if size == 6:
                        _input_lines(s, 6, t)
                        _input_lines(t, 6, s)
                    elif size == 4:
                        _output_lines_back(s, 4, t)
                        _output_lines_back(t, 6, s)
                    else:
                        _kernel_lines(s, 3, t)
                        _kernel_lines(t, 6, s)
                    _to_stage(s, stage, p * length + first, width)
            _to_rows(stage, tiles, (start + group) * channels + run, several * length)


@_compiled
def _from_tiles(tiles, start, size, top, left, down, across, added, images):
    """The inverse: writes one square per tile, plus `added` for each channel; overlapping squares of size 6 are
    summed."""
    n, height, breadth, channels = images.shape
    s, t, stage = _scratch_lines(images)
    if size == 6:
        images[:] = 0
    count, together = n * down * across, _tiles_per_run(channels)
    for group in range(0, count, together):
        several = min(together, count - group)
        for run in range(0, channels, RUN):
            length = min(RUN, channels - run)
            _from_rows(tiles, (start + group) * channels + run, several * length, stage)
            for p in range(several):
                image, place = divmod(group + p, down * across)
                a, b = divmod(place, across)
                for first in range(0, length, LANES):
                    width, c0 = min(LANES, length - first), run + first
                    _from_stage(stage, p * length + first, width, s)
                    if size == 6:
                        _input_lines_back(s, 6, t)
                        _input_lines_back(t, 6, s)
                    elif size == 4:
                        _output_lines(s, 6, t)
                        _output_lines(t, 4, s)
                    else:
                        _kernel_lines_back(s, 6, t)
                        _kernel_lines_back(t, 3, s)
                    for i in range(max(0, top - 4 * a), min(size, height + top - 4 * a)):
                        for j in range(max(0, left - 4 * b), min(size, breadth + left - 4 * b)):
                            at = (ROW * i + j) * LANES
                            pixel = images[image, 4 * a + i - top, 4 * b + j - left, c0 : c0 + width]
                            _add(s[at : at + width], pixel if size == 6 else added[c0 : c0 + width], pixel)


class Winograd4x4(NumpyWinograd4x4):
    """F(4x4, 3x3) with compiled transforms."""

    def _transform_kernels(self, weight, u, start):
        if plain(weight, u):
            _to_tiles(_as_images(weight), 3, 0, 0, 1, 1, u, start)
        else:
            super()._transform_kernels(weight, u, start)

    def _transform_back(self, du, start, dweight):
        if plain(du, dweight):
            _from_tiles(du, start, 3, 0, 0, 1, 1, _no_bias(dweight), _as_images(dweight))
        else:
            super()._transform_back(du, start, dweight)

    def _transform_input(self, x, scratch, v, start):
        if plain(x, v):
            _to_tiles(x, 6, *self.geometry.padding, *self.tiles, v, start * self.count)
        else:
            super()._transform_input(x, scratch, v, start)

    def _transform_sums(self, sums, start, scratch, bias, y):
        added = _no_bias(y) if bias is None else bias
        if plain(sums, added, y):
            _from_tiles(sums, start * self.count, 4, 0, 0, *self.tiles, added, y)
        else:
            super()._transform_sums(sums, start, scratch, bias, y)

    def _transform_gradient(self, dy, scratch, dm, start):
        if plain(dy, dm):
            _to_tiles(dy, 4, 0, 0, *self.tiles, dm, start * self.count)
        else:
            super()._transform_gradient(dy, scratch, dm, start)

    def _transform_sums_back(self, sums, start, scratch, dx):
        if plain(sums, dx):
            padding = self.geometry.padding
            _from_tiles(sums, start * self.count, 6, *padding, *self.tiles, _no_bias(dx), dx)
        else:
            super()._transform_sums_back(sums, start, scratch, dx)


def _as_images(kernels):
    """Kernels `(k, 9, C)` as images of 3x3 pixels: a view."""
    return kernels.reshape(len(kernels), 3, 3, kernels.shape[2])


def _no_bias(images):
    return np.zeros(images.shape[-1], images.dtype)


@kernel_of(nn.Conv2d, NUMBA_KERNELS)
class Conv2dKernel(convolution.Conv2dKernel):
    algorithms = ALGORITHMS | {"winograd-4x4": Winograd4x4}


# -- max-pooling ------------------------------------------------------------------------------------------------------


@_compiled
def _max_pool(x, size, stride, padding, y, found):
    n, height, breadth, _ = x.shape
    _, down, across, _ = y.shape
    for image in range(n):
        for a in range(down):
            for b in range(across):
                best, place = y[image, a, b], found[image, a, b]
                top, left = max(0, padding[0] - stride[0] * a), max(0, padding[1] - stride[1] * b)
                best[:] = -np.inf
                place[:] = size[1] * top + left
                for i in range(top, size[0]):
                    row = stride[0] * a + i - padding[0]
                    for j in range(left, size[1]):
                        column = stride[1] * b + j - padding[1]
                        if row < height and column < breadth:
                            _keep_larger(x[image, row, column], best, place, size[1] * i + j)


@_compiled
def _keep_larger(pixel, best, place, number):
    number = place.dtype.type(number)
    for c in range(pixel.size):
        larger = pixel[c] > best[c] or pixel[c] != pixel[c]  # NaN stays
        best[c] = pixel[c] if larger else best[c]
        place[c] = number if larger else place[c]


@_compiled
def _max_pool_back(dy, found, size, stride, padding, dx):
    n, height, breadth, _ = dx.shape
    _, down, across, _ = dy.shape
    dx[:] = 0
    for image in range(n):
        for a in range(down):
            for b in range(across):
                upstream, place = dy[image, a, b], found[image, a, b]
                for i in range(max(0, padding[0] - stride[0] * a), size[0]):
                    row = stride[0] * a + i - padding[0]
                    for j in range(max(0, padding[1] - stride[1] * b), size[1]):
                        column = stride[1] * b + j - padding[1]
                        if row < height and column < breadth:
                            _add_where(upstream, place, size[1] * i + j, dx[image, row, column])


@_compiled
def _add_where(upstream, place, number, pixel):
    zero, number = pixel.dtype.type(0), place.dtype.type(number)
    for c in range(pixel.size):
        pixel[c] += upstream[c] if place[c] == number else zero


@kernel_of(nn.MaxPool2d, NUMBA_KERNELS)
class MaxPool2dKernel(pooling.MaxPool2dKernel):
    def forward(self, x):
        check_images(self.layer, x)
        last = channels_last(self.work, "x", x)
        if not plain(last):
            return super().forward(x)
        n, height, width, c = last.shape
        out = window_output((height, width), self.layer.kernel_size, self.layer.stride, self.layer.padding)
        y = self.work.empty("y", (n, *out, c), last.dtype)
        found = self.work.empty("found", y.shape, _index_dtype(self.layer.kernel_size[0] * self.layer.kernel_size[1]))
        windows = self.layer.kernel_size, self.layer.stride, self.layer.padding
        self.workers.run(lambda part: _max_pool(last[part], *windows, y[part], found[part]), self.workers.split(n))
        self._keep(found, None, last.shape, (n, c, *out))
        return channels_first(y)

    def backward(self, dy):
        found, places, shape, out_shape = self._recall()
        check_gradient(self.layer, dy, out_shape)
        last = channels_last(self.work, "dy", dy)
        if places is not None or not plain(last):
            return super().backward(dy)
        dx = self.work.empty("dx", shape, dy.dtype)
        windows = self.layer.kernel_size, self.layer.stride, self.layer.padding
        self.workers.run(
            lambda part: _max_pool_back(last[part], found[part], *windows, dx[part]), self.workers.split(len(last))
        )
        return channels_first(dx)

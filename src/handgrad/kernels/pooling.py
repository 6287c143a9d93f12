"""Kernels of pooling, over blocks of images with channels last."""

from __future__ import annotations

import itertools

import numpy as np

from handgrad import nn
from handgrad._typing import Array, Inexact
from handgrad.kernels.images import channels_first, channels_last
from handgrad.kernels.kernel import Kernel, kernel_of
from handgrad.nn.images import check_images
from handgrad.nn.layer import check_gradient, computing_dtype
from handgrad.windows import window_output


class _WindowPoolKernel(Kernel):
    """Base class of both: the windows, and the loop over blocks of images."""

    #: Block size in numbers; see `BatchNorm2dKernel.BLOCK`.
    BLOCK = 2**18

    def _positions(self, axis: int, size: int, out: int):
        """For each position along one axis of a window: its index, the pixels that it reads and the corresponding
        outputs."""
        stride = self.layer.stride[axis]
        for t in range(self.layer.kernel_size[axis]):
            offset = t - self.layer.padding[axis]  # output i reads pixel i · stride + offset
            first = max(0, -(offset // stride))
            last = max(first - 1, min(out - 1, (size - 1 - offset) // stride))
            start = first * stride + offset
            yield (
                t,
                slice(start, start + (last - first) * stride + 1 if last >= first else start, stride),
                slice(first, last + 1),
            )

    def _taps(self, size: tuple[int, int], out: tuple[int, int]):
        """For each position in a window: the pixels that it reads and the corresponding outputs."""
        every = slice(None)
        rows, columns = (list(self._positions(axis, size[axis], out[axis])) for axis in (0, 1))
        for (_, top, down), (_, left, across) in itertools.product(rows, columns):
            yield (every, top, left), (every, down, across)

    def _blocks(self, n: int, numbers: int) -> list[slice]:
        at_once = max(1, self.BLOCK // numbers)
        return [slice(start, min(n, start + at_once)) for start in range(0, n, at_once)]


@kernel_of(nn.MaxPool2d)
class MaxPool2dKernel(_WindowPoolKernel):
    layer: nn.MaxPool2d

    def forward(self, x: Inexact[Array, "N C H W"]) -> Inexact[Array, "N C Ho Wo"]:
        check_images(self.layer, x)
        last = channels_last(self.work, "x", x, computing_dtype(x))
        n, height, width, c = last.shape
        out = window_output((height, width), self.layer.kernel_size, self.layer.stride, self.layer.padding)
        y = self.work.empty("y", (n, *out, c), last.dtype)
        # The maximum of a window is the maximum of the maxima of its rows. The positions are stored: 0 to R - 1 and 0
        # to S - 1.
        found_rows = self.work.empty("found rows", y.shape, _index_dtype(self.layer.kernel_size[0]))
        found_columns = self.work.empty(
            "found columns", (n, height, out[1], c), _index_dtype(self.layer.kernel_size[1])
        )
        chains, memory = self._chains(n, (height, out[1], c), last.dtype)
        rows, columns = (list(self._positions(axis, (height, width)[axis], out[axis])) for axis in (0, 1))

        def run(chain: int) -> None:
            for images in chains[chain]:
                between = memory[chain][: images.stop - images.start]
                _largest(last[images], columns, 2, between, found_columns[images])
                _largest(between, rows, 1, y[images], found_rows[images])

        self.workers.run(run, range(len(chains)))
        self._keep((found_rows, found_columns), (rows, columns), last.shape, (n, c, *out))
        return channels_first(y)

    def backward(self, dy: Inexact[Array, "N C Ho Wo"]) -> Inexact[Array, "N C H W"]:
        (found_rows, found_columns), (rows, columns), shape, out_shape = self._recall()
        check_gradient(self.layer, dy, out_shape)
        last = channels_last(self.work, "dy", dy)
        dx = self.work.empty("dx", shape, dy.dtype)
        chains, memory = self._chains(len(last), found_columns.shape[1:], dy.dtype)

        def run(chain: int) -> None:
            for images in chains[chain]:
                between = memory[chain][: images.stop - images.start]
                _scatter_to_maxima(last[images], found_rows[images], rows, 1, between)
                _scatter_to_maxima(between, found_columns[images], columns, 2, dx[images])

        self.workers.run(run, range(len(chains)))
        return channels_first(dx)

    def _chains(self, n: int, shape: tuple[int, int, int], dtype) -> tuple[list[list[slice]], list[np.ndarray]]:
        """The images of each worker, a few at a time, and memory for the intermediate result of the two steps."""
        at_once = max(1, self.BLOCK // (shape[0] * shape[1] * shape[2]))
        chains = [
            [slice(start, min(part.stop, start + at_once)) for start in range(part.start, part.stop, at_once)]
            for part in self.workers.split(n)
        ]
        return chains, [self.work.scratch(f"between {i}", (min(n, at_once), *shape), dtype) for i in range(len(chains))]


def _index_dtype(count: int) -> np.dtype:
    return np.dtype(np.int8 if count < 128 else np.int32)


def _along(axis: int, part: slice) -> tuple[slice, ...]:
    return (*(slice(None),) * axis, part)


def _largest(x, places, axis: int, y, found) -> None:
    """The maximum along one axis of every window, and its first position in the window."""
    found.fill(0)
    where = np.empty(found.shape, bool)
    for t, pixels, outputs in places:
        seen, best, here = x[_along(axis, pixels)], y[_along(axis, outputs)], found[_along(axis, outputs)]
        if t == 0:
            y[_along(axis, slice(0, outputs.start))] = -np.inf
            y[_along(axis, slice(outputs.stop, None))] = -np.inf
            best[...] = seen
            continue
        larger = np.greater(seen, best, out=where[_along(axis, outputs)])
        np.maximum(best, seen, out=best)
        # Positions come in increasing order: if this entry is larger, so is its position.
        np.maximum(here, np.multiply(larger.view(np.int8), found.dtype.type(t)), out=here)


def _scatter_to_maxima(dy, found, places, axis: int, dx) -> None:
    """Adds each dy at the position of its maximum; contributions of overlapping windows are summed."""
    dx.fill(0)
    for t, pixels, outputs in places:
        region = dx[_along(axis, pixels)]
        region += np.multiply(dy[_along(axis, outputs)], found[_along(axis, outputs)] == t)


@kernel_of(nn.AvgPool2d)
class AvgPool2dKernel(_WindowPoolKernel):
    layer: nn.AvgPool2d

    def forward(self, x: Inexact[Array, "N C H W"]) -> Inexact[Array, "N C Ho Wo"]:
        check_images(self.layer, x)
        last = channels_last(self.work, "x", x, computing_dtype(x))
        n, height, width, c = last.shape
        out = window_output((height, width), self.layer.kernel_size, self.layer.stride, self.layer.padding)
        y = self.work.empty("y", (n, *out, c), last.dtype)
        taps = list(self._taps((height, width), out))

        def run(images: slice) -> None:
            y[images].fill(0)
            for pixels, outputs in taps:
                region = y[images][outputs]
                region += last[images][pixels]
            y[images] *= 1 / (self.layer.kernel_size[0] * self.layer.kernel_size[1])

        self.workers.run(run, self._blocks(n, height * width * c))
        self._keep(taps, last.shape, (n, c, *out))
        return channels_first(y)

    def backward(self, dy: Inexact[Array, "N C Ho Wo"]) -> Inexact[Array, "N C H W"]:
        taps, shape, out_shape = self._recall()
        check_gradient(self.layer, dy, out_shape)
        last = channels_last(self.work, "dy", dy)
        dx = self.work.empty("dx", shape, dy.dtype)
        share = self.work.scratch("share", last.shape, dy.dtype)

        def run(images: slice) -> None:
            dx[images].fill(0)
            np.multiply(last[images], 1 / (self.layer.kernel_size[0] * self.layer.kernel_size[1]), out=share[images])
            for pixels, outputs in taps:
                region = dx[images][pixels]
                region += share[images][outputs]

        self.workers.run(run, self._blocks(shape[0], shape[1] * shape[2] * shape[3]))
        return channels_first(dx)


@kernel_of(nn.GlobalAvgPool2d)
class GlobalAvgPool2dKernel(Kernel):
    layer: nn.GlobalAvgPool2d

    def forward(self, x: Inexact[Array, "N C H W"]) -> Inexact[Array, "N C"]:
        check_images(self.layer, x)
        n, c, height, width = x.shape
        y = self.work.empty("y", (n, c), computing_dtype(x))
        np.add.reduce(x, axis=(2, 3), out=y)
        y *= 1 / (height * width)
        self._keep(x.shape, y.shape)
        return y

    def backward(self, dy: Inexact[Array, "N C"]) -> Inexact[Array, "N C H W"]:
        (n, c, height, width), out_shape = self._recall()
        check_gradient(self.layer, dy, out_shape)
        dx = self.work.empty("dx", (n, height, width, c), dy.dtype)
        np.multiply(dy[:, None, None, :], 1 / (height * width), out=dx)
        return channels_first(dx)

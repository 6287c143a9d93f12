"""The kernel of batch normalisation of images: in blocks, with mean and variance in one pass over memory."""

from __future__ import annotations

import math

import numpy as np

from handgrad import nn
from handgrad._typing import Array, Inexact
from handgrad.kernels.images import channels_first, channels_last, fold, sum_of_pixels
from handgrad.kernels.kernel import Kernel, kernel_of
from handgrad.nn.images import check_images
from handgrad.nn.layer import check_gradient, computing_dtype


@kernel_of(nn.BatchNorm2d)
class BatchNorm2dKernel(Kernel):
    """Mean and variance are computed block by block, each relative to its own mean, and then combined. This requires
    one pass over memory and avoids cancellation if the mean of a channel is large relative to its standard deviation.

    Source: Chan, Golub, LeVeque (1983), Algorithms for computing the sample variance, equation 1.5.
    """

    layer: nn.BatchNorm2d
    can_fuse_relu = "both"

    #: Block size in numbers. Smaller blocks would stay in the cache of a core, but after every NumPy call a thread
    #: waits for the GIL: 2**15 took 3.2 and 4.6 ms for forward and backward with 64 channels, 32x32 pixels, batch size
    #: 32 and two threads; 2**18 takes 1.8 and 2.6 ms.
    BLOCK = 2**18

    def forward(self, x: Inexact[Array, "N C H W"]) -> Inexact[Array, "N C H W"]:
        check_images(self.layer, x, self.layer.num_features, self.layer.weight)
        dtype = computing_dtype(x, self.layer.weight.value, self.layer.bias.value)
        last = channels_last(self.work, "x", x)
        pixels = last.size // self.layer.num_features
        several = fold(pixels, self.layer.num_features)
        rows = last.reshape(pixels // several, several * self.layer.num_features)
        if self.layer.training:
            self.layer.check_batch(len(x), math.prod(x.shape[2:]))
            mean, variance = self._statistics(rows, pixels)
            self.layer.update_running_statistics(np.real(mean), np.real(variance), pixels)
        else:
            mean, variance = self.layer.running_mean.astype(x.dtype), self.layer.running_var.astype(x.dtype)
        inverse_std = 1 / np.sqrt(variance + self.layer.eps)
        y = self.work.empty("y", last.shape, dtype)
        out = y.reshape(rows.shape)
        mean, shift = np.tile(mean, several), np.tile(self.layer.bias.value, several)
        scale = np.tile(self.layer.weight.value * inverse_std, several)
        zeros = np.zeros_like(shift)  # NumPy's maximum with the scalar 0 takes three times as long

        def normalise(block: slice) -> None:
            part = np.subtract(rows[block], mean, out=out[block])
            part *= scale
            part += shift
            if self.fuses_relu:
                np.maximum(part, zeros, out=part)

        self.workers.run(normalise, self._blocks(rows))
        self._keep(rows, out, mean, inverse_std, x.shape, self.layer.training)
        return channels_first(y)

    def backward(self, dy: Inexact[Array, "N C H W"]) -> Inexact[Array, "N C H W"]:
        x, y, mean, inverse_std, shape, from_batch = self._recall()
        check_gradient(self.layer, dy, shape)
        last = channels_last(self.work, "dy", dy)
        upstream, blocks = last.reshape(x.shape), self._blocks(x)
        dx = self.work.empty("dx", last.shape, dy.dtype)
        out = dx.reshape(x.shape)
        sums = self.work.scratch("sums", (2, len(blocks), x.shape[1]), dy.dtype)
        chains, memory = self._chains(blocks, x, dy.dtype)

        def add_up(chain: int) -> None:
            for i in chains[chain]:
                block = upstream[blocks[i]]
                if self.fuses_relu:  # out[block] is stored there for the second pass
                    np.greater(y[blocks[i]], 0, out=out[blocks[i]])
                    block = np.multiply(out[blocks[i]], block, out=out[blocks[i]])
                centred = np.subtract(x[blocks[i]], mean, out=memory[chain][: len(block)])
                centred *= block
                sum_of_pixels(centred, sums[0, i])
                sum_of_pixels(block, sums[1, i])

        self.workers.run(add_up, range(len(chains)))
        dgamma, dbeta = sums.reshape(2, sums.size // (2 * self.layer.num_features), self.layer.num_features).sum(axis=1)
        self.layer.bias.grad[...] = dbeta
        np.multiply(dgamma, inverse_std, out=self.layer.weight.grad)

        several, pixels = x.shape[1] // self.layer.num_features, x.size // self.layer.num_features
        scale = self.layer.weight.value * inverse_std
        slope = np.tile(-scale * inverse_std * self.layer.weight.grad / max(pixels, 1), several)
        shift = np.tile(-scale * dbeta / max(pixels, 1), several)
        scale = np.tile(scale, several)

        def differentiate(chain: int) -> None:
            for i in chains[chain]:
                part = out[blocks[i]]
                np.multiply(part if self.fuses_relu else upstream[blocks[i]], scale, out=part)
                if from_batch:  # running statistics are constants, batch statistics are not
                    centred = np.subtract(x[blocks[i]], mean, out=memory[chain][: len(part)])
                    centred *= slope
                    part += centred
                    part += shift

        self.workers.run(differentiate, range(len(chains)))
        return channels_first(dx)

    def _statistics(self, rows: Inexact[Array, "R S"], pixels: int) -> tuple[Inexact[Array, "C"], Inexact[Array, "C"]]:
        """Mean and biased variance of each channel."""
        blocks = self._blocks(rows)
        means = self.work.scratch("means", (len(blocks), rows.shape[1]), rows.dtype)
        squares = self.work.scratch("squares", means.shape, rows.dtype)
        chains, memory = self._chains(blocks, rows, rows.dtype)

        def compute(chain: int) -> None:
            for i in chains[chain]:
                block = rows[blocks[i]]
                sum_of_pixels(block, means[i])
                means[i] *= 1 / len(block)
                centred = np.subtract(block, means[i], out=memory[chain][: len(block)])
                centred *= centred
                sum_of_pixels(centred, squares[i])

        self.workers.run(compute, range(len(chains)))
        # Chan's formula: every block, and every position of a channel in a row, is a separate sample.
        groups = (-1, self.layer.num_features)
        sizes = np.array([block.stop - block.start for block in blocks], np.real(means).dtype)
        sizes = np.repeat(sizes, rows.shape[1] // self.layer.num_features)[:, None] / pixels
        means, squares = means.reshape(groups), squares.reshape(groups)
        mean = (means * sizes).sum(axis=0)
        means -= mean
        return mean, squares.sum(axis=0) / pixels + (means * means * sizes).sum(axis=0)

    def _blocks(self, rows: Inexact[Array, "R S"]) -> list[slice]:
        at_once = max(1, self.BLOCK // rows.shape[1])
        return [slice(start, min(len(rows), start + at_once)) for start in range(0, len(rows), at_once)]

    def _chains(self, blocks: list[slice], rows: Inexact[Array, "R S"], dtype) -> tuple[list[range], list[np.ndarray]]:
        """The block numbers for each worker, with a work array for each."""
        chains = [range(part.start, part.stop) for part in self.workers.split(len(blocks))]
        shape = (max((block.stop - block.start for block in blocks), default=0), rows.shape[1])
        return chains, [self.work.scratch(f"centred {i}", shape, dtype) for i in range(len(chains))]

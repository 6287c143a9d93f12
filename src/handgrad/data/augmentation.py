"""Random changes to training images that leave their class alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from handgrad._typing import Array, Num
from handgrad.errors import ConfigError


@dataclass(frozen=True)
class Augmentation:
    """Random crops and flips of raw training images, found from the number of the step alone.

    An image is first given a border of zeros (black) of `random_crop` pixels and cut to its own size again at a random
    place, then mirrored left to right with probability one half.

    Arguments:
        random_crop: pixels that an image may move in each direction; 0 for none.
        horizontal_flip: whether images are mirrored.
        seed: the run's `data_seed`.

    Raises:
        ConfigError: `random_crop` is negative.

    Source: He, Zhang, Ren, Sun (2016), Deep residual learning, section 4.2 (4 pixels, on CIFAR-10).
    """

    random_crop: int = 0
    horizontal_flip: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.random_crop < 0:
            raise ConfigError(f"random_crop={self.random_crop}, expected at least 0")

    def __bool__(self) -> bool:
        return self.random_crop > 0 or self.horizontal_flip

    def draw(self, n: int, step: int) -> tuple[Array, Array, Array]:
        """What happens to the n images of a step.

        Returns: where each is cut from its padded image, rows (n,) and columns (n,), 0 to 2 `random_crop`; whether it
        is mirrored (n,).
        """
        # The 2 tells these draws from those of an epoch's order, which come from the same seed.
        rng = np.random.default_rng((self.seed, step, 2))
        rows, columns = rng.integers(0, 2 * self.random_crop + 1, (2, n))
        flips = rng.random(n) < 0.5 if self.horizontal_flip else np.zeros(n, bool)
        return rows, columns, flips

    def apply(self, images: Num[Array, "n C H W"], step: int) -> Num[Array, "n C H W"]:
        """The images of a step, changed; a fresh array of their dtype (themselves where nothing is to be done).

        Raises:
            ConfigError: these are no images.
        """
        if not self:
            return images
        if images.ndim != 4:
            raise ConfigError(
                f"random_crop and horizontal_flip change images (C, H, W); these samples have shape={images.shape[1:]}"
            )
        (height, width), border = images.shape[2:], self.random_crop
        rows, columns, flips = self.draw(len(images), step)
        padded = np.pad(images, ((0, 0), (0, 0), (border, border), (border, border)))
        result = np.empty(images.shape, images.dtype)
        for i, (row, column, flip) in enumerate(zip(rows.tolist(), columns.tolist(), flips.tolist(), strict=True)):
            cut = padded[i, :, row : row + height, column : column + width]
            result[i] = cut[..., ::-1] if flip else cut
        return result

"""Random changes to training images that preserve their class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from handgrad._typing import Array, Num
from handgrad.errors import ConfigError


@dataclass(frozen=True)
class Augmentation:
    """Random crops and flips of raw training images, determined by the seed and the step number.

    An image is padded with `random_crop` zeros (black) on each side, cropped to its original size at a random position,
    and mirrored left to right with probability one half.

    Arguments:
        random_crop: maximum shift of an image in each direction, in pixels; 0 for none.
        horizontal_flip: whether images are mirrored.
        seed: the `data_seed` of the run.

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
        """The augmentation of the n images of a step.

        Returns: the position of the crop in each padded image, rows (n,) and columns (n,), 0 to 2 `random_crop`; and
        whether the image is mirrored (n,).
        """
        # The 2 distinguishes these draws from those of the epoch's order, which use the same seed.
        rng = np.random.default_rng((self.seed, step, 2))
        rows, columns = rng.integers(0, 2 * self.random_crop + 1, (2, n))
        flips = rng.random(n) < 0.5 if self.horizontal_flip else np.zeros(n, bool)
        return rows, columns, flips

    def apply(self, images: Num[Array, "n C H W"], step: int) -> Num[Array, "n C H W"]:
        """The augmented images of a step, as a new array with the same dtype (unchanged if nothing is to be done).

        Raises: ConfigError: the inputs are not images.
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

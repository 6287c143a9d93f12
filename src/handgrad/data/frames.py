"""Speech frames: a sample is a window of frames, which is gathered by index and never stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from handgrad._typing import Array, Float, Integer, Num
from handgrad.data.dataset import Dataset
from handgrad.errors import ConfigError


class Frames:
    """Several arrays of frames in one index space. They are not copied, so they may be memory maps.

    Arguments:
        parts: the arrays (n_i, F), float32.
    """

    def __init__(self, parts: Sequence[Float[Array, "n F"]]) -> None:
        self.parts = tuple(parts)
        self.starts = np.cumsum([0, *map(len, self.parts)])
        self.dtype = self.parts[0].dtype
        self.shape = (int(self.starts[-1]), self.parts[0].shape[1])
        self.ndim = 2

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: int | slice) -> Float[Array, "*n F"]:
        """One frame (F,), or a slice of frames (n, F), as a view if they are in one part."""
        if not isinstance(key, slice):
            return self.take(np.asarray(key))
        start, stop, step = key.indices(len(self))
        part = self._part_of(start, stop - 1)
        if step == 1 and part is not None:
            return self.parts[part][start - self.starts[part] : stop - self.starts[part]]
        return self.take(np.arange(start, stop, step))

    def take(self, rows: Integer[Array, "*b"], out: Float[Array, "*b F"] | None = None) -> Float[Array, "*b F"]:
        """The frames at `rows`, all from 0 to `len(self) - 1`, in `out` (float32) or a new array."""
        if out is None:
            out = np.empty((*rows.shape, self.shape[1]), self.dtype)
        if not rows.size:
            return out
        if (part := self._part_of(rows.min(), rows.max())) is not None:
            # Any mode but "raise" writes directly to `out` without a copy.
            return np.take(self.parts[part], rows - self.starts[part], axis=0, out=out, mode="clip")
        for frames, start, end in zip(self.parts, self.starts[:-1], self.starts[1:], strict=True):
            here = (start <= rows) & (rows < end)
            out[here] = frames[rows[here] - start]
        return out

    def _part_of(self, first: int, last: int) -> int | None:
        """The part that contains all rows from `first` to `last`, if any."""
        part, other = np.searchsorted(self.starts, (first, last), side="right") - 1
        return int(part) if part == other and 0 <= part < len(self.parts) else None


@dataclass(frozen=True, eq=False)
class FrameDataset(Dataset):
    """A data set of utterances (sequences of frames). A sample is a frame with `context` frames before and after it.

    Formula: sample i of the utterance with frames a to b consists of the rows clip(i - k, a, b), ..., clip(i + k, a,
    b), k = `context`: at the edges of an utterance, the first or last frame is repeated, as in Kaldi's `splice-feats`.

    Frames are stored once in a flat array; windows exist only in gathered batches. Preprocessing is per feature, with
    shift and scale of shape (F,).

    Arguments: those of `Dataset`, and
        inputs: all frames (n, F), float32.
        offsets: start of each utterance, followed by the number of frames (U + 1,), int64, strictly increasing from 0.
        context: k, frames on each side.
        unlabelled: splits without labels, which cannot be evaluated.

    Raises: ConfigError if image augmentation is requested.
    """

    inputs: Frames  # pyright: ignore[reportIncompatibleVariableOverride]  (the part of the interface of an array that is used)
    _: KW_ONLY
    offsets: Integer[Array, "U+1"]
    context: int = 0
    unlabelled: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.augmentation:
            raise ConfigError(
                f"random_crop and horizontal_flip change images; {self.name} has frames of sound: leave them out"
            )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one window: (2 context + 1, F)."""
        return (2 * self.context + 1, self.inputs.shape[1])

    def rows(self, indices: Integer[Array, "b"]) -> Integer[Array, "b window"]:
        """The frames of each window, as rows of `inputs`."""
        if len(indices) and not (indices.min() >= 0 and indices.max() < len(self.inputs)):
            raise IndexError(f"indices from {indices.min()} to {indices.max()}, expected 0 to {len(self.inputs) - 1}")
        after = np.searchsorted(self.offsets, indices, side="right")
        first, last = self.offsets[after - 1], self.offsets[after] - 1
        rows = indices[:, None] + np.arange(-self.context, self.context + 1)
        return np.clip(rows, first[:, None], last[:, None], out=rows)

    def gather(
        self, indices: Integer[Array, "b"], out: Float[Array, "b window F"] | None = None, dtype: Any = np.float32
    ) -> Float[Array, "b window F"]:
        """The preprocessed windows around the frames at `indices`. Arguments and result as for `Dataset.gather`."""
        rows = self.rows(indices)
        if out is None or out.dtype != self.inputs.dtype:
            return self.preprocessing.apply(self.inputs.take(rows), out, dtype)
        return self.preprocessing.apply(self.inputs.take(rows, out), out)

    def gather_for_training(
        self,
        indices: Integer[Array, "b"],
        step: int,
        out: Num[Array, "b window F"] | None = None,
        dtype: Any = np.float32,
    ) -> Float[Array, "b window F"]:
        """Like `gather`: frames are not augmented."""
        return self.gather(indices, out, dtype)

"""Sizes of sliding windows on images."""

from __future__ import annotations

from collections.abc import Sequence


def pair(name: str, value: int | Sequence[int], least: int) -> tuple[int, int]:
    """A size for height and width, given as one number for both or as a pair.

    Raises:
        ValueError: it is neither, or below `least`; the message begins with `name`.
    """
    two = (value, value) if isinstance(value, int) else tuple(value)
    if len(two) != 2 or not all(isinstance(n, int) and n >= least for n in two):
        raise ValueError(f"{name}={value}, expected a whole number of at least {least}, or a pair of such numbers")
    return two[0], two[1]


def window_output(
    size: Sequence[int],
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int] = (1, 1),
) -> tuple[int, int]:
    """Height and width of the output of a sliding window: ⌊(size + 2·padding - span)/stride⌋ + 1, where the
    kernel spans dilation·(kernel_size - 1) + 1 pixels.

    Raises:
        ValueError: the kernel spans more than the padded image.
    """
    result = []
    for axis, (n, k, s, p, d) in enumerate(zip(size, kernel_size, stride, padding, dilation, strict=True)):
        span = d * (k - 1) + 1
        if n + 2 * p < span:
            raise ValueError(
                f"the kernel spans {span} pixels (kernel_size={k}, dilation={d}), more than the "
                f"{('height', 'width')[axis]} of {n} + 2·{p} of the padded image: take a smaller kernel or more padding"
            )
        result.append((n + 2 * p - span) // s + 1)
    return result[0], result[1]

"""Random shapes of images and windows, for the tests of `nn` and `kernels`."""

from __future__ import annotations

from hypothesis import strategies as st

pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))


@st.composite
def convolutions(draw, winograd: bool = False):
    """(batch, height, width) and the arguments of a matching convolution."""
    groups = 1 if winograd else draw(st.integers(1, 3))
    channels = draw(st.integers(1, 3)) * groups, draw(st.integers(1, 3)) * groups
    kernel = (3, 3) if winograd else draw(pairs)
    stride = (1, 1) if winograd else draw(pairs)
    dilation = (1, 1) if winograd else draw(st.tuples(st.integers(1, 2), st.integers(1, 3)))
    padding = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    size = []
    for k, d, p in zip(kernel, dilation, padding, strict=True):
        size.append(draw(st.integers(max(1, d * (k - 1) + 1 - 2 * p), 13)))
    options = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "bias": draw(st.booleans()),
    }
    return (draw(st.integers(1, 4)), *size), (*channels, kernel), options


@st.composite
def windows(draw):
    """The shape of images, and kernel size, stride and padding of a matching pooling."""
    kernel, stride = draw(pairs), draw(pairs)
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    size = tuple(draw(st.integers(max(1, k - 2 * p), 9)) for k, p in zip(kernel, padding, strict=True))
    return (draw(st.integers(1, 3)), draw(st.integers(1, 3)), *size), kernel, stride, padding

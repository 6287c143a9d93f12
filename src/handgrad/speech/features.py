"""Log-mel energies, the input features for speech, in NumPy."""

from __future__ import annotations

import functools

import numpy as np

from handgrad._typing import Array, Float, Num

RATE = 16_000  #: sampling rate
WINDOW = 400  #: samples per window: 25 ms
STEP = 160  #: samples between frames: 10 ms
FEATURES = 40
FRAMES_PER_SECOND = RATE // STEP

_FFT = 512
_LOWEST_HZ, _HIGHEST_HZ = 20.0, 8000.0
_PREEMPHASIS = 0.97
_FRAMES_AT_ONCE = 1000  # 4 MB of complex spectra

#: Minimum mel energy, with samples in units of 16-bit audio: about a hundredth of the energy of rounding to 16 bits in
#: a band. Digital silence and bands above half the sampling rate are therefore constant.
FLOOR = 1.0


def frame_count(samples: int) -> int:
    """Number of complete windows in this number of samples: 1 + (samples - 400) // 160."""
    return max(0, 1 + (samples - WINDOW) // STEP)


def log_mel(signal: Num[Array, "N"], *, floor: float = FLOOR) -> Float[Array, "T F"]:
    """40 log-mel energies for every 10 ms of a signal at 16 kHz.

    Frame t is the 25 ms window starting at sample 160 t; windows are never padded. For each frame s (400 samples,
    scaled so that full scale is 32768):

        s <- s - mean(s)
        s[n] <- s[n] - 0.97 s[n-1],  s[0] <- 0.03 s[0]
        P[k] = |FFT_512(s[n] (0.5 - 0.5 cos(2 pi n / 399))^0.85)|^2
        E[m] = sum_k W[m, k] P[k]
        y[m] = log max(E[m], floor)

    W contains 40 triangles of height 1 on the mel scale mel(f) = 1127 log(1 + f / 700); their corners are 42 points
    spaced evenly in mel from 20 Hz to 8000 Hz. These are Kaldi's filter-bank features with default options, except for
    40 bins, no dither and the floor.

    Arguments:
        signal: samples (N,), full scale -1 to 1.
        floor: smallest energy.

    Returns: (T, 40) float32, T = `frame_count(N)`.

    Source: S. B. Davis and P. Mermelstein (1980), IEEE Trans. ASSP 28(4), 357-366; constants of Kaldi's
    `compute-fbank-feats` (D. Povey et al. 2011).
    """
    frames = frame_count(len(signal))
    features = np.empty((frames, FEATURES), np.float32)
    if not frames:
        return features
    scaled = np.asarray(signal, np.float64) * 32768.0
    windows = np.lib.stride_tricks.sliding_window_view(scaled, WINDOW)[::STEP]
    for start in range(0, frames, _FRAMES_AT_ONCE):
        s = windows[start : start + _FRAMES_AT_ONCE]
        s = s - s.mean(axis=1, keepdims=True)
        s[:, 1:] -= _PREEMPHASIS * s[:, :-1]
        s[:, 0] *= 1 - _PREEMPHASIS
        power = np.abs(np.fft.rfft(s * _taper(), _FFT)) ** 2
        features[start : start + len(s)] = np.log(np.maximum(power @ _mel_weights().T, floor))
    return features


@functools.cache
def _taper() -> Float[Array, "400"]:
    n = np.arange(WINDOW)
    return (0.5 - 0.5 * np.cos(2 * np.pi * n / (WINDOW - 1))) ** 0.85


def _mel(hz: Num[Array, "..."] | float) -> Float[Array, "..."]:
    return 1127.0 * np.log1p(np.asarray(hz) / 700.0)


@functools.cache
def _mel_weights() -> Float[Array, "40 257"]:
    """The triangles W (40, 257): rising from corner m to m + 1, falling to m + 2, linear in mel."""
    corners = np.linspace(_mel(_LOWEST_HZ), _mel(_HIGHEST_HZ), FEATURES + 2)
    bins = _mel(np.arange(_FFT // 2 + 1) * RATE / _FFT)
    left, centre, right = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    rising, falling = (bins - left) / (centre - left), (right - bins) / (right - centre)
    return np.maximum(0.0, np.minimum(rising, falling))

"""Reading recordings with soundfile, as one channel at 16 kHz."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from handgrad._typing import Array, Float
from handgrad.errors import ConfigError, DataError
from handgrad.speech.features import RATE, WINDOW

#: Peaks below this are silence: three steps of 16-bit audio.
_SILENT = 1e-4
#: Fractions of samples at full scale above which a recording is reported as clipped, or skipped.
_FULL_SCALE = 0.999
_CLIPPED, _RUINED = 0.001, 0.1
_LOWEST_RATE = 4000


def require_speech() -> None:
    """Raises ConfigError if the libraries of the extra `speech` are not installed."""
    try:
        import pocketsphinx  # noqa: F401
        import soundfile  # noqa: F401
        import soxr  # noqa: F401
    except (ImportError, OSError) as error:  # OSError: libsndfile is not installed
        raise ConfigError(
            f'recordings require libraries that are not installed ({error}): pip install "handgrad[speech]"'
        ) from None


def read_audio(path: Path, start: float = 0.0, end: float | None = None) -> tuple[Float[Array, "N"], list[str]]:
    """Reads a recording, or a part of it, as one channel at 16 kHz.

    Arguments:
        path: a file in any format and rate that soundfile supports.
        start, end: the part in seconds; by default all.

    Returns: samples (N,) float32, full scale -1 to 1; and remarks about minor problems.
    Raises: DataError with the reason if the recording is unusable, without naming it.
    """
    import soundfile
    import soxr

    try:
        if path.stat().st_size == 0:
            raise DataError("the file has 0 bytes: copy it again, or remove it")
        with soundfile.SoundFile(path) as file:
            rate = file.samplerate
            first = round(start * rate)
            last = file.frames if end is None else round(end * rate)
            if not 0 <= first < max(last, 1) or last > file.frames + rate // 10:
                seconds = file.frames / rate
                raise DataError(f"its segment start={start}, end={end} is not within the recording's {seconds:.2f} s")
            file.seek(min(first, file.frames))
            samples = file.read(last - first, dtype="float32", always_2d=True)
    except FileNotFoundError:
        raise DataError("there is no such file: correct its path") from None
    except OSError as error:
        raise DataError(f"it cannot be read: {error.strerror or error}") from None
    except soundfile.SoundFileError as error:
        reason = str(error).removeprefix(f"Error opening {str(path)!r}: ").rstrip(".")
        raise DataError(f"it cannot be read as audio: {reason}") from None
    if rate < _LOWEST_RATE:
        raise DataError(f"rate={rate} Hz is too low for speech: expected {_LOWEST_RATE} or more")
    notes = []
    if not len(samples):
        raise DataError("the recording is empty: it has a header and no samples")
    if not np.isfinite(samples).all():
        count = int((~np.isfinite(samples)).sum())
        raise DataError(f"{count:,} of {samples.size:,} samples are NaN or infinite: expected finite numbers")
    clipped = float((np.abs(samples) >= _FULL_SCALE).mean())
    if clipped >= _RUINED:
        raise DataError(f"clipped: {clipped:.0%} of its samples are at full scale; record it again at a lower level")
    if clipped >= _CLIPPED:
        notes.append(f"clipped: {clipped:.1%} of its samples are at full scale")
    if samples.shape[1] > 1:
        notes.append(f"{samples.shape[1]} channels: mixed down to one")
    signal = samples.mean(axis=1)
    peak = float(np.abs(signal).max())
    if peak < _SILENT:
        raise DataError(f"silent: its largest sample is {peak:.6f} of full scale, expected at least {_SILENT}")
    if rate != RATE:
        signal = soxr.resample(signal, rate, RATE)
    if len(signal) < WINDOW:
        raise DataError(f"too short: {1000 * len(signal) / RATE:.0f} ms, expected one window of 25 ms or more")
    return np.ascontiguousarray(signal, np.float32), notes

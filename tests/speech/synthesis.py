"""Synthetic speech of three sounds with known boundaries: hiss (S), vowels by their formants (IY, AO), and silence."""

import numpy as np

RATE = 16_000
FORMANTS = {"IY": (280, 2250, 2900, 3600), "AO": (570, 840, 2410, 3300)}
#: Words of the aligner's dictionary made of them.
WORDS = {"see": ("S", "IY"), "saw": ("S", "AO")}
SECONDS = {"S": 0.16, "IY": 0.24, "AO": 0.24, "SIL": 0.25}


def utterance(*words: str, seed: int = 0, pitch: float = 110.0) -> tuple[np.ndarray, list[tuple[str, float, float]]]:
    """Samples at 16 kHz, and the phones with start and end in seconds; silence at both ends."""
    rng = np.random.default_rng(seed)
    phones = ["SIL", *(phone for word in words for phone in WORDS[word]), "SIL"]
    parts, times, start = [], [], 0.0
    for phone in phones:
        seconds = SECONDS[phone] * rng.uniform(0.9, 1.1)
        parts.append(_sound(phone, seconds, pitch, rng))
        times.append((phone, start, start + seconds))
        start += len(parts[-1]) / RATE
    signal = np.concatenate(parts)
    return (signal + 2e-4 * rng.standard_normal(len(signal))).astype(np.float32), times


def _sound(phone: str, seconds: float, pitch: float, rng: np.random.Generator) -> np.ndarray:
    n = round(seconds * RATE)
    if phone == "SIL":
        return np.zeros(n)
    fade = np.minimum(1, np.minimum(np.arange(n), np.arange(n)[::-1]) / 160)
    if phone == "S":
        spectrum = np.fft.rfft(rng.standard_normal(n))
        hz = np.fft.rfftfreq(n, 1 / RATE)
        hiss = np.fft.irfft(spectrum / (1 + (3800 / np.maximum(hz, 1)) ** 6), n)
        return 0.03 * fade * hiss
    phase = 2 * np.pi * np.cumsum(pitch * (1 - 0.1 * np.arange(n) / n)) / RATE
    voice = np.zeros(n)
    for k in range(1, int(5000 / pitch)):
        f = k * pitch
        gain = np.prod([1 / abs(1 - (f / hz) ** 2 + 1j * f * (50 + hz / 20) / hz**2) for hz in FORMANTS[phone]])
        voice += gain / k * np.cos(k * phase)
    return 0.15 * fade * voice / np.abs(voice).max()

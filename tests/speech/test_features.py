"""Log-mel energies: comparison with Kaldi's, and edge cases."""

import numpy as np
import pytest
from tests.speech.synthesis import utterance

from handgrad.speech.features import FEATURES, FLOOR, frame_count, log_mel


def kaldi(signal):
    knf = pytest.importorskip("kaldi_native_fbank")
    options = knf.FbankOptions()
    options.frame_opts.dither = 0
    options.frame_opts.samp_freq = 16000
    options.mel_opts.num_bins = FEATURES
    options.mel_opts.high_freq = 0  # up to half the rate
    computer = knf.OnlineFbank(options)
    computer.accept_waveform(16000, (signal * 32768).tolist())
    computer.input_finished()
    return np.array([computer.get_frame(i) for i in range(computer.num_frames_ready)])


@pytest.mark.parametrize("samples", [400, 559, 560, 16_000, 165_000])
def test_kaldi_computes_the_same(samples):
    noise = (0.1 * np.random.default_rng(0).standard_normal(samples)).astype(np.float32)
    features = log_mel(noise)
    expected = kaldi(noise)
    assert features.dtype == np.float32
    assert features.shape == expected.shape == (frame_count(samples), FEATURES)
    assert np.abs(features - expected).max() < 1e-4


def test_kaldi_computes_the_same_of_speech():
    """Kaldi computes in float32 and is less accurate in bands with almost no energy next to a loud band."""
    signal, _ = utterance("see", "saw")
    features, expected = log_mel(signal), np.maximum(kaldi(signal), np.log(FLOOR))
    loud = expected > expected.max() - 15
    assert loud.mean() > 0.3
    assert np.abs(features - expected)[loud].max() < 1e-3
    assert np.abs(features - expected).max() < 0.05


def test_a_floor_makes_silence_constant():
    assert (log_mel(np.zeros(800, np.float32)) == np.log(FLOOR)).all()
    assert np.allclose(log_mel(np.zeros(800, np.float32), floor=2.0), np.log(2.0))


def test_a_constant_offset_changes_nothing():
    noise = 0.1 * np.random.default_rng(0).standard_normal(4000)
    assert np.abs(log_mel(noise) - log_mel(noise + 0.2)).max() < 1e-4


@pytest.mark.parametrize(("samples", "frames"), [(0, 0), (399, 0), (400, 1), (559, 1), (560, 2)])
def test_only_whole_windows_are_frames(samples, frames):
    assert frame_count(samples) == frames
    assert log_mel(np.zeros(samples)).shape == (frames, FEATURES)


def test_a_tone_lies_in_its_band():
    """1 kHz is mel 1000 by the formula; the bands' middles are 2840 / 41 mel apart from 31.75 on."""
    tone = 0.1 * np.sin(2 * np.pi * 1000 * np.arange(8000) / 16000)
    low, high = 1127 * np.log1p(20 / 700), 1127 * np.log1p(8000 / 700)
    band = (1127 * np.log1p(1000 / 700) - low) / ((high - low) / 41) - 1
    assert abs(log_mel(tone).mean(axis=0).argmax() - band) <= 0.5

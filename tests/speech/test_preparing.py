"""From recordings to labelled frames, including every kind of unusable recording."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from tests.speech.synthesis import utterance

from handgrad.cli import main
from handgrad.data.lock import exclusive
from handgrad.data.speech import read_frames, read_labels
from handgrad.errors import ConfigError, DataError
from handgrad.speech import workers
from handgrad.speech.corpus import Utterance, read_corpus
from handgrad.speech.features import frame_count, log_mel
from handgrad.speech.journal import opened
from handgrad.speech.phones import PHONES, STATES, segments
from handgrad.speech.prepare import PrepareConfig, normalized, prepare
from handgrad.speech.splits import by_speaker, by_utterance
from handgrad.speech.workers import Aligned

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("pocketsphinx")
soxr = pytest.importorskip("soxr")

from handgrad.speech.align import Aligner  # noqa: E402
from handgrad.speech.audio import read_audio  # noqa: E402

SENTENCES = [("see", "saw"), ("saw", "see", "see"), ("saw",), ("see", "see", "saw")]
PITCHES = {"anna": 180.0, "bert": 95.0, "carl": 120.0}


def write_corpus(folder, *, bad=True):
    """A Kaldi data directory: three speakers with four utterances each in four formats, and unusable recordings."""
    folder.mkdir(parents=True)
    rows = []
    for k, (speaker, pitch) in enumerate(PITCHES.items()):
        for i, words in enumerate(SENTENCES):
            signal, _ = utterance(*words, seed=10 * k + i, pitch=pitch)
            rate, ending = ((16_000, "wav"), (8_000, "wav"), (44_100, "flac"), (22_050, "aiff"))[i]
            samples = soxr.resample(signal, 16_000, rate)
            name = f"{speaker}-{i}"
            soundfile.write(folder / f"{name}.{ending}", samples, rate)
            rows.append((name, f"{name}.{ending}", " ".join(words).upper(), speaker))
    if bad:
        rows += write_bad(folder)
    for file, column in (("wav.scp", 1), ("text", 2), ("utt2spk", 3)):
        (folder / file).write_text("".join(f"{row[0]} {row[column]}\n" for row in rows if row[column] is not None))
    return folder


def write_bad(folder):
    signal, _ = utterance("see", "saw", seed=99)
    nan = signal.copy()
    nan[5000:5003] = np.nan
    stereo = np.stack([signal, np.zeros_like(signal)], axis=1)
    hard = np.clip(signal * 30, -1, 1)
    made = {
        "silent": np.zeros(16_000),
        "nan": nan,
        "stereo": stereo,
        "ruined": hard,
        "brief": signal[4000:6000],
        "instant": signal[:300],
        "headers": signal[:0],
        "wordless": signal,
        "numbers": signal,
        "spelled": signal,
        "another": signal,
        "alone": signal,
        "unlike": np.repeat(signal[:4000], 1),
    }
    for name, samples in made.items():
        soundfile.write(folder / f"bad-{name}.wav", samples, 16_000, subtype="FLOAT" if name == "nan" else "PCM_16")
    (folder / "bad-empty.wav").write_bytes(b"")
    (folder / "bad-garbage.wav").write_bytes(b"this is no recording" * 50)
    texts = {
        "brief": "SEE SAW SEE SAW SEE SAW SEE SAW",
        "wordless": ". . .",
        "numbers": "SEE 20 SAW",
        "spelled": "ZEEG SAW",
    }
    texts |= {"another": "GOOD MORNING", "unlike": "THE QUICK BROWN FOX"}
    names = [*made, "empty", "garbage", "missing", "textless", "piped"]
    places = {"piped": "sox bad.wav -t wav - |", "alone": None}
    return [
        (
            f"bad-{name}",
            places.get(name, f"bad-{name}.wav"),
            None if name == "textless" else texts.get(name, "SEE SAW"),
            "dora",
        )
        for name in names
    ]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus") / "data")


@pytest.fixture(scope="module")
def prepared(corpus, tmp_path_factory):
    """The prepared files, and the result of `prepare`."""
    out = tmp_path_factory.mktemp("prepared") / "speech"
    return prepare([corpus], out, PrepareConfig(processes=2))


def split_arrays(folder, split):
    return (np.load(folder / f"{split}{kind}.npy", allow_pickle=True) for kind in ("", "_labels"))


def test_the_files_are_those_of_the_competition(prepared):
    names = {path.name for path in prepared.folder.iterdir()}
    assert names == {
        *("train.npy", "train_labels.npy", "dev.npy", "dev_labels.npy", "test.npy", "test_labels.npy"),
        *("states.txt", "speakers.txt", "report.txt", "prepared.json"),
    }
    assert (prepared.folder / "states.txt").read_text().split() == list(STATES)
    for split in ("train", "dev", "test"):
        features, labels = split_arrays(prepared.folder, split)
        assert features.dtype == labels.dtype == object
        assert len(features) == len(labels) == prepared.utterances[split]
        assert sum(map(len, features)) == prepared.frames[split]
        read = read_frames(prepared.folder / f"{split}.npy")  # by the restricted unpickler
        assert np.array_equal(read.values, np.concatenate(features))
        assert np.array_equal(read_labels(prepared.folder / f"{split}_labels.npy", read).values, np.concatenate(labels))
        for x, y in zip(features, labels, strict=True):
            assert x.shape == (len(y), 40)
            assert (x.dtype, y.dtype) == (np.float32, np.int64)
            assert type(x) is type(y) is np.ndarray
    speakers = [line.split() for line in (prepared.folder / "speakers.txt").read_text().splitlines()]
    assert [split for split, _, _ in speakers] == [
        s for s in ("train", "dev", "test") for _ in range(prepared.utterances[s])
    ]
    assert dict(line[1:] for line in speakers)["bert-2"] == "bert"


def test_frames_and_labels_belong_together(prepared, corpus):
    """The features are those of the recording, and the labels go through the words' phones in order."""
    speakers = [line.split() for line in (prepared.folder / "speakers.txt").read_text().splitlines()]
    names = [name for split, name, _ in speakers if split == "train"]
    features, labels = split_arrays(prepared.folder, "train")
    checked = 0
    for name, x, y in zip(names, features, labels, strict=True):
        if name.startswith("bad"):
            continue
        path = next(corpus.glob(f"{name}.*"))
        assert np.array_equal(x, log_mel(read_audio(path)[0]))
        phones = [phone for phone, _, _ in segments(STATES, y) if phone != "SIL"]
        words = {"see": ["S", "IY"], "saw": ["S", "AO"]}
        assert phones == [phone for word in SENTENCES[int(name[-1])] for phone in words[word]]
        checked += 1
    assert checked > 5


LEFT_OUT = {
    "silent": "silent: its largest sample is 0.000000 of full scale",
    "nan": "3 of [0-9,]+ samples are NaN or infinite: expected finite numbers",
    "ruined": "clipped: [0-9]+% of its samples are at full scale",
    "brief": "0.12 s are too short for its 8 words: they need",
    "instant": "too short: 19 ms, expected one window of 25 ms or more",
    "headers": "the recording is empty: it has a header and no samples",
    "wordless": "its transcript has no words",
    "numbers": r"word is in no dictionary: 20; put into --lexicon \(write numbers as they are spoken\)",
    "another": r"improbable alignment, score=-1\d\d where -100 or more is usual .*transcript of another recording\?",
    "unlike": "too short for its 4 words",
    "empty": "the file has 0 bytes",
    "garbage": "cannot be read as audio: .*[Ff]ormat",
    "missing": "there is no such file",
    "alone": "it has a text but no recording in wav.scp",
    "textless": "it has no text",
    "piped": r"wav.scp gives a command \(sox bad.wav -t wav - \|\), which is not run",
}


def test_every_bad_recording_has_its_line_and_the_rest_goes_on(prepared):
    reasons = {item.name.removeprefix("bad-"): item.reason for item in prepared.left_out}
    assert reasons.keys() == LEFT_OUT.keys()
    assert all("\n" not in reason for reason in reasons.values())
    assert sum(prepared.utterances.values()) == 12 + 2


@pytest.mark.parametrize("name", LEFT_OUT)
def test_the_report_says_why(prepared, name):
    report = (prepared.folder / "report.txt").read_text()
    with pytest.raises(DataError, match=LEFT_OUT[name]):  # one line of it
        raise DataError(next(line for line in report.splitlines() if line.startswith(f"bad-{name}: ")))


def test_what_is_good_enough_is_used_with_a_note(prepared):
    notes = dict(prepared.notes)
    assert notes["bad-stereo"] == "2 channels: mixed down to one"
    assert notes["bad-spelled"] == "spelled by rule: zeeg = Z IY G"


def test_some_clipping_is_said(tmp_path):
    signal, _ = utterance("see")
    signal[3000:3040] = 1.0
    soundfile.write(tmp_path / "a.wav", signal, 16_000)
    _, notes = read_audio(tmp_path / "a.wav")
    assert notes == ["clipped: 0.3% of its samples are at full scale"]


def test_a_part_of_a_recording(tmp_path):
    signal, _ = utterance("see", "saw")
    soundfile.write(tmp_path / "a.wav", signal, 16_000, subtype="FLOAT")
    part, _ = read_audio(tmp_path / "a.wav", 0.25, 0.75)
    assert np.array_equal(part, signal[4000:12000])
    with pytest.raises(DataError, match=r"segment start=1.0, end=9.0 is not within the recording's 1.\d\d s"):
        read_audio(tmp_path / "a.wav", 1.0, 9.0)


def test_files_that_are_no_recordings_of_speech(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.ones(4000) / 2, 2000)
    with pytest.raises(DataError, match=r"rate=2000 Hz is too low for speech: expected \d+ or more"):
        read_audio(tmp_path / "a.wav")
    with pytest.raises(DataError, match="it cannot be read: Not a directory"):
        read_audio(tmp_path / "a.wav" / "b.wav")


def test_boundaries_are_where_the_sounds_change():
    aligner = Aligner()
    errors = []
    for seed in range(3):
        signal, times = utterance("see", "saw", seed=seed)
        alignment = aligner.align(signal, ["see", "saw"])
        found = segments(STATES, alignment.labels)
        assert [phone for phone, _, _ in found] == [phone for phone, _, _ in times]
        errors += [0.0075 + first / 100 - start for (_, first, _), (_, start, _) in zip(found, times, strict=True)][1:]
    assert np.abs(errors).mean() < 0.015
    assert np.abs(errors).max() < 0.04


def test_what_was_aligned_before_changes_nothing():
    spoken = [(("see", "saw"), 110.0), (("saw",), 95.0), (("saw", "see", "see"), 180.0)]
    signals = [utterance(*words, seed=i, pitch=pitch)[0] for i, (words, pitch) in enumerate(spoken)]
    alone = [Aligner().align(signal, words).labels for signal, (words, _) in zip(signals, spoken, strict=True)]
    aligner = Aligner()
    for i in (2, 0, 1, 1, 0, 2):
        assert np.array_equal(aligner.align(signals[i], spoken[i][0]).labels, alone[i])


def test_an_aligner_goes_on_after_what_it_cannot_align():
    aligner = Aligner()
    signal, _ = utterance("saw")
    expected = aligner.align(signal, ["saw"]).labels
    n = np.arange(16_000)
    beeps = (0.3 * np.sin(2 * np.pi * 1000 * n / 16_000) * (n // 2000 % 2)).astype(np.float32)
    with pytest.raises(DataError, match="its words cannot be aligned with it: is this the transcript of another"):
        aligner.align(beeps, ["beep", "ascending"])
    assert np.array_equal(aligner.align(signal, ["saw"]).labels, expected)


class Decoder:
    """Aligns every recording with SIL in states of the given (start, duration)."""

    def __init__(self, states):
        self.states = [SimpleNamespace(start=start, duration=duration, score=-1) for start, duration in states]

    def get_alignment(self):
        class Phone(list):
            name = "SIL"

        return [[Phone(self.states)]]


@pytest.mark.parametrize(
    ("states", "message"),
    [
        (
            [(0, 2), (3, 1), (4, 1)],
            "the aligner fails in SIL at 0.02 s: expected 3 states one after another; compare its",
        ),
        ([(0, 2), (2, 0), (2, 1)], "the aligner fails in SIL at 0.02 s"),
        ([(0, 2), (2, 2), (4, 2)], "the aligner ends at frame 6: expected the 99 frames of the recording; compare its"),
    ],
)
def test_alignments_that_make_no_sense(states, message):
    aligner = Aligner()
    aligner._decoder = Decoder(states)
    with pytest.raises(DataError, match=message):
        aligner._states(99)


def test_a_lexicon_comes_before_the_dictionary():
    signal, _ = utterance("see", "saw")
    aligner = Aligner({"see": ["Z OW", "S AO"], "blorp": ["S IY"]})
    labels = aligner.align(signal, ["blorp", "see"]).labels
    assert [phone for phone, _, _ in segments(STATES, labels)] == ["SIL", "S", "IY", "S", "AO", "SIL"]


def test_flat_files_hold_the_same(prepared, corpus, tmp_path):
    flat = prepare([corpus], tmp_path / "flat", PrepareConfig(processes=2, layout="flat"))
    assert flat.frames == prepared.frames
    for split in ("train", "dev", "test"):
        features, labels = split_arrays(prepared.folder, split)
        offsets = np.load(flat.folder / f"{split}_offsets.npy", allow_pickle=False)
        assert offsets.dtype == np.int64
        assert np.array_equal(np.diff(offsets), list(map(len, features)))
        x = np.load(flat.folder / f"{split}.npy", mmap_mode="r", allow_pickle=False)
        y = np.load(flat.folder / f"{split}_labels.npy", allow_pickle=False)
        assert (x.dtype, y.dtype) == (np.float32, np.int64)
        assert np.array_equal(x, np.concatenate(features))
        assert np.array_equal(y, np.concatenate(labels))
        assert isinstance(read_frames(flat.folder / f"{split}.npy").values, np.memmap)


def test_an_interrupted_preparation_resumes(tmp_path, capsys):
    corpus, out = write_corpus(tmp_path / "data", bad=False), tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "handgrad",
        "speech",
        "prepare",
        str(corpus),
        "--out",
        str(out),
        "--processes",
        "1",
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    journal = out / ".preparing" / "journal.jsonl"
    while process.poll() is None and (not journal.is_file() or len(journal.read_text().splitlines()) < 4):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; the same command resumes" in said
    assert not (out / "train.npy").exists()
    with journal.open("a") as file:
        file.write('{"name": "half a li')
    with (out / ".preparing" / "frames.f4").open("ab") as file:
        file.write(b"what was not written down")
    done = len(journal.read_text().splitlines()) - 2
    assert main(["speech", "prepare", str(corpus), "--out", str(out), "--processes", "1"]) == 0
    assert f"resuming: {done} of 12 utterances are already aligned" in capsys.readouterr().err
    assert not (out / ".preparing").exists()
    whole = prepare([corpus], tmp_path / "whole", PrepareConfig(processes=1))
    assert whole.resumed == 0
    for split in ("train", "dev", "test"):
        for once, twice in zip(split_arrays(out, split), split_arrays(whole.folder, split), strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(once, twice, strict=True))


def test_nothing_is_overwritten_unasked(prepared, corpus):
    with pytest.raises(DataError, match=r"already has train\.npy: choose another --out, or replace it"):
        prepare([corpus], prepared.folder)


def test_folders_that_cannot_be_written_to(corpus, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "out" / ".preparing").mkdir(parents=True)
    with pytest.raises(DataError, match=r"cannot write to .*file/out: .*. Free some space or choose another --out"):
        prepare([corpus], tmp_path / "file" / "out")
    with (
        exclusive(tmp_path / "out" / ".preparing" / "lock"),
        pytest.raises(
            DataError, match="out is being prepared by another process: wait for it, or choose another --out"
        ),
    ):
        prepare([corpus], tmp_path / "out")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")  # noqa: PTH110
def test_a_disk_that_fills_up(tmp_path):
    aligned = Aligned(Utterance("a", tmp_path / "a.wav", "see", "anna"), "", 0.0, (), np.ones((2, 40)), np.ones(2))
    with opened(tmp_path, {}) as journal, open("/dev/full", "wb", buffering=0) as full:  # noqa: PTH123
        journal._features.close()
        journal._features = full
        with pytest.raises(
            DataError, match=r"cannot write to .*: No space left on device. Free some space and run the sa"
        ):
            journal.add(aligned)


def test_normalisation_by_utterance_and_by_speaker(corpus, tmp_path):
    by_speaker_ = prepare([corpus], tmp_path / "speaker", PrepareConfig(processes=2, normalize="speaker"))
    frames: dict[str, list] = {}
    lines = iter((by_speaker_.folder / "speakers.txt").read_text().splitlines())
    for split in ("train", "dev", "test"):
        for x in np.load(by_speaker_.folder / f"{split}.npy", allow_pickle=True):
            frames.setdefault(next(lines).split()[2], []).append(x)
    for parts in frames.values():
        together = np.concatenate(parts)
        varies = together.std(axis=0) > 0
        assert np.abs(together.mean(axis=0)).max() < 1e-3
        assert np.allclose(together.std(axis=0)[varies], 1, atol=1e-3)
    x = np.random.default_rng(0).normal(3, 2, (50, 40)).astype(np.float32)
    x[:, 7] = 4
    alone = normalized(x, "utterance")
    assert np.allclose(alone.mean(axis=0), 0, atol=1e-5)
    assert np.allclose(np.delete(alone.std(axis=0), 7), 1, atol=1e-4)
    assert (alone[:, 7] == 0).all()
    assert normalized(x, "none") is x


# -- corpora -----------------------------------------------------------------------------------------------------------


def test_a_folder_of_audio_with_texts(tmp_path):
    for name in ("anna/one.wav", "anna/two.FLAC", "bert/one.wav", "bert/mute.wav"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
        if "mute" not in name:
            path.with_suffix(".txt").write_text("Some\nwords.\n")
    (tmp_path / "notes.txt").write_text("no recording")
    found, left_out = read_corpus([tmp_path])
    assert [(u.name, u.speaker, u.text) for u in found] == [
        ("anna/one", "anna", "Some words."),
        ("anna/two", "anna", "Some words."),
        ("bert/one", "bert", "Some words."),
    ]
    reasons = {item.name: item.reason for item in left_out}
    assert reasons["bert/mute"].endswith("mute.wav has no text: expected mute.txt next to it")
    assert reasons["notes"].endswith("notes.txt has no recording of the same name")


def test_segments_of_recordings(tmp_path):
    (tmp_path / "wav.scp").write_text("rec a.wav\n")
    (tmp_path / "segments").write_text("u1 rec 0.5 1.5\nu2 rec 1.5 -1\nu3 other 0 1\nu4 rec 2 1\nu5 rec 1\n")
    (tmp_path / "text").write_text("".join(f"u{i} SEE\n" for i in range(1, 7)))
    found, left_out = read_corpus([tmp_path])
    assert [(u.name, u.start, u.end, u.speaker) for u in found] == [
        ("u1", 0.5, 1.5, tmp_path.name),
        ("u2", 1.5, None, tmp_path.name),
    ]
    reasons = {item.name: item.reason for item in left_out}
    assert reasons == {
        "u3": "recording=other of segments is not in wav.scp",
        "u4": "segments has start=2, end=1: expected 0 <= start < end",
        "u5": "segments says 'rec 1': expected a recording, start and end in seconds",
        "u6": "it has a text but no line in segments: add one",
    }


def test_the_same_name_in_two_folders(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "wav.scp").write_text("u1 a.wav\n")
        (tmp_path / folder / "text").write_text("u1 SEE\n")
    found, left_out = read_corpus([tmp_path / "a", tmp_path / "b"])
    assert len(found) == 1
    assert left_out[0].reason.endswith("a.wav has the same name")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "has no utterances: expected wav.scp and text, or audio files with a .txt"),
        ({"wav.scp": "u1 a.wav\n"}, "there is no .*text: a Kaldi data directory needs wav.scp and text"),
        ({"wav.scp": "u1 a.wav\nu1 b.wav\n", "text": ""}, "wav.scp, line 2: u1 occurs twice"),
        ({"wav.scp": b"\xff\xfe", "text": ""}, "wav.scp cannot be read"),
    ],
)
def test_what_is_no_corpus(tmp_path, files, message):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message):
        read_corpus([tmp_path])


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"there is no folder .*nowhere: expected a Kaldi data directory"):
        read_corpus([tmp_path / "nowhere"])


# -- splits ------------------------------------------------------------------------------------------------------------


def test_every_speaker_is_in_every_split_of_utterances():
    speakers = ["a"] * 100 + ["b"] * 50
    splits = by_utterance(speakers, 0.1, 0.2, 0)
    for speaker, n in (("a", 100), ("b", 50)):
        counts = [
            sum(s == split and who == speaker for s, who in zip(splits, speakers, strict=True))
            for split in ("dev", "test")
        ]
        assert counts == pytest.approx([0.1 * n, 0.2 * n], abs=1)
    assert splits == by_utterance(speakers, 0.1, 0.2, 0)
    assert splits != by_utterance(speakers, 0.1, 0.2, 1)
    assert sorted(by_utterance(["a"] * 3, 0.1, 0.1, 0)) == ["dev", "test", "train"]
    with pytest.raises(DataError, match="2 utterances can be used: expected 3 or more"):
        by_utterance(["a", "b"], 0.1, 0.1, 0)


def test_no_speaker_is_in_two_splits_of_speakers():
    speakers = [name for name in "abcdefg" for _ in range(10)]
    splits = by_speaker(speakers, 0.1, 0.3, 0)
    of = {who: {s for s, name in zip(splits, speakers, strict=True) if name == who} for who in "abcdefg"}
    assert all(len(its) == 1 for its in of.values())
    assert [sum(its == {split} for its in of.values()) for split in ("train", "dev", "test")] == [4, 1, 2]
    named = by_speaker(speakers, 0.1, 0.3, 0, dev_speakers=["c"], test_speakers=["a", "g"])
    assert {who for s, who in zip(named, speakers, strict=True) if s == "test"} == {"a", "g"}
    assert {who for s, who in zip(named, speakers, strict=True) if s == "dev"} == {"c"}


@pytest.mark.parametrize(
    ("speakers", "named", "error", "message"),
    [
        (
            "ab",
            {},
            DataError,
            r"--split speaker needs 3 speakers or more.* there are 2 \(a, b\): use --split utterance",
        ),
        ("a", {}, DataError, r"there is 1 \(a\)"),
        (
            "abc",
            {"test_speakers": ["d"]},
            ConfigError,
            "speaker=d has no utterance that can be used: expected some of a, b, c",
        ),
        (
            "abc",
            {"test_speakers": ["a"], "dev_speakers": ["a"]},
            ConfigError,
            "speaker=a is named for dev and for test",
        ),
        ("abc", {"test_speakers": ["a", "b", "c"]}, ConfigError, "no speaker is left for train"),
    ],
)
def test_speakers_that_make_no_splits(speakers, named, error, message):
    with pytest.raises(error, match=message):
        by_speaker(list(speakers), 0.1, 0.1, 0, **named)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dev": 0.0}, "dev=0.0: expected a share between 0 and 1"),
        ({"dev": 0.5, "test": 0.5}, "leave nothing to train on"),
        ({"split": "word"}, "split=word: expected one of utterance, speaker"),
        ({"layout": "h5"}, "layout=h5: expected one of objects, flat"),
        ({"processes": 0}, "processes=0: expected 1 or more"),
        ({"test_speakers": ("a",)}, "dev_speakers and test_speakers require split=speaker"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ConfigError, match=message):
        PrepareConfig(**settings)


# -- processes ---------------------------------------------------------------------------------------------------------

DIES = """
import json, os, sys, time
sys.stdin.readline()
for line in sys.stdin:
    text = json.loads(line)["text"]
    if text == "CRASH": os.kill(os.getpid(), 11)
    if text == "EXIT": sys.exit(3)
    if text == "HANG": time.sleep(600)
    print(json.dumps({"frames": 0, "error": "fine"}), flush=True)
"""


def test_a_process_that_crashes_or_hangs_costs_one_utterance(monkeypatch, tmp_path):
    monkeypatch.setattr(workers, "COMMAND", [sys.executable, "-c", DIES])
    texts = ["FINE", "CRASH", "EXIT", "FINE", "HANG", "FINE", "FINE"]
    todo = [Utterance(str(i), tmp_path, text, "a") for i, text in enumerate(texts)]
    results = {a.utterance.name: a.error for a in workers.align_all(todo, 2, {}, seconds_to_answer=2)}
    assert [results[str(i)] for i in range(len(texts))] == [
        "fine",
        "the aligner crashed on it (SIGSEGV)",
        "the aligner crashed on it (exit code 3)",
        "fine",
        "the aligner did not answer within 2 s",
        "fine",
        "fine",
    ]


def test_whoever_stops_listening_leaves_no_process(monkeypatch, tmp_path):
    monkeypatch.setattr(workers, "COMMAND", [sys.executable, "-c", DIES])
    results = workers.align_all([Utterance(str(i), tmp_path, "FINE", "a") for i in range(100)], 2, {})
    next(results)
    results.close()


# -- the command -------------------------------------------------------------------------------------------------------


def test_the_command(corpus, tmp_path, capsys):
    out = tmp_path / "out"
    assert (
        main(
            [
                "speech",
                "prepare",
                str(corpus),
                "--out",
                str(out),
                "--test-speakers",
                "bert",
                "--split",
                "speaker",
                "--json",
            ]
        )
        == 0
    )
    said = capsys.readouterr()
    answer = json.loads(said.out)
    assert answer["utterances"]["test"] == 4
    assert len(answer["left_out"]) == len(LEFT_OUT)
    assert "bad-empty is left out:" in said.err
    assert "bad-stereo: 2 channels: mixed down to one" in said.err
    assert json.loads((out / "prepared.json").read_text())["settings"]["split"] == "speaker"


def test_nothing_of_use_is_an_error_with_the_first_reason(tmp_path, capsys):
    (tmp_path / "wav.scp").write_text("u1 a.wav\n")
    (tmp_path / "text").write_text("u1 SEE\n")
    assert main(["speech", "prepare", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "none of the 1 utterances can be used. The first, u1: " in said
    assert said.endswith("there is no such file: correct its path")


def test_too_few_speakers_are_said_before_the_work_begins(tmp_path, capsys):
    (tmp_path / "wav.scp").write_text("u1 a.wav\nu2 b.wav\n")
    (tmp_path / "text").write_text("u1 SEE\nu2 SAW\n")
    assert main(["speech", "prepare", str(tmp_path), "--out", str(tmp_path / "out"), "--split", "speaker"]) == 2
    assert "error: --split speaker needs 3 speakers or more" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_the_extra_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "soxr", None)
    with pytest.raises(ConfigError, match=r'pip install "handgrad\[speech\]"'):
        prepare([tmp_path], tmp_path / "out")


# -- real speech -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_real_recordings(real_data, tmp_path):
    """Twenty real recordings, one with the transcript of another and one of beeps that its transcript describes."""
    source = real_data / "speech" / "prompts"
    if not source.is_dir():
        pytest.skip(f"needs {source}")
    rows = [line.split(None, 1) for line in (source / "text").read_text().splitlines()]
    rows = [row for row in rows if len(row[1].split()) > 4][:20] + [
        row for row in rows if row[0] == "allison-confbridge-join"
    ]
    folder = tmp_path / "data"
    folder.mkdir()
    swapped = rows[3][0]
    rows[3][1] = rows[4][1]
    (folder / "wav.scp").write_text("".join(f"{name} {source / 'wav' / name}.wav\n" for name, _ in rows))
    (folder / "text").write_text("".join(f"{name} {text}\n" for name, text in rows))
    prepared = prepare([folder], tmp_path / "out")
    assert {item.name for item in prepared.left_out} == {swapped, "allison-confbridge-join"}
    assert frame_count(16_000) == 98
    labels = np.concatenate(np.load(tmp_path / "out" / "train_labels.npy", allow_pickle=True))
    silence = (labels // 3 == PHONES.index("SIL")).mean()
    assert 0.02 < silence < 0.4
    assert len(set((labels // 3).tolist())) > 30
    shutil.rmtree(tmp_path / "out")

"""Utterances in frames: both layouts, the contents of windows, errors for invalid files, memory use."""

import pickle
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.speech_files import CLASSES, objects, write_set, write_split

from handgrad import data
from handgrad.data import FrameDataset
from handgrad.data.augmentation import Augmentation
from handgrad.data.frames import Frames
from handgrad.data.speech import read_frames, read_labels
from handgrad.errors import ConfigError, DataError


def load(folder, **options) -> FrameDataset:
    dataset = data.load("speech", data_dir=folder, **options)
    assert isinstance(dataset, FrameDataset)
    return dataset


@pytest.mark.parametrize("layout", ["objects", "flat"])
@pytest.mark.parametrize("test_labels", [False, True])
def test_the_competitions_files(tmp_path, layout, test_labels):
    written = write_set(tmp_path / "speech", layout=layout, test_labels=test_labels)
    speech = load(tmp_path, preprocessing="none", context=2)
    assert list(speech.splits) == ["train", "validation", "test"][: 3 if test_labels else 2]
    assert speech.unlabelled == (() if test_labels else ("test",))
    assert speech.input_shape == (5, 40)
    assert speech.classes == tuple(map(str, range(CLASSES)))
    for split, stem in (("train", "train"), ("validation", "dev"), ("test", "test"))[: len(speech.splits)]:
        xs, ys = written[stem]
        indices = speech.indices(split)
        np.testing.assert_array_equal(speech.gather(indices)[:, 2], np.concatenate(xs))
        np.testing.assert_array_equal(speech.targets(indices), np.concatenate(ys))
    assert speech.labels.dtype == np.int64


@pytest.mark.parametrize("classes", [126, 7])
def test_the_classes_are_those_of_the_labels(tmp_path, classes):
    write_set(tmp_path, classes=classes)
    assert len(load(tmp_path).classes) == classes


def test_states_are_named_by_a_file(tmp_path):
    write_set(tmp_path, classes=6)
    (tmp_path / "states.txt").write_text("AA_0\nAA_1\nAA_2\nSIL_0\nSIL_1\nSIL_2\nnever_0\n")
    assert load(tmp_path).classes == ("AA_0", "AA_1", "AA_2", "SIL_0", "SIL_1", "SIL_2")


def naive_window(x, t, k):
    return np.stack([x[min(max(t + step, 0), len(x) - 1)] for step in range(-k, k + 1)])


@pytest.mark.parametrize("layout", ["objects", "flat"])
@pytest.mark.parametrize("k", [0, 1, 12, 70])  # 70: wider than the utterances
def test_windows_repeat_the_edges_of_their_own_utterance(tmp_path, layout, k):
    written = write_set(tmp_path, (3, 2, 1), layout=layout, frames=(1, 30))
    speech = load(tmp_path, preprocessing="none", context=k)
    expected = [naive_window(x, t, k) for stem in ("train", "dev") for x in written[stem][0] for t in range(len(x))]
    order = np.random.default_rng(0).permutation(len(expected))  # of both splits in one batch
    np.testing.assert_array_equal(speech.gather(order), np.array(expected)[order])
    out = np.empty((len(order), 2 * k + 1, 40), np.float32)
    assert speech.gather_for_training(order, 3, out=out) is out
    np.testing.assert_array_equal(out, np.array(expected)[order])
    assert speech.gather(order[:0]).shape == (0, 2 * k + 1, 40)


def test_preprocessing_is_fitted_on_training_frames_and_per_feature(tmp_path):
    written = write_set(tmp_path)
    speech = load(tmp_path, context=1)
    frames = np.concatenate(written["train"][0]).astype(np.float64)
    assert speech.preprocessing.shift.shape == (40,)
    np.testing.assert_allclose(speech.preprocessing.shift, frames.mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(speech.preprocessing.scale, 1 / frames.std(axis=0), rtol=1e-5)
    wide = speech.gather(speech.indices("train"), dtype=np.float64)
    assert wide.dtype == np.float64
    np.testing.assert_allclose(wide[:, 1].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(speech.gather(speech.indices("train")), wide, rtol=1e-4, atol=1e-5)


def test_indices_outside_are_refused(tmp_path):
    write_set(tmp_path)
    speech = load(tmp_path)
    for wrong in (-1, len(speech.labels)):
        with pytest.raises(IndexError, match=rf"indices from {wrong} to {wrong}, expected 0 to"):
            speech.gather(np.array([wrong]))


def test_frames_of_several_arrays_are_like_one():
    parts = [np.arange(n * 2, dtype=np.float32).reshape(n, 2) + 100 * n for n in (3, 1, 4)]
    frames, whole = Frames(parts), np.concatenate(parts)
    assert len(frames) == 8
    np.testing.assert_array_equal(frames[:], whole)
    np.testing.assert_array_equal(frames[1:6:2], whole[1:6:2])
    np.testing.assert_array_equal(frames[3], whole[3])
    assert np.shares_memory(frames[4:8], parts[2])
    assert frames[2:2].shape == (0, 2)


def test_flat_files_are_mapped_and_not_read(tmp_path):
    write_set(tmp_path, layout="flat")
    speech = load(tmp_path)
    assert all(isinstance(part.base, np.memmap) or isinstance(part, np.memmap) for part in speech.inputs.parts)
    assert not any(part.flags.writeable for part in speech.inputs.parts)


@pytest.mark.parametrize("dtype", [">f4", "f8", "f2"])
@pytest.mark.parametrize("layout", ["objects", "flat"])
def test_other_floats_become_float32(tmp_path, layout, dtype):
    x = np.arange(80).reshape(2, 40).astype(dtype)
    write_split(tmp_path, "x", [x, x[:1]], None, layout)
    read = read_frames(tmp_path / "x.npy").values
    assert read.dtype == np.dtype(np.float32)
    np.testing.assert_array_equal(read, np.concatenate([x, x[:1]]).astype(np.float32))


def test_columns_one_after_another(tmp_path):
    x = np.asfortranarray(np.arange(80, dtype=np.float32).reshape(2, 40))
    write_split(tmp_path, "x", [x, x], None)
    np.testing.assert_array_equal(read_frames(tmp_path / "x.npy").values[:2], x)


def test_utterances_of_one_length_in_a_plain_array(tmp_path):
    x = np.random.default_rng(0).standard_normal((3, 5, 40)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "x_labels.npy", np.arange(15).reshape(3, 5))
    frames = read_frames(tmp_path / "x.npy")
    assert frames.offsets.tolist() == [0, 5, 10, 15]
    assert read_labels(tmp_path / "x_labels.npy", frames).values.tolist() == list(range(15))


def save_as(path, array, protocol):
    """The formats of different NumPy versions: an object array pickled with protocol 2 (before 1.17), 3 or 4."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": array.shape})
        pickle.dump(array, file, protocol)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol(tmp_path, protocol):
    rng = np.random.default_rng(0)
    xs = [rng.standard_normal((t, 40), np.float32) for t in (1, 7, 30)]
    ys = [np.arange(len(x)) for x in xs]
    save_as(tmp_path / "x.npy", objects(xs), protocol)
    save_as(tmp_path / "y.npy", objects(ys), protocol)
    frames = read_frames(tmp_path / "x.npy")
    np.testing.assert_array_equal(frames.values, np.concatenate(xs))
    np.testing.assert_array_equal(read_labels(tmp_path / "y.npy", frames).values, np.concatenate(ys))


def test_what_python_2_wrote(tmp_path):
    """Python 2 wrote the array's bytes as a string, type codes too, and numbers in the header with an L."""
    x = np.random.default_rng(0).standard_normal((2, 40)).astype(np.float32)
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b\x87Rq\x03(K\x01K\x02K\x28\x86"
        b"cnumpy\ndtype\nq\x04U\x02f4K\x00K\x01\x87Rq\x05(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        b"T" + x.nbytes.to_bytes(4, "little") + x.tobytes() + b"tb"
    )  # fmt: skip
    outer = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x10cnumpy\nndarray\nq\x11K\x00\x85U\x01b\x87Rq\x12(K\x01K\x01\x85"
        b"cnumpy\ndtype\nq\x13U\x02O8K\x00K\x01\x87Rq\x14(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3ftb\x89]q\x15"
        + array + b"atb."
    )  # fmt: skip
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1L,), }"
    header += b" " * (117 - len(header)) + b"\n"
    path = tmp_path / "x.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + outer)
    core = np.zeros(1).__reduce__()[0].__module__.rpartition(".")[0].encode()
    theirs = pickle.loads(outer.replace(b"numpy.core", core), encoding="latin1")
    np.testing.assert_array_equal(theirs[0], x)
    np.testing.assert_array_equal(read_frames(path).values, x)


# -- bad input --------------------------------------------------------------------------------------------------------


X = np.ones((4, 40), np.float32)
Y = np.array([0, 1, 2, 3])


def broken(folder, **files):
    """A valid data set with some files replaced by others, given as lists of utterances."""
    sound = {"train": [X, X], "train_labels": [Y, Y], "dev": [X], "dev_labels": [Y], "test": [X]}
    for name, arrays in {**sound, **files}.items():
        if arrays is not None:
            np.save(folder / f"{name}.npy", objects(arrays) if isinstance(arrays, list) else arrays)
    return folder


def with_value(array, where, value):
    changed = array.copy()
    changed[where] = value
    return changed


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train": [X, X[0]]}, r"train.npy has an array of shape \(40,\) at utterance 1: expected \(T, 40\)"),
        ({"train": [X, X[:, :13]]}, r"train.npy has an array of shape \(4, 13\) at utterance 1: expected \(T, 40\)"),
        ({"train": [X.T, X[:3].T]}, r"shape \(40, 3\) at utterance 1: .*; are the arrays transposed\?"),
        ({"train": [X[None], X]}, r"train.npy has an array of shape \(1, 4, 40\) at utterance 0: expected \(T, F\)"),
        ({"dev": [X[:, :13]]}, r"dev.npy has frames of 13 features, train.npy of 40: expected the same in all files"),
        ({"test": [X[:, :13]]}, r"test.npy has frames of 13 features, train.npy of 40"),
        ({"train": X}, r"train.npy contains one array of 4 frames, and train_offsets.npy, .* is missing next to it"),
        ({"train": X[0]}, r"train.npy has shape \(40,\): expected an object array of arrays \(T, F\) of numbers"),
        ({"train": []}, r"train.npy has no utterances"),
        ({"train": [X, X[:0]]}, r"train.npy has an empty utterance, number 1 of shape \(0, 40\): leave it out"),
        (
            {"train": [X, with_value(X, (2, 5), np.nan)]},
            r"train.npy contains nan at utterance 1, frame 2 \(both counted from 0\), feature 5: expected finite",
        ),
        ({"test": [with_value(X, (0, 0), -np.inf)]}, r"test.npy contains -inf at utterance 0, frame 0 .*, feature 0"),
        ({"train": None}, r"speech is incomplete: .* lacks train.npy: expected speech/"),
        ({"dev_labels": None}, r"speech is incomplete: .* lacks dev_labels.npy"),
        ({"test": None, "test_labels": [Y]}, r"test_labels.npy has no frames: test.npy is missing next to it"),
        ({"train_labels": [Y]}, r"train_labels.npy has labels for 1 utterances, and train.npy has 2 utterances"),
        (
            {"train_labels": [Y, Y[:3]]},
            r"train_labels.npy has 3 labels for utterance 1, which has 4 frames in train.npy: expected a label",
        ),
        ({"train_labels": [Y, Y[:, None]]}, r"train_labels.npy has an array of shape \(4, 1\) at utterance 1: .*"),
        ({"train_labels": [Y, Y - 1]}, r"train_labels.npy has label -1 at utterance 1, frame 0 .*: expected 0 to"),
        ({"dev_labels": [Y + 0.5]}, r"dev_labels.npy has label 0.5 at utterance 0, frame 0 .*expected a whole number"),
        ({"dev_labels": [Y * np.nan]}, r"dev_labels.npy has label nan at utterance 0, .*: expected a whole number"),
        ({"dev_labels": [Y * 10**6]}, r"dev_labels.npy has label 1000000 at utterance 0, frame 1 .*at most 10,000"),
        ({"train": np.array(["a", "b"])}, r"train.npy contains values of dtype <U1: expected numbers"),
        ({"train": [X.tolist(), X]}, r"which contains a list at utterance 0; expected a NumPy object array \(U,\)"),
        ({"train": [X, 0.5]}, r"which contains a float at utterance 1; expected a NumPy object array \(U,\) of"),
        ({"train_labels": [1, 2]}, r"which contains an int at utterance 0; expected a NumPy object array"),
        ({"train": [X, None]}, r"which contains a NoneType at utterance 1; expected a NumPy object array"),
        ({"train": [X.astype(complex)]}, r"which has an array of dtype 'c16'"),
    ],
)  # fmt: skip
def test_bad_files(tmp_path, files, message):
    with pytest.raises(DataError, match=message):
        load(broken(tmp_path, **files))


def test_the_sound_set_of_the_tests_above_is_sound(tmp_path):
    assert len(load(broken(tmp_path)).labels) == 12


def test_labels_without_a_name(tmp_path):
    broken(tmp_path)
    (tmp_path / "states.txt").write_text("a_0\na_1\na_2\n")
    with pytest.raises(
        DataError, match=r"train_labels.npy has label 3 at utterance 0, frame 3 .*states.txt names 3 st"
    ):
        load(tmp_path)
    (tmp_path / "states.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"states.txt cannot be read .*: expected the name of a state in each line"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("offsets", "message"),
    [
        ([0, 4, 7], r"train_offsets.npy goes from 0 to 7, and train.npy has 8 frames: expected 0 to 8"),
        ([1, 4, 8], r"goes from 1 to 8"),
        ([0, 4, 4, 8], r"has an empty utterance, number 1 from 4 to 4: expected at least a frame"),
        ([0, 6, 4, 8], r"has offsets that decrease, number 1 from 6 to 4"),
        ([0.0, 8.0], r"has shape \(2,\) and dtype float64: expected \(U \+ 1,\) whole numbers"),
        ([[0, 8]], r"has shape \(1, 2\) and dtype int64"),
        (b"0 4 8", r"train_offsets.npy cannot be read \(.*\): expected \(U \+ 1,\) whole numbers"),
    ],
)
def test_bad_offsets(tmp_path, offsets, message):
    write_split(tmp_path, "train", [X, X], [Y, Y], "flat")
    write_split(tmp_path, "dev", [X], [Y], "flat")
    if isinstance(offsets, bytes):
        (tmp_path / "train_offsets.npy").write_bytes(offsets)
    else:
        np.save(tmp_path / "train_offsets.npy", np.array(offsets))
    with pytest.raises(DataError, match=message):
        load(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"train.npy is not a .npy file \(it is empty\)"),
        (b"RIFF....WAVE", r"train.npy is not a .npy file \(.*magic.*\): expected one that numpy.save wrote"),
        (b"\x93NUMPY\x01\x00\x05\x00{'a':", r"train.npy is not a .npy file"),
        (b"\x93NUMPY\x07\x00", r"train.npy is not a .npy file"),
    ],
)
def test_other_files(tmp_path, content, message):
    broken(tmp_path)
    (tmp_path / "train.npy").write_bytes(content)
    with pytest.raises(DataError, match=message):
        load(tmp_path)


@pytest.mark.parametrize("layout", ["objects", "flat"])
def test_files_that_are_cut_off(tmp_path, layout):
    write_set(tmp_path, layout=layout)
    path = tmp_path / "train.npy"
    content = path.read_bytes()
    for size in (len(content) - 1, len(content) // 2, 130):
        path.write_bytes(content[:size])
        with pytest.raises(
            DataError, match=r"train.npy(: refuses to load this pickle, which ends too early| cannot be)"
        ):
            load(tmp_path)


@pytest.mark.parametrize(
    ("to", "message"),
    [
        (
            b"ab",
            r"x.npy is damaged at utterance 0 \(it has 643 bytes\): expected an array of shape \(4, 40\) and 640 by",
        ),
        ("Ā".encode(), r"x.npy is damaged at utterance 0 \('latin-1' codec can't encode .*; write the file again"),
    ],
)
def test_text_that_encodes_other_bytes(tmp_path, to, message):
    save_as(tmp_path / "x.npy", objects([X]), 2)
    whole = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(whole.replace("\x80".encode(), to, 3))
    with pytest.raises(DataError, match=message):
        read_frames(tmp_path / "x.npy")


def test_files_that_cannot_be_opened(tmp_path):
    with pytest.raises(DataError, match=r"there is no file .*nowhere.npy"):
        read_frames(tmp_path / "nowhere.npy")
    with pytest.raises(DataError, match=r"cannot be read \(Is a directory\): expected a .npy file"):
        read_frames(tmp_path)


def test_settings_that_do_not_go_with_frames(tmp_path):
    write_set(tmp_path)
    with pytest.raises(
        ConfigError, match="preprocessing=unit applies to images, not to dataset=speech: choose standard"
    ):
        load(tmp_path, preprocessing="unit")
    with pytest.raises(ConfigError, match=r"validation_size=2: speech is validated on its dev.npy; leave it out"):
        load(tmp_path, validation_size=2)
    with pytest.raises(ConfigError, match="context=3 applies to dataset=speech, not to digits: leave it out"):
        data.load("digits", context=3)
    with pytest.raises(ConfigError, match="preprocessing=mean-image applies to images"):
        load(tmp_path, preprocessing="mean-image")
    with pytest.raises(ConfigError, match="random_crop and horizontal_flip change images; speech has frames of sound"):
        replace(load(tmp_path), augmentation=Augmentation(random_crop=1))


def test_nothing_to_download(tmp_path):
    for ask in (lambda: data.load("speech", offline=True), lambda: data.load("speech"), lambda: data.get("speech")):
        with pytest.raises(DataError, match=re.compile(r"speech is not in .*: expected speech/ or .*--data-dir")):
            ask()


def test_check_counts_frames(tmp_path):
    written = write_set(tmp_path)
    sizes = data.check("speech", data_dir=tmp_path).sizes
    assert list(sizes.values()) == [sum(map(len, xs)) for xs, _ in written.values()]


# -- memory -----------------------------------------------------------------------------------------------------------

_TRAIN = """
import re, sys
from pathlib import Path
from handgrad import training
from handgrad.engines.numpy import NumpyEngine
from handgrad.training.run import RunFolder

RunFolder.save_curves = RunFolder.save_confusion = lambda *_: None  # matplotlib's memory does not grow with the data

def peak():
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

before = peak()
training.train(dataset="speech", data_dir=sys.argv[1], context=12, hidden_units=(16,), batch_size=1000,
               max_steps=int(sys.argv[3]), eval_freq=10**6, eval_size=20_000, run_dir=sys.argv[2])
print(before, peak())
"""


def memory_of_training(folder, run_dir, steps):
    """The memory of a run in addition to its imports: the difference of the maximum resident sizes, in bytes.
    `getrusage` is not suitable, because a process inherits the value of its parent."""
    if not Path("/proc/self/status").exists():
        pytest.skip("the operating system does not tell the largest resident size")
    command = [sys.executable, "-c", _TRAIN, str(folder), str(run_dir), str(steps)]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    before, after = map(int, ran.stdout.split()[-2:])
    assert before < after
    return after - before


def write_large(folder, utterances, frames, layout):
    """Noise in the competition's format; returns the bytes of all files of frames."""
    rng = np.random.default_rng(0)
    for stem, count in (("train", utterances), ("dev", 50), ("test", 20)):
        lengths = rng.integers(frames // 2, frames * 3 // 2, count)
        noise = rng.standard_normal((int(lengths.sum()), 40), np.float32)
        labels = rng.integers(0, CLASSES, len(noise))
        cuts = np.cumsum(lengths)[:-1]
        write_split(folder, stem, np.split(noise, cuts), np.split(labels, cuts) if stem != "test" else None, layout)
    return sum((folder / f"{stem}.npy").stat().st_size for stem in ("train", "dev", "test"))


@pytest.mark.parametrize("layout", ["objects", "flat"])
def test_windows_are_never_stored(tmp_path, layout):
    """Stored as windows of 25 frames, the files would be 25 times as large."""
    size = write_large(tmp_path, 1000, 400, layout)  # 65 MB
    assert memory_of_training(tmp_path, tmp_path / "run", 20) < 1.3 * size + 25e6


@pytest.mark.slow
def test_memory_with_as_many_utterances_as_the_competition_has(tmp_path):
    """24,500 utterances of about one second: within 1.3 times the file."""
    size = write_large(tmp_path, 24_500, 100, "objects")
    peak = memory_of_training(tmp_path, tmp_path / "run", 200)
    print(f"file {size / 1e6:.0f} MB, beyond the imports {peak / 1e6:.0f} MB, {peak / size:.2f} times")
    assert peak < 1.3 * size

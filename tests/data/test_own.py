"""The user's own data: arrays, files and folders, splits, and errors."""

import gzip
import io
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image

from handgrad import data
from handgrad.data import Reading, digest, from_arrays, from_path, read
from handgrad.data import array_files as array_files_module
from handgrad.errors import ConfigError, DataError

RNG = np.random.default_rng(0)


@pytest.fixture
def rows():
    """100 rows of 3 features in two classes, 80 of one and 20 of the other."""
    x = RNG.standard_normal((100, 3)).astype(np.float32)
    y = np.array(["no", "no", "yes", "no", "no"] * 20)
    return x, y


# -- splits -----------------------------------------------------------------------------------------------------------


def test_every_class_is_split_in_proportion_and_by_the_seed(rows):
    x, y = rows
    one = from_arrays(x, y, test_size=0.25, validation_size=15, seed=1)
    assert one.splits == {"train": range(60), "validation": range(60, 75), "test": range(75, 100)}
    counts = {split: np.bincount(one.labels[one.indices(split)]).tolist() for split in one.splits}
    assert counts == {"train": [48, 12], "validation": [12, 3], "test": [20, 5]}
    same, other = (from_arrays(x, y, test_size=0.25, validation_size=15, seed=seed) for seed in (1, 2))
    np.testing.assert_array_equal(one.inputs, same.inputs)
    assert not np.array_equal(one.inputs, other.inputs)
    # all samples are there, each with its own label
    order = np.lexsort(one.inputs.T)
    np.testing.assert_array_equal(one.inputs[order], x[np.lexsort(x.T)])
    expected = dict(zip(map(bytes, x), y, strict=True))
    assert [one.classes[k] for k in one.labels] == [expected[bytes(row)] for row in one.inputs]


def test_a_share_of_validation_is_one_of_what_the_test_leaves(rows):
    sizes = {k: len(v) for k, v in from_arrays(*rows, test_size=0.2, validation_size=0.25).splits.items()}
    assert sizes == {"train": 60, "validation": 20, "test": 20}
    ends = from_arrays(*rows, test_size=20, validation_size=10, validation_split="end")
    assert len(ends.splits["validation"]) == 10


def test_a_class_keeps_a_training_sample():
    y = np.array(["a"] * 20 + ["b"] * 20 + ["rare"])
    dataset = from_arrays(np.arange(82.0).reshape(41, 2), y, test_size=0.9)  # of the rare class most of all
    assert "rare" in {dataset.classes[k] for k in dataset.labels[dataset.indices("train")]}


def test_groups_stay_on_one_side():
    groups = np.repeat([f"person {i}" for i in range(20)], 10)
    x = RNG.standard_normal((200, 2))
    x[:, 0] = np.repeat(np.arange(20), 10)
    y = RNG.integers(0, 2, 200)
    dataset = from_arrays(x, y, groups=groups, test_size=0.2, validation_size=0.2, seed=3)
    people = {split: set(dataset.inputs[dataset.indices(split), 0].tolist()) for split in dataset.splits}
    assert sum(map(len, people.values())) == 20
    assert set.union(*people.values()) == set(range(20))
    assert 30 <= len(dataset.splits["test"]) <= 50
    assert 20 <= len(dataset.splits["validation"]) <= 45
    with pytest.raises(DataError, match="all samples are of one group"):
        from_arrays(x, y, groups=["one"] * 200)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test_size": 100}, "test_size=100 is 100 of the 100 samples.*leaves at least one"),
        ({"test_size": 0.001}, r"test_size=0.001 is 0 of the 100"),
        ({"validation_size": 80}, "validation_size=80 must be a whole number from 0 to 79"),
        ({"task": "clustering"}, "unknown task='clustering'"),
        ({"preprocessing": "none", "ignore": "a"}, "ignore=a names columns of a table"),
        ({"x_test": np.zeros((3, 3))}, "x_test requires y_test"),
    ],
)
def test_options_that_cannot_be_are_refused(rows, options, message):
    with pytest.raises(ConfigError, match=message):
        from_arrays(*rows, **options)


# -- arrays -----------------------------------------------------------------------------------------------------------


def test_shapes_and_preprocessing():
    y = np.arange(50) % 2
    floats = from_arrays(RNG.normal(100, 5, (50, 4)), y)
    assert floats.preprocessing.kind == "standard"
    train = floats.gather(floats.indices("train"))
    np.testing.assert_allclose(train.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(train.std(axis=0), 1, atol=1e-3)
    images = RNG.integers(0, 256, (50, 8, 9), np.uint8)
    grey = from_arrays(images, y)
    assert (grey.input_shape, grey.preprocessing.kind, grey.value_range) == ((1, 8, 9), "unit", 255)
    assert from_arrays(images % 17, y).value_range == 16
    last = from_arrays(RNG.integers(0, 256, (50, 8, 9, 3), np.uint8), y, preprocessing="mean-image")
    assert last.input_shape == (3, 8, 9)


@pytest.mark.parametrize(
    ("y", "task", "classes"),
    [
        (np.arange(40) % 3, "classification", ("0", "1", "2")),
        (np.array([2, 10] * 20), "classification", ("2", "10")),
        (np.array([True, False] * 20), "classification", ("False", "True")),
        (np.array([0.0, 1.0] * 20), "classification", ("0", "1")),
        (np.eye(4)[np.arange(40) % 4], "classification", ("0", "1", "2", "3")),
        (np.linspace(0, 1, 40), "regression", ("y",)),
        (np.arange(40.0), "regression", ("y",)),
        (np.stack([np.linspace(0, 1, 40), np.linspace(2, 5, 40)], 1), "regression", ("y0", "y1")),
        (["10", "9"] * 20, "classification", ("9", "10")),
    ],
)
def test_the_task_is_chosen_by_the_target(y, task, classes):
    dataset = from_arrays(RNG.standard_normal((40, 2)), y)
    assert (dataset.task, dataset.classes) == (task, classes)
    if task == "regression":
        assert dataset.labels.shape == (40, len(classes))
        assert dataset.labels.dtype == np.float32


def test_the_task_may_be_said():
    x = RNG.standard_normal((40, 2))
    assert from_arrays(x, np.arange(40) % 5, task="regression").labels.dtype == np.float32
    assert from_arrays(x, np.arange(40) % 2 / 2, task="classification").classes == ("0", "0.5")


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.array([[1], [1, 2]], object), [0, 1], "array of objects.*rows of different lengths"),
        (np.array([[1.0], [np.nan]]), [0, 1], "x of arrays contains nan in sample 1: expected finite"),
        (np.array([[1.0], [np.inf]]), [0, 1], "contains inf in sample 1"),
        (np.zeros((0, 3)), [], r"shape=\(0, 3\), 0 samples"),
        (np.zeros(3), [0, 1, 2], r"shape=\(3,\): expected rows.*x.reshape\(-1, 1\)"),
        (np.zeros((2, 3), complex), [0, 1], "dtype=complex128: expected real numbers"),
        (np.zeros((9, 3)), np.zeros(9), "y of arrays|target 'y' of arrays has one class only, '0'"),
        (np.zeros((9, 3)), np.arange(9), "has 9 classes in 9 rows.*row numbers or names.*--task regression"),
        (np.zeros((4, 3)), np.eye(9)[:4], "9 classes and 4 rows"),
        (np.zeros((9, 3)), [0, 1], "9 inputs and 2 targets"),
        (np.zeros((4, 3)), ["a", "", "a", "b"], "target 'y' of arrays is missing in row 2: expected one"),
        (
            np.zeros((4, 3)),
            ["a", "", "", "b"],
            r"missing in row 2 \(and 1 more\): expected one",
        ),
        (np.zeros((4, 3)), [0.5, np.nan, 1, 2], "target 'y' of arrays contains 'nan' in row 2"),
        (np.zeros((4, 3)), [0.5, np.inf, 1, 2], "contains 'inf' in row 2"),
        (np.zeros((4, 3)), np.zeros((4, 2, 2)), "expected targets"),
        (np.zeros((4, 3)), [{}, {}, {}, {}], "of type dict"),
    ],
)
def test_arrays_that_cannot_be_trained_on_are_refused(x, y, message):
    with pytest.raises((DataError, ConfigError), match=message):
        from_arrays(x, y)


def test_a_target_that_is_an_input_is_said():
    y = np.arange(40) % 2
    x = np.stack([RNG.standard_normal(40), y], axis=1)
    with pytest.raises(DataError, match="feature 1 of arrays is the target itself, so there would be nothing to learn"):
        from_arrays(x, y)
    table = {"a": RNG.standard_normal(40), "code": np.where(y, "M", "B"), "diagnosis": np.where(y, "bad", "good")}
    with pytest.raises(DataError, match=r"column 'code' of arrays is a copy of the target 'diagnosis'.*--ignore code"):
        from_arrays(data.Table.from_frame(table), "diagnosis")
    real = RNG.standard_normal(40)
    with pytest.raises(DataError, match=r"column 'cents' .* is a copy of the target 'euros'"):
        from_arrays(data.Table.from_frame({"euros": real, "cents": 100 * real, "a": RNG.standard_normal(40)}), "euros")
    assert from_arrays(data.Table.from_frame({"euros": real, "a": real + RNG.standard_normal(40)}), "euros")


def test_a_class_in_the_test_part_only_is_refused():
    x, y = np.zeros((20, 2)), np.arange(20) % 2
    with pytest.raises(DataError, match="has the class '7' outside of the training samples only"):
        from_arrays(x, y, x_test=np.zeros((4, 2)), y_test=[0, 1, 7, 7])
    with pytest.raises(ConfigError, match="test_size=3: arrays already has a test set"):
        from_arrays(x, y, x_test=x, y_test=y, test_size=3)
    with pytest.raises(DataError, match=r"train samples have shape \(2,\), test samples \(3,\)"):
        from_arrays(x, y, x_test=np.zeros((4, 3)), y_test=[0, 1, 0, 0])
    with pytest.raises(DataError, match="train samples have the targets 'y', test samples 'y0', 'y1': expected the sa"):
        from_arrays(x, y, x_test=x, y_test=np.stack([y / 3, y / 7], 1))


# -- .npz and .npy ----------------------------------------------------------------------------------------------------


def test_keras_names_and_others(tmp_path):
    x, y = RNG.integers(0, 256, (30, 4, 4), np.uint8), (np.arange(30) % 3).astype(np.uint8)
    np.savez_compressed(tmp_path / "keras.npz", x_train=x[:20], y_train=y[:20], x_test=x[20:], y_test=y[20:])
    dataset = from_path(tmp_path / "keras.npz", validation_size=5)
    assert dataset.splits == {"train": range(15), "validation": range(15, 20), "test": range(20, 30)}
    np.testing.assert_array_equal(dataset.inputs[20:, 0], x[20:])
    np.savez(tmp_path / "other.npz", pictures=x, names=y)
    with pytest.raises(DataError, match=r"has the arrays pictures, names: expected x and y.*--arrays"):
        from_path(tmp_path / "other.npz")
    assert len(from_path(tmp_path / "other.npz", arrays="pictures,names").inputs) == 30
    with pytest.raises(ConfigError, match="arrays=pictures: expected the names"):
        from_path(tmp_path / "other.npz", arrays="pictures")
    with pytest.raises(DataError, match="has no array 'z': it has pictures, names"):
        from_path(tmp_path / "other.npz", arrays="pictures,z")


def test_npy_files_are_memory_mapped(tmp_path):
    x = RNG.normal(7, 2, (300, 5))
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", np.arange(300) % 2)
    for path, options in ((tmp_path / "x.npy", {"target": str(tmp_path / "y.npy")}), (tmp_path, {})):
        dataset = from_path(path, validation_size=0.1, **options)
        base = dataset.inputs
        while not isinstance(base, np.memmap):
            base = base.base
        train = dataset.indices("train")
        assert (np.diff(train) > 0).all()
        np.testing.assert_allclose(dataset.gather(train).mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(dataset.gather(train).std(axis=0), 1, rtol=1e-5)
        np.testing.assert_array_equal(dataset.labels, np.arange(300) % 2)
        assert sorted(np.concatenate([dataset.indices(s) for s in dataset.splits])) == list(range(300))
    with pytest.raises(ConfigError, match="contains one array, and target is not set"):
        from_path(tmp_path / "x.npy")


def test_objects_are_never_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was run",))

    objects = np.array([Trap(), Trap()], object)
    np.save(tmp_path / "x.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 2)), y=objects)
    np.save(tmp_path / "y.npy", np.zeros(2))
    with pytest.raises(DataError, match=r"contains Python objects.*It is not read"):
        from_path(tmp_path)
    with pytest.raises(DataError, match=r"array 'y' in .*x.npz contains Python objects"):
        from_path(tmp_path / "x.npz")
    (tmp_path / "x.pkl").write_bytes(b"")
    with pytest.raises(DataError, match="is a pickle"):
        from_path(tmp_path / "x.pkl")


def npz_with_header(path, claimed, content):
    """A .npz file whose array x claims a shape."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": claimed})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header.getvalue() + content)
        archive.writestr("y.npy", header.getvalue() + content)


def test_zip_bombs_and_lies_are_refused(tmp_path, monkeypatch):
    npz_with_header(tmp_path / "lie.npz", (10**12,), b"")
    with pytest.raises(DataError, match=r"claims shape=\(1000000000000,\).* but has 0: it is damaged"):
        from_path(tmp_path / "lie.npz")
    monkeypatch.setattr(array_files_module, "MAX_UNPACKED", 10_000)
    npz_with_header(tmp_path / "bomb.npz", (100_000,), bytes(800_000))
    with pytest.raises(DataError, match=r"unpacks from [\d,]+ bytes to 800,128: that is a zip bomb"):
        from_path(tmp_path / "bomb.npz")
    whole = (tmp_path / "bomb.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cannot be read as .npz .*: expected a file that numpy.savez wrote"):
        from_path(tmp_path / "cut.npz")
    np.save(tmp_path / "y.npy", np.zeros(9))
    (tmp_path / "x.npy").write_bytes((tmp_path / "y.npy").read_bytes()[:-8])
    with pytest.raises(DataError, match="72 bytes, but has 64: it is damaged"):
        from_path(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b[:6] + b"\x09" + b[7:], r"x.npy has the version \(9, 0\) of the .npy format: expected 1.0, 2.0 or"),
        (lambda b: b.replace(b"'<f8'", b"'<c8'"), "x.npy has dtype=complex64: expected numbers or text; save it as su"),
    ],
)
def test_other_npy_files_are_refused(tmp_path, change, message):
    np.save(tmp_path / "x.npy", np.zeros(9))
    np.save(tmp_path / "y.npy", np.zeros(9))
    (tmp_path / "x.npy").write_bytes(change((tmp_path / "x.npy").read_bytes()))
    with pytest.raises(DataError, match=message):
        from_path(tmp_path)


def test_an_npz_file_that_is_damaged_inside_is_refused(tmp_path):
    path = tmp_path / "d.npz"
    np.savez(path, x=np.full((20, 2), 7.5), y=np.arange(20) % 2)
    path.write_bytes(path.read_bytes().replace(np.float64(7.5).tobytes(), np.float64(8.5).tobytes(), 1))
    with pytest.raises(
        DataError, match=r"d.npz cannot be read as .npz \(Bad CRC-32 .*: expected a file that numpy.save"
    ):
        from_path(path)


def test_a_group_beside_a_test_set_is_refused(tmp_path):
    x, y = np.arange(40.0).reshape(20, 2), np.arange(20) % 2
    np.savez(tmp_path / "d.npz", x_train=x, y_train=y, x_test=x, y_test=y, person=np.arange(20))
    with pytest.raises(ConfigError, match=r"group=person: .*d.npz already has a test set; leave group out"):
        from_path(tmp_path / "d.npz", group="person")


# -- images and IDX ---------------------------------------------------------------------------------------------------


def picture(path, colour=(200, 30, 30), size=(8, 6), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    shade = RNG.integers(0, 40, (size[1], size[0], 3), np.uint8)
    Image.fromarray(np.clip(shade + np.array(colour, np.uint8), 0, 255).astype(np.uint8)).convert(mode).save(path)


@pytest.fixture
def folder(tmp_path):
    for i in range(10):
        picture(tmp_path / "images" / "red" / f"{i}.png")
        picture(tmp_path / "images" / "blue" / f"{i}.jpg", (20, 20, 200))
    (tmp_path / "images" / "notes.txt").write_text("not an image")
    return tmp_path / "images"


def test_a_folder_of_images_by_class(folder):
    dataset = from_path(folder)
    assert dataset.classes == ("blue", "red")
    assert dataset.input_shape == (3, 6, 8)
    assert {k: len(v) for k, v in dataset.splits.items()} == {"train": 16, "test": 4}
    red = dataset.inputs[dataset.labels == 1]
    assert red[:, 0].mean() > red[:, 2].mean() + 100
    grey = from_path(folder, image_mode="grey", image_size="12x10")
    assert grey.input_shape == (1, 12, 10)
    assert len(dataset.files) == 20


def test_parts_that_are_there_are_kept(tmp_path):
    for part, n in (("train", 6), ("val", 2), ("test", 3)):
        for i in range(n):
            picture(tmp_path / part / "a" / f"{i}.png")
            picture(tmp_path / part / "b" / f"{i}.png", (0, 0, 0))
    dataset = from_path(tmp_path)
    assert {k: len(v) for k, v in dataset.splits.items()} == {"train": 12, "validation": 4, "test": 6}
    with pytest.raises(ConfigError, match=r"validation_size=2: .* already has a validation set"):
        from_path(tmp_path, validation_size=2)
    picture(tmp_path / "test" / "c" / "0.png")
    with pytest.raises(DataError, match="has the class 'c' outside of the training samples only"):
        from_path(tmp_path)


def test_a_training_folder_without_images(tmp_path):
    (tmp_path / "train" / "a").mkdir(parents=True)
    picture(tmp_path / "test" / "a" / "0.png")
    with pytest.raises(DataError, match="train contains no images: expected a folder for each class there"):
        from_path(tmp_path)


def test_images_that_do_not_fit_are_refused_by_name(folder):
    picture(folder / "red" / "odd.png", size=(5, 5))
    with pytest.raises(DataError, match=r"odd.png 5x5: expected one size; choose it with --image-size"):
        from_path(folder)
    (folder / "red" / "odd.png").unlink()
    picture(folder / "red" / "grey.png", mode="L")
    with pytest.raises(DataError, match=r"grey.png is grey and .* is in colour.*--image-mode grey or rgb"):
        from_path(folder)
    (folder / "red" / "grey.png").unlink()
    whole = (folder / "red" / "0.png").read_bytes()
    (folder / "red" / "0.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"red/0.png is damaged and cannot be read"):
        from_path(folder)
    (folder / "red" / "0.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"red/0.png is not an image that can be read"):
        from_path(folder)
    (folder / "red" / "0.png").unlink()
    (folder / "green").mkdir()
    with pytest.raises(DataError, match="green contains no image"):
        from_path(folder)
    with pytest.raises(ConfigError, match="image_size=big: expected"):
        from_path(folder.parent, image_size="big")
    with pytest.raises(DataError, match=r"contains images .* and no folders: expected a folder for each class"):
        from_path(folder / "red")
    with pytest.raises(DataError, match="contains no training data"):
        from_path(folder / "green")


def test_a_folder_of_idx_files(tmp_path):
    def write(name, values, kind=8):
        head = bytes([0, 0, kind, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
        content = head + values.tobytes()
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)

    x = RNG.integers(0, 256, (12, 5, 7), np.uint8)
    y = (np.arange(12) % 3).astype(np.uint8)
    write("emnist-letters-train-images-idx3-ubyte.gz", x)
    write("emnist-letters-train-labels-idx1-ubyte", y)
    assert len(from_path(tmp_path, test_size=3).inputs) == 12
    write("emnist-letters-test-images-idx3-ubyte", x)
    with pytest.raises(DataError, match="but not the labels that belong to it"):
        from_path(tmp_path)
    write("emnist-letters-test-labels-idx1-ubyte", y)
    dataset = from_path(tmp_path)
    assert (dataset.input_shape, dataset.classes) == ((1, 5, 7), ("0", "1", "2"))
    assert dataset.splits == {"train": range(12), "test": range(12, 24)}
    np.testing.assert_array_equal(dataset.inputs[12:, 0], x)
    assert data.idx.read_any_idx(tmp_path / "emnist-letters-test-labels-idx1-ubyte").tolist() == y.tolist()
    write("emnist-letters-test-labels-idx1-ubyte", y.astype(">i4"), 0x0C)
    np.testing.assert_array_equal(from_path(tmp_path).labels, dataset.labels)
    for what, values in (("images-idx3", x), ("labels-idx1", y)):
        write(f"mnist-test-{what}-ubyte", values)
    with pytest.raises(DataError, match="has two sets of test images, including mnist-test: expected one; move one aw"):
        from_path(tmp_path)
    for what in ("images-idx3", "labels-idx1"):
        (tmp_path / f"mnist-test-{what}-ubyte").unlink()
    (tmp_path / "emnist-letters-test-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01\xff\xff\xff\xff1")
    with pytest.raises(DataError, match=r"claims 4294967295 values, .* but has 1 bytes: it is damaged"):
        from_path(tmp_path)


# -- recognising files ------------------------------------------------------------------------------------------------


def test_the_checksum_of_a_folder_goes_by_names_and_contents(folder):
    first = digest(read(folder, Reading()).files)
    assert digest(read(folder, Reading()).files) == first
    (folder / "red" / "0.png").rename(folder / "red" / "zero.png")
    assert digest(read(folder, Reading()).files)[1] != first[1]
    assert digest(read(folder, Reading()).files)[0] == first[0]


@pytest.mark.parametrize(
    ("name", "message"), [("none.csv", "there is no file or folder"), ("x.docx", "x.docx: expected a table")]
)
def test_what_is_no_data_is_refused(tmp_path, name, message):
    if name == "x.docx":
        (tmp_path / name).write_text("")
    with pytest.raises(DataError, match=message):
        from_path(tmp_path / name)


def test_options_of_another_kind_of_source_are_refused(folder):
    with pytest.raises(ConfigError, match="target=y applies to a table"):
        from_path(folder, target="y")
    with pytest.raises(ConfigError, match=r"arrays=x,y applies to an .npz file"):
        from_path(folder, arrays="x,y")


# -- what looks suspicious --------------------------------------------------------------------------------------------


def test_inspect_says_what_was_understood_and_what_is_odd(tmp_path):
    x = RNG.standard_normal(60)
    lines = ["id,a,same,gap,kind,y"]
    lines += [
        f"{i},{x[i % 50]:.6f},1,{'' if i % 3 else 2},{'uv'[i % 2]},{'yes' if i % 7 < 3 else 'no'}" for i in range(60)
    ]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines))
    seen = data.inspect(path, Reading(target="y"), ignore="id", test_size=0.5)
    assert seen.splits == {"train": 30, "test": 30}
    assert (seen.task, seen.classes.keys()) == ("classification", {"no", "yes"})
    assert sum(sum(counts.values()) for counts in seen.classes.values()) == 60
    assert seen.columns["kind"].startswith("category of 2 values: u 30, v 30")
    assert seen.columns["id"] == "left out"
    assert "40 missing, filled with the median and flagged" in seen.columns["gap"]
    found = "\n".join(seen.suspicious)
    assert "constant in training, so not useful: same" in found
    assert "column 'gap' is missing in 67% of the rows" in found
    assert "column 'id' counts the rows" in "\n".join(data.inspect(path, Reading(target="y")).suspicious)


def test_inspect_asks_whether_numbers_with_leading_zeros_are_codes(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["zip,share,y"] + [f"{7 * i:05d},0.{i},{'uv'[i % 2]}" for i in range(40)]))
    found = "\n".join(data.inspect(path, Reading(target="y")).suspicious)
    assert "column 'zip' contains numbers with leading zeros ('00000'): if they are codes" in found
    assert "'share'" not in found
    assert "leading zeros" not in "\n".join(data.inspect(path, Reading(target="y"), categories="zip").suspicious)


def test_inspect_finds_copies_across_a_split(tmp_path):
    x = RNG.standard_normal((40, 3))
    y = np.arange(40) % 2
    np.savez(tmp_path / "d.npz", x_train=x, y_train=y, x_test=np.concatenate([x[:5], x[:5] + 1]), y_test=y[1:11])
    found = "\n".join(data.inspect(tmp_path / "d.npz", Reading()).suspicious)
    assert "5 of 10 test samples are training samples too" in found
    assert "5 samples are equal to another in all inputs, and have a different target" in found


# -- files and frames as strangers have them --------------------------------------------------------------------------


def test_a_target_with_decimal_commas_is_a_number(tmp_path):
    (tmp_path / "t.csv").write_text("a;y\n" + "".join(f"{i * i};{i},5\n" for i in range(40)))
    assert from_path(tmp_path / "t.csv", target="y").task == "regression"


def test_a_spreadsheet_is_refused_as_one(tmp_path):
    (tmp_path / "t.xlsx").write_bytes(b"PK")
    with pytest.raises(DataError, match="is a spreadsheet: save it as CSV UTF-8"):
        from_path(tmp_path / "t.xlsx", target="y")


def test_a_zip_file_is_refused_as_one(tmp_path):
    (tmp_path / "t.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"t.zip is a .zip file: unpack it, then use the file or folder in it"):
        from_path(tmp_path / "t.zip", target="y")


def test_an_index_without_a_name_is_refused_in_training(tmp_path):
    (tmp_path / "t.csv").write_text(",a,y\n" + "".join(f"{i},{i % 7},{i % 2}\n" for i in range(40)))
    with pytest.raises(DataError, match=r"no name for column 1, which contains values.*index=False"):
        from_path(tmp_path / "t.csv", target="y")


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ({"a": np.arange(40)}, np.arange(40).astype("M8[D]"), "contains dates"),
        ({"a": np.arange(0)}, [], "has 0 rows"),
        ({"a": np.arange(40.0)}, np.full(40, 3.5), "is 3.5 in every row"),
        (np.ma.masked_greater(np.eye(40), 0.5), np.arange(40) % 2, "masked array"),
    ],
)
def test_values_to_learn_nothing_from_are_refused(x, y, message):
    with pytest.raises(DataError, match=message):
        from_arrays(x, y)


def test_a_sparse_matrix_is_refused():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(DataError, match=r"sparse matrix.*toarray\(\)"):
        from_arrays(sparse.csr_matrix(np.eye(40)), np.arange(40) % 2)


def test_a_lazy_frame_is_refused():
    polars = pytest.importorskip("polars")
    with pytest.raises(DataError, match=r"LazyFrame.*collect\(\)"):
        from_arrays(polars.LazyFrame({"a": [1, 2]}), [0, 1])


def test_numbers_that_float32_cannot_tell_apart_are_noted():
    times = 1.7e9 + 3.0 * np.arange(40)
    for x in ({"t": times}, times[:, np.newaxis]):
        (note,) = from_arrays(x, np.arange(40) % 2).notes
        assert "which float32 cannot distinguish" in note
    assert not from_arrays({"t": times - 1.7e9}, np.arange(40) % 2).notes


def test_classes_that_differ_in_spelling_or_mark_missing_values_are_reported(tmp_path):
    labels = ["Yes", "yes", "1", "1.0", "nan"]
    (tmp_path / "t.csv").write_text("a,y\n" + "".join(f"{i},{labels[i % 5]}\n" for i in range(80)))
    seen = data.inspect(tmp_path / "t.csv", Reading(target="y")).suspicious
    assert "the classes 'Yes' and 'yes' are different only in spelling: are they the same?" in seen
    assert "the classes '1' and '1.0' are different only in spelling: are they the same?" in seen
    assert "the class 'nan' looks like a missing value: if it is one, leave these rows out" in seen


def test_floating_point_pixels_are_refused(tmp_path):
    for label in "ab":
        (tmp_path / "p" / label).mkdir(parents=True)
        for i in range(3):
            Image.fromarray(np.full((4, 4), i / 3, np.float32)).save(tmp_path / "p" / label / f"{i}.tiff")
    with pytest.raises(DataError, match="has floating-point pixels"):
        from_path(tmp_path / "p")


def test_the_folder_of_a_mac_archive_is_no_class(folder):
    (folder / "__MACOSX").mkdir()
    assert "__MACOSX" not in from_path(folder).classes

"""Finding, downloading, checking and loading, with small files and, if available, the real ones."""

import gzip
import hashlib
import http.server
import os
import subprocess
import sys
import tarfile
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from handgrad import data
from handgrad.data import loading
from handgrad.errors import ConfigError, DataError

# --- digits ---


def test_digits():
    digits = data.load("digits")
    assert digits.inputs.shape == (1797, 1, 8, 8)
    assert digits.inputs.dtype == np.uint8
    assert digits.labels.dtype == np.int64
    assert digits.splits == {"train": range(1438), "test": range(1438, 1797)}
    assert digits.preprocessing.kind == "unit"
    assert digits.value_range == digits.inputs.max() == 16
    assert digits.classes == tuple("0123456789")


def test_digits_are_those_of_scikit_learn():
    theirs = pytest.importorskip("sklearn.datasets").load_digits()
    digits = data.load("digits")
    is_test = np.arange(1797) % 5 == 4
    for split, rows in (("train", ~is_test), ("test", is_test)):
        indices = digits.indices(split)
        np.testing.assert_array_equal(digits.inputs[indices, 0], theirs.images[rows])
        np.testing.assert_array_equal(digits.targets(indices), theirs.target[rows])


def test_digits_need_neither_folder_nor_network(tmp_path):
    assert len(data.load("digits", offline=True).labels) == 1797
    assert data.get("digits") == Path(data.__file__).parent


# --- splits and preprocessing ---


def test_validation_can_be_the_end_of_the_training_images(tmp_path, make_mnist):
    arrays = make_mnist(tmp_path / "mnist")
    whole = data.load("mnist", data_dir=tmp_path, preprocessing="mean-image")
    split = data.load("mnist", data_dir=tmp_path, preprocessing="mean-image", validation_size=5, validation_split="end")
    assert whole.splits == {"train": range(20), "test": range(20, 30)}
    assert split.splits == {"train": range(15), "validation": range(15, 20), "test": range(20, 30)}
    np.testing.assert_array_equal(whole.inputs, split.inputs)
    images = arrays["train-images-idx3-ubyte"]
    np.testing.assert_array_equal(split.inputs[split.indices("validation"), 0], images[15:])
    for dataset, n in ((whole, 20), (split, 15)):
        np.testing.assert_allclose(dataset.preprocessing.shift[0], images[:n].mean(axis=0), rtol=1e-6)
        assert dataset.preprocessing.scale.item() == 1


@pytest.fixture
def sorted_mnist(tmp_path, make_mnist, idx_bytes):
    """Files of a user, sorted by class: 40 images of 0, 30 of 1, 20 of 2 and 10 of 3, their number in the pixels."""
    make_mnist(tmp_path / "mnist", packed=False)
    labels = np.repeat([0, 1, 2, 3], [40, 30, 20, 10])
    images = np.tile(np.arange(100)[:, None, None], (1, 28, 28))
    (tmp_path / "mnist" / "train-images-idx3-ubyte").write_bytes(idx_bytes(images))
    (tmp_path / "mnist" / "train-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    return tmp_path


@pytest.mark.parametrize(
    ("size", "counts"), [(10, [4, 3, 2, 1]), (50, [20, 15, 10, 5]), (11, [5, 3, 2, 1]), (3, [1, 1, 1, 0])]
)
def test_validation_is_drawn_from_each_class_in_proportion(sorted_mnist, size, counts):
    mnist = data.load("mnist", data_dir=sorted_mnist, validation_size=size)
    held = mnist.indices("validation")
    assert np.bincount(mnist.targets(held), minlength=4).tolist() == counts
    numbers = mnist.inputs[:100, 0, 0, 0]
    assert sorted(numbers) == list(range(100))  # each once, its label still its own
    np.testing.assert_array_equal(mnist.labels[:100], np.repeat([0, 1, 2, 3], [40, 30, 20, 10])[numbers])
    assert numbers[held].tolist() != list(range(100 - size, 100))
    assert np.all(np.diff(numbers[: 100 - size].astype(int)) > 0)  # what remains is in the order of the file
    again = data.load("mnist", data_dir=sorted_mnist, validation_size=size)
    np.testing.assert_array_equal(again.inputs, mnist.inputs)


def test_validation_is_drawn_at_random_within_a_class(sorted_mnist):
    mnist = data.load("mnist", data_dir=sorted_mnist, validation_size=20)
    held = mnist.inputs[mnist.indices("validation"), 0, 0, 0]
    assert held[:8].max() > 20 > held[:8].min()  # of the 40 of class 0, neither the first nor the last only


def test_another_way_to_split_is_refused():
    with pytest.raises(ConfigError, match="unknown validation_split='first': choose random or end"):
        data.load("digits", validation_split="first")


@pytest.mark.parametrize("size", [-1, 20, 21])
def test_an_impossible_validation_size(tmp_path, make_mnist, size):
    make_mnist(tmp_path / "mnist")
    with pytest.raises(
        ConfigError, match=rf"validation_size={size!r} must be a whole number from 0 to 19: mnist has 20"
    ):
        data.load("mnist", data_dir=tmp_path, validation_size=size)


def test_the_largest_validation_size(tmp_path, make_mnist):
    make_mnist(tmp_path / "mnist")
    assert data.load("mnist", data_dir=tmp_path, validation_size=19).splits["train"] == range(1)


def test_unknown_names(tmp_path):
    for function in (data.load, data.get, data.check):
        with pytest.raises(
            ConfigError, match=r"unknown data set name='minst': choose one of digits, mnist, fashion-mnist, "
        ):
            function("minst")
    with pytest.raises(ConfigError, match="unknown preprocessing='x'"):
        data.load("digits", preprocessing="x")


def test_default_preprocessing():
    kinds = {name: entry.preprocessing for name, entry in data.DATASETS.items()}
    assert kinds == {
        "digits": "unit",
        "mnist": "unit",
        "fashion-mnist": "unit",
        "cifar10": "standard",
        "speech": "standard",
    }


# --- where it is looked for ---


def test_a_folder_says_nothing_about_the_built_in_digits(tmp_path):
    for function in (data.load, data.check, data.get):
        with pytest.raises(
            ConfigError, match=rf"data_dir={tmp_path} does not apply to dataset=digits.*leave data_dir out"
        ):
            function("digits", data_dir=tmp_path)


def dotted(folder):
    for path in folder.iterdir():
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))


@pytest.mark.parametrize("packed", [True, False])
def test_the_names_that_unpacking_on_windows_gives(tmp_path, make_mnist, packed):
    make_mnist(tmp_path / "mnist", packed=packed)
    whole = data.load("mnist", data_dir=tmp_path)
    dotted(tmp_path / "mnist")
    assert (tmp_path / "mnist" / ("train-images.idx3-ubyte" + ".gz" * packed)).exists()
    np.testing.assert_array_equal(data.load("mnist", data_dir=tmp_path).inputs, whole.inputs)
    assert data.check("mnist", data_dir=tmp_path).sizes == {"train": 20, "test": 10}


@pytest.mark.parametrize(("name", "theirs"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")])
def test_the_folders_of_torchvision(tmp_path, make_mnist, name, theirs):
    make_mnist(tmp_path / theirs / "raw")
    for given in (tmp_path, tmp_path / theirs, tmp_path / theirs / "raw"):
        assert len(data.load(name, data_dir=given).labels) == 30
    other = {"mnist": "fashion-mnist", "fashion-mnist": "mnist"}[name]
    for given in (tmp_path, tmp_path / theirs, tmp_path / theirs / "raw"):
        with pytest.raises(DataError, match=f"^{other} is not in"):
            data.load(other, data_dir=given)


@pytest.mark.parametrize("folder", ["digits", "cifar10", "fashion"])
def test_a_folder_of_ones_own_may_have_any_name(tmp_path, make_mnist, folder):
    make_mnist(tmp_path / folder)
    assert len(data.load("mnist", data_dir=tmp_path / folder).labels) == 30


def test_a_folder_that_is_named_for_another_set_is_said_to_be(tmp_path, make_mnist):
    make_mnist(tmp_path / "fashion-mnist")
    with pytest.raises(DataError, match=r"mnist is not in .*fashion-mnist has such files, but is named after another"):
        data.load("mnist", data_dir=tmp_path / "fashion-mnist")


def test_what_lies_there_is_named(tmp_path):
    (tmp_path / "train images.idx").write_bytes(b"")
    (tmp_path / "pictures").mkdir()
    with pytest.raises(DataError, match=r"mnist is not in .* \(it contains pictures/, train images.idx: is one"):
        data.load("mnist", data_dir=tmp_path)


def test_nobody_is_told_to_fetch_files_of_their_own(tmp_path, make_mnist, monkeypatch):
    for place in (tmp_path / "own", tmp_path / "cache" / "data"):
        make_mnist(place / "mnist", packed=False)
        path = place / "mnist" / "t10k-labels-idx1-ubyte"
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"but has 9 bytes.*; write the file again in the correct format") as own:
        data.load("mnist", data_dir=tmp_path / "own")
    assert "fetch" not in str(own.value).replace(str(tmp_path), "")
    with pytest.raises(DataError, match=r"; run `handgrad data get mnist`, which downloads damaged files again$"):
        data.load("mnist")


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("below", [True, False])
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_files_in_their_folder_or_in_the_folder_given(tmp_path, make_mnist, packed, below, name):
    arrays = make_mnist(tmp_path / name if below else tmp_path, packed=packed)
    loaded = data.load(name, data_dir=str(tmp_path))
    images = np.concatenate([arrays["train-images-idx3-ubyte"], arrays["t10k-images-idx3-ubyte"]])
    labels = np.concatenate([arrays["train-labels-idx1-ubyte"], arrays["t10k-labels-idx1-ubyte"]])
    np.testing.assert_array_equal(loaded.inputs[:, 0], images)
    np.testing.assert_array_equal(loaded.labels, labels)
    assert loaded.classes == data.DATASETS[name].classes


def test_one_set_is_not_taken_for_the_other(tmp_path, make_mnist):
    make_mnist(tmp_path / "mnist")
    with pytest.raises(DataError, match="fashion-mnist is not in"):
        data.load("fashion-mnist", data_dir=tmp_path / "mnist")


def test_the_folder_given_comes_before_the_environment_and_that_before_the_cache(tmp_path, make_mnist, monkeypatch):
    for n, place in ((3, "given"), (4, "environment"), (5, "cache/data")):
        make_mnist(tmp_path / place / "mnist", n_train=n)
    assert len(data.load("mnist").indices("train")) == 5
    monkeypatch.setenv("HANDGRAD_DATA", "")
    assert len(data.load("mnist").indices("train")) == 5
    monkeypatch.setenv("HANDGRAD_DATA", str(tmp_path / "environment"))
    assert len(data.load("mnist").indices("train")) == 4
    assert len(data.load("mnist", data_dir=tmp_path / "given").indices("train")) == 3


def test_home_is_understood(tmp_path, make_mnist, monkeypatch):
    make_mnist(tmp_path / "d" / "mnist")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert len(data.load("mnist", data_dir="~/d").labels) == 30


@pytest.fixture
def no_download(monkeypatch):
    def download(*_, **__):
        raise AssertionError("nothing may be downloaded")

    monkeypatch.setattr("handgrad.data.download.download", download)


@pytest.mark.usefixtures("no_download")
def test_missing_where_the_user_said(tmp_path, monkeypatch):
    listed = r"expected mnist/ with train-images-idx3-ubyte.gz, train-labels-.*, t10k-.* \(also without .gz, or .*\)"
    where = tmp_path / "d"
    command = f"handgrad data get mnist --data-dir {where}"
    with pytest.raises(
        DataError,
        match=rf"mnist is not in {where} \(there is no such folder\): {listed}; put them there or run `{command}`$",
    ):
        data.load("mnist", data_dir=where)
    with pytest.raises(
        DataError, match=r"cifar10 is not in .*cifar-10-batches-bin/ with data_batch_1.bin, .*test_batch.bin, or"
    ):
        data.check("cifar10", data_dir=where)
    monkeypatch.setenv("HANDGRAD_DATA", str(where))
    with pytest.raises(
        DataError, match=rf"mnist is not in {where} \(there is no such folder\): .*run `handgrad data get mnist`$"
    ):
        data.load("mnist")


@pytest.mark.usefixtures("no_download")
def test_missing_offline(tmp_path):
    with pytest.raises(
        DataError,
        match=rf"mnist is not in {tmp_path / 'cache' / 'data'} \(there .*\): .* with a network connection$",
    ):
        data.load("mnist", offline=True)


@pytest.mark.usefixtures("no_download")
def test_an_incomplete_set(tmp_path, make_mnist):
    make_mnist(tmp_path / "mnist")
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(
        DataError, match=rf"mnist is incomplete: {tmp_path / 'mnist'} lacks t10k-labels-idx1-ubyte.gz: "
    ):
        data.load("mnist", data_dir=tmp_path)


def test_describe(tmp_path, make_mnist):
    make_mnist(tmp_path / "mnist")
    listings = {listing.entry.name: listing for listing in data.describe(data_dir=tmp_path)}
    assert list(listings) == ["digits", "mnist", "fashion-mnist", "cifar10", "speech"] == list(data.DATASETS)
    assert listings["digits"].found
    assert listings["mnist"].found == tmp_path / "mnist"
    assert listings["cifar10"].found is None
    assert listings["cifar10"].looked_for[0] == tmp_path / "cifar-10-batches-bin"
    for listing in listings.values():
        assert listing.entry.licence
        assert listing.entry.source
        assert len(listing.entry.classes) == (0 if listing.entry.name == "speech" else 10)


# --- fetching ---


@pytest.fixture
def mirror(tmp_path):
    """A server for the folder `mirror`; returns its address."""
    folder = tmp_path / "mirror"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def catalogued(tmp_path, mirror, monkeypatch):
    """Catalogues the files in the folder `mirror` as the official ones of a data set."""

    def catalogue(name):
        old = data.DATASETS[name]
        files = [(path.name, path.read_bytes()) for path in sorted((tmp_path / "mirror").iterdir())]
        downloads = tuple(data.Download(n, hashlib.sha256(content).hexdigest(), len(content)) for n, content in files)
        contents = tuple(
            (n.removesuffix(".gz"), "sha256", hashlib.sha256(gzip.decompress(content)).hexdigest())
            for n, content in files
            if name == "mnist"
        ) or tuple(
            (path.name, "sha1", hashlib.sha1(path.read_bytes()).hexdigest())
            for path in (tmp_path / "made").rglob("*.bin")
        )
        new = {**vars(old), "mirrors": (f"{mirror}gone/", mirror), "downloads": downloads, "contents": contents}
        monkeypatch.setitem(data.DATASETS, name, data.Entry(**new))

    return catalogue


def quiet(done, total):
    pass


@pytest.fixture
def mnist_mirror(tmp_path, mirror, make_mnist, catalogued):
    make_mnist(tmp_path / "mirror")
    catalogued("mnist")


@pytest.mark.usefixtures("mnist_mirror")
def test_a_missing_set_is_downloaded_to_the_cache(tmp_path):
    seen = []
    loaded = data.load("mnist", progress=lambda done, total: seen.append((done, total)))
    assert len(loaded.labels) == 30
    assert seen[-1][0] == seen[-1][1] > 0
    folder = tmp_path / "cache" / "data" / "mnist"
    assert sorted(path.name for path in folder.iterdir()) == sorted(d.name for d in data.DATASETS["mnist"].downloads)
    (tmp_path / "mirror" / "t10k-labels-idx1-ubyte.gz").unlink()
    assert len(data.load("mnist").labels) == 30  # the second time no mirror is asked


@pytest.mark.usefixtures("mnist_mirror")
def test_get_downloads_where_it_is_told(tmp_path, monkeypatch):
    assert data.get("mnist", data_dir=tmp_path / "a", progress=quiet) == tmp_path / "a" / "mnist"
    monkeypatch.setenv("HANDGRAD_DATA", str(tmp_path / "b"))
    assert data.get("mnist", progress=quiet) == tmp_path / "b" / "mnist"
    assert len(data.load("mnist", offline=True).labels) == 30


@pytest.mark.usefixtures("mnist_mirror")
def test_get_leaves_a_sound_set_alone(tmp_path, make_mnist):
    make_mnist(tmp_path / "mine", n_train=7, packed=False)
    assert data.get("mnist", data_dir=tmp_path / "mine", progress=quiet) == tmp_path / "mine"
    assert len(list((tmp_path / "mine").iterdir())) == 4


@pytest.mark.usefixtures("mnist_mirror")
@pytest.mark.parametrize("broken", ["missing", "cut", "plain and cut"])
def test_get_mends_a_broken_set_in_its_place(tmp_path, make_mnist, broken):
    make_mnist(tmp_path / "mine", packed=broken != "plain and cut")
    path = next((tmp_path / "mine").glob("t10k-images*"))
    path.write_bytes(path.read_bytes()[:-20])
    if broken == "missing":
        path.unlink()
    assert data.get("mnist", data_dir=tmp_path / "mine", progress=quiet) == tmp_path / "mine"
    assert len(data.load("mnist", data_dir=tmp_path / "mine").labels) == 30


@pytest.mark.usefixtures("mnist_mirror")
def test_progress_goes_to_stderr_unless_asked_otherwise(tmp_path, capsys):
    data.get("mnist", data_dir=tmp_path / "a")
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "train-images-idx3-ubyte.gz: 0.0 of 0.0 MB" in printed.err
    data.get("mnist", data_dir=tmp_path / "b", progress=quiet)
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("mnist_mirror")
def test_a_mirror_that_lacks_a_file(tmp_path):
    (tmp_path / "mirror" / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(
        DataError, match=r"t10k-labels-idx1-ubyte.gz could not be downloaded: .*gone/.* 404 .*; .* 404 "
    ):
        data.get("mnist", data_dir=tmp_path / "a", progress=quiet)


def test_cifar10_is_downloaded_and_unpacked(tmp_path, mirror, make_cifar10, catalogued, monkeypatch):
    inputs, _ = make_cifar10(tmp_path / "made")
    with tarfile.open(tmp_path / "mirror" / "cifar-10-binary.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "made" / "cifar-10-batches-bin", "cifar-10-batches-bin")
    catalogued("cifar10")
    base = tmp_path / "d"
    assert data.get("cifar10", data_dir=base, progress=quiet) == base / "cifar-10-batches-bin"
    assert [path.name for path in base.iterdir()] == ["cifar-10-batches-bin"]
    np.testing.assert_array_equal(data.load("cifar10", data_dir=base).inputs, inputs)
    (base / "cifar-10-batches-bin" / "data_batch_3.bin").write_bytes(b"broken")
    data.get("cifar10", data_dir=base, progress=quiet)
    np.testing.assert_array_equal(data.load("cifar10", data_dir=base).inputs, inputs)


@pytest.mark.usefixtures("mnist_mirror")
def test_a_mirror_may_have_packed_the_files_again(tmp_path):
    for path in (tmp_path / "mirror").iterdir():
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 1))
    folder = data.get("mnist", data_dir=tmp_path / "a", progress=quiet)
    assert folder == tmp_path / "a" / "mnist"
    seen = data.check("mnist", data_dir=folder)
    assert set(seen.official.values()) == {True}
    assert len(seen.repacked) == 4


@pytest.mark.usefixtures("mnist_mirror")
@pytest.mark.parametrize("how", ["altered", "not packed", "damaged"])
def test_a_mirror_with_other_content_is_refused(tmp_path, how):
    for path in (tmp_path / "mirror").iterdir():
        content = bytearray(gzip.decompress(path.read_bytes()))
        content[-1] ^= how == "altered"
        packed = bytes(content) if how == "not packed" else gzip.compress(content, 1)
        path.write_bytes(packed[: -5 if how == "damaged" else None])
    with pytest.raises(DataError, match=r"images-idx3-ubyte.gz could not be downloaded: .*a different file"):
        data.get("mnist", data_dir=tmp_path / "a", progress=quiet)


@pytest.mark.parametrize("altered", [False, True])
def test_an_archive_of_cifar10_is_known_by_the_files_in_it(tmp_path, mirror, make_cifar10, catalogued, altered):
    make_cifar10(tmp_path / "made")
    made = tmp_path / "made" / "cifar-10-batches-bin"
    archive = tmp_path / "mirror" / "cifar-10-binary.tar.gz"
    with tarfile.open(archive, "w:gz") as entries:
        entries.add(made, "cifar-10-batches-bin")
    catalogued("cifar10")
    if altered:
        batch = bytearray((made / "data_batch_3.bin").read_bytes())
        batch[5] ^= 1
        (made / "data_batch_3.bin").write_bytes(batch)
    with tarfile.open(archive, "w:gz", compresslevel=1) as entries:
        for path in sorted(made.iterdir(), reverse=True):
            entries.add(path, f"./cifar-10-batches-bin/{path.name}")
    if altered:
        with pytest.raises(DataError, match=r"cifar-10-binary.tar.gz could not be downloaded"):
            data.get("cifar10", data_dir=tmp_path / "d", progress=quiet)
    else:
        folder = data.get("cifar10", data_dir=tmp_path / "d", progress=quiet)
        assert set(data.check("cifar10", data_dir=folder).official.values()) == {True}


# --- checking ---


@pytest.mark.usefixtures("mnist_mirror")
@pytest.mark.parametrize("layout", ["dotted", "torchvision"])
@pytest.mark.parametrize("packed", [True, False])
def test_files_of_any_name_are_known_by_their_content(tmp_path, layout, packed):
    folder = tmp_path / "MNIST" / "raw" if layout == "torchvision" else tmp_path / "mnist"
    folder.mkdir(parents=True)
    for path in (tmp_path / "mirror").iterdir():
        name = path.name.replace("-idx", ".idx") if layout == "dotted" else path.name
        content = gzip.decompress(path.read_bytes())
        (folder / (name if packed else name.removesuffix(".gz"))).write_bytes(
            gzip.compress(content, 1) if packed else content
        )
    seen = data.check("mnist", data_dir=tmp_path)
    assert seen.folder == folder
    assert set(seen.official.values()) == {True}
    last = next(path for path in folder.iterdir() if "t10k" in path.name and "images" in path.name)
    content = bytearray(gzip.decompress(last.read_bytes()) if packed else last.read_bytes())
    content[-1] ^= 1
    last.write_bytes(gzip.compress(content) if packed else content)
    assert [path for path, official in data.check("mnist", data_dir=tmp_path).official.items() if not official] == [
        last
    ]


@pytest.mark.usefixtures("mnist_mirror")
def test_check_compares_what_files_hold_with_the_official_checksums(tmp_path):
    folder = data.get("mnist", data_dir=tmp_path, progress=quiet)
    repacked, unpacked = folder / "t10k-labels-idx1-ubyte.gz", folder / "t10k-images-idx3-ubyte"
    repacked.write_bytes(gzip.compress(gzip.decompress(repacked.read_bytes()), 1))
    unpacked.write_bytes(gzip.decompress((folder / f"{unpacked.name}.gz").read_bytes()))
    (folder / f"{unpacked.name}.gz").unlink()
    seen = data.check("mnist", data_dir=tmp_path)
    assert seen.folder == folder
    assert seen.sizes == {"train": 20, "test": 10}
    assert seen.official == {
        folder / "train-images-idx3-ubyte.gz": True,
        folder / "train-labels-idx1-ubyte.gz": True,
        repacked: True,
        unpacked: True,
    }
    assert set(seen.repacked) == {repacked, unpacked}
    content = bytearray(unpacked.read_bytes())
    content[-1] ^= 1
    unpacked.write_bytes(content)
    assert data.check("mnist", data_dir=tmp_path).official[unpacked] is False


@pytest.mark.slow
def test_mnist_is_known_by_its_content_however_it_is_packed(tmp_path, real_data):
    folder = tmp_path / "mnist"
    folder.mkdir()
    for path in (real_data / "mnist").glob("*.gz"):
        content = gzip.decompress(path.read_bytes())
        if "t10k-labels" in path.name:
            (folder / path.name).write_bytes(gzip.compress(content, 1))
        elif "t10k-images" in path.name:
            (folder / path.stem).write_bytes(content[:16] + content[16:].replace(b"\xfe", b"\xff"))
        elif "train-images" in path.name:
            (folder / path.stem).write_bytes(content)
        else:
            (folder / path.name).write_bytes(path.read_bytes())
    seen = data.check("mnist", data_dir=folder)
    assert {path.name: official for path, official in seen.official.items()} == {
        "train-images-idx3-ubyte": True,
        "train-labels-idx1-ubyte.gz": True,
        "t10k-images-idx3-ubyte": False,
        "t10k-labels-idx1-ubyte.gz": True,
    }
    assert {"t10k-labels-idx1-ubyte.gz", "train-images-idx3-ubyte"} <= {path.name for path in seen.repacked}


def test_check_reads_the_structure(tmp_path, make_mnist):
    make_mnist(tmp_path / "mnist")
    (tmp_path / "mnist" / "train-images-idx3-ubyte.gz").write_bytes(b"no")
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte.gz is not a complete gzip file"):
        data.check("mnist", data_dir=tmp_path)
    assert data.check("digits").sizes == {"train": 1438, "test": 359}


# --- catalogue ---


def test_the_catalogue_is_well_formed():
    for name, entry in data.DATASETS.items():
        assert entry.name == name
        assert entry.format in loading._FORMATS
        assert entry.preprocessing in data.PREPROCESSING
        assert bool(entry.downloads) == bool(entry.mirrors) == (name not in ("digits", "speech"))
        assert all(mirror.startswith("http") and mirror.endswith("/") for mirror in entry.mirrors)
        for download in entry.downloads:
            assert entry.contents
            assert len(bytes.fromhex(download.sha256)) == 32
            assert download.size > 1000


def test_importing_the_room_is_light():
    code = "import sys, handgrad.data; print({'ssl', 'rich', 'platformdirs', 'urllib.request'} & sys.modules.keys())"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert ran.stdout.strip() == "set()"


def test_what_data_of_ones_own_need_is_imported_when_it_is_asked_for():
    code = (
        "import sys, handgrad.data as data; data.load('digits'); rooms = {'own', 'sources', 'tables', 'inspecting'}; "
        "print(sorted(room for room in rooms if f'handgrad.data.{room}' in sys.modules)); "
        "print([name for name in data.__all__ if not hasattr(data, name)], set(data.__all__) - set(dir(data)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert ran.stdout.splitlines() == ["[]", "[] set()"]
    with pytest.raises(AttributeError, match=r"module 'handgrad.data' has no attribute 'nothing'"):
        data.nothing  # noqa: B018


# --- the real data ---


def test_real_mnist(real_data):
    if not (real_data / "mnist").is_dir():
        pytest.skip(f"needs mnist/ in {real_data}")
    mnist = data.load("mnist", data_dir=real_data, validation_size=10_000, validation_split="end")
    assert mnist.splits == {"train": range(50_000), "validation": range(50_000, 60_000), "test": range(60_000, 70_000)}
    assert mnist.inputs.shape == (70_000, 1, 28, 28)
    assert mnist.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert np.bincount(mnist.labels[60_000:]).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert round(float(mnist.inputs[:60_000].mean(dtype=np.float64)) / 255, 4) == 0.1307


def test_real_cifar10(real_data):
    folders = [real_data / layout for layout in ("cifar-10-batches-bin", "cifar-10-batches-py")]
    if not all(folder.is_dir() for folder in folders):
        pytest.skip(f"needs cifar-10-batches-bin/ and cifar-10-batches-py/ in {real_data}")
    binary, pickled = (data.load("cifar10", data_dir=folder, preprocessing="none") for folder in folders)
    assert binary.splits == {"train": range(50_000), "test": range(50_000, 60_000)}
    np.testing.assert_array_equal(binary.inputs, pickled.inputs)
    np.testing.assert_array_equal(binary.labels, pickled.labels)
    assert np.bincount(binary.labels).tolist() == [6000] * 10

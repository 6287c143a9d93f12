"""Extraction writes only the expected files, regardless of the paths in the archive."""

import io
import tarfile

import pytest

from handgrad.data.archive import extract
from handgrad.errors import DataError


def entry(name, content=b"", **other):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in other.items():
        setattr(info, key, value)
    return info, content


def pack(path, *entries):
    with tarfile.open(path, "w:gz") as archive:
        for info, content in entries:
            archive.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def unpack(tmp_path):
    """Packs the entries and extracts a and b from the folder `set` of the archive: (entries) -> folder."""

    def unpack(*entries):
        archive = pack(tmp_path / "x.tar.gz", *entries)
        extract(archive, tmp_path / "to" / "set", ["a", "b"], 100)
        return tmp_path / "to" / "set"

    return unpack


GOOD = (entry("set/a", b"one"), entry("set/b", b"two"))


def content(folder):
    """The contents of the folder, after checking that there is nothing next to it."""
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("prefix", ["", "./"])
def test_takes_the_expected_files(unpack, prefix):
    entries = (
        entry(f"{prefix}set", type=tarfile.DIRTYPE),
        entry(f"{prefix}set/a", b"one"),
        entry(f"{prefix}set/b", b"2"),
    )
    assert content(unpack(*entries)) == {"a": b"one", "b": b"2"}


def test_passes_over_everything_else(unpack, tmp_path):
    outside = tmp_path / "outside"
    strange = (
        entry("../outside", b"x"),
        entry(str(outside), b"x"),
        entry("set/../../outside", b"x"),
        entry("set/readme", b"x"),
        entry("a", b"x"),
        entry("set/a", type=tarfile.SYMTYPE, linkname=str(outside)),
        entry("set/b", type=tarfile.LNKTYPE, linkname="set/readme"),
        entry("set/b", type=tarfile.FIFOTYPE),
    )
    assert content(unpack(*strange, *GOOD)) == {"a": b"one", "b": b"two"}
    assert not outside.exists()


def test_replaces_files_that_are_there(unpack, tmp_path):
    (tmp_path / "to" / "set").mkdir(parents=True)
    (tmp_path / "to" / "set" / "a").write_bytes(b"broken")
    assert content(unpack(*GOOD)) == {"a": b"one", "b": b"two"}


def test_a_link_in_place_of_a_file_lacks_it(unpack):
    with pytest.raises(DataError, match=r"x.tar.gz lacks set/b; remove it and download it again"):
        unpack(GOOD[0], entry("set/b", type=tarfile.SYMTYPE, linkname="/etc/passwd"))


def test_a_file_that_is_too_large(unpack, tmp_path):
    with pytest.raises(DataError, match=r"x.tar.gz has 'set/b' of 101 bytes: expected at most 100; remove it"):
        unpack(GOOD[0], entry("set/b", b"x" * 101))
    assert content(tmp_path / "to" / "set") == {}


@pytest.mark.parametrize(
    "change", [lambda b: b[: len(b) // 2], lambda b: b"no archive", lambda b: b"", lambda b: b[:40]]
)
def test_a_damaged_archive(tmp_path, change):
    archive = pack(tmp_path / "x.tar.gz", *GOOD)
    archive.write_bytes(change(archive.read_bytes()))
    with pytest.raises(
        DataError, match=r"x.tar.gz (is not a complete .tar.gz file \(|lacks set/).*; remove it and download"
    ):
        extract(archive, tmp_path / "to" / "set", ["a", "b"], 100)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "to").write_text("a file")
    with pytest.raises(
        DataError, match=r"x.tar.gz cannot be unpacked to .*set \(.*\): free some space or choose another"
    ):
        extract(pack(tmp_path / "x.tar.gz", *GOOD), tmp_path / "to" / "set", ["a", "b"], 100)

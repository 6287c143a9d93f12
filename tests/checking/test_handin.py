"""Hand-ins are recognised by content, and no archive writes anywhere but where we say."""

import gzip
import io
import os
import stat
import sys
import tarfile
import tracemalloc
import zipfile

import pytest

from handgrad.checking import handin
from handgrad.checking.handin import Refused, take_in

CODE = b"class Sigmoid:\n    pass\n"
FILES = {"hw1/hw1.py": CODE, "mytorch/activation.py": CODE, "notes.txt": b"hello"}


def make_zip(path, files, **attributes):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            for key, value in attributes.items():
                setattr(info, key, value)
            archive.writestr(info, data)
    return path


def make_tar(path, files, mode="w", **attributes):
    with tarfile.open(path, mode, format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for key, value in attributes.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(data) if info.isreg() else None)
    return path


def refused(path, folder) -> str:
    """The id of the finding; the folder beside which everything lies is unchanged but for our own copy."""
    folder.mkdir()
    before = {p for p in folder.parent.rglob("*") if not p.is_relative_to(folder)}
    with pytest.raises(Refused) as error:
        take_in(path, folder)
    assert {p for p in folder.parent.rglob("*") if not p.is_relative_to(folder)} == before
    assert not any(p.is_symlink() for p in folder.rglob("*"))
    return error.value.finding.id


MAKERS = {
    "zip": make_zip,
    "tar": make_tar,
    "tar.gz": lambda path, files, **a: make_tar(path, files, "w:gz", **a),
}


@pytest.mark.parametrize("name", ["handin.tar", "handin.zip", "handin", "handin.py"])
@pytest.mark.parametrize("kind", MAKERS)
def test_archives_are_known_by_content(tmp_path, kind, name):
    path = MAKERS[kind](tmp_path / name, FILES)
    (tmp_path / "out").mkdir()
    found = take_in(path, tmp_path / "out")
    assert found.files == ("hw1/hw1.py", "mytorch/activation.py")
    assert (found.folder / "hw1/hw1.py").read_bytes() == CODE
    assert (found.folder / "notes.txt").read_bytes() == b"hello"


def test_tar_of_the_oldest_form_without_magic(tmp_path):
    path = make_tar(tmp_path / "old", {"a.py": CODE})
    data = bytearray(path.read_bytes())
    data[257:265] = bytes(8)
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    path.write_bytes(bytes(data))
    (tmp_path / "out").mkdir()
    assert take_in(path, tmp_path / "out").files == ("a.py",)


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize(
    "name", ["../out.py", "a/../../out.py", "/tmp/out.py", "..\\out.py", "C:\\out.py", "\\out.py", "a/b/../../../x.py"]
)
def test_archives_cannot_write_outside(tmp_path, kind, name):
    path = MAKERS[kind](tmp_path / "bad", {"fine.py": CODE, name: CODE})
    assert refused(path, tmp_path / "out") == "archive-outside"


@pytest.mark.parametrize(
    "linktype", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
@pytest.mark.parametrize("kind", ["tar", "tar.gz"])
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind, linktype):
    path = MAKERS[kind](tmp_path / "bad", {"hw1.py": b""}, type=linktype, linkname="/etc/passwd")
    assert refused(path, tmp_path / "out") == "archive-link"


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_in_a_zip_are_refused(tmp_path, mode):
    path = make_zip(tmp_path / "bad", {"hw1.py": b"/etc/passwd"}, external_attr=(mode | 0o777) << 16, create_system=3)
    assert refused(path, tmp_path / "out") == "archive-link"


def test_a_link_and_then_a_file_through_it(tmp_path):
    path = tmp_path / "bad.tar"
    with tarfile.open(path, "w") as archive:
        link = tarfile.TarInfo("a")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        archive.addfile(link)
        inside = tarfile.TarInfo("a/x.py")
        inside.size = len(CODE)
        archive.addfile(inside, io.BytesIO(CODE))
    assert refused(path, tmp_path / "out") == "archive-link"
    assert not (tmp_path / "x.py").exists()


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_bombs_are_refused(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(handin, "MOST_BYTES", 1 << 20)
    path = MAKERS[kind](tmp_path / "bomb", {"a.py": CODE, "big.bin": bytes(3 << 20)})
    assert path.stat().st_size < 20_000
    assert refused(path, tmp_path / "out") == "archive-bomb"


def test_a_bomb_that_lies_about_its_size(tmp_path, monkeypatch):
    monkeypatch.setattr(handin, "MOST_BYTES", 1 << 20)
    path = make_zip(tmp_path / "bomb", {"big.bin": bytes(3 << 20)})
    data = path.read_bytes()
    path.write_bytes(data.replace((3 << 20).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    assert refused(path, tmp_path / "out") in ("archive-bomb", "broken-archive")
    assert sum(p.stat().st_size for p in (tmp_path / "out").rglob("*")) <= 1 << 20


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_unpacks_without_end_is_a_bomb(tmp_path, kind, monkeypatch):
    """tarfile reads such a header into memory before anybody sees an entry."""
    monkeypatch.setattr(handin, "MOST_BYTES", 1 << 20)
    header = tarfile.TarInfo("header")
    header.type, header.size = kind, 50 << 20
    path = tmp_path / "bomb"
    path.write_bytes(gzip.compress(header.tobuf(tarfile.USTAR_FORMAT) + bytes(50 << 20)))
    tracemalloc.start()
    assert refused(path, tmp_path / "out") == "archive-bomb"
    assert tracemalloc.get_traced_memory()[1] < 40 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("kind", MAKERS)
def test_too_many_files_are_refused(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(handin, "MOST_FILES", 10)
    path = MAKERS[kind](tmp_path / "many", {f"{i}.py": b"" for i in range(11)})
    assert refused(path, tmp_path / "out") == "archive-bomb"


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("cut", [0.3, 0.6, 0.95])
def test_broken_archives_are_a_finding(tmp_path, kind, cut):
    whole = MAKERS[kind](tmp_path / "whole", {"a.py": os.urandom(4000), "b.py": os.urandom(4000)}).read_bytes()
    path = tmp_path / "cut"
    path.write_bytes(whole[: int(len(whole) * cut)])
    folder = tmp_path / "out"
    folder.mkdir()
    if kind == "tar" and cut == 0.95:  # its end is padding: nothing was lost
        assert take_in(path, folder).files == ("a.py", "b.py")
        return
    with pytest.raises(Refused) as error:
        take_in(path, folder)
    assert error.value.finding.id == "broken-archive"


def test_an_archive_with_a_password_is_a_finding(tmp_path):
    path = make_zip(tmp_path / "locked", {"a.py": CODE})
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(bytes(data))
    assert refused(path, tmp_path / "out") == "broken-archive"


@pytest.mark.parametrize(("at", "value", "why"), [(0, 1, "encrypted"), (2, 9, "compression method is not supported")])
def test_a_zip_of_another_kind_is_packed_again(tmp_path, at, value, why):
    """A password, or a method that Python does not have (Deflate64, as Windows packs large files)."""
    data = bytearray(make_zip(tmp_path / "x.zip", {"a.py": CODE}).read_bytes())
    data[6 + at] = value
    data[data.index(b"PK\x01\x02") + 8 + at] = value
    (tmp_path / "x.zip").write_bytes(bytes(data))
    (tmp_path / "out").mkdir()
    with pytest.raises(Refused, match=f"x.zip cannot be unpacked: .*{why}") as error:
        take_in(tmp_path / "x.zip", tmp_path / "out")
    assert "Pack it again as an ordinary zip file without a password" in error.value.finding.hint_full


def test_a_file_where_a_folder_was_is_a_finding(tmp_path):
    assert refused(make_tar(tmp_path / "bad", {"a": b"", "a/b.py": CODE}), tmp_path / "out") == "broken-archive"


def test_a_name_that_no_disk_holds_is_a_finding(tmp_path):
    assert refused(make_zip(tmp_path / "bad", {"a" * 300 + ".py": CODE}), tmp_path / "out") == "broken-archive"


# -- files and folders ------------------------------------------------------------------------------------------------


def test_a_file_comes_with_what_it_imports_from_beside_it(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "mlp.py").write_text("import modules, numpy\nfrom deep.er import x\n")
    (tmp_path / "in" / "modules.py").write_text("import losses\n")
    (tmp_path / "in" / "losses.py").write_text("")
    (tmp_path / "in" / "secret.py").write_text("")
    (tmp_path / "in" / "deep").mkdir()
    (tmp_path / "in" / "deep" / "er.py").write_text("x = 1\n")
    (tmp_path / "out").mkdir()
    found = take_in(tmp_path / "in" / "mlp.py", tmp_path / "out")
    assert found.files == ("mlp.py",)
    assert {p.relative_to(found.folder).as_posix() for p in found.folder.rglob("*.py")} == {
        "mlp.py",
        "modules.py",
        "losses.py",
        "deep/er.py",
    }


def test_a_python_file_may_have_any_name(tmp_path):
    (tmp_path / "hand-in.txt").write_bytes(CODE)
    (tmp_path / "out").mkdir()
    assert take_in(tmp_path / "hand-in.txt", tmp_path / "out").files == ("hand-in.py",)


@pytest.mark.parametrize(
    ("data", "id"), [(b"\x7fELF\x02" * 100, "unknown-file"), (b"hello there", "unknown-file"), (b"", "unknown-file")]
)
def test_files_that_are_neither_are_refused(tmp_path, data, id):
    (tmp_path / "x.bin").write_bytes(data)
    assert refused(tmp_path / "x.bin", tmp_path / "out") == id


def test_what_is_not_there_is_a_finding(tmp_path):
    assert refused(tmp_path / "nowhere.py", tmp_path / "out") == "no-such-file"


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX")
def test_what_is_no_file_is_a_finding(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert refused(tmp_path / "pipe", tmp_path / "out") == "not-a-file"


def test_folders_are_copied_without_links_caches_and_environments(tmp_path):
    source = tmp_path / "in"
    for name in ("a.py", "sub/b.py", "__pycache__/c.py", ".venv/d.py", "data.npy", "._e.py"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(CODE)
    (source / "link.py").symlink_to("/etc/passwd")
    (source / "folder").symlink_to("/etc")
    (tmp_path / "out").mkdir()
    found = take_in(source, tmp_path / "out")
    assert found.files == ("a.py", "sub/b.py")
    assert not (found.folder / "link.py").exists()
    assert not (found.folder / "folder").exists()
    assert (found.folder / "data.npy").exists()
    assert found.notes == ("link.py is a link or a device and was left out",)
    (found.folder / "a.py").write_text("changed")
    assert (source / "a.py").read_bytes() == CODE


def test_wrapping_folders_are_stepped_into(tmp_path):
    path = make_zip(
        tmp_path / "x.zip", {"student/handin/a.py": CODE, "student/handin/lib/b.py": CODE, "__MACOSX/c.py": CODE}
    )
    (tmp_path / "out").mkdir()
    assert take_in(path, tmp_path / "out").files == ("a.py", "lib/b.py")


def test_packages_are_not_stepped_into(tmp_path):
    path = make_zip(tmp_path / "x.zip", {"mytorch/__init__.py": b"", "mytorch/loss.py": CODE})
    (tmp_path / "out").mkdir()
    assert take_in(path, tmp_path / "out").files == ("mytorch/__init__.py", "mytorch/loss.py")


def test_a_hand_in_without_python_is_a_finding(tmp_path):
    assert refused(make_zip(tmp_path / "x.zip", {"essay.txt": b"text"}), tmp_path / "out") == "no-python"


def test_a_folder_that_is_too_large_is_a_finding(tmp_path, monkeypatch):
    monkeypatch.setattr(handin, "MOST_FILES", 3)
    (tmp_path / "in").mkdir()
    for i in range(5):
        (tmp_path / "in" / f"{i}.py").write_text("")
    assert refused(tmp_path / "in", tmp_path / "out") == "too-large"


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX")
@pytest.mark.parametrize(
    ("make", "evidence", "hint"),
    [
        (lambda path: None, "x does not exist", ""),
        (lambda path: os.mkfifo(path), "x is neither a file nor a folder", "Hand in a .py file, a folder, or a zip or"),
        (
            lambda path: path.write_bytes(b"hello there"),
            "x is neither Python source nor a zip, tar or tar.gz archive",
            "Hand in a .py file, a folder, or a zip or tar archive",
        ),
        (
            lambda path: make_tar(path, {"a": b"", "a/b.py": CODE}),
            "x: 'a/b.py' cannot be written: (Not a directory|File exists)",
            "Pack it again with short names",
        ),
        (
            lambda path: path.write_bytes(make_tar(path, {"a.py": CODE * 99}, "w:gz").read_bytes()[:90]),
            "x cannot be unpacked: ",
            "check that it can be unpacked before you hand it in",
        ),
        (
            lambda path: make_tar(path, {"a.py": b""}, type=tarfile.SYMTYPE, linkname="/etc/passwd"),
            "x contains 'a.py', a link",
            "Pack only plain files",
        ),
        (
            lambda path: make_zip(path, {"../a.py": CODE}),
            r"x contains '\.\./a.py', which is outside its folder",
            "Pack it with relative names",
        ),
        (
            lambda path: make_zip(path, {f"{i}.py": b"" for i in range(handin.MOST_FILES + 1)}),
            "x unpacks to more than 64 MiB or 2000 files",
            "Hand in only the code, without data",
        ),
        (
            lambda path: make_zip(path, {"essay.txt": b"text"}),
            "x contains no Python file",
            "export a notebook as a script first",
        ),
    ],
)
def test_a_refusal_says_what_is_wrong_and_what_to_do(tmp_path, make, evidence, hint):
    make(tmp_path / "x")
    (tmp_path / "out").mkdir()
    with pytest.raises(Refused, match=evidence) as error:
        take_in(tmp_path / "x", tmp_path / "out")
    assert hint in error.value.finding.hint_full


def test_a_python_file_that_is_too_large_is_a_finding(tmp_path):
    (tmp_path / "hw1.py").write_bytes(b"#" * (handin.MOST_SOURCE + 1))
    (tmp_path / "out").mkdir()
    match = r"hw1.py has 1048577 bytes; the limit for a Python file is 1048576"
    with pytest.raises(Refused, match=match) as error:
        take_in(tmp_path / "hw1.py", tmp_path / "out")
    assert error.value.finding.id == "too-large"


def test_a_name_that_no_disk_takes_cannot_be_read(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(Refused, match="cannot be read: File name too long") as error:
        take_in(tmp_path / ("a" * 300), tmp_path / "out")
    assert error.value.finding.id == "unreadable"

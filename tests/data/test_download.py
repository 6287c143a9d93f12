"""The downloader, with a local server that does everything wrong that a server can do wrong."""

import errno
import hashlib
import http.server
import os
import threading
from pathlib import Path

import pytest

from handgrad.data import download as module
from handgrad.data.download import download
from handgrad.errors import DataError

BODY = bytes(range(256)) * 1200  # about five blocks
SHA = hashlib.sha256(BODY).hexdigest()


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers path P with the function `server.answers[P]`, and notes (P, Range)."""

    def do_GET(self):
        self.server.requests.append((self.path, self.headers.get("Range")))
        self.server.answers[self.path](self)

    def start_of_range(self):
        asked = self.headers.get("Range")
        return int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in ({"Content_Length": len(body)} | headers).items():
            if value is not None:
                self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def good(handler, body=BODY):
    start = handler.start_of_range()
    content_range = f"bytes {start}-{len(body) - 1}/{len(body)}"
    handler.answer(206 if start else 200, body[start:], **({"Content_Range": content_range} if start else {}))


def breaks_off(handler, after=100_000):
    start = handler.start_of_range()
    content_range = {"Content_Range": f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"} if start else {}
    handler.answer(
        206 if start else 200, BODY[start : start + after], Content_Length=len(BODY) - start, **content_range
    )


def ignores_range(handler):
    handler.answer(200, BODY)


def wrong_bytes(handler):
    good(handler, BODY[::-1])


def endless(handler):
    handler.answer(200, b"", Content_Length=None)
    try:
        while True:
            handler.wfile.write(BODY)
    except OSError:
        pass  # the client hung up


@pytest.fixture
def server():
    """A running server; set `server.answers[path]`, read `server.requests`."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.answers, server.requests = {}, []
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def fetch(server, tmp_path):
    """Serves each given answer as a mirror, and downloads: fetch(*answers, **options) -> path."""

    def fetch(*answers, **options):
        for i, answer in enumerate(answers):
            server.answers[f"/{i}"] = answer
        urls = [f"{server.url}/{i}" for i in range(len(answers))]
        download(urls, tmp_path / "new" / "file", **({"sha256": SHA, "size": len(BODY), "timeout": 5.0} | options))
        return tmp_path / "new" / "file"

    return fetch


@pytest.fixture
def part(tmp_path):
    """Writes the part file of an earlier download."""

    def part(content):
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "file.part").write_bytes(content)

    return part


def alone(path):
    """The file is correct, and no other files are left in the folder."""
    return path.read_bytes() == BODY and [p.name for p in path.parent.iterdir()] == ["file"]


def test_a_good_mirror(fetch, server):
    seen = []
    assert alone(fetch(good, progress=lambda done, total: seen.append((done, total))))
    assert seen[0] == (0, len(BODY))
    assert seen[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert server.requests == [("/0", None)]


def test_a_file_that_is_there_is_not_fetched_again(fetch, server):
    fetch(good)
    assert alone(fetch(good))
    assert len(server.requests) == 1


def test_a_wrong_file_in_its_place_is_replaced(fetch, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "file").write_bytes(b"old")
    assert alone(fetch(good))


def test_a_part_is_gone_on_from(fetch, part, server):
    part(BODY[:70_000])
    assert alone(fetch(good))
    assert server.requests == [("/0", "bytes=70000-")]


def test_a_broken_transfer_is_gone_on_from_at_once(fetch, server):
    assert alone(fetch(breaks_off))
    assert [asked for _, asked in server.requests] == [None, "bytes=100000-", "bytes=200000-", "bytes=300000-"]


def test_a_mirror_that_always_breaks_off_hands_over_to_the_next(fetch, server):
    assert alone(fetch(lambda handler: breaks_off(handler, 10), good))
    assert server.requests[-1] == ("/1", "bytes=50-")


def test_a_complete_part_needs_no_network(fetch, part, server):
    part(BODY)
    assert alone(fetch(good))
    assert server.requests == []


@pytest.mark.parametrize(
    "content", [b"x" * 70_000, b"x" * len(BODY), b"x" * (len(BODY) + 1)], ids=["some", "all", "more"]
)
def test_a_bad_part_is_dropped(fetch, part, server, content):
    part(content)
    assert alone(fetch(good))
    assert server.requests[-1] == ("/0", None)


def test_a_server_without_ranges_starts_anew(fetch, part):
    part(b"x" * 70_000)
    assert alone(fetch(ignores_range))


@pytest.mark.parametrize(
    "content_range", ["bytes 5-307199/307200", f"bytes 70000-307199/{len(BODY) + 1}", "nonsense", None]
)
def test_an_answer_with_another_range_is_not_taken(fetch, part, server, content_range):
    def other_range(handler):
        if handler.start_of_range():
            handler.answer(206, BODY[70_000:], **({"Content_Range": content_range} if content_range else {}))
        else:
            handler.answer(404)

    part(BODY[:70_000])
    with pytest.raises(DataError, match="404"):
        fetch(other_range)
    assert server.requests == [("/0", "bytes=70000-"), ("/0", None)]


def test_416_starts_anew(fetch, part, server):
    part(BODY[:70_000])
    assert alone(fetch(lambda handler: handler.answer(416) if handler.start_of_range() else good(handler)))
    assert [asked for _, asked in server.requests] == ["bytes=70000-", None]


BAD = {
    "404": (lambda handler: handler.answer(404), r"/0 answered 404 Not Found"),
    "503": (lambda handler: handler.answer(503), r"/0 answered 503"),
    "wrong": (wrong_bytes, r"/0 sent a different file \(SHA-256 is not"),
    "shorter": (lambda handler: handler.answer(200, BODY[:-1]), r"/0 offers 307199 bytes, expected 307200"),
    "longer": (lambda handler: handler.answer(200, BODY, Content_Length=10**12), r"/0 offers 1000000000000 bytes"),
    "nonsense": (lambda handler: handler.answer(200, BODY, Content_Length="many"), r"/0 failed \("),
    "endless": (endless, r"/0 sends more than the 307200 bytes expected"),
    "cut": (lambda handler: handler.answer(200, BODY[:-1], Content_Length=None), r"/0 broke off after 307199 of"),
    "hangs up": (lambda handler: handler.wfile.write(b"\r\n"), r"/0 failed \("),
    "to a file": (lambda handler: handler.answer(302, Location="file:///etc/passwd"), r"/0 answered 302 .*not allowed"),
    "to ftp": (lambda handler: handler.answer(302, Location="ftp://127.0.0.1/x"), r"/0 failed \(unknown url type: ftp"),
    "in circles": (lambda handler: handler.answer(302, Location="/0"), r"/0 answered 302 .*infinite loop"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_mirror_hands_over_to_the_next(fetch, name):
    assert alone(fetch(BAD[name][0], good))


@pytest.mark.parametrize("name", BAD)
def test_a_bad_mirror_is_named_with_what_it_did(fetch, tmp_path, name):
    answer, message = BAD[name]
    with pytest.raises(DataError, match=message) as caught:
        fetch(answer)
    said = str(caught.value)
    assert said.startswith("file could not be downloaded: http://127.0.0.1")
    assert "Check the connection and try again (the download " in said
    assert said.endswith(f"or put the file at {tmp_path / 'new' / 'file'} yourself")
    assert "\n" not in said
    assert not (tmp_path / "new" / "file").exists()
    assert not (tmp_path / "new" / "file.lock").exists()


def test_all_mirrors_are_named(fetch):
    with pytest.raises(DataError, match=r"/0 answered 404 Not Found; http://127.0.0.1:\d+/1 sent a different file"):
        fetch(BAD["404"][0], wrong_bytes)


def test_wrong_bytes_are_not_asked_for_again(fetch, server):
    with pytest.raises(DataError, match="a different file"):
        fetch(wrong_bytes)
    assert server.requests == [("/0", None)]


def test_the_message_says_where_it_goes_on(fetch):
    with pytest.raises(DataError, match=r"\(the download resumes from byte 50\)"):
        fetch(lambda handler: breaks_off(handler, 10))


def repacked(handler):
    good(handler, BODY + b"packed worse")


def holds_the_body(path):
    return path.read_bytes().removesuffix(b"packed worse") == BODY


def test_a_file_that_holds_the_same_in_another_packing_is_taken(fetch, server):
    path = fetch(repacked, same_content=holds_the_body, most=2 * len(BODY))
    assert path.read_bytes() == BODY + b"packed worse"
    assert [p.name for p in path.parent.iterdir()] == ["file"]
    fetch(good, same_content=holds_the_body, most=2 * len(BODY))
    assert len(server.requests) == 1  # it is there already


def test_a_transfer_of_another_packing_is_gone_on_from(fetch, part):
    part(BODY[:70_000])
    path = fetch(repacked, same_content=holds_the_body, most=2 * len(BODY))
    assert path.read_bytes() == BODY + b"packed worse"


def test_other_content_is_refused_whatever_its_size(fetch):
    with pytest.raises(DataError, match="sent a different file"):
        fetch(lambda handler: good(handler, BODY[:-1]), same_content=holds_the_body, most=2 * len(BODY))
    with pytest.raises(DataError, match=f"offers {3 * len(BODY)} bytes, expected at most {2 * len(BODY)}"):
        fetch(lambda handler: good(handler, BODY * 3), same_content=holds_the_body, most=2 * len(BODY))
    with pytest.raises(DataError, match=f"sends more than the {2 * len(BODY)} bytes expected"):
        fetch(endless, same_content=holds_the_body, most=2 * len(BODY))


def test_a_redirect_is_followed(fetch, server):
    server.answers["/there"] = good
    assert alone(fetch(lambda handler: handler.answer(301, Location="/there")))


def test_nobody_listens(tmp_path):
    with pytest.raises(DataError, match=r"http://127.0.0.1:1/x failed \(.*Connection refused"):
        download(["http://127.0.0.1:1/x"], tmp_path / "file", sha256=SHA, size=1)


def test_a_silent_server_is_given_up(fetch):
    over = threading.Event()
    try:
        with pytest.raises(DataError, match=r"/0 failed \(timed out\)"):
            fetch(lambda handler: over.wait(10), timeout=0.2)
    finally:
        over.set()


@pytest.mark.parametrize("url", ["ftp://host/x", "file:///etc/passwd", "/etc/passwd", ""])
def test_only_http(tmp_path, url):
    with pytest.raises(DataError, match=r"url='.*' cannot be downloaded: expected an address that begins with http://"):
        download([url], tmp_path / "file", sha256=SHA, size=1)


def test_ctrl_c_keeps_the_part_and_the_next_call_goes_on(fetch, server, tmp_path):
    def interrupt(done, total):
        if done > 100_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(good, progress=interrupt)
    kept = (tmp_path / "new" / "file.part").stat().st_size
    assert 100_000 < kept < len(BODY)
    assert alone(fetch(good))
    assert server.requests[-1] == ("/0", f"bytes={kept}-")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")  # noqa: PTH110
def test_a_full_disk(fetch, tmp_path, server):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "file.part").symlink_to("/dev/full")
    with pytest.raises(
        DataError, match=r"file cannot be written \(No space left on device\): free some space or choose"
    ):
        fetch(good, good)
    assert len(server.requests) == 1  # another mirror would not help


def test_a_part_file_that_cannot_be_opened(fetch, tmp_path, monkeypatch, server):
    opened = Path.open

    def refuse(path, mode="r", *arguments, **options):
        if path.name == "file.part" and mode == "wb":
            raise PermissionError(13, "Permission denied")
        return opened(path, mode, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(
        DataError, match=r"file cannot be written \(Permission denied\): free some space or choose anoth"
    ):
        fetch(good, good)
    assert len(server.requests) == 1


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "blocked").write_text("a file")
    with pytest.raises(DataError, match=r"cannot be written \((File exists|Not a directory)\)"):
        download(["http://127.0.0.1:1/x"], tmp_path / "blocked" / "file", sha256=SHA, size=1)


def test_a_target_that_cannot_be_replaced(fetch, tmp_path):
    (tmp_path / "new" / "file").mkdir(parents=True)
    with pytest.raises(DataError, match=r"file cannot be written \(Is a directory\)"):
        fetch(good)


def test_two_at_once_fetch_once(fetch, server):
    running = threading.Barrier(2)

    def slow(handler):
        if len(server.requests) == 1:
            running.wait(5)
        good(handler)

    failed = []

    def run():
        try:
            fetch(slow)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    running.wait(5)
    for thread in threads:
        thread.join()
    assert not failed
    assert server.requests == [("/0", None)]


def test_a_file_system_without_locks_is_no_obstacle(fetch, monkeypatch):
    def no_locks(descriptor):
        raise OSError(errno.ENOTSUP, "no locks here")

    monkeypatch.setattr("handgrad.data.lock._try_lock", no_locks)
    assert alone(fetch(good))


def test_attempts_are_bounded(fetch, server):
    with pytest.raises(DataError, match="broke off"):
        fetch(lambda handler: breaks_off(handler, 1))
    assert len(server.requests) == module._ATTEMPTS

"""Downloads one file over HTTP from several mirrors, with resumed transfers and a verified checksum."""

from __future__ import annotations

import http.client
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib import request
from urllib.error import HTTPError, URLError

from handgrad.data.checksums import file_sha256
from handgrad.data.lock import exclusive
from handgrad.data.progress import Progress
from handgrad.errors import DataError

_BLOCK = 1 << 16
_ATTEMPTS = 5  # per mirror, as long as each attempt makes progress
_NETWORK_ERRORS = (OSError, http.client.HTTPException, ValueError)  # ValueError: a malformed address or header


class _MirrorFailed(Exception):
    """The mirror did not deliver the file; the message gives the reason."""


class _DiskFailed(Exception):
    """The part file cannot be written, independent of the mirror."""


def download(
    urls: Sequence[str],
    path: Path,
    *,
    sha256: str,
    size: int,
    same_content: Callable[[Path], bool] | None = None,
    most: int = 0,
    progress: Progress = lambda done, total: None,
    timeout: float = 30.0,
) -> None:
    """Downloads the file with this checksum to `path`; an existing file is replaced only by a verified one.

    Partial data are kept in `path`.part, so an interrupted download (Ctrl-C, a broken connection) is resumed by the
    next call. A second process that needs the same file waits for the first.

    Arguments:
        urls: http or https addresses of the same file, tried in turn.
        path: the target; its folder is created if necessary.
        sha256: checksum that the file must have, hexadecimal, unless `same_content` accepts it.
        size: size of the file with this checksum in bytes.
        same_content: whether a file with another checksum has the same content, with another compression; None to
            accept no such file.
        most: maximum size of such a file in bytes; no mirror can send more than the larger of `most` and `size`.
        progress: called with (received bytes, size).
        timeout: seconds without a response after which a mirror is given up.

    Raises: DataError that lists the failure of each mirror, or says that the file cannot be written.
    """
    for url in urls:
        if not re.match(r"https?://", url):
            raise DataError(
                f"url={url!r} cannot be downloaded: expected an address that begins with http:// or https://"
            )

    def is_right(file: Path) -> bool:
        return file_sha256(file) == sha256 or (same_content is not None and same_content(file))

    wanted = _Wanted(sha256, size, 1 if same_content else size, max(size, most) if same_content else size, is_right)
    part = path.with_name(f"{path.name}.part")
    failures: list[str] = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(path.with_name(f"{path.name}.lock")):
            if path.is_file() and is_right(path):  # another process was faster
                return
            for url in urls:
                try:
                    _fetch(url, part, wanted, progress, timeout)
                except _MirrorFailed as failure:
                    failures.append(" ".join(f"{url} {failure}".split()))
                else:
                    part.replace(path)
                    return
            kept = _size(part)
    except (OSError, _DiskFailed) as error:
        reason = error if isinstance(error, _DiskFailed) else error.strerror or error
        raise DataError(f"{path} cannot be written ({reason}): free some space or choose another folder") from None
    again = f"the download resumes from byte {kept}" if kept else "the download starts from the beginning"
    raise DataError(
        f"{path.name} could not be downloaded: {'; '.join(failures)}. Check the connection and try again "
        f"({again}), or put the file at {path} yourself"
    )


@dataclass(frozen=True)
class _Wanted:
    """The expected file: the size of the official one, the accepted sizes, and a check of the content."""

    sha256: str
    size: int
    least: int
    most: int
    is_right: Callable[[Path], bool]

    def of_size(self, bytes_: int) -> bool:
        return self.least <= bytes_ <= self.most


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _fetch(url: str, part: Path, wanted: _Wanted, progress: Progress, timeout: float) -> None:
    """Leaves the complete, verified file at `part`, or raises _MirrorFailed."""
    if _size(part) > wanted.most:
        part.unlink()
    for _ in range(_ATTEMPTS):
        start = _size(part)
        failure = "" if start == wanted.size else _transfer(url, part, start, wanted, progress, timeout)
        now = _size(part)
        if not failure:
            if wanted.is_right(part):
                return
            part.unlink()
            failure = f"sent a different file (SHA-256 is not {wanted.sha256[:12]}...)"
            if start == 0:  # everything came from this mirror, which would send the same again
                break
        elif now <= start and not (start and now == 0):  # no progress; start again if the part file was discarded
            break
    raise _MirrorFailed(failure)


def _transfer(url: str, part: Path, start: int, wanted: _Wanted, progress: Progress, timeout: float) -> str:
    """Appends the data from byte `start` on to `part`. Returns an error message, or "" if they are complete."""
    headers = {"User-Agent": "handgrad", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        with _opener().open(request.Request(url, headers=headers), timeout=timeout) as response:
            if start and response.status == 200:
                start = 0  # the server does not support ranges and sends everything
            elif start and not _continues(response.headers.get("Content-Range", ""), start, wanted):
                part.unlink()
                return f"answered a request for bytes {start}- with status {response.status} and different bytes"
            length = response.headers.get("Content-Length")
            total = wanted.size if length is None else start + int(length)
            if not wanted.of_size(total):
                return f"offers {total} bytes, expected {_at_most(wanted)}"
            return _write(response, part, start, total, wanted, progress)
    except HTTPError as error:
        error.close()
        if start:
            part.unlink()  # 416 and similar: the part file may be the cause
        return f"answered {error.code} {error.reason}"
    except _NETWORK_ERRORS as error:
        return f"failed ({error.reason if isinstance(error, URLError) else error or type(error).__name__})"


def _at_most(wanted: _Wanted) -> str:
    return f"{wanted.size}" if wanted.least == wanted.most else f"at most {wanted.most}"


def _continues(content_range: str, start: int, wanted: _Wanted) -> bool:
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", content_range.strip())
    return found is not None and int(found[1]) == start and (found[2] == "*" or wanted.of_size(int(found[2])))


def _write(
    response: http.client.HTTPResponse, part: Path, start: int, total: int, wanted: _Wanted, progress: Progress
) -> str:
    """Writes the body to `part` from byte `start` on. Raises network errors unchanged, disk errors as _DiskFailed."""
    done = start
    try:
        stream = part.open("ab" if start else "wb")
    except OSError as error:
        raise _DiskFailed(error.strerror) from None
    with stream:
        progress(done, total)
        while block := response.read1(_BLOCK):
            done += len(block)
            if done > wanted.most:
                break
            try:
                stream.write(block)
                stream.flush()
            except OSError as error:
                raise _DiskFailed(error.strerror) from None
            progress(done, total)
    if done > wanted.most:
        part.unlink()
        return f"sends more than the {wanted.most} bytes expected"
    return f"broke off after {done} of {total} bytes" if done < total else ""


def _opener() -> request.OpenerDirector:
    """Like `urllib.request.urlopen`, but only for http and https, so no redirect can lead to ftp:// or file://."""
    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler,
        request.HTTPHandler,
        request.HTTPSHandler,
        request.HTTPDefaultErrorHandler,
        request.HTTPRedirectHandler,
        request.HTTPErrorProcessor,
        request.UnknownHandler,
    ):
        opener.add_handler(handler())
    return opener

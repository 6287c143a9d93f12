"""Downloads a file over HTTP from several mirrors, with resumption and SHA-256 verification."""

from __future__ import annotations

import http.client
import re
from collections.abc import Sequence
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
    progress: Progress = lambda done, total: None,
    timeout: float = 30.0,
) -> None:
    """Downloads the file with this checksum to `path`; an existing file is replaced only by a verified one.

    Partial data are kept in `path`.part, so an interrupted download (Ctrl-C, a broken connection) is resumed by the
    next call. A second process that needs the same file waits for the first.

    Arguments:
        urls: http or https addresses of the same file, tried in turn.
        path: the target; its folder is created.
        sha256: expected checksum, hexadecimal.
        size: expected size in bytes; a mirror cannot send more.
        progress: called with (received bytes, size).
        timeout: seconds without a response after which a mirror is abandoned.

    Raises: DataError that lists the failure of each mirror, or that the file cannot be written.
    """
    for url in urls:
        if not re.match(r"https?://", url):
            raise DataError(
                f"url={url!r} cannot be downloaded: expected an address that begins with http:// or https://"
            )
    part = path.with_name(f"{path.name}.part")
    failures: list[str] = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(path.with_name(f"{path.name}.lock")):
            if path.is_file() and file_sha256(path) == sha256:  # another process was faster
                return
            for url in urls:
                try:
                    _fetch(url, part, sha256, size, progress, timeout)
                except _MirrorFailed as failure:
                    failures.append(" ".join(f"{url} {failure}".split()))
                else:
                    part.replace(path)
                    return
            kept = _size(part)
    except (OSError, _DiskFailed) as error:
        reason = error if isinstance(error, _DiskFailed) else error.strerror or error
        raise DataError(f"{path} cannot be written ({reason}): free some space or choose another folder") from None
    again = f"goes on from byte {kept}" if kept else "starts anew"
    raise DataError(
        f"{path.name} could not be downloaded: {'; '.join(failures)}. Check the connection and run it again "
        f"(it {again}), or put the file at {path} by hand"
    )


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _fetch(url: str, part: Path, sha256: str, size: int, progress: Progress, timeout: float) -> None:
    """Leaves the complete, verified file at `part`, or raises _MirrorFailed."""
    if _size(part) > size:
        part.unlink()
    for _ in range(_ATTEMPTS):
        start = _size(part)
        failure = ""
        if start < size:
            failure = _transfer(url, part, start, size, progress, timeout)
        now = _size(part)
        if now == size:
            if file_sha256(part) == sha256:
                return
            part.unlink()
            failure = f"sent other bytes than expected (SHA-256 is not {sha256[:12]}...)"
            if start == 0:  # all bytes came from this mirror, so a retry would not help
                break
        elif now <= start and not (start and now == 0):  # no progress; start again if the part file was discarded
            break
    raise _MirrorFailed(failure)


def _transfer(url: str, part: Path, start: int, size: int, progress: Progress, timeout: float) -> str:
    """Appends the data from byte `start` on to `part`. Returns an error message, or "" on success."""
    headers = {"User-Agent": "handgrad", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        with _opener().open(request.Request(url, headers=headers), timeout=timeout) as response:
            if start and response.status == 200:
                start = 0  # the server does not support ranges and sends the whole file
            elif start and not _continues(response.headers.get("Content-Range", ""), start, size):
                part.unlink()
                return f"answered a request for bytes {start}- with status {response.status} and other bytes"
            length = response.headers.get("Content-Length")
            if length is not None and start + int(length) != size:
                return f"offers {start + int(length)} bytes, expected {size}"
            return _write(response, part, start, size, progress)
    except HTTPError as error:
        error.close()
        if start:
            part.unlink()  # 416 and similar: the part file may be the cause
        return f"answered {error.code} {error.reason}"
    except _NETWORK_ERRORS as error:
        return f"failed ({error.reason if isinstance(error, URLError) else error or type(error).__name__})"


def _continues(content_range: str, start: int, size: int) -> bool:
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", content_range.strip())
    return found is not None and int(found[1]) == start and found[2] in (str(size), "*")


def _write(response: http.client.HTTPResponse, part: Path, start: int, size: int, progress: Progress) -> str:
    """Writes the body to `part` from byte `start` on. Network errors propagate; disk errors become _DiskFailed."""
    done = start
    try:
        stream = part.open("ab" if start else "wb")
    except OSError as error:
        raise _DiskFailed(error.strerror) from None
    with stream:
        progress(done, size)
        while block := response.read1(_BLOCK):
            done += len(block)
            if done > size:
                break
            try:
                stream.write(block)
                stream.flush()
            except OSError as error:
                raise _DiskFailed(error.strerror) from None
            progress(done, size)
    if done > size:
        part.unlink()
        return f"sends more than the {size} bytes expected"
    return f"broke off after {done} of {size} bytes" if done < size else ""


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

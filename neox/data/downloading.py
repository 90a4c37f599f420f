"""Files from a web server: resumed where they were cut off, checked, complete or not there."""

import hashlib
import shutil
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from neox.data.errors import DataError
from neox.data.token_file import half

BLOCK = 1 << 20
TIMEOUT = 60.0  # seconds without a byte
TRIES = 6  # in a row that bring nothing new
PAUSE = 1.0  # seconds after the first of them, twice as long after each


@dataclass(frozen=True, kw_only=True)
class Download:
    url: str
    path: Path  # appears when the file is whole
    sha256: str | None  # what it must be, where somebody says it


def download(
    wanted: Download, tell: Callable[[int, int | None], None], pause: float = PAUSE
) -> str:
    """Fetch one file, going on from `PATH.part`; its SHA-256.

    `tell` hears how many bytes are there, and of how many. Raises DataError in one line where
    there is no network, no such file, no space, or the checksum differs: the file is then gone.
    """
    wanted.path.parent.mkdir(parents=True, exist_ok=True)
    part = half(wanted.path, ".part")
    failures = 0
    while True:
        before = _size(part)
        try:
            if _fetch(wanted.url, part, tell):
                break
            reason = "the connection was cut"
        except (OSError, HTTPException) as error:
            reason = _reason(wanted.url, error)
        failures = 0 if _size(part) > before else failures + 1
        if failures == TRIES:
            raise DataError(
                f"{wanted.url}: {reason}, {TRIES} times in a row; the same command goes on from "
                f"byte {_size(part):,}"
            )
        time.sleep(pause * 2**failures if failures else 0)
    found = sha256_of(part)
    if wanted.sha256 not in (None, found):
        part.unlink()
        half(part, ".etag").unlink(missing_ok=True)
        raise DataError(
            f"{wanted.url}: its SHA-256 is {found}, but should be {wanted.sha256}; it was removed. "
            "The server has another file, or the checksum is of another one"
        )
    part.replace(wanted.path)
    half(part, ".etag").unlink(missing_ok=True)
    return found


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(url: str, part: Path, tell: Callable[[int, int | None], None]) -> bool:
    """Bytes of `url` behind those of `part`; whether it is whole now."""
    have, tag = _size(part), half(part, ".etag")
    request = Request(url)
    if have and tag.is_file():
        # what is there is of this file alone: a server with another sends all of its own
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", tag.read_text())
    response: HTTPResponse
    try:
        response = urlopen(request, timeout=TIMEOUT)
    except HTTPError as error:
        if error.code == 416 and error.headers.get("Content-Range") == f"bytes */{have}":
            return True  # it had come to its end, and we were killed before saying so
        raise
    with response:
        goes_on = response.status == 206
        start = have if goes_on else 0
        length = response.headers.get("Content-Length")
        total = None if length is None else start + int(length)
        _require_space(part, total, start)
        _remember(tag, response)
        with part.open("ab" if goes_on else "wb") as file:
            tell(start, total)
            while block := response.read(BLOCK):
                file.write(block)
                start += len(block)
                tell(start, total)
    return total is None or start == total


def _remember(tag: Path, response: HTTPResponse) -> None:
    """What names this version of the file, for If-Range; a weak tag does not."""
    found = response.headers.get("ETag")
    if found is None or found.startswith("W/"):
        found = response.headers.get("Last-Modified")
    if found is None:
        tag.unlink(missing_ok=True)
    else:
        tag.write_text(found)


def _require_space(part: Path, total: int | None, have: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - have > free:
        raise DataError(
            f"{part.parent}: {free / 1e9:,.1f} GB free, {(total - have) / 1e9:,.1f} GB to come"
        )


def _reason(url: str, error: Exception) -> str:
    """Why it failed, where trying again may help. Raises DataError where it cannot."""
    host = urlsplit(url).hostname
    if isinstance(error, HTTPError):
        if error.code < 500 and error.code not in (408, 429):
            raise DataError(
                f"{url}: the server says {error.code} {error.reason}; another server may have it: "
                "--mirror URL"
            ) from None
        return f"the server says {error.code} {error.reason}"
    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, socket.gaierror):
        raise DataError(
            f"{url}: the name {host} is not known here: this machine has no network, or none to "
            "the outside; download on a login or data-transfer node"
        ) from None
    if isinstance(cause, OSError) and not isinstance(cause, ConnectionError | TimeoutError):
        raise DataError(f"{url}: {cause.strerror or cause}") from None
    return str(cause) or type(cause).__name__


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0

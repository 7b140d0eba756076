"""One file over HTTP, resumed where an earlier attempt broke off."""

from collections.abc import Iterator
from pathlib import Path

import requests
import urllib3

from filterlab.data.progress import Progress
from filterlab.files import blaming

TIMEOUT = (10.0, 30.0)  # seconds until a connection stands, and until the next bytes come
ATTEMPTS = 5  # requests to a mirror that keeps breaking off
BLOCK = 1 << 16


class MirrorError(Exception):
    """Why a mirror has not delivered; `unreachable` where it cannot be expected to deliver another file either."""

    def __init__(self, reason: str, *, unreachable: bool = False):
        super().__init__(reason)
        self.unreachable = unreachable


class BrokenOff(Exception):
    """The connection ended, or fell silent, in the middle of the file."""


def download(url: str, *, partial: Path, progress: Progress) -> None:
    """Complete the file `partial` with what is still missing of `url`; nothing is verified here.

    Whatever ends this early (also Ctrl-C), `partial` keeps what has come, and the next call asks for the rest.
    Raises MirrorError, and DataError if `partial` cannot be written.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _request(url, partial=partial, progress=progress)
        except BrokenOff as error:
            reason = str(error)
            progress.message(f"{url}: broke off ({reason}), attempt {attempt} of {ATTEMPTS}")
    raise MirrorError(f"broke off {ATTEMPTS} times ({reason}); what has come is kept")


def _request(url: str, *, partial: Path, progress: Progress) -> None:
    start = partial.stat().st_size if partial.exists() else 0
    # identity: the files are gzipped themselves, and their checksums are of the bytes as stored
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with _get(url, headers) as response:
        resumed = response.status_code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
        if start and not resumed and response.status_code in (206, 416):
            partial.unlink()  # longer than the file, or the mirror sends another part than was asked for
            return _request(url, partial=partial, progress=progress)
        if response.status_code != 200 and not resumed:
            raise MirrorError(f"answered {response.status_code} {response.reason}")
        done = start if resumed else 0
        length = response.headers.get("Content-Length", "")
        progress.started(partial.stem, done=done, total=done + int(length) if length.isdecimal() else None)
        with blaming(partial, verb="write"):
            partial.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("ab" if resumed else "wb") as file:
                for block in _blocks(response):
                    file.write(block)
                    progress.advanced(len(block))


def _get(url: str, headers: dict[str, str]) -> requests.Response:
    try:
        return requests.get(url, headers=headers, stream=True, timeout=TIMEOUT)
    except requests.RequestException as error:
        raise MirrorError(f"cannot be reached ({_cause(error)})", unreachable=True) from error


def _blocks(response: requests.Response) -> Iterator[bytes]:
    """The body as it is sent: requests' own iter_content would unzip it where a server labels it Content-Encoding: gzip."""
    try:
        yield from response.raw.stream(BLOCK, decode_content=False)
    except urllib3.exceptions.HTTPError as error:
        raise BrokenOff(_cause(error)) from error


def _cause(error: BaseException) -> str:
    """The innermost reason, e.g. "Connection refused": the outer ones repeat the address at length."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return str(getattr(error, "strerror", None) or error)

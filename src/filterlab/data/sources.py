"""Download of a data set's files from mirrors, checked against their published MD5."""

import gzip
import hashlib
import os
import time
from pathlib import Path

from filterlab.config import schema
from filterlab.data import published
from filterlab.data.download import MirrorError
from filterlab.data.download import download as download_file
from filterlab.data.progress import Progress
from filterlab.errors import DataError, UnreachableError
from filterlab.files import blaming, replacing
from filterlab.seal import sha256

VARIABLE = "FILTERLAB_MIRROR"


def download(data: schema.Data, *, raw: Path, partial: Path, progress: Progress) -> None:
    """Bring the files of a data set to raw/<data.folder>/raw/, gzipped as published and unpacked beside it, and their digests.

    Mirrors are asked in turn: the folder or URL that the environment names in FILTERLAB_MIRROR, then `data.mirrors`. `raw` is
    written only once every file has come and has its published MD5; until then what has come stays in `partial`. A data set
    without files is made from scikit-learn's bundled digits, as unpacked IDX files alone. A user's own is read
    where it lies: nothing is brought.

    Raises UnreachableError if no mirror has delivered a file; DataError if one has, but damaged, if FILTERLAB_MIRROR names
    nothing that could be a mirror, if a file that was not written here stands where one would be written, and if the disk is full
    or a folder cannot be written.
    """
    folder = published.place(raw, data)
    if isinstance(data, schema.Own) and not data.files:
        with blaming(raw, verb="write"):
            folder.mkdir(parents=True, exist_ok=True)
        return
    if data.files:
        fetcher = _Fetcher(data, partial=partial, progress=progress)
        fetched = {name: _in_place(folder / name, md5) or fetcher.fetch(name, md5) for name, md5 in data.files.items()}
        contents = {}
        for name, content in fetched.items():
            contents[name] = content
            if name.endswith(".gz"):
                contents[name.removesuffix(".gz")] = gzip.decompress(content)
    else:
        from filterlab.data import digits  # scikit-learn takes seconds to import

        contents = digits.files(height=data.height, width=data.width)
    ours = (raw / data.folder / published.DIGESTS).exists()
    for name, content in contents.items():
        _write(folder / name, content, ours=ours)
    unpacked = {name: sha256(content) for name, content in contents.items() if not name.endswith(".gz")}
    published.write_digests(raw, data, unpacked)
    for name, md5 in data.files.items():
        _remove(_partial(partial, name, md5))


def mirrors(data: schema.Data) -> list[Path | str]:
    """Folders and URLs to ask, in order. Raises DataError if FILTERLAB_MIRROR is neither a folder nor an HTTP address."""
    named = os.environ.get(VARIABLE, "")
    if not named:
        return list(data.mirrors)
    if named.startswith(("http://", "https://")):
        return [named, *data.mirrors]
    if not Path(named).is_dir():
        raise DataError(
            f"{VARIABLE} is {named!r}, which is no folder (seen from {Path.cwd()}) and no http(s):// address: "
            f"expected where the files of {data.name} are ({', '.join(data.files)}). "
            "Correct it, or unset it to use the public mirrors."
        )
    return [Path(named), *data.mirrors]


class _Fetcher:
    """Asks the mirrors of one data set; one that cannot be reached is not asked for the next file again."""

    def __init__(self, data: schema.Data, *, partial: Path, progress: Progress):
        self.data, self.partial, self.progress = data, partial, progress
        self.mirrors = mirrors(data)
        self.unreachable: dict[Path | str, str] = {}

    def fetch(self, name: str, md5: str) -> bytes:
        """The verified content of one file. Raises UnreachableError or DataError as `download` does."""
        partial = _partial(self.partial, name, md5)
        if content := _in_place(partial, md5):
            self.progress.message(f"{name}: {len(content):,} bytes from an earlier attempt ({partial})")
            return content
        faults, damaged = [], False
        for mirror in self.mirrors:
            begun = time.monotonic()
            try:
                content = self._ask(mirror, name, md5, partial)
            except (MirrorError, _DamagedError) as error:
                damaged |= isinstance(error, _DamagedError)
                faults.append(f"{mirror}: {error}")
                self.progress.message(f"{name}: {faults[-1]}")
            else:
                self.progress.message(f"{name}: {len(content):,} bytes from {mirror} in {time.monotonic() - begun:.1f} s")
                return content
        raise self._error(name, faults, damaged)

    def _ask(self, mirror: Path | str, name: str, md5: str, partial: Path) -> bytes:
        if mirror in self.unreachable:
            raise MirrorError(self.unreachable[mirror])
        if isinstance(mirror, Path):
            return _verified(_from_folder(mirror / name), md5)
        resumed = partial.exists()
        try:
            download_file(f"{mirror.rstrip('/')}/{name}", partial=partial, progress=self.progress)
        except MirrorError as error:
            if error.unreachable:
                self.unreachable[mirror] = str(error)
            raise
        try:
            return _verified(partial.read_bytes(), md5)
        except _DamagedError:
            _remove(partial)
            if resumed:  # the damage may be in the part that was there before: ask for the whole file
                return self._ask(mirror, name, md5, partial)
            raise

    def _error(self, name: str, faults: list[str], damaged: bool) -> DataError:
        kind = DataError if damaged else UnreachableError
        return kind(
            f"{name} of {self.data.name}: no mirror has delivered it{' undamaged' if damaged else ''}:\n"
            + "".join(f"  - {fault}\n" for fault in faults)
            + "Two ways out:\n"
            + f"  1. put {', '.join(self.data.files)} into a folder and name it: export {VARIABLE}=/path/to/folder\n"
            + "  2. set `data: digits` in params.yaml (and `experiment: none`, where it names one): "
            + "scikit-learn's bundled digits need no network"
        )


class _DamagedError(Exception):
    """A mirror has delivered something else than the published file."""


def _verified(content: bytes, md5: str) -> bytes:
    found = _md5(content)
    if found != md5:
        raise _DamagedError(f"delivered {len(content):,} bytes with the MD5 {found}, expected {md5}")
    return content


def _from_folder(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise MirrorError(f"has no readable {path.name} ({error.strerror})") from error


def _in_place(path: Path, md5: str) -> bytes | None:
    """The content of a file that is there and is the published one."""
    if not path.exists():
        return None
    with blaming(path, verb="read"):
        content = path.read_bytes()
    return content if _md5(content) == md5 else None


def _write(path: Path, content: bytes, *, ours: bool) -> None:
    """`ours`: download has written into this folder before, so that what differs is damaged or out of date."""
    with blaming(path, verb="read"):
        if path.exists():
            if path.read_bytes() == content:
                return
            if not ours:
                raise DataError(f"{path} is there and is not what would be written, nor was it written here: move it elsewhere")
    with replacing(path) as file:
        file.write(content)


def _remove(path: Path) -> None:
    with blaming(path, verb="remove"):
        if path.exists():
            path.unlink()


def _partial(folder: Path, name: str, md5: str) -> Path:
    """Named with the checksum, since MNIST and Fashion-MNIST have files of the same names."""
    return folder / f"{name}.{md5}"


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()

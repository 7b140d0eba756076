"""A folder, a .zip, a .tar or a .tar.gz as one thing: the names of its files, and where the bytes of each lie.

Told by content. Nothing is unpacked beside the archive or anywhere that its names say: files are read by their place in it.
"""

import gzip
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from filterlab.errors import DataError
from filterlab.files import blaming

LARGEST = 1 << 29  # bytes of one file in an archive, unpacked: no picture has more
GROWTH = 200  # a .tar.gz that unpacks to more than this many times its size is no archive of pictures
LEFT_OUT = {"__MACOSX", "Thumbs.db", "desktop.ini"}  # what systems leave behind, besides names that begin with a dot


class Unreadable(ValueError):
    """Why a file in an archive has no bytes to give."""


@dataclass(frozen=True)
class OnDisk:
    path: str

    def content(self) -> bytes:
        return Path(self.path).read_bytes()


@dataclass(frozen=True)
class InZip:
    """Read by itself: zipfile would read the list of all names first, in each process."""

    archive: str
    offset: int  # of its header
    method: int
    packed: int  # bytes
    size: int
    crc: int

    def content(self) -> bytes:
        if self.size > LARGEST:
            raise Unreadable(f"unpacks to {self.size:,} bytes by its header, at most {LARGEST:,} are read")
        file = _opened(self.archive)
        header = os.pread(file, 30, self.offset)
        if len(header) < 30 or header[:4] != b"PK\3\4":
            raise Unreadable("is damaged in the archive (no header where it should be)")
        begin = self.offset + 30 + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        content = os.pread(file, self.packed, begin)
        if self.method == zipfile.ZIP_DEFLATED:
            try:
                content = zlib.decompressobj(-15).decompress(content, self.size + 1)
            except zlib.error as error:
                raise Unreadable(f"is damaged in the archive ({error})") from error
        if len(content) != self.size or zlib.crc32(content) != self.crc:
            raise Unreadable("is damaged in the archive (its checksum differs)")
        return content


@dataclass(frozen=True)
class InTar:
    archive: str
    offset: int
    size: int

    def content(self) -> bytes:
        if self.size > LARGEST:
            raise Unreadable(f"has {self.size:,} bytes by its header, at most {LARGEST:,} are read")
        content = os.pread(_opened(self.archive), self.size, self.offset)
        if len(content) < self.size:
            raise Unreadable("is cut short: the archive ends early")
        return content


Place = OnDisk | InZip | InTar


def files(path: Path, *, scratch: Path) -> dict[str, Place]:
    """The files of a folder or an archive by their names below it (with /), sorted; hidden ones are left out.

    scratch: a folder for the unpacked archive of a .tar.gz, which has to last as long as its files are read.

    Raises DataError: it is neither, it can't be read, or it has a name that leads elsewhere.
    """
    if path.is_dir():
        found = _in_folder(path)
    elif not path.is_file():
        raise DataError(f"{path} is no file and no folder, or not there: expected a folder of pictures, or an archive of one")
    else:
        with blaming(path, verb="read"), path.open("rb") as file:
            begins = file.read(265)
        if zipfile.is_zipfile(path):
            found = _in_zip(path)
        elif begins[:2] == b"\x1f\x8b":
            found = _in_tar(_unpacked(path, scratch), called=path)
        elif begins[257:262] == b"ustar":
            found = _in_tar(path, called=path)
        elif begins[:4] == b"PK\3\4":
            raise DataError(f"{path} is a .zip without its end, where the list of its files is: copy or fetch it again, whole")
        else:
            raise DataError(
                f"{path} begins with {begins[:4]!r}: expected a folder of pictures by class, or a .zip, .tar or .tar.gz of one"
            )
    return {name: found[name] for name in sorted(found) if not _hidden(name)}


def _in_folder(path: Path) -> dict[str, Place]:
    found: dict[str, Place] = {}

    def fail(error: OSError) -> None:
        raise DataError(f"cannot read {error.filename}: {error.strerror}") from error

    for folder, below, names in os.walk(path, onerror=fail):
        for name in below:
            if (Path(folder) / name).is_symlink() and not _hidden(name):
                raise DataError(
                    f"{Path(folder) / name} is a symbolic link to a folder: DVC looks into none, so that a change there would go "
                    "unseen. Put the folder itself there"
                )
        for name in names:
            whole = f"{folder}/{name}"
            found[_sound(os.path.relpath(whole, path), path)] = OnDisk(whole)
    return found


def _in_zip(path: Path) -> dict[str, Place]:
    found: dict[str, Place] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            listed = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError) as error:
        raise DataError(f"{path} is no sound .zip ({error}): pack the folder anew") from error
    for about in listed:
        if about.is_dir():
            continue
        if about.flag_bits & 1:
            raise DataError(f"{path}: {about.filename} is encrypted: unpack the archive, and name the folder")
        if about.external_attr >> 28 == 0o12:
            raise DataError(
                f"{path}: {about.filename} is a symbolic link, expected files: pack the folder anew, with what it means"
            )
        if about.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DataError(f"{path}: {about.filename} is packed in a way that is not read: pack the folder anew, by `zip -r`")
        found[_sound(about.filename, path)] = InZip(
            str(path), about.header_offset, about.compress_type, about.compress_size, about.file_size, about.CRC
        )
    return found


def _in_tar(path: Path, *, called: Path) -> dict[str, Place]:
    found: dict[str, Place] = {}
    try:
        with tarfile.open(path, "r:") as archive:
            for about in archive:
                if about.issym() or about.islnk():
                    raise DataError(
                        f"{called}: {about.name} is a link, expected files: pack the folder anew, with what it means (tar -h)"
                    )
                if about.isfile():
                    found[_sound(about.name, called)] = InTar(str(path), about.offset_data, about.size)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DataError(f"{called} is no sound .tar ({error}): pack the folder anew") from error
    return found


def _unpacked(path: Path, scratch: Path) -> Path:
    """The plain archive of a .tar.gz."""
    plain, most, size = scratch / "unpacked.tar", GROWTH * path.stat().st_size + (1 << 20), 0
    try:
        with gzip.open(path) as packed, plain.open("wb") as file:
            while block := packed.read(1 << 20):
                size += len(block)
                if size > most:
                    raise DataError(f"{path} unpacks to more than {GROWTH} times its size: no archive of pictures does")
                if size == len(block) and block[257:262] != b"ustar":
                    raise DataError(f"{path} is gzipped, but holds no .tar: expected a folder of pictures by class, packed")
                file.write(block)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(f"{path} is no sound .tar.gz ({error}): pack the folder anew") from error
    return plain


def _sound(name: str, path: Path) -> str:
    """The name of a file, without ./ before it. Raises DataError: it leads out of the folder, or is no text."""
    parts = PurePosixPath(name).parts
    if ".." in parts or name.startswith("/"):
        raise DataError(f"{path}: the name {name!r} leads out of the archive: pack the folder anew")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise DataError(f"{path}: the name {name!r} is no UTF-8: rename the file") from None
    return "/".join(parts)


def _hidden(name: str) -> bool:
    return any(part.startswith(".") or part in LEFT_OUT for part in name.split("/"))


@contextmanager
def kept_open() -> Iterator[None]:
    """For the time of the block, archives that are read from stay open."""
    try:
        yield
    finally:
        for file in _FILES.values():
            os.close(file)
        _FILES.clear()


_FILES: dict[str, int] = {}  # descriptors by path, while `kept_open`


def _opened(path: str) -> int:
    if path not in _FILES:
        _FILES[path] = os.open(path, os.O_RDONLY)
    return _FILES[path]

"""Folders and archives: the same pictures give the same data, and no name or size leads an archive astray."""

import gzip
import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import herbs
from filterlab.data.own import tree
from filterlab.data.own.collection import read_all
from filterlab.data.own.layout import Entry
from filterlab.data.own.picture import Seen
from filterlab.data.own.sources import pictures
from filterlab.data.progress import Progress
from filterlab.errors import DataError


def zipped(folder: Path, archive: Path) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.write(folder, folder.name)
        for path in sorted(folder.rglob("*")):
            file.write(path, path.relative_to(folder.parent).as_posix())


def tarred(folder: Path, archive: Path, mode: str = "w:") -> None:
    with tarfile.open(archive, mode) as file:
        file.add(folder, folder.name)


PACKED: dict[str, Callable[[Path, Path], None]] = {
    "zip": zipped,
    "tar": tarred,
    "tar.gz": lambda folder, archive: tarred(folder, archive, "w:gz"),
}


def contents(path: Path, scratch: Path) -> list[tuple[Entry, Seen]]:
    found = pictures(path, scratch, herbs.option(path))
    assert {type(place).__name__ for place in found.places} <= {"OnDisk", "InZip", "InTar"}
    seen = read_all(found, None, None, progress=Progress())
    return [
        (entry._replace(name=entry.name.removeprefix("herbs/")), about) for entry, about in zip(found.entries, seen, strict=True)
    ]


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("called", ["as.it.is", "wrong.jpg"])
def test_an_archive_is_told_by_content_and_gives_what_the_folder_does(tmp_path: Path, kind: str, called: str) -> None:
    folder = herbs.grow(tmp_path / "herbs", each=3)
    (folder / "mint/.hidden.png").write_bytes(b"left out")
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX/000.png").write_bytes(b"left out")
    PACKED[kind](folder, tmp_path / called)
    expected = contents(folder, tmp_path)
    assert len(expected) == 9 and not any(about.fault for _, about in expected)
    before = sorted(tmp_path.rglob("*"))
    assert contents(tmp_path / called, tmp_path) == expected
    assert sorted({*tmp_path.rglob("*")} - {*before}) == ([tmp_path / "unpacked.tar"] if kind == "tar.gz" else [])


@pytest.mark.parametrize("kind", PACKED)
def test_an_archive_that_is_damaged_names_what_it_lost(tmp_path: Path, kind: str) -> None:
    PACKED[kind](herbs.grow(tmp_path / "herbs", each=3), tmp_path / "packed")
    whole = (tmp_path / "packed").read_bytes()
    (tmp_path / "packed").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"packed (is no sound .*: pack the folder anew|is a \.zip without its end)"):
        contents(tmp_path / "packed", tmp_path)
    where = whole.index(b"IDAT", whole.index(b"thyme/002") if kind != "tar.gz" else 0) if kind == "tar" else len(whole) // 2
    (tmp_path / "packed").write_bytes(whole[:where] + b"\xff\xfe\xfd" + whole[where + 3 :])
    if kind == "tar.gz":
        with pytest.raises(DataError, match=r"packed is no sound \.tar\.gz"):
            contents(tmp_path / "packed", tmp_path)
    else:
        faults = [about.fault for _, about in contents(tmp_path / "packed", tmp_path) if about.fault]
        assert len(faults) == 1 and faults[0].startswith("is ")


NAMES = ["../outside/1.png", "basil/../../1.png", "/basil/1.png"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_leads_out_of_the_archive(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(name, b"")
    with tarfile.open(tmp_path / "a.tar", "w:") as tar:
        tar.addfile(tarfile.TarInfo(name))
    for packed in ("a.zip", "a.tar"):
        with pytest.raises(DataError) as raised:
            tree.files(tmp_path / packed, scratch=tmp_path)
        assert str(raised.value) == f"{tmp_path / packed}: the name {name!r} leads out of the archive: pack the folder anew"


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_in_archives(tmp_path: Path, kind: bytes) -> None:
    about = tarfile.TarInfo("basil/1.png")
    about.type, about.linkname = kind, "/etc/passwd"
    with tarfile.open(tmp_path / "a.tar", "w:") as tar:
        tar.addfile(about)
    with pytest.raises(DataError, match=r"basil/1\.png is a link, expected files: pack the folder anew, with what it means"):
        tree.files(tmp_path / "a.tar", scratch=tmp_path)
    member = zipfile.ZipInfo("basil/1.png")
    member.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(member, "/etc/passwd")
    with pytest.raises(DataError, match=r"basil/1\.png is a symbolic link, expected files"):
        tree.files(tmp_path / "a.zip", scratch=tmp_path)


def test_links_to_folders_and_loops(tmp_path: Path) -> None:
    folder = herbs.grow(tmp_path / "herbs", each=2)
    (folder / "mint/again").symlink_to(folder)
    with pytest.raises(DataError, match=r"herbs/mint/again is a symbolic link to a folder: DVC looks into none"):
        contents(folder, tmp_path)
    (folder / "mint/again").unlink()
    (folder / "mint/linked.png").symlink_to(folder / "basil/000.png")
    (folder / "mint/nothing.png").symlink_to(folder / "basil/999.png")
    seen = {entry.name: about.fault for entry, about in contents(folder, tmp_path)}
    assert len(seen) == 8 and {name: fault for name, fault in seen.items() if fault} == {
        "mint/nothing.png": "No such file or directory"
    }


def test_bombs_are_refused_by_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A member that claims to be larger than any picture is not unpacked, and neither is an archive that grows without end."""
    monkeypatch.setattr(tree, "LARGEST", 5_000)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("basil/1.png", bytes(6_000))
    about = tarfile.TarInfo("basil/1.png")
    about.size = 6_000
    with tarfile.open(tmp_path / "a.tar", "w:") as tar:
        tar.addfile(about, io.BytesIO(bytes(6_000)))
    for packed in ("a.zip", "a.tar"):
        ((_, seen),) = contents(tmp_path / packed, tmp_path)
        assert seen.fault.endswith("6,000 bytes by its header, at most 5,000 are read")
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress((tmp_path / "a.tar").read_bytes() + bytes(8 << 20)))
    with pytest.raises(DataError, match=r"a\.tar\.gz unpacks to more than 200 times its size: no archive of pictures does"):
        tree.files(tmp_path / "a.tar.gz", scratch=tmp_path)
    assert (tmp_path / "unpacked.tar").stat().st_size < 4 << 20


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xff\xd8\xff\xe0 a picture", "begins with b'\\xff\\xd8\\xff\\xe0': expected a folder of pictures by class, or a .zip"),
        (b"", "begins with b'': expected a folder"),
        (gzip.compress(b"text" * 100), "is gzipped, but holds no .tar: expected a folder of pictures by class, packed"),
    ],
    ids=["a picture", "empty", "gzipped"],
)
def test_what_is_no_archive(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(DataError) as raised:
        tree.files(tmp_path / "a", scratch=tmp_path)
    assert str(raised.value).startswith(f"{tmp_path / 'a'} {expected}")


def test_what_is_no_file_and_an_archive_with_a_password(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="pipe is no file and no folder, or not there"):
        tree.files(tmp_path / "pipe", scratch=tmp_path)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("basil/1.png", b"abc")
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "b.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"basil/1\.png is encrypted: unpack the archive, and name the folder"):
        tree.files(tmp_path / "b.zip", scratch=tmp_path)


def test_names_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "herbs").mkdir()
    (Path(os.fsdecode(bytes(tmp_path) + b"/herbs/\xff.png"))).write_bytes(b"")
    with pytest.raises(DataError, match=r"the name '\\udcff\.png' is no UTF-8: rename the file"):
        tree.files(tmp_path / "herbs", scratch=tmp_path)

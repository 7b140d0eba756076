import gzip
import hashlib
import json
import time
from pathlib import Path

import pytest

from filterlab.data import download as http
from filterlab.data import published, sources
from filterlab.data.progress import Progress
from filterlab.errors import DataError, UnreachableError

IMAGES = "train-images-idx3-ubyte.gz"
pytestmark = pytest.mark.usefixtures("no_mirror")


class Recorder(Progress):
    def __init__(self, interrupt_after: int | None = None):
        self.messages, self.starts, self.bytes, self.interrupt_after = [], [], 0, interrupt_after

    def started(self, name: str, *, done: int, total: int | None) -> None:
        self.starts.append((name, done, total))

    def advanced(self, count: int) -> None:
        self.bytes += count
        if self.interrupt_after is not None and self.bytes >= self.interrupt_after:
            raise KeyboardInterrupt

    def message(self, text: str) -> None:
        self.messages.append(text)


@pytest.fixture
def bring(tmp_path: Path):
    def run(data, progress: Progress | None = None) -> None:
        sources.download(data, raw=tmp_path / "raw", partial=tmp_path / "partial", progress=progress or Recorder())

    return run


def assert_in_place(tmp_path: Path, files: dict[str, bytes]) -> None:
    folder = tmp_path / "raw" / "Noise" / "raw"
    expected = files | {name.removesuffix(".gz"): gzip.decompress(content) for name, content in files.items()}
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == expected
    digests = json.loads((folder.parent / "digests.json").read_text())["digests"]
    unpacked = {name: content for name, content in expected.items() if not name.endswith(".gz")}
    assert digests == {name: hashlib.sha256(content).hexdigest() for name, content in unpacked.items()}
    assert not (tmp_path / "partial").exists() or list((tmp_path / "partial").iterdir()) == []


def nothing_raw(tmp_path: Path) -> bool:
    return not (tmp_path / "raw").exists()


def partial(tmp_path: Path, data, name: str = IMAGES) -> Path:
    return tmp_path / "partial" / f"{name}.{data.files[name]}"


def test_from_a_url(tmp_path: Path, files, make_data, serve, bring) -> None:
    mirror, recorder = serve(files), Recorder()
    bring(make_data(mirrors=[mirror.url]), recorder)
    assert_in_place(tmp_path, files)
    assert mirror.requests == [(name, None) for name in files]
    assert recorder.starts == [(name, 0, len(content)) for name, content in files.items()]
    assert recorder.bytes == sum(len(content) for content in files.values())
    assert recorder.messages[0].startswith(f"{IMAGES}: {len(files[IMAGES]):,} bytes from {mirror.url} in ")
    assert len(recorder.messages) == 4


def test_files_in_place_are_kept(tmp_path: Path, files, make_data, serve, bring) -> None:
    mirror = serve(files)
    data = make_data(mirrors=[mirror.url])
    bring(data)
    folder = tmp_path / "raw" / "Noise" / "raw"
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    (folder / "t10k-labels-idx1-ubyte").write_bytes(b"touched")
    (folder / "t10k-images-idx3-ubyte.gz").write_bytes(b"touched")
    mirror.requests.clear()
    bring(data)
    assert_in_place(tmp_path, files)
    assert mirror.requests == [("t10k-images-idx3-ubyte.gz", None)]
    changed = {path.name for path, when in before.items() if path.stat().st_mtime_ns != when}
    assert changed == {"t10k-labels-idx1-ubyte", "t10k-images-idx3-ubyte.gz"}


@pytest.mark.parametrize("as_url", [True, False])
def test_the_environment_comes_first(tmp_path: Path, files, make_data, serve, bring, monkeypatch, as_url) -> None:
    public, own = serve(files), serve(files)
    monkeypatch.setenv("FILTERLAB_MIRROR", own.url.rstrip("/") if as_url else str(tmp_path / "made"))
    bring(make_data(mirrors=[public.url]))
    assert_in_place(tmp_path, files)
    assert public.requests == []
    assert len(own.requests) == (4 if as_url else 0)


@pytest.mark.parametrize("named", ["/no/such/folder", "ftp://127.0.0.1/mnist", "made/file"])
def test_a_mirror_that_is_none_is_told_at_once(tmp_path: Path, files, make_data, serve, bring, monkeypatch, named) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "made" / "file").write_bytes(b"")
    monkeypatch.setenv("FILTERLAB_MIRROR", named)
    public = serve(files)
    with pytest.raises(DataError, match=f"FILTERLAB_MIRROR is '{named}', which is no folder") as caught:
        bring(make_data(mirrors=[public.url]))
    assert not isinstance(caught.value, UnreachableError)
    assert public.requests == [] and nothing_raw(tmp_path)


def test_a_connection_that_breaks_off_is_resumed(tmp_path: Path, files, make_data, serve, bring) -> None:
    mirror, recorder = serve(files, break_after=[5000, 300]), Recorder()
    bring(make_data(mirrors=[mirror.url]), recorder)
    assert_in_place(tmp_path, files)
    assert mirror.requests[:3] == [(IMAGES, None), (IMAGES, "bytes=5000-"), (IMAGES, "bytes=5300-")]
    size = len(files[IMAGES])
    assert recorder.starts[:3] == [(IMAGES, done, size) for done in (0, 5000, 5300)]
    assert "broke off" in recorder.messages[0] and "attempt 1 of 5" in recorder.messages[0]


def test_a_mirror_that_keeps_breaking_off_is_left_for_the_next(tmp_path: Path, files, make_data, serve, bring) -> None:
    weak, sound = serve(files, break_after=[100] * http.ATTEMPTS), serve(files)
    bring(make_data(mirrors=[weak.url, sound.url]))
    assert_in_place(tmp_path, files)
    assert sound.requests == [(IMAGES, f"bytes={100 * http.ATTEMPTS}-")]


def test_what_came_before_an_interrupt_is_not_asked_again(tmp_path: Path, files, make_data, serve, bring, monkeypatch) -> None:
    monkeypatch.setattr(http, "BLOCK", 1000)
    mirror = serve(files)
    data = make_data(mirrors=[mirror.url])
    with pytest.raises(KeyboardInterrupt):
        bring(data, Recorder(interrupt_after=3000))
    assert partial(tmp_path, data).read_bytes() == files[IMAGES][:3000]
    assert nothing_raw(tmp_path)
    bring(data)
    assert_in_place(tmp_path, files)
    assert mirror.requests[1] == (IMAGES, "bytes=3000-")


@pytest.mark.parametrize("ranges", ["ignored", "shifted"])
def test_servers_that_do_not_resume(tmp_path: Path, files, make_data, serve, bring, ranges) -> None:
    mirror = serve(files, break_after=[5000], ranges=ranges)
    bring(make_data(mirrors=[mirror.url]))
    assert_in_place(tmp_path, files)
    assert [request for request in mirror.requests if request[0] == IMAGES][:2] == [(IMAGES, None), (IMAGES, "bytes=5000-")]


def test_a_partial_file_longer_than_the_file_starts_over(tmp_path: Path, files, make_data, serve, bring) -> None:
    mirror = serve(files)
    data = make_data(mirrors=[mirror.url])
    partial(tmp_path, data).parent.mkdir()
    partial(tmp_path, data).write_bytes(bytes(100_000))
    bring(data)
    assert_in_place(tmp_path, files)
    assert mirror.requests[:2] == [(IMAGES, "bytes=100000-"), (IMAGES, None)]


def test_a_damaged_beginning_is_not_blamed_on_the_mirror(tmp_path: Path, files, make_data, serve, bring) -> None:
    mirror = serve(files)
    data = make_data(mirrors=[mirror.url])
    partial(tmp_path, data).parent.mkdir()
    partial(tmp_path, data).write_bytes(bytes(100))
    bring(data)
    assert_in_place(tmp_path, files)
    assert mirror.requests[:2] == [(IMAGES, "bytes=100-"), (IMAGES, None)]


def test_files_labelled_as_compressed_in_transit_stay_as_stored(tmp_path: Path, files, make_data, serve, bring) -> None:
    bring(make_data(mirrors=[serve(files, label_gzip=True).url]))
    assert_in_place(tmp_path, files)


def test_damage_goes_to_the_next_mirror(tmp_path: Path, files, make_data, serve, bring) -> None:
    damaged, sound = serve({name: content[:-1] + b"?" for name, content in files.items()}), serve(files)
    bring(make_data(mirrors=[damaged.url, sound.url]))
    assert_in_place(tmp_path, files)
    assert sound.requests == [(name, None) for name in files]


def test_damage_everywhere_names_the_checksums(tmp_path: Path, files, make_data, serve, bring) -> None:
    page = b"<html>Please log in</html>"
    found = hashlib.md5(page, usedforsecurity=False).hexdigest()
    silent, damaged = "http://127.0.0.1:1/", serve(dict.fromkeys(files, page))
    data = make_data(mirrors=[silent, damaged.url])
    with pytest.raises(DataError) as caught:
        bring(data)
    assert type(caught.value) is DataError and caught.value.exit_code == 3
    message = str(caught.value)
    assert message.startswith(f"{IMAGES} of noise: no mirror has delivered it undamaged:\n")
    assert f"{silent}: cannot be reached (Connection refused)" in message
    assert f"{damaged.url}: delivered 26 bytes with the MD5 {found}, expected {data.files[IMAGES]}" in message
    assert not partial(tmp_path, data).exists() and nothing_raw(tmp_path)


def test_where_no_mirror_answers_there_are_two_ways_out(tmp_path: Path, files, make_data, serve, bring, monkeypatch) -> None:
    monkeypatch.setattr(http, "TIMEOUT", (1.0, 0.2))
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("FILTERLAB_MIRROR", str(tmp_path / "empty"))
    absent, broken, slow = serve({}), serve(files, status=500), serve(files, delay=1.0)
    refused = "http://127.0.0.1:1/"
    begun = time.monotonic()
    with pytest.raises(UnreachableError) as caught:
        bring(make_data(mirrors=[refused, absent.url, broken.url, slow.url]))
    assert time.monotonic() - begun < 1.0
    assert caught.value.exit_code == 69
    assert str(caught.value).splitlines() == [
        f"{IMAGES} of noise: no mirror has delivered it:",
        f"  - {tmp_path / 'empty'}: has no readable {IMAGES} (No such file or directory)",
        f"  - {refused}: cannot be reached (Connection refused)",
        f"  - {absent.url}: answered 404 Not Found",
        f"  - {broken.url}: answered 500 Internal Server Error",
        f"  - {slow.url}: cannot be reached (timed out)",
        "Two ways out:",
        f"  1. put {', '.join(files)} into a folder and name it: export FILTERLAB_MIRROR=/path/to/folder",
        "  2. set `data: digits` in params.yaml (and `experiment: none`, where it names one): "
        "scikit-learn's bundled digits need no network",
    ]
    assert nothing_raw(tmp_path)


def test_a_mirror_that_cannot_be_reached_is_asked_once(tmp_path: Path, files, make_data, serve, bring, monkeypatch) -> None:
    monkeypatch.setattr(http, "TIMEOUT", (1.0, 0.2))
    slow, sound = serve(files, delay=0.5), serve(files)
    bring(make_data(mirrors=[slow.url, sound.url]))
    assert_in_place(tmp_path, files)
    assert len(slow.requests) == 1


def test_files_that_came_before_a_failure_are_not_asked_for_again(tmp_path: Path, files, make_data, serve, bring) -> None:
    *first, last = files
    mirror = serve({name: files[name] for name in first})
    data = make_data(mirrors=[mirror.url])
    with pytest.raises(UnreachableError, match=f"{last} of noise"):
        bring(data)
    assert nothing_raw(tmp_path)
    mirror.files[last] = files[last]
    mirror.requests.clear()
    bring(data)
    assert_in_place(tmp_path, files)
    assert mirror.requests == [(last, None)]


def test_a_full_disk_is_named_and_what_fitted_is_kept(tmp_path: Path, files, make_data, serve, bring, file_size_limit) -> None:
    mirror, other = serve(files), serve(files)
    data = make_data(mirrors=[mirror.url, other.url])
    path = partial(tmp_path, data)
    with file_size_limit(4096), pytest.raises(DataError) as caught:
        bring(data)
    assert str(caught.value) == f"cannot write {path}: File too large"
    assert path.read_bytes() == files[IMAGES][:4096]
    assert other.requests == [] and nothing_raw(tmp_path)
    bring(data)
    assert_in_place(tmp_path, files)
    assert mirror.requests[1] == (IMAGES, "bytes=4096-")


def test_a_disk_full_while_unpacking_leaves_no_half_file(tmp_path, files, make_data, serve, bring, file_size_limit) -> None:
    squeezed = dict.fromkeys(files, gzip.compress(b"\0\0\x08\x01\0\0\x27\x10" + bytes(10_000), mtime=0))
    md5 = hashlib.md5(squeezed[IMAGES], usedforsecurity=False).hexdigest()
    data = make_data(mirrors=[serve(squeezed).url], files=dict.fromkeys(files, md5))
    with file_size_limit(4096), pytest.raises(DataError, match=r"cannot write .*raw/Noise/raw/train-images-idx3-ubyte: File too"):
        bring(data)
    assert [path.name for path in (tmp_path / "raw/Noise/raw").iterdir()] == [IMAGES]
    assert not (tmp_path / "raw/Noise/digests.json").exists()
    bring(data)
    assert_in_place(tmp_path, squeezed)


@pytest.mark.parametrize("folder", ["raw", "partial"])
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, files, make_data, serve, bring, folder) -> None:
    (tmp_path / folder).write_bytes(b"a file, where a folder should be")
    with pytest.raises(DataError, match=rf"cannot write {tmp_path}/{folder}/.*: (Not a directory|File exists)"):
        bring(make_data(mirrors=[serve(files).url]))


def test_data_without_files_are_made(tmp_path: Path, make_data, bring, monkeypatch) -> None:
    monkeypatch.setattr("filterlab.data.digits.files", lambda *, height, width: {"images": bytes([height, width])})
    monkeypatch.setenv("FILTERLAB_MIRROR", "/no/such/folder")
    data = make_data(files={}, folder="Digits")
    bring(data)
    (made,) = (tmp_path / "raw/Digits/raw").iterdir()
    assert (made.name, made.read_bytes()) == ("images", bytes([8, 8]))
    assert published.digests(tmp_path / "raw", data) == {"images": hashlib.sha256(bytes([8, 8])).hexdigest()}


@pytest.mark.parametrize("with_files", [True, False])
def test_no_file_of_another_hand_is_overwritten(tmp_path: Path, files, make_data, serve, bring, monkeypatch, with_files) -> None:
    monkeypatch.setattr("filterlab.data.digits.files", lambda *, height, width: {"t10k-labels-idx1-ubyte": b"digits"})
    data = make_data(mirrors=[serve(files).url]) if with_files else make_data(files={})
    own = tmp_path / "raw/Noise/raw/t10k-labels-idx1-ubyte"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"a user's own labels")
    with pytest.raises(DataError, match=rf"{own} is there and is not what would be written, .*: move it elsewhere"):
        bring(data)
    assert own.read_bytes() == b"a user's own labels"
    assert not (tmp_path / "raw/Noise/digests.json").exists()

"""A mirror on loopback that misbehaves as told, and a small data set for it to offer."""

import contextlib
import gzip
import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from filterlab.config import schema
from filterlab.data import idx, published
from filterlab.data.formats.idx import FILES
from filterlab.seal import sha256


@dataclass
class Behavior:
    """Of a mirror. `break_after`: bytes of the body that each answer sends before it breaks off, an entry per answer."""

    files: dict[str, bytes]
    break_after: list[int] = field(default_factory=list)
    ranges: str = "honored"  # or ignored, shifted
    status: int = 200
    label_gzip: bool = False
    delay: float = 0.0  # seconds before each answer
    requests: list[tuple[str, str | None]] = field(default_factory=list)  # (file, Range header), as they came
    url: str = ""


def handler_of(behavior: Behavior) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name, wanted = self.path.lstrip("/"), self.headers["Range"]
            behavior.requests.append((name, wanted))
            time.sleep(behavior.delay)
            if behavior.status != 200 or name not in behavior.files:
                return self.send_error(behavior.status if behavior.status != 200 else 404)
            body, start = behavior.files[name], 0
            if wanted and behavior.ranges != "ignored":
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if start >= len(body):
                    return self.send_error(416)
                start -= behavior.ranges == "shifted"
            self.send_response(206 if wanted and behavior.ranges != "ignored" else 200)
            if wanted and behavior.ranges != "ignored":
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            self.send_header("Content-Length", str(len(body) - start))
            if behavior.label_gzip:
                self.send_header("Content-Encoding", "gzip")
            self.end_headers()
            end = start + behavior.break_after.pop(0) if behavior.break_after else len(body)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # who has seen a wrong length reads no further
                self.wfile.write(body[start:end])

        def log_message(self, *args: object) -> None:
            pass

    return Handler


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """serve(files, **behavior) -> Behavior of a new mirror, running at its url."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    servers = []

    def start(files: dict[str, bytes], **kwargs: object) -> Behavior:
        behavior = Behavior(dict(files), **kwargs)  # type: ignore[arg-type]
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(behavior))
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        behavior.url = f"http://127.0.0.1:{server.server_address[1]}/"
        return behavior

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def no_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FILTERLAB_MIRROR", raising=False)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, bytes]:
    """MNIST's four names with 200 training and 50 test images of noise, 8x8, 10 classes in turn."""
    generator = np.random.Generator(np.random.PCG64(0))
    contents = {}
    for part, count in [("train", 200), ("test", 50)]:
        arrays = {
            FILES[part].images: generator.integers(0, 256, (count, 8, 8), np.uint8),
            FILES[part].labels: np.arange(count, dtype=np.uint8) % 10,
        }
        for name, array in arrays.items():
            idx.write(tmp_path / "made" / f"{name}.gz", array)
            contents[f"{name}.gz"] = (tmp_path / "made" / f"{name}.gz").read_bytes()
    return contents


@pytest.fixture
def make_data(files: dict[str, bytes]):
    """make_data(**changes) -> schema.Data of `files`, with their true checksums."""

    def make(**changes: object) -> schema.Data:
        fields = {
            "name": "noise",
            "folder": "Noise",
            "classes": [str(label) for label in range(10)],
            "channels": 1,
            "height": 8,
            "width": 8,
            "mirrors": [],
            "files": {name: hashlib.md5(content, usedforsecurity=False).hexdigest() for name, content in files.items()},
            "take": "all",
            "take_n": 0,
            "validation": 0.1,
            "split": "stratified",
            "seed": 0,
        }
        return schema.Data(**(fields | changes))

    return make


@pytest.fixture
def put(tmp_path: Path, make_data):
    """put(contents, **changes) -> data/raw that holds these unpacked files, recorded as download does."""

    def write(contents: dict[str, bytes], **changes: object) -> Path:
        data = make_data(**changes)
        folder = published.place(tmp_path / "raw", data)
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        published.write_digests(tmp_path / "raw", data, {path.name: sha256(path.read_bytes()) for path in folder.iterdir()})
        return tmp_path / "raw"

    return write


@pytest.fixture
def raw(files: dict[str, bytes], put) -> Path:
    """data/raw with the unpacked files of `files` in place."""
    return put({name.removesuffix(".gz"): gzip.decompress(content) for name, content in files.items()})

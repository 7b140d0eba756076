"""Checkpoints in a bucket, of moto's S3 server on loopback: as in a folder, to the same bits; and a server that fails."""

import contextlib
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from filterlab.config import compose
from filterlab.errors import ConfigError, DataError
from filterlab.runs.unfinished import Unfinished
from filterlab.training import bucket, checkpoints
from filterlab.training.bucket import S3Path
from filterlab.training.classifier import Classifier

CONF = Path(__file__).parents[2] / "conf"
SMALL = ["trainer.max_epochs=3", "trainer.patience=3", "trainer.batch_size=16", "trainer.checkpoint_seconds=0"]
AWAY = "trainer.checkpoints=s3://team/trainings/checkpoints"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Its address; it has a bucket `team`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        request = urllib.request.Request(f"http://127.0.0.1:{port}/team", method="PUT")
        for _ in range(300):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(request).close()
                break
            time.sleep(0.1)
        else:
            pytest.fail("moto's S3 server did not start in 30 s")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def s3(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Path]:
    """Where the checkpoints' folders are; nothing is there."""
    access = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
    for name, text in {"AWS_ENDPOINT_URL": server, **access}.items():
        monkeypatch.setenv(name, text)
    bucket.client.cache_clear()
    for entry in bucket.client().list_objects_v2(Bucket="team").get("Contents", []):
        bucket.client().delete_object(Bucket="team", Key=entry["Key"])
    yield S3Path("team", "trainings/checkpoints")
    bucket.client.cache_clear()


def names(folder: S3Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*"))


def test_it_is_like_a_path(s3: S3Path) -> None:
    """More objects than one answer lists; those of folders below are none of this one's."""
    assert str(s3 / "a") == "s3://team/trainings/checkpoints/a" and bucket.located("s3://team/trainings/checkpoints/") == s3
    assert [*s3.glob("*")] == []
    for number in range(1002):
        (s3 / f"{number:04}.ckpt").write_bytes(b"x")
    (s3 / "below/1.ckpt").write_bytes(b"x")
    (s3 / "id.json").write_bytes(b"y")
    assert len([*s3.glob("*.ckpt")]) == 1002 and len([*s3.glob("*")]) == 1003
    (s3 / "0001.ckpt").unlink()
    with pytest.raises(FileNotFoundError):
        (s3 / "0001.ckpt").read_bytes()
    assert (s3 / "id.json").read_bytes() == b"y"


def test_the_same_bits_and_the_same_checkpoints(s3: S3Path, make_training: Callable, bits_of: Callable, tmp_path: Path) -> None:
    """As with a folder: the last two and the best, digest and all; nothing of them on this machine."""
    ends = [*SMALL[:-1], "trainer.checkpoint_seconds=60"]
    here, there = make_training(*ends), make_training(*ends, AWAY)
    assert bits_of(there(tmp_path / "there")) == bits_of(here(tmp_path / "here"))
    assert names(s3 / "there") == sorted(path.name for path in (tmp_path / "here").glob("*.ckpt"))
    assert len(names(s3 / "there")) in (2, 3) and not (tmp_path / "there").exists()


def test_interrupted_at_several_batches_it_comes_to_the_same_bits(
    s3: S3Path, make_training: Callable, bits_of: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM: a checkpoint of just there, in the bucket; another folder of that name, as on another machine, goes on."""
    whole = bits_of(make_training(*SMALL)(tmp_path / "whole"))
    monkeypatch.setattr(checkpoints.DigestedFiles, "is_busy", lambda files: True)
    step, count, fitted = Classifier.training_step, 0, None

    def training_step(*arguments: object) -> object:
        nonlocal count
        count += 1
        if count % 9 == 0:
            signal.raise_signal(signal.SIGTERM)
        return step(*arguments)

    monkeypatch.setattr(Classifier, "training_step", training_step)
    for start in range(100):
        try:
            fitted = make_training(*SMALL, AWAY)(tmp_path / f"machine {start}/training")
            break
        except SystemExit as ended:
            assert ended.code == 128 + signal.SIGTERM
            assert any("_batch_" in name for name in names(s3 / "training")) or start
    assert fitted is not None and start >= 3
    assert bits_of(fitted) == whole


def test_a_damaged_one_is_not_used(
    s3: S3Path, make_training: Callable, bits_of: Callable, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = bits_of(make_training(*SMALL)(tmp_path / "whole"))
    make_training(*SMALL, AWAY)(tmp_path / "training")
    last = s3 / "training/epoch_3.ckpt"
    last.write_bytes(last.read_bytes()[:-1])
    capsys.readouterr()
    assert bits_of(make_training(*SMALL, AWAY)(tmp_path / "training")) == whole
    assert f"{last} is damaged: " in capsys.readouterr().out


def test_no_server_is_a_sentence(s3: S3Path, make_training: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        monkeypatch.setattr(bucket, "ATTEMPTS", 2)
        bucket.client.cache_clear()
        with pytest.raises(DataError, match=r"^cannot read s3://team/trainings/checkpoints/training: Could not connect to"):
            make_training(*SMALL, AWAY)(tmp_path / "training")


def test_a_bucket_that_is_not_there_is_a_sentence(s3: S3Path, make_training: Callable, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^cannot read s3://nobody/training: .* bucket does not exist"):
        make_training(*SMALL, "trainer.checkpoints=s3://nobody")(tmp_path / "training")


def test_a_server_that_stops_for_a_while_is_waited_for(
    s3: S3Path, make_training: Callable, bits_of: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each third answer is an error of the server's."""
    whole, count = bits_of(make_training(*SMALL)(tmp_path / "whole")), 0

    def fail(request: object, **more: object) -> object:
        nonlocal count
        count += 1
        if count % 3 == 0:
            from botocore.awsrequest import AWSResponse

            class Raw:
                def stream(self, *arguments: object, **more: object) -> Iterator[bytes]:
                    yield b""

            return AWSResponse("http://127.0.0.1", 503, {}, Raw())
        return None

    bucket.client().meta.events.register("before-send.s3", fail)
    assert bits_of(make_training(*SMALL, AWAY)(tmp_path / "training")) == whole
    assert count > 6


@pytest.fixture
def unfinished(tmp_path: Path) -> Callable[..., Unfinished]:
    config = compose.compose(CONF, [AWAY])
    return lambda machine="a": Unfinished(tmp_path / machine, config, data="data", code="code")


def test_on_another_machine_it_is_the_same_training(s3: S3Path, unfinished: Callable[..., Unfinished]) -> None:
    """Whose id is in the bucket, until it is finished; then nothing of it is left anywhere."""
    with pytest.raises(KeyboardInterrupt), unfinished("a").alone():
        identity = unfinished("a").begin("config")
        raise KeyboardInterrupt
    folder = s3 / unfinished().folder.name
    (folder / "epoch_1.ckpt").write_bytes(b"x")
    assert names(folder) == ["epoch_1.ckpt", "id.json"]
    with unfinished("b").alone():
        assert unfinished("b").begin("config") == identity
    assert names(folder) == [] and list((unfinished("b").folder.parent).iterdir()) == []
    with unfinished("b").alone():
        assert unfinished("b").begin("config") != identity, "a training of its own"


def test_one_that_began_here_goes_on_there_as_the_same(s3: S3Path, unfinished: Callable[..., Unfinished], tmp_path: Path) -> None:
    """Where its checkpoints are kept is no part of which training it is."""
    here = Unfinished(tmp_path / "a", compose.compose(CONF, []), data="data", code="code")
    assert here.folder == unfinished("a").folder
    identity = here.begin("config")
    assert unfinished("a").begin("config") == identity == unfinished("b").begin("config")


def test_a_damaged_id_is_a_sentence(s3: S3Path, unfinished: Callable[..., Unfinished]) -> None:
    record = s3 / unfinished().folder.name / "id.json"
    unfinished().begin("config")
    record.write_bytes(record.read_bytes()[:-9])
    with pytest.raises(DataError, match=f"^{record} is damaged: .*; remove s3://team"):
        unfinished("b").begin("config")


def test_a_finished_training_fails_of_no_server(
    s3: S3Path, unfinished: Callable[..., Unfinished], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with unfinished().alone():
        unfinished().begin("config")

        def refuse(path: S3Path, pattern: str) -> Iterator[S3Path]:
            raise OSError(5, "no answer", str(path))

        monkeypatch.setattr(S3Path, "glob", refuse)
    assert "NOTE: what is left in s3://team/trainings/checkpoints/" in capsys.readouterr().out


@pytest.mark.parametrize("given", ["team", "s3://", "s3://a", "s3://team/../x?y", "gs://team/a", "s3://team//a", "s3://Team"])
def test_what_is_no_bucket(given: str) -> None:
    with pytest.raises(ConfigError, match=r"trainer.checkpoints is '.*', expected s3://bucket/prefix, or nothing"):
        compose.compose(CONF, [f"trainer.checkpoints='{given}'"])

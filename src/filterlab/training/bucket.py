"""Checkpoints in a bucket of S3 instead of a folder of this machine."""

import errno
import fnmatch
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filterlab import extras

SCHEME = "s3://"
# Seconds until a connection stands, and until the next bytes come; attempts, with up to 20 s between two: two minutes in all.
CONNECT, READ, ATTEMPTS = 10, 60, 10


@dataclass(frozen=True)
class S3Path:
    """Like a Path, as far as checkpoints need one: an object, or what many begin with. Every error is an OSError.

    An object is there whole or not at all, as a file of `files.replacing` is.
    """

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}"

    def __truediv__(self, name: str) -> "S3Path":
        return S3Path(self.bucket, f"{self.key}/{name}".lstrip("/"))

    @property
    def name(self) -> str:
        return self.key.rpartition("/")[2]

    def glob(self, pattern: str) -> "Iterator[S3Path]":
        """Those right below this one."""
        with blaming(self):
            for page in client().get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=f"{self.key}/"):
                for entry in page.get("Contents", []):
                    name = str(entry["Key"]).removeprefix(f"{self.key}/")
                    if "/" not in name and fnmatch.fnmatchcase(name, pattern):
                        yield self / name

    def read_bytes(self) -> bytes:
        with blaming(self):
            return bytes(client().get_object(Bucket=self.bucket, Key=self.key)["Body"].read())

    def write_bytes(self, content: bytes) -> None:
        """At most 5 GB, which is S3's limit for what comes in one request."""
        with blaming(self):
            client().put_object(Bucket=self.bucket, Key=self.key, Body=content)

    def unlink(self) -> None:
        with blaming(self):
            client().delete_object(Bucket=self.bucket, Key=self.key)


def located(place: Any) -> Path | S3Path:
    """The path that a text names, s3://bucket/key or one of this machine; what is a path already as it is."""
    if not str(place).startswith(SCHEME):
        return Path(place)
    bucket, _, key = str(place).removeprefix(SCHEME).partition("/")
    return S3Path(bucket, key.strip("/"))


def kept(folder: Path, place: str) -> Path | S3Path:
    """Where the checkpoints of the training with that folder are: there or, where a place is named, below it by the same name."""
    return located(place) / folder.name if place else folder


@functools.cache
def client() -> Any:
    """One for all threads of this process; it takes a third of a second.

    Its keys, region and endpoint are those of the environment (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, ...), or of ~/.aws.
    Raises UserError where boto3 is not installed.
    """
    extras.check("s3", needed_by="trainer.checkpoints")
    import boto3
    from botocore.config import Config

    retries = {"mode": "standard", "total_max_attempts": ATTEMPTS}
    return boto3.session.Session().client("s3", config=Config(connect_timeout=CONNECT, read_timeout=READ, retries=retries))


@contextmanager
def blaming(path: S3Path) -> Iterator[None]:
    """Turn what boto3 raises into an OSError with a sentence."""
    client()
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in ("NoSuchKey", "404"):
            raise FileNotFoundError(errno.ENOENT, "there is no such object", str(path)) from None
        raise OSError(errno.EIO, " ".join(str(error).split()), str(path)) from error
    except BotoCoreError as error:
        raise OSError(errno.EIO, " ".join(str(error).split()), str(path)) from error

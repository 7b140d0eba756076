"""Pages that hold all they show: one file, offline, the same look."""

import base64
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jinja2

from filterlab.errors import DataError

FOLDER = Path(__file__).parent


def render(template: str, *, filters: Mapping[str, Callable[..., Any]] | None = None, **values: Any) -> str:
    """The template of this folder, filled; what stands in `values` is text, and escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters or {})
    return environment.get_template(template).render(values)


def uri(path: Path, *, maker: str) -> str:
    """A picture as a data URI. Raises DataError as `read` does."""
    return "data:image/png;base64," + base64.b64encode(content(path, maker=maker)).decode("ascii")


def read(path: Path, *, maker: str) -> str:
    """A file's text. Raises DataError where it is missing: the command `maker` makes it."""
    return content(path, maker=maker).decode("utf-8")


def content(path: Path, *, maker: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path} is missing: `{maker}` makes it") from None


def picture(content: bytes) -> dict[str, Any]:
    """A PNG as a data URI with its width and height, by which a page has room for it before it is shown."""
    width, height = struct.unpack(">II", content[16:24])
    return {"uri": "data:image/png;base64," + base64.b64encode(content).decode("ascii"), "width": width, "height": height}


def image(path: Path, *, maker: str) -> dict[str, Any]:
    """A PNG file as `picture` gives it, with the mask of the images in a figure, `tiles`. Raises DataError as `read` does."""
    whole = content(path, maker=maker)
    return picture(whole) | {"tiles": tiles(whole)}


def tiles(png: bytes) -> str:
    """The mask that visualization/png.py has put before the pixels, a PNG in base64; empty where there is none."""
    place = 8
    while place < len(png):
        length, kind = struct.unpack(">I4s", png[place : place + 8])
        if kind == b"IDAT":
            break
        name, _, said = png[place + 8 : place + 8 + length].partition(b"\0")
        if kind == b"tEXt" and name == b"tiles":
            return said.decode("ascii")
        place += 12 + length
    return ""

"""Formats that are added: what they lack, and what another one has already."""

import dataclasses

import pytest

from filterlab.data import formats
from filterlab.data.format import Format, Pair
from filterlab.errors import UserError

IDX = formats.FORMATS["idx"]
PAIRS = {part: Pair(f"{part}.npz", f"{part}.npz") for part in ("train", "test")}


def of(files: dict[str, Pair]) -> Format:
    return dataclasses.replace(IDX, files=files, gzipped=False)


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ({"zip": of(PAIRS)}, "a and b both have a format of files test.npz, train.npz: give one of them others"),
        ({"npz": IDX}, "a and b both have a format of the name npz: give one of them others"),
        ({"mine": of({"train": Pair("x", "y")})}, "b: the format mine has files for the parts train, expected train and test"),
        ({"mine": of({})}, "b: the format mine has files for the parts none, expected train and test"),
        (
            {"mine": of(PAIRS | {"extra": Pair("x", "y")})},
            "b: the format mine has files for the parts extra, test, train, expected",
        ),
    ],
)
def test_a_format_that_can_not_be_told_apart_or_lacks_a_part(second: dict[str, Format], expected: str) -> None:
    with pytest.raises(UserError) as raised:
        formats.gather([("a", {"npz": of(PAIRS)}), ("b", second)])
    assert str(raised.value).startswith(expected)


def test_the_format_of_just_these_files_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two that share files, in whatever order they are found."""
    more, less = of(PAIRS | {"test": Pair("test.npz", "labels.npz")}), of(PAIRS)
    for found in ({"more": more, "less": less}, {"less": less, "more": more}):
        monkeypatch.setattr(formats, "FORMATS", {"idx": IDX} | found)
        assert formats.nearest(less.published) is less and formats.nearest(more.published) is more
        assert formats.nearest(["labels.npz"]) is more and formats.nearest([]) is IDX

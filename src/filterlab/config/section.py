"""What every section of a configuration is made of: a frozen dataclass whose fields say their meaning and their bounds."""

import dataclasses
from dataclasses import field
from typing import Any

from omegaconf import MISSING

# 32 bits are what PyTorch's generator takes of a seed: two that differ in higher bits alone would be the same training.
SEEDS = {"ge": 0, "lt": 2**32}
COUNT = 2**31 - 1  # of units, filters, images: what memory holds is less, and `shapes` says how much that is
SIDE = 4096  # pixels, at most


def value(doc: str, *, default: Any = MISSING, **bounds: Any) -> Any:
    """A field with its meaning and its bounds.

    ge, gt, le, lt: of a number; every number has two.
    choices, text: of a string: those there are, or a kind of `bounds.TEXTS`.
    most: entries of a list or a mapping. The other bounds hold for each entry; of a mapping `text` for its keys, `values` for
        what they stand for.
    """
    return field(default=default, metadata={"doc": doc, **bounds})


class Section:
    """Frozen once made: each attribute is set by the constructor and never again.

    (dataclass(frozen=True) would do, but OmegaConf then refuses to merge conf/ into it.)
    """

    def __setattr__(self, name: str, new: Any) -> None:
        if name in self.__dict__:
            raise dataclasses.FrozenInstanceError(f"cannot change {name}: a configuration is frozen once loaded")
        super().__setattr__(name, new)

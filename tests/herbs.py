"""Pictures that a test writes, and the option that reads them."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from filterlab.config import schema

GROUNDS = {"basil": (40, 160, 40), "mint": (20, 120, 160), "thyme": (150, 120, 90)}


def noise(seed: int, ground: tuple[int, int, int] = (128, 128, 128), *, width: int = 12, height: int = 10) -> Image.Image:
    drawn = np.random.default_rng(seed).normal(ground, 30, (height, width, 3))
    return Image.fromarray(np.clip(drawn, 0, 255).astype(np.uint8))


def save(image: Image.Image, path: Path, **how: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **how)


def grow(folder: Path, *, each: int = 10, first: int = 0, **size: int) -> Path:
    """A folder of three classes with `each` different pictures."""
    for place, (label, ground) in enumerate(GROUNDS.items()):
        for number in range(each):
            save(noise(first + 1000 * place + number, ground, **size), folder / label / f"{number:03d}.png")
    return folder


def option(path: Path, **changes: Any) -> schema.Own:
    fields = {
        "name": "herbs",
        "folder": "herbs",
        "classes": [*GROUNDS],
        "channels": 3,
        "height": 10,
        "width": 12,
        "mirrors": [],
        "files": {},
        "take": "all",
        "take_n": 0,
        "validation": 0.1,
        "split": "stratified",
        "seed": 0,
        "source": "pictures",
        "path": str(path),
        "fit": "pad",
        "on_broken": "stop",
        "test": 0.2,
        "roles": {},
        "transpose": False,
        "set": "none",
        "variant": "none",
    }
    return schema.Own(**(fields | changes))

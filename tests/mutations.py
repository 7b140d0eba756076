"""Damage to a file's bytes, the same for the same seed."""

import random
from collections.abc import Iterator


def mutations(content: bytes, *, seed: int, count: int) -> Iterator[bytes]:
    """`count` contents that differ from `content`: flipped bits, changed bytes, cuts, doubled and dropped pieces."""
    draw = random.Random(seed)
    made = 0
    while made < count:
        damaged = bytearray(content)
        kind = draw.choice(["bit", "byte", "cut", "double", "drop"])
        if kind == "cut":
            del damaged[draw.randrange(len(content) + 1) :]
        elif content:
            at = draw.randrange(len(content))
            piece = content[at : at + draw.randint(1, 64)]
            if kind == "bit":
                damaged[at] ^= 1 << draw.randrange(8)
            elif kind == "byte":
                damaged[at] = draw.randrange(256)
            elif kind == "double":
                damaged[at:at] = piece
            else:
                del damaged[at : at + len(piece)]
        if bytes(damaged) != content:
            made += 1
            yield bytes(damaged)

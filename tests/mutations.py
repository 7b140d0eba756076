"""Damage as disks, cables and editors do it, drawn from a seed."""

import itertools
import random
from collections.abc import Callable, Iterator

Damage = Callable[[bytearray, random.Random], None]


def mutations(content: bytes, *, seed: int, count: int) -> Iterator[bytes]:
    """`count` damaged copies of the content, none of them equal to it; the same seed, the same copies. It must not be empty.

    Each has one damage, of each kind in turn: flipped bits, changed bytes, cuts, pieces that are doubled, dropped, zeroed or
    swapped. Every second one lies in the first 64 bytes, where headers are.
    """
    draw, made = random.Random(seed), 0
    for damage in itertools.cycle(KINDS):
        if made == count:
            return
        damaged = bytearray(content)
        damage(damaged, draw)
        if damaged != content:  # a swap may swap what is alike
            made += 1
            yield bytes(damaged)


def _place(content: bytearray, draw: random.Random) -> int:
    return draw.randrange(min(len(content), draw.choice([64, len(content)])))


def _piece(content: bytearray, draw: random.Random) -> slice:
    first = _place(content, draw)
    return slice(first, min(len(content), first + draw.choice([1, 2, 4, 16, 64, 512])))


def flip_a_bit(content: bytearray, draw: random.Random) -> None:
    content[_place(content, draw)] ^= 1 << draw.randrange(8)


def change_bytes(content: bytearray, draw: random.Random) -> None:
    for _ in range(draw.choice([1, 2, 8])):
        content[_place(content, draw)] = draw.randrange(256)


def change_a_character(content: bytearray, draw: random.Random) -> None:
    """Into one that text files have: another digit, a bracket, a space."""
    content[_place(content, draw)] = draw.choice(b"0123456789abcdefABCDEF.,:;-+eE\"'{}[]() \n\t#&*!|>%@`~xX")


def cut(content: bytearray, draw: random.Random) -> None:
    del content[_place(content, draw) :]


def double(content: bytearray, draw: random.Random) -> None:
    piece = _piece(content, draw)
    content[piece.start : piece.start] = content[piece]


def drop(content: bytearray, draw: random.Random) -> None:
    del content[_piece(content, draw)]


def zero(content: bytearray, draw: random.Random) -> None:
    piece = _piece(content, draw)
    content[piece] = bytes(piece.stop - piece.start)


def swap(content: bytearray, draw: random.Random) -> None:
    size = draw.choice([1, 2, 16, 64])
    first, second = sorted((_place(content, draw), _place(content, draw)))
    one, other = content[first : first + size], content[second : second + size]
    if second >= first + size and len(other) == size:
        content[first : first + size], content[second : second + size] = other, one


KINDS: list[Damage] = [flip_a_bit, change_bytes, change_a_character, cut, double, drop, zero, swap]

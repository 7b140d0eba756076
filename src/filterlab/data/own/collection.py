"""What a user's own source holds: which images, of which classes and parts; and all of them read, in pieces and in parallel."""

import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from filterlab.data.own import tree
from filterlab.data.own.layout import Entry
from filterlab.data.own.picture import Row, Seen, Shape, look
from filterlab.data.progress import Progress
from filterlab.errors import DataError

PIECE = 250  # images that a process reads at a time
ALONE = 500  # so many are read sooner than other processes have started


Place = tree.Place | Row


@dataclass(frozen=True)
class Collection:
    """The images of a source, none of them read yet; `places` say where each one's bytes lie.

    numbered: the labels are whole numbers, whose order is that of the classes, whatever these are called.
    listed: each entry was named as an image, and is no file that happens to lie there.
    """

    entries: list[Entry]
    places: list[Place]
    numbered: bool = False
    listed: bool = False

    @property
    def classes(self) -> list[str]:
        """As the source calls them, in their order."""
        return sorted({entry.label for entry in self.entries}, key=int if self.numbered else None)

    @property
    def parts(self) -> set[str]:
        return {entry.part for entry in self.entries}


def read_all(found: Collection, shape: Shape | None, out: Path | None, *, progress: Progress) -> list[Seen]:
    """Read every image; what was seen of each.

    With a shape and `out`, the images are written there as an array of .npy, (N, C, H, W) uint8: zeros where one can't be read.
    """
    count = len(found.places)
    if shape and out:
        np.lib.format.open_memmap(out, "w+", np.uint8, (count, shape.channels, shape.height, shape.width)).flush()
    pieces = [(found.places[first : first + PIECE], first, shape, out) for first in range(0, count, PIECE)]
    seen: list[Seen] = []
    progress.started("reading images", done=0, total=count)
    for piece in _in_parallel(pieces, alone=count <= ALONE):
        seen += piece
        progress.advanced(len(piece))
    return seen


Piece = tuple[list[Place], int, Shape | None, Path | None]


def _in_parallel(pieces: list[Piece], *, alone: bool) -> Iterator[list[Seen]]:
    cores = len(os.sched_getaffinity(0))
    if alone or cores == 1:
        yield from map(read_piece, pieces)
        return
    # Of a server that has imported what is needed, processes come at once; and none inherits this one's threads, as of a bar.
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload([__name__])
    ignore = (signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches them too, and is this process's to answer
    with ProcessPoolExecutor(cores, mp_context=server, initializer=signal.signal, initargs=ignore) as executor:
        try:
            with without_main():
                read = executor.map(read_piece, pieces)
            yield from read
        except BrokenProcessPool as error:
            raise DataError("a process that reads images was killed, as where memory runs out: read them again") from error


@contextmanager
def without_main() -> Iterator[None]:
    """A process started in the block does not import this one's main module first: that may be a script that came to start it."""
    main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def read_piece(piece: Piece) -> list[Seen]:
    places, first, shape, out = piece
    array = np.lib.format.open_memmap(out, "r+") if out else None
    seen = []
    with warnings.catch_warnings(), tree.kept_open():
        warnings.simplefilter("ignore")  # of tags that nobody reads, and of sizes, which are checked here
        for index, place in enumerate(places, start=first):
            about, pixels = look(place, shape)
            seen.append(about)
            if array is not None and pixels is not None:
                array[index] = pixels
    if array is not None:
        array.flush()
    return seen

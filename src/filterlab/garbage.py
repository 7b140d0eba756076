"""Python's search for garbage, kept out of starts and ends."""

import atexit
import gc


def search_less() -> None:
    """Call it first of all in a process that imports torch, Lightning or mlflow; it is for all that follows.

    Lightning's import alone makes 450,000 objects that Python watches, none of them garbage. To look for some after every 700
    takes a tenth of the time of such a process, and to look through them all at its end another quarter: 5.7 s became 3.7
    (2 cores of AMD EPYC, Python 3.11).
    """
    gc.set_threshold(10_000)
    atexit.register(gc.freeze)

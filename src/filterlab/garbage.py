"""Python's search for garbage, kept out of starts and ends."""

import atexit
import gc


def search_less() -> None:
    """Call it first of all in a process that imports torch, Lightning or mlflow.

    None of the million objects that these make when imported is garbage. With Python's threshold of 700 a fifth of a start
    goes into looking for some, and the end of a process looks through them all again, several times.
    """
    gc.set_threshold(10_000)
    atexit.register(gc.freeze)

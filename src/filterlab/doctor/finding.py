"""What a check finds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Finding:
    """How something is: fine or, where there is a remedy, wrong.

    Attributes:
        says: one line.
        remedy: what to do about it; empty where it is fine.
        mend: does so, and says what it did; None where that could take something from somebody.
    """

    says: str
    remedy: str = ""
    mend: Callable[[], str] | None = None


Check = Callable[[Path], Iterator[Finding]]  # given the root of the repository

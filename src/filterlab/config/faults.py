"""Error messages about a user's values: what there is instead, and what a library's error means."""

import difflib
from collections.abc import Sequence
from typing import Any

from omegaconf.errors import InterpolationResolutionError, MissingMandatoryValue, OmegaConfBaseException


def unknown_key(key: str, known: Sequence[str], where: str = "") -> str:
    return f"no key {key!r}{where}; there are: {', '.join(known) or 'none'}{did_you_mean(key, known)}"


def unknown_option(option: Any, offered: Sequence[str]) -> str:
    return f"no option {short(option)}; there are: {', '.join(offered)}{did_you_mean(str(option), offered)}"


def short(given: Any, *, quoted: bool = True) -> str:
    """What was given, as a sentence quotes it: in one line, cut where it is long."""
    shown = repr(given) if quoted else str(given)
    return shown if len(shown) <= 200 else f"{shown[:100]}... ({len(shown):,} characters)"


def did_you_mean(given: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(given, known, n=1)
    return f". Did you mean {close[0]}?" if close else ""


def explanation(error: BaseException) -> str:
    """What went wrong, in one line: Hydra and OmegaConf add lines about their own internals."""
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key} has no value"
    if type(error) is KeyError:
        return f"no key {error}"
    if mark := getattr(error, "problem_mark", None):  # of YAML
        return f"{error.problem} in line {mark.line + 1}"  # type: ignore[attr-defined]
    what, *more = str(error).strip().splitlines() or [type(error).__name__]
    if what.endswith(":") and more:
        return f"{what} {more[0]}"
    cause = error.__cause__
    # Where the program is traced (a debugger, coverage), OmegaConf makes an error, or its bare form, its own cause.
    if isinstance(cause, OmegaConfBaseException) and not str(cause).strip().startswith(what):
        return f"{what}: {explanation(cause)}"
    place = error.full_key if isinstance(error, InterpolationResolutionError) else None
    return f"{place}: {what}" if place else what

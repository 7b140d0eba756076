"""Hydra's sweep syntax as a space that Optuna searches.

a,b  choice(a,b)  glob(*)      one of the values, each kept as the text of an override
range(1,10)  range(0,1,.25)    numbers in equal steps; the stop is left out, as in Hydra's grids
interval(0,1)                  any number between the two
int(interval(1,8))             any whole number between the two, both included
tag(log, interval(1e-4,1))     drawn evenly on a logarithmic scale (whole numbers too)
"""

import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, IntervalSweep, Override, Quote, QuotedString, RangeSweep, Transformer
from hydra.errors import HydraException
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from filterlab.errors import ConfigError

Space = Mapping[str, BaseDistribution]


def read_space(
    overrides: Sequence[Override], *, options: Callable[[str], list[str]] = lambda group: []
) -> tuple[dict[str, BaseDistribution], list[str]]:
    """What is searched, and what stays: a distribution for each swept key, and the other overrides as text.

    Args:
        overrides: as Hydra's parser reads them; of a key that stands twice the later one counts.
        options: what there is to choose from in a config group, for glob().

    Raises:
        ConfigError: with a sentence for each key that can't be searched, or where no key is swept.
    """
    searched: dict[str, BaseDistribution] = {}
    fixed: list[str] = []
    faults: list[str] = []
    for key, override in {override.get_key_element(): override for override in overrides}.items():
        if not override.is_sweep_override():
            fixed.append(str(override.input_line))
            continue
        try:
            searched[key] = distribution(key, override.value(), options)
        except ValueError as error:
            faults.append(f"{key}: {error}")
    if not searched and not faults:
        faults.append("nothing to search: give a key several values, e.g. 'optimizer.lr=tag(log, interval(1e-3, 1))'")
    if faults:
        raise ConfigError(faults)
    return searched, fixed


def distribution(key: str, swept: Any, options: Callable[[str], list[str]]) -> BaseDistribution:
    """The distribution of a swept key. Raises ValueError: it can't be searched."""
    if key.lstrip("+").split(".")[-1] == "seed":
        raise ValueError(
            f"a seed is not searched, it is repeated: give one, and repeat the best setting with {key}=0,1,2 in a grid"
        )
    if isinstance(swept, Glob):
        if not (offered := options(key)):
            raise ValueError(f"glob() chooses from a config group, and {key} is none; list the values, e.g. {key}=a,b")
        if not (names := swept.filter(offered)):
            raise ValueError(f"glob() matches none of {', '.join(offered)}")
        return CategoricalDistribution([to_word(name) for name in names])
    if getattr(swept, "shuffle", False):
        raise ValueError("shuffle() means nothing in a search, which has an order of its own; leave it out")
    if unknown := swept.tags - {"log"}:
        raise ValueError(f"no tag {', '.join(sorted(unknown))}; there is: log")
    log = "log" in swept.tags
    if isinstance(swept, RangeSweep):
        return stepped(swept, log)
    if isinstance(swept, IntervalSweep):
        return continuous(swept, log)
    texts = [to_word(item) for item in swept.list]
    if log:
        raise ValueError("choices have no scale, so tag(log, ...) fits only interval() and range()")
    if twice := [text for text in dict.fromkeys(texts) if texts.count(text) > 1]:
        raise ValueError(f"{', '.join(twice)} stands there more than once")
    return CategoricalDistribution(texts)


def to_word(item: Any) -> str:
    """A choice as it was written; choice() loses the quotes of a text, so they are put back where it needs them."""
    written = Transformer.str(item)
    try:
        value = OverridesParser.create().parse_override(f"key={written}").value()
    except HydraException:
        value = None
    return QuotedString(item, Quote.single).with_quotes() if isinstance(item, str) and value != item else written


def stepped(swept: RangeSweep, log: bool) -> BaseDistribution:
    # The decimal numbers that were written, not the binary ones next to them: 0.3 is three steps of 0.1.
    start, stop, step = (Decimal(str(number)) for number in (swept.start, swept.stop, swept.step))
    given = f"range({start}, {stop}, {step})"
    if not all(number.is_finite() for number in (start, stop, step)) or step == 0:
        raise ValueError(f"{given} has no end: expected finite numbers and a step other than 0")
    if (count := math.ceil((stop - start) / step)) < 1:
        raise ValueError(f"{given} is empty: expected start < stop, or start > stop with a negative step")
    low, high = sorted([start, start + (count - 1) * step])
    if log and low <= 0:
        raise ValueError(f"{given} is logarithmic and reaches {low}: expected numbers > 0")
    whole = all(isinstance(number, int) for number in (swept.start, swept.stop, swept.step))
    if log and not (whole and step in (1, -1)):
        raise ValueError(f"{given} is logarithmic and has steps; write tag(log, interval({low}, {high}))")
    if whole:
        return IntDistribution(int(low), int(high), log=log, step=abs(int(step)))
    return FloatDistribution(float(low), float(high), step=float(abs(step)))


def continuous(swept: IntervalSweep, log: bool) -> BaseDistribution:
    low, high = swept.start, swept.end
    assert low is not None and high is not None
    given = f"interval({low}, {high})"
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"{given} is endless: expected two finite numbers")
    if low >= high:
        raise ValueError(f"{given} is empty: expected the lower end first")
    if log and low <= 0:
        raise ValueError(f"{given} is logarithmic and reaches {low}: expected numbers > 0")
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=log)
    return FloatDistribution(low, high, log=log)


def to_text(kind: BaseDistribution, value: Any) -> str:
    """A value of that distribution as it stands behind `key=`; Hydra reads the same number back, to the last bit."""
    if isinstance(kind, CategoricalDistribution):
        return str(value)
    if isinstance(kind, IntDistribution):
        return str(int(value))
    if isinstance(kind, FloatDistribution) and kind.step is not None:
        low, step = Decimal(str(kind.low)), Decimal(str(kind.step))
        return repr(float(low + step * round((Decimal(value) - low) / step)))
    return repr(float(value))


def read_value(kind: BaseDistribution, text: str) -> Any:
    """The value of that distribution that the store keeps as `text`, see `sweep.swept_values`.

    Raises:
        ValueError: it is none of the choices, or no number.
    """
    if isinstance(kind, CategoricalDistribution):
        choices = list(map(str, kind.choices))
        if text in choices:
            return text
        if text in (plain := [choice.strip("'") for choice in choices]):
            return choices[plain.index(text)]
        raise ValueError(f"expected one of {', '.join(choices)}")
    number = float(text)
    if isinstance(kind, IntDistribution):
        if not number.is_integer():
            raise ValueError("expected a whole number")
        return int(number)
    return number


def corners(space: Space) -> list[list[str]]:
    """The overrides of a few settings that hold, between them, every choice and both ends of every interval.

    Where they compose, every setting in between does too, unless values disagree with each other.
    """
    texts: dict[str, list[str]] = {}
    for key, kind in space.items():
        if isinstance(kind, CategoricalDistribution):
            texts[key] = [to_text(kind, choice) for choice in kind.choices]
        elif isinstance(kind, (IntDistribution, FloatDistribution)):
            texts[key] = [to_text(kind, kind.low), to_text(kind, kind.high)]
    rows = max((len(column) for column in texts.values()), default=0)
    return [[f"{key}={column[min(row, len(column) - 1)]}" for key, column in texts.items()] for row in range(rows)]

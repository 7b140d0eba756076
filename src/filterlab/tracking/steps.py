"""The steps at which metrics have points, in 8 bytes a point: a long training has millions."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable


class Steps:
    """By the metric's name; they mostly come in their order."""

    def __init__(self) -> None:
        self.of: dict[str, array[int]] = {}

    def __contains__(self, point: tuple[str, int]) -> bool:
        """point: name and step."""
        name, step = point
        steps = self.of.get(name, ())
        place = bisect_left(steps, step)
        return place < len(steps) and steps[place] == step

    def add(self, points: Iterable[tuple[str, int]]) -> None:
        for name, step in points:
            steps = self.of.setdefault(name, array("q"))
            if not steps or step > steps[-1]:
                steps.append(step)
            elif (name, step) not in self:
                steps.insert(bisect_left(steps, step), step)

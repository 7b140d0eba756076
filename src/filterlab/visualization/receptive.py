"""Which pixels of the image a unit of a layer sees: its true receptive field, worked out from the plan."""

from dataclasses import dataclass

from filterlab.models.plan import Layer, Plan, pair

WINDOWS = ("conv", "norm", "activation", "pool", "dropout", "add")  # kinds of layers that make maps of maps


@dataclass(frozen=True)
class Span:
    """Along one axis the first unit sees `size` pixels of the image from `start` on (below 0: in the padding), and the n-th the
    same, n * `jump` pixels further on.
    """

    start: int = 0
    size: int = 1
    jump: int = 1

    def through(self, kernel: int, stride: int, padding: int, dilation: int) -> "Span":
        """What a unit sees of a layer that slides over these (Dumoulin, Visin, arXiv 1603.07285)."""
        reach = dilation * (kernel - 1) * self.jump
        return Span(self.start - padding * self.jump, self.size + reach, self.jump * stride)


Window = tuple[Span, Span]  # down, across


def windows(plan: Plan) -> dict[str, Window]:
    """What a unit sees of each layer that gives maps, by its name. (From flatten or the global pool on: the whole image.)"""
    found: dict[str, Window] = {}
    below = (Span(), Span())
    for layer in plan.layers:
        if layer.kind not in WINDOWS:
            break
        inputs = [found[name] for name in layer.inputs] or [below]
        if layer.kind == "add":
            below = union(inputs[0][0], inputs[1][0]), union(inputs[0][1], inputs[1][1])
        else:
            down, across = (settings(layer, axis) for axis in (0, 1))
            below = inputs[0][0].through(**down), inputs[0][1].through(**across)
        found[layer.name] = below
    return found


def union(maps: Span, shortcut: Span) -> Span:
    """Of a residual sum; a shortcut that skips every second unit begins with the first, and jumps as the longer way does."""
    start = min(maps.start, shortcut.start)
    return Span(start, max(maps.start + maps.size, shortcut.start + shortcut.size) - start, maps.jump)


def settings(layer: Layer, axis: int) -> dict[str, int]:
    """A layer's kernel, stride, padding and dilation along an axis."""
    defaults = {"kernel": 1, "stride": 1, "padding": 0, "dilation": 1}
    return {name: pair(layer.settings.get(name, default))[axis] for name, default in defaults.items()}

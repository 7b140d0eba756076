"""What is measured of layers by depth, and how it is judged."""

from pathlib import Path
from typing import Any

import pytest

from filterlab.lecture import layer_depth
from filterlab.lecture.context import Context
from filterlab.lecture.layer_depth import FEWER, LAYERS, MORE, Depth
from filterlab.lecture.trainings import fit


@pytest.fixture(scope="module")
def context(mnist_root: Path) -> Context:
    return Context(mnist_root, quick=True, record=lambda record: None)


def test_the_full_networks_have_as_many_parameters(mnist_root: Path) -> None:
    full = Context(mnist_root, quick=False, record=lambda record: None)
    counts = [layer_depth.parameters(full, name) for name in (MORE, FEWER)]
    # 3x3 filters with biases, and a dense layer of the last maps, 3x3 each, on ten classes
    by_hand = [10 * a + b * (9 * a + 1) + c * (9 * b + 1) + 10 * (9 * c + 1) for a, b, c in layer_depth.WIDTHS.values()]
    assert counts == by_hand == [8778, 8750]


def test_layers_of_a_training(context: Context) -> None:
    found = layer_depth.measure(layer_depth.training(context, MORE, 0))
    assert [found.sees[layer] for layer in LAYERS] == layer_depth.SEES
    assert all(0 <= found.selectivity[which][layer] <= 1 for which in ("trained", "untrained") for layer in LAYERS)
    assert all(0.1 < found.probe["trained"][layer] <= 1 for layer in LAYERS), "better than chance on MNIST, even untrained"
    assert {f"probe/untrained/{layer}" for layer in LAYERS} <= found.record().metrics.keys()


def test_claims_say_which_is_larger(context: Context) -> None:
    outcome = fit(layer_depth.training(context, FEWER, 0))

    def made(seed: int, *, last: float) -> Depth:
        def by_layer(low: float, high: float) -> dict[str, float]:
            return dict(zip(LAYERS, (low, (low + high) / 2, high), strict=True))

        return Depth(
            outcome,
            probe={"trained": by_layer(0.8, last + seed / 1000), "untrained": by_layer(0.7, 0.75)},
            selectivity={"trained": by_layer(0.2, 0.6 + seed / 1000), "untrained": by_layer(0.2, 0.3)},
            sees={},
        )

    found: Any = {name: {seed: made(seed, last=0.9) for seed in range(4)} for name in (MORE, FEWER)}
    rises, trained, specific, training, general, widths = layer_depth.judge_hypotheses(found)
    assert [one.verdict for one in (rises, trained, specific, training, general)] == ["holds"] * 5
    assert rises.difference == pytest.approx(10.15) and trained.difference == pytest.approx(5.15)
    assert specific.difference == pytest.approx(0.4015) and general.difference == pytest.approx(0.3015)
    assert widths.difference == 0 and widths.verdict == "can't be told", "the same training twice"
    found = {name: {seed: made(seed, last=0.7) for seed in range(4)} for name in (MORE, FEWER)}
    assert layer_depth.judge_hypotheses(found)[0].verdict == "fails"

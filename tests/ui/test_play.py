"""The page in which a trained network runs, in a real browser: it computes what PyTorch does, and answers to what one does."""

import base64
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Page

from filterlab.config import compose
from filterlab.models import registry
from filterlab.pages import play
from filterlab.pages.play import Pictures

CONF = Path(__file__).parents[2] / "conf"
SHIPPED = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
CLASSES = [str(number) for number in range(9)] + ["</script><b>nine</b>"]
# Runs the page's network on images, and gives all numbers of all layers, or the last layer's.
RUN = """([pixels, count, every]) => {
    const all = decode({type: "float32", base64: pixels});
    const size = channels * height * width;
    const last = network.layers.at(-1).name;
    return Array.from({length: count}, (_, k) => {
        const outputs = runAll(network, {channels, height, width, values: all.subarray(k * size, (k + 1) * size)});
        if (!every) return Array.from(outputs[last].values);
        return Object.fromEntries(Object.entries(outputs).map(([name, maps]) => [name, Array.from(maps.values)]));
    });
}"""


@dataclasses.dataclass
class Made:
    network: torch.nn.Module
    html: str


def make(model: str, *, channels: int = 1, side: int = 28, seed: int = 0) -> Made:
    """A network with weights and statistics drawn at random, and its page."""
    config = compose.compose(CONF, [f"model={model}", "data=mnist", "tracking=off"])
    network = registry.build(config.model, channels=channels, height=side, width=side, classes=10, seed=seed).eval()
    draw = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        if name.endswith(("running_mean", "running_var")) or ("norm" in name and not name.endswith("num_batches_tracked")):
            value.copy_(torch.rand(value.shape, generator=draw) + (0.5 if "mean" not in name else -0.5))
    pixels = np.random.default_rng(seed)
    examples = Pictures(pixels.integers(0, 256, (4, channels, side, side), dtype=np.uint8), np.array([0, 1, 9, 9]), ["<i>"] * 4)
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    first = next(value for name, value in weights.items() if name.endswith("weight"))
    html = play.render(
        config.model,
        weights,
        description={
            "data": {"name": "<u>&", "classes": CLASSES, "channels": channels, "height": side, "width": side},
            "mean": 0.13,
            "std": 0.31,
        },
        examples=examples,
        mistakes=examples.first(2),
        epochs=np.stack([first - 0.1, first]),
        chosen=1,
    )
    return Made(network, html)


@pytest.fixture(scope="module")
def made() -> dict[str, Made]:
    return {}


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Any]:
    """Opens a page; in the end, nothing outside was asked for and the console is empty."""
    faults: list[str] = []
    contexts = []

    def open_page(html: str, **context: Any) -> Page:
        path = tmp_path / "play.html"
        path.write_text(html, encoding="utf-8")
        contexts.append(browser.new_context(**({"viewport": {"width": 1400, "height": 900}} | context)))
        page = contexts[-1].new_page()
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda asked: asked.url.startswith(("file:", "data:", "blob:")) or faults.append(asked.url))
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-passes]")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


@pytest.mark.parametrize("model", SHIPPED)
def test_it_computes_what_pytorch_does(model: str, opened: Any) -> None:
    made = make(model)
    page = opened(made.html)
    images = np.random.default_rng(1).random((100, 1, 28, 28), dtype=np.float32)
    outputs: dict[str, torch.Tensor] = {}
    for name, module in made.network.named_modules():
        module.register_forward_hook(lambda _module, _given, output, name=name: outputs.__setitem__(name, output))
    with torch.inference_mode():
        logits = made.network((torch.from_numpy(images) - 0.13) / 0.31).numpy()
    encoded = base64.b64encode(images.tobytes()).decode()
    found = np.array(page.evaluate(RUN, [encoded, 100, False]))
    assert np.abs(found - logits).max() < 1e-3
    assert (found.argmax(axis=1) == logits.argmax(axis=1)).all()
    (maps,) = page.evaluate(RUN, [encoded, 1, True])
    layers = json.loads(page.locator("#content").inner_text() or page.locator("#content").text_content() or "")["layers"]
    for layer in layers:
        expected = outputs[layer["name"]][0].numpy().ravel()
        assert np.abs(np.array(maps[layer["name"]]) - expected).max() <= 1e-4 * np.abs(expected).max(), layer["name"]

"""The pages' curves and figures in a real browser: what is pointed at is told, and in the dark no figure is a white board."""

import io
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser

from filterlab.study.trial import Trial
from filterlab.sweeps import report

METRIC = "best/validation/accuracy"


def shot(place: object) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(place.screenshot())).convert("RGB")).astype(int)


def test_a_sweeps_page(browser: Browser, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    trials = [
        Trial(f"{k:016x}", {"model": f"m{k}"}, "done", metrics={METRIC: 0.9 + k / 100}, curve=[0.5, 0.75, 0.9 + k / 100])
        for k in range(2)
    ]
    layers = {trial.key: draw.normal(size=(4, 1, 3, 3)).astype(np.float32) for trial in trials}
    report.write(trials, name="two", metric=METRIC, first_layers=layers, image_shape=(1, 28, 28), folder=tmp_path)
    seen = {}
    for scheme in ("light", "dark"):
        with browser.new_context(color_scheme=scheme, viewport={"width": 1000, "height": 900}) as context:
            page, said, asked = context.new_page(), [], []
            page.on("console", lambda message, said=said: said.append(message.text))
            page.on("pageerror", lambda error, said=said: said.append(str(error)))
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            page.goto((tmp_path / "report.html").as_uri())
            figure = page.locator("figure.scrolled").last
            figure.scroll_into_view_if_needed()
            if scheme == "dark":
                page.wait_for_function("document.querySelector('img[data-tiles]').dataset.dark")
                page.wait_for_function("document.querySelector('img[data-tiles]').complete")
            seen[scheme] = shot(figure.locator("img"))
            assert [url for url in asked if not url.startswith(("data:", "file:"))] == said == []
            for number in range(page.locator("figure.scrolled").count()):
                picture = shot(page.locator("figure.scrolled").nth(number).locator("img"))
                assert (np.median(picture) > 200) == (scheme == "light"), "paper is as light as the page's"
            if scheme == "light":
                chart = page.locator("figure.chart")
                chart.scroll_into_view_if_needed()
                assert " ".join(chart.locator(".told").inner_text().split()) == "epoch 3 model=m1 91.00 % model=m0 90.00 %"
                box = chart.locator("svg").bounding_box()
                page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
                assert chart.locator(".told").inner_text().split()[:3] == ["epoch", "2", "model=m1"]
                chart.press("ArrowLeft")
                assert "epoch 1 model=m1 50.00 %" in " ".join(chart.locator(".told").inner_text().split())
    # Red and blue weights are the same in both; what was paper is dark.
    colorful = np.ptp(seen["light"], axis=2) > 120
    assert colorful.sum() > 500 and np.abs(seen["light"] - seen["dark"])[colorful].mean() < 8
    with browser.new_context(viewport={"width": 390, "height": 800}) as context:
        page = context.new_page()
        page.goto((tmp_path / "report.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, "the page itself does not go on beyond the edge"
        hint = page.evaluate("getComputedStyle(document.querySelector('.scrolled'), '::before').content")
        assert "swipe" in hint

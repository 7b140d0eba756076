"""The lecture's page as one that can be touched: what its sliders, buttons and numbers do, beside what Python computes."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page

from filterlab.lecture import color, composition, edge_filter, line
from filterlab.lecture import topic as topics
from filterlab.stages import lecture_page

ROOT = Path(__file__).parents[2]
TOUCHED = [topic for topic in topics.all_topics() if topic.number in (1, 2, 3, 4, 10, 14)]


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of what Git keeps of the full run."""
    results = tmp_path_factory.mktemp("clone") / "results"
    (results / "lecture").mkdir(parents=True)
    (results / "lecture/kept").symlink_to(ROOT / "results/lecture/kept")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(topics, "all_topics", lambda: TOUCHED)
        lecture_page.write(results / "lecture-by-hand", quick=False)
    return results / "lecture-by-hand/lecture.html"


@pytest.fixture(params=["desk, light", "phone, dark"])
def page(browser: Browser, page_file: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """Every test at both; a fault of a script, or what does not fit, fails it."""
    width, height = (390, 844) if "phone" in request.param else (1280, 900)
    faults: list[str] = []
    scheme = "dark" if "dark" in request.param else "light"
    with browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme) as context:
        tab = context.new_page()
        tab.on("pageerror", lambda error: faults.append(str(error)))
        tab.on("console", lambda message: faults.append(message.text))
        tab.goto(page_file.as_uri())
        yield tab
        assert tab.evaluate("document.documentElement.scrollWidth") == width
        cut = "[...document.querySelectorAll('.widget *')].filter(each => each.getBoundingClientRect().right > innerWidth).length"
        assert tab.evaluate(cut) == 0
    assert faults == []


def widget(page: Page, topic: str) -> Locator:
    return page.locator(f'.widget[data-topic="{topic}"]')


def said(page: Page, topic: str) -> list[float]:
    """The numbers in the sentence that a widget says."""
    text = widget(page, topic).locator(".says").inner_text().replace("\N{MINUS SIGN}", "-")
    return [float(number) for number in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?", text)]


def slide(page: Page, topic: str, name: str, key: str, times: int = 1) -> None:
    """By the keyboard, as everything here can be."""
    widget(page, topic).get_by_role("slider", name=name, exact=True).focus()
    for _ in range(times):
        page.keyboard.press(key)


def test_gradient_descent_steps_as_in_python(page: Page) -> None:
    x, y = line.draw_points()
    path = line.descend(np.stack([np.ones_like(x), x], axis=1), y, rate=line.RATE, steps=11)
    for step, text in ((1, "One step downhill"), (11, "Ten steps")):
        widget(page, "01_line").get_by_role("button", name=text).click()
        errors = path[step][0] + path[step][1] * x - y
        assert said(page, "01_line")[0] == pytest.approx((errors**2).mean(), abs=5e-5)
    assert said(page, "01_line")[1:4] == pytest.approx(
        [((y - np.polyval(np.polyfit(x, y, 1), x)) ** 2).mean(), *np.polyfit(x, y, 1)[::-1]], abs=5e-5
    )
    widget(page, "01_line").get_by_role("button", name="Closed form").click()
    assert said(page, "01_line")[0] == said(page, "01_line")[1]
    slide(page, "01_line", "b1", "Home")
    assert widget(page, "01_line").locator("output").nth(1).inner_text() == "\N{MINUS SIGN}2.00"


def test_b_shifts_and_w_turns(page: Page) -> None:
    slide(page, "02_logistic", "b", "ArrowRight", 20)
    slide(page, "02_logistic", "w", "ArrowLeft", 30)
    assert said(page, "02_logistic")[::2] == [1.0, -0.5]  # -b/w and w/4, with b = 2, w = -2
    slide(page, "02_logistic", "w", "ArrowRight", 20)
    assert "does not see x" in widget(page, "02_logistic").locator(".says").inner_text()
    widget(page, "02_logistic").get_by_role("button", name="b = 2, w = 1").press("Enter")
    assert said(page, "02_logistic")[::2] == [-2.0, 0.25]


def test_two_units_add_up(page: Page) -> None:
    assert {1.0155, 1.4621} <= set(said(page, "03_bump"))
    slide(page, "03_bump", "w2", "ArrowRight", 20)
    x = np.array([-5.0, 0, 5])
    expected = 2 / (1 + np.exp(-1 - x))  # both are s(1 + x) now
    assert said(page, "03_bump")[:5:2] == pytest.approx(expected, abs=5e-5)


def test_the_network_of_seven_answers_to_its_weights(page: Page) -> None:
    y7 = composition.formulas(np.round(np.arange(-300, 301) / 100, 2))["y7"]
    assert said(page, "04_composition") == pytest.approx([y7.min(), -0.75, y7.max(), 0.75], abs=5e-5)
    box = widget(page, "04_composition")
    box.get_by_role("button", name="unit y3").focus()
    page.keyboard.press("Enter")
    assert box.get_by_role("button", name="unit y3").get_attribute("aria-pressed") == "true"
    assert box.locator(".sliders label").count() == 5, "its bias, and a weight of each unit of the first layer"
    for unit in ("y1", "y2"):  # without them y3 is the same everywhere
        slide(page, "04_composition", f"weight of {unit}", "ArrowRight", 10)
    y6 = composition.formulas(np.array([-3.0, 0.75]))["y6"]
    assert said(page, "04_composition")[::2] == pytest.approx(1 / (1 + np.exp(1 + 2 / (1 + np.e) + y6)), abs=5e-5)
    box.get_by_role("button", name="As on the slide").click()
    assert said(page, "04_composition")[0] == pytest.approx(y7.min(), abs=5e-5)


def test_the_filter_steps_over_its_window_and_can_be_edited(page: Page) -> None:
    box = widget(page, "10_edge_filter")

    def table(name: str, cells: str) -> list[float]:
        found = box.get_by_label(name, exact=False).locator(cells).all_inner_texts()
        return [float(text.replace("\N{MINUS SIGN}", "-")) for text in found]

    assert table("Filtered", "button") == np.ravel(edge_filter.FILTERED).tolist()
    assert table("Pooled", "output") == np.ravel(edge_filter.POOLED).tolist()
    for row, column in np.ndindex(3, 4):
        assert said(page, "10_edge_filter")[:2] == [row + 1, column + 1]
        assert said(page, "10_edge_filter")[-1] == edge_filter.FILTERED[row][column]
        box.get_by_role("button", name="Step").click()
    assert said(page, "10_edge_filter")[:2] == [1, 1]
    box.get_by_label("Filtered", exact=False).locator("button").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert said(page, "10_edge_filter")[:2] == [2, 2] and box.locator("input.here").count() == 9

    box.get_by_label("filter, row 2, column 2").fill("2")
    weights = edge_filter.EDGE.copy()
    weights[1, 1] = 2
    expected = edge_filter.correlate(np.array(edge_filter.WINDOW), weights)
    assert table("Filtered", "button") == expected.ravel().tolist()
    assert table("Pooled", "output") == edge_filter.max_pool(expected).ravel().tolist()
    box.get_by_role("button", name="As on the slide").click()
    box.get_by_role("button", name="Flip the filter").click()
    assert table("Filtered", "button") == (-np.ravel(edge_filter.FILTERED)).tolist()


def test_the_output_size_follows_the_formula(page: Page) -> None:
    box = widget(page, "14_color")
    box.get_by_role("button", name="The same, stride 2").click()
    text = box.locator(".says").inner_text()
    assert "110.5, rounded down: 110. The last pixel is never seen." in text
    slide(page, "14_color", "S", "End")
    slide(page, "14_color", "P", "ArrowRight", 2)
    side, parameters = color.output_side(224, field=5, padding=2, stride=5), color.count_parameters(5, depth=3, filters=1)
    assert said(page, "14_color")[-3:] == [side, 3.0, parameters]
    slide(page, "14_color", "W", "Home")
    slide(page, "14_color", "F", "End")
    assert "does not fit on 5 pixels" in box.locator(".says").inner_text()

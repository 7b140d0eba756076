"""The lecture's page in a real browser: offline, its formulas drawn, and narrow enough for a phone."""

import json
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Request

from filterlab.config import compose
from filterlab.lecture import topic as topics
from filterlab.models import registry
from filterlab.pages import play
from filterlab.stages import lecture, lecture_page

ROOT = Path(__file__).parents[2]
SHOWN = [topic for topic in topics.all_topics() if topic.number in (1, 2, 3, 4, 7, 19)]
PHONE = {"width": 390, "height": 844}  # CSS pixels


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of the topics that need neither data nor torch."""
    root = tmp_path_factory.mktemp("lecture")
    for name in ("conf", "dvc.yaml"):
        (root / name).symlink_to(ROOT / name)
    (root / "params.yaml").write_text("tracking: off\n")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(topics, "all_topics", lambda: SHOWN)
        lecture.run(root, "all", quick=True)
    return root / "results/lecture-quick/lecture.html"


@pytest.mark.parametrize("viewport", [PHONE, {"width": 1280, "height": 900}], ids=["phone", "desk"])
def test_the_page_is_whole_offline_and_fits(browser: Browser, page_file: Path, viewport: dict) -> None:
    asked: list[Request] = []
    faults: list[str] = []
    page = browser.new_page(viewport=viewport)
    page.on("request", lambda request: asked.append(request))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(page_file.as_uri())
    for image in page.locator("img").all():
        image.scroll_into_view_if_needed()
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 500
    assert [request.url for request in asked if not request.url.startswith("data:")] == [page_file.as_uri()]
    assert faults == []
    assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
    formulas = page.locator("math")
    assert formulas.count() == sum(len(topic.formulas) for topic in SHOWN)
    for formula in formulas.all():
        box = formula.bounding_box()
        assert box is not None and box["width"] > 40 and box["height"] > 15
        # MathML that the browser does not know is laid out as plain text, on one line with its commands.
        assert "\\" not in (formula.text_content() or "\\")
    page.close()


def test_conclusions_come_first_checks_are_folded_and_wide_tables_wrap(
    browser: Browser, page_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = page_file.parent
    findings = json.loads((results / "01_line/findings.json").read_text())
    cell = "several words in a cell, 97.25 [96.25, 98.25] of them"
    findings |= {"conclusion": "It fits.", "tables": [{"caption": "Wide.", "header": [cell] * 8, "rows": [[cell] * 8] * 2}]}
    (results / "01_line/findings.json").write_text(json.dumps(findings))
    monkeypatch.setattr(topics, "all_topics", lambda: SHOWN)
    lecture_page.write(results, quick=False)
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(page_file.as_uri())
    assert page.locator("#topic-1 > h2 + .conclusion").inner_text().endswith("It fits.")
    assert not page.locator("#topic-1 td.number").first.is_visible()
    page.locator("#topic-1 summary").first.click()
    assert page.locator("#topic-1 td.number").first.is_visible()
    cut = page.evaluate("[...document.querySelectorAll('.wide')].filter(table => table.scrollWidth > table.clientWidth).length")
    assert cut == 0 and page.locator("#topic-1 .wraps").count() == 1
    page.close()


def test_the_network_of_a_topic_is_there_to_draw_into_once_it_is_opened(
    browser: Browser, page_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = compose.compose(ROOT / "conf", ["model=conv_net", "data=mnist", "tracking=off"]).model
    network = registry.build(model, channels=1, height=28, width=28, classes=10, seed=0)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 1, 28, 28), dtype=np.uint8)
    pictures = play.Pictures(pixels, np.array([0, 1, 2, 3]), [""] * 4)
    data = {"name": '<MNIST> & "more"', "classes": list("0123456789"), "channels": 1, "height": 28, "width": 28}
    (page_file.parent / "02_logistic" / lecture_page.PLAY).write_text(
        json.dumps(
            play.describe(
                model,
                {name: tensor.numpy() for name, tensor in network.state_dict().items()},
                description={"data": data, "mean": 0.13, "std": 0.31},
                rule="mnist",
                examples=pictures,
                mistakes=pictures.first(0),
            )
        )
    )
    monkeypatch.setattr(topics, "all_topics", lambda: SHOWN)
    lecture_page.write(page_file.parent, quick=False)
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text))
    page.goto(page_file.as_uri())
    assert page.locator("iframe").count() == 1 and not page.locator("#topic-2 iframe").is_visible()
    page.locator("#topic-2 .player summary").click()
    frame = page.frame_locator("#topic-2 iframe")
    frame.locator("html[data-passes]").wait_for()
    frame.locator("#examples button").nth(1).click()
    frame.locator("html[data-passes='2']").wait_for()
    assert frame.locator("#scores .best").count() == 1 and "<MNIST>" in frame.locator("body").inner_text()
    assert faults == []
    page.close()

"""What the pictures of README.md were made from; `make pictures` makes them and, by this module, writes it down.

The picture of the page to play with is made here, from the pipeline's.
"""

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs/images"
RECORD = IMAGES / "made_from.json"
FILTERS = "filters_by_epoch.png"  # of the pipeline's model; all others are of MLflow's pages
# What shows in a picture of the pages beside MLflow itself: the trainings, the steps to the page, the filters as they are drawn.
SHOWN = [
    "tests/ui/conftest.py",
    "tests/ui/test_mlflow_ui.py",
    "src/filterlab/visualization/filters.py",
    "src/filterlab/visualization/mosaic.py",
    "src/filterlab/visualization/style.py",
]

PLAY = "play.png"
PAGES = "src/filterlab/pages"
SHOWN_PLAY = [f"{PAGES}/page.css"]
SHOWN_PLAY += [f"{PAGES}/play/{name}" for name in ("play.html.jinja", "play.css", "maps.js", "inspector.js", "tour.js")]


def shoot(page: Path, picture: Path) -> None:
    """The page on one of its mistakes, with a pixel of the second convolution worked out."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        tab = browser.new_page(viewport={"width": 1440, "height": 1060}, reduced_motion="reduce")
        tab.goto(page.resolve().as_uri())
        tab.locator("#mistakes button").nth(2).click()
        tab.locator("html[data-passes='2']").wait_for()
        tab.locator(".column").nth(3).locator(".tile").nth(4).click()
        tab.locator(".looks").first.wait_for()
        tab.screenshot(path=picture)
        browser.close()


def made_from() -> dict[str, dict[str, str]]:
    """By picture, its own SHA-256 and what it would be made from now."""
    return {path.name: {"picture": sha256(path), **sources(path.name)} for path in sorted(IMAGES.glob("*.png"))}


def sources(name: str) -> dict[str, str]:
    """The MD5s of dvc.lock, or the version of MLflow and the SHA-256 of what else shows."""
    if name == FILTERS:
        stages: dict[str, Any] = yaml.safe_load((ROOT / "dvc.lock").read_text())["stages"]
        outs = {out["path"]: out["md5"] for stage in ("train", "visualize") for out in stages[stage]["outs"]}
        return {path: outs[path] for path in ("models", "results/figures/filters")}
    if name == PLAY:
        return {path: sha256(ROOT / path) for path in SHOWN_PLAY}
    (version,) = re.findall(r"^mlflow(?:\[.*\])?==(\S+)", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE)
    return {"mlflow": version, **{path: sha256(ROOT / path) for path in SHOWN}}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    shoot(ROOT / "results/play.html", IMAGES / PLAY)
    RECORD.write_text(json.dumps(made_from(), indent=2) + "\n")

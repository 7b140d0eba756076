"""MLflow's own pages in a real browser: the table of runs, the comparison of two, the filters by epoch.

With FILTERLAB_SCREENSHOTS=docs/images it takes the README's pictures, as `make pictures` does.
"""

import json
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from playwright.sync_api import Page, expect

ACCURACY = "validation/accuracy"
SHOWN = 10  # rows that are surely in the table's window, and runs that MLflow draws in charts


@dataclass(frozen=True)
class Logged:
    """A run, as the database has it; epochs: the last step of its curves."""

    id: str
    experiment: int
    name: str
    epochs: int
    metrics: dict[str, float]
    params: dict[str, str]


@pytest.fixture
def runs(repository: Path) -> list[Logged]:
    """Those of the experiment, the highest validation accuracy first."""
    with closing(sqlite3.connect(f"file:{repository / 'mlflow.db'}?mode=ro", uri=True)) as store:
        found = store.execute(
            "SELECT run_uuid, runs.experiment_id, runs.name, max(step) FROM runs JOIN experiments USING (experiment_id)"
            " JOIN metrics USING (run_uuid) WHERE metrics.key = ? AND runs.lifecycle_stage = 'active'"
            " AND experiments.name = 'filterlab' GROUP BY run_uuid",
            [ACCURACY],
        ).fetchall()
        runs = [
            Logged(
                *row,
                metrics=dict(store.execute("SELECT key, value FROM latest_metrics WHERE run_uuid = ?", row[:1])),
                params=dict(store.execute("SELECT key, value FROM params WHERE run_uuid = ?", row[:1])),
            )
            for row in found
        ]
    return sorted(runs, key=lambda run: -run.metrics[ACCURACY])


def script(number: float) -> str:
    """A number as JavaScript writes it."""
    return repr(number).removesuffix(".0")


def base(pages: str) -> str:
    """Of the server."""
    return pages.partition("/#")[0]


def table(pages: str, runs: list[Logged], *, mode: str = "") -> str:
    """The address of the experiment's trainings (a sweep's parent has no accuracy), the best first."""
    given = {"workflowType": "machine_learning"}
    given |= {"searchFilter": f"metrics.`{ACCURACY}` > 0", "orderByKey": f"metrics.`{ACCURACY}`", "orderByAsc": "false"}
    return f"{base(pages)}/#/experiments/{runs[0].experiment}/runs?{urlencode(given, quote_via=quote)}{mode}"


def make_room(page: Page) -> None:
    """Close MLflow's assistant, which opens by itself for who is new here, and the menu."""
    page.get_by_role("button", name="Close", exact=True).click()
    page.get_by_role("button", name="Toggle sidebar").click()


def test_the_address_that_is_printed_shows_the_results(page: Page, pages: str, runs: list[Logged]) -> None:
    """As it opens for who is new here: no home for generative AI, no empty list of traces."""
    page.goto(pages)
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()
    expect(page.get_by_role("columnheader", name=f"best/{ACCURACY}").first).to_be_visible()
    for run in runs[:SHOWN]:
        row = page.locator("[role=row]").filter(has_text=script(run.metrics[f"best/{ACCURACY}"]))
        expect(row.first).to_be_visible()


def test_the_table_lists_every_run_with_its_accuracy(page: Page, pages: str, runs: list[Logged], screenshots: Path) -> None:
    page.goto(table(pages, runs))
    expect(page.get_by_text(f"{len(runs)} matching runs")).to_be_visible()
    make_room(page)
    page.get_by_role("button", name="Columns", exact=True).click()
    choice = page.get_by_role("dialog")
    for column in ("Dataset", "Source", "Models"):  # shown unless unticked
        choice.get_by_text(column, exact=True).click()
    for column in (ACCURACY, "model.name", "optimizer.name", "optimizer.lr", "seed"):
        choice.get_by_text(column, exact=True).click()
    page.keyboard.press("Escape")
    for header in (ACCURACY, "optimizer.name"):
        page.get_by_role("columnheader", name=header).first.locator(".ag-header-cell-resize").dblclick()

    for place, run in enumerate(runs[:SHOWN]):
        row = page.locator(
            f"[role=row][row-index='{place}']"
        )  # in two parts: the names, which stay, and the values, which scroll
        expect(row.get_by_text(script(run.metrics[ACCURACY]), exact=True)).to_be_visible()
        names = [other.name for other in runs if other.metrics[ACCURACY] == run.metrics[ACCURACY]]
        assert row.first.get_by_role("link").inner_text() in names
    page.set_viewport_size({"width": 1400, "height": 520})  # as much as there is to see
    page.screenshot(path=screenshots / "ui_runs.png")


def differing(one: Logged, other: Logged) -> dict[str, tuple[str, str]]:
    """Parameters that are not the same in both; empty where one has no such parameter."""
    names = sorted(one.params.keys() | other.params.keys())
    unequal = [name for name in names if one.params.get(name) != other.params.get(name)]
    return {name: (one.params.get(name, ""), other.params.get(name, "")) for name in unequal}


def test_two_runs_are_compared_by_metrics_and_parameters(page: Page, pages: str, runs: list[Logged], screenshots: Path) -> None:
    best = runs[0]
    # The one most like it, but for the seed alone: what a comparison is for.
    others = [run for run in runs if differing(best, run).keys() - {"seed"}]
    other = min(others, key=lambda run: (run.params["model.name"] != best.params["model.name"], len(differing(best, run))))
    ids = quote(json.dumps([best.id, other.id]), safe="")
    page.goto(f"{base(pages)}/#/compare-runs?runs={ids}&experiments={quote(json.dumps([str(best.experiment)]), safe='')}")
    expect(page.get_by_text("Comparing 2 Runs from 1 Experiment")).to_be_visible()
    make_room(page)
    page.get_by_text("Visualizations", exact=True).click()
    page.get_by_role("switch").first.click()  # of the parameters: show the difference alone

    for run in (best, other):
        expect(page.get_by_role("table").first.get_by_text(run.name, exact=True).first).to_be_visible()
    expected = differing(best, other)
    parameters = page.get_by_role("table").nth(1)
    expect(parameters.get_by_role("row")).to_have_count(len(expected))
    for name, values in expected.items():
        row = parameters.get_by_role("row").filter(has=page.get_by_text(name, exact=True))
        cells = ["".join(cell.split()) for cell in row.get_by_role("cell").all_inner_texts()]
        assert cells[-2:] == ["".join(value.split()) for value in values], name
    metric = next(name for name in (f"best/{ACCURACY}", ACCURACY) if name in best.metrics)
    expect(page.get_by_text(metric, exact=True)).to_be_visible()
    for run in (best, other):
        rounded = f"{run.metrics[metric]:.3f}".rstrip("0").rstrip(".")
        expect(page.get_by_role("grid").last.get_by_text(rounded, exact=True).first).to_be_visible()
    page.get_by_text("Run details", exact=True).evaluate("heading => heading.scrollIntoView()")  # so that metrics are in view too
    page.screenshot(path=screenshots / "ui_compare.png")


def test_the_first_layers_filters_are_seen_by_epoch(page: Page, pages: str, runs: list[Logged], screenshots: Path) -> None:
    page.goto(table(pages, runs, mode="&compareRunsMode=CHART"))
    expect(page.get_by_test_id("experiment-view-compare-runs-card").first).to_be_visible()
    make_room(page)
    page.get_by_role("button", name="Add chart").first.click()
    page.get_by_role("menuitem", name="Image grid").click()
    form = page.get_by_role("dialog")
    form.get_by_role("combobox", name="Images").click()
    page.get_by_role("option", name="first_layer").click()
    page.keyboard.press("Escape")
    form.get_by_role("switch").click()  # without the runs' parameters, which are many
    form.get_by_role("button", name="Add chart").click()
    expect(form).to_be_hidden()
    card = page.get_by_test_id("experiment-view-compare-runs-card").filter(has_text="first_layer")
    card.get_by_role("button").first.click()  # fills the window

    grid = page.get_by_role("dialog")
    pictures = grid.locator("img")
    for step in (0, min(run.epochs for run in runs[:SHOWN])):
        grid.get_by_role("spinbutton").fill(str(step))
        grid.get_by_role("spinbutton").press("Tab")
        expect(pictures).to_have_count(min(len(runs), SHOWN))
        for picture in pictures.all():
            expect(picture).to_have_attribute("src", re.compile(rf"first_layer%2Bstep%2B{step}%2B"))
            page.wait_for_function("image => image.complete && image.naturalWidth > 100", arg=picture.element_handle())
    for run in runs[:SHOWN]:
        expect(grid.get_by_text(run.name).first).to_be_visible()
    page.set_viewport_size({"width": 1400, "height": 600})  # as much as there is to see
    page.screenshot(path=screenshots / "ui_filters.png")

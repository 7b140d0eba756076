"""`filterlab lecture`: run topics, write what came out, make the page."""

import dataclasses
import json
import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from filterlab import extras, files, lecture, tracking
from filterlab.config import compose, schema
from filterlab.errors import DataError, UserError
from filterlab.lecture import topic as topics
from filterlab.lecture.context import Context, Record
from filterlab.lecture.result import Check, Result
from filterlab.lecture.topic import Topic
from filterlab.stages import lecture_page
from filterlab.stages.lecture_page import COSTS, FINDINGS, PLAY
from filterlab.study.claims import Hypothesis
from filterlab.tracking import process, provenance

EXPERIMENT = "lecture"  # of MLflow
STYLE = Path(lecture.__file__).parent / "lecture.mplstyle"


def run(root: Path, what: str, *, quick: bool) -> None:
    """Run a topic by its number, or every one ("all"), or make the page of what was run ("page", which "all" ends with).

    Results lie in results/lecture/ where DVC runs it, as lecture/dvc.yaml says; by hand in results/lecture-by-hand/, of the quick
    budget in results/lecture-quick/: what lies at a place of DVC's without being in its cache, `dvc exp run` deletes.

    Raises UserError: there is no such topic, data are missing, or a check failed (what came out is written all the same).
    """
    extras.check("lecture", needed_by="the lecture")
    results = root / "results" / ("lecture-quick" if quick else "lecture" if "DVC_STAGE" in os.environ else "lecture-by-hand")
    computed = [topic for topic in topics.all_topics() if topic.compute]
    chosen = computed if what == "all" else [] if what == "page" else [topics.find(what)]
    failed = [line for topic in chosen for line in run_topic(topic, root, results, quick=quick)]
    if what in ("all", "page"):
        lecture_page.write(results, quick=quick)
    if failed:
        raise UserError("the lecture's checks failed:\n" + "\n".join(f"  {line}" for line in failed))


def run_topic(topic: Topic, root: Path, results: Path, *, quick: bool) -> list[str]:
    """Write the topic's folder below `results` and its MLflow run; give the checks that failed, a line each."""
    from matplotlib import style

    budget = "quick" if quick else "full"
    print(f"topic {topic.number}  {topic.title} ({budget})", flush=True)
    started = time.perf_counter()
    tags = {**provenance.tags(root), **process.tags(), "filterlab.kind": "lecture", "filterlab.budget": budget}
    tags["filterlab.topic"] = str(topic.number)
    with tracking.start(settings(root), root=root, name=f"{topic.number:02d} {topic.title} ({budget})", tags=tags) as record:
        record.log_params({"topic": topic.number, "budget": budget})

        def keep(trained: Record) -> None:
            params = {"topic": topic.number, "budget": budget, **trained.params}
            record.log_child(trained.name, params=params, metrics=trained.metrics, curves=trained.curves, tags=tags)

        try:
            with style.context(STYLE):
                findings = topic.load()(Context(root, quick=quick, record=keep))
        except DataError as error:  # params.yaml may ask for other data, which is all that DVC then brings
            error.add_note(
                "the lecture reads MNIST: with `data: mnist` and `experiment: none` in params.yaml, `dvc repro download`"
            )
            raise
        folder = results / topic.name
        write(findings, folder, budget=budget, topic=topic)
        passed = sum(check.passed for check in findings.checks)
        record.log_metrics({"checks/passed": passed, "checks/failed": len(findings.checks) - passed})
        record.log_metrics({f"check/{number:02d}": value for number, value in numbers(findings.checks).items()})
        for name in findings.figures:
            record.log_image(name, folder / f"{name}.png")
        record.log_artifact(folder)
    print(f"  {passed} of {len(findings.checks)} checks hold; {time.perf_counter() - started:.1f} s; {folder.relative_to(root)}/")
    sys.stdout.flush()
    if quick and findings.hypotheses:
        print(f"  {len(findings.hypotheses)} claims: the full budget decides them")
    for found in findings.hypotheses if not quick else ():
        print(f"  {found.claim}: {found.verdict} ({found.difference:+.3g} [{found.low:.3g}, {found.high:.3g}] {found.unit})")
    return [
        f"topic {topic.number}, {check.says}: {check.value}, expected {check.expected}"
        for check in findings.checks
        if not check.passed
    ]


def settings(root: Path) -> schema.Tracking:
    """Where params.yaml tracks, under the lecture's own experiment."""
    parameters = compose.read_parameters(root / "params.yaml")
    words = [word for word in compose.to_overrides(parameters) if word.startswith("tracking")]
    chosen = compose.compose(root / "conf", words).tracking
    return dataclasses.replace(chosen, experiment=EXPERIMENT, system_metrics=False)


def numbers(checks: Sequence[Check]) -> dict[int, float]:
    """By place, the checks' values that are one number."""
    return {
        place: float(check.value) for place, check in enumerate(checks, start=1) if isinstance(check.value, bool | int | float)
    }


def write(findings: Result, folder: Path, *, budget: str, topic: Topic) -> None:
    """The figures, findings.json, costs.json and play.json; what an earlier run left is replaced."""
    from filterlab.visualization import png

    captions = {name: topic.find_text("figures", name).caption for name in findings.figures}
    for old in folder.glob("*.png"):
        old.unlink()
    for name, figure in findings.figures.items():
        png.write(figure, folder / f"{name}.png")
    content: dict[str, Any] = {
        "budget": budget,
        "conclusion": findings.conclusion,
        "checks": [dataclasses.asdict(check) for check in findings.checks],
        "hypotheses": [as_json(found) for found in findings.hypotheses],
        "tables": [dataclasses.asdict(table) for table in findings.tables],
        "figures": captions,
    }
    save(folder / FINDINGS, content)
    (folder / COSTS).unlink(missing_ok=True)
    (folder / PLAY).unlink(missing_ok=True)
    if findings.play:
        save(folder / PLAY, findings.play)
    if findings.costs:
        save(folder / COSTS, {"tables": [dataclasses.asdict(table) for table in findings.costs]})


def as_json(found: Hypothesis) -> dict[str, Any]:
    """A hypothesis for JSON, which knows no nan: null where there is no interval."""
    ends = {end: None for end in ("low", "high") if math.isnan(getattr(found, end))}
    return dataclasses.asdict(found) | ends | {"verdict": found.verdict}


def save(path: Path, content: Mapping[str, Any]) -> None:
    files.write(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")

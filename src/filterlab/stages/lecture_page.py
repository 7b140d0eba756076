"""The lecture as one page and one table of numbers, from what its topics left."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filterlab import files
from filterlab.lecture import topic as topics
from filterlab.pages import page, play

FINDINGS, COSTS = "findings.json", "costs.json"  # of each topic; costs, which no rerun repeats, where there are any
PLAY = "play.json"  # of a topic in whose network one can draw
KEPT = "kept"  # below results/lecture/: what Git has of the full run, so that a clone's page needs no training
NOT_TOLD: dict[str, Any] = {"conclusion": "", "hypotheses": [], "tables": []}  # by the quick budget


def write(results: Path, *, quick: bool) -> None:
    """lecture.json and lecture.html in `results`; of DVC's own results KEPT as well.

    A topic that was not run here is shown by what Git keeps of the full run. The quick budget shows that for all topics, beside
    the checks that it computed; a figure of its own only where there is none.

    Raises DataError: a topic was not run, and nothing is kept of it; says which command runs it.
    """
    kept = results.parent / "lecture" / KEPT
    entries = [entry(topic, results, kept=kept, quick=quick) for topic in topics.all_topics()]
    numbers = {str(given["topic"].number): summary(given, quick=quick) for given in entries if given["findings"]}
    filters = {"math": math, "value": value, "code": code}
    text = page.render("lecture.html.jinja", filters=filters, entries=entries, quick=quick, widgets=widgets())
    if kept.parent == results:
        keep(entries, results, kept)
    files.write(results / "lecture.json", json.dumps(numbers, indent=2, ensure_ascii=False) + "\n")
    files.write(results / "lecture.html", text)
    print(f"  results/{results.name}/lecture.html, lecture.json", flush=True)


def entry(topic: topics.Topic, results: Path, *, kept: Path, quick: bool) -> dict[str, Any]:
    """What the page shows of a topic; of one that comes later its name alone.

    findings: of the full run, or else those of the quick budget; checks: those that were computed here.
    """
    if not topic.compute:
        return {"topic": topic, "findings": None}
    command = f"filterlab lecture {topic.number}{' --quick' * quick}"
    folder = results / topic.name
    full = None if kept.parent == results else recall(topic, kept)
    if quick or full is None or (folder / FINDINGS).exists():
        here = json.loads(page.read(folder / FINDINGS, maker=command))
    else:
        here, folder = full, kept / topic.name
    shown = (full or here | NOT_TOLD) if quick else here
    drawn = kept / topic.name if quick and full and full["figures"] else folder
    figures = shown["figures"] or here["figures"]
    return {
        "topic": topic,
        "command": command,
        "findings": shown,
        "checks": here["checks"],
        "costs": json.loads((folder / COSTS).read_text(encoding="utf-8"))["tables"] if (folder / COSTS).exists() else [],
        "figures": [(page.image(drawn / f"{name}.png", maker=command), says) for name, says in figures.items()],
        "play": play.render(json.loads((drawn / PLAY).read_text(encoding="utf-8"))) if (drawn / PLAY).exists() else "",
        "drawn_quick": quick and drawn == folder,
    }


def recall(topic: topics.Topic, kept: Path) -> dict[str, Any] | None:
    """What Git keeps of a topic's full run: its findings or, without them, what lecture.json says; None: nothing."""
    if (kept / topic.name / FINDINGS).exists():
        return dict(json.loads((kept / topic.name / FINDINGS).read_text(encoding="utf-8")))
    table = kept.parent / "lecture.json"
    told = json.loads(table.read_text(encoding="utf-8")) if table.exists() else {}
    number = str(topic.number)
    return {**told[number], "tables": [], "figures": {}} if number in told else None


def keep(entries: Sequence[dict[str, Any]], results: Path, kept: Path) -> None:
    """A copy of each topic's findings, figures and PLAY, small enough for Git; what is of no topic any more goes."""
    names = {given["topic"].name: given["findings"] for given in entries if given["findings"]}
    for name, findings in names.items():
        files.write(kept / name / FINDINGS, (results / name / FINDINGS).read_text(encoding="utf-8"))
        for figure in findings["figures"]:
            files.write(kept / name / f"{figure}.png", reduced((results / name / f"{figure}.png").read_bytes()))
        (kept / name / PLAY).unlink(missing_ok=True)
        if (results / name / PLAY).exists():
            files.write(kept / name / PLAY, (results / name / PLAY).read_text(encoding="utf-8"))
    for path in kept.glob("*/*"):
        name = path.parent.name
        if name not in names or (path.name not in (FINDINGS, PLAY) and path.stem not in names[name]["figures"]):
            path.unlink()


def reduced(picture: bytes) -> bytes:
    """A PNG in 256 colors, a third as large. What png.write says of the images in it stays."""
    from PIL import Image, PngImagePlugin

    content, text = io.BytesIO(), PngImagePlugin.PngInfo()
    if tiles := page.tiles(picture):
        text.add_text("tiles", tiles)
    colors = Image.open(io.BytesIO(picture)).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    colors.save(content, format="png", optimize=True, pnginfo=text)
    return content.getvalue()


def summary(given: dict[str, Any], *, quick: bool) -> dict[str, Any]:
    """A topic in lecture.json: of the quick budget the checks alone, since its data are too few for claims."""
    findings = given["findings"]
    if quick:
        return {"title": given["topic"].title, "budget": "quick", "checks": given["checks"]}
    return {"title": given["topic"].title} | {key: findings[key] for key in ("budget", "conclusion", "checks", "hypotheses")}


def widgets() -> dict[str, dict[str, Any]]:
    """By topic, the numbers that its widget (pages/widgets/<topic>.js) begins with."""
    from filterlab.lecture import composition, edge_filter, line, logistic

    x, y = line.draw_points()
    matrices, biases = ([part.tolist() for part in parts] for parts in (composition.WEIGHTS, composition.BIASES))
    return {
        "01_line": {"x": x.tolist(), "y": y.tolist(), "rate": line.RATE},
        "02_logistic": {"pairs": logistic.PAIRS},
        "03_bump": {},
        "04_composition": {"layers": composition.LAYERS, "weights": matrices, "biases": biases},
        "10_edge_filter": {"window": edge_filter.WINDOW, "filter": edge_filter.EDGE.tolist()},
        "14_color": {},
    }


def math(tex: str) -> Any:
    """LaTeX as MathML, which browsers draw themselves."""
    from latex2mathml.converter import convert
    from markupsafe import Markup

    return Markup(convert(tex, display="block"))  # ours: no user's text gets here


def code(text: str) -> Any:
    """Text with its parts between backticks as code."""
    from markupsafe import Markup, escape

    parts = text.split("`")
    return Markup("").join(Markup("<code>{}</code>").format(part) if odd % 2 else escape(part) for odd, part in enumerate(parts))


def value(given: Any) -> str:
    """A check's number, truth, text, or array (a line a row), as one reads it."""
    if isinstance(given, bool):
        return "yes" if given else "no"
    if isinstance(given, float):
        return f"{given:.6g}"
    if isinstance(given, Sequence) and not isinstance(given, str):
        nested = any(isinstance(item, list) for item in given)
        return ("\n" if nested else ", ").join(value(item) for item in given)
    return f"{given:,}" if isinstance(given, int) and abs(given) >= 10_000 else str(given)

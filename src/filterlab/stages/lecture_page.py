"""The lecture as one page and one table of numbers, from what its topics left."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filterlab import files
from filterlab.lecture import topic as topics
from filterlab.pages import page

FINDINGS, COSTS = "findings.json", "costs.json"  # of each topic; costs, which no rerun repeats, where there are any

HANDS = {2: "logistic", 3: "bump", 4: "composition", 10: "edge", 14: "size"}  # what the reader can move; pages/hands/hands.js


def write(results: Path, *, quick: bool) -> None:
    """lecture.json and lecture.html in `results`. Raises DataError: a topic was not run; says which command runs it."""
    flag = " --quick" if quick else ""
    entries = [entry(topic, results, flag=flag) for topic in topics.all_topics()]
    numbers = {
        str(given["topic"].number): {"title": given["topic"].title}
        | {key: given["findings"][key] for key in ("budget", "conclusion", "checks", "hypotheses")}
        for given in entries
        if given["findings"]
    }
    files.write(results / "lecture.json", json.dumps(numbers, indent=2, ensure_ascii=False) + "\n")
    text = page.render(
        "lecture.html.jinja",
        filters={"math": math, "value": value, "code": code},
        entries=entries,
        quick=quick,
        hands=(page.FOLDER / "hands/hands.js").read_text(),
    )
    files.write(results / "lecture.html", text)
    print(f"  results/{results.name}/lecture.html, lecture.json", flush=True)


def entry(topic: topics.Topic, results: Path, *, flag: str) -> dict[str, Any]:
    """What the page shows of a topic; of one that comes later its name alone."""
    if not topic.compute:
        return {"topic": topic, "findings": None}
    command = f"filterlab lecture {topic.number}{flag}"
    folder = results / topic.name
    findings = json.loads(page.read(folder / FINDINGS, maker=command))
    return {
        "topic": topic,
        "command": command,
        "findings": findings,
        "hands": HANDS.get(topic.number),
        "costs": json.loads((folder / COSTS).read_text(encoding="utf-8"))["tables"] if (folder / COSTS).exists() else [],
        "figures": [(page.uri(folder / f"{name}.png", maker=command), says) for name, says in findings["figures"].items()],
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

"""Without a network: `filterlab pipeline` says so, and goes through the same stages with scikit-learn's digits."""

import json
from typing import Any

NOWHERE = "http://127.0.0.1:9/"  # nothing listens on the discard port


def test_no_mirror_answers(make_project: Any) -> None:
    project = make_project()
    del project.environment["FILTERLAB_MIRROR"]
    option = project.root / "conf/data/mnist.yaml"
    text = option.read_text()
    first, last = text.index("mirrors:"), text.index("files:")
    option.write_text(f"{text[:first]}mirrors: [{NOWHERE}]\n{text[last:]}")

    printed = project.run("dvc", "repro", code=255)
    assert NOWHERE in printed and "FILTERLAB_MIRROR" in printed and "data: digits" in printed
    assert "Traceback" not in printed

    project.edit("params.yaml", "  data: {take: per_class, take_n: 60}\n", "")
    project.edit("params.yaml", "tracking: local", "tracking: off")
    printed = project.run("filterlab", "pipeline")
    assert printed.count("NOTE: no mirror of mnist could be reached") == 2
    assert printed.rstrip().splitlines()[-1].startswith("NOTE: no mirror"), "it is the last thing said"
    assert "data: digits" in (project.root / "params.yaml").read_text()
    metrics = json.loads((project.root / "results/metrics.json").read_text())
    assert (metrics["data"], metrics["examples"]) == ("digits", 360)
    assert "digits" in (project.root / "results/report.html").read_text()

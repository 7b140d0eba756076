"""`filterlab <verb>`: the stages one by one, the whole pipeline, a training of one's own, the UI."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from filterlab.errors import UserError, explain
from filterlab.repository import find_root

STAGES = ["compose", "download", "preprocess", "train", "evaluate", "visualize", "report"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a verb; end with 0, with the error's exit code, or with 130 where the user interrupted."""
    try:
        dispatch(list(sys.argv[1:] if arguments is None else arguments))
    except (UserError, OSError, KeyboardInterrupt) as error:
        sys.exit(explain(error))


def dispatch(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="filterlab", description="What convolutional networks learn, as a pipeline anyone can rerun."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="verb")
    verbs.add_parser("pipeline", help="dvc repro, with a summary; without a network, on scikit-learn's digits")
    stage = verbs.add_parser("stage", help="one stage of dvc.yaml, by itself")
    stage.add_argument("name", choices=STAGES)
    verbs.add_parser("train", help="train with Hydra's command line: filterlab train --help", add_help=False)
    ui = verbs.add_parser("ui", help="open MLflow's pages on the runs, on this machine alone")
    ui.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    ui.add_argument("--port", type=int, default=5000, help="port to listen on (default: %(default)s)")
    if arguments[:1] == ["-sc"]:  # the shell's question, as Hydra taught it: what may follow COMP_LINE?
        verb, *rest = os.environ.get("COMP_LINE", "").split(" ")[1:] or [""]
        if not rest:
            print(*verbs.choices)
        if not rest or verb != "train":
            return
        arguments = ["train", *arguments]
    # Hydra reads a training's words itself, and so do the processes that Lightning starts for ddp, without the verb.
    if arguments[:1] == ["train"] or "=" in "".join(arguments[:1]):
        from filterlab.stages import entry

        entry.main(arguments[1:] if arguments[0] == "train" else arguments)
        return
    chosen = parser.parse_args(arguments)
    root = find_root(Path.cwd())
    if chosen.verb == "stage":
        importlib.import_module(f"filterlab.stages.{chosen.name}").run(root)
    elif chosen.verb == "pipeline":
        from filterlab.stages import pipeline

        sys.exit(pipeline.run(root))
    else:
        from filterlab.tracking import ui as pages

        pages.serve(root, host=chosen.host, port=chosen.port)


if __name__ == "__main__":
    main()

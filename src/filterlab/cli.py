"""`filterlab <verb>`: the stages one by one, the whole pipeline, a training of one's own, the UI."""

import argparse
import getpass
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from filterlab import console, extras, garbage
from filterlab.errors import UserError, explain
from filterlab.repository import find_root

# Each module of stages/ but those of the lecture, which has its own dvc.yaml.
STAGES = sorted(path.stem for path in (Path(__file__).parent / "stages").glob("[a-z]*.py") if not path.stem.startswith("lecture"))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a verb; end with 0, with the error's exit code, or with 130 where the user interrupted."""
    garbage.tune()
    console.prepare()
    try:
        dispatch(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
    except BrokenPipeError:  # who reads what is printed has seen enough, as `head` has
        console.discard_output()
        sys.exit(128 + signal.SIGPIPE)
    except (UserError, OSError, SyntaxError, KeyboardInterrupt) as error:
        code = explain(error)
        console.discard_output()
        sys.exit(code)
    except ModuleNotFoundError as error:
        if (missing := extras.missing(error)) is None:
            raise
        sys.exit(explain(missing))


def check_encoding(words: Sequence[str]) -> None:
    """Raises UserError where a word, or the folder, is no text: files, URLs and MLflow's store hold UTF-8."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise UserError(
                f"{os.fsencode(word)!r} is no text in this locale's encoding ({sys.getfilesystemencoding()}), and names are "
                "kept in UTF-8: export LC_ALL=C.UTF-8, without PYTHONUTF8=0, or rename it"
            ) from None


def check_account() -> None:
    """A container may run as a number that no account has: DVC wants a name, which it gets, and MLflow a home.

    Raises UserError: there is none.
    """
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = f"uid-{os.getuid()}"
    try:
        Path.home()
    except RuntimeError:
        raise UserError(f"user {os.getuid()} has no home folder: export HOME=FOLDER, one that can be written to") from None


def prints_only(chosen: argparse.Namespace) -> bool:
    """Whether a command only prints, so that the end of its reader, e.g. `head`, may end it."""
    if chosen.verb == "lecture":
        return chosen.list or not chosen.what
    return (
        chosen.verb == "lineage"
        or (chosen.verb == "predict" and not (chosen.csv or chosen.show))
        or (chosen.verb == "sweep" and chosen.what not in ("collect", "cancel"))
    )


def dispatch(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="filterlab", description="What convolutional networks learn, as a pipeline anyone can rerun."
    )
    parser.add_argument("--version", action="store_true", help="print it and stop")
    if arguments == ["--version"]:
        print(f"filterlab {version('filterlab')}")
        return
    check_encoding([*arguments, str(Path.cwd())])
    check_account()
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="verb")
    verbs.add_parser("pipeline", help="dvc repro, with a summary; without a network, on scikit-learn's digits")
    stage = verbs.add_parser("stage", help="one stage of dvc.yaml, by itself; to keep what it makes: dvc repro -fs STAGE")
    stage.add_argument("name", choices=STAGES)
    verbs.add_parser("train", help="train with Hydra's command line: filterlab train --help", add_help=False)
    own = verbs.add_parser(
        "data", help="your own images: what is there, and an option of conf/data/ that reads it"
    ).add_subparsers(dest="what", required=True, metavar="what")
    add = own.add_parser("add", help="look at a folder of pictures by class, or an archive of one; write conf/data/NAME.yaml")
    add.add_argument("path", help="or torchvision:NAME, e.g. torchvision:SVHN")
    add.add_argument("--name", default="", help="of the data set (default: the folder's)")
    shown = own.add_parser("show", help="draw the first images of each class, as they are prepared")
    shown.add_argument("name", help="an option of conf/data/")
    sweep = verbs.add_parser("sweep", help="what `filterlab train --multirun` will do, does and did").add_subparsers(
        dest="what", required=True, metavar="what"
    )
    plan = sweep.add_parser("plan", help="how many trainings, how long, the first of them, what all share; starts nothing")
    plan.add_argument("words", nargs=argparse.REMAINDER, metavar="key=values", help="as after `filterlab train --multirun`")
    status = sweep.add_parser("status", help="its trials, from the store; without a name: all sweeps")
    status.add_argument("name", nargs="?", default="")
    status.add_argument(
        "--watch", action="store_true", help="until it ends: epochs, rate and what is left; Ctrl-C leaves it alone"
    )
    cancel = sweep.add_parser("cancel", help="end what runs of it, here and on SLURM; the same command goes on with it")
    cancel.add_argument("name")
    collect = sweep.add_parser("collect", help="write the report of what is done, and log it to the parent run")
    collect.add_argument("name")
    sync = verbs.add_parser("sync", help="send what trainings have logged offline, or could not send, to its store")
    sync.add_argument("paths", nargs="*", metavar="PATH", help="a folder of spools, e.g. a copy; without one, those here")
    sync.add_argument("--to", default="", metavar="URL", help="a server, instead of each spool's own store")
    sync.add_argument("--watch", action="store_true", help="go on, and send what comes; Ctrl-C ends it")
    promote = verbs.add_parser("promote", help="make a run's choices the parameters of the next dvc repro")
    promote.add_argument("run", nargs="?", default="", help="its id, or how it begins")
    promote.add_argument(
        "--best", default="", metavar="METRIC", help="the best of a sweep by a validation metric, e.g. accuracy, macro_f1"
    )
    promote.add_argument("--sweep", default="", metavar="NAME", help="the sweep whose best is meant")
    for name, says in (
        ("evaluate", "measure a run's network on the test set, by which the run is marked"),
        ("visualize", "draw what a run's network has learned"),
        ("report", "a page that tells of a run, as the pipeline's does"),
        ("play", "a page in which a run's network runs"),
    ):
        any_run = verbs.add_parser(name, help=says)
        any_run.add_argument("run", nargs="?", default="", help="its id, or how it begins")
        any_run.add_argument("--sweep", default="", metavar="NAME", help="instead of a run: the best of this sweep by validation")
    compare = verbs.add_parser("compare", help="a page of what tells some runs apart; measures them on the test set")
    compare.add_argument("runs", nargs="+", metavar="RUN", help="its id, or how it begins")
    predict = verbs.add_parser("predict", help="what a network says of pictures")
    predict.add_argument(
        "paths", nargs="+", metavar="FILE|FOLDER|-", help="pictures, folders of them, - for stdin, or a CSV of pixels"
    )
    predict.add_argument("--run", default="", help="the id of a run, or how it begins, whose network answers (default: models/)")
    predict.add_argument("--csv", default="", metavar="FILE", help="write all probabilities there; of a CSV, ImageId and Label")
    predict.add_argument(
        "--show", default="", metavar="FILE.png", help="draw the first pictures, what the network saw, and its answers"
    )
    verbs.add_parser("lineage", help="from dvc.lock to the run behind the pipeline's model, and from it to where it came from")
    doctor = verbs.add_parser(
        "doctor", help="is all well? environment, machine, data, store, runs, leftovers, Git, DVC; exit code 1: no"
    )
    doctor.add_argument("--fix", action="store_true", help="mend what takes nothing from anyone, and say so")
    lecture = verbs.add_parser("lecture", help="the lecture's topics, each worked out, checked and drawn")
    lecture.add_argument(
        "what", nargs="?", default="", metavar="topic", help="a topic's number, all, page, or stages: those of lecture/dvc.yaml"
    )
    lecture.add_argument("--list", action="store_true", help="name the topics")
    lecture.add_argument("--quick", action="store_true", help="the small budget, to see that everything runs")
    server = verbs.add_parser("server", help="MLflow for a team, on a database: see docs/server.md")
    server.add_argument(
        "--store", default="", help="the database's URL; better in FILTERLAB_STORE, where other users can't see it"
    )
    server.add_argument(
        "--artifacts", default="mlartifacts", help="folder or URL that keeps pictures and models (default: %(default)s)"
    )
    server.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    server.add_argument("--port", type=int, default=5000, help="port to listen on (default: %(default)s)")
    server.add_argument("--auth", action="store_true", help="ask for name and password on this machine too, as from elsewhere")
    server.add_argument("--allowed-hosts", default="", help="names that others may call it by, with commas between")
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
        from filterlab.commands import train

        train.main(arguments[1:] if arguments[0] == "train" else arguments)
        return
    if arguments[:2] == ["sweep", "plan"]:  # the words of `filterlab train`, just as they are
        from filterlab.commands import train

        words = train.flags(arguments[2:])[1]
        arguments = ["sweep", "plan", *(word for word in words if word not in ("-m", "--multirun"))]
    chosen = parser.parse_args(arguments)
    if chosen.verb == "sync":  # a copy of spools can be sent from outside of a repository
        importlib.import_module("filterlab.commands.sync").run(chosen.paths, to=chosen.to, watch=chosen.watch)
        return
    root = find_root(Path.cwd())
    if not prints_only(chosen):
        console.keep_going()
    if chosen.verb == "stage":
        from filterlab.tracking import provenance

        provenance.check_code(root)
        if chosen.name == "train":
            from filterlab.sweeps import sweep as sweeps

            sweeps.refuse_outside()
        importlib.import_module(f"filterlab.stages.{chosen.name}").run(root)
    elif chosen.verb == "data":
        from filterlab.commands import data

        if chosen.what == "add":
            data.add(root, path=chosen.path, name=chosen.name)
        else:
            data.show(root, name=chosen.name)
    elif chosen.verb == "pipeline":
        from filterlab.commands import pipeline

        sys.exit(pipeline.run(root))
    elif chosen.verb == "lecture":
        from filterlab.lecture import topic as topics

        if chosen.list or not chosen.what:
            print(topics.listing())
            return
        if chosen.what == "stages":
            importlib.import_module("filterlab.stages.lecture_stages").write(root)
            return
        if chosen.what not in ("all", "page"):
            topics.find(chosen.what)
        importlib.import_module("filterlab.stages.lecture").run(root, chosen.what, quick=chosen.quick)
    elif chosen.verb == "server":
        from filterlab.tracking import server as team

        team.serve(
            root,
            store=chosen.store,
            artifacts=chosen.artifacts,
            host=chosen.host,
            port=chosen.port,
            auth=chosen.auth,
            allowed_hosts=chosen.allowed_hosts,
        )
    elif chosen.verb == "promote":
        if bool(chosen.run) == bool(chosen.best) or bool(chosen.best) != bool(chosen.sweep):
            parser.error("promote takes a RUN, or --best METRIC with --sweep NAME")
        from filterlab.sweeps import promotion

        promotion.promote(root, run=chosen.run, best=chosen.best, sweep=chosen.sweep)
    elif chosen.verb in ("evaluate", "visualize", "report", "play"):
        if bool(chosen.run) == bool(chosen.sweep):
            parser.error(f"{chosen.verb} takes a RUN, or --sweep NAME")
        from filterlab.commands import of_run

        of_run.run(root, chosen.verb, run=chosen.run, sweep=chosen.sweep)
    elif chosen.verb == "compare":
        importlib.import_module("filterlab.commands.compare").run(root, chosen.runs)
    elif chosen.verb == "predict":
        from filterlab.commands import predict as answering

        sys.exit(answering.run(root, chosen.paths, run=chosen.run, csv=chosen.csv, show=chosen.show))
    elif chosen.verb == "lineage":
        from filterlab.runs import facts
        from filterlab.sweeps import lineage

        lineage.print_lineage(root, run_id=facts.run_id(root))
    elif chosen.verb == "doctor":
        from filterlab.doctor import examination

        sys.exit(0 if examination.examine(root, fix=chosen.fix) else 1)
    elif chosen.verb == "sweep":
        from filterlab.sweeps import commands

        if chosen.what == "plan":
            commands.print_plan(root, chosen.words)
        elif chosen.what == "cancel":
            from filterlab.sweeps.cancel import cancel as end

            end(root, chosen.name)
        elif chosen.what == "status" and chosen.watch:
            if not chosen.name:
                parser.error("sweep status --watch takes the NAME of a sweep")
            commands.watch_status(root, chosen.name)
        else:
            {"status": commands.print_status, "collect": commands.collect_report}[chosen.what](root, chosen.name)
    else:
        from filterlab.tracking import ui as pages

        pages.serve(root, host=chosen.host, port=chosen.port)


if __name__ == "__main__":
    main()

"""The whole pipeline in one command, with a summary at its end."""

import configparser
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from filterlab import console, files
from filterlab.config import compose, resolved
from filterlab.data import origin
from filterlab.errors import UnreachableError, UserError
from filterlab.evaluation import results
from filterlab.runs import facts, logging
from filterlab.tracking import store

FALLBACK = "digits"


def run(root: Path) -> int:
    """`dvc repro` and a summary; where no mirror has MNIST, the same with scikit-learn's digits. Gives the exit code.

    Raises:
        DataError: results that the summary or a restored run needs are damaged.
        TrackingError: the local store refuses the run of results that DVC brought.
    """
    mend_link(root)
    code, parameters = repro(root), root / "params.yaml"
    fell_back = ""
    if code == UnreachableError.exit_code:
        name = resolved.load(root).data.name
        if not is_mnist(root):
            print(f"\nNOTE: {FALLBACK} stand in for mnist alone, and {name} was asked for: params.yaml is as it was.")
        elif given := choose_fallback(parameters):
            fell_back = (
                f"NOTE: no mirror of {name} could be reached. params.yaml now says `data: {FALLBACK}`: scikit-learn's bundled "
                f"handwritten digits (1,797 images), not {name}. With a network, put `data: {given}` back and run this again."
            )
            print(f"\n{fell_back}\n", flush=True)
            code = repro(root)
        else:
            chosen = compose.read_parameters(parameters)["experiment"]
            print(
                f"\nNOTE: params.yaml says `experiment: {chosen}`, and an experiment makes all the choices, the data too: "
                f"to go on without a network, write `experiment: none` as well as `data: {FALLBACK}`."
            )
    if code and (lost := origin.lost(root)):  # DVC names the link alone
        name = resolved.load(root).data.name
        print(
            f"\nNOTE: the images of {name} are not at {lost} any longer: bring them back, or correct `path` in "
            f"conf/data/{name}.yaml."
        )
    if code == 0:
        config = resolved.load(root)
        if config.tracking.backend == "local" and not store.find(store.locate(config.tracking, root=root), facts.run_id(root)):
            with logging.resumed(config, root):  # results that DVC brought: give them their run
                pass
        print(summary(root))
        if fell_back:
            print(f"\n{fell_back}")
    return code


def mend_link(root: Path) -> None:
    """Put data/source right where the repository was moved: DVC would miss what compose, which has nothing to do, once linked."""
    if (root / resolved.RESOLVED).exists() and origin.lost(root):
        with contextlib.suppress(UserError):  # `run` says what is wrong
            origin.lay_out(resolved.load(root).data, root)


def repro(root: Path) -> int:
    """Run `dvc repro`. Gives 0, or the exit code of the stage that failed, or DVC's where it was no stage."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "exit_code"
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        environment = os.environ | {"FILTERLAB_EXIT_CODE": str(record), "PATH": path}
        if not any((place / ".git").exists() for place in (root, *root.parents)):  # as in an unpacked archive
            print(
                "NOTE: there is no Git repository here, so that DVC is told to do without. By itself it needs to be told once: "
                "dvc config --local core.no_scm true",
                flush=True,
            )
            environment |= without_git(Path(folder))
        # DVC ends where it can't print. On a terminal that doesn't happen, and there it draws.
        piped = None if sys.stdout.isatty() else subprocess.PIPE
        with subprocess.Popen([sys.executable, "-P", "-m", "dvc", "repro"], cwd=root, env=environment, stdout=piped) as dvc:
            # Ctrl-C reaches DVC and the stage too: wait until they have put their things in order.
            before = signal.signal(signal.SIGINT, signal.SIG_IGN)
            try:
                for line in dvc.stdout or []:
                    print(line.decode(errors="replace"), end="", flush=True)
                code = dvc.wait()
            finally:
                signal.signal(signal.SIGINT, before)
        return int(record.read_text()) if code and record.exists() else code


def is_mnist(root: Path) -> bool:
    """Whether the data asked for are those of conf/data/mnist.yaml: the digits are no other data set's stand-in."""
    asked, mnist = resolved.load(root).data, compose.compose(root / "conf", ["experiment=none", "data=mnist"]).data
    return (asked.name, asked.folder, asked.files) == (mnist.name, mnist.folder, mnist.files)


def without_git(folder: Path) -> dict[str, str]:
    """Variables by which DVC reads, in place of the machine's settings, a file made in `folder`: those, and core.no_scm."""
    places = os.environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(os.pathsep)
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(Path(os.environ.get("DVC_SYSTEM_CONFIG_DIR") or Path(places[0]) / "dvc") / "config", encoding="utf-8")
    if not settings.has_section("core"):
        settings.add_section("core")
    settings["core"]["no_scm"] = "true"
    with (folder / "config").open("w", encoding="utf-8") as file:
        settings.write(file)
    return {"DVC_SYSTEM_CONFIG_DIR": str(folder)}


def choose_fallback(parameters: Path) -> str:
    """Set `data: digits` in params.yaml, on that line alone. Gives what it replaced; empty where an experiment rules."""
    values = compose.read_parameters(parameters)
    if values.get("experiment", "none") != "none":
        return ""
    text = parameters.read_text(encoding="utf-8")
    changed, found = re.subn(r"""^data\s*:[ \t]*("[^"]*"|'[^']*'|[^\s#]+)""", f"data: {FALLBACK}", text, flags=re.MULTILINE)
    files.write(parameters, changed if found else f"data: {FALLBACK}\n{text}")
    return str(values.get("data", compose.DEFAULT))


def summary(root: Path) -> str:
    """What came out, in a few lines for a terminal."""
    config, metrics = resolved.load(root), results.metrics(root)
    lines = {
        "data set": f"{metrics['data']}, {metrics['examples']:,} test images",
        "accuracy": f"{metrics['accuracy']:.2%}  (95 % interval {metrics['accuracy_low']:.2%} to {metrics['accuracy_high']:.2%})",
        "report": "results/report.html",
        "play": "results/play.html",
        "figures": "results/figures/",
        "model": "models/model.safetensors",
    }
    if config.tracking.backend != "off" and facts.run_id(root):
        if uri := facts.model_uri(config.tracking, root=root, out=root):
            lines["loads as"] = uri
        lines["MLflow"] = facts.address(config.tracking, root=root, out=root)
    return console.facts(lines)

"""`filterlab evaluate | visualize | report | play RUN`: what the pipeline's stages do for its run, for any run."""

from collections.abc import Callable
from pathlib import Path

from filterlab import console, seal, tracking
from filterlab.data import arrays
from filterlab.errors import UserError
from filterlab.evaluation import results
from filterlab.repository import folder_md5
from filterlab.runs import facts, folder
from filterlab.stages import evaluate, play, report, visualize
from filterlab.sweeps import trained
from filterlab.sweeps.trained import Trained
from filterlab.tracking import NullRun

MEASURED = Path("results/measured.json")


def run(root: Path, verb: str, *, run: str, sweep: str) -> None:
    """Do it, add it to the run, and print where it lies. Raises UserError: see `trained.bring`; the data are others, or gone."""
    chosen = trained.bring(root, run=run, sweep=sweep)
    with folder.alone(chosen.out):
        add(root, chosen, verb)
    lines = {"run": f"{chosen.run.id} ({chosen.run.name})", verb: str((chosen.out / VERBS[verb][1]).relative_to(root))}
    if verb == "evaluate":
        measured = results.metrics(chosen.out)
        low, high = measured["accuracy_low"], measured["accuracy_high"]
        lines["test set"] = f"accuracy {measured['accuracy']:.2%}  (95 % interval {low:.2%} to {high:.2%})"
    print(console.facts(lines))


def add(root: Path, chosen: Trained, verb: str) -> None:
    """Do it within the run, to which it is added."""
    resumed = tracking.resume(chosen.settings, root=root, run_id=chosen.run.id, restore=lambda _: None)
    with resumed as record, facts.timed(chosen.out, verb, record):
        VERBS[verb][0](root, chosen, record)


def measure(root: Path, chosen: Trained, record: NullRun) -> None:
    data = trained.find_data(root, chosen)
    evaluate.add(chosen.config, record, data=data, out=chosen.out)
    seal.write(chosen.out / MEASURED, measured_on(chosen, data))


def measured_on(chosen: Trained, data: Path) -> dict[str, str]:
    """What `measure` notes: by it is known whether its results are of this network and of these pictures."""
    return {"test_set": arrays.Card.load(data / "test" / arrays.CARD).digest, "models": folder_md5(chosen.out / "models")}


def draw(root: Path, chosen: Trained, record: NullRun) -> None:
    visualize.add(chosen.config, record, data=trained.find_data(root, chosen), out=chosen.out)


def tell(root: Path, chosen: Trained, record: NullRun) -> None:
    """Write the report. What it shows of training and validation images is drawn where it is not there."""
    check_measured(chosen)
    if not (chosen.out / "results/figures/training").exists():
        draw(root, chosen, record)
    maker, data = f"filterlab visualize {chosen.run.id[:8]}", trained.find_data(root, chosen)
    report.add(chosen.config, record, data=data, out=chosen.out, ran=trained.ran(chosen.run), maker=maker)


def let_play(root: Path, chosen: Trained, record: NullRun) -> None:
    """Write the page; with its mistakes where it has been measured on the test set, which is not read for it."""
    play.add(chosen.config, record, data=trained.find_data(root, chosen), out=chosen.out)


def check_measured(chosen: Trained) -> None:
    """Raises UserError: it was not. No other command reads the test set, so that whoever lets it be read knows."""
    if not results.has_metrics(chosen.out):
        raise UserError(
            f"run {chosen.name} has not been measured on the test set, of which the page tells: "
            f"`filterlab evaluate {chosen.run.id[:8]}` measures it, and the run is marked by it"
        )


# What is made, and where it lies in runs/<id>/.
VERBS: dict[str, tuple[Callable[[Path, Trained, NullRun], None], str]] = {
    "evaluate": (measure, "results/figures/evaluation"),
    "visualize": (draw, "results/figures"),
    "report": (tell, "results/report.html"),
    "play": (let_play, "results/play.html"),
}

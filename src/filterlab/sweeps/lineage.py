"""`filterlab lineage`: from the pipeline's model to its run, and from the run to the one it was promoted from."""

from pathlib import Path

import yaml

from filterlab import tracking
from filterlab.config import compose, resolved
from filterlab.errors import UserError
from filterlab.repository import folder_md5
from filterlab.runs import promoted
from filterlab.sweeps import promotion, status
from filterlab.tracking import Found, Reader
from filterlab.tracking.store import IDENTITY, RESTORED
from filterlab.tracking.store import MODELS as TRAINED

MODELS = "models"  # train's output, which results/run.json names the run of


def print_lineage(root: Path, *, run_id: str) -> None:
    """Print the steps from dvc.lock back to the sweep.

    Args:
        run_id: of the run that trained models/, or the MD5 of models/; empty where tracking was off.

    Raises:
        UserError: a step does not hold: the files are not those of dvc.lock, the store does not know the run, or the run
            was trained with another configuration than results/config.yaml says.
    """
    locked = locked_md5(root)
    if folder_md5(root / MODELS) != locked:
        raise UserError(
            f"{MODELS}/ is not the folder that dvc.lock names (md5 {locked}): `dvc repro` or `dvc checkout` brings them together"
        )
    config = resolved.load(root)
    if not run_id:
        raise UserError("the pipeline's model was trained with tracking off: it has no run")
    with tracking.reading(config.tracking, root=root) as store:
        run = find_run(store, run_id)
        trained = promotion.read_config(store, run)
        if resolved.key(trained) != resolved.key(config):
            raise UserError(f"run {run.id} was trained with another configuration than {resolved.RESOLVED} says: run `dvc repro`")
        print(f"dvc.lock      {MODELS} md5 {locked}.dir")
        print(f"  run         {describe_run(run)}")
        if origin := run.tags.get(promoted.PROMOTED):
            source = find_run(store, origin)
            print(f"  promoted    {describe_run(source)}")
            print(f"  same        {compare_metrics(run, source)}")
            if name := source.tags.get(status.SWEEP):
                print(f"  sweep       {name} (parent run {source.tags.get('mlflow.parentRunId', 'not in a store yet')})")
        for later in store.search({promoted.PROMOTED: run.id}):
            print(f"  promoted to {describe_run(later)}")


def locked_md5(root: Path) -> str:
    """MD5 of models/ by dvc.lock, without its ending .dir."""
    path = root / "dvc.lock"
    if not path.exists():
        raise UserError("dvc.lock is missing: `dvc repro` writes it")
    try:
        stages = yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)["stages"]  # an MD5 of digits alone stays text
        outs = {out["path"]: out["md5"] for out in stages.get("train", {}).get("outs", []) if "md5" in out}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, yaml.YAMLError) as error:
        why = compose.explanation(error) if isinstance(error, yaml.YAMLError) else f"{type(error).__name__}: {error}"
        raise UserError(f"dvc.lock is damaged ({why}): `git checkout dvc.lock` or `dvc repro` brings it back") from error
    if MODELS not in outs:
        raise UserError("dvc.lock holds no training yet: `dvc repro` makes it")
    return str(outs[MODELS]).removesuffix(".dir")


def find_run(store: Reader, run_id: str) -> Found:
    """The run; by the MD5 of its models/, the last one that trained them; or the one that was restored from it."""
    runs = store.search()
    if found := [run for run in runs if run_id in (run.id, run.tags.get(IDENTITY))]:
        return found[0]
    for tag in (TRAINED, RESTORED):
        if found := [run for run in runs if run.tags.get(tag) == run_id]:
            return found[-1]
    raise UserError(f"this store does not know run {run_id}: `filterlab pipeline` restores it from results/")


def describe_run(run: Found) -> str:
    number = run.metrics.get("best/validation/accuracy")
    commit = run.tags.get("mlflow.source.git.commit", "")[:10]
    accuracy = "" if number is None else f", validation accuracy {number:.4%}"
    return f"{run.id} {run.name}{accuracy}" + (f", commit {commit}" if commit else "")


def compare_metrics(run: Found, source: Found) -> str:
    """Which of the best epoch's metrics the two share to the last bit."""
    names = sorted(name for name in run.metrics if name.startswith("best/") and name in source.metrics)
    differ = [name for name in names if run.metrics[name] != source.metrics[name]]
    if differ:
        return "no: " + ", ".join(f"{name} {source.metrics[name]!r} -> {run.metrics[name]!r}" for name in differ)
    return f"bit for bit: {', '.join(names)}"

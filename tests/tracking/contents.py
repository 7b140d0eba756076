"""All that a store holds of a run, to compare it with what was logged."""

from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import ViewType

OWN = "mlflow.log-model.history"


def contents(client: mlflow.MlflowClient, experiment: str, scratch: Path) -> list[dict[str, Any]]:
    """A dictionary for each run that is there, the parents first; without MLflow's own ids."""
    (found,) = client.search_experiments(filter_string=f"name = '{experiment}'")
    runs = client.search_runs([found.experiment_id], run_view_type=ViewType.ACTIVE_ONLY)
    names = {run.info.run_id: run.data.tags["filterlab.id"] for run in runs if "filterlab.id" in run.data.tags}
    return sorted((_run(client, run, names, scratch) for run in runs), key=lambda run: ("parent" in run, str(run["name"])))


def _run(client: mlflow.MlflowClient, run: Any, names: dict[str, str], scratch: Path) -> dict[str, Any]:
    tags = dict(run.data.tags)
    parent = {"parent": names[tags.pop("mlflow.parentRunId")]} if "mlflow.parentRunId" in tags else {}
    metrics = {
        name: [(point.step, str(point.value), point.timestamp) for point in client.get_metric_history(run.info.run_id, name)]
        for name in run.data.metrics
    }
    models = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'")
    times = (run.info.start_time, run.info.end_time)
    return {
        "name": run.info.run_name,
        "status": run.info.status,
        "times": times,
        "params": run.data.params,
        "tags": tags,
        "metrics": metrics,
        "artifacts": sorted(_files(client, run.info.run_id, "", scratch)),
        "data": [
            (given.dataset.name, given.dataset.digest, [tag.value for tag in given.tags]) for given in run.inputs.dataset_inputs
        ],
        "models": [(model.name, model.status.value, dict(model.tags)) for model in models],
        "outputs": len(run.outputs.model_outputs if run.outputs else []),
    } | parent


def _files(client: mlflow.MlflowClient, run_id: str, folder: str, scratch: Path) -> list[tuple[str, int]]:
    found = []
    for entry in client.list_artifacts(run_id, folder or None):
        found += _files(client, run_id, entry.path, scratch) if entry.is_dir else [(entry.path, entry.file_size)]
    return found

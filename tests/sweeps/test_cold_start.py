"""Many jobs that start at once on a store that does not exist yet."""

import sqlite3
from contextlib import ExitStack
from pathlib import Path

from filterlab import tracking
from filterlab.config.schema import Tracking

JOBS, STEPS = 32, 5


def test_thirty_two_processes_on_an_empty_store(tmp_path: Path) -> None:
    """What writes for a job is a process of its own; here they come at the very same time."""
    settings = Tracking(backend="local", uri="", experiment="crowd", system_metrics=False, require=False, patience=60.0)
    with ExitStack() as jobs:
        runs = [
            jobs.enter_context(tracking.start(settings, root=tmp_path, name=str(job), tags={"job": job})) for job in range(JOBS)
        ]
        for job, run in enumerate(runs):
            run.log_params({"job": job})
            run.log_dataset(name="shared", digest="0" * 36, source="here", context="training", profile={})
            for step in range(STEPS):
                run.log_metrics({"value": job + step / 10}, step=step)
    with sqlite3.connect(tmp_path / "mlflow.db") as store:
        assert store.execute("select name from experiments where name = 'crowd'").fetchall() == [("crowd",)]
        ended = store.execute("select cast(name as integer), status from runs order by 1").fetchall()
        logged = store.execute(
            "select cast(p.value as integer), step, m.value from metrics m join params p on p.run_uuid = m.run_uuid order by 1, 2"
        ).fetchall()
        datasets = store.execute("select count(*), count(distinct destination_id) from inputs").fetchall()
    assert datasets == [(JOBS, JOBS)], "one a run"
    assert ended == [(number, "FINISHED") for number in range(JOBS)]
    assert logged == [(number, step, number + step / 10) for number in range(JOBS) for step in range(STEPS)]

"""Many jobs that start at once on a store that does not exist yet."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

JOBS, STEPS = 32, 5
JOB = f"""
import sys
from pathlib import Path
from filterlab import tracking
from filterlab.config.schema import Tracking
settings = Tracking(backend="local", uri="", experiment="crowd", system_metrics=False)
with tracking.start(settings, root=Path(sys.argv[1]), name=sys.argv[2], tags={{"job": sys.argv[2]}}) as run:
    run.log_params({{"job": sys.argv[2]}})
    run.log_dataset(name="shared", digest="0" * 36, source="here", context="training", profile={{}})
    for step in range({STEPS}):
        run.log_metrics({{"value": int(sys.argv[2]) + step / 10}}, step=step)
"""


def test_thirty_two_processes_on_an_empty_store(tmp_path: Path) -> None:
    # COVERAGE_*: measuring 64 processes would take longer than what they do.
    environment = {name: given for name, given in os.environ.items() if not name.startswith("COVERAGE") and name != "DVC_ROOT"}
    jobs = [
        subprocess.Popen(
            [sys.executable, "-c", JOB, str(tmp_path), str(number)], env=environment, stderr=subprocess.PIPE, text=True
        )
        for number in range(JOBS)
    ]
    for job in jobs:
        _, errors = job.communicate(timeout=300)
        assert (job.returncode, errors) == (0, "")
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

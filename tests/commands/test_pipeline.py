"""`filterlab pipeline`: whose exit code it ends with, and what the fallback does to params.yaml. DVC is a stand-in here."""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from filterlab import files, seal
from filterlab.commands import pipeline
from filterlab.config import compose, resolved
from filterlab.evaluation import results
from filterlab.repository import folder_md5
from filterlab.runs import facts, logging

ROOT = Path(__file__).parents[2]


@pytest.fixture
def parameters(tmp_path: Path) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text().replace("data: default", "data: default  # the images"))
    return path


def changed_lines(before: str, after: str) -> list[tuple[str, str]]:
    return [pair for pair in zip(before.splitlines(), after.splitlines(), strict=True) if pair[0] != pair[1]]


def test_fallback_changes_one_line(parameters: Path) -> None:
    before = parameters.read_text()
    assert pipeline.choose_fallback(parameters) == "default"
    after = parameters.read_text()
    [(old, new)] = changed_lines(before, after)
    assert (old.split("#")[0].strip(), new.split("#")[0].strip()) == ("data: default", "data: digits")
    assert old.split("#")[1] == new.split("#")[1], "its comment stays"
    assert after.endswith("\n") == before.endswith("\n")
    assert compose.read_parameters(parameters)["data"] == "digits"


@pytest.mark.parametrize(
    "said", ['data: "fashion_mnist"', "data:   'fashion_mnist' # clothes", "data : fashion_mnist", "data: fashion_mnist"]
)
def test_fallback_keeps_another_hand(parameters: Path, said: str) -> None:
    """However the file is written: spacing, quotes, nesting, a line that looks alike."""
    before = (
        f"# data: mnist\n\n{said}\nseed:    0\n\nmodel:  'cnn'\n"
        "override:\n    # four spaces\n    data:    {take: first,   take_n: 60}\n    trainer: {max_epochs: 3}   # short\n"
    )
    parameters.write_text(before)
    assert pipeline.choose_fallback(parameters) == "fashion_mnist"
    [(_, new)] = changed_lines(before, parameters.read_text())
    assert new.startswith("data: digits")
    assert compose.read_parameters(parameters)["override"]["data"] == {"take": "first", "take_n": 60}


def test_fallback_where_the_parameters_name_no_data(parameters: Path) -> None:
    parameters.write_text("model: mlp\n")
    assert pipeline.choose_fallback(parameters) == "default", "the primary config's"
    assert compose.read_parameters(parameters) == {"model": "mlp", "data": "digits"}


def test_no_fallback_under_an_experiment(parameters: Path) -> None:
    """An experiment makes all the choices: another `data` would say nothing."""
    before = parameters.read_text().replace("experiment: default", "experiment: tutorial")
    parameters.write_text(before)
    assert pipeline.choose_fallback(parameters) == ""
    assert parameters.read_text() == before


@pytest.fixture
def dvc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The script that `python -m dvc` runs instead of DVC."""
    script = tmp_path / "stand_in/dvc.py"
    script.parent.mkdir()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(script.parent), str(ROOT / "src")]))
    return script


FAIL = """
import os, pathlib, sys
assert sys.argv[1:] == ["repro"], sys.argv
pathlib.Path("runs.txt").open("a").write("run\\n")
stage, dvc = {codes}
if stage:
    pathlib.Path(os.environ["FILTERLAB_EXIT_CODE"]).write_text(str(stage))
sys.exit(dvc)
"""


@pytest.mark.parametrize(
    ("stage", "ended", "code"), [(3, 255, 3), (130, 255, 130), (0, 255, 255), (0, 1, 1), (0, 0, 0), (69, 255, 69)]
)
def test_exit_code_is_the_stages_own(tmp_path: Path, dvc: Path, stage: int, ended: int, code: int) -> None:
    """DVC ends with 255 whatever went wrong in a stage."""
    dvc.write_text(FAIL.format(codes=(stage, ended)))
    assert pipeline.repro(tmp_path) == code


def test_stages_find_filterlab(tmp_path: Path, dvc: Path) -> None:
    """dvc.yaml says `filterlab stage ...`: it is this environment's, activated or not."""
    dvc.write_text("import os, pathlib\npathlib.Path('path.txt').write_text(os.environ['PATH'])")
    assert pipeline.repro(tmp_path) == 0
    assert (tmp_path / "path.txt").read_text().split(os.pathsep)[0] == str(Path(sys.executable).parent)


def test_without_git_dvc_does_without(
    tmp_path: Path, dvc: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    """As in an unpacked archive; the machine's other settings stay, and nothing is left behind."""
    (tmp_path / "machine").mkdir()
    (tmp_path / "machine/config").write_text("[core]\n    remote = here\n['remote \"here\"']\n    url = /a%20b\n")
    monkeypatch.setenv("DVC_SYSTEM_CONFIG_DIR", str(tmp_path / "machine"))
    dvc.write_text("import os, pathlib\nprint((pathlib.Path(os.environ['DVC_SYSTEM_CONFIG_DIR']) / 'config').read_text())")
    before = set(tmp_path.rglob("*"))
    assert pipeline.repro(tmp_path) == 0
    said = capfd.readouterr().out
    assert said.startswith("NOTE: there is no Git repository here") and "dvc config --local core.no_scm true\n" in said
    for kept in ("remote = here", "no_scm = true", "['remote \"here\"']", "url = /a%20b"):
        assert kept in said
    assert set(tmp_path.rglob("*")) == before
    (tmp_path / ".git").mkdir()
    assert pipeline.repro(tmp_path) == 0
    assert "no_scm" not in capfd.readouterr().out


def asked(root: Path, *overrides: str) -> None:
    """conf/, and the resolved config that the compose stage writes before a mirror is asked."""
    shutil.copytree(ROOT / "conf", root / "conf", dirs_exist_ok=True)
    files.write(root / resolved.RESOLVED, resolved.dump(compose.compose(root / "conf", overrides)))


def test_only_unreachable_data_falls_back(
    tmp_path: Path, dvc: Path, parameters: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Damaged data (3) ends the pipeline; no mirror (69) has it run once more, with digits, and only once."""
    asked(tmp_path, "data.take=first", "data.take_n=60")
    before = parameters.read_text()
    dvc.write_text(FAIL.format(codes=(3, 255)))
    assert pipeline.run(tmp_path) == 3
    assert parameters.read_text() == before and (tmp_path / "runs.txt").read_text() == "run\n"
    dvc.write_text(FAIL.format(codes=(69, 255)))
    assert pipeline.run(tmp_path) == 69
    assert (tmp_path / "runs.txt").read_text() == "run\n" * 3
    assert "NOTE: no mirror of mnist could be reached. params.yaml now says `data: digits`" in (said := capsys.readouterr().out)
    assert "put `data: default` back" in said


def test_under_an_experiment_the_way_out_is_said(
    tmp_path: Path, dvc: Path, parameters: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`data: digits` alone would change nothing."""
    asked(tmp_path, "experiment=tutorial")
    parameters.write_text(parameters.read_text().replace("experiment: default", "experiment: tutorial"))
    before = parameters.read_text()
    dvc.write_text(FAIL.format(codes=(69, 255)))
    assert pipeline.run(tmp_path) == 69
    assert (tmp_path / "runs.txt").read_text() == "run\n" and parameters.read_text() == before
    said = capsys.readouterr().out
    assert "params.yaml says `experiment: tutorial`" in said
    assert "write `experiment: none` as well as `data: digits`" in said


MINE = """\
defaults: [mnist, _self_]
{name}
mirrors: [http://127.0.0.1:9/]
files:
  train-images-idx3-ubyte.gz: "00000000000000000000000000000000"
"""


@pytest.mark.parametrize("name", ["mine", "mnist", "fashion_mnist"])
def test_digits_stand_in_for_no_other_data_set(
    tmp_path: Path, dvc: Path, parameters: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """An own data set, one that is based on mnist's and keeps its name, and one that is shipped."""
    (tmp_path / "conf/data").mkdir(parents=True)
    (tmp_path / "conf/data/own.yaml").write_text(MINE.format(name=f"name: {name}"))
    asked(tmp_path, "data=fashion_mnist" if name == "fashion_mnist" else "data=own")
    parameters.write_text(parameters.read_text().replace("data: default", "data: own"))
    before = parameters.read_text()
    dvc.write_text(FAIL.format(codes=(69, 255)))
    assert pipeline.run(tmp_path) == 69
    assert (tmp_path / "runs.txt").read_text() == "run\n" and parameters.read_text() == before
    assert f"digits stand in for mnist alone, and {name} was asked for: params.yaml is as it was" in capsys.readouterr().out


def test_ctrl_c_waits_for_dvc(tmp_path: Path, dvc: Path) -> None:
    """The terminal interrupts everyone; the pipeline ends after DVC has, with the interrupted stage's code."""
    dvc.write_text(
        "import os, pathlib, signal, sys, time\n"
        "def end(*_):\n"
        "    time.sleep(1)\n"
        "    pathlib.Path('in_order').touch()\n"
        "    pathlib.Path(os.environ['FILTERLAB_EXIT_CODE']).write_text('130')\n"
        "    sys.exit(255)\n"
        "signal.signal(signal.SIGINT, end)\n"
        "pathlib.Path('started').touch()\n"
        "time.sleep(30)\n"
    )
    script = "import sys, pathlib\nfrom filterlab.commands import pipeline\nsys.exit(pipeline.repro(pathlib.Path.cwd()))"
    with subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, start_new_session=True) as process:
        deadline = time.monotonic() + 20
        while not (tmp_path / "started").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=20) == 130
    assert (tmp_path / "in_order").exists()


def trained(root: Path, run_id: str) -> None:
    place = {"experiment_id": "7", "server": "http://here:1"}
    seal.write(root / facts.RUN, {"run_id": run_id, "models": folder_md5(root / "models")} | place)


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A root with results of run abc."""
    (tmp_path / "results").mkdir()
    metrics = {"data": "digits", "examples": 1360, "accuracy": 0.98125, "accuracy_low": 0.95, "accuracy_high": 0.99}
    results.write_measured(tmp_path, dict.fromkeys(results.SHOWN, 0) | metrics, by_class=[], mistakes={})
    trained(tmp_path, "abc")
    return tmp_path


def summary(root: Path, *overrides: str) -> tuple[str, str]:
    """The last line of the summary, and all before it."""
    (root / resolved.RESOLVED).write_text(resolved.dump(compose.compose(ROOT / "conf", overrides)))
    before, _, last = pipeline.summary(root).rpartition("\n")
    return last.strip(), before


def test_summary(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines of the terminal, the last about MLflow: where the run is, and its id."""
    for variable in ("DVC_ROOT", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(variable, raising=False)
    last, before = summary(finished, "tracking=off")
    assert "digits, 1,360 test images" in before
    assert "98.12%  (95 % interval 95.00% to 99.00%)" in before
    assert last == "model       models/model.safetensors", "without tracking there is no MLflow to point at"
    last, _ = summary(finished, "tracking=local")
    assert last == "MLflow      no run abc is in mlflow.db: `filterlab pipeline` brings it back"
    last, _ = summary(finished, "tracking=server", "tracking.uri=http://here:1")
    assert last == "MLflow      http://here:1/#/experiments/7/runs/abc?workflowType=machine_learning"
    last, _ = summary(finished, "tracking=server")
    assert last.startswith("MLflow      tracking is `server`, but no server is named: set MLFLOW_TRACKING_URI")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://there:2")
    last, _ = summary(finished, "tracking=server")
    assert last.startswith("MLflow      http://there:2 (the run tagged filterlab.models="), "it was logged elsewhere"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ada:secret@there:2")
    last, _ = summary(finished, "tracking=server")
    assert "holds a password" in last and "secret" not in last
    (finished / "models").mkdir()  # another model, which DVC has brought
    last, _ = summary(finished, "tracking=server", "tracking.uri=http://here:1")
    assert last == f"MLflow      http://here:1 (the run tagged filterlab.models={folder_md5(finished / 'models')})"


def test_summary_of_a_training_without_tracking(finished: Path) -> None:
    trained(finished, "")
    assert summary(finished, "tracking=local")[0] == "model       models/model.safetensors", "there is no run to look at"


@pytest.mark.parametrize("known", ["abc", "other"])
def test_only_a_run_that_the_store_lacks_is_restored(
    finished: Path, dvc: Path, monkeypatch: pytest.MonkeyPatch, known: str
) -> None:
    """A store with other runs is no reason to leave out the run of results that DVC brought."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    dvc.write_text("")
    summary(finished, "tracking=local")
    with sqlite3.connect(finished / "mlflow.db") as store:
        store.execute("create table runs (run_uuid, experiment_id, status, lifecycle_stage)")
        store.execute("create table tags (run_uuid, key, value)")
        store.execute("insert into runs values (?, 1, 'FINISHED', 'active')", [known])
    restored = []
    monkeypatch.setattr(logging, "resumed", lambda config, root: contextlib.nullcontext(restored.append(root)))
    assert pipeline.run(finished) == 0
    assert restored == ([] if known == "abc" else [finished])
    address = "make ui, then open http://127.0.0.1:5000/#/experiments/1/runs/abc?workflowType=machine_learning"
    assert summary(finished, "tracking=local")[0].endswith(address) == (known == "abc")

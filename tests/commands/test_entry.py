"""`filterlab train` up to the training itself: Hydra sees what the pipeline would, and answers in our words."""

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path

import joblib
import pytest
import yaml
from hydra.core.global_hydra import GlobalHydra

from filterlab import cli, seal
from filterlab.commands import train as command
from filterlab.config import compose, resolved
from filterlab.errors import ConfigError
from filterlab.repository import folder_md5
from filterlab.runs import facts

ROOT = Path(__file__).parents[2]
PARAMETERS = 'model: resnet\ntracking: off\nseed: 3\noverride: {optimizer: {lr: 0.25}, tracking: {experiment: "it\'s a, b"}}\n'


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What `filterlab train <words>` prints, in a repository with the shipped conf/ and PARAMETERS."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    (tmp_path / "dvc.yaml").touch()
    (tmp_path / "params.yaml").write_text(PARAMETERS)
    monkeypatch.chdir(tmp_path / "conf/model")
    monkeypatch.setattr(sys, "argv", ["filterlab"])
    for name in ("HYDRA_FULL_ERROR", "COMP_LINE"):
        monkeypatch.setenv(name, "")

    def run(*words: str) -> str:
        GlobalHydra.instance().clear()
        with redirect_stdout(io.StringIO()) as printed:
            cli.dispatch(["train", *words])
        return printed.getvalue()

    yield run
    GlobalHydra.instance().clear()


def composed(words: Sequence[str]) -> dict[str, object]:
    """The same by the pipeline's composition."""
    conf = ROOT / "conf"
    parameters = compose.read_parameters(Path.cwd() / "params.yaml")
    return yaml.safe_load(resolved.dump(compose.compose(conf, compose.to_overrides(parameters, words))))


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["model=mlp", "optimizer.lr=3e-3"],
        ["model=cnn", "model.layers.0.filters=7", "model.hidden=[3]"],
        ["experiment=tutorial", "trainer.max_epochs=2"],
        ["experiment=none"],
        ["optimizer=adam", "seed=0"],
        ["tracking.experiment='a {b}, ü'"],
    ],
    ids=" ".join,
)
def test_same_composition_as_the_pipeline(train: Callable[..., str], words: list[str]) -> None:
    printed = yaml.safe_load(train(*words, "--cfg", "job"))
    assert printed == composed(words)


def test_order_of_words_and_flags(train: Callable[..., str]) -> None:
    """Flags may stand between words, and params.yaml's own values are in what is printed."""
    printed = yaml.safe_load(train("model=mlp", "--cfg", "job", "trainer.threads=1"))
    assert printed == composed(["model=mlp", "trainer.threads=1"])
    assert (printed["optimizer"]["lr"], printed["tracking"]["experiment"], printed["seed"]) == (0.25, "it's a, b", 3)
    assert yaml.safe_load(train("--cfg", "job", "--package", "trainer", "trainer.threads=1")) == printed["trainer"]


def test_what_a_layer_leaves_out_can_be_said(train: Callable[..., str]) -> None:
    """To Hydra too, which composes what the job gets, and doesn't know a layer's keys."""
    printed = yaml.safe_load(train("model=cnn", "model.layers.1.dropout=0.5", "--cfg", "job", "--package", "model"))
    assert [layer.get("dropout") for layer in printed["layers"]] == [None, 0.5, None, None]
    assert composed(["model=cnn", "model.layers.1.dropout=0.5"])["model"]["layers"][1]["dropout"] == 0.5  # type: ignore[index]


def test_as_lightning_starts_it_for_ddp(train: Callable[..., str]) -> None:
    """Each further process gets the first one's words, after the program's name, and Hydra's folder."""
    train("model=mlp", "trainer=ddp", "--cfg", "job")
    program, *words = sys.argv
    assert Path(program).is_absolute()
    GlobalHydra.instance().clear()
    with redirect_stdout(io.StringIO()) as printed:
        cli.dispatch(
            [*words, 'hydra.run.dir="runs/2026-01-01"', "hydra.job.name=train_ddp_process_1", "hydra.output_subdir=null"]
        )
    assert yaml.safe_load(printed.getvalue()) == composed(["model=mlp", "trainer=ddp"])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["model=mpl"], ["model: no option 'mpl'"]),
        (["+model=mlp"], ["+model: config groups are neither added nor removed; write model=option"]),
        (["~model", "++new=1"], ["~model: config groups are neither added", "++new: no key 'new'"]),
        (["~optimizer.lr"], ["~optimizer.lr: keys are neither added nor removed"]),
        (["word"], ["cannot read 'word'"]),
        ([""], ["cannot read ''"]),
        (["seed=1,2"], ["seed has several values: a sweep needs `filterlab train --multirun`"]),
        (["experiment=fast", "model=mlp"], ["model.layers: no key 'layers' in model (mlp); there are: name, hidden, activation"]),
        (["hydra.nothing=1"], ["hydra.nothing: of Hydra's own section there can be set: hydra/launcher, hydra/sweeper,"]),
        (["hydra.launcher.nothing=1"], ["Could not override 'hydra.launcher.nothing'"]),
        (["hydra/launcher=../../../elsewhere"], ["hydra/launcher/../../../elsewhere: there are only the options in conf/"]),
        (
            ["-m", "tracking=local", "model=mpl,cnn", "optimizer.lr=1,0"],
            ["model: no option 'mpl'", "optimizer.lr is 0, expected >= 1e-30"],
        ),
        (
            ["-m", "tracking=local", "model=glob(*net*)", "model.depth=20"],
            ["model.depth: no key 'depth' in model (conv_net)", "in model (lenet5)"],
        ),
        (["-m", "model=mlp,cnn", "word"], ["cannot read 'word'"]),
    ],
    ids=lambda part: " ".join(part),
)
def test_faults_are_ours(train: Callable[..., str], words: list[str], expected: list[str], tmp_path: Path) -> None:
    """Before anything is trained or written, of all points of a sweep together."""
    with pytest.raises(ConfigError) as raised:
        train(*words)
    told = raised.value.faults
    assert len(told) == len(expected)
    for part in expected:
        assert any(part in fault for fault in told), told
    assert not (tmp_path / "runs").exists()


class Payload:
    """Unpickled, it makes a file."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.marker,)


@pytest.fixture
def payload(tmp_path: Path) -> Path:
    """A pickle that makes the file `marker` beside it."""
    joblib.dump(Payload(tmp_path / "marker"), tmp_path / "payload")
    joblib.load(tmp_path / "payload")
    (tmp_path / "marker").unlink()  # it would have been made
    return tmp_path / "payload"


@pytest.mark.parametrize(
    "words",
    [
        ["+hydra.callbacks.x={{_target_: joblib.load, filename: {payload}}}"],
        ["-m", "seed=0,1", "tracking=local", "+hydra.callbacks.x={{_target_: joblib.load, filename: {payload}}}"],
        ["+hydra.job_logging.handlers.x={{class: joblib.load, filename: {payload}}}"],
        ["--hydra-help", "+hydra.hydra_logging.handlers.x={{class: joblib.load, filename: {payload}}}"],
        ["hydra/launcher=joblib", "+hydra.launcher.x={{_target_: joblib.load, filename: {payload}}}", "-m", "seed=0,1"],
        ["--experimental-rerun", "{payload}"],
        ["--experimental={payload}"],
        ["--config-dir", "{folder}", "+evil=evil"],
        ["-cd", "{folder}", "+evil=evil"],
        ["-cp", "{folder}", "-cn", "evil"],
        ["--config-name=../evil"],
        ["hydra.searchpath=[{folder}]", "+evil=evil"],
    ],
    ids=" ".join,
)
def test_nothing_is_run_that_the_command_line_names(train: Callable[..., str], payload: Path, words: list[str]) -> None:
    evil = f"# @package _global_\nhydra: {{callbacks: {{x: {{_target_: joblib.load, filename: {payload}}}}}}}\n"
    (payload.parent / "evil.yaml").write_text(evil)
    with pytest.raises(ConfigError) as raised:
        train(*(word.format(payload=payload, folder=payload.parent) for word in words))
    assert all("\n" not in fault for fault in raised.value.faults)
    assert not (payload.parent / "marker").exists() and not (payload.parent / "runs").exists()


@pytest.mark.parametrize(
    "arguments", [["stage", "compose"], ["train"], ["train", "-m", "seed=0,1"], ["sweep", "plan", "seed=0,1"], ["promote", "abc"]]
)
@pytest.mark.parametrize("place", ["params.yaml", "conf/experiment/evil.yaml"])
def test_nothing_is_run_that_parameters_or_an_experiment_names(
    train: Callable[..., str], payload: Path, arguments: list[str], place: str
) -> None:
    root, callbacks = payload.parent, f"{{callbacks: {{x: {{_target_: joblib.load, filename: {payload}}}}}}}"
    if place == "params.yaml":
        (root / place).write_text(f'override: {{"+hydra": {callbacks}}}\n')
    else:
        (root / "params.yaml").write_text("experiment: evil\n")
        (root / place).write_text(f"# @package _global_\nexperiment: evil\nhydra: {callbacks}\n")
    with pytest.raises(ConfigError, match=r"override\.\+hydra: Hydra's own section|callbacks.*_target_"):
        cli.dispatch(arguments)
    assert not (root / "marker").exists() and not (root / "results").exists()


@pytest.mark.parametrize("name", ["../x", "..", "/etc", "a/b", "a\0b", "x" * 200])
@pytest.mark.parametrize("verb", [["sweep", "status"], ["sweep", "collect"], ["promote", "--best", "accuracy", "--sweep"]])
def test_names_of_sweeps_stay_below_runs(train: Callable[..., str], tmp_path: Path, verb: list[str], name: str) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x/sweep.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"sweep '.*': expected up to 100 letters, digits"):
        cli.dispatch([*verb, name])


def test_it_ends_with_what_came_out_and_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "runs/now"
    run_id = "abcdef01" * 4
    result = {"best/validation/accuracy": 0.98125, "metrics": {"best_epoch": 3, "epochs": 4}, "run_id": run_id}
    place = {"run_id": run_id, "experiment_id": "7", "server": "http://here:1"}
    seal.write(out / facts.RUN, {**place, "models": folder_md5(out / "models")})
    printed = {}
    for overrides in (["tracking=off"], ["tracking=server", "tracking.uri=http://here:1"]):
        config = compose.compose(ROOT / "conf", overrides)
        printed[config.tracking.backend] = command.summary(config, out, result).splitlines()
    lines = ["", "  validation  accuracy 98.12%  (epoch 3 of 4, the best by validation)", "  folder      runs/now"]
    lines += ["  model       runs/now/models/model.safetensors"]
    assert printed["off"] == lines
    page = f"http://here:1/#/experiments/7/runs/{run_id}?workflowType=machine_learning"
    then = "filterlab visualize abcdef01; on the test set: filterlab evaluate abcdef01"
    assert printed["server"] == [*lines, f"  run         {run_id}", f"  MLflow      {page}", f"  next        {then}"]


def test_help(train: Callable[..., str]) -> None:
    """The config groups with their options; none of Hydra's inner ones."""
    printed = train("--help")
    assert printed == train("-h", "model=mlp")
    for group in compose.GROUPS:
        [line] = [line for line in printed.splitlines() if line.startswith(f"  {group} ")]
        assert line.split(maxsplit=1)[1] == ", ".join(compose.options(ROOT / "conf", group))
    assert "schema" not in printed and "--multirun" in printed and "-sc install=bash" in printed
    assert max(map(len, printed.splitlines())) <= 120


def test_hydra_help(train: Callable[..., str]) -> None:
    with pytest.raises(SystemExit) as ended, redirect_stdout(io.StringIO()):
        train("--hydra-help")
    assert ended.value.code == 0


def answer(line: str) -> list[str]:
    """What bash is told may follow `line`."""
    done = subprocess.run(
        [sys.executable, "-m", "filterlab.cli", "-sc", "query=bash"],
        cwd=ROOT,
        env=os.environ | {"COMP_LINE": line, "PYTHONPATH": str(ROOT / "src")},
        text=True,
        capture_output=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize("program", ["filterlab", ".venv/bin/filterlab"])
def test_completion_of_a_choice(program: str) -> None:
    assert answer(f"{program} train model=") == [f"model={option}" for option in compose.options(ROOT / "conf", "model")]


def test_completion_of_keys_and_verbs() -> None:
    assert set(answer("filterlab train seed=1 optimizer.")) == {
        f"optimizer.{key}=" for key in ("name", "lr", "weight_decay", "momentum", "nesterov")
    }
    offered = answer("filterlab train ")
    assert {"model=", "model.", "experiment=", "seed="} <= set(offered)
    assert not [word for word in offered if word.startswith("schema")]
    verbs = "pipeline stage train data sweep sync promote evaluate visualize report play compare predict lineage doctor lecture"
    assert answer("filterlab tr") == [*verbs.split(), "server", "ui"]
    assert answer("filterlab stage ") == []


def test_completion_in_bash(tmp_path: Path) -> None:
    """What --help says to write, in a real bash, which then is asked as the Tab key asks it."""
    bash = shutil.which("bash")
    assert bash
    program = tmp_path / "bin/filterlab"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom filterlab.cli import main\nmain()\n")
    program.chmod(0o755)
    script = (
        'eval "$(filterlab train -sc install=bash)"\n'
        "complete -p filterlab\n"
        'COMP_LINE="filterlab train seed=1 schedule=c" COMP_CWORD=3\n'
        "hydra_bash_completion\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    path = os.pathsep.join([str(program.parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([bash, "--norc", "-c", script], cwd=ROOT, env=environment, text=True, capture_output=True, check=True)
    rule, *offered = done.stdout.splitlines()
    assert rule.split()[0] == "complete" and rule.endswith("-F hydra_bash_completion filterlab")
    assert offered == ["schedule=constant", "schedule=cosine"]


def test_answers_import_nothing_heavy() -> None:
    """The Tab key and --help wait for no torch, no Lightning, no MLflow."""
    script = (
        "import sys, filterlab.commands.train\n"
        "sys.exit(' '.join(name for name in ('torch', 'pytorch_lightning', 'mlflow', 'matplotlib') if name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | {"PYTHONPATH": str(ROOT / "src")}, text=True, capture_output=True
    )
    assert done.stderr.strip() == ""

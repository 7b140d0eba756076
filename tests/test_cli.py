"""The command line from outside: exit codes, messages, and what is imported on the way."""

import getpass
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from filterlab import cli
from filterlab.errors import ConfigError, DataError, TrackingError, UnreachableError, UserError, explain

ROOT = Path(__file__).parents[1]
HEAVY = ["torch", "torchvision", "pytorch_lightning", "mlflow", "dvc", "matplotlib"]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with the shipped conf/ and params.yaml."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    return tmp_path


def filterlab(*words: str, at: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("FILTERLAB_", "HYDRA_"))}
    return subprocess.run(
        [sys.executable, "-m", "filterlab.cli", *words],
        cwd=at,
        env=kept | {"PYTHONPATH": str(ROOT / "src")} | environment,
        text=True,
        capture_output=True,
        check=False,
    )


def test_a_fault_is_a_sentence(repository: Path) -> None:
    """Exit code 2, all faults on stderr, no traceback, nothing written."""
    (repository / "params.yaml").write_text("model: mpl\noverride: {trainer: {max_epochs: 0}}\n")
    done = filterlab("stage", "compose", at=repository)
    assert (done.returncode, done.stdout) == (2, "")
    first, *faults = done.stderr.splitlines()
    assert first == "filterlab: 2 faults in the configuration:"
    assert faults[0].startswith("  - model: no option 'mpl'") and faults[0].endswith("Did you mean mlp?")
    assert faults[1:] == [
        "  - trainer.max_epochs is 0, expected >= 1 and <= 1,000,000 (passes over the training images, at most)"
    ]
    assert not (repository / "results").exists()


def test_debug_shows_where(repository: Path) -> None:
    (repository / "params.yaml").write_text("modle: mlp\n")
    done = filterlab("stage", "compose", at=repository, FILTERLAB_DEBUG="1")
    assert done.returncode == 2
    assert done.stderr.startswith("Traceback") and "read_parameters" in done.stderr
    assert done.stderr.splitlines()[-2] == "filterlab: 1 fault in the configuration:"


@pytest.mark.parametrize("stage", ["download", "preprocess"])
def test_a_stage_without_its_resolved_config(repository: Path, stage: str) -> None:
    done = filterlab("stage", stage, at=repository)
    assert done.returncode == 2
    assert done.stderr.splitlines()[1] == "  - results/config.yaml is missing: `dvc repro compose` writes it"


def test_outside_a_repository(tmp_path: Path) -> None:
    for words in (["stage", "compose"], ["pipeline"], ["train", "--cfg", "job"], ["ui"]):
        done = filterlab(*words, at=tmp_path)
        assert done.returncode == 2
        assert done.stderr == (
            f"filterlab: {tmp_path} is in no filterlab repository: neither it nor a folder above has dvc.yaml and conf/\n"
        )


def test_version_is_that_of_pyproject(tmp_path: Path) -> None:
    """Anywhere, without a repository."""
    done = filterlab("--version", at=tmp_path)
    with (ROOT / "pyproject.toml").open("rb") as file:
        expected = tomllib.load(file)["project"]["version"]
    assert (done.returncode, done.stdout, done.stderr) == (0, f"filterlab {expected}\n", "")


def test_from_a_folder_below_the_root(repository: Path) -> None:
    assert filterlab("stage", "compose", at=repository / "conf/model").returncode == 0
    assert (repository / "results/config.yaml").is_file()


def test_stages_import_only_what_they_use(repository: Path) -> None:
    """Run, and then look at what was imported: seconds each for torch, Lightning and MLflow are not for these."""
    (repository / "params.yaml").write_text("data: digits\n")
    script = (
        "import sys\n"
        "from filterlab import cli\n"
        "for stage in ('compose', 'download', 'preprocess'):\n"
        "    cli.main(['stage', stage])\n"
        f"    print(stage, *[name for name in {HEAVY} if name in sys.modules])\n"
    )
    environment = {name: text for name, text in os.environ.items() if name != "FILTERLAB_MIRROR"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=repository,
        env=environment | {"PYTHONPATH": str(ROOT / "src")},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["compose", "download", "preprocess"]
    for made in ("results/config.yaml", "data/raw/Digits/raw", "data/processed/test/card.json"):
        assert (repository / made).exists()


def test_no_garbage_is_searched_at_a_start_and_at_the_end() -> None:
    """What was registered first is asked last: nothing is left to be looked through then."""
    script = (
        "import atexit, gc\n"
        "atexit.register(lambda: print(gc.get_threshold()[0], gc.get_freeze_count() > 0, len(gc.get_objects())))\n"
        "from filterlab import cli\n"
        "cli.main(['lecture', '--list'])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, text=True, capture_output=True, check=True)
    threshold, frozen, left = done.stdout.splitlines()[-1].split()
    assert (threshold, frozen) == ("10000", "True") and int(left) < 100


def test_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert all(f"\n    {verb} " in printed for verb in ("pipeline", "stage", "train", "ui"))
    for wrong in ([], ["trian"], ["stage"], ["stage", "test"]):
        with pytest.raises(SystemExit) as ended:
            cli.main(wrong)
        assert ended.value.code == 2
    assert "choose from" in capsys.readouterr().err


def test_every_stage_of_dvc_yaml_is_a_verb() -> None:
    """The command of each stage is `filterlab stage <its name>`, and there is a module of that name."""
    lines = (ROOT / "dvc.yaml").read_text().splitlines()
    commands = [line.split("filterlab stage ")[1] for line in lines if "cmd:" in line]
    assert sorted(commands) == cli.STAGES
    assert all((ROOT / f"src/filterlab/stages/{name}.py").is_file() for name in commands)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError("what"), 2),
        (ConfigError(["what"]), 2),
        (DataError("what"), 3),
        (TrackingError("what"), 4),
        (OSError("what"), 5),
        (UnreachableError("what"), 69),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_codes(
    error: BaseException, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each kind of error has its own, told on stderr and to the file that FILTERLAB_EXIT_CODE names."""
    monkeypatch.delenv("FILTERLAB_DEBUG", raising=False)
    monkeypatch.setenv("FILTERLAB_EXIT_CODE", str(tmp_path / "code"))
    error.add_note("and what to do")
    assert explain(error) == code
    assert (tmp_path / "code").read_text() == str(code)
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("filterlab: ") and told.err.endswith("filterlab: and what to do\n")
    assert ("interrupted" if code == 130 else "what") in told.err


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("filterlab/models/architectures/mine.py", ["stage", "compose"]),
        ("filterlab/lecture/line.py", ["lecture", "1"]),
        ("filterlab/lecture/mine.py", ["lecture", "stages"]),
        ("hydra_plugins/filterlab_launchers/mine.py", ["train", "--help"]),
    ],
)
def test_a_module_that_is_no_python(repository: Path, module: str, words: list[str]) -> None:
    """One sentence, with the file and the line."""
    source = shutil.copytree(ROOT / "src", repository / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (source / module).write_text('"""Mine."""\n\ndef fit_line(\n')
    (repository / "params.yaml").write_text("tracking: off\n")
    done = filterlab(*words, at=repository, PYTHONPATH=str(source))
    said = done.stderr.splitlines()
    assert (done.returncode, len(said)) == (2, 1), done.stderr
    assert str(source / module) in said[0] and "line 3" in said[0]


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    script = f"{sys.executable} -m filterlab.cli train --help | head -1; exit ${{PIPESTATUS[0]}}"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1"}
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == "" and done.returncode in (0, 141)


def test_verbs_that_compute_keep_going_and_those_that_print_end(repository: Path, tmp_path: Path) -> None:
    """Nobody reads what `filterlab stage compose` prints: it is done all the same. `lecture --list` has nothing else to do."""
    script = "import sys\nfrom filterlab import cli\n{also}\ncli.main(sys.argv[1:])"
    noisy = script.format(
        also="from filterlab.stages import compose\nrun = compose.run\ncompose.run = lambda root: (print('a'), run(root))"
    )
    for words, code, program in ((["stage", "compose"], 0, noisy), (["lecture", "--list"], 5, script.format(also=""))):
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [sys.executable, "-c", program, *words],
                cwd=repository,
                env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
        assert (done.returncode, done.stderr) == (code, "filterlab: [Errno 28] No space left on device\n" if code else "")
    assert (repository / "results/config.yaml").exists()


def test_names_that_are_no_text_are_refused(repository: Path) -> None:
    """In a locale of ASCII alone, or where the name's bytes are no UTF-8; MLflow would fail."""
    ascii_only = {"LC_ALL": "POSIX", "PYTHONUTF8": "0"}
    for words, variables in ((["train", "tracking.experiment='ü'"], ascii_only), (["sweep", "status", b"caf\xe9"], {})):
        done = filterlab(*words, at=repository, **variables)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert done.stderr.startswith("filterlab: b") and "is no text in this locale's encoding (" in done.stderr
    folder = repository / "ü"
    folder.mkdir()
    assert filterlab("stage", "compose", at=folder, **ascii_only).returncode == 2
    assert filterlab("stage", "compose", at=folder).returncode == 0


def test_an_account_that_nobody_has(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in a container that is run under any number: a home is asked for, and a name made up, which DVC can't do without."""
    monkeypatch.chdir(repository)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "")
    monkeypatch.delenv("HOME")

    def unknown(number: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    with pytest.raises(SystemExit) as ended:
        cli.main(["stage", "compose"])
    assert ended.value.code == 2
    assert (
        capsys.readouterr().err
        == f"filterlab: user {os.getuid()} has no home folder: export HOME=FOLDER, one that can be written to\n"
    )
    monkeypatch.setenv("HOME", str(repository))
    cli.main(["stage", "compose"])
    assert getpass.getuser() == f"uid-{os.getuid()}"


def test_variables_with_nonsense(repository: Path) -> None:
    done = filterlab("train", at=repository, FILTERLAB_SWEEP="/nowhere/at/all")
    assert done.returncode == 2 and done.stderr.startswith(
        "filterlab: FILTERLAB_SWEEP names /nowhere/at/all, where there is no sweep;"
    )
    (repository / "params.yaml").write_text("model: mpl\n")
    done = filterlab("stage", "compose", at=repository, FILTERLAB_EXIT_CODE="/nowhere/at/all")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "filterlab: FILTERLAB_EXIT_CODE names a file that can't be written: " in done.stderr

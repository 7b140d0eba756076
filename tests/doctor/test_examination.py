"""`filterlab doctor` as a whole: the screen, the exit code, --fix, and how long it takes."""

import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from filterlab.doctor import examination
from filterlab.doctor.finding import Finding

ROOT = Path(__file__).parents[2]
LINE = re.compile(r"  ([\w' ]{12}) (fine |WRONG)  (\S.*)| {22}\S.*")
SECONDS = 6.0  # of the processor, at most: measured are 0.7, and this machine may be a slow one


def doctor(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {name: text for name, text in os.environ.items() if name not in ("OMP_NUM_THREADS", "DVC_ROOT")}
    return subprocess.run(
        [sys.executable, "-m", "filterlab.cli", "doctor", *words],
        cwd=root,
        env=environment | {"PYTHONPATH": str(ROOT / "src"), "COLUMNS": "150"},
        text=True,
        capture_output=True,
        check=False,
    )


def lines(printed: str) -> list[str]:
    *found, empty, _ = printed.splitlines()
    assert empty == ""
    return found


def test_a_repository_in_which_all_is_well(root: Path) -> None:
    """A line or more for each check, aligned, without colours, and nothing that only a terminal understands."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = doctor(root)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.endswith("\n\nnothing is wrong\n")
    matched = [LINE.fullmatch(line) for line in lines(done.stdout)]
    assert all(matched)
    assert list(dict.fromkeys(found[1].strip() for found in matched if found and found[1])) == [*examination.CHECKS]
    assert {found[2] for found in matched if found and found[1]} == {"fine "}
    assert max(map(len, done.stdout.splitlines())) <= 150
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < SECONDS


def test_what_is_imported(root: Path) -> None:
    """None of what takes seconds."""
    code = (
        "import sys\nfrom filterlab.cli import main\ntry: main(['doctor'])\nexcept SystemExit: pass\n"
        "print([name for name in ('torch', 'mlflow', 'pytorch_lightning', 'dvc', 'hydra') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        text=True,
        capture_output=True,
    )
    assert done.stdout.splitlines()[-1] == "[]" and "GPU" in done.stdout


def test_what_is_wrong_is_mended_or_remains(root: Path) -> None:
    """Exit code 1 until nothing is wrong; --fix says each thing that it does, and does it once."""
    (root / "mlflow.db.unfinished").write_text("x")
    os.utime(root / "mlflow.db.unfinished", (1e9, 1e9))
    (root / ".dvc/tmp").mkdir()
    (root / ".dvc/tmp/rwlock").write_text("{")
    (root / "models/model.json").write_text("{")
    done = doctor(root)
    assert done.returncode == 1
    assert done.stdout.endswith("\n\n3 things are wrong; `filterlab doctor --fix` mends 2 of them\n")
    assert (root / "mlflow.db.unfinished").exists() and (root / ".dvc/tmp/rwlock").read_text() == "{", "asked for nothing"
    done = doctor(root, "--fix")
    assert done.returncode == 1 and done.stdout.endswith("\n\n1 thing is wrong\n")
    assert done.stdout.count("mended: ") == 2 and "mended: removed 1 file" in done.stdout
    assert not (root / "mlflow.db.unfinished").exists()
    (root / "models/model.json").unlink()
    (root / "models/model.safetensors").unlink()
    (root / "models").rmdir()
    done = doctor(root, "--fix")
    assert done.returncode == 0 and "mended" not in done.stdout


def test_damage_everywhere_is_no_traceback(root: Path) -> None:
    """Every file that a check reads is nonsense, and so are all that hold pieces of several: each check says its own."""
    for path in [*root.rglob("*.json"), *root.rglob("*.yaml"), *root.glob("mlflow.db"), root / "requirements.lock"]:
        path.write_bytes(b"\xff\x00nonsense: [")
    (root / "dvc.lock").write_bytes(b"\xff\x00")
    (root / "pyproject.toml").write_bytes(b"\xff\x00")
    done = doctor(root)
    assert (done.returncode, done.stderr) == (1, "")
    assert "Traceback" not in done.stdout
    assert all(LINE.fullmatch(line) for line in lines(done.stdout))


def test_a_folder_where_a_file_should_be(root: Path) -> None:
    for name in ("pyproject.toml", "requirements.lock", "mlflow.db", "models/model.json", "results/config.yaml"):
        (root / name).unlink()
        (root / name).mkdir()
    done = doctor(root)
    assert (done.returncode, done.stderr) == (1, "")
    assert all(LINE.fullmatch(line) for line in lines(done.stdout))


def test_a_check_that_fails_ends_no_other(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a stranger's check is one function and its line."""

    def broken(root: Path) -> list[Finding]:
        raise ZeroDivisionError("by zero")

    def warn(root: Path) -> list[Finding]:
        return [Finding("full moon", "wait", lambda: int("no number") and "")]

    monkeypatch.setattr(examination, "CHECKS", {"broken": broken, "moon": warn})
    assert not examination.examine(root, fix=True)
    printed = capsys.readouterr().out
    assert "broken       WRONG  this could not be looked at: ZeroDivisionError: by zero" in printed
    assert "FILTERLAB_DEBUG=1 filterlab doctor shows where" in printed
    assert "moon         WRONG  full moon\n" + " " * 22 + "could not be mended: invalid literal" in printed
    assert printed.endswith("\n\n2 things are wrong\n")


def test_outside_a_repository(tmp_path: Path) -> None:
    done = doctor(tmp_path)
    assert done.returncode == 2 and "is in no filterlab repository" in done.stderr

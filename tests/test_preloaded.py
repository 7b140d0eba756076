"""A process that is forked from one with torch in it is what a new interpreter would be, as far as a test can tell."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SAYS = """
import json, os, resource, signal, sys, warnings
mask = os.umask(0)
seen = {
    "name": __name__, "file": __file__, "spec": __spec__.name, "words": sys.argv, "path": sys.path, "folder": os.getcwd(),
    "given": os.environ["GIVEN"], "mask": mask, "files": resource.getrlimit(resource.RLIMIT_NOFILE),
    "open": sorted(set(os.listdir("/proc/self/fd")))[:5], "fifth": os.read(5, 9).decode(), "read": sys.stdin.read(),
    "streams": [
        [each.encoding, each.errors, each.line_buffering, each.write_through] for each in (sys.stdin, sys.stdout, sys.stderr)
    ],
    "signals": [str(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)],
    "imported": sorted(name for name in sys.modules if name.startswith(("filterlab", "hydra_plugins"))),
}
print(json.dumps(seen))
warnings.warn_explicit("not shown", DeprecationWarning, "a_file.py", 1)
print("on stderr", file=sys.stderr)
os.write(6, b"on 6")
sys.exit(int(sys.argv[1]))
"""
ENDS = """
import os, signal, sys
print("started", flush=True)
if sys.argv[1] == "raise":
    raise ValueError("as it is said")
if sys.argv[1] == "text":
    sys.exit("as it is said")
if sys.argv[1] == "hash":
    sys.exit(hash("anything") % 100)
if sys.argv[1] == "handle":
    signal.signal(signal.SIGUSR1, lambda *_: sys.exit(7))
    signal.signal(signal.SIGCONT, lambda *_: sys.exit(8))
print("ready", flush=True)
signal.pause()
"""


@pytest.fixture(params=["new", "preloaded"])
def python(request: pytest.FixtureRequest) -> str:
    return sys.executable if request.param == "new" else str(request.getfixturevalue("programs") / "python")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package by the name of filterlab, which says what it finds."""
    (tmp_path / "filterlab").mkdir()
    for name, text in {"__init__": "", "says": SAYS, "ends": ENDS}.items():
        (tmp_path / f"filterlab/{name}.py").write_text(text)
    return tmp_path


def test_it_is_given_what_a_new_one_is_given(package: Path, programs: Path) -> None:
    (package / "fifth").write_text("by a file")

    def said(python: Path) -> tuple[dict[str, object], str, str]:
        shell = "umask 027; ulimit -n 333; trap '' HUP; exec \"$0\" -m filterlab.says 3 'two words' 5<fifth 6>sixth"
        environment = os.environ | {"PYTHONPATH": str(package), "GIVEN": "two\nlines"}
        done = subprocess.run(
            ["bash", "-c", shell, python],
            cwd=package,
            env=environment,
            input="by stdin",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 3, done.stderr
        return json.loads(done.stdout), done.stderr, (package / "sixth").read_text()

    new = said(Path(sys.executable))
    assert new[0]["fifth"] == "by a file" and new[1:] == ("on stderr\n", "on 6")
    assert said(programs / "python") == new


@pytest.mark.parametrize(
    ("how", "code"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_a_signal_ends_it(package: Path, python: str, how: signal.Signals, code: int) -> None:
    with start(package, python, "wait") as process:
        process.send_signal(how)
        assert process.wait(30) == code


@pytest.mark.parametrize(("how", "code"), [(signal.SIGUSR1, 7), (signal.SIGCONT, 8)])
def test_it_handles_a_signal(package: Path, python: str, how: signal.Signals, code: int) -> None:
    with start(package, python, "handle") as process:
        process.send_signal(how)
        assert process.wait(30) == code


def start(package: Path, python: str, word: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [python, "-m", "filterlab.ends", word],
        cwd=package,
        env=os.environ | {"PYTHONPATH": str(package)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["started\n", "ready\n"]
    return process


@pytest.mark.parametrize(("word", "code", "last"), [("raise", 1, "ValueError: as it is said"), ("text", 1, "as it is said")])
def test_it_says_why_it_ends(package: Path, python: str, word: str, code: int, last: str) -> None:
    done = ended(package, python, word)
    assert (done.returncode, done.stdout, done.stderr.splitlines()[-1]) == (code, "started\n", last)


def test_what_a_new_interpreter_would_change_is_run_by_one(package: Path, programs: Path) -> None:
    codes = {
        ended(package, str(python), "hash", PYTHONHASHSEED="5").returncode for python in (sys.executable, programs / "python")
    }
    assert len(codes) == 1
    log = (programs.parent / "filterlab.log").read_text()
    assert re.search(r"a new interpreter for \['filterlab.ends', 'hash'\]", log)


def ended(package: Path, python: str, word: str, **more: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"PYTHONPATH": str(package)} | more
    return subprocess.run(
        [python, "-m", "filterlab.ends", word], cwd=package, env=environment, capture_output=True, text=True, check=False
    )

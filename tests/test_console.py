"""What is printed while something is computed: nobody who stops reading, and no full disk, ends it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from filterlab import console

ROOT = Path(__file__).parents[1]
COMPUTE = """
import sys
from pathlib import Path
from filterlab import console
console.prepare()
{also}
for number in range(20000):
    print("line", number, "\\u0107", flush=number % 100 == 0)
print("told", file=sys.stderr)
Path(sys.argv[1]).write_text(f"{{sys.stdout.encoding}} {{sys.stdout.isatty()}}")
"""


def shell(line: str, script: str, path: Path, **variables: str) -> tuple[str, str]:
    """What `line` prints, where $RUN computes and then writes `path`; the exit codes are its last line."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "SCRIPT": script, "FILE": str(path)} | variables
    line = line.replace("RUN", f'{sys.executable} -c "$SCRIPT" "$FILE"')
    done = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True, check=True)
    return done.stdout, done.stderr


@pytest.mark.parametrize(
    ("line", "said", "told"),
    [
        ('RUN | head -1; echo "${PIPESTATUS[@]}"', "line 0 ć\n0 0\n", "told\n"),
        ("RUN > /dev/full; echo $?", "0\n", "told\n"),
        ("RUN 2> /dev/full | tail -1", "line 19999 ć\n", ""),
        ("RUN >&-; echo $?", "0\n", "told\n"),
        ("RUN >&- 2>&- <&-; echo $?", "0\n", ""),
    ],
)
def test_it_goes_on(tmp_path: Path, line: str, said: str, told: str) -> None:
    script = COMPUTE.format(also="console.keep_going()")
    assert shell(line, script, tmp_path / "result", PYTHONUTF8="1") == (said, told)
    assert (tmp_path / "result").read_text() == "utf-8 False"


def test_what_only_prints_ends(tmp_path: Path) -> None:
    said, told = shell('RUN | head -1; echo "${PIPESTATUS[@]}"', COMPUTE.format(also=""), tmp_path / "result")
    assert said.splitlines()[1] == "1 0" and "BrokenPipeError" in told
    assert not (tmp_path / "result").exists()


def test_a_name_that_the_encoding_lacks_is_spelled_out(tmp_path: Path) -> None:
    for also in ("", "console.keep_going()"):
        said, _ = shell("RUN | tail -1", COMPUTE.format(also=also), tmp_path / "result", PYTHONIOENCODING="ascii")
        assert said == "line 19999 \\u0107\n"


def test_a_closed_stream_is_no_number_for_a_file(tmp_path: Path) -> None:
    """Otherwise the next file that is opened, a database say, gets what this process and its children print."""
    script = """
import subprocess, sys
from filterlab import console
console.prepare()
with open(sys.argv[1], "w") as file:
    print("printed", flush=True)
    subprocess.run([sys.executable, "-c", "print('printed by a child')"])
"""
    shell("RUN >&- <&-", script, tmp_path / "database")
    assert (tmp_path / "database").read_text() == ""


def test_of_tests_nothing_is_replaced(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    console.prepare()
    console.keep_going()
    assert (sys.stdout, sys.stderr) == before

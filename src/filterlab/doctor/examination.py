"""`filterlab doctor`: everything that a training depends on, looked at in a second or two."""

import os
import shutil
import textwrap
import traceback
from collections.abc import Iterator
from pathlib import Path

from filterlab.doctor import data, environment, leftovers, locks, machine, runs, versions
from filterlab.doctor.finding import Check, Finding
from filterlab.errors import UserError

WIDTH = 130  # of the screen, in characters, where no terminal says
INDENT = 22
# In the order of the screen. What is on one line there is one function here: another check is another line at the end.
CHECKS: dict[str, Check] = {
    "Python": environment.check_python,
    "packages": environment.check_packages,
    "code": environment.check_code,
    "processor": machine.check_processor,
    "threads": machine.check_threads,
    "GPU": machine.check_gpu,
    "disk": machine.check_disk,
    "config": data.check_config,
    "raw data": data.check_raw,
    "data": data.check_prepared,
    "model": data.check_model,
    "store": runs.check_store,
    "runs": runs.check_running,
    "spools": runs.check_spools,
    "trainings": leftovers.check_trainings,
    "downloads": leftovers.check_downloads,
    "files": leftovers.check_files,
    "locks": locks.check_ours,
    "DVC's locks": locks.check_dvc,
    "Git": versions.check_git,
    "DVC": versions.check_dvc,
}


def examine(root: Path, *, fix: bool) -> bool:
    """Print what each check finds, a line each, and whether nothing is wrong; with `fix`, mend what can be mended safely."""
    wrong = mendable = 0
    for name, check in CHECKS.items():
        for finding in findings(check, root):
            print_line(name, "WRONG" if finding.remedy else "fine", near(finding.says, root))
            if not finding.remedy:
                continue
            if fix and finding.mend:
                try:
                    print_line("", "", f"mended: {finding.mend()}")
                    continue
                except (ValueError, OSError) as error:
                    print_line("", "", f"could not be mended: {error}")
            wrong += 1
            mendable += finding.mend is not None
            print_line("", "", f"-> {near(finding.remedy, root)}")
    if not wrong:
        print("\nnothing is wrong")
    else:
        left = f"; `filterlab doctor --fix` mends {mendable} of them" if mendable and not fix else ""
        print(f"\n{wrong} {'thing is' if wrong == 1 else 'things are'} wrong{left}")
    return not wrong


def findings(check: Check, root: Path) -> Iterator[Finding]:
    """What the check finds; where it can't be made, that is what is wrong."""
    try:
        yield from check(root)
    except UserError as error:
        yield Finding(" ".join(str(error).split()), "do so, and ask again")
    except OSError as error:
        yield Finding(f"{error.strerror or error}: {error.filename or 'a file'}", "see to it, and ask again")
    except Exception as error:  # of something damaged in a way that nobody thought of: the other checks are made all the same
        if os.environ.get("FILTERLAB_DEBUG") == "1":
            traceback.print_exc()
        says = f"this could not be looked at: {type(error).__name__}: {error}"
        yield Finding(" ".join(says.split()), "FILTERLAB_DEBUG=1 filterlab doctor shows where")


def near(text: str, root: Path) -> str:
    """With places in the repository by their names there."""
    return text.replace(f"{root}/", "")


def print_line(name: str, verdict: str, text: str) -> None:
    width = max(40, shutil.get_terminal_size((WIDTH, 0)).columns - INDENT)
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
    print(f"  {name:<13}{verdict:<7}{lines[0]}", *(" " * INDENT + line for line in lines[1:]), sep="\n", flush=True)

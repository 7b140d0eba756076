"""Starts a sweep: freezes what its jobs run, and starts the process that drives it on the frozen code."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from filterlab.config import compose
from filterlab.errors import UserError
from filterlab.sweeps import frozen
from filterlab.sweeps import sweep as sweeps
from filterlab.sweeps.trials import check_launcher, compose_sweep


def launch_sweep(root: Path, overrides: Sequence[str], *, name: str, retry_failed: bool, detach: bool) -> None:
    """Become the sweep's driver (or, detached, start it and return once it runs); never returns otherwise.

    Raises:
        ConfigError: something is wrong with the overrides; nothing has been frozen then.
        UserError: nor where SLURM is asked for and not here. Or a detached driver ended at once.
        DataError: the data that were asked for are not here; nothing has been frozen then.
        BusyError: another process runs a sweep of that name.
    """
    keys = [override.get_key_element() for override in compose.parse(overrides) if override.is_sweep_override()]
    name = sweeps.check_name(name or sweeps.default_name(overrides, swept=keys))
    known = sweeps.has_begun(root, name)
    if not known:  # a sweep that has begun composes from what it froze: its driver checks the overrides
        config = compose_sweep(root / "conf", overrides)
        check_launcher(config)
        frozen.check_data(config.data, root=root)
    sweep = sweeps.begin(root, name)
    if known:
        print(f"sweep {name} goes on, with the code and the conf/ it began with (--sweep NAME begins another one)", flush=True)
    flags = ["--multirun", "--drive", *(["--retry-failed"] if retry_failed else [])]
    command = [sys.executable, "-P", "-m", "filterlab.cli", "train", *flags, *overrides]
    path = os.pathsep.join([str(sweep.code), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"PYTHONPATH": path, sweeps.VARIABLE: str(sweep.folder)}
    if not detach:
        os.execve(sys.executable, command, environment)
    commands = len(sweep.commands)
    log = sweep.folder / "driver.log"
    with log.open("ab") as file:
        process = subprocess.Popen(
            command, cwd=root, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
    while len(sweeps.load(sweep.folder).commands) == commands:  # the driver adds its own once the store is reached
        if (code := process.poll()) is not None:
            raise UserError(f"the sweep ended at once, with exit code {code}:\n{log.read_text(encoding='utf-8').rstrip()}")
        time.sleep(0.2)
    print(f"sweep {name} runs in the background (process {process.pid}); {log.relative_to(root)} is what it prints")
    print(f"  filterlab sweep status {name}")

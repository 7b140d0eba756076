"""`filterlab train`: one training, or a sweep, by Hydra's own command line over the same composition as the pipeline's."""

import contextlib
import os
import sys
import traceback
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode, TaskFunction
from omegaconf import DictConfig

from filterlab import console, files, garbage
from filterlab.config import compose, resolved, schema
from filterlab.errors import ConfigError, UserError, explain
from filterlab.models import folder as models
from filterlab.repository import find_root
from filterlab.runs import facts, folder
from filterlab.stages.train import train
from filterlab.sweeps import frozen, status, trials
from filterlab.sweeps import sweep as sweeps
from filterlab.sweeps.record import TrialRecord
from filterlab.tracking import NullRun
from filterlab.training import devices

if TYPE_CHECKING:
    from filterlab.training.history import Epoch

HELP = """usage: filterlab train [group=option ...] [key=value ...] [flags]

One training: what params.yaml says, but for what is given here. Results go to a folder below runs/, and to MLflow.

  filterlab train model=mlp optimizer.lr=0.2        another option of a group, another value
  filterlab train experiment=none                   without params.yaml: conf/ alone (but for the seed)
  filterlab train -m model=mlp,cnn 'seed=range(3)'  a sweep: one training for each of the six combinations
  filterlab train -m hydra/sweeper=optuna 'optimizer.lr=tag(log, interval(1e-3, 1))'    a search

Config groups
{groups}

Launchers of a sweep (hydra/launcher=...)
{launchers}

Flags
  --cfg job           print the configuration, with every key there is, and train nothing
  -m, --multirun      a training for each combination of values; given again, it runs what is missing
  --sweep NAME        the sweep's name (default: made from what is swept)
  --retry-failed      run the trials that failed again, too
  --detach            in the background: it outlives this terminal
  --hydra-help        Hydra's other flags; those that read files elsewhere are refused
  -sc install=bash    tab completion: eval "$(filterlab train -sc install=bash)"
"""


def main(arguments: Sequence[str]) -> None:
    """Train what params.yaml and then `arguments` say; results go to a folder below runs/, and to MLflow."""
    root = find_root(Path.cwd())
    ours, words = flags(arguments)
    sweep = sweeps.current()
    conf = sweep.conf if sweep else root / "conf"
    given = get_args_parser().parse_intermixed_args(words)
    check(given)
    if given.help:
        groups = "\n".join(f"  {group:<12}{', '.join(compose.options(conf, group))}" for group in compose.GROUPS)
        launchers = "\n".join(f"  {name:<12}{says}" for name, says in compose.launchers().items())
        print(HELP.format(groups=groups, launchers=launchers))
        return
    program = str(Path(sys.argv[0]).absolute())
    os.chdir(root)
    compose.register()
    asked = given.shell_completion or given.hydra_help
    if not (asked or given.cfg or given.info):
        console.keep_going()
    if sweep and not ours.drive and os.environ.get("LOCAL_RANK", "0") == "0":
        sweeps.refuse_outside()
    if given.multirun and not (asked or given.cfg or given.info):
        launch_sweep(root, words, given, ours)
        return
    overrides = given.overrides if asked else with_parameters(conf, given, outside=sweep is None)
    if asked:
        sys.argv = [program, *words]
    else:
        if not given.multirun:
            config = compose.compose(conf, overrides)
            if not (given.cfg or given.info) and devices.is_main(config.trainer):
                compose.hydra_settings(conf, overrides)  # what is wrong there ends before a folder is made
                overrides += folder.overrides_for(sweeps.FOLDER, config, overrides)
        sys.argv = [program, *overrides, *(word for word in words if word not in given.overrides)]
        if given.cfg == "job" and not (given.multirun or given.package):  # Hydra's own print would lack a layer's defaults
            print(resolved.dump(config), end="")
            return
    if given.shell_completion:  # of what follows the program's name, so the verb goes
        os.environ["COMP_LINE"] = os.environ.get("COMP_LINE", "").replace(" train ", " ", 1)
    start(conf, job)


def start(conf: Path, task: TaskFunction) -> None:
    """Start Hydra, on the words in sys.argv."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors reach the command line, which explains them
    try:
        hydra.main(version_base="1.3", config_path=str(conf), config_name="config")(task)()
    except HydraException as error:
        raise ConfigError([compose.explanation(error)]) from error


def check(given: Namespace) -> None:
    """Raises ConfigError: an override that is refused, or a flag by which Hydra reads, or unpickles, what is not in conf/."""
    elsewhere = {flag: getattr(given, flag) for flag in ("config_path", "config_name", "config_dir", "experimental_rerun")}
    if given_flags := [f"--{flag.replace('_', '-')}" for flag, value in elsewhere.items() if value is not None]:
        raise ConfigError([f"{flag}: there are only the options in conf/, not files elsewhere" for flag in given_flags])
    compose.parse(given.overrides)


def flags(arguments: Sequence[str]) -> tuple[Namespace, list[str]]:
    """A sweep's flags, which Hydra doesn't know, and the other words."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--sweep", default="")
    parser.add_argument("--retry-failed", action="store_true")
    parser.add_argument("--detach", action="store_true")
    parser.add_argument("--drive", action="store_true")  # of a sweep's own process alone: see launch
    return parser.parse_known_args(list(arguments))


def with_parameters(conf: Path, given: Namespace, *, outside: bool = True) -> list[str]:
    """What params.yaml and then the command line say; in a sweep's own processes the command line has it all."""
    return compose.to_overrides(compose.read_parameters(conf.parent / "params.yaml") if outside else {}, given.overrides)


def launch_sweep(root: Path, words: Sequence[str], given: Namespace, ours: Namespace) -> None:
    """Freeze the sweep and begin again as a process that runs the frozen code; there, run what is missing of it."""
    from filterlab.sweeps import driver, launch

    if (sweep := sweeps.current()) is None:
        overrides = trials.add_parameters(root / "conf", compose.read_parameters(root / "params.yaml"), given.overrides)
        launch.launch_sweep(root, overrides, name=ours.sweep, retry_failed=ours.retry_failed, detach=ours.detach)
        return
    config = trials.compose_sweep(sweep.conf, given.overrides)
    trials.check_launcher(config)
    if config.space is not None:
        sweep.metric, sweep.pruner, sweep.warmup = config.metric, config.sweeper.pruner, config.sweeper.warmup
    sweep.swept = list(dict.fromkeys([*sweep.swept, *config.keys]))
    sweep.commands.append(list(given.overrides))
    places = [f"hydra.sweep.dir='{sweep.folder}'", "hydra.sweep.subdir='jobs/${hydra.job.num}'", "hydra.output_subdir=null"]
    places.append(f"hydra.run.dir='{sweep.folder}/jobs/ranks'")  # where Lightning sends the other processes of ddp
    sys.argv = [sys.argv[0], "--multirun", *given.overrides, *places]
    driver.run_sweep(
        sweep,
        config,
        root=root,
        retry_failed=ours.retry_failed,
        start=lambda run_trials: start(sweep.conf, driver.SweepTask(job, run_trials)),
    )


def summary(config: schema.Config, out: Path, result: Mapping[str, Any]) -> str:
    """What came out, in a few lines for a terminal."""
    root = Path.cwd()
    monitor, named = config.trainer.monitor, not config.trainer.monitor.endswith(("/accuracy", "/loss"))
    by = f"'s {monitor.partition('/')[2].replace('_', ' ')}, {result[f'best/{monitor}']:.2%}" if named else ""
    epoch = f"epoch {result['metrics']['best_epoch']:.0f} of {result['metrics']['epochs']:.0f}, the best by validation{by}"
    place = out.relative_to(root) if out.is_relative_to(root) else out
    lines = {
        "validation": f"accuracy {result['best/validation/accuracy']:.2%}  ({epoch})",
        "folder": str(place),
        "model": str(place / "models" / models.WEIGHTS),
    }
    if config.tracking.backend != "off":
        run = result["run_id"]
        lines |= {"run": run, "MLflow": facts.address(config.tracking, root=root, out=out)}
        lines["next"] = f"filterlab visualize {run[:8]}; on the test set: filterlab evaluate {run[:8]}"
    return console.facts(lines)


def job(composed: DictConfig) -> dict[str, Any]:
    """Hydra's task function: one training, or one trial of a sweep. Gives what `train` does."""
    console.keep_going()
    garbage.tune()  # a launcher's processes have not been through the command line
    config = compose.to_config(composed)
    job = HydraConfig.get()
    sys.argv[1:] = job.overrides.task  # Lightning gives it to the other processes of ddp: this run alone, not the sweep
    swept, main = job.mode == RunMode.MULTIRUN, devices.is_main(config.trainer)
    out, tags, title, conf, trial, stop = Path(job.runtime.output_dir), None, "", None, None, None
    if sweep := sweeps.current():
        key = resolved.key(config)
        values = sweeps.swept_values(job.overrides.task, sweep.swept)
        sweeps.check_frozen(sweep)
        conf, out, tags = sweep.conf, sweep.trial_folder(key), status.trial_tags(sweep, key=key, swept=values)
        trial = TrialRecord(sweep, key=key, swept=values) if main else None
        stop = make_stop(sweep, key, trial)
        title = " ".join(f"{name.rpartition('.')[2]}={value}" for name, value in values.items())
    try:
        with contextlib.ExitStack() as stack:
            if main:
                stack.enter_context(folder.alone(out))
                if not swept:
                    folder.check(out, resolved.dump(config))
                files.write(out / resolved.RESOLVED, resolved.dump(config))
            if trial:
                stack.enter_context(trial.written())
            images = frozen.load_data(sweep, config.data) if sweep else None
            parent = sweep.id if sweep else ""
            result = train(
                config, root=Path.cwd(), out=out, images=images, tags=tags, title=title, conf=conf, parent=parent, stop=stop
            )
            if trial:
                trial.finish(result)
        if main and not swept:
            print(summary(config, out, result), flush=True)
        return result
    except (UserError, OSError, KeyboardInterrupt) as error:
        if swept:
            explain(error)
            raise
        sys.exit(explain(error))  # past Hydra, which would add a line of its own
    except Exception:
        if swept:  # a sweep goes on, so that Hydra shows it nowhere
            traceback.print_exc()
        raise


def make_stop(sweep: sweeps.Sweep, key: str, trial: TrialRecord | None) -> "Callable[[NullRun, Sequence[Epoch]], bool]":
    """What a sweep's training does after each epoch: record it, and ask the pruner, if there is one."""
    prunes = None
    if sweep.pruner != "none":
        from filterlab.sweeps.pruning import make_stopper

        prunes = make_stopper(sweep, key=key)

    def stop(run: NullRun, epochs: "Sequence[Epoch]") -> bool:
        if trial:
            trial.add_epoch(run, epochs)
        return bool(prunes and prunes(epochs))

    return stop

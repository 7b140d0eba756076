"""`filterlab promote`: writes a run's configuration into params.yaml, and a mark that leads back to the run."""

import dataclasses
import difflib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from filterlab import files, tracking
from filterlab.config import compose, document, resolved, schema
from filterlab.errors import ConfigError, UserError
from filterlab.runs import promoted
from filterlab.runs.logging import CONFIG, DATA, THREADS
from filterlab.study import table
from filterlab.sweeps import sweep as sweeps
from filterlab.sweeps.objective import DIRECTIONS, check_objective
from filterlab.sweeps.record import read_trials
from filterlab.tracking import Found, Reader, provenance
from filterlab.tracking.store import IDENTITY, RESTORED

GROUPS = [group for group in schema.FAMILIES if group != "tracking"]  # where the history lives is no choice of a run's


def promote(root: Path, *, run: str, best: str, sweep: str) -> None:
    """Write a run's choices into params.yaml, and print what changes.

    Args:
        run: its id, or the first characters of it; empty: the best one of `sweep` by the validation metric `best`.

    Raises:
        UserError: there is no such run, or it can't be reproduced: its code was not committed or is not the code that is
            here, its data are not the data that are here. Nothing has been written then.
    """
    settings = (
        sweeps.find(root, sweep).tracking_settings() if sweep else compose.compose(root / "conf", from_parameters(root)).tracking
    )
    with tracking.reading(settings, root=root) as store:
        found = best_run(root, store, sweep=sweep, metric=best) if best else find_run(store, run)
        check_run(root, found)
        config = with_threads(found, read_config(store, found))
    check_data(root, found, config)
    path = root / "params.yaml"
    made = to_parameters(root / "conf", config, prefer=compose.read_parameters(path))
    before = path.read_text(encoding="utf-8")
    after = edit_parameters(before, made)
    files.write(path, after)
    promoted.mark(root, found.id, config)
    difference = difflib.unified_diff(before.splitlines(True), after.splitlines(True), "params.yaml", "params.yaml", n=0)
    print("".join(difference), end="")
    number = found.metrics.get("best/validation/accuracy")
    accuracy = "" if number is None else f", validation accuracy {number:.2%}"
    print(f"run {found.id} ({found.name}{accuracy}) is in params.yaml now")
    print("  dvc repro    trains it again, to the same bits on this kind of machine")


def from_parameters(root: Path) -> list[str]:
    return compose.to_overrides(compose.read_parameters(root / "params.yaml"))


def read_config(store: Reader, run: Found) -> schema.Config:
    """The configuration a run was trained with. Raises UserError: its resolved config in the store is damaged."""
    try:
        config = resolved.from_text(store.read_artifact(run.id, resolved.RESOLVED.name))
    except (document.Unreadable, ConfigError) as error:
        raise UserError(f"the {resolved.RESOLVED.name} of run {run.id} is damaged: {error}") from None
    if CONFIG in run.tags and run.tags[CONFIG] != resolved.key(config):
        raise UserError(
            f"the {resolved.RESOLVED.name} of run {run.id} is damaged: it is not the one that the run was trained with"
        )
    return config


def find_run(store: Reader, run: str) -> Found:
    """The run whose id, or identity, begins with `run`. Raises UserError: there is none, or there are several."""
    found = [each for each in store.search() if each.id.startswith(run) or each.tags.get(IDENTITY, "").startswith(run)]
    if len(found) != 1:
        what = (
            "no run in this store has an id that begins" if not found else f"{len(found)} runs in this store have ids that begin"
        )
        raise UserError(
            f"{what} with {run!r}: `filterlab sweep status NAME` and `make ui` show ids; "
            "what was sent to another store is asked of that one: `tracking: server` in params.yaml, MLFLOW_TRACKING_URI"
        )
    return found[0]


def best_run(root: Path, store: Reader, *, sweep: str, metric: str) -> Found:
    """The best run of the setting with the best mean over seeds.

    Raises:
        ConfigError: `metric` is none of validation.
        UserError: no training is done with a finite one.
    """
    short = metric in DIRECTIONS  # "accuracy" is short for validation's
    metric = check_objective(f"validation/{metric}" if short else metric)
    ranked = table.group(read_trials(sweeps.find(root, sweep)), metric=metric)
    if not ranked or not ranked[0].trials:
        raise UserError(f"no training of sweep {sweep} is done with a finite {metric}: filterlab sweep status {sweep}")
    return find_run(store, ranked[0].trials[0].run_id)


def check_run(root: Path, run: Found) -> None:
    """Raises UserError: the run is not finished, or its code is not to be had."""
    if run.status != "FINISHED":
        raise UserError(f"run {run.id} is {run.status}, expected FINISHED: only a finished training can be promoted")
    if RESTORED in run.tags:
        raise UserError(
            f"run {run.id} was restored from results that DVC brought: what trained them is not recorded here. Its parameters "
            "are in params.yaml of the commit that the results belong to (`git log dvc.lock`); a run that trains them again can "
            "be promoted"
        )
    if "filterlab.code" not in run.tags or run.tags.get("filterlab.kind") == "sweep":
        raise UserError(f"run {run.id} ({run.name}) is no training of filterlab's: name one of a sweep's trainings")
    commit = run.tags.get("mlflow.source.git.commit", "")
    if run.tags.get("filterlab.dirty", "true") == "true":
        raise UserError(
            f"run {run.id} can't be reproduced: its code differed from commit {commit[:10] or '(none)'} and was never committed. "
            "Commit the code and train it again"
        )
    here = provenance.tags(root)
    if run.tags["filterlab.code"] != here["filterlab.code"]:
        raise UserError(
            f"run {run.id} was trained by other code than what is here: `git checkout {commit[:10]}` brings it, or train the run "
            "again with this code"
        )


def check_data(root: Path, run: Found, config: schema.Config) -> None:
    """Raises UserError where the data that are prepared here for that configuration are not those the run learned from."""
    from filterlab.data import ready

    here = ready.load(config.data, root)[0].digest
    if run.tags.get(DATA) != here:
        remedy = "bring its data/raw, e.g. with dvc pull"
        if isinstance(config.data, schema.Own) and not config.data.files:
            remedy = f"put {config.data.path} back as it was"
        raise UserError(
            f"run {run.id} learned from other data ({run.tags.get(DATA, 'unknown')[:12]}) than {config.data.name} "
            f"gives here ({here[:12]}): {remedy}, or train again"
        )


def with_threads(run: Found, config: schema.Config) -> schema.Config:
    """The run's configuration, with the threads it had where it left their number to the machine, a launcher or a scheduler.

    Sums over other threads come in another order, and end in other bits.
    """
    if config.trainer.threads or THREADS not in run.tags:  # a GPU's run does without
        return config
    return dataclasses.replace(config, trainer=dataclasses.replace(config.trainer, threads=int(run.tags[THREADS])))


def to_parameters(conf: Path, config: schema.Config, *, prefer: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that compose to `config`: of each group the option that is nearest, and what differs from it as overrides.

    Args:
        prefer: parameters whose options are taken where others are as near.
    """
    wanted = dataclasses.asdict(config)
    made: dict[str, Any] = {}
    override: dict[str, Any] = {}
    for group, sections in read_options(conf).items():
        ranked = [
            (differing(dataclasses.asdict(sections[option]), wanted[group]), option)
            for option in sorted(sections, key=lambda option: option != prefer.get(group))
            if type(sections[option]) is type(getattr(config, group))
        ]
        nearest, made[group] = min(ranked, key=lambda entry: count_leaves(entry[0]))
        if nearest:
            override[group] = nearest
    made |= {"experiment": "none", "seed": config.seed, "override": override}
    again = compose.compose(conf, compose.to_overrides(made))
    assert resolved.key(again) == resolved.key(config), "the parameters have to say what the run was"
    return made


def read_options(conf: Path) -> dict[str, dict[str, Any]]:
    """Config group -> option -> its section. Hydra composes an option of every group at a time, which need not go together."""
    options = {group: compose.options(conf, group) for group in GROUPS}
    found: dict[str, dict[str, Any]] = {group: {} for group in GROUPS}
    composer = compose.Composer(conf)
    for row in range(max(map(len, options.values()))):
        chosen = {group: names[row % len(names)] for group, names in options.items()}
        sections, faults = composer.sections(tuple(f"{group}={option}" for group, option in chosen.items()))
        if faults:
            raise ConfigError(faults)
        for group, option in chosen.items():
            found[group][option] = sections[group]
    return found


def differing(base: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What of `wanted` differs from `base`, as a tree of the same keys."""
    found: dict[str, Any] = {}
    for name, leaf in wanted.items():
        if isinstance(leaf, dict) and isinstance(base[name], dict) and leaf.keys() == base[name].keys():
            if inner := differing(base[name], leaf):
                found[name] = inner
        elif leaf != base[name]:
            found[name] = leaf
    return found


def count_leaves(tree: Any) -> int:
    return sum(map(count_leaves, tree.values())) if isinstance(tree, dict) else 1


def edit_parameters(text: str, made: Mapping[str, Any]) -> str:
    """params.yaml's text with these values; comments and the order of lines are kept."""
    yaml_12 = YAML()
    yaml_12.preserve_quotes = True
    yaml_12.width = 4096
    tree = yaml_12.load(text)
    for name, leaf in made.items():
        if tree.get(name) != leaf:
            tree[name] = leaf
    written = io.StringIO()
    yaml_12.dump(tree, written)
    return written.getvalue()

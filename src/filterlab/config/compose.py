"""The only Hydra composition: params.yaml and the command line choose from the config groups (conf/), and become a Config.

Precedence: conf/ < params.yaml < the command line. An experiment makes all the choices: where params.yaml names one, its
other choices are set aside; where the command line names one, all of params.yaml is, but for the seed.
"""

import copy
import dataclasses
import functools
import itertools
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from filterlab.config import document, schema, validation
from filterlab.config.document import Unreadable, leaves
from filterlab.config.faults import explanation, short, unknown_key, unknown_option
from filterlab.config.groups import GROUPS, FileConfigSource, is_hydras, options, refused
from filterlab.errors import ConfigError

LONGEST = 30_000  # characters of a word on the command line; Hydra's parser takes seconds for more
DEFAULT = "default"  # in params.yaml: what conf/config.yaml says
UNCHANGED = "mappings are merged, so that an empty one changes nothing; leave it out"
KEY = re.compile(r"[A-Za-z_]\w*(\.\w+)*")  # of an override in params.yaml


@functools.cache
def register() -> None:
    """Put our reader of files and our joblib launcher in place of the released ones, once."""
    Plugins.instance()  # Hydra loads plugins in no sure order: ours don't take another's name by themselves
    store = ConfigStore.instance()
    launcher = store.load("hydra/launcher/filterlab_joblib.yaml").node
    store.store(group="hydra/launcher", name="joblib", node=launcher, provider="hydra-joblib-launcher")
    SourcesRegistry.instance().types["file"] = FileConfigSource


def launchers() -> dict[str, str]:
    """The launchers by name, Hydra's own and ours, and what each does: the first line of its module's docstring."""
    register()
    store, found = ConfigStore.instance(), {"basic": "one after another"}
    for file in store.list("hydra/launcher"):
        entry = store.load(f"hydra/launcher/{file}")
        if entry.provider == "filterlab":
            module = sys.modules[entry.node["_target_"].rpartition(".")[0]]  # Hydra has imported its plugins
            says = (module.__doc__ or "").splitlines()[0]
            found[Path(file).stem.removeprefix("filterlab_")] = says.partition(": ")[2].rstrip(".")
    return found


def read_parameters(path: Path) -> dict[str, Any]:
    """params.yaml as a dictionary, without what is left to conf/config.yaml.

    Raises:
        ConfigError: the file is missing, is no YAML mapping, or has a key that is none of its own; what else is wrong with its
            values is told, too, by the conf/ beside it.
    """
    try:
        parameters = document.values(document.text(path))
    except FileNotFoundError:
        raise ConfigError(
            [f"{path} is missing: it holds the parameters, e.g. `data: mnist`; run in the repository's root"]
        ) from None
    except Unreadable as error:
        raise ConfigError([f"{path} is no valid YAML: {error}"]) from None
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise ConfigError([f"{path} holds a {type(parameters).__name__}, expected `key: value` lines"])
    known = [*GROUPS, "seed", "override"]
    faults = [f"{path.name}: {unknown_key(str(key), known)}" for key in parameters if key not in known]
    faults += [
        f"{path.name}: {key} is empty; write its value, or leave the line out"
        for key in ["seed", *GROUPS]
        if key in parameters and parameters[key] is None
    ]
    override = parameters.get("override")
    if not isinstance(override, dict | None):
        faults.append(f"{path.name}: override is {override!r}, expected a mapping such as {{trainer: {{max_epochs: 3}}}}")
    faults += [f"{path.name}: {fault}" for fault in unfit(override)]
    chosen = {key: given for key, given in parameters.items() if given != DEFAULT}
    if not faults:
        return chosen
    sound = {key: given for key, given in chosen.items() if key in known and given is not None and key != "override"}
    try:
        compose(path.parent / "conf", to_overrides(sound))
    except ConfigError as error:
        faults += error.faults
    raise ConfigError(faults)


def unfit(tree: Any, place: str = "override") -> Iterator[str]:
    """Faults of the keys in params.yaml's override, at any depth, a sentence each."""
    for key, inner in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else []:
        where = f"{place}.{key}"
        if re.match(r"override\.[+~]*hydra\b", where):
            yield f"{where}: Hydra's own section is set on the command line, not here"
        elif inner == {}:
            yield f"{where} is {{}}: {UNCHANGED}"
        elif type(key) is int or (isinstance(key, str) and KEY.fullmatch(key)):
            yield from unfit(inner, where)
        else:
            yield f"{where}: no key is called {key!r}; expected letters, digits and _ ('y' and such in quotes)"


def to_overrides(parameters: dict[str, Any], command_line: Sequence[str] = ()) -> list[str]:
    """The parameters and then the command line, as one list of Hydra overrides in which no key stands twice."""
    named = {override.get_key_element().lstrip("+~") for override in parse(command_line)}
    chosen = parameters.get("experiment", "none")
    lines = {"seed": f"seed={quote(parameters['seed'])}"} if "seed" in parameters else {}
    if "experiment" not in named:
        if chosen != "none":
            lines["experiment"] = f"experiment={quote(chosen)}"
        else:
            lines.update({group: f"{group}={quote(parameters[group])}" for group in schema.FAMILIES if group in parameters})
        lines.update({key: f"{key}={quote(leaf)}" for key, leaf in leaves(parameters.get("override") or {})})
    return [line for key, line in lines.items() if key not in named] + list(command_line)


def compose(conf: Path, overrides: Sequence[str]) -> schema.Config:
    """The configuration that the overrides choose from the config groups in `conf`, typed and checked.

    Raises:
        ConfigError: with every fault found, each naming what was given, what was expected and what there is.
    """
    return Composer(conf)(overrides)


class Composer:
    """`compose` for many trials over one conf/: Hydra composes each choice of options once, values are put in afterwards."""

    def __init__(self, conf: Path):
        self.conf = conf
        self.composed: dict[tuple[str, ...], DictConfig] = {}

    def __call__(self, overrides: Sequence[str]) -> schema.Config:
        """See `compose`."""
        faults, choices, values = sort(self.conf, parse(overrides))
        try:
            composed = copy.deepcopy(self.base(tuple(choices)))
            faults += filter(None, [put(composed, override) for override in values])
            config = to_config(composed)
        except ConfigError as error:
            raise ConfigError(faults + error.faults) from None
        if faults:
            raise ConfigError(faults)
        return config

    def base(self, choices: tuple[str, ...]) -> DictConfig:
        if choices not in self.composed:
            register()
            GlobalHydra.instance().clear()
            try:
                with initialize_config_dir(str(self.conf.resolve()), version_base="1.3"):
                    self.composed[choices] = hydra_compose("config", overrides=list(choices))
            except (HydraException, OmegaConfBaseException) as error:
                raise ConfigError([explanation(error)]) from None
            if missing := [group for group in schema.FAMILIES if group not in self.composed[choices]]:
                raise ConfigError([f"conf/config.yaml is no primary config: its defaults choose no {', '.join(missing)}"])
        return self.composed[choices]

    def sections(self, choices: tuple[str, ...]) -> tuple[dict[str, Any], list[str]]:
        """The sections of these options, which need not go together, and the faults of others."""
        return validation.sections(plain_values(self.base(choices)))


def hydra_settings(conf: Path, overrides: Sequence[str]) -> DictConfig:
    """Hydra's own section (launcher, sweeper, folders) as these overrides choose it.

    Raises:
        ConfigError: an option or a key of Hydra's that there is not.
    """
    register()
    plain = [
        str(override.input_line)
        for override in parse(overrides)
        if not override.is_sweep_override() and (override.get_key_element() in GROUPS or is_hydras(override))
    ]
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf.resolve()), version_base="1.3"):
            return cast(DictConfig, hydra_compose("config", overrides=plain, return_hydra_config=True).hydra)
    except MissingConfigException as error:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        raise ConfigError([f"{group}: {unknown_option(option, sorted(error.options or []))}"]) from None
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError([explanation(error)]) from None


def to_config(composed: DictConfig) -> schema.Config:
    """The frozen, typed form of what Hydra composed. Raises ConfigError with every fault."""
    return validation.to_config(plain_values(composed))


def plain_values(composed: DictConfig) -> dict[str, Any]:
    """Plain values, ${...} replaced. Raises ConfigError: it can't be."""
    try:
        return cast(dict[str, Any], OmegaConf.to_container(composed, resolve=True, throw_on_missing=True))
    except OmegaConfBaseException as error:
        raise ConfigError([explanation(error)]) from None


def sort(conf: Path, overrides: Sequence[Override]) -> tuple[list[str], list[str], list[Override]]:
    """Sort overrides: faults, choices of options that there are, and values but for those of a group whose choice is a fault."""
    faults, choices, values, lost = [], [], [], set()
    for override in overrides:
        key = override.get_key_element()
        plain = key.lstrip("+~")
        if is_hydras(override):
            continue
        if override.is_sweep_override():
            faults.append(f"{key} has several values: a sweep needs `filterlab train --multirun`")
            lost.add(plain)
        elif key in GROUPS and override.value() in (offered := options(conf, key)):
            choices.append(str(override.input_line))
        elif key in GROUPS:
            faults.append(f"{key}: {unknown_option(override.value(), offered)}")
            if key != "data" and len(families := schema.FAMILIES.get(key, {})) > 1 and str(override.value()) in families:
                faults[-1] += (
                    f". {conf.name}/{key}/{override.value()}.yaml is missing, which has the settings of what is in NAMES"
                )
            lost.add(key)
        elif plain in GROUPS:
            faults.append(f"{key}: config groups are neither added nor removed; write {plain}=option")
        else:
            values.append(override)
    kept = [] if "experiment" in lost else [value for value in values if value.key_or_group.split(".")[0] not in lost]
    return faults, choices, kept


def put(composed: DictConfig, override: Override) -> str | None:
    """Set one `dotted.key=value`; gives the fault where there is no such key. `validation` checks the value afterwards."""
    key = override.get_key_element()
    plain = key.lstrip("+~")
    *parents, last = plain.split(".")
    node: Any = composed
    try:
        for depth, part in enumerate([*parents, last]):
            known = list(map(str, range(len(node)))) if OmegaConf.is_list(node) else list(node) if OmegaConf.is_dict(node) else []
            if part not in known:
                known = known if depth else [field.name for field in dataclasses.fields(schema.Config)]
                if depth and OmegaConf.is_dict(node):  # of a section, which may have more keys than its file says
                    break
                where = f" in {'.'.join(parents[:depth])}" if depth else ""
                return f"{key}: {unknown_key(part, known, where)}"
            if depth < len(parents):
                node = node[int(part)] if OmegaConf.is_list(node) else node[part]
            elif key != plain:
                return f"{key}: keys are neither added nor removed; write {plain}=value"
        if fault := renamed(parents, last, node, override.value()):
            return fault
        if override.value() == {} and OmegaConf.select(composed, plain):
            return f"{key} is {{}}: {UNCHANGED}"
        OmegaConf.update(composed, plain, override.value(), merge=True, force_add=True)
    except OmegaConfBaseException as error:
        return f"{key}: {short(override.value())} does not fit ({short(explanation(error), quoted=False)})"
    return None


def renamed(parents: list[str], last: str, section: Any, name: Any) -> str | None:
    """What is wrong where a section's `name`, which says what its other values are, becomes another."""
    if last != "name" or len(parents) != 1 or not (given := section.get("name")) or name == given:
        return None
    group = parents[0]
    return (
        f"{group}.name is {short(name)}, but the values are those of {short(given)}: {group}=option chooses another, and a copy "
        f"of a file in conf/{group}/ has a name of its own"
    )


def parse(overrides: Sequence[str]) -> list[Override]:
    """Hydra's own parser; raises ConfigError with every word that it can't read, or that is refused."""
    parser = OverridesParser.create()
    parsed, faults = [], []
    for word in overrides:
        try:
            if len(word) > LONGEST or depth(word) > document.DEPTH:
                raise ValueError("Hydra's parser would take seconds and more")
            override = parser.parse_override(word)
        except (HydraException, ValueError, RecursionError):  # ValueError: an integer of thousands of digits
            faults.append(f"cannot read {short(word)}: expected key=value; special characters need quotes, e.g. \"key='a, b'\"")
            continue
        parsed.append(override)
        faults += filter(None, [refused(override)])
    if faults:
        raise ConfigError(faults)
    return parsed


def depth(word: str) -> int:
    """How many brackets are open at once, at most."""
    return max(itertools.accumulate((sign in "([{") - (sign in ")]}") for sign in word), default=0)


def quote(leaf: Any) -> str:
    """A value in Hydra's override grammar."""
    if isinstance(leaf, dict):
        return "{" + ",".join(f"{key}:{quote(item)}" for key, item in leaf.items()) + "}"
    if isinstance(leaf, list):
        return "[" + ",".join(map(quote, leaf)) + "]"
    if isinstance(leaf, str):
        # A backslash stands for itself, except before a quote.
        return "'" + re.sub(r"(\\*)('|\Z)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), leaf) + "'"
    if leaf is None or isinstance(leaf, bool):
        return {None: "null", True: "true", False: "false"}[leaf]
    return repr(leaf) if isinstance(leaf, (int, float)) else quote(str(leaf))

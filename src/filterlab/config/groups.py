"""What the config groups and overrides may hold: values. None names code to run, a file to read or a variable of a machine.

Hydra instantiates what `_target_` names in its own section (launcher, sweeper, callbacks), and logging what `class` and `()`
name there; it reads further config groups from hydra.searchpath, and sets the variables of hydra.job.env_set. So of that
section only KNOWN can be set; the classes of launchers and sweepers come from the packages that are installed.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.file_config_source import FileConfigSource as Source
from hydra.core.override_parser.types import Override
from hydra.plugins.config_source import ConfigLoadError, ConfigResult
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from filterlab.config import document, schema
from filterlab.config.document import leaves
from filterlab.config.faults import explanation, short, unknown_key, unknown_option
from filterlab.errors import ConfigError

GROUPS = [*schema.FAMILIES, "experiment"]
CHOSEN = ["hydra/launcher", "hydra/sweeper"]
KNOWN = ["hydra.launcher", "hydra.sweeper", "hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir"]
KNOWN += ["hydra.job.name", "hydra.output_subdir", "hydra.verbose"]
CODE = ["_target_", "_args_", "_partial_", "_recursive_", "_convert_", "()"]  # of Hydra's instantiate and of logging
REFERENCE = re.compile(r"\$\{[A-Za-z_][\w.]*\}")  # ${trainer.max_epochs}: another value, by its place
OF_A_RUN = re.compile(r"\$\{(now:[^{}$]*|hydra(\.\w+)+)\}")  # what Hydra itself fills in, in the names of folders


def options(conf: Path, group: str) -> list[str]:
    """What conf/<group>/ offers, sorted."""
    return sorted(path.stem for path in (conf / group).glob("*.yaml"))


def is_hydras(override: Override) -> bool:
    return re.match(r"hydra\b", override.get_key_element().lstrip("+~")) is not None


def refused(override: Override) -> str | None:
    """Why this override is refused on a command line and in params.yaml; None where it is not."""
    key = override.get_key_element()
    plain = key.lstrip("+~")
    if is_hydras(override) and not (key in CHOSEN or (key[0] != "~" and is_within(plain, KNOWN))):
        return f"{key}: of Hydra's own section there can be set: {', '.join(CHOSEN)}, {', '.join(KNOWN)}"
    if plain == "hydra.output_subdir" and override.value() is not None:
        return f"{key}: what a training ran with is in results/config.yaml; it can be set to null alone"
    if plain == "hydra.job.name" and not re.fullmatch(r"[\w-]{1,100}", str(override.value())):
        return f"{key} is {short(override.value())}, expected letters, digits, _ and - alone: files are called by it"
    if fault := next(misplaced(override.value(), plain), None):
        return fault
    if plain == "hydra.sweeper.direction":
        return f"{key}: hydra.sweeper.metric decides it: a loss is minimized, all else maximized; leave it out"
    if re.fullmatch(r"\++hydra\.(launcher|sweeper)\.\w+", key):
        return f"{key}: a launcher and a sweeper have the settings they have, none is added; write {plain}=value"
    return None


def misplaced(value: Any, place: str) -> Iterator[str]:
    """Faults of a tree of values, a sentence each: names of code, references to elsewhere, keys that are no text."""
    if code := next((part for part in place.split(".") if part in CODE), None):
        yield f"{place}: {code} would run code that a configuration names; leave it out"
    elif isinstance(value, dict):
        for key, inner in value.items():
            where = f"{place}.{key}" if place else str(key)
            if isinstance(key, str):
                yield from misplaced(inner, where)
            else:
                yield f"{where}: a key is {key!r}, expected text (in quotes, where YAML takes it for something else)"
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from misplaced(inner, f"{place}.{index}")
    elif isinstance(value, str):
        unfilled = OF_A_RUN.sub("", value) if re.match(r"hydra\b", place) else value
        if "${" in unfilled and not REFERENCE.fullmatch(unfilled):
            yield (
                f"{place} is {short(value)}: what is written down says the same everywhere, so that ${{...}} can only be the "
                "place of another value, alone, e.g. ${trainer.max_epochs}"
            )


class FileConfigSource(Source):
    """Hydra's reader of files, for those of conf/ alone, with checks before anything is composed.

    (Hydra takes no source of another name in its own one's place.)
    """

    def place(self, config_path: str) -> tuple[Path, str]:
        """The file, and what messages call it. Raises ConfigError: it is outside of conf/."""
        folder = Path(self.path)
        path = Path(os.path.normpath(folder / self._normalize_file_name(config_path)))
        if not path.is_relative_to(folder):
            raise ConfigError([f"{config_path}: there are only the options in {folder.name}/, not files elsewhere"])
        return path, str(Path(folder.name) / path.relative_to(folder))

    def is_config(self, config_path: str) -> bool:
        """A link to nothing and a folder are files too: choosing them is an error that names what is wrong."""
        return os.path.lexists(self.place(config_path)[0])

    def load_config(self, config_path: str) -> ConfigResult:
        """Raises ConfigError with every fault of the file."""
        path, name = self.place(config_path)
        try:
            text = document.text(path)
            header = self._get_header_dict(text[:512])
            content = document.values(text)
            content = {} if content is None else content
            wrong = list(faults(content, path=path, conf=Path(self.path), package=header["package"]))
            config = OmegaConf.create({} if wrong else content)
        except FileNotFoundError:
            if path.is_symlink():
                raise ConfigError([f"{name} is a link to nothing"]) from None
            raise ConfigLoadError(f"no {name}") from None
        except (ValueError, OSError, OmegaConfBaseException) as error:
            raise ConfigError([f"{name}: {explanation(error)}"]) from None
        if wrong:
            raise ConfigError([f"{name}: {fault}" for fault in wrong])
        # What a file leaves out, e.g. of a layer, may be set on the command line: `validation` knows which keys there are.
        OmegaConf.set_struct(config, False)
        return ConfigResult(config=config, path=self.full_path(), provider=self.provider, header=header)


def faults(content: Any, *, path: Path, conf: Path, package: str | None) -> Iterator[str]:
    """What a file of conf/ can't hold, a sentence each. package: of its header."""
    if not isinstance(content, dict):
        yield f"holds a {type(content).__name__}, expected `key: value` lines"
        return
    group = path.parent.relative_to(conf).as_posix()
    if group not in (".", *GROUPS, *CHOSEN):
        yield f"there are config groups in conf/ for {', '.join([*GROUPS, *CHOSEN])}, and none for {group}"
    if package not in (None, "_global_"):
        yield f"its header says package {package}, expected none, or _global_"
    yield from stray(content.get("defaults", []))
    if group in GROUPS and isinstance(defaults := content.get("defaults", []), list):
        yield from missing(defaults, group=group, conf=conf)
    if group == "experiment":
        yield from faults_of_experiment(content, name=path.stem, conf=conf, package=package)
    values = {key: value for key, value in content.items() if key != "defaults"}
    yield from misplaced(values, group.replace("/", ".") if group in CHOSEN else "")
    known = [*KNOWN, "hydra.job.chdir"] if group == "." else ["hydra.sweeper"]
    for place, _ in leaves({"hydra": values.get("hydra", {})}):
        if not is_within(place, known):
            yield f"{place}: of Hydra's own section there can be set here: {', '.join(known)}"


def stray(defaults: Any) -> Iterator[str]:
    """Faults of a file's defaults list, a sentence each."""
    if not isinstance(defaults, list):
        yield f"defaults is {short(defaults)}, expected a list such as [mnist, _self_]"
        return
    for entry in defaults:
        pair = next(iter(entry.items())) if isinstance(entry, dict) and len(entry) == 1 else (entry, None)
        name, chosen = pair
        if not (isinstance(name, str) and isinstance(chosen, str | None)) or "${" in f"{name}{chosen}":
            yield f"defaults has {entry!r}, expected options such as mnist, or group: option (off and such in quotes)"
        elif name.partition("@")[2] not in ("", "_here_"):
            yield f"defaults has {entry!r}: an option's values stay in their group; after @ there can only be _here_"


def missing(defaults: list[Any], *, group: str, conf: Path) -> Iterator[str]:
    """The options of its own group that a file is based on, e.g. [fast, _self_], and that there are not, a sentence each."""
    for entry in defaults:
        name = entry.partition("@")[0].removesuffix(".yaml") if isinstance(entry, str) else "_self_"
        if name != "_self_" and "/" not in name and name not in (offered := options(conf, group)):
            yield f"defaults has {entry!r}: {group} has {unknown_option(name, offered)}"


def faults_of_experiment(content: dict[str, Any], *, name: str, conf: Path, package: str | None) -> Iterator[str]:
    """Faults of an experiment's file, a sentence each: its header, its name, its overrides of options."""
    if package is None:
        yield "its first line has to be `# @package _global_`: an experiment chooses and sets values in all groups"
    if content.get("experiment") != name:
        yield f"experiment is {short(content.get('experiment'))}, expected `experiment: {name}`: its runs are called by it"
    defaults = content.get("defaults", [])
    for entry in defaults if isinstance(defaults, list) else []:
        if not (isinstance(entry, dict) and len(entry) == 1 and isinstance(next(iter(entry)), str)):
            continue
        ((key, option),) = entry.items()
        group = key.split()[-1].lstrip("/") if key.split() else ""
        if group not in [*schema.FAMILIES, *CHOSEN]:
            yield f"defaults has `{key}: {option}`: {unknown_key(group, [*schema.FAMILIES, *CHOSEN])}"
        elif key != f"override /{group}":
            yield f"defaults has `{key}: {option}`, expected `override /{group}: {option}`"
        elif group in schema.FAMILIES and option not in (offered := options(conf, group)):
            yield f"defaults has `{key}: {option}`: {unknown_option(option, offered)}"


def is_within(place: str, known: list[str]) -> bool:
    """Whether a dotted place is one of those that are known, or lies below one."""
    return any(place == key or place.startswith(f"{key}.") for key in known)

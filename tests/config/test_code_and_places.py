"""A configuration names no code to run, no file elsewhere and no variable of a machine, wherever it comes from."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import joblib
import pytest

from filterlab.config import compose, resolved, schema
from filterlab.config.validation import check
from filterlab.errors import ConfigError

Resolve = Callable[..., schema.Config]


def faults(make: Callable[[], object]) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        make()
    assert all(fault and "\n" not in fault for fault in raised.value.faults)
    return raised.value.faults


class Payload:
    """Unpickled, it makes a file."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str, bytes]]:
        return Path.write_bytes, (self.marker, b"")  # type: ignore[return-value]


def test_the_payload_is_code(tmp_path: Path) -> None:
    joblib.dump(Payload(tmp_path / "marker"), tmp_path / "payload")
    joblib.load(tmp_path / "payload")
    assert (tmp_path / "marker").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('override: {"+hydra": {callbacks: {x: {_target_: joblib.load, filename: f}}}}', "override.+hydra: Hydra's own section"),
        ("override: {hydra: {job: {env_set: {LD_PRELOAD: x}}}}", "override.hydra: Hydra's own section"),
        ("override: {hydra.launcher.setup: [x]}", "override.hydra.launcher.setup: Hydra's own section"),
        ('override: {"hydra/job_logging": none}', "override.hydra/job_logging: Hydra's own section"),
        ("override: {optimizer: {_target_: joblib.load}}", "optimizer._target_: _target_ would run code"),
        ("override: {model: {layers: [{_target_: a.b}]}}", "model.layers.0._target_: _target_ would run code"),
        ("override: {model: {layers: [{_args_: [1]}]}}", "model.layers.0._args_: _args_ would run code"),
        ('override: {"seed=1,2 trainer": 3}', "override.seed=1,2 trainer: no key is called 'seed=1,2 trainer'"),
        ('override: {"model@optimizer": mlp}', "override.model@optimizer: no key is called"),
        ('override: {"~model": null}', "override.~model: no key is called"),
        ("override: {1.5: 2}", "override.1.5: no key is called 1.5"),
        ("override: {trainer: {true: 2}}", "override.trainer.True: no key is called True"),
        ("override: {null: 2}", "override.None: no key is called None"),
        ("override: {2020-01-01: 2}", "override.2020-01-01: no key is called '2020-01-01'"),
        ("override: false", "override is False, expected a mapping"),
        ('experiment: ""', "experiment: no option ''"),
        ("experiment: false", "experiment: no option False"),
        ("data: ../../elsewhere", "data: no option '../../elsewhere'"),
        ("data: /etc/passwd", "data: no option '/etc/passwd'"),
        (
            "override: {data: {folder: ../../elsewhere}}",
            "data.folder is '../../elsewhere', expected the name of one file or folder",
        ),
        ("override: {tracking: {experiment: '${oc.env:HOME}'}}", "tracking.experiment is '${oc.env:HOME}': what is written down"),
        ("override: {data: {classes: ['${oc.env:HOME}', b]}}", "data.classes.0 is '${oc.env:HOME}'"),
        ("override: {tracking: {experiment: 'a ${oc.env:HOME}'}}", "tracking.experiment is 'a ${oc.env:HOME}'"),
        ("override: {tracking: {experiment: 'a ${trainer.threads}'}}", "tracking.experiment is 'a ${trainer.threads}'"),
        ("override: {tracking: {experiment: '\\${oc.env:HOME}'}}", "tracking.experiment is "),
        ("override: {data: {files: {}}}", "override.data.files is {}: mappings are merged, so that an empty one changes nothing"),
        ("seed: ${oc.decode:3}", "seed is '${oc.decode:3}'"),
        ("override: {trainer: {threads: '${hydra.job.num}'}}", "trainer.threads: Interpolation key 'hydra.job.num' not found"),
        ("seed: ${seed}", "Recursive interpolation"),
    ],
)
def test_parameters(resolve: Resolve, text: str, expected: str) -> None:
    [fault] = faults(lambda: resolve(f"{text}\n"))
    assert expected in fault


def test_another_value_by_its_place(resolve: Resolve) -> None:
    """It stays what it was in Hydra, and the resolved config has the value."""
    config = resolve(
        "override: {trainer: {patience: '${trainer.max_epochs}', max_epochs: 7}}\n", "optimizer.momentum=${data.validation}"
    )
    assert (config.trainer.patience, config.optimizer.momentum) == (7, 0.1)  # type: ignore[attr-defined]
    assert "$" not in resolved.dump(config)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("+hydra.callbacks.x._target_=joblib.load", "+hydra.callbacks.x._target_: of Hydra's own section there can be set:"),
        ("hydra.callbacks={x: {_target_: joblib.load}}", "hydra.callbacks: of Hydra's own section"),
        ("+hydra={callbacks: {x: {_target_: joblib.load}}}", "+hydra: of Hydra's own section"),
        ("data.files={}", "data.files is {}: mappings are merged, so that an empty one changes nothing"),
        ("+hydra/callbacks=x", "+hydra/callbacks: of Hydra's own section"),
        ("hydra/job_logging=none", "hydra/job_logging: of Hydra's own section"),
        ("hydra.job_logging.handlers.console.class=joblib.load", "hydra.job_logging.handlers.console.class: of Hydra's own"),
        ("+hydra.hydra_logging.formatters.x={class: joblib.load}", "+hydra.hydra_logging.formatters.x: of Hydra's own"),
        ("hydra.searchpath=[/tmp]", "hydra.searchpath: of Hydra's own section"),
        ("+hydra.job.env_set.LD_PRELOAD=x", "+hydra.job.env_set.LD_PRELOAD: of Hydra's own section"),
        ("hydra.job.env_copy=[HOME]", "hydra.job.env_copy: of Hydra's own section"),
        ("hydra.mode=MULTIRUN", "hydra.mode: of Hydra's own section"),
        ("hydra.job.chdir=true", "hydra.job.chdir: of Hydra's own section"),
        ("~hydra.sweeper", "~hydra.sweeper: of Hydra's own section"),
        ("+hydra/launcher=joblib", "+hydra/launcher: of Hydra's own section"),
        ("hydra/launcher@hydra.callbacks=joblib", "hydra/launcher@hydra.callbacks: of Hydra's own section"),
        ("hydra.launcher._target_=joblib.load", "hydra.launcher._target_: _target_ would run code"),
        ("hydra.launcher={_target_: joblib.load}", "hydra.launcher._target_: _target_ would run code"),
        ("+hydra.launcher.x=[{_target_: joblib.load}]", "hydra.launcher.x.0._target_: _target_ would run code"),
        ("+hydra.sweeper.x._partial_=true", "hydra.sweeper.x._partial_: _partial_ would run code"),
        (
            "hydra.sweeper.direction=maximize",
            "hydra.sweeper.direction: hydra.sweeper.metric decides it: a loss is minimized, all else maximized",
        ),
        ("+hydra.sweeper.n_startup_trials=3", "none is added; write hydra.sweeper.n_startup_trials=value"),
        ("++hydra.launcher.x=3", "none is added; write hydra.launcher.x=value"),
        ("hydra.run.dir=${oc.env:HOME}", "hydra.run.dir is '${oc.env:HOME}'"),
        ("optimizer={_target_: joblib.load}", "optimizer._target_: _target_ would run code"),
        ("+x._target_=joblib.load", "x._target_: _target_ would run code"),
        ("tracking.experiment=${oc.env:HOME}", "tracking.experiment is '${oc.env:HOME}'"),
        ("tracking.experiment='${${x}:HOME}'", "tracking.experiment is '${${x}:HOME}'"),
        ("seed=${oc.create:3}", "seed is '${oc.create:3}'"),
        ("model=../data/mnist", "model: no option '../data/mnist'"),
        ("+data=/etc/passwd", "+data: config groups are neither added nor removed"),
        ("model@optimizer=mlp", "model@optimizer: no key"),
    ],
)
def test_command_line(composed: compose.Composer, word: str, expected: str) -> None:
    [fault] = faults(lambda: composed([word]))
    assert expected in fault


@pytest.mark.parametrize(
    "word",
    ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.run.dir='runs/${now:%Y}/${hydra.job.num}'", "hydra.verbose=true"],
)
def test_what_of_hydras_can_be_said(composed: compose.Composer, word: str) -> None:
    assert composed([word]) == composed([])


GLOBAL = "# @package _global_\n"


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("experiment/small", GLOBAL + "hydra: {callbacks: {x: {_target_: joblib.load}}}", "callbacks.x._target_: _target_ would"),
        ("experiment/small", GLOBAL + "hydra: {callbacks: {x: {}, y: 3}}", "hydra.callbacks.y: of Hydra's own section"),
        ("experiment/small", GLOBAL + "hydra: {launcher: {setup: [x]}}", "hydra.launcher.setup: of Hydra's own section"),
        ("experiment/small", GLOBAL + "hydra: {job_logging: {handlers: {x: {(): a.b}}}}", "(): () would run code"),
        ("experiment/small", GLOBAL + "hydra: {sweeper: {params: {a._target_: b}}}", "_target_ would run code"),
        ("experiment/small", GLOBAL + "optimizer: {_target_: joblib.load}", "optimizer._target_: _target_ would run code"),
        ("experiment/small", "# @package hydra.callbacks\nx: {y: 3}", "its header says package hydra.callbacks, expected none"),
        ("experiment/small", GLOBAL + "defaults: [{model@hydra.callbacks: mlp}]", "there can only be _here_"),
        (
            "experiment/small",
            GLOBAL + "experiment: small\ndefaults: [../../elsewhere]",
            "there are only the options in conf/, not files elsewhere",
        ),
        ("experiment/small", GLOBAL + "tracking: {experiment: '${oc.env:HOME}'}", "tracking.experiment is '${oc.env:HOME}'"),
        ("experiment/small", GLOBAL + "defaults: [{override /model: '${oc.env:HOME}'}]", "defaults has {'override /model'"),
        ("model/cnn", "name: cnn\n_target_: joblib.load", "_target_ would run code"),
        ("config", "defaults: [{/schema/config@hydra.callbacks: x}]", "there can only be _here_"),
        ("config", "hydra: {searchpath: [/tmp]}", "hydra.searchpath: of Hydra's own section"),
        ("config", "hydra: {run: {dir: '${oc.env:HOME}'}}", "hydra.run.dir is '${oc.env:HOME}'"),
        ("config", "hydra: {hydra_logging: {root: {level: DEBUG}}}", "hydra.hydra_logging.root.level: of Hydra's own section"),
    ],
)
def test_file_of_conf(own_conf: Path, file: str, text: str, expected: str) -> None:
    """Each is said of the file."""
    (own_conf / f"{file}.yaml").write_text(f"{text}\n")
    words = ["experiment=small"] if file.startswith("experiment") else []
    told = faults(lambda: compose.compose(own_conf, words))
    assert any(expected in fault for fault in told), told
    assert all(fault.startswith((f"conf/{file}.yaml: ", "experiment/../../elsewhere", "../../")) for fault in told)


def test_hydras_own_options_come_from_conf_and_the_packages(own_conf: Path) -> None:
    (own_conf / "hydra/callbacks").mkdir()
    (own_conf / "hydra/callbacks/x.yaml").write_text("x: {}\n")
    (own_conf.parent / "elsewhere.yaml").write_text("n_jobs: 3\n")
    config = own_conf / "config.yaml"
    assert compose.hydra_settings(own_conf, ["hydra/launcher=joblib"]).launcher.n_jobs == -1
    told = faults(lambda: compose.hydra_settings(own_conf, ["hydra/launcher=../../../elsewhere"]))
    assert told == ["hydra/launcher/../../../elsewhere: there are only the options in conf/, not files elsewhere"]
    text = config.read_text()
    config.write_text(text.replace("- experiment: none\n", "- experiment: none\n  - override /hydra/callbacks: x\n"))
    [fault] = faults(lambda: compose.compose(own_conf, []))
    assert (
        fault.startswith("conf/hydra/callbacks/x.yaml: there are config groups in conf/ for ")
        and "none for hydra/callbacks" in fault
    )


def test_resolved_config_follows_no_reference(composed: compose.Composer, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    text = resolved.dump(composed([]))
    for new in ("${oc.env:HOME}", "${data.name}"):
        (tmp_path / resolved.RESOLVED).write_text(text.replace("experiment: filterlab", f"experiment: {new}"))
        [fault] = faults(lambda: resolved.load(tmp_path))
        assert f"tracking.experiment is '{new}', expected the name of one file or folder" in fault


@pytest.mark.parametrize(
    "old, new", [("seed: 0", "seed: '0'"), ("channels_last: true", "channels_last: 1"), ("threads: 0", "threads: 0.0")]
)
def test_resolved_config_says_the_very_values(composed: compose.Composer, tmp_path: Path, old: str, new: str) -> None:
    (tmp_path / "results").mkdir()
    text = resolved.dump(composed([]))
    assert old in text
    (tmp_path / resolved.RESOLVED).write_text(text.replace(old, new))
    for fault in faults(lambda: resolved.load(tmp_path)):
        key, was, now = fault.removeprefix("results/config.yaml: ").partition(" is ")
        assert was and key.endswith(new.partition(":")[0]) and now.startswith(f"{new.partition(': ')[2]}, expected ")


@pytest.mark.parametrize(
    "old, new",
    [("precision: auto", "precision: 32"), ("lr: 0.1", "lr: 1"), ("    dropout: 0.0\n", ""), ("warmup: 0.3", "warmup: .3")],
)
def test_resolved_config_leaves_nothing_to_conversion(composed: compose.Composer, tmp_path: Path, old: str, new: str) -> None:
    """Text that is written as a number, a default that is left out; another way to write a number is the same value."""
    (tmp_path / "results").mkdir()
    text = resolved.dump(composed([]))
    assert old in text
    (tmp_path / resolved.RESOLVED).write_text(text.replace(old, new))
    if "warmup" in old:
        assert resolved.load(tmp_path) == composed([])
    else:
        [fault] = faults(lambda: resolved.load(tmp_path))
        assert fault.startswith("results/config.yaml is no configuration (") and "which is no value of a resolved config" in fault


NAMES = ["", " ", ".", "..", "a/b", "/etc", "../up", "a\0b", "a\nb", "a\x7fb", "a\u2028b", "\udcff", "x" * 256, "ü" * 128]


@pytest.mark.parametrize("place", ["data.folder", "data.name", "tracking.experiment", "data.files"])
def test_names_that_leave_their_folder(composed: compose.Composer, place: str) -> None:
    config = composed([])
    group, key = place.split(".")
    for name in NAMES:
        value = {name: "0" * 32} if key == "files" else name
        changed = dataclasses.replace(config, **{group: dataclasses.replace(getattr(config, group), **{key: value})})
        fault, *_ = check(changed)  # of files, also that they are not the four
        assert place in fault and "expected the name of one file or folder: 1 to 255 bytes of visible text" in fault, name
        assert "\n" not in fault


@pytest.mark.parametrize(
    "word", ["hydra.output_subdir=../../conf", "hydra.output_subdir=x", "hydra.job.name=../x", "hydra.job.name=a/b"]
)
def test_hydras_own_files_stay_in_their_folder(word: str) -> None:
    with pytest.raises(ConfigError, match=word.partition("=")[0].replace(".", r"\.")):
        compose.parse([word])
    assert compose.parse(["hydra.output_subdir=null", "hydra.job.name=train_ddp_process_1"])

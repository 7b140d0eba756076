"""Every mistake is one clear sentence, and all of them are told together."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from filterlab.config import compose, resolved, schema
from filterlab.data import formats
from filterlab.data.format import Pair
from filterlab.data.formats import idx as idx_format
from filterlab.errors import ConfigError

Resolve = Callable[..., schema.Config]
MODELS = "cnn, conv_net, lenet5, mlp, resnet, softmax, tutorial_cnn"


def faults(make: Callable[[], object]) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        make()
    assert all(fault and "\n" not in fault and "Traceback" not in fault for fault in raised.value.faults)
    assert all(fault in str(raised.value) for fault in raised.value.faults)
    return raised.value.faults


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["model=cnm"], f"model: no option 'cnm'; there are: {MODELS}. Did you mean cnn?"),
        (["trainer=null"], "trainer: no option None; there are: auto, cpu, ddp, gpu"),
        (["optimizer={lr: 3}"], "optimizer: no option {'lr': 3}; there are: adadelta, adam, adamw, sgd"),
        (
            ["optimizer.lt=3"],
            "optimizer.lt: no key 'lt' in optimizer (sgd); there are: name, lr, weight_decay, momentum, nesterov",
        ),
        (["optimiser.lr=3"], "optimiser.lr: no key 'optimiser'; there are: experiment, data, model, optimizer,"),
        (["optimiser.lr=3"], "Did you mean optimizer?"),
        (["model=mlp", "model.kernel=9"], "model.kernel: no key 'kernel' in model (mlp); there are: name, hidden, activation"),
        (["model.layers.9.filters=3"], "model.layers.9.filters: no key '9' in model.layers; there are: 0, 1, 2, 3"),
        (["model.layers.0.filter=3"], "Did you mean filters?"),
        (["seed.x=1"], "seed.x: no key 'x' in seed; there are: none"),
        (["trainer.max_epochs=many"], "trainer.max_epochs is 'many', expected a whole number >= 1 and <= 1,000,000 (passes over"),
        (["trainer.max_epochs=2.5"], "trainer.max_epochs is 2.5, expected a whole number"),
        (["trainer.max_epochs=null"], "trainer.max_epochs is None, expected a whole number"),
        (["trainer.max_epochs=1,2"], "trainer.max_epochs has several values: a sweep needs `filterlab train --multirun`"),
        (["model=mlp,cnn"], "model has several values: a sweep needs `filterlab train --multirun`"),
        (["model.layers=[{filters: 8}]"], "model.layers.0.kernel has no value"),
        (
            ["model.layers=[{filters: 8, kernel: 3, kernels: 1}]"],
            "model.layers.0.kernels: no key 'kernels' in model.layers.0; there are: filters,",
        ),
        (
            ["trainer.max_epochs=0"],
            "trainer.max_epochs is 0, expected >= 1 and <= 1,000,000 (passes over the training images, at most)",
        ),
        (["optimizer.momentum=1"], "optimizer.momentum is 1, expected >= 0 and < 1 (share of the last step kept)"),
        (["optimizer.lr=inf"], "optimizer.lr is inf, expected a finite number"),
        (["optimizer.lr=nan"], "optimizer.lr is nan, expected a finite number"),
        (["trainer.strategy=dp"], "trainer.strategy is 'dp', expected one of auto, ddp ("),
        (["model.layers.0.filters=0"], "model.layers.0.filters is 0, expected >= 1 and <= 2,147,483,647 (number of filters)"),
        (["model=mlp", "model.hidden=[8, 0]"], "model.hidden.1 is 0, expected >= 1"),
        (["model.layers=[{filters: 8, kernel: [3]}]"], "model.layers.0.kernel has 1, expected at least 2 entries (side of the"),
        (["model.layers=[{filters: 8, kernel: [3, 3, 3]}]"], "model.layers.0.kernel has 3 entries, expected at most 2 (side of"),
        (
            ["model.layers=[{filters: 8, kernel: [3, 0]}]"],
            "model.layers.0.kernel.1 is 0, expected >= 1 and <= 4,096 (side of the",
        ),
        (
            ["model.layers=[{filters: 8, kernel: 3x3}]"],
            "model.layers.0.kernel is '3x3', expected a whole number >= 1 and <= 4,096",
        ),
        (
            ["model.layers=[{filters: 8, kernel: 3, groups: 8}]"],
            "model cnn: conv1 has 1 maps and 8 filters in 8 groups, expected",
        ),
        (["model.layers=[]"], "model.layers is empty, expected at least one entry (the convolutions, from the image up)"),
        (["data.take=first"], "data.take is first and data.take_n is 0: take_n is 0 with all, and at least 1 otherwise"),
        (["data.take_n=5"], "data.take is all and data.take_n is 5: take_n is 0 with all"),
        (["data.classes=[one]"], "data.classes has 1 entries, expected at least 2"),
        (["optimizer.momentum=0"], "optimizer.nesterov is true and optimizer.momentum is 0: nesterov needs momentum > 0"),
        (["trainer.devices=2"], "trainer.devices is 2 and trainer.strategy is auto: more than one device needs strategy ddp"),
        (["trainer=ddp", "trainer.batch_size=1"], "trainer.batch_size is 1, expected at least one image for each of 2 devices"),
        (
            ["data.height=24", "data.width=24", "trainer.batch_size=1"],
            "trainer.batch_size is 1: norm4 normalises maps of 1x1 over a batch's images, expected at least two on",
        ),
        (["tracking.uri=http://x"], "tracking.uri is 'http://x' and tracking.backend is local: a uri needs tracking=server"),
        (["model.name=mlp"], "model.name is 'mlp', but the values are those of 'cnn': model=option chooses another"),
        (["data.name=mine"], "data.name is 'mine', but the values are those of 'mnist': data=option chooses another, and a copy"),
        (["model=resnet", "model.depth=21"], "model resnet: depth 21 is not 6n + 2; the nearest are 20 and 26"),
        (
            ["model=lenet5", "data.height=8", "data.width=8"],
            "model lenet5: conv2 (5x5) needs at least 5x5 pixels, but gets 4x4 from pool1 (2x2)",
        ),
        (["++trainer.max_epochs=3"], "++trainer.max_epochs: keys are neither added nor removed; write trainer.max_epochs=value"),
        (["+new=3"], "+new: no key 'new'; there are: experiment, data,"),
        (["++new=3"], "++new: no key 'new'; there are: experiment, data,"),
        (["~optimizer.lr"], "~optimizer.lr: keys are neither added nor removed; write optimizer.lr=value"),
        (["+model=mlp"], "+model: config groups are neither added nor removed; write model=option"),
        (["~model"], "~model: config groups are neither added nor removed; write model=option"),
        (["trainer"], "cannot read 'trainer': expected key=value"),
        (["tracking.experiment='a"], 'cannot read "tracking.experiment=\'a": expected key=value; special characters need quotes'),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, list) else "",
)
def test_one_fault(composed: compose.Composer, words: list[str], expected: str) -> None:
    [fault] = faults(lambda: composed(words))
    assert expected in fault


def test_many_faults_together(composed: compose.Composer) -> None:
    """A missing option, keys, types, bounds and disagreements: all told, and none that only follows from another."""
    told = faults(
        lambda: composed(
            ["model.kernel=3", "model=mpl", "optimizer.lr=abc", "trainer.max_epoch=3", "seed=-1", "data.take=first", "+x=1"]
        )
    )
    starts = [
        "model: no option 'mpl'",
        "optimizer.lr is 'abc'",
        "trainer.max_epoch: no key",
        "+x: ",
        "seed is -1",
        "data.take is first",
    ]
    assert [fault[: len(start)] for fault, start in zip(sorted(told), sorted(starts), strict=True)] == sorted(starts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data: mnist\nmodle: cnn\n", ["params.yaml: no key 'modle'; there are: data, model,", "Did you mean model?"]),
        ("model: mpl\n", ["model: no option 'mpl'", "Did you mean mlp?"]),
        ("model: 3\n", ["model: no option 3; there are"]),
        ("model: [mlp, cnn]\n", ["model: no option ['mlp', 'cnn']; there are"]),
        ("model: mlp,cnn\n", ["model: no option 'mlp,cnn'; there are"]),
        ("augment:\n", ["params.yaml: augment is empty; write its value, or leave the line out"]),
        ("seed: null\n", ["params.yaml: seed is empty"]),
        ("seed: first\n", ["seed is 'first', expected a whole number"]),
        ("seed: 2020-01-01\n", ["seed is '2020-01-01', expected a whole number"]),
        ("experiment: fats\n", ["experiment: no option 'fats'", "Did you mean fast?"]),
        ("override: [1]\n", ["params.yaml: override is [1], expected a mapping such as {trainer: {max_epochs: 3}}"]),
        (
            "override: {trainer: {max_epoch: 3}}\n",
            ["trainer.max_epoch: no key 'max_epoch' in trainer", "Did you mean max_epochs?"],
        ),
        ("model: mlp\noverride: {model: {kernel: 9}}\n", ["model.kernel: no key 'kernel' in model (mlp)"]),
        (
            "override: {trainer: {max epochs: 3}}\n",
            ["override.trainer.max epochs: no key is called 'max epochs'; expected letters, digits and _"],
        ),
        ("override: {trainer: 3}\n", ["trainer: no option 3"]),
        ("model: {\n", ["params.yaml is no valid YAML: expected the node content", "in line 2"]),
        ("model: mlp\nmodel: cnn\n", ["params.yaml is no valid YAML:", "duplicate key", "in line 2"]),
        ("just words\n", ["params.yaml holds a str, expected `key: value` lines"]),
        ("- model\n", ["params.yaml holds a list, expected `key: value` lines"]),
    ],
)
def test_faults_of_the_parameters(resolve: Resolve, text: str, expected: list[str]) -> None:
    [fault] = faults(lambda: resolve(text))
    for part in expected:
        assert part in fault


def test_parameters_missing_or_not_text(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    [fault] = faults(lambda: compose.read_parameters(path))
    assert fault == f"{path} is missing: it holds the parameters, e.g. `data: mnist`; run in the repository's root"
    path.write_bytes(b"model: \xff\xfe")
    [fault] = faults(lambda: compose.read_parameters(path))
    assert fault.startswith(f"{path} is no valid YAML: ")


def test_two_faults_of_the_parameters(resolve: Resolve) -> None:
    assert len(faults(lambda: resolve("modle: cnn\noverride: 3\n"))) == 2
    assert len(faults(lambda: resolve("modle: cnn\ndata: mnits\nseed: first\n"))) == 3, "a key hides no value's fault"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("hiden: [3]", ["model.hiden: no key 'hiden' in model (mlp); there are: name, hidden, activation. Did you mean hidden?"]),
        ("hidden: few", ["model.hidden is 'few', expected a list"]),
        ("activation: swish", ["model.activation is 'swish', expected one of relu"]),
        ("defaults: [nothing]", ["conf/model/mlp.yaml: defaults has 'nothing': model has no option 'nothing'; there are: cnn,"]),
        ("hidden: [", ["mlp.yaml"]),
    ],
)
def test_faults_of_a_config_group(own_conf: Path, line: str, expected: list[str]) -> None:
    """A mistake in a file of conf/ names the file or the value."""
    path = own_conf / "model/mlp.yaml"
    key = line.split(":")[0]
    kept = [old for old in path.read_text().splitlines() if not old.startswith(f"{key}:")]
    path.write_text("\n".join([*kept, line]))
    told = faults(lambda: compose.compose(own_conf, ["model=mlp"]))
    for part in expected:
        assert part in told[0]


GLOBAL = "# @package _global_\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("experiment: mine\n", "its first line has to be `# @package _global_`"),
        (GLOBAL + "seed: 3\n", "experiment is None, expected `experiment: mine`: its runs are called by it"),
        (GLOBAL + "defaults: [fast, _self_]\nexperiment: fast\n", "experiment is 'fast', expected `experiment: mine`"),
        (
            GLOBAL + "defaults: [override model: mlp]\nexperiment: mine\n",
            "`override model: mlp`, expected `override /model: mlp`",
        ),
        (GLOBAL + "defaults: [/model: mlp]\nexperiment: mine\n", "has `/model: mlp`, expected `override /model: mlp`"),
        (GLOBAL + "defaults: [model: mlp]\nexperiment: mine\n", "has `model: mlp`, expected `override /model: mlp`"),
        (
            GLOBAL + "defaults: [override /modl: mlp]\nexperiment: mine\n",
            "`override /modl: mlp`: no key 'modl'; there are: data, ",
        ),
        (
            GLOBAL + "defaults: [override /model: mpl]\nexperiment: mine\n",
            "`override /model: mpl`: no option 'mpl'; there are: cnn,",
        ),
    ],
)
def test_faults_of_an_experiment(own_conf: Path, text: str, expected: str) -> None:
    """Each says what to write, and where."""
    (own_conf / "experiment/mine.yaml").write_text(text)
    (told,) = faults(lambda: compose.compose(own_conf, ["experiment=mine"]))
    assert told.startswith("conf/experiment/mine.yaml: ") and expected in told


def test_value_missing_in_a_config_group(own_conf: Path) -> None:
    path = own_conf / "optimizer/sgd.yaml"
    path.write_text(path.read_text().replace("momentum: 0.9\n", ""))
    assert faults(lambda: compose.compose(own_conf, [])) == ["optimizer.momentum has no value"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("max_epochs: 8", "max_epochs: ten", "trainer.max_epochs is 'ten', expected a whole number"),
        ("max_epochs: 8", "max_epochs: 0", "trainer.max_epochs is 0, expected >= 1"),
        ("  max_epochs: 8\n", "", "trainer.max_epochs has no value"),
        ("max_epochs: 8", "max_epoch: 10", "trainer.max_epoch: no key 'max_epoch' in trainer; there are:"),
        ("name: sgd", "name: sgdd", "optimizer.name: no option 'sgdd'; there are: sgd, adam, adamw, adadelta. Did you mean sgd?"),
        ("optimizer:", "optimizers:", "no key 'optimizer'"),
        ("optimizer:\n", "optimizer: [\n", "in line "),
        ("name: one_cycle", "name: cosine", "no key 'start_div' in schedule (cosine)"),
    ],
)
def test_edited_resolved_config(composed: compose.Composer, tmp_path: Path, old: str, new: str, expected: str) -> None:
    text = resolved.dump(composed([]))
    assert old in text
    path = tmp_path / resolved.RESOLVED
    path.parent.mkdir()
    path.write_text(text.replace(old, new))
    told = faults(lambda: resolved.load(tmp_path))
    assert all(fault.startswith("results/config.yaml") for fault in told) and any(expected in fault for fault in told)
    assert len(told) == len(set(told)) <= 4


@pytest.mark.parametrize("damaged", [b"", b"[]", b"text", b"\xff\xfe\x00", b"model: 3", b"model: {name: [1]}"])
def test_damaged_resolved_config(tmp_path: Path, damaged: bytes) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / resolved.RESOLVED).write_bytes(damaged)
    [fault] = faults(lambda: resolved.load(tmp_path))
    assert fault.startswith("results/config.yaml is no configuration (")
    assert fault.endswith("`dvc repro --force compose` writes it anew")


def test_missing_resolved_config(tmp_path: Path) -> None:
    assert faults(lambda: resolved.load(tmp_path)) == ["results/config.yaml is missing: `dvc repro compose` writes it"]


MINE = "defaults: [{base}, _self_]\nname: mine\nfolder: Mine\n{files}"
OWN = "files: {own-images.gz: '00000000000000000000000000000000'}\n"


@pytest.mark.parametrize(
    ("base", "files", "expected"),
    [
        (
            "digits",
            "",
            "data.files is empty with data.name 'mine' and data.folder 'Mine': only scikit-learn's digits (name digits, ",
        ),
        ("digits", "files: {}", "data.files is empty with data.name 'mine'"),
        ("mnist", OWN, "data.files names own-images.gz, expected exactly t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz, "),
        ("digits", OWN, "data.files names own-images.gz, expected exactly t10k-images-idx3-ubyte.gz"),
        (
            "digits",
            "files: {train-images-idx3-ubyte.gz: '00000000000000000000000000000000'}",
            "data.files lacks t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz, train-labels-idx1-ubyte.gz, expected exactly",
        ),
    ],
)
def test_data_sets_of_ones_own_under_names_that_are_not_read(
    own_conf: Path, resolve: Resolve, base: str, files: str, expected: str
) -> None:
    """Another data set's files, or none, would be trained on under this one's name."""
    (own_conf / "data/mine.yaml").write_text(MINE.format(base=base, files=files))
    (fault,) = faults(lambda: resolve("data: mine\n"))
    assert fault.startswith(expected)


def test_each_formats_names_are_told(resolve: Resolve, own_conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = {part: Pair(f"{part}.npz", f"{part}.npz") for part in ("train", "test")}
    monkeypatch.setitem(formats.FORMATS, "npz", dataclasses.replace(formats.FORMATS["idx"], files=pairs, gzipped=False))
    (own_conf / "data/mine.yaml").write_text(MINE.format(base="digits", files=OWN))
    (fault,) = faults(lambda: resolve("data: mine\n"))
    assert "expected exactly t10k-images-idx3-ubyte.gz," in fault and "(idx), or test.npz, train.npz (npz), which" in fault


def test_data_sets_of_ones_own_under_the_names_that_are_read(own_conf: Path, resolve: Resolve) -> None:
    """The four names with other sums; and the digits, with whatever is said of the subset."""
    names = [f"{name}.gz" for pair in idx_format.FILES.values() for name in (pair.images, pair.labels)]
    text = "files:\n" + "".join(f"  {name}: a{'0' * 31}\n" for name in names)
    (own_conf / "data/mine.yaml").write_text(MINE.format(base="mnist", files=text))
    assert resolve("data: mine\n").data.files == dict.fromkeys(names, "a" + "0" * 31)
    assert resolve("data: digits\noverride: {data: {take: first, take_n: 100}}\n").data.files == {}
    (fault,) = faults(lambda: resolve("data: digits\noverride: {data: {name: mine}}\n"))
    assert fault.startswith("data.name is 'mine', but the values are those of 'digits': data=option chooses another")

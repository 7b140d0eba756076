"""Networks on disk, and what answers from them."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from filterlab import seal
from filterlab.config import schema
from filterlab.errors import DataError
from filterlab.models import artifact, pyfunc, registry
from filterlab.models import folder as stored
from filterlab.models.architectures.conv_net import ConvLayer, ConvNet
from filterlab.models.predictor import Predictor, scaling

CLASSES = [str(digit) for digit in range(10)]
CARD = {"name": "mnist", "classes": CLASSES, "channels": 1, "height": 28, "width": 28, "mean": 0.1307, "std": 0.3081}
MNIST = {"channels": 1, "height": 28, "width": 28, "classes": 10}
SMALL = ConvNet(
    name="conv_net",
    layers=[ConvLayer(3, 3, batch_norm=True, pool=2), ConvLayer(4, 3)],
    head="global_max",
    hidden=[],
    dropout=0.5,
)


def trained(model: schema.Model) -> nn.Module:
    """A network whose batch norms have seen data."""
    network = registry.build(model, **MNIST, seed=3).train()
    with torch.no_grad():
        network(torch.rand(8, 1, 28, 28, generator=torch.Generator().manual_seed(1)))
    return network


def raw(count: int = 4) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 1, 28, 28), dtype=np.uint8)


LAYERS = torch.rand(4, 3, 1, 3, 3, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    artifact.save(tmp_path / "models", trained(SMALL), model=SMALL, card=CARD, first_layers=LAYERS)
    return tmp_path / "models"


def edit(folder: Path, **values: object) -> None:
    """Another description, with the digest that is right for it."""
    path = folder / "model.json"
    seal.write(path, {**seal.read(path, remedy=""), **values})


def replace(folder: Path, name: str, content: bytes) -> None:
    """Another file, as the description says it."""
    (folder / name).write_bytes(content)
    files = seal.read(folder / "model.json", remedy="")["files"]
    edit(folder, files=files | {name: seal.sha256(content)})


def test_round_trip(option: schema.Model, tmp_path: Path) -> None:
    network = trained(option).to(memory_format=torch.channels_last)
    artifact.save(tmp_path, network, model=option, card=CARD)
    predictor = artifact.load(tmp_path)
    assert not any(module.training for module in predictor.modules())
    assert (predictor.data_name, predictor.classes, predictor.shape) == ("mnist", CLASSES, (1, 28, 28))
    before, after = network.state_dict(), predictor.network.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(parameter.requires_grad and parameter.device.type == "cpu" for parameter in predictor.parameters())
    images = torch.from_numpy(raw())
    expected = network.eval()((images.float() / 255 - 0.1307) / 0.3081)
    torch.testing.assert_close(predictor(images), expected, rtol=1e-4, atol=1e-5)


def test_loading_draws_no_random_number(saved: Path) -> None:
    before = torch.get_rng_state()
    artifact.load(saved)
    assert torch.equal(torch.get_rng_state(), before)


def test_files(saved: Path, tmp_path: Path) -> None:
    names = ["filters.safetensors", "model.json", "model.safetensors"]
    assert sorted(path.name for path in saved.iterdir()) == names
    description = json.loads((saved / "model.json").read_text())
    assert list(description) == ["format", "model", "data", "mean", "std", "files", "sha256"]
    assert description["format"] == 2
    assert description["data"] == {key: CARD[key] for key in ("name", "classes", "channels", "height", "width")}
    assert registry.from_dict(description["model"]) == SMALL
    card = {**CARD, "digest": "not ours"}
    digests = artifact.save(tmp_path / "again", trained(SMALL), model=SMALL, card=card, first_layers=LAYERS)
    assert sorted(digests) == names
    for name, digest in digests.items():
        assert (saved / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
        assert hashlib.sha256((saved / name).read_bytes()).hexdigest() == digest
    np.testing.assert_array_equal(stored.first_layers(saved), LAYERS.numpy(), strict=True)


def test_a_full_disk_leaves_the_old_files(saved: Path, file_size_limit: Callable) -> None:
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    half = len(before["model.safetensors"]) // 2
    with file_size_limit(half), pytest.raises(DataError, match=r"cannot write .*models/model\.safetensors: File too large"):
        artifact.save(saved, registry.build(SMALL, **MNIST, seed=9), model=SMALL, card=CARD)
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before


def test_a_save_that_ends_early_mixes_no_two_models(saved: Path) -> None:
    """The new weights are there and the new model.json is not: the old one does not take them for its own."""
    weights = safetensors.torch.save(trained(SMALL).state_dict() | {"conv1.weight": torch.zeros(3, 1, 3, 3)})
    (saved / "model.safetensors").write_bytes(weights)
    with pytest.raises(DataError, match=r"model\.safetensors is damaged, or not the file that was written: its SHA-256 "):
        artifact.load(saved)


@pytest.mark.parametrize(
    ("said", "other"),
    [('"kernel": 3', '"kernel": 1'), ('"mean": 0.1307', '"mean": 0.1308'), ('"3"', '"8"'), ('"mnist"', '"minst"')],
)
def test_a_description_that_was_changed(saved: Path, said: str, other: str) -> None:
    text = (saved / "model.json").read_text()
    assert said in text
    (saved / "model.json").write_text(text.replace(said, other, 1))
    with pytest.raises(DataError, match=r"model\.json is damaged .*: its content is not what sha256 says; `dvc repro train`"):
        artifact.load(saved)


def test_first_layers_that_are_damaged_or_missing(saved: Path) -> None:
    path = saved / "filters.safetensors"
    whole = path.read_bytes()
    for damaged in (whole[:-1], b"", whole[:-1] + bytes([whole[-1] ^ 1])):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"filters\.safetensors is damaged, or not the file that was written"):
            stored.first_layers(saved)
    path.unlink()
    with pytest.raises(DataError, match=r"filters\.safetensors is missing"):
        stored.first_layers(saved)
    artifact.save(saved, trained(SMALL), model=SMALL, card=CARD)
    with pytest.raises(DataError, match=r"model\.json names no filters\.safetensors"):
        stored.first_layers(saved)


def test_reading_first_layers_needs_no_torch(saved: Path) -> None:
    code = f"import pathlib, sys; from filterlab.models import folder; folder.first_layers(pathlib.Path({str(saved)!r})); "
    ran = subprocess.run(
        [sys.executable, "-c", code + "print('torch' in sys.modules)"], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "False\n"


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_missing_file(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(DataError, match=rf"{name} is missing: train a model first"):
        artifact.load(saved)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"{", "Expecting property"), (b"\xff\xfe", "'utf-8' codec|Expecting|'utf-16"), (b"[1]", "it holds a list")],
)
def test_description_that_is_none(saved: Path, content: bytes, message: str) -> None:
    (saved / "model.json").write_bytes(content)
    with pytest.raises(DataError, match=rf"model\.json is damaged .*: ({message})"):
        artifact.load(saved)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": {"name": "vgg"}}, "no architecture is called 'vgg'"),
        ({"model": 3}, "TypeError"),
        ({"model": {"name": "mlp", "hidden": [-3], "activation": "relu"}}, "units is -3"),
        ({"model": {"name": "mlp", "hidden": [3], "activation": "sine"}}, "'sine'"),
        ({"model": {"name": "resnet", "depth": 9, "width": 2, "residual": True}}, "depth 9 is not 6n"),
        ({"data": {"name": "mnist"}}, "KeyError: 'classes'"),
        (
            {"data": {**CARD, "height": 5}},
            "conv2 .* needs at least 3x3 pixels",
        ),
        ({"mean": "zero"}, "TypeError"),
    ],
)
def test_description_of_no_network(saved: Path, values: dict[str, object], message: str) -> None:
    edit(saved, **values)
    with pytest.raises(DataError, match=rf"model\.json does not describe a network: .*({message})"):
        artifact.load(saved)


@pytest.mark.parametrize("other", [1, 3, None])
def test_another_format(saved: Path, other: int | None) -> None:
    """Format 1 had no digests."""
    edit(saved, format=other)
    with pytest.raises(DataError, match=rf"model\.json .*: its format is {other}, but this version of filterlab reads 2; "):
        artifact.load(saved)


def test_damaged_weights(saved: Path) -> None:
    path = saved / "model.safetensors"
    whole = path.read_bytes()
    for damaged in (whole[:-5], whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"model\.safetensors is damaged, or not the file that was written: its SHA-256 "):
            artifact.load(saved)
    replace(saved, "model.safetensors", whole[:-5])
    with pytest.raises(DataError, match=r"model\.safetensors is damaged"):
        artifact.load(saved)


def test_weights_of_another_network(saved: Path) -> None:
    path = saved / "model.safetensors"
    tensors = safetensors.torch.load_file(path)
    del tensors["conv1.weight"]
    tensors["conv9.weight"] = torch.zeros(1)
    tensors["fc1.weight"] = torch.zeros(10, 5)
    tensors["fc1.bias"] = torch.zeros(10, dtype=torch.float64)
    replace(saved, path.name, safetensors.torch.save(tensors))
    with pytest.raises(DataError) as caught:
        artifact.load(saved)
    message = str(caught.value)
    assert str(path) in message
    assert "conv1.weight is missing; conv9.weight is unexpected" in message
    assert "fc1.weight is torch.float32 (10, 5), expected torch.float32 (10, 4)" in message
    assert "fc1.bias is torch.float64 (10,), expected torch.float32 (10,)" in message


def test_predictor_scales(saved: Path) -> None:
    predictor = artifact.load(saved)
    images = torch.from_numpy(raw())
    with torch.inference_mode():
        assert torch.equal(predictor(images), predictor(images.float() / 255))
        assert predictor(images).dtype == torch.float32
    seen = Predictor(nn.Flatten(), data_name="x", classes=["a"], shape=(1, 1, 2), mean=0.25, std=0.5)
    assert seen(torch.tensor([[[[0, 255]]]], dtype=torch.uint8)).tolist() == [[-0.5, 1.5]]


@pytest.mark.parametrize("shape", [(2, 28, 28), (2, 3, 28, 28), (2, 1, 28, 27), (784,)])
def test_predictor_refuses_other_shapes(saved: Path, shape: tuple[int, ...]) -> None:
    given = str(shape).replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(ValueError, match=rf"expected images of shape \(N, 1, 28, 28\), given {given}"):
        artifact.load(saved)(torch.zeros(shape))


def test_predictor_refuses_other_types(saved: Path) -> None:
    with pytest.raises(ValueError, match=r"expected uint8 in 0..255 or floats in \[0, 1\], given torch.int64"):
        artifact.load(saved)(torch.zeros(2, 1, 28, 28, dtype=torch.int64))


def test_pyfunc_gives_probabilities(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = pyfunc._load_pyfunc(str(saved))
    images = raw(7)
    images.flags.writeable = False
    probabilities = classifier.predict(images)
    assert (probabilities.shape, probabilities.dtype) == ((7, 10), np.float32)
    assert classifier.classes == CLASSES
    with torch.inference_mode():
        logits = artifact.load(saved)(torch.tensor(images)).double()
    expected = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
    np.testing.assert_allclose(probabilities, expected.numpy(), rtol=1e-5)
    np.testing.assert_array_equal(classifier.predict(images.astype(np.float32) / np.float32(255)), probabilities)
    np.testing.assert_array_equal(classifier.predict(images.astype(np.int64)), probabilities)
    np.testing.assert_allclose(classifier.predict(images / 255), probabilities, atol=1e-6)
    monkeypatch.setattr(pyfunc, "_BATCH", 3)  # 3 + 3 + 1: none is lost, the order stays
    np.testing.assert_allclose(classifier.predict(images, params=None), probabilities, rtol=1e-5)
    assert classifier.predict(images[:0]).shape == (0, 10)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([[1, 2]], "expected a numpy array of images .* given a list"),
        (np.full((1, 1, 28, 28), 255, np.float32), r"or floats in \[0, 1\], given float32 from 255.0 to 255.0"),
        (np.full((1, 1, 28, 28), np.nan, np.float32), r"or floats in \[0, 1\], given float32 from nan"),
        (np.full((1, 1, 28, 28), 256, np.int64), r"whole numbers in 0..255 or .*, given int64 from 256 to 256"),
        (np.zeros((1, 28, 28), np.float32), r"expected images of shape \(N, 1, 28, 28\), given \(1, 28, 28\)"),
        (np.zeros((1, 1, 28, 28), bool), "given bool"),
    ],
)
def test_pyfunc_refuses(saved: Path, images: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pyfunc._load_pyfunc(str(saved)).predict(images)  # type: ignore[arg-type]


def test_a_scale_a_channel_survives_the_disk_and_scales_each(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 2 * 2, 2))
    mean, std = [0.1, 0.5, 0.9], [0.5, 0.25, 0.125]
    images = torch.arange(24, dtype=torch.uint8).view(2, 3, 2, 2)
    made = Predictor(network, data_name="d", classes=["a", "b"], shape=(3, 2, 2), mean=mean, std=std)
    by_hand = (images.float() / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    assert torch.equal(made(images), network(by_hand))
    built = registry.build(SMALL, channels=3, height=28, width=28, classes=10, seed=0)
    artifact.save(tmp_path, built, model=SMALL, card=CARD | {"channels": 3, "mean": mean, "std": std})
    loaded, picture = artifact.load(tmp_path), torch.from_numpy(np.repeat(raw(), 3, axis=1))
    expected = Predictor(built.eval(), data_name="mnist", classes=CLASSES, shape=(3, 28, 28), mean=mean, std=std)
    assert torch.equal(loaded(picture), expected(picture))
    with pytest.raises(ValueError, match="mean has 2 numbers, expected one, or one for each of 3 channels"):
        Predictor(network, data_name="d", classes=["a", "b"], shape=(3, 2, 2), mean=[0.0, 1.0], std=1.0)
    assert scaling("standard", mean=mean, std=[0.5, 0.0, 1.0]) == {"mean": mean, "std": [0.5, 1.0, 1.0]}

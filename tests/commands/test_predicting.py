"""`filterlab predict`: every source of pictures, what is written, and what is refused before any work."""

import csv
import dataclasses
import io
import os
import shutil
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

import filterlab
from filterlab.cli import main
from filterlab.commands import predict
from filterlab.config import compose, resolved, schema
from filterlab.data import arrays, prepare
from filterlab.data.arrays import Card, LabelledImages
from filterlab.data.own import mnist, picture
from filterlab.data.own.picture import Shape
from filterlab.data.own.tree import OnDisk
from filterlab.errors import DataError, UserError
from filterlab.evaluation.familiarity import Familiarity, features
from filterlab.models import artifact, registry

CONF = Path(filterlab.__file__).parents[2] / "conf"
GRAY = ["data=digits", "model=mlp", "model.hidden=[16]", "tracking=off"]


def stroke(kind: int, *, size: int = 60, shift: int = 0) -> Image.Image:
    """A one or a zero, black on white."""
    image = Image.new("L", (size, size), 255)
    pen = ImageDraw.Draw(image)
    if kind:
        pen.line([(size // 2 + shift, size // 6), (size // 2, size - size // 6)], fill=0, width=size // 10)
    else:
        pen.ellipse((size // 5, size // 6, size - size // 5 - shift, size - size // 6), outline=0, width=size // 10)
    return image


def learn(predictor: Any, images: np.ndarray, labels: np.ndarray) -> None:
    optimizer = torch.optim.Adam(predictor.parameters(), 0.01)
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(predictor(torch.from_numpy(images)), torch.from_numpy(labels)).backward()
        optimizer.step()


def lay_out(root: Path, config: schema.Config, images: np.ndarray, labels: np.ndarray) -> None:
    """A repository with a network that has learned these images, and with the images."""
    data = config.data
    parts = {"train": LabelledImages(images, labels), "validation": LabelledImages(images[::3], labels[::3])}
    card = Card(
        name=data.name,
        classes=list(data.classes),
        channels=data.channels,
        height=data.height,
        width=data.width,
        counts={name: len(part) for name, part in parts.items()},
        mean=0.1,
        std=0.3,
        digest=arrays.digest(parts),
        made_from=prepare.made_from(data),
    )
    arrays.save(root / "data/processed/train", parts, card)
    size = {"channels": data.channels, "height": data.height, "width": data.width, "classes": len(data.classes)}
    with torch.random.fork_rng(devices=[]):
        network = registry.build(config.model, **size, seed=0)
        about = {**size, "name": data.name, "classes": list(data.classes), "mean": 0.1, "std": 0.3}
        artifact.save(root / "models", network, model=config.model, card=about)
        predictor = artifact.load(root / "models")
        learn(predictor, images, labels.astype(np.int64))
        artifact.save(root / "models", predictor.network, model=config.model, card=about)
    (root / "results").mkdir(exist_ok=True)
    (root / resolved.RESOLVED).write_text(resolved.dump(config))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repository")
    rng = np.random.default_rng(0)
    drawn = [255 - np.asarray(stroke(k % 2, shift=int(rng.integers(0, 14)))) for k in range(60)]
    images = np.stack([mnist.to_image(ink) for ink in drawn])[:, None]
    lay_out(root, compose.compose(CONF, GRAY), images, np.arange(60, dtype=np.uint8) % 2)
    for name in ("conf", "params.yaml", "dvc.yaml"):
        (root / name).symlink_to(CONF.parent / name)
    return root


@pytest.fixture
def here(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with three pictures, one of them in a folder below."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scans/below").mkdir(parents=True)
    stroke(1).save("scans/one.png")
    stroke(0).save("scans/below/zero.jpg", quality=80)
    both = Image.new("L", (140, 70), 255)
    both.paste(stroke(1), (5, 5))
    both.paste(stroke(0), (70, 5))
    both.save("scans/ten.png")
    return tmp_path


def ask(root: Path, *paths: str, **how: str) -> int:
    return predict.run(root, paths, **{"run": "", "csv": "", "show": "", **how})


def test_a_folder_is_answered_by_name_with_the_best_classes(root: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(root, "scans") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines if not line.startswith(" ")] == [
        "scans/below/zero.jpg",
        "scans/one.png",
        "scans/ten.png",
    ]
    assert lines[0].split()[1] == "0" and lines[1].split()[1] == "1" and lines[2].split() == ["scans/ten.png", "1", "0"]
    assert lines[0].count("%") == 3 and lines[3].split()[0] == "1" and lines[4].split()[0] == "0"


def test_standard_input(root: Path, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def feed(content: bytes) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))

    feed(Path("scans/one.png").read_bytes())
    assert ask(root, "-", "scans/below/zero.jpg") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("-  1 ") and second.startswith("scans/below/zero.jpg  0 ")
    feed(b"")
    with pytest.raises(UserError, match="nothing came in on standard input"):
        ask(root, "-")
    with pytest.raises(UserError, match="- is given twice"):
        ask(root, "-", "-")


def test_a_table_and_a_picture_of_the_answers(root: Path, here: Path) -> None:
    evil = "=cmd()\n.png"
    Path("scans/one.png").rename(f"scans/{evil}")
    os.chdir("scans")
    for _ in range(2):  # over what it has written itself
        assert ask(root, evil, "ten.png", csv="../o.csv", show="../o.png") == 0
    with Path("../o.csv").open(newline="") as file:
        header, first, *others = csv.reader(file)
    assert header[:4] == ["file", "number", "class", "known"] and header[4] == "probability of 0" and len(header) == 14
    assert first[0] == "'=cmd()\\n.png" and first[2] == "1" and abs(sum(map(float, first[4:])) - 1) < 1e-4
    assert [row[:3] for row in others] == [["ten.png", "1", "1"], ["ten.png", "2", "0"]]
    with Image.open("../o.png") as drawn:
        assert drawn.width > 1000 and len(set(drawn.convert("L").tobytes())) > 20
    assert [predict.cell(text) for text in ("+1", "-1", "@x", "=", "a=b", "")] == ["'+1", "'-1", "'@x", "'=", "a=b", ""]


def test_what_cannot_be_read_is_named_and_the_rest_answered(root: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("scans/cut.png").write_bytes(Path("scans/one.png").read_bytes()[:60])
    Path("scans/empty.jpg").touch()
    Path("scans/notes.txt").write_text("no picture, and left alone")
    bomb = bytearray(Path("scans/one.png").read_bytes())
    bomb[16:24] = (100_000).to_bytes(4, "big") * 2
    bomb[29:33] = zlib.crc32(bytes(bomb[12:29])).to_bytes(4, "big")
    Path("scans/bomb.png").write_bytes(bomb)
    assert ask(root, "scans", csv="o.csv") == 1
    out, err = capsys.readouterr()
    assert "scans/one.png  1 " in out and "notes" not in out + err
    assert "scans/cut.png  can't be read: is damaged" in err and "scans/empty.jpg  can't be read: is empty" in err
    assert "scans/bomb.png  can't be read: is larger by its header than any picture that is read" in err
    assert err.endswith("could not be read\n") and "3 of 6 " in err
    with Path("o.csv").open(newline="") as file:
        assert sum("can't be read" in row[3] for row in csv.reader(file)) == 3
    assert ask(root, "scans/notes.txt") == 1, "by its own name it is asked for"


def test_what_it_does_not_know(root: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (80, 80), "white").save("blank.png")
    noise = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    noise[0] = noise[-1] = noise[:, 0] = noise[:, -1] = 0
    Image.fromarray(noise).save("noise.png")
    assert ask(root, "blank.png", "noise.png", "scans/one.png") == 0
    blank, *noisy, known = capsys.readouterr().out.splitlines()
    assert blank == "blank.png  looks like nothing it knows (no ink)"
    assert all("looks like nothing it knows" in line for line in noisy if "%" in line) and "nothing" not in known


def test_the_limit_is_of_validation_alone_and_alarms_as_often_as_said(root: Path) -> None:
    rng = np.random.default_rng(0)
    predictor = artifact.load(root / "models")
    train, validation, other = (rng.integers(0, 256, (n, 1, 28, 28), dtype=np.uint8) for n in (200, 400, 400))
    judge = Familiarity.of(predictor, train=train, validation=validation)
    assert judge.unfamiliar(features(predictor, validation)[1]).mean() <= 0.005
    assert judge.unfamiliar(features(predictor, other)[1]).mean() < 0.03
    logits, found = features(predictor, train[:5])
    with torch.inference_mode():
        torch.testing.assert_close(torch.from_numpy(logits), predictor(torch.from_numpy(train[:5])))
    torch.testing.assert_close(found.norm(dim=1), torch.ones(5))


def test_by_other_images_than_it_learned_from_it_does_not_judge(
    root: Path, here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the same option, which has other pictures by now."""
    moved = shutil.copytree(root, tmp_path / "moved", symlinks=True)
    card, parts = arrays.load(moved / "data/processed/train")
    arrays.save(moved / "data/processed/train", parts, dataclasses.replace(card, mean=0.11))
    assert ask(moved, "scans/one.png") == 0
    assert "is not judged" in capsys.readouterr().out


def test_without_the_images_it_says_that_it_does_not_judge(
    root: Path, here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "models").symlink_to(root / "models")
    (bare / "results").symlink_to(root / "results")
    assert ask(bare, "scans/one.png") == 0
    assert "is not judged" in capsys.readouterr().out


def write_rows(path: str, images: np.ndarray, *, head: bool, label: bool) -> None:
    with Path(path).open("w", newline="") as file:
        rows = csv.writer(file)
        if head:
            rows.writerow(["label"] * label + [f"pixel{k}" for k in range(images[0].size)])
        for image in images:
            rows.writerow([3] * label + image.ravel().tolist())


@pytest.mark.parametrize(("head", "label"), [(True, False), (True, True), (False, False), (False, True)])
def test_kaggles_layout(root: Path, here: Path, head: bool, label: bool) -> None:
    images = arrays.load(root / "data/processed/train")[1]["train"].images[:5]
    write_rows("test.csv", images, head=head, label=label)
    assert ask(root, "test.csv", csv="submission.csv") == 0
    assert Path("submission.csv").read_text() == "ImageId,Label\n1,0\n2,1\n3,0\n4,1\n5,0\n"


def test_tables_that_are_refused(root: Path, here: Path) -> None:
    images = np.zeros((2, 1, 28, 27), np.uint8)
    write_rows("narrow.csv", images, head=True, label=False)
    with pytest.raises(DataError, match=r"narrow.csv has 756 columns, expected 784 pixels \(1 x 28 x 28\)"):
        ask(root, "narrow.csv", csv="o.csv")
    with pytest.raises(UserError, match=r"--csv submission\.csv names the file"):
        ask(root, "narrow.csv")
    with pytest.raises(UserError, match="expected alone"):
        ask(root, "narrow.csv", "scans", csv="o.csv")
    Path("ragged.csv").write_text("\n".join([",".join(f"pixel{k}" for k in range(784)), ",".join("0" * 784), "1,2"]))
    with pytest.raises(DataError, match=r"ragged\.csv"):
        ask(root, "ragged.csv", csv="o.csv")
    assert not Path("o.csv").exists()


def test_faults_are_told_before_any_work(root: Path, here: Path, tmp_path: Path) -> None:
    Path("hollow").mkdir()
    Path("notes.csv").write_text("my,notes\n")
    for paths, how, said in [
        (["gone.png", "scans", "away.jpg"], {}, "gone.png, away.jpg: not there"),
        (["hollow"], {}, "hollow has no files"),
        (["scans"], {"show": "o.pdf"}, "expected a name that ends in .png"),
        (["scans"], {"csv": "nowhere/o.csv"}, "there is no folder"),
        (["scans"], {"csv": "hollow"}, "hollow is a folder"),
        (["scans"], {"csv": "README.md"}, "expected a name that ends in .csv"),
        (["scans/one.png"], {"show": "scans/../scans/one.png"}, "is one of the pictures or tables that were given"),
        (["scans/one.png"], {"show": "scans/ten.png"}, r"--show scans/ten\.png is there, and filterlab did not write it"),
        (["scans/one.png"], {"csv": "notes.csv"}, r"--csv notes\.csv is there, and filterlab did not write it"),
    ]:
        with pytest.raises(UserError, match=said):
            ask(tmp_path, *paths, **how)  # where there is no network either
    with pytest.raises(UserError, match="models/ has no network"):
        ask(tmp_path, "scans")


def test_a_link_in_a_circle_is_not_followed(root: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("scans/below/again").symlink_to(here / "scans")
    assert ask(root, "scans") == 0
    assert capsys.readouterr().out.count("one.png") == 1


def test_an_unknown_run(root: Path, here: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(root)
    with pytest.raises(SystemExit) as ended:
        main(["predict", str(here / "scans"), "--run", "cafe"])
    assert ended.value.code == UserError.exit_code and "has an id that begins with 'cafe'" in capfd.readouterr().err


@pytest.mark.parametrize("fit", ["pad", "crop"])
def test_photographs_get_the_pixels_that_preprocess_makes(fit: str, here: Path, tmp_path: Path) -> None:
    settings = ["data=cifar10", f"data.fit={fit}", "model=mlp", "model.hidden=[4]", "tracking=off"]
    config = compose.compose(CONF, settings)
    rng = np.random.default_rng(0)
    lay_out(tmp_path, config, rng.integers(0, 256, (12, 3, 32, 32), dtype=np.uint8), np.arange(12, dtype=np.uint8) % 10)
    Image.fromarray(rng.integers(0, 256, (70, 90, 3), dtype=np.uint8)).resize((900, 700)).save("photo.jpg")
    network = predict.load(tmp_path, "")
    (piece,) = predict.look("photo.jpg", OnDisk("photo.jpg"), network.shape, keep=False).pieces
    assert piece.box == (0, 0, 900, 700)
    _, expected = picture.look(OnDisk("photo.jpg"), Shape(3, 32, 32, fit))
    np.testing.assert_array_equal(piece.image, expected)
    assert ask(tmp_path, "photo.jpg", show="o.png") == 0 and Path("o.png").exists()


def test_batches_give_what_pictures_alone_give(
    root: Path, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ask(root, "scans")
    whole = capsys.readouterr().out
    monkeypatch.setattr(predict, "BATCH", 2)
    ask(root, "scans")
    assert capsys.readouterr().out == whole

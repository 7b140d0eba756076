"""`filterlab data add`: what is there, and an option that reads it."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

import herbs
from filterlab import files
from filterlab.cli import main
from filterlab.config import compose, document, schema
from filterlab.errors import UserError

CONF = Path(__file__).parents[2] / "conf"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "repository"
    shutil.copytree(CONF, root / "conf")
    (root / "dvc.yaml").touch()
    monkeypatch.chdir(root)
    return root


def test_a_folder(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    herbs.grow(root.parent / "herbs", width=30, height=28)
    main(["data", "add", "../herbs"])
    said = capsys.readouterr().out
    assert "30 of 3 classes: basil 10, mint 10, thyme 10" in said and "all 30x28" in said
    assert "22 train, 2 validation, 6 test" in said
    assert said.rstrip().endswith("write `data: herbs` in params.yaml, then: dvc repro")
    data = compose.compose(root / "conf", ["data=herbs"]).data
    assert data == herbs.option(Path("../herbs"), height=28, width=30)
    text = (root / "conf/data/herbs.yaml").read_text()
    assert "# all 30x28" in text and "test: 0.2  # of all images" in text
    assert document.values(text)["classes"] == ["basil", "mint", "thyme"]


def test_what_is_doubtful_is_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty folder, a picture in two classes, one that can't be read: and what to do then."""
    herbs.grow(root.parent / "herbs", width=30, height=28)
    (root.parent / "herbs/sage").mkdir()
    shutil.copy(root.parent / "herbs/basil/000.png", root.parent / "herbs/mint/same.png")
    (root.parent / "herbs/thyme/torn.png").write_bytes(b"no picture")
    main(["data", "add", "../herbs"])
    said = capsys.readouterr().out
    assert "sage: a folder without a file, no class" in said
    assert "1 are in several classes at once: basil/000.png = mint/same.png" in said
    assert "mend these pictures, or write `on_broken: skip` in conf/data/herbs.yaml; then write `data: herbs`" in said


def test_pictures_that_no_line_names(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    herbs.grow(root.parent / "herbs", width=30, height=28)
    lines = [f"{label}/{number:03}.png,{label}" for label in ("basil", "mint") for number in range(10)]
    (root.parent / "herbs/list.csv").write_text("\n".join(["name,class", *lines, ""]))
    main(["data", "add", "../herbs"])
    said = capsys.readouterr().out
    assert "20 of 2 classes: basil 10, mint 10" in said and "10 pictures that no line names, left alone" in said


def test_a_csv_that_names_few_of_the_pictures_is_no_source_beside_their_folders(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    herbs.grow(root.parent / "herbs", width=30, height=28)
    (root.parent / "herbs/notes.csv").write_text("name,class\nbasil/000.png,basil\nmint/001.png,mint\n")
    with pytest.raises(SystemExit):
        main(["data", "add", "../herbs"])
    assert "has a CSV that names 2 of 30 pictures: expected one source; move the CSV away" in capsys.readouterr().err


def test_what_lies_beside_the_classes_is_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    herbs.grow(root.parent / "herbs", width=30, height=28)
    shutil.copytree(root.parent / "herbs/mint", root.parent / "herbs/.5")
    shutil.make_archive(str(root.parent / "all"), "zip", root.parent / "herbs")
    (root.parent / "all.zip").rename(root.parent / "herbs/all.zip")
    main(["data", "add", "../herbs"])
    said = capsys.readouterr().out
    assert "30 of 3 classes" in said and ".5/ (hidden, 10 pictures), all.zip: left alone" in said


def test_two_at_once(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    herbs.grow(root.parent / "herbs", width=30, height=28)
    with files.held(root / "conf/data/.herbs.lock", otherwise=UserError("not reached")), pytest.raises(SystemExit):
        main(["data", "add", "../herbs"])
    assert "another process makes conf/data/herbs.yaml: wait for its end" in capsys.readouterr().err
    assert not (root / "conf/data/herbs.yaml").exists()


def test_numbers_in_a_picture_are_told(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    herbs.grow(root.parent / "herbs", width=30, height=28)
    (root.parent / "herbs/mint").rename(root.parent / "herbs/\U00012345")  # cuneiform, which no font here has
    main(["data", "add", "../herbs"])
    main(["data", "show", "herbs"])
    assert "numbers     0 basil, 1 thyme, 2 \U00012345" in capsys.readouterr().out


def test_a_contact_sheet(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    herbs.grow(root.parent / "herbs", width=30, height=28)
    main(["data", "add", "../herbs"])
    main(["data", "show", "herbs"])
    assert "results/data/herbs.png" in capsys.readouterr().out
    with Image.open(root / "results/data/herbs.png") as drawn:
        colors = drawn.convert("RGB").resize((60, 40)).getcolors(10_000)
    assert colors and any(red > blue + 40 for _, (red, _, blue) in colors), "thyme's ground"
    with pytest.raises(SystemExit):
        main(["data", "show", "herb"])
    assert "data: no option 'herb'" in capsys.readouterr().err


def test_no_option_is_overwritten(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    herbs.grow(root.parent / "mnist", width=30, height=28)
    before = (root / "conf/data/mnist.yaml").read_bytes()
    with pytest.raises(SystemExit) as ended:
        main(["data", "add", "../mnist"])
    assert ended.value.code == 2
    assert "conf/data/mnist.yaml is there already: remove it, or take another name by --name" in capsys.readouterr().err
    assert (root / "conf/data/mnist.yaml").read_bytes() == before
    main(["data", "add", "../mnist", "--name", "mine"])
    assert isinstance(compose.compose(root / "conf", ["data=mine"]).data, schema.Own)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["../nowhere"], "../nowhere is not there (seen from "),
        (["../herbs", "--name", "1st"], "'1st' is no name for a data set: give one by --name, of letters, digits, _ and -"),
        (["../herbs", "--name", "a/b"], "'a/b' is no name for a data set"),
        (["../herbs", "--name", "default"], "'default' means something to Hydra or YAML"),
    ],
)
def test_wrong_words(root: Path, capsys: pytest.CaptureFixture[str], words: list[str], expected: str) -> None:
    (root.parent / "herbs").mkdir()
    with pytest.raises(SystemExit):
        main(["data", "add", *words])
    assert expected in capsys.readouterr().err
    assert sorted(path.stem for path in (root / "conf/data").iterdir()) == sorted(path.stem for path in (CONF / "data").iterdir())


def test_a_set_of_torchvision(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """EuroSAT's files, where torchvision would put them: they are not fetched again."""
    for place, label in enumerate(["Forest", "River"]):
        for number in range(15):
            herbs.save(
                herbs.noise(20 * place + number, width=32, height=32),
                root / f"data/torchvision/eurosat/2750/{label}/{number}.jpg",
            )
    main(["data", "add", "torchvision:EuroSAT"])
    assert "30 of 2 classes: Forest 15, River 15" in capsys.readouterr().out
    data = compose.compose(root / "conf", ["data=eurosat"]).data
    assert isinstance(data, schema.Own)
    assert (data.source, data.set, data.path, data.test) == ("torchvision", "EuroSAT", "data/torchvision", 0.2)
    for words, expected in [("SVNH", "no option 'SVNH'"), ("EMNIST", "EMNIST alone has variants, and needs one")]:
        with pytest.raises(SystemExit):
            main(["data", "add", f"torchvision:{words}"])
        assert expected in capsys.readouterr().err

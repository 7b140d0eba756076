"""`filterlab predict`: what a trained network says of pictures, wherever they come from."""

import csv
import io
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from filterlab import console, files
from filterlab.config import resolved, schema
from filterlab.data.own import ink, picture, table
from filterlab.data.own.picture import Given, Shape
from filterlab.data.own.tree import OnDisk
from filterlab.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

    from filterlab.evaluation.familiarity import Familiarity
    from filterlab.models.predictor import Predictor

BATCH = 256  # pictures that are read before the network sees them
BEST = 3  # classes that are printed
SHOWN = 12  # pictures that --show draws, the first
STDIN = "-"
BY = "filterlab predict"  # stands in the pictures that it draws
HEADS = ["file", "number", "class", "known"], ["ImageId", "Label"]  # the first columns of the tables that it writes


@dataclass(eq=False)
class Piece:
    """One image that the network sees: a picture, or a digit in it. box: where it lies in the picture's pixels."""

    box: ink.Box
    image: np.ndarray
    strange: str = ""
    probabilities: np.ndarray | None = None


@dataclass(eq=False)
class Read:
    """A picture as it was read; a small copy of it where it is to be shown. fault: why it can't be read."""

    name: str
    pieces: list[Piece]
    fault: str = ""
    copy: "Image.Image | None" = None
    size: tuple[int, int] = (0, 0)


@dataclass(frozen=True, eq=False)
class Network:
    predictor: "Predictor"
    config: schema.Config
    familiarity: "Familiarity | None"
    shape: Shape


def run(root: Path, paths: Sequence[str], *, run: str, csv: str, show: str) -> int:
    """Print what the network says of each picture; gives the exit code: 1 where a picture could not be read.

    Args:
        paths: pictures, folders of pictures, a CSV of pixels, or "-" for a picture's bytes on stdin.
        run: the beginning of a run's id; empty: the pipeline's network.
        csv, show: files to be written; empty: none.

    Raises:
        UserError: something is missing, or is none of these; nothing has been written then.
    """
    check_outputs(csv, show, paths)
    rows = [path for path in paths if path != STDIN and is_table(Path(path))]
    if rows:
        return answer_rows(root, paths, rows, run=run, csv=csv, show=show)
    sources = list(find_all(paths))
    network = load(root, run)
    answered: list[Read] = []
    failed, total, writer = 0, 0, Table(network.predictor.classes) if csv else None
    for first in range(0, len(sources), BATCH):
        read = [look(name, place, network.shape, keep=bool(show) and not first) for name, place in sources[first : first + BATCH]]
        read = [each for each in read if each.fault != LEFT_OUT or each.name in paths]
        ask(network, read)
        total += len(read)
        for each in read:
            print(said(each, network.predictor.classes), file=sys.stderr if each.fault else sys.stdout)
            failed += bool(each.fault)
            if writer:
                writer.add(each)
        answered += [each for each in read if not each.fault][: max(0, SHOWN - len(answered))] if show else []
    if network.familiarity is None:
        print("(the images that it learned from are not here: whether a picture looks like them is not judged)")
    if writer:
        files.write(Path(csv), writer.text())
    if show and answered:
        from filterlab.visualization import answers, png
        from filterlab.visualization.style import drawable

        classes = drawable(network.predictor.classes)
        if classes != network.predictor.classes:
            print(f"({show} has numbers for the classes: {console.legend(classes, network.predictor.classes)})")
        shown = [answers.Answer(title(each.name), np.asarray(each.copy), each.size, each.pieces) for each in answered]
        png.write(
            answers.draw(shown, classes=classes, rule=network.shape.fit, subject=network.predictor.data_name), Path(show), by=BY
        )
    if failed:
        print(f"{failed:,} of {total:,} could not be read", file=sys.stderr)
    return 1 if failed else 0


LEFT_OUT = "is no picture, by its bytes and by its name"  # such files in a folder lie there for something else


def check_outputs(csv: str, show: str, paths: Sequence[str]) -> None:
    """Raises UserError: a file that is to be written can't be."""
    for option, path in (("--csv", csv), ("--show", show)):
        if not path:
            continue
        if not Path(path).absolute().parent.is_dir():
            raise UserError(f"{option} {path}: there is no folder {Path(path).absolute().parent}, expected one to write to")
        if Path(path).is_dir():
            raise UserError(f"{option} {path} is a folder, expected the name of a file to be written")
        if Path(path).exists() and any(Path(given).exists() and Path(given).samefile(path) for given in paths):
            raise UserError(
                f"{option} {path} is one of the pictures or tables that were given: name another file, which is written"
            )
    if csv and Path(csv).suffix.lower() != ".csv":
        raise UserError(f"--csv {csv}: expected a name that ends in .csv, which is what is written")
    if show and Path(show).suffix.lower() != ".png":
        raise UserError(f"--show {show}: expected a name that ends in .png, which is what is drawn")
    for option, path, is_ours in (("--csv", csv, is_our_table), ("--show", show, is_our_picture)):
        if path and Path(path).exists() and not is_ours(Path(path)):
            raise UserError(f"{option} {path} is there, and filterlab did not write it: remove it, or name another file")


def is_our_table(path: Path) -> bool:
    with path.open(encoding="utf-8", errors="replace") as lines:
        first = lines.readline(200).rstrip("\n").split(",")
    return any(first[: len(head)] == head for head in HEADS)


def is_our_picture(path: Path) -> bool:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.info.get("Software") == BY
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False


def find_all(paths: Sequence[str]) -> Iterator[tuple[str, OnDisk | Given]]:
    """Pictures by name. Raises UserError: a path is not there, a folder has no files, or stdin is named twice or empty."""
    if list(paths).count(STDIN) > 1:
        raise UserError("- is given twice: standard input holds one picture")
    if missing := [path for path in paths if path != STDIN and not Path(path).exists()]:
        raise UserError(f"{', '.join(missing)}: not there (seen from {Path.cwd()}), expected pictures, folders of them, or -")
    for path in paths:
        if path == STDIN:
            content = sys.stdin.buffer.read()
            if not content:
                raise UserError("nothing came in on standard input, expected the bytes of a picture")
            yield STDIN, Given(content)
        elif Path(path).is_dir():
            if not (found := in_folder(Path(path))):
                raise UserError(f"{path} has no files, expected pictures in it or in folders below")
            yield from ((name, OnDisk(name)) for name in found)
        else:
            yield path, OnDisk(path)


def in_folder(path: Path) -> list[str]:
    """Files at any depth, by name; hidden ones are left out, and links to folders, which may lead in a circle.

    Raises UserError: a folder can't be read.
    """

    def fail(error: OSError) -> None:
        raise UserError(f"cannot read {error.filename}: {error.strerror}") from error

    found = []
    for folder, below, names in os.walk(path, onerror=fail):
        below[:] = sorted(name for name in below if not name.startswith("."))
        found += [f"{folder}/{name}" for name in names if not name.startswith(".")]
    return sorted(found)


def load(root: Path, run: str) -> Network:
    """The pipeline's network, or a run's. Raises UserError: there is none."""
    if run:
        from filterlab.sweeps import trained

        brought = trained.bring(root, run=run)
        config, folder = brought.config, brought.out / "models"
    else:
        if not (root / "models/model.json").exists():
            raise UserError("models/ has no network: `make pipeline` trains one, `dvc pull` brings one, --run RUN names a run's")
        config, folder = resolved.load(root), root / "models"
    from filterlab.models import artifact
    from filterlab.runs import logging

    if not run:
        logging.check(config, root)
    predictor = artifact.load(folder)
    return Network(predictor, config, familiarity(root, config, predictor), Shape(*predictor.shape, config.data.rule))


def familiarity(root: Path, config: schema.Config, predictor: "Predictor") -> "Familiarity | None":
    """By the images that the network learned from, where they lie prepared: others of the same option have another mean."""
    from filterlab.data import prepare, ready
    from filterlab.evaluation.familiarity import Familiarity
    from filterlab.models.predictor import scaling

    for folder in (root / "data/processed", ready.shelf(config.data, root)):
        if prepare.is_prepared(config.data, folder):
            card, train, validation = prepare.load(folder)
            expected = scaling(config.trainer.scaling, mean=card.mean, std=card.std)
            if any(not np.allclose(getattr(predictor, name).flatten(), numbers) for name, numbers in expected.items()):
                continue
            return Familiarity.of(predictor, train=train.images, validation=validation.images)
    return None


def look(name: str, place: OnDisk | Given, shape: Shape, *, keep: bool) -> Read:
    """Bring a picture to what the network takes. keep: a small copy of it too."""

    def use(image: "Image.Image") -> tuple[list[Piece], "Image.Image | None"]:
        copy = ink.on_ground(image).copy() if keep else None
        if copy:
            copy.thumbnail((600, 600))
        if shape.fit != "mnist":
            return [Piece((0, 0, *image.size), picture.to_array(image, shape))], copy
        drawing = ink.read(image, height=shape.height, width=shape.width)
        strange = "" if drawing.is_clear else "no drawing: too much of it is neither paper nor ink"
        return [Piece(digit.box, digit.image[None], strange) for digit in drawing.digits], copy

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tags that nobody reads, and of sizes, which are checked
        about, made = picture.read(place, use, shape)
    if made is None:
        ending = Path(name).suffix.lower().removeprefix(".")
        if about.unknown and isinstance(place, OnDisk) and ending not in picture.ENDINGS:
            return Read(name, [], LEFT_OUT)
        return Read(name, [], about.fault)
    if shape.fit != "mnist":  # all of it, though a JPEG may have been decoded at less than its size
        made[0][0].box = (0, 0, *about.size)
    return Read(name, made[0], copy=made[1], size=about.size)


def ask(network: Network, read: Iterable[Read]) -> None:
    """Give all pieces their probabilities, in one batch."""
    pieces = [piece for each in read for piece in each.pieces]
    if not pieces:
        return
    from filterlab.evaluation.familiarity import features
    from filterlab.evaluation.metrics import softmax

    logits, found = features(network.predictor, np.stack([piece.image for piece in pieces]))
    strange = network.familiarity.unfamiliar(found) if network.familiarity else np.zeros(len(pieces), bool)
    for piece, row, unfamiliar in zip(pieces, softmax(logits), strange, strict=True):
        piece.probabilities = row
        if unfamiliar and not piece.strange:
            piece.strange = "its features are far from those of all that it learned from"


def best(piece: Piece) -> np.ndarray:
    """The most probable classes' places, the first first."""
    assert piece.probabilities is not None
    return np.argsort(-piece.probabilities, kind="stable")[:BEST]


def said(each: Read, classes: list[str]) -> str:
    """A picture's lines."""
    name = visible(each.name)
    if each.fault:
        return f"{name}  can't be read: {each.fault}"
    if not each.pieces:
        return f"{name}  looks like nothing it knows (no ink)"
    lines = []
    for piece in each.pieces:
        assert piece.probabilities is not None
        line = ", ".join(f"{classes[place]} {piece.probabilities[place]:.1%}" for place in best(piece))
        lines.append(line + (f"  looks like nothing it knows ({piece.strange})" if piece.strange else ""))
    if len(lines) == 1:
        return f"{name}  {lines[0]}"
    together = " ".join(classes[best(piece)[0]] for piece in each.pieces)
    return "\n".join([f"{name}  {together}", *(f"  {line}" for line in lines)])


def title(name: str) -> str:
    """A file's name, in letters that can be drawn."""
    from filterlab.visualization.style import drawable

    return name if drawable([name]) == [name] else name.encode("ascii", "backslashreplace").decode()


def visible(name: str) -> str:
    """A file's name as one line of text, whatever its bytes."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


class Table:
    """The rows of --csv."""

    def __init__(self, classes: list[str]):
        self.classes, self.held = classes, io.StringIO()
        self.rows = csv.writer(self.held, lineterminator="\n")
        self.rows.writerow([*HEADS[0], *(cell(f"probability of {name}") for name in classes)])

    def add(self, each: Read) -> None:
        name = cell(visible(each.name))
        if each.fault:
            self.rows.writerow([name, "", "", cell(f"can't be read: {each.fault}"), *[""] * len(self.classes)])
        elif not each.pieces:
            self.rows.writerow([name, "", "", "no: no ink", *[""] * len(self.classes)])
        for number, piece in enumerate(each.pieces, start=1):
            assert piece.probabilities is not None
            known = f"no: {piece.strange}" if piece.strange else "yes"
            shares = [f"{share:.6f}" for share in piece.probabilities]
            self.rows.writerow([name, number, cell(self.classes[best(piece)[0]]), known, *shares])

    def text(self) -> str:
        return self.held.getvalue()


def cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def is_table(path: Path) -> bool:
    """Whether it is a CSV, by content and ending."""
    from filterlab.data.own import sources

    return path.suffix.lower() == ".csv" and path.is_file() and sources.kind(path) == "csv"


def answer_rows(root: Path, paths: Sequence[str], rows: list[str], *, run: str, csv: str, show: str) -> int:
    """Write ImageId,Label for the rows of a CSV of pixels, as Kaggle's digit recognizer takes it. Raises as `run` does."""
    (path, *others) = paths
    if others:
        raise UserError(f"{', '.join(rows)} is a table of pixels, expected alone: its answers are a file of their own")
    if show:
        raise UserError("--show draws pictures, and a table of pixels has none: leave it out")
    if not csv:
        raise UserError(f"{path} is a table of pixels: --csv submission.csv names the file that its labels are written to")
    network = load(root, run)
    images = table.rows_of_pixels(Path(path), network.predictor.shape)
    from filterlab.evaluation.predict import predict

    chosen = predict(network.predictor, images).argmax(axis=1)
    lines = [f"{number},{cell(network.predictor.classes[label])}" for number, label in enumerate(chosen, start=1)]
    files.write(Path(csv), "\n".join([",".join(HEADS[1]), *lines, ""]))
    print(f"{len(chosen):,} rows of {path}: written to {csv}")
    return 0

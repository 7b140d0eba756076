"""`make bench`: a user's own images, in docs/benchmarks_images.md: how fast they are prepared, what a large set costs.

60,000 small JPEGs in a .zip, drawn here, against a bare loop over Pillow on the same cores; 4 GB of images, mapped, against the
same in memory: the pace of a training, and the memory of its own that it takes. Some five minutes and 9 GB of disk.
"""

import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from filterlab.data import arrays, proposal
from filterlab.data.arrays import Card
from filterlab.data.own.write import write
from filterlab.data.progress import Progress
from run import ROOT, machine
from tables import spread, table

OUT = ROOT / "docs/benchmarks_images.md"
ROUNDS = 3
PICTURES, CLASSES = 60_000, 10
LARGE = (27_000, 3, 224, 224)  # 4.06 GB
EPOCH = """
import json, sys, time
from pathlib import Path
from filterlab.config import compose
from filterlab.data import arrays
from filterlab.models import registry
from filterlab.training.fit import fit

def own():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024

class Watched(__import__("pytorch_lightning").Callback):
    most = 0.0
    def on_train_batch_end(self, *_):
        self.most = max(self.most, own())

root, folder, mapped = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "mapped"
if not mapped:
    arrays.MAPPED = 1 << 60
settings = ["data=cifar10", "data.height=224", "data.width=224", "model=conv_net", "trainer=cpu", "trainer.max_epochs=1",
    "trainer.batch_size=64", "augment=none", "model.layers=[{filters: 8, kernel: 7, stride: 4}]", "model.hidden=[]",
    "optimizer=adam"]
config = compose.compose(root / "conf", settings)
card, parts = arrays.load(folder)
watched = Watched()
network = registry.predictor(config, mean=card.mean, std=card.std)
done = fit(network, parts["train"], parts["validation"], config=config, folder=folder / f"checkpoints{sys.argv[4]}",
    callbacks=[watched])
print(json.dumps([done.images / done.seconds, watched.most]))
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        prepared, large = prepare(Path(folder)), train(Path(folder))
    text = "\n\n".join(
        [
            "# Images of one's own\n\nWritten by `make bench`, every figure measured in one run of it.",
            machine(),
            f"## {PICTURES:,} JPEGs of 32x32 in a .zip become arrays\n\n" + prepared,
            f"## {np.prod(LARGE) / 1e9:.1f} GB of images, an epoch\n\n" + large,
        ]
    )
    OUT.write_text(text + "\n")
    print(text)


def prepare(folder: Path) -> str:
    """The whole of preprocess (each picture looked at, divided, written, digested) against decoding alone."""
    archive = folder / "pictures.zip"
    smooth = np.random.default_rng(0).integers(0, 256, (PICTURES, 4, 4, 3), np.uint8)
    with zipfile.ZipFile(archive, "w") as file:
        for number, pixels in enumerate(smooth):
            held = io.BytesIO()
            Image.fromarray(pixels).resize((32, 32), Image.Resampling.BICUBIC).save(held, "JPEG", quality=90)
            file.writestr(f"pictures/{number % CLASSES}/{number}.jpg", held.getvalue())
    data = proposal.propose(archive, name="pictures", root=folder, progress=Progress()).data
    bare, ours = [], []
    for _ in range(ROUNDS):
        bare.append(PICTURES / seconds(lambda: decode(archive)))
        ours.append(
            PICTURES
            / seconds(
                lambda: write(data, place=archive, processed=folder / "made", scratch=folder / "scratch", progress=Progress())
            )
        )
    ratios = [mine / other for mine, other in zip(ours, bare, strict=True)]
    rows = [
        ["a loop over Pillow: open, decode, to an array", spread(bare, ",.0f"), "1"],
        ["filterlab's preprocess", spread(ours, ",.0f"), spread(ratios, ".2f")],
    ]
    return table([f"({ROUNDS} rounds in turns)", "images/s", "ratio"], rows) + "\n\nBar: a ratio of at least 1.5."


def decode(archive: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        for name in file.namelist():
            with Image.open(io.BytesIO(file.read(name))) as image:
                np.asarray(image.convert("RGB"))


def seconds(what: Callable[[], None]) -> float:
    started = time.perf_counter()
    what()
    return time.perf_counter() - started


def train(folder: Path) -> str:
    made = folder / "large"
    made.mkdir()
    draw = np.random.default_rng(0)
    parts = {}
    for part, count in [("train", LARGE[0]), ("validation", 64)]:
        images = np.lib.format.open_memmap(made / f"{part}_images.npy", "w+", np.uint8, (count, *LARGE[1:]))
        for first in range(0, count, 500):
            images[first : first + 500] = draw.integers(0, 256, images[first : first + 500].shape, np.uint8)
        images.flush()
        labels = (np.arange(count) % CLASSES).astype(np.uint8)
        np.save(made / f"{part}_labels.npy", labels)
        parts[part] = arrays.LabelledImages(images, labels)
    counts = {part: len(held) for part, held in parts.items()}
    names = [str(label) for label in range(CLASSES)]
    Card("large", names, *LARGE[1:], counts, 0.5, 0.29, arrays.digest(parts), "0").save(made / arrays.CARD)
    paces: dict[str, list[float]] = {"in memory": [], "mapped": []}
    memory: dict[str, list[float]] = {"in memory": [], "mapped": []}
    for round in range(ROUNDS):
        for kind in paces:
            command = [sys.executable, "-c", EPOCH, str(ROOT), str(made), kind, f"{round}{kind[:2]}"]
            ran = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | {"COLUMNS": "200"})
            pace, most = json.loads(ran.stdout.splitlines()[-1])
            paces[kind].append(pace)
            memory[kind].append(most)
    ratios = [mapped / held for mapped, held in zip(paces["mapped"], paces["in memory"], strict=True)]
    rows = [
        ["in memory", spread(paces["in memory"], ",.0f"), "1", f"{statistics.median(memory['in memory']):,.0f}"],
        ["mapped", spread(paces["mapped"], ",.0f"), spread(ratios, ".2f"), f"{statistics.median(memory['mapped']):,.0f}"],
    ]
    about = "Bars: a pace of at least 0.9 of that in memory, once read; 1,500 MiB of its own (mapped pages not counted)."
    return table(["", f"images/s ({ROUNDS} rounds in turns)", "ratio", "memory of its own, MiB"], rows) + f"\n\n{about}"


if __name__ == "__main__":
    main()

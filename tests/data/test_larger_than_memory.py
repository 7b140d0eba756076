"""400 MB of images are trained on, batch by batch, in a tenth of that memory: they are mapped, and nobody copies the whole."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from filterlab.data import arrays
from filterlab.data.arrays import Card, LabelledImages

CODE = """
import json, sys
from pathlib import Path
import torch
from filterlab.data import arrays
from filterlab.data.datamodule import Batches

def own():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

before = own()
_, parts = arrays.load(Path(sys.argv[1]))
images, labels = (torch.from_numpy(array) for array in (parts["train"].images, parts["train"].labels))
total, most = 0, 0
for batch, _ in Batches(images, labels, batch_size=100, seed=0, epoch=lambda: 0):
    total += int(batch.sum())
    most = max(most, own())
print(json.dumps([total, (most - before) / 1024]))
"""
SHAPE = (4_000, 3, 184, 184)


def test_an_epoch(tmp_path: Path) -> None:
    """(Of a file of zeros but for one number an image, which takes no disk.)"""
    images = np.lib.format.open_memmap(tmp_path / "train_images.npy", "w+", np.uint8, SHAPE)
    images[:, 0, 0, 0] = 1
    labels = np.zeros(len(images), np.uint8)
    np.save(tmp_path / "train_labels.npy", labels)
    parts = {"train": LabelledImages(images, labels)}
    made = arrays.digest(parts)
    Card("big", ["a", "b"], 3, 184, 184, {"train": len(images)}, 0.5, 0.5, made, "0").save(tmp_path / arrays.CARD)
    assert (tmp_path / "train_images.npy").stat().st_size > 400e6 > arrays.MAPPED
    ran = subprocess.run([sys.executable, "-W", "error", "-c", CODE, str(tmp_path)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    total, grown = json.loads(ran.stdout)
    assert total == len(images) and grown < 60, f"{grown:.0f} MiB of its own"

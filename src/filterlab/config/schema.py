"""Types, units and bounds of every value. The values themselves stand in conf/, each once.

Those of models, optimizers, schedules and augmentations stand beside what they build, each file with its NAMES: the `name` in
an option of conf/ says which of them it has (the architecture, the algorithm); the option is one setting of it.
"""

from dataclasses import dataclass
from typing import NamedTuple

from omegaconf import MISSING

from filterlab.config.section import COUNT, SEEDS, SIDE, Section, value
from filterlab.data import augment
from filterlab.data.augment import Augment
from filterlab.models.architectures import ARCHITECTURES
from filterlab.models.plan import Model
from filterlab.training import optimizers, schedules
from filterlab.training.optimizers import Optimizer
from filterlab.training.schedules import Schedule


class Pair(NamedTuple):
    """The names of two files that belong together."""

    images: str
    labels: str


# What preprocess reads: each published with .gz after its name, and unpacked by download.
FILES = {
    "train": Pair(images="train-images-idx3-ubyte", labels="train-labels-idx1-ubyte"),
    "test": Pair(images="t10k-images-idx3-ubyte", labels="t10k-labels-idx1-ubyte"),
}
DIGITS = ("digits", "Digits")  # name and folder of scikit-learn's digits, the only data set whose files are made here


@dataclass
class Data(Section):
    name: str = value("the data set, as figures, metrics and runs name it", text="name")
    folder: str = value("folder below data/raw, laid out as torchvision's class of that name expects", text="name")
    classes: list[str] = value("a name for each label, in the order of the labels", text="text", most=1_000)
    channels: int = value("of an image", ge=1, le=16)
    height: int = value("of an image, in pixels", ge=8, le=SIDE)
    width: int = value("of an image, in pixels", ge=8, le=SIDE)
    mirrors: list[str] = value("URLs of folders that hold the files, tried in this order", text="url", most=100)
    files: dict[str, str] = value(
        "the four files' names -> published MD5; empty for scikit-learn's digits alone", text="name", values="md5", most=1_000
    )
    take: str = value("which training images: all, the first take_n, or take_n per class", choices=["all", "first", "per_class"])
    take_n: int = value("how many, for first (in all) and per_class (of each); 0 with all", ge=0, le=COUNT)
    validation: float = value("share of the training images kept for validation", gt=0, lt=1)
    split: str = value(
        "how validation is chosen: stratified by label (seeded), or the last in file order", choices=["stratified", "last"]
    )
    seed: int = value("of every draw made on the data: the subset and the split", **SEEDS)


@dataclass
class Trainer(Section):
    accelerator: str = value("where to compute; auto takes a GPU if there is one", choices=["auto", "cpu", "gpu"])
    devices: int = value("how many processes or GPUs", ge=1, le=1024)
    strategy: str = value("auto is one process; ddp one per device", choices=["auto", "ddp"])
    precision: str = value("auto is bf16 where the processor has it in hardware, else 32", choices=["auto", "32", "bf16"])
    channels_last: bool = value("memory layout of images and filters; faster convolutions")
    threads: int = value("CPU threads; 0 is one per core", ge=0, le=1024)
    max_epochs: int = value("passes over the training images, at most", ge=1, le=1_000_000)
    batch_size: int = value("images per step, over all devices", ge=1, le=COUNT)
    scaling: str = value(
        "of the pixels: unit is [0, 1]; standard has mean 0, variance 1 over the training images", choices=["unit", "standard"]
    )
    label_smoothing: float = value("probability taken from the true class and spread over all", ge=0, lt=1)
    monitor: str = value("the validation metric that chooses the epoch", choices=["validation/accuracy", "validation/loss"])
    patience: int = value("epochs without a better one before training stops; max_epochs or more never stops", ge=1, le=1_000_000)


@dataclass
class Tracking(Section):
    backend: str = value(
        "local: mlflow.db at the root; server: uri (or MLFLOW_TRACKING_URI); off: nothing is logged",
        choices=["local", "server", "off"],
    )
    uri: str = value("of the server, e.g. http://127.0.0.1:5000; empty: MLFLOW_TRACKING_URI names it", text="server")
    experiment: str = value("MLflow experiment that holds the runs", text="name")
    system_metrics: bool = value("sample processor, memory, disk, network (and GPU) during training")


@dataclass
class Config(Section):
    experiment: str = value("the file of conf/experiment/ that was chosen, or none", text="name")
    data: Data = MISSING
    model: Model = MISSING
    optimizer: Optimizer = MISSING
    schedule: Schedule = MISSING
    augment: Augment = MISSING
    trainer: Trainer = MISSING
    tracking: Tracking = MISSING
    seed: int = value("of the weights, the order of the batches, the augmentation and dropout", **SEEDS)


# family name -> schema, for each config group; one entry where the group's options share a schema
FAMILIES: dict[str, dict[str, type]] = {
    "data": {"data": Data},
    "model": {**ARCHITECTURES},
    "optimizer": {**optimizers.NAMES},
    "schedule": {**schedules.NAMES},
    "augment": {**augment.NAMES},
    "trainer": {"trainer": Trainer},
    "tracking": {"tracking": Tracking},
}

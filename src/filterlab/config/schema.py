"""Types, units and bounds of every value. The values themselves stand in conf/, each once.

Those of models, optimizers, schedules and augmentations stand beside what they build, each file with its NAMES: the `name` in
an option of conf/ says which of them it has (the architecture, the algorithm); the option is one setting of it.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from filterlab.config import declared
from filterlab.config.faults import short, unknown_key
from filterlab.config.section import COUNT, SEEDS, SIDE, Section, value
from filterlab.data import augment, formats
from filterlab.data.augment import Augment
from filterlab.models.architectures import ARCHITECTURES
from filterlab.models.plan import Model
from filterlab.training import optimizers, schedules
from filterlab.training.optimizers import Optimizer
from filterlab.training.schedules import Schedule

SOURCES = ["pictures", "csv", "npz", "idx", "torchvision"]  # what of a user's own there is to read: the keys of data.own.SOURCES
ROLES = [f"{part}_{what}" for part in ("train", "validation", "test") for what in ("images", "labels")]
# torchvision's classes of images with one label each
TORCHVISION = ["CIFAR10", "CIFAR100", "Country211", "DTD", "EMNIST", "EuroSAT", "FGVCAircraft", "FashionMNIST", "Flowers102"]
TORCHVISION += ["Food101", "GTSRB", "Imagenette", "KMNIST", "MNIST", "OxfordIIITPet", "PCAM", "QMNIST", "RenderedSST2", "SEMEION"]
TORCHVISION += ["STL10", "SVHN", "StanfordCars", "USPS"]
MONITORS = [f"validation/{name}" for name in ("accuracy", "loss", "balanced_accuracy", "macro_f1")]  # losses alone are minimized
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
        "the files' names (of one of the formats) -> published MD5; empty for scikit-learn's digits",
        text="name",
        values="md5",
        most=1_000,
    )
    take: str = value("which training images: all, the first take_n, or take_n per class", choices=["all", "first", "per_class"])
    take_n: int = value("how many, for first (in all) and per_class (of each); 0 with all", ge=0, le=COUNT)
    validation: float = value("share of the training images kept for validation", gt=0, lt=1)
    split: str = value(
        "how validation is chosen: stratified by label (seeded), or the last in file order", choices=["stratified", "last"]
    )
    seed: int = value("of every draw made on the data: the subset and the split", **SEEDS)

    @property
    def rule(self) -> str:
        """How a picture is brought to height x width (data.own.picture): mnist for gray digits, else pad; an own set says it."""
        return "mnist" if self.channels == 1 and self.classes == [str(digit) for digit in range(10)] else "pad"

    def disagreements(self) -> Iterator[str]:
        if (self.take == "all") != (self.take_n == 0):
            yield f"data.take is {self.take} and data.take_n is {self.take_n}: take_n is 0 with all, and at least 1 otherwise"
        if len(self.classes) < 2:
            yield f"data.classes has {len(self.classes)} entries, expected at least 2"
        if twice := [name for name, count in Counter(self.classes).items() if count > 1]:
            yield f"data.classes names {short(twice[0])} more than once: each label needs a name of its own"
        yield from self.faults_of_files()

    def faults_of_files(self) -> Iterator[str]:
        # Before anything is downloaded or made: under other names it would not be read, and another data set's would.
        expected = {*formats.nearest(self.files).published}
        if self.files and self.files.keys() != expected:
            other = sorted(self.files.keys() - expected)
            what = f"names {', '.join(other)}" if other else f"lacks {', '.join(sorted(expected - self.files.keys()))}"
            nearest_first = sorted(formats.FORMATS.items(), key=lambda format: {*format[1].published} != expected)
            known = [f"{', '.join(format.published)} ({name})" for name, format in nearest_first]
            yield (
                f"data.files {what}, expected exactly {', or '.join(known)}, which is what preprocess reads: give your files "
                "these names (a data set whose `defaults` name another one has that one's too, as mappings are merged)"
            )
        if not self.files and (self.name, self.folder) != DIGITS:
            name, folder = DIGITS
            yield (
                f"data.files is empty with data.name {self.name!r} and data.folder {self.folder!r}: only scikit-learn's digits "
                f"(name {name}, folder {folder}) come without files. Name the files of {self.name} with their MD5, "
                "or choose data=digits"
            )


@dataclass
class Own(Data):
    """Images as they come: a user's own, read where they lie (`filterlab data add` writes the option), or an archive's."""

    source: str = value("what lies at path", choices=SOURCES)
    path: str = value(
        "the folder or file that holds the images, from the root; of files that are fetched, one of them", text="path"
    )
    fit: str = value(
        "how a picture is brought to height x width: pad keeps all of it, crop fills the whole, mnist finds a digit's ink",
        choices=["pad", "crop", "mnist"],
    )
    on_broken: str = value("what a picture that can't be read does: stop, or skip and be counted", choices=["stop", "skip"])
    test: float = value(
        "share of the images kept apart for the test, seeded and stratified; 0: the source says which", ge=0, lt=1
    )
    validation: float = value("share of the training images kept for validation; 0: the source says which", ge=0, lt=1)
    roles: dict[str, str] = value(
        "of npz and idx: train_images, train_labels, and the same of validation and test -> the array's or the file's name",
        text="name",
        values="name",
        most=6,
        default={},
    )
    set: str = value("of torchvision: the name of its class, e.g. SVHN", choices=["none", *TORCHVISION], default="none")
    variant: str = value("of torchvision's EMNIST: its split, e.g. letters", text="name", default="none")
    transpose: bool = value("of all but pictures: whether the images' rows and columns are exchanged, as EMNIST's", default=False)

    @property
    def rule(self) -> str:
        return self.fit

    def faults_of_files(self) -> Iterator[str]:
        if self.fit == "mnist" and self.channels != 1:
            yield f"data.fit is mnist and data.channels is {self.channels}: ink has no colour, which channels: 1 says"
        if self.files and self.path not in self.files:
            yield f"data.path is {short(self.path)}, expected one of data.files, which are fetched: {', '.join(self.files)}"
        if self.mirrors and not self.files:
            yield f"data.mirrors are of files that are fetched, and {self.name} is read at data.path: leave them empty"
        if self.channels not in (1, 3):
            yield f"data.channels is {self.channels}, expected 1 (gray) or 3 (red, green, blue) with data.source {self.source}"
        if (self.source == "torchvision") != (self.set != "none"):
            yield f"data.source is {self.source} and data.set is {self.set}: a set is torchvision's, which needs one"
        if (self.set == "EMNIST") != (self.variant != "none"):
            yield f"data.set is {self.set} and data.variant is {self.variant}: EMNIST alone has variants, and needs one"
        if unknown := sorted(self.roles.keys() - set(ROLES)):
            yield f"data.roles: {unknown_key(unknown[0], ROLES)}"
        if self.source in ("npz", "idx") and (missing := [role for role in ROLES[:2] if role not in self.roles]):
            yield f"data.roles lacks {' and '.join(missing)}, expected the names of what data.source {self.source} reads"


@dataclass
class Trainer(Section):
    accelerator: str = value("where to compute; auto takes a GPU if there is one", choices=["auto", "cpu", "gpu"])
    devices: int = value("how many processes or GPUs", ge=1, le=1024)
    strategy: str = value("auto is one process; ddp one per device", choices=["auto", "ddp"])
    precision: str = value(
        "auto is bf16 where the processor has it in hardware, else 32; tf32 is a GPU's", choices=["auto", "32", "tf32", "bf16"]
    )
    channels_last: bool = value("memory layout of images and filters; faster convolutions")
    threads: int = value("CPU threads; 0 is one per core", ge=0, le=1024)
    max_epochs: int = value("passes over the training images, at most", ge=1, le=1_000_000)
    batch_size: int = value("images per step, over all devices", ge=1, le=COUNT)
    scaling: str = value(
        "of the pixels: unit is [0, 1]; standard has mean 0, variance 1 over the training images", choices=["unit", "standard"]
    )
    label_smoothing: float = value("probability taken from the true class and spread over all", ge=0, lt=1)
    monitor: str = value("the validation metric that chooses the epoch", choices=MONITORS)
    patience: int = value("epochs without a better one before training stops; max_epochs or more never stops", ge=1, le=1_000_000)
    checkpoint_seconds: float = value(
        "seconds between two checkpoints within an epoch; every epoch ends with one; 0 is as often as the disk takes them",
        ge=0,
        le=86_400,
    )
    checkpoints: str = value(
        "where they are kept: nothing is checkpoints/ here; a bucket keeps them off this machine", text="bucket"
    )
    compile: bool = value(
        "by torch.compile: some minute at the start, and faster steps on a GPU that waits for its program",
        default=False,
        later=True,
    )
    balance: str = value(
        "what rare classes are given: none; weights in the loss, inverse to the number of their images; or sampling: an epoch "
        "has as many images of each class",
        default="none",
        later=True,
        choices=["none", "weights", "sampling"],
    )

    def disagreements(self) -> Iterator[str]:
        if self.strategy == "auto" and self.devices > 1:
            yield f"trainer.devices is {self.devices} and trainer.strategy is auto: more than one device needs strategy ddp"
        if self.batch_size < self.devices:
            yield f"trainer.batch_size is {self.batch_size}, expected at least one image for each of {self.devices} devices"


@dataclass
class Tracking(Section):
    backend: str = value(
        "local: mlflow.db at the root; server: uri (or MLFLOW_TRACKING_URI); offline: spool/ alone, for `filterlab sync`; "
        "off: nothing is logged",
        choices=["local", "server", "offline", "off"],
    )
    uri: str = value("of the server, e.g. http://127.0.0.1:5000; empty: MLFLOW_TRACKING_URI names it", text="server")
    experiment: str = value("MLflow experiment that holds the runs", text="name")
    system_metrics: bool = value("sample processor, memory, disk, network (and GPU memory) during training")
    require: bool = value("train only where the store answers; otherwise what it has not got waits in spool/")
    patience: float = value("seconds at the end for a store that does not answer", ge=0.0, le=3600.0)

    def disagreements(self) -> Iterator[str]:
        if self.backend == "offline" and self.require:
            yield "tracking.require is true and tracking.backend is offline, where no store is asked"
        if self.backend not in ("server", "offline") and self.uri:
            yield f"tracking.uri is {self.uri!r} and tracking.backend is {self.backend}: a uri needs tracking=server"


@dataclass
class Config(Section):
    experiment: str = value("the file of conf/experiment/ that was chosen, or none", text="name")
    data: Data = value("the images")
    model: Model = value("the network")
    optimizer: Optimizer = value("how its weights are changed")
    schedule: Schedule = value("of the learning rate")
    augment: Augment = value("of the training images")
    trainer: Trainer = value("how it is trained, and on what")
    tracking: Tracking = value("where runs are kept")
    seed: int = value("of the weights, the order of the batches, the augmentation and dropout", **SEEDS)


# The sections that decide a training, beside its data and the code: its keys are made of them, and dvc.yaml's train names them.
TRAINING = ["model", "optimizer", "schedule", "augment", "trainer", "seed"]
# What in them changes no bit of its outcome: it is in no key, in no run's name, and dvc.yaml's train leaves it out.
INDIFFERENT = ["trainer.checkpoint_seconds", "trainer.checkpoints"]

# family name -> schema, for each config group; one entry where the group's options share a schema. Their `name` says which, but
# for data: those that say a `source` are a user's own.
FAMILIES: dict[str, dict[str, type]] = {
    "data": {"files": Data, "own": Own},
    "model": {**ARCHITECTURES},
    "optimizer": declared.settings(optimizers.NAMES, base=Optimizer, method="build"),
    "schedule": declared.settings(schedules.NAMES, base=Schedule, method="build"),
    "augment": declared.settings(augment.NAMES, base=Augment, method="build"),
    "trainer": {"trainer": Trainer},
    "tracking": {"tracking": Tracking},
}

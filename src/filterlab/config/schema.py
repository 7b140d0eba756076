"""Types, units and bounds of every value. The values themselves stand in conf/, each once.

Subclasses of Model, Optimizer, Schedule and Augment are told apart by `name`, which is the option's family
(the architecture, the algorithm), while the file in conf/ is one setting of it.
"""

from dataclasses import dataclass
from typing import NamedTuple

from omegaconf import MISSING

from filterlab.config.section import COUNT, SEEDS, SIDE, Section, value


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
class Model(Section):
    name: str = value("the architecture: a key of filterlab.models.registry", text="name")


@dataclass
class Softmax(Model):
    pass


ACTIVATIONS = ["relu", "leaky_relu", "elu", "gelu", "tanh", "sigmoid", "identity"]


@dataclass
class MLP(Model):
    hidden: list[int] = value("width of each hidden layer, in units; [] gives softmax regression", ge=1, le=COUNT, most=1_000)
    activation: str = value("after each hidden layer", choices=ACTIVATIONS)


@dataclass
class TutorialCNN(Model):
    filters: int = value("of both convolutions (the lecture tries 8, 16, 32)", ge=1, le=COUNT)
    kernel: int = value("side of the first convolution's filters, in pixels (the lecture tries 3, 9, 16)", ge=1, le=SIDE)


@dataclass
class LeNet5(Model):
    activation: str = value("after each layer but the last", choices=ACTIVATIONS)


@dataclass
class ConvLayer(Section):
    """One layer of a ConvNet, in the order convolution, batch norm, activation, pooling, dropout.

    The only defaults outside conf/: elements of a list have no file of their own there.
    """

    filters: int = value("number of filters", ge=1, le=COUNT)
    kernel: int = value("side of the filters, in pixels", ge=1, le=SIDE)
    stride: int = value("of the convolution, in pixels", default=1, ge=1, le=SIDE)
    padding: int = value("zeros added on each side, in pixels", default=0, ge=0, le=SIDE)
    batch_norm: bool = value("normalise over the batch before the activation", default=False)
    activation: str = value("after the convolution", default="relu", choices=ACTIVATIONS)
    pool: int = value("side and stride of the max pooling, in pixels; 1 is none", default=1, ge=1, le=SIDE)
    dropout: float = value("probability of dropping a unit", default=0.0, ge=0, lt=1)


@dataclass
class ConvNet(Model):
    layers: list[ConvLayer] = value("the convolutions, from the image up", most=1_000)
    head: str = value("how the last maps become a vector", choices=["flatten", "global_max", "global_average"])
    hidden: list[int] = value("widths of dense ReLU layers before the last, in units", ge=1, le=COUNT, most=1_000)
    dropout: float = value("probability of dropping a unit before the last layer", ge=0, lt=1)


@dataclass
class ResNet(Model):
    depth: int = value("number of weighted layers: 6n + 2", ge=8, le=1202)
    width: int = value("filters of the first of the three groups; the others have twice and four times as many", ge=1, le=COUNT)
    residual: bool = value("add each block's input to its output")


@dataclass
class Optimizer(Section):
    name: str = value("the algorithm", text="name")
    lr: float = value("learning rate (of the one-cycle schedule: its peak)", ge=1e-30, le=1e6)
    weight_decay: float = value("L2 penalty (adamw: decoupled)", ge=0, le=1e6)


@dataclass
class SGD(Optimizer):
    momentum: float = value("share of the last step kept", ge=0, lt=1)
    nesterov: bool = value("look ahead before the gradient is taken; needs momentum > 0")


@dataclass
class Adam(Optimizer):
    beta1: float = value("decay of the mean gradient", ge=0, lt=1)
    beta2: float = value("decay of the mean squared gradient", ge=0, lt=1)
    eps: float = value("added to the denominator", ge=1e-30, le=1)


@dataclass
class AdamW(Adam):
    pass


@dataclass
class Adadelta(Optimizer):
    rho: float = value("decay of the running averages", ge=0, lt=1)
    eps: float = value("added to the denominators", ge=1e-30, le=1)


@dataclass
class Schedule(Section):
    name: str = value("how the learning rate moves over the training", text="name")


@dataclass
class Constant(Schedule):
    pass


@dataclass
class OneCycle(Schedule):
    warmup: float = value("share of the steps spent rising to lr", gt=0, lt=1)
    start_div: float = value("the first learning rate is lr / start_div", gt=1, le=1e12)
    end_div: float = value("the last learning rate is lr / (start_div * end_div)", gt=1, le=1e12)


@dataclass
class Cosine(Schedule):
    warmup: float = value("share of the steps spent rising linearly to lr", ge=0, lt=1)
    floor: float = value("the last learning rate, as a share of lr", ge=0, le=1)


@dataclass
class Step(Schedule):
    every: int = value("epochs between two drops", ge=1, le=COUNT)
    factor: float = value("the learning rate is multiplied by this at each drop", gt=0, le=1)


@dataclass
class Augment(Section):
    name: str = value("how training images are varied, a whole batch at a time", text="name")


@dataclass
class NoAugment(Augment):
    pass


@dataclass
class Shift(Augment):
    pixels: int = value("largest shift in each direction, in whole pixels; zeros come in", ge=1, le=SIDE)


@dataclass
class Affine(Augment):
    degrees: float = value("largest rotation either way, in degrees", ge=0, le=180)
    pixels: float = value("largest shift in each direction, in pixels", ge=0, le=SIDE)
    scale: float = value("largest change of size: factors in [1 - scale, 1 + scale]", ge=0, lt=1)


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
    "model": {
        "softmax": Softmax,
        "mlp": MLP,
        "tutorial_cnn": TutorialCNN,
        "lenet5": LeNet5,
        "conv_net": ConvNet,
        "cnn": ConvNet,  # the default network goes by a name of its own in figures and runs
        "resnet": ResNet,
    },
    "optimizer": {"sgd": SGD, "adam": Adam, "adamw": AdamW, "adadelta": Adadelta},
    "schedule": {"constant": Constant, "one_cycle": OneCycle, "cosine": Cosine, "step": Step},
    "augment": {"none": NoAugment, "shift": Shift, "affine": Affine},
    "trainer": {"trainer": Trainer},
    "tracking": {"tracking": Tracking},
}

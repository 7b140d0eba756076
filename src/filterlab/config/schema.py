"""Types, units and bounds of every value. The values themselves stand in conf/, each once.

Subclasses of Model, Optimizer, Schedule and Augment are told apart by `name`, which is the option's family
(the architecture, the algorithm), while the file in conf/ is one setting of it.
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING


def value(doc: str, *, default: Any = MISSING, **bounds: Any) -> Any:
    """A field with its meaning and its bounds: any of ge, gt, le, lt, choices; on a list they hold for each element."""
    return field(default=default, metadata={"doc": doc, **bounds})


class Section:
    """Frozen once made: each attribute is set by the constructor and never again.

    (dataclass(frozen=True) would do, but OmegaConf then refuses to merge conf/ into it.)
    """

    def __setattr__(self, name: str, new: Any) -> None:
        if name in self.__dict__:
            raise dataclasses.FrozenInstanceError(f"cannot change {name}: a configuration is frozen once loaded")
        super().__setattr__(name, new)


@dataclass
class Data(Section):
    name: str = value("the data set, as figures, metrics and runs name it")
    folder: str = value("folder below data/raw, laid out as torchvision's class of that name expects")
    classes: list[str] = value("a name for each label, in the order of the labels")
    channels: int = value("of an image", ge=1)
    height: int = value("of an image, in pixels", ge=8)
    width: int = value("of an image, in pixels", ge=8)
    mirrors: list[str] = value("URLs of folders that hold the files, tried in this order")
    files: dict[str, str] = value("file name -> published MD5; empty where the data come with a library")
    take: str = value("which training images: all, the first take_n, or take_n per class", choices=["all", "first", "per_class"])
    take_n: int = value("how many, for first (in all) and per_class (of each); 0 with all", ge=0)
    validation: float = value("share of the training images kept for validation", gt=0, lt=1)
    split: str = value(
        "how validation is chosen: stratified by label (seeded), or the last in file order", choices=["stratified", "last"]
    )
    seed: int = value("of every draw made on the data: the subset and the split", ge=0)


@dataclass
class Model(Section):
    name: str = value("the architecture: a key of filterlab.models.registry")


@dataclass
class Softmax(Model):
    pass


ACTIVATIONS = ["relu", "leaky_relu", "elu", "gelu", "tanh", "sigmoid", "identity"]


@dataclass
class MLP(Model):
    hidden: list[int] = value("width of each hidden layer, in units; [] gives softmax regression", ge=1)
    activation: str = value("after each hidden layer", choices=ACTIVATIONS)


@dataclass
class TutorialCNN(Model):
    filters: int = value("of both convolutions (the lecture tries 8, 16, 32)", ge=1)
    kernel: int = value("side of the first convolution's filters, in pixels (the lecture tries 3, 9, 16)", ge=1)


@dataclass
class LeNet5(Model):
    activation: str = value("after each layer but the last", choices=ACTIVATIONS)


@dataclass
class ConvLayer(Section):
    """One layer of a ConvNet, in the order convolution, batch norm, activation, pooling, dropout.

    The only defaults outside conf/: elements of a list have no file of their own there.
    """

    filters: int = value("number of filters", ge=1)
    kernel: int = value("side of the filters, in pixels", ge=1)
    stride: int = value("of the convolution, in pixels", default=1, ge=1)
    padding: int = value("zeros added on each side, in pixels", default=0, ge=0)
    batch_norm: bool = value("normalise over the batch before the activation", default=False)
    activation: str = value("after the convolution", default="relu", choices=ACTIVATIONS)
    pool: int = value("side and stride of the max pooling, in pixels; 1 is none", default=1, ge=1)
    dropout: float = value("probability of dropping a unit", default=0.0, ge=0, lt=1)


@dataclass
class ConvNet(Model):
    layers: list[ConvLayer] = value("the convolutions, from the image up")
    head: str = value("how the last maps become a vector", choices=["flatten", "global_max", "global_average"])
    hidden: list[int] = value("widths of dense ReLU layers before the last, in units", ge=1)
    dropout: float = value("probability of dropping a unit before the last layer", ge=0, lt=1)


@dataclass
class ResNet(Model):
    depth: int = value("number of weighted layers: 6n + 2", ge=8)
    width: int = value("filters of the first of the three groups; the others have twice and four times as many", ge=1)
    residual: bool = value("add each block's input to its output")


@dataclass
class Optimizer(Section):
    name: str = value("the algorithm")
    lr: float = value("learning rate (of the one-cycle schedule: its peak)", gt=0)
    weight_decay: float = value("L2 penalty (adamw: decoupled)", ge=0)


@dataclass
class SGD(Optimizer):
    momentum: float = value("share of the last step kept", ge=0, lt=1)
    nesterov: bool = value("look ahead before the gradient is taken; needs momentum > 0")


@dataclass
class Adam(Optimizer):
    beta1: float = value("decay of the mean gradient", ge=0, lt=1)
    beta2: float = value("decay of the mean squared gradient", ge=0, lt=1)
    eps: float = value("added to the denominator", gt=0)


@dataclass
class AdamW(Adam):
    pass


@dataclass
class Adadelta(Optimizer):
    rho: float = value("decay of the running averages", ge=0, lt=1)
    eps: float = value("added to the denominators", gt=0)


@dataclass
class Schedule(Section):
    name: str = value("how the learning rate moves over the training")


@dataclass
class Constant(Schedule):
    pass


@dataclass
class OneCycle(Schedule):
    warmup: float = value("share of the steps spent rising to lr", gt=0, lt=1)
    start_div: float = value("the first learning rate is lr / start_div", gt=1)
    end_div: float = value("the last learning rate is lr / (start_div * end_div)", gt=1)


@dataclass
class Cosine(Schedule):
    warmup: float = value("share of the steps spent rising linearly to lr", ge=0, lt=1)
    floor: float = value("the last learning rate, as a share of lr", ge=0, le=1)


@dataclass
class Step(Schedule):
    every: int = value("epochs between two drops", ge=1)
    factor: float = value("the learning rate is multiplied by this at each drop", gt=0, le=1)


@dataclass
class Augment(Section):
    name: str = value("how training images are varied, a whole batch at a time")


@dataclass
class NoAugment(Augment):
    pass


@dataclass
class Shift(Augment):
    pixels: int = value("largest shift in each direction, in whole pixels; zeros come in", ge=1)


@dataclass
class Affine(Augment):
    degrees: float = value("largest rotation either way, in degrees", ge=0, le=180)
    pixels: float = value("largest shift in each direction, in pixels", ge=0)
    scale: float = value("largest change of size: factors in [1 - scale, 1 + scale]", ge=0, lt=1)


@dataclass
class Trainer(Section):
    accelerator: str = value("where to compute; auto takes a GPU if there is one", choices=["auto", "cpu", "gpu"])
    devices: int = value("how many processes or GPUs", ge=1)
    strategy: str = value("auto is one process; ddp one per device", choices=["auto", "ddp"])
    precision: str = value("auto is bf16 where the processor has it in hardware, else 32", choices=["auto", "32", "bf16"])
    channels_last: bool = value("memory layout of images and filters; faster convolutions")
    threads: int = value("CPU threads; 0 is one per core", ge=0)
    max_epochs: int = value("passes over the training images, at most", ge=1)
    batch_size: int = value("images per step, over all devices", ge=1)
    scaling: str = value(
        "of the pixels: unit is [0, 1]; standard has mean 0, variance 1 over the training images", choices=["unit", "standard"]
    )
    label_smoothing: float = value("probability taken from the true class and spread over all", ge=0, lt=1)
    monitor: str = value("the validation metric that chooses the epoch", choices=["validation/accuracy", "validation/loss"])
    patience: int = value("epochs without a better one before training stops; max_epochs or more never stops", ge=1)


@dataclass
class Tracking(Section):
    backend: str = value(
        "local: mlflow.db at the root; server: uri (or MLFLOW_TRACKING_URI); off: nothing is logged",
        choices=["local", "server", "off"],
    )
    uri: str = value("of the server, e.g. http://127.0.0.1:5000; empty: MLFLOW_TRACKING_URI names it")
    experiment: str = value("MLflow experiment that holds the runs")
    system_metrics: bool = value("sample processor, memory, disk, network (and GPU) during training")


@dataclass
class Config(Section):
    experiment: str = value("the file of conf/experiment/ that was chosen, or none")
    data: Data = MISSING
    model: Model = MISSING
    optimizer: Optimizer = MISSING
    schedule: Schedule = MISSING
    augment: Augment = MISSING
    trainer: Trainer = MISSING
    tracking: Tracking = MISSING
    seed: int = value("of the weights, the order of the batches, the augmentation and dropout", ge=0)


# family name -> schema, a menu each; one entry where the menu's options share a schema
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

"""Batches as slices of the images, on the device that trains: what Lightning iterates over."""

from collections.abc import Callable, Iterator
from typing import Any

import pytorch_lightning as pl
import torch

from filterlab.config import schema
from filterlab.data.arrays import LabelledImages
from filterlab.data.augment import Variation

Batch = tuple[torch.Tensor, torch.Tensor]  # images (N, C, H, W) uint8, labels (N,) int64


class Batches:
    """An epoch of batches, on the device where the labels are; each rank of `world` takes its share of each batch.

    Images that lie elsewhere come to it batch by batch, while it computes with those before.

    Without an `epoch` the order is the file's. With one, it is drawn anew for each epoch from (seed, epoch), so that a
    training that is resumed at an epoch sees what it would have seen. Within an epoch, `state_dict` is where this rank's share
    stands, and after `load_state_dict` the next iteration goes on from there.

    balanced: an epoch has as many images of each class (see `balanced_order`) instead of each image once.
    """

    def __init__(
        self,
        images: torch.Tensor,
        labels: torch.Tensor,
        *,
        batch_size: int,
        seed: int = 0,
        epoch: Callable[[], int] | None = None,
        vary: Variation | None = None,
        balanced: bool = False,
        rank: int = 0,
        world: int = 1,
    ):
        self.images, self.labels, self.batch_size = images, labels, batch_size
        self.seed, self.epoch, self.vary = seed, epoch, vary
        self.balanced, self.rank, self.world = balanced, rank, world
        self.cut, self.draws = 0, torch.Generator(labels.device)  # batches so far; what varies them, as far as it is drawn from
        self.resumed: dict[str, Any] = {}

    def state_dict(self) -> dict[str, Any]:
        return {"cut": self.cut, "draws": self.draws.get_state(), "device": self.draws.device.type}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.cut = state["cut"]
        self.resumed = state if self.cut < len(self) else {}  # the next epoch begins at its beginning

    def __len__(self) -> int:
        full, rest = divmod(len(self.images), self.batch_size)
        # A last batch with less than two images for each rank joins the one before: batch norm of 1x1 maps has no variance then.
        return full + (rest >= 2 * self.world) or 1

    def size(self, index: int) -> int:
        """Images in batch `index`, over all ranks."""
        return len(self.images) - index * self.batch_size if index == len(self) - 1 else self.batch_size

    def __iter__(self) -> Iterator[Batch]:
        n, device, home = len(self.images), self.labels.device, self.images.device
        resumed, self.resumed = self.resumed, {}
        order = torch.arange(n)
        if self.epoch is not None:
            draw = generator(self.seed, self.epoch(), 0, device="cpu")
            self.draws = generator(self.seed, self.epoch(), 1 + self.rank, device=device)
            order = balanced_order(self.labels.cpu(), draw) if self.balanced else torch.randperm(n, generator=draw)
        if resumed and resumed["device"] == device.type:  # another one's generator draws other numbers
            self.draws.set_state(resumed["draws"])
        order, rows = order.to(device), order.to(home)
        for index in range(resumed.get("cut", 0), len(self)):
            first = index * self.batch_size
            whole = slice(first, first + self.size(index))
            images = self.images[rows[whole][self.rank :: self.world]]
            if home != device:
                images = images.pin_memory().to(device, non_blocking=True)
            if self.epoch is not None and self.vary is not None:
                images = self.vary(images, self.draws)
            self.cut = index + 1
            yield images, self.labels[order[whole][self.rank :: self.world]]


def balanced_order(labels: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """As many places as there are labels, in a random order: of each class as many, and within a class each image as often, but
    for one more of some, which are drawn.
    """
    classes = labels.unique()
    least, more = divmod(len(labels), len(classes))
    chosen = []
    for rank, label in zip(torch.randperm(len(classes), generator=draw).tolist(), classes, strict=True):
        places = (labels == label).nonzero().flatten()
        wanted = least + (rank < more)
        rounds = [places[torch.randperm(len(places), generator=draw)] for _ in range(-(-wanted // len(places)))]
        chosen.append(torch.cat(rounds)[:wanted])
    return torch.cat(chosen)[torch.randperm(len(labels), generator=draw)]


def class_weights(labels: torch.Tensor, *, classes: int) -> torch.Tensor:
    """(classes,) float32: of each class inverse to the number of its images, whose mean weight is 1; 0 where there is none."""
    counts = torch.bincount(labels, minlength=classes)
    return torch.where(counts > 0, len(labels) / (counts * (counts > 0).sum()), 0).float()


def generator(*key: int, device: torch.device | str) -> torch.Generator:
    """A generator of its own for each key, e.g. (seed, epoch, purpose): the key's numbers are mixed by SplitMix64.

    Source of the mixing: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    return torch.Generator(device=device).manual_seed(mix(*key))


def mix(*key: int) -> int:
    """A number in [0, 2^63) for each key; see generator."""
    state, mask = 0, (1 << 64) - 1
    for number in key:
        state = (state ^ number) + 0x9E3779B97F4A7C15 & mask
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & mask
        state = (state ^ state >> 27) * 0x94D049BB133111EB & mask
        state ^= state >> 31
    return state >> 1


def has_room(device: torch.device, size: int) -> bool:
    """Whether images of `size` bytes stay on the device: on a GPU, in half of what is free, since the network needs the rest."""
    return device.type != "cuda" or 2 * size <= torch.cuda.mem_get_info(device)[0]


class ImageData(pl.LightningDataModule):
    """Training and validation images: on the device that trains, or where it has no room for them, mapped or in memory."""

    def __init__(self, train: LabelledImages, validation: LabelledImages, *, config: schema.Config):
        super().__init__()
        self.parts = {"train": train, "validation": validation}
        self.config = config

    def setup(self, stage: str) -> None:
        device = self.trainer.strategy.root_device
        self.tensors = {}
        for part, arrays in self.parts.items():
            images, labels = torch.from_numpy(arrays.images), torch.from_numpy(arrays.labels)
            place = device if has_room(device, images.nbytes) else images.device
            self.tensors[part] = images.to(place), labels.to(device, torch.int64)

    def train_dataloader(self) -> Batches:
        images, labels = self.tensors["train"]
        return Batches(
            images,
            labels,
            batch_size=self.config.trainer.batch_size,
            seed=self.config.seed,
            epoch=lambda: self.trainer.current_epoch,
            vary=self.config.augment.build(),
            balanced=self.config.trainer.balance == "sampling",
            rank=self.trainer.global_rank,
            world=self.trainer.world_size,
        )

    def val_dataloader(self) -> Batches:
        images, labels = self.tensors["validation"]
        # Without gradients four times the batch takes no more memory, and fewer steps take less time.
        size = 4 * self.config.trainer.batch_size
        return Batches(images, labels, batch_size=size, rank=self.trainer.global_rank, world=self.trainer.world_size)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        return batch  # it is there

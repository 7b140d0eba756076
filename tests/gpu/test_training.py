"""Training on a GPU: what it learns, its bits, its precision, its memory, and where its data are."""

import os
import statistics
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning.callbacks import Callback

from filterlab.errors import UserError
from filterlab.training import fit as fitting

pytestmark = pytest.mark.gpu
ROOT = Path(__file__).parents[2]
CPU = 99.55  # %, mean of three seeds on the test set: docs/benchmarks.md
FEW = ["trainer.max_epochs=2", "trainer.patience=2"]


def bits(fitted: Any) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in fitted.predictor.state_dict().items()}


def accuracy(fitted: Any, test: Any) -> float:
    from filterlab.evaluation.predict import predict

    return 100 * float((predict(fitted.predictor, test.images).argmax(axis=1) == test.labels).mean())


def test_the_default_learns_what_it_learns_on_a_cpu(train: Callable, images: Any) -> None:
    fitted = [train(f"seed={seed}") for seed in range(3)]
    assert [each.device for each in fitted] == ["cuda"] * 3
    found = [accuracy(each, images[3]) for each in fitted]
    assert abs(statistics.mean(found) - CPU) <= 0.1, found


@pytest.mark.parametrize("precision", ["32", "tf32", "bf16"])
def test_the_same_seed_gives_the_same_bits(train: Callable, precision: str) -> None:
    first, again, other = (train(f"seed={seed}", f"trainer.precision={precision}", *FEW, few=10_000) for seed in (0, 0, 1))
    assert bits(first) == bits(again) != bits(other)


def rounds() -> set[bool]:
    return {place.allow_tf32 for place in fitting.MULTIPLIES}


class Seen(Callback):
    """The type of what the first layer gives, and how float32 is multiplied."""

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0:
            layer = next(module for module in pl_module.modules() if isinstance(module, torch.nn.Conv2d))
            layer.register_forward_hook(lambda _, __, given: setattr(self, "type", given.dtype))
            self.rounds = rounds()
            drawn = torch.randn(2, 512, 512, generator=torch.Generator("cuda").manual_seed(0), device="cuda")
            with torch.autocast("cuda", enabled=False):
                self.error = float((drawn[0] @ drawn[1] - drawn[0].double() @ drawn[1].double()).abs().max())


@pytest.mark.parametrize(
    ("precision", "expected"),
    [
        ("32", (torch.float32, {False})),
        ("tf32", (torch.float32, {True})),
        ("bf16", (torch.bfloat16, {False})),
    ],
)
def test_it_computes_as_chosen(train: Callable, precision: str, expected: Any) -> None:
    before = rounds()
    seen = Seen()
    fitted = train(f"trainer.precision={precision}", "trainer.max_epochs=1", few=2_000, callbacks=[seen])
    assert (seen.type, seen.rounds) == expected and fitted.precision == precision
    # A product of 512 numbers about 1: float32 has 24 bits of them, TF32 11.
    capable = torch.cuda.get_device_capability() >= (8, 0)
    assert (1e-3 < seen.error < 1) if precision == "tf32" and capable else seen.error < 1e-3
    assert rounds() == before


class Kill(Callback):
    def __init__(self, step: int):
        self.step = step

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("step", [5, 39, 40, 57])
def test_what_was_broken_off_goes_on_to_the_same_bits(train: Callable, step: int) -> None:
    """(An epoch is 40 batches; a checkpoint after each of them that the disk keeps up with.)"""
    settings = [*FEW, "trainer.checkpoint_seconds=0", "model.dropout=0.3"]
    whole = train(*settings, few=10_000)
    with pytest.raises(KeyboardInterrupt):
        train(*settings, few=10_000, folder="broken", callbacks=[Kill(step)])
    assert bits(train(*settings, few=10_000, folder="broken")) == bits(whole)


class Copies(Callback):
    """Counts the copies between the card and the host from the second step of an epoch on, for `steps`."""

    def __init__(self, steps: int):
        self.steps = steps
        kinds = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
        self.profiler = torch.profiler.profile(activities=kinds, acc_events=True)  # (without, it warns)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 1:
            self.profiler.start()
        if batch_idx == 1 + self.steps:
            self.profiler.stop()
            events = self.profiler.events()
            assert events is not None
            on_card = [event.name for event in events if event.device_type == torch.autograd.DeviceType.CUDA]
            assert len(on_card) > 10 * self.steps, "the profiler sees nothing of the card: it may need rights (CUPTI)"
            self.found = {name for name in on_card if name.startswith(("Memcpy DtoH", "Memcpy HtoD"))}


@pytest.mark.parametrize("augment", ["none", "shift", "affine", "photo"])
def test_images_and_their_variations_stay_on_the_card(train: Callable, augment: str) -> None:
    copies = Copies(steps=37)  # of 40: the epoch's sums are read, and checkpoints written, at its end
    train("trainer.max_epochs=1", f"augment={augment}", few=10_000, callbacks=[copies])
    assert copies.found == set()


def test_images_that_the_card_has_no_room_for_come_batch_by_batch(train: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    from filterlab.data import datamodule

    held = train(*FEW, few=5_000)
    monkeypatch.setattr(datamodule, "has_room", lambda device, size: False)
    assert bits(train(*FEW, few=5_000)) == bits(held)


def test_no_memory_left_is_one_sentence(train: Callable) -> None:
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info()
    filled = torch.empty(max(0, free - (1 << 28)), dtype=torch.uint8, device="cuda")
    try:
        with pytest.raises(UserError, match=r"no memory for a step of 32768 images.*trainer\.batch_size=16384"):
            train("trainer.batch_size=32768", "trainer.max_epochs=1")
    finally:
        del filled
        torch.cuda.empty_cache()  # other processes train after this one


def test_a_card_that_is_hidden_is_one_sentence() -> None:
    command = ["filterlab", "train", "trainer=gpu", "data=mnist", "tracking=off"]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 2 and "PyTorch finds 0 GPUs here" in ran.stderr and "Traceback" not in ran.stderr


def test_compiled_it_learns_the_same(train: Callable) -> None:
    """Within what another order of sums makes of two epochs."""
    plain, compiled = (train(*FEW, "trainer.precision=32", f"trainer.compile={how}", few=10_000) for how in ("false", "true"))
    assert [*compiled.predictor.state_dict()] == [*plain.predictor.state_dict()]
    losses = [each.epochs[-1].metrics["validation/loss"] for each in (plain, compiled)]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)


@fitting.own_algorithms()
def test_what_was_trained_on_a_card_is_read_without_one(train: Callable, images: Any) -> None:
    fitted = train(*FEW, few=10_000)
    assert all(tensor.device.type == "cpu" and tensor.is_contiguous() for tensor in fitted.predictor.state_dict().values())
    alone = fitted.predictor(torch.from_numpy(images[3].images[:100])).detach().numpy()
    fitting.allow_tf32([False, False])
    card = fitted.predictor.to("cuda")(torch.from_numpy(images[3].images[:100]).cuda()).detach().cpu().numpy()
    assert np.abs(alone - card).max() < 0.05 and (alone.argmax(axis=1) == card.argmax(axis=1)).mean() > 0.98

"""A whole training: its numbers, its choice of an epoch, its repeatability, and how it ends early or goes on."""

import contextlib
import functools
import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, f1_score, recall_score
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional as F

from filterlab.config import schema
from filterlab.data.arrays import LabelledImages
from filterlab.errors import DataError, UserError
from filterlab.models import registry
from filterlab.models.architectures.conv_net import ConvLayer, ConvNet
from filterlab.models.architectures.softmax import Softmax
from filterlab.training import checkpoints
from filterlab.training import fit as fitting
from filterlab.training.history import Epoch


@pytest.mark.parametrize("monitor", schema.MONITORS)
def test_the_first_best_epochs_weights_come_back_with_their_numbers(
    make_training: Callable, tmp_path: Path, monitor: str
) -> None:
    training = make_training(f"trainer.monitor={monitor}", "trainer.max_epochs=6", "trainer.patience=6", noise=150)
    fitted = training(tmp_path)
    curve = [epoch.metrics[monitor] for epoch in fitted.epochs[1:]]
    best = min(curve) if monitor.endswith("loss") else max(curve)
    assert fitted.best_epoch == 1 + curve.index(best)
    if monitor == "validation/accuracy":
        assert curve.count(best) > 1, "the test needs a tie"
    validation = training.validation
    with torch.inference_mode():
        logits = fitted.predictor(torch.from_numpy(validation.images))
    labels = torch.from_numpy(validation.labels).long()
    metrics = fitted.epochs[fitted.best_epoch].metrics
    assert metrics["validation/loss"] == pytest.approx(float(F.cross_entropy(logits.double(), labels)), rel=1e-6)
    assert metrics["validation/accuracy"] == pytest.approx(float((logits.argmax(dim=1) == labels).double().mean()), abs=1e-12)
    predicted = logits.argmax(dim=1)
    assert metrics["validation/balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, predicted), abs=1e-12)
    assert metrics["validation/macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"), abs=1e-12)
    assert not fitted.predictor.training
    assert (fitted.precision, fitted.device) == ("32", "cpu")
    assert fitted.images == 6 * 203 and fitted.seconds > 0


def test_training_metrics_weigh_every_example_alike(make_training: Callable, tmp_path: Path) -> None:
    """With weights that stand still, the means over uneven batches (203 images in 32s) are the means over all images."""
    training = make_training(
        "optimizer.lr=1e-30",
        "augment=none",
        "trainer.max_epochs=1",
        "trainer.label_smoothing=0.3",
        model=Softmax("softmax"),
    )
    fitted = training(tmp_path)
    with torch.inference_mode():
        logits = fitted.predictor(torch.from_numpy(training.train.images)).double()
    labels, metrics = torch.from_numpy(training.train.labels).long(), fitted.epochs[1].metrics
    assert metrics["train/loss"] == pytest.approx(float(F.cross_entropy(logits, labels)), rel=1e-6)
    assert metrics["train/accuracy"] == pytest.approx(float((logits.argmax(dim=1) == labels).double().mean()), abs=1e-12)


def test_early_stopping_ends_patience_epochs_after_the_best(make_training: Callable, tmp_path: Path) -> None:
    training = make_training("trainer.max_epochs=40", "trainer.patience=2", noise=150)
    fitted = training(tmp_path)
    assert len(fitted.epochs) - 1 == fitted.best_epoch + 2 < 40
    assert [epoch.number for epoch in training.told] == list(range(fitted.best_epoch + 3))
    again = training(tmp_path)  # broken off between the last checkpoint and the end
    assert len(again.epochs) == len(fitted.epochs), "a training that has stopped trains no further"


@pytest.mark.parametrize("threads", [1, 2])
def test_same_seed_same_bits(make_training: Callable, bits_of: Callable, tmp_path: Path, threads: int) -> None:
    # batches of more elements a layer than PyTorch leaves to one thread (32768)
    before = torch.get_num_threads()
    given = ["trainer.max_epochs=2", f"trainer.threads={threads}", "trainer.batch_size=203"]
    runs = [make_training(*given, f"seed={seed}")(tmp_path / str(at)) for at, seed in enumerate([0, 0, 1])]
    assert [run.threads for run in runs] == [threads] * 3
    assert torch.get_num_threads() == before
    assert bits_of(runs[0]) == bits_of(runs[1])
    one, other = (run.predictor.network.state_dict() for run in (runs[0], runs[2]))
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_without_dropout_channels_last_changes_rounding_alone(make_training: Callable, tmp_path: Path) -> None:
    """Seven steps; weights and logits are of the size of 1. (Dropout draws in the order of memory: so others are drawn.)"""
    model = ConvNet("conv_net", [ConvLayer(filters=4, kernel=3, batch_norm=True, pool=2)], "flatten", [], 0.0)
    weights, logits = [], []
    for layout in ("true", "false"):
        training = make_training(f"trainer.channels_last={layout}", "trainer.max_epochs=1", "optimizer=sgd", model=model)
        predictor = training(tmp_path / layout).predictor
        assert all(tensor.is_contiguous() for tensor in predictor.state_dict().values())
        weights.append(predictor.state_dict())
        with torch.inference_mode():
            logits.append(predictor(torch.from_numpy(training.validation.images)))
    torch.testing.assert_close(weights[0], weights[1], rtol=0, atol=1e-5)
    torch.testing.assert_close(logits[0], logits[1], rtol=0, atol=1e-5)


def test_a_class_that_is_absent_from_validation_is_left_out_of_its_means(make_training: Callable, tmp_path: Path) -> None:
    """scikit-learn's means over the classes that have examples; what is called the absent one counts as wrong."""
    training = make_training("trainer.max_epochs=1", "trainer.monitor=validation/macro_f1")
    kept = training.validation.labels < 2
    training.validation = LabelledImages(training.validation.images[kept], training.validation.labels[kept])
    fitted = training(tmp_path)
    with torch.inference_mode():
        predicted = fitted.predictor(torch.from_numpy(training.validation.images)).argmax(dim=1).numpy()
    labels, metrics = training.validation.labels, fitted.epochs[1].metrics
    assert 2 in predicted
    recalls, f1 = (score(labels, predicted, average="macro", labels=[0, 1]) for score in (recall_score, f1_score))
    assert metrics["validation/balanced_accuracy"] == pytest.approx(recalls, abs=1e-12)
    assert metrics["validation/macro_f1"] == pytest.approx(f1, abs=1e-12)


def test_classes_are_weighed_inversely_to_their_images(make_training: Callable, tmp_path: Path) -> None:
    """A step on all images at once is that of the loss whose images weigh as scikit-learn's balanced weights say."""
    given = ["optimizer=sgd", "optimizer.lr=0.5", "schedule=constant", "augment=none", "trainer.max_epochs=1"]
    given += ["trainer.batch_size=203", "trainer.balance=weights", "trainer.label_smoothing=0.2", "optimizer.weight_decay=0"]
    training = make_training(*given, model=Softmax("softmax"))
    images, labels = training.train.images[training.train.labels < 2], training.train.labels[training.train.labels < 2]
    rare = [*range(60), *np.flatnonzero(labels == 1)]
    training.train = LabelledImages(images[rare], labels[rare])
    labels = torch.from_numpy(training.train.labels).long()
    fitted = training(tmp_path)
    network = registry.build(training.model, channels=1, height=8, width=8, classes=3, seed=training.config.seed).double()
    pixels = (torch.from_numpy(training.train.images).double() / 255 - 0.4) / 0.3
    weights = torch.from_numpy(compute_class_weight("balanced", classes=np.arange(2), y=labels.numpy()))
    losses = F.cross_entropy(network(pixels), labels, reduction="none", label_smoothing=0.2) * weights[labels]
    losses.mean().backward()
    assert not math.isclose(*weights.tolist()) and float(weights[labels].mean()) == pytest.approx(1)
    for name, parameter in network.named_parameters():
        stepped = parameter.detach() - 0.5 * (1 + 0.9) * parameter.grad  # Nesterov's first step
        torch.testing.assert_close(fitted.predictor.network.state_dict()[name].double(), stepped, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [202, 101, 2])
def test_a_last_batch_of_one_image_is_trained_on_with_batch_norm_of_single_values(
    make_training: Callable, tmp_path: Path, size: int
) -> None:
    """203 images, maps of 1x1: a batch of one alone would have no variance."""
    model = ConvNet("conv_net", [ConvLayer(filters=4, kernel=8, batch_norm=True)], "flatten", [], 0.0)
    training = make_training(f"trainer.batch_size={size}", "trainer.max_epochs=1", model=model)
    assert training(tmp_path).images == 203
    assert all(torch.isfinite(weight).all() for weight in training(tmp_path).predictor.state_dict().values())


def test_memory_that_is_not_filled_changes_no_bits(make_training: Callable, bits_of: Callable, tmp_path: Path) -> None:
    """Two steps under deterministic algorithms, with PyTorch's filling and without; both settings are given back."""
    memory, before = torch.utils.deterministic, torch.are_deterministic_algorithms_enabled()
    seen = []

    def fills(epoch: Epoch) -> None:
        seen.append((memory.fill_uninitialized_memory, torch.are_deterministic_algorithms_enabled()))
        memory.fill_uninitialized_memory = True

    given = ["trainer.max_epochs=1", "trainer.batch_size=128"]
    bare, filled = make_training(*given)(tmp_path / "bare"), make_training(*given, told_of=fills)(tmp_path / "filled")
    assert seen == [(False, True), (True, True)]
    assert bits_of(bare) == bits_of(filled)
    assert memory.fill_uninitialized_memory and torch.are_deterministic_algorithms_enabled() == before


@pytest.mark.parametrize(
    ("given", "cpu", "expected"), [("32", True, "32"), ("bf16", False, "bf16"), ("auto", True, "bf16"), ("auto", False, "32")]
)
def test_precision_auto_is_what_the_processor_has(
    make_training: Callable, monkeypatch: pytest.MonkeyPatch, given: str, cpu: bool, expected: str
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: cpu)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert fitting.resolve_precision(make_training(f"trainer.precision='{given}'").config.trainer) == expected


def test_bf16_is_reported(make_training: Callable, tmp_path: Path) -> None:
    fitted = make_training("trainer.precision=bf16", "trainer.max_epochs=1")(tmp_path)
    assert fitted.precision == "bf16"
    assert {tensor.dtype for tensor in fitted.predictor.network.parameters()} == {torch.float32}


def test_a_loss_that_is_not_finite_is_an_error(make_training: Callable, tmp_path: Path) -> None:
    training = make_training("optimizer=sgd", "optimizer.lr=1e6", "schedule=constant", "trainer.max_epochs=3")
    with pytest.raises(UserError, match=r"loss of epoch 1 is (nan|inf).*optimizer\.lr \(now 1e\+06\)"):
        training(tmp_path)


def interrupt_at(number: int) -> Callable[[Epoch], None]:
    def told_of(epoch: Epoch) -> None:
        if epoch.number == number:
            raise KeyboardInterrupt

    return told_of


SMALL = ["trainer.max_epochs=4", "trainer.patience=4", "schedule=one_cycle"]


@pytest.fixture(scope="module")
def whole(make_training: Callable, bits_of: Callable, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return bits_of(make_training(*SMALL)(tmp_path_factory.mktemp("whole")))


@pytest.mark.parametrize("number", [0, 1, 3, 4])
def test_an_interrupted_training_goes_on_to_the_same_bits(
    make_training: Callable, bits_of: Callable, tmp_path: Path, whole: bytes, number: int
) -> None:
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        make_training(*SMALL, told_of=interrupt_at(number))(tmp_path)
    assert signal.getsignal(signal.SIGINT) is handler
    assert (tmp_path / f"epoch_{number - 1}.ckpt").exists() == (number > 1)
    training = make_training(*SMALL)
    fitted = training(tmp_path)
    assert bits_of(fitted) == whole
    assert [epoch.number for epoch in training.told] == [0, 1, 2, 3, 4], "what is resumed is said once more"
    assert fitted.images == 4 * 203, "the epochs before the interruption count"


def test_a_trials_checkpoints_do_not_grow_with_its_epochs(make_training: Callable, tmp_path: Path) -> None:
    """Two first layers are kept, after an interruption too; all else is the same."""
    every = make_training(*SMALL)(tmp_path / "every")
    with pytest.raises(KeyboardInterrupt):
        make_training(*SMALL, told_of=interrupt_at(3))(tmp_path / "two", every_first_layer=False)
    fitted = make_training(*SMALL)(tmp_path / "two", every_first_layer=False)
    kept = {each.number for each in fitted.epochs if each.first_layer.numel()}
    assert kept >= {fitted.best_epoch, 4} and len(kept) <= 2
    assert torch.equal(fitted.epochs[fitted.best_epoch].first_layer, every.epochs[every.best_epoch].first_layer)
    assert [each.metrics for each in fitted.epochs] == [each.metrics for each in every.epochs]
    state = checkpoints.read(tmp_path / "two/epoch_4.ckpt")["callbacks"]["History"]
    assert sum(each["first_layer"].numel() > 0 for each in state["epochs"]) <= 2


@contextlib.contextmanager
def cores(number: int) -> Iterator[None]:
    """As on a machine with so many, for what leaves the number of threads to it."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def test_on_other_cores_it_goes_on_by_its_own_threads(make_training: Callable, bits_of: Callable, tmp_path: Path) -> None:
    given = ["trainer.max_epochs=2", "trainer.batch_size=203", "trainer.threads=0"]
    with cores(2):
        two = make_training(*given)(tmp_path / "two")
        with pytest.raises(KeyboardInterrupt):
            make_training(*given, told_of=interrupt_at(2))(tmp_path / "broken")
    with cores(1):
        one = make_training(*given)(tmp_path / "one")
        resumed = make_training(*given)(tmp_path / "broken")
        assert torch.get_num_threads() == 1, "given back"
    assert (one.threads, two.threads, resumed.threads) == (1, 2, 2)
    assert bits_of(resumed) == bits_of(two) != bits_of(one)


def test_a_training_keeps_its_precision_and_says_on_which_devices_it_was(
    make_training: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "resolve_precision", lambda settings: "bf16")
    with pytest.raises(KeyboardInterrupt):
        make_training(*SMALL, told_of=interrupt_at(2))(tmp_path)
    monkeypatch.setattr(fitting, "resolve_precision", lambda settings: "32")
    saved = checkpoints.read(tmp_path / "epoch_1.ckpt")
    saved["callbacks"]["Machine"]["devices"] = ["cuda"]
    with contextlib.closing(checkpoints.DigestedFiles()) as written:
        written.save_checkpoint(saved, tmp_path / "epoch_1.ckpt")
    fitted = make_training(*SMALL)(tmp_path)
    assert (fitted.precision, fitted.device) == ("bf16", "cuda, then cpu")


def test_a_signals_own_end_keeps_its_exit_code(make_training: Callable, tmp_path: Path) -> None:
    """A launcher's handler of SIGTERM may come before Lightning's is there."""

    def told_of(epoch: Epoch) -> None:
        raise SystemExit(143)

    with pytest.raises(SystemExit) as ended:
        make_training(*SMALL, told_of=told_of)(tmp_path)
    assert ended.value.code == 143


def test_a_training_that_is_finished_goes_on_to_the_same_bits(
    make_training: Callable, bits_of: Callable, tmp_path: Path, whole: bytes
) -> None:
    first, again = make_training(*SMALL)(tmp_path), make_training(*SMALL)(tmp_path)
    assert bits_of(first) == bits_of(again) == whole
    assert math.isclose(first.seconds, again.seconds, rel_tol=0.5)


def test_seconds_include_the_last_checkpoint(make_training: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes its time shows in them; where a training goes on, that before the interruption too."""
    with monkeypatch.context() as slow:
        slow.setattr(os, "fsync", lambda file: time.sleep(0.4))
        one = make_training("trainer.max_epochs=1")(tmp_path / "one")
        with pytest.raises(KeyboardInterrupt):
            make_training(*SMALL, told_of=interrupt_at(3))(tmp_path / "broken")
    assert one.seconds > 0.4
    assert make_training(*SMALL)(tmp_path / "broken").seconds > 0.4


@pytest.mark.parametrize("save", range(1, 5))
def test_a_kill_in_the_middle_of_a_checkpoint_leaves_one_to_go_on_from(
    make_training: Callable, bits_of: Callable, tmp_path: Path, ended_while_writing: Callable, whole: bytes, save: int
) -> None:
    with ended_while_writing(save):
        make_training(*SMALL)(tmp_path)
    assert bits_of(make_training(*SMALL)(tmp_path)) == whole


def test_a_full_disk_is_named_and_the_checkpoints_before_are_kept(
    make_training: Callable, bits_of: Callable, tmp_path: Path, file_size_limit: Callable, whole: bytes
) -> None:
    with contextlib.ExitStack() as full:

        def fills(epoch: Epoch) -> None:
            if epoch.number == 3:
                full.enter_context(file_size_limit(1000))

        with pytest.raises(DataError, match=rf"^cannot write {tmp_path}/epoch_3\.ckpt: File too large$"):
            make_training(*SMALL, told_of=fills)(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"epoch_1.ckpt", "epoch_2.ckpt"}
    assert bits_of(make_training(*SMALL)(tmp_path)) == whole


def test_a_training_goes_on_after_its_last_epoch_also_where_no_epoch_was_better(
    make_training: Callable, bits_of: Callable, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Weights that stand still: the first epoch is the best, and the checkpoints kept are its own and the last two."""
    still = ["optimizer.lr=1e-30", "trainer.max_epochs=6", "trainer.patience=6"]
    make_training = functools.partial(make_training, *still, model=Softmax("softmax"))
    whole = make_training()(tmp_path / "whole")
    assert whole.best_epoch == 1
    with pytest.raises(KeyboardInterrupt):
        make_training(told_of=interrupt_at(6))(tmp_path / "broken")
    assert {path.name for path in (tmp_path / "broken").iterdir()} == {"epoch_1.ckpt", "epoch_4.ckpt", "epoch_5.ckpt"}
    assert bits_of(make_training()(tmp_path / "broken")) == bits_of(whole)
    assert "goes on after epoch 5\n" in capsys.readouterr().out


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damaged", "goes_on"),
    [([3], "goes on after epoch 2"), ([2, 3], "the training begins anew"), ([2], "goes on after epoch 3")],
    ids=["last", "both", "one before"],
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(
    make_training: Callable,
    bits_of: Callable,
    tmp_path: Path,
    whole: bytes,
    damaged: list[int],
    goes_on: str,
    capsys: pytest.CaptureFixture,
) -> None:
    """The best epoch so far is the third: the damage of the second alone shows only where it would be used."""
    with pytest.raises(KeyboardInterrupt):
        make_training(*SMALL, told_of=interrupt_at(4))(tmp_path)
    assert checkpoints.read(tmp_path / "epoch_3.ckpt")["callbacks"]["KeptCheckpoints"]["best_epoch"] == 3
    (tmp_path / "epoch_1.ckpt").unlink(missing_ok=True)
    for epoch in damaged:
        flipped(tmp_path / f"epoch_{epoch}.ckpt")
    capsys.readouterr()
    assert bits_of(make_training(*SMALL)(tmp_path)) == whole
    printed = capsys.readouterr().out
    assert goes_on in printed
    used = {3} if damaged == [2] else {2} if damaged == [3] else set()
    assert [number for number in damaged if f"{tmp_path}/epoch_{number}.ckpt is damaged" in printed] == (
        [] if used == {3} else damaged
    )


def test_a_checkpoint_whose_best_epoch_is_damaged_is_not_used(
    make_training: Callable, bits_of: Callable, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    still = ["optimizer.lr=1e-30", "trainer.max_epochs=4", "trainer.patience=6"]
    make_training = functools.partial(make_training, *still, model=Softmax("softmax"))
    whole = bits_of(make_training()(tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        make_training(told_of=interrupt_at(4))(tmp_path / "broken")
    flipped(tmp_path / "broken/epoch_1.ckpt")
    assert bits_of(make_training()(tmp_path / "broken")) == whole
    assert "epoch_1.ckpt is damaged" in (printed := capsys.readouterr().out) and "begins anew" in printed


def test_stopped_from_outside(make_training: Callable[..., Callable], tmp_path: Path) -> None:
    """An EpochCallback ends a training after its epoch; at the last epoch there is nothing to end."""
    early = make_training("trainer.max_epochs=4", told_of=lambda epoch: epoch.number == 2)(tmp_path / "early")
    assert early.pruned and [epoch.number for epoch in early.epochs] == [0, 1, 2]
    late = make_training("trainer.max_epochs=2", told_of=lambda epoch: epoch.number == 2)(tmp_path / "late")
    assert not late.pruned and [epoch.number for epoch in late.epochs] == [0, 1, 2]

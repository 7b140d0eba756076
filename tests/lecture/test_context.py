"""Trainings side by side: the same bits as alone, in the order asked, each recorded."""

from pathlib import Path

import numpy as np
import pytest
import torch

from filterlab.data.arrays import LabelledImages
from filterlab.data.idx import read
from filterlab.errors import DataError
from filterlab.lecture import context as contexts
from filterlab.lecture import trainings
from filterlab.lecture.context import Context, Record
from filterlab.lecture.trainings import Job, train_all


def job(context: Context, seed: int, *, test: bool = False) -> Job:
    def part(first: int, last: int) -> LabelledImages:
        return LabelledImages(context.train.images[first:last], context.train.labels[first:last])

    config = context.compose("model=mlp", "model.hidden=[8]", "augment=none", "trainer.max_epochs=2", f"seed={seed}")
    params = {"hidden": 8, "seed": seed}
    return Job(params=params, config=config, train=part(0, 300), validation=part(300, 400), test=part(400, 500) if test else None)


def test_mnist_is_whole_and_in_its_own_order(mnist_root: Path) -> None:
    context = Context(mnist_root, quick=True, record=lambda record: None)
    raw = mnist_root / "data/raw/MNIST/raw"
    for part, name, n in [(context.train, "train", 60_000), (context.test, "t10k", 10_000)]:
        assert part.images.shape == (n, 1, 28, 28)
        np.testing.assert_array_equal(part.images[:, 0], read(raw / f"{name}-images-idx3-ubyte"))
        np.testing.assert_array_equal(part.labels, read(raw / f"{name}-labels-idx1-ubyte"))


def test_missing_data_say_which_stage_makes_them(tmp_path: Path) -> None:
    (tmp_path / "conf").symlink_to(Path(__file__).parents[2] / "conf")
    with pytest.raises(DataError, match="dvc repro download"):
        _ = Context(tmp_path, quick=True, record=lambda record: None).train


def test_jobs_side_by_side_give_the_bits_of_a_job_alone(mnist_root: Path, python: Path) -> None:
    points: list[Record] = []
    context = Context(mnist_root, quick=True, record=points.append)
    jobs = [job(context, 0, test=True), job(context, 1, test=True), job(context, 0, test=True)]
    by_key = train_all(context, dict(zip("abc", jobs, strict=True)))
    outcomes = list(by_key.values())
    assert list(by_key) == ["a", "b", "c"]
    alone = trainings.fit(jobs[1])
    assert [outcome.params for outcome in outcomes] == [given.params for given in jobs]
    weights = [outcome.network.state_dict() for outcome in [*outcomes, alone]]
    for name, tensor in weights[1].items():
        assert torch.equal(tensor, weights[3][name])
        assert torch.equal(weights[0][name], weights[2][name])
    assert outcomes[1].curves == alone.curves and outcomes[0].curves != outcomes[1].curves
    logits, labels = outcomes[1].logits, jobs[1].test.labels  # type: ignore[union-attr]
    assert logits is not None
    assert outcomes[1].test_accuracy == np.count_nonzero(logits.argmax(axis=1) == labels) / 100
    assert [point.params for point in points] == [given.params for given in jobs]
    assert points[1].metrics["test/accuracy"] == outcomes[1].test_accuracy
    assert points[1].metrics["best/validation/accuracy"] == max(points[1].curves["validation/accuracy"])
    assert points[0].name == "hidden=8 seed=0"


def zero(network: torch.nn.Module) -> None:
    first = next(network.parameters())
    torch.nn.init.zeros_(first)
    first.requires_grad_(False)


def test_a_job_may_change_its_network_first(mnist_root: Path) -> None:
    context = Context(mnist_root, quick=True, record=lambda record: None)
    given = job(context, 0)
    changed = trainings.fit(Job(params={}, config=given.config, train=given.train, validation=given.validation, change=zero))
    assert changed.first_layers.shape == (3, 8, 784)  # before training, then two epochs
    assert not changed.first_layers.any() and trainings.fit(given).first_layers[0].any()


def test_what_there_is_of_each_setting_and_seed_becomes_seeds_of_each_setting() -> None:
    assert contexts.by_setting({("a", 0): 1, ("b", 0): 2, ("a", 1): 3}) == {"a": {0: 1, 1: 3}, "b": {0: 2}}


def test_params_yaml_has_no_say(mnist_root: Path) -> None:
    composed = Context(mnist_root, quick=False, record=lambda record: None).compose("model=mlp")
    assert (composed.trainer.accelerator, composed.trainer.threads, composed.trainer.precision) == ("cpu", 1, "32")
    assert (composed.seed, composed.model.name) == (0, "mlp")

"""Batches: each example once, each rank its own, each epoch its own order."""

import itertools

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from filterlab.data.datamodule import Batches, balanced_order, class_weights, generator, mix


def batches(n: int, **kwargs: object) -> Batches:
    """Labels are the places 0..n-1, and each image's only pixel too (modulo 256)."""
    places = torch.arange(n)
    return Batches(places.to(torch.uint8).view(n, 1, 1, 1), places, **kwargs)  # type: ignore[arg-type]


@st.composite
def sizes(draw: st.DrawFn) -> tuple[int, int, int]:
    world = draw(st.integers(1, 5))
    return draw(st.integers(world, 300)), draw(st.integers(world, 70)), world


@settings(deadline=None)
@given(sizes=sizes(), shuffled=st.booleans(), epoch=st.integers(0, 3))
def test_each_example_once_in_an_epoch(sizes: tuple[int, int, int], shuffled: bool, epoch: int) -> None:
    n, batch_size, world = sizes
    shares = [
        batches(n, batch_size=batch_size, epoch=(lambda: epoch) if shuffled else None, rank=rank, world=world)
        for rank in range(world)
    ]
    ranks = [[labels for _, labels in share] for share in shares]
    assert {len(rank) for rank in ranks} == {len(shares[0])}, "every rank takes as many steps"
    for index, parts in enumerate(zip(*ranks, strict=True)):
        counts = [len(part) for part in parts]
        assert min(counts) >= 1 and max(counts) - min(counts) <= 1
        assert sum(counts) == shares[0].size(index)
        if index < len(shares[0]) - 1:
            assert sum(counts) == batch_size
    assert sum(shares[0].size(index) for index in range(len(shares[0]))) == n
    assert shares[0].size(len(shares[0]) - 1) < batch_size + 2 * world
    assert n < 2 * world or batch_size < 2 * world or min(counts) >= 2, "as batch norm of 1x1 maps needs"
    everything = torch.cat([labels for rank in ranks for labels in rank])
    assert torch.equal(everything.sort().values, torch.arange(n))


@given(
    counts=st.lists(st.integers(0, 40), min_size=2, max_size=6).filter(lambda counts: sum(map(bool, counts)) > 1),
    world=st.integers(1, 3),
    epoch=st.integers(0, 3),
)
def test_balanced_epochs_have_as_many_of_each_class(counts: list[int], world: int, epoch: int) -> None:
    """And of a class each image as often; over all ranks, and the same where it goes on within the epoch."""
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    n = len(labels)
    images = torch.arange(n).view(n, 1, 1, 1)

    def share(rank: int) -> Batches:
        given = {"batch_size": 7, "epoch": lambda: epoch, "balanced": True, "rank": rank, "world": world}
        return Batches(images, labels, seed=3, **given)

    ranks = [[*share(rank)] for rank in range(world)]
    drawn = torch.cat([torch.cat([part[0] for part in batches]) for batches in ranks]).flatten()
    assert len(drawn) == n
    by_class = [torch.bincount(labels[drawn], minlength=len(counts))[label] for label, count in enumerate(counts) if count]
    assert max(by_class) - min(by_class) <= 1
    by_image = torch.bincount(drawn, minlength=n)
    for label, count in enumerate(counts):
        assert not count or by_image[labels == label].max() - by_image[labels == label].min() <= 1
    if len(ranks[0]) > 1:
        again = share(0)
        again.load_state_dict({"cut": 1, "draws": torch.Generator().get_state(), "device": "cpu"})
        assert [part[0].flatten().tolist() for part in again] == [part[0].flatten().tolist() for part in ranks[0][1:]]


def test_balanced_epochs_differ_and_repeat() -> None:
    labels = torch.tensor([0] * 30 + [1] * 3)
    orders = [
        balanced_order(labels, generator(seed, epoch, 0, device="cpu")).tolist()
        for seed, epoch in [(0, 0), (0, 0), (0, 1), (1, 0)]
    ]
    assert orders[0] == orders[1] and orders[0] not in orders[2:] and orders[2] != orders[3]


@given(counts=st.lists(st.integers(0, 40), min_size=2, max_size=6).filter(any))
def test_class_weights_are_scikit_learns(counts: list[int]) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    present = np.flatnonzero(counts)
    expected = compute_class_weight("balanced", classes=present, y=labels)
    found = class_weights(torch.from_numpy(labels), classes=len(counts))
    np.testing.assert_allclose(found[present], expected, rtol=1e-6)
    assert not found[np.equal(counts, 0)].any()


def test_a_last_batch_of_less_than_two_images_a_rank_joins_the_one_before() -> None:
    two = batches(11, batch_size=4, world=2)
    assert (len(two), [two.size(0), two.size(1)]) == (2, [4, 7])
    assert [batches(n, batch_size=4).size(1) for n in (9, 10)] == [5, 4] and len(batches(10, batch_size=4)) == 3
    assert len(batches(9, batch_size=1)) == 9


def test_images_and_labels_stay_together() -> None:
    for images, labels in batches(200, batch_size=32, epoch=lambda: 1, seed=5):
        assert torch.equal(images.flatten().to(torch.int64), labels)


def order(seed: int, epoch: int) -> list[int]:
    return torch.cat([labels for _, labels in batches(100, batch_size=32, seed=seed, epoch=lambda: epoch)]).tolist()


def test_order_depends_on_seed_and_epoch_alone() -> None:
    keys = list(itertools.product(range(4), range(4)))
    orders = [tuple(order(*key)) for key in keys]
    torch.rand(3)
    assert orders == [tuple(order(*key)) for key in keys]
    assert len(set(orders)) == len(keys)


def test_without_an_epoch_the_order_is_the_files() -> None:
    assert torch.cat([labels for _, labels in batches(50, batch_size=16)]).tolist() == list(range(50))


def test_variation_draws_anew_for_each_epoch_and_rank_and_repeats() -> None:
    def draws(epoch: int, rank: int) -> list[float]:
        seen: list[float] = []

        def vary(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
            seen.append(float(torch.rand(1, generator=generator)))
            return images

        list(batches(40, batch_size=10, epoch=lambda: epoch, vary=vary, rank=rank, world=2))
        return seen

    keys = [(epoch, rank) for epoch in range(3) for rank in range(2)]
    found = [draws(*key) for key in keys]
    assert found == [draws(*key) for key in keys]
    assert len({number for numbers in found for number in numbers}) == 4 * len(keys)


def splitmix64(state: int) -> int:
    """The first output of the published generator, with 64-bit arithmetic of its own."""

    def wrap(number: int) -> int:
        return number % 2**64

    z = wrap(state + 0x9E3779B97F4A7C15)
    z = wrap((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9)
    z = wrap((z ^ (z >> 27)) * 0x94D049BB133111EB)
    return z ^ (z >> 31)


@given(key=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=4))
def test_mix_is_splitmix64_chained(key: list[int]) -> None:
    state = 0
    for number in key:
        state = splitmix64(state ^ number % 2**64)
    assert mix(*key) == state >> 1


def test_mix_gives_splitmix64s_published_first_output() -> None:
    assert mix(1234567) == 6457827717110365317 >> 1


def test_mix_has_no_collisions_on_a_grid() -> None:
    grid = itertools.product(range(40), range(40), range(-4, 5))
    assert len({mix(*key) for key in grid}) == 40 * 40 * 9

import numpy as np
import pytest

from filterlab.visualization import development


def test_drift_is_the_distance_from_the_start_as_a_share_of_its_length() -> None:
    history = np.zeros((3, 2, 1, 1, 2))
    history[0, 0] = [3.0, 4.0]
    history[1, 0] = [3.0, 9.0]
    history[2, 1] = [0.0, 7.0]  # began as zeros
    assert development.drift(history).tolist() == [[0.0, 0.0], [1.0, 0.0], [1.0, 7.0]]


def test_twins_are_found_whatever_their_length_and_sign_and_however_many_there_are() -> None:
    draw = np.random.default_rng(0)
    weights = draw.normal(size=(600, 2, 3, 3))
    weights[5] = -2 * weights[1]
    weights[599] = 0.5 * weights[5]
    weights[7] = weights[8] = 0
    assert np.flatnonzero(development.twins(weights)).tolist() == [5, 599]


@pytest.mark.parametrize("side", [(3, 3), (5, 5), (7, 3), (11, 11)])
def test_each_template_is_most_like_its_own_kind(side: tuple[int, int]) -> None:
    for kind, patterns in development.templates(*side).items():
        assert np.abs(patterns.mean(axis=(1, 2))).max() < 1e-9
        found = development.likeness(np.repeat(5 * patterns[:, None] + 3, 3, axis=1))
        np.testing.assert_allclose(found[kind], 1)


def test_likeness_is_none_where_all_weights_are_equal_and_small_for_a_checkerboard() -> None:
    even = development.likeness(np.ones((1, 1, 5, 5)))
    assert all(values.tolist() == [0.0] for values in even.values())
    board = np.indices((7, 7)).sum(axis=0) % 2
    assert all(values[0] < 0.4 for values in development.likeness(board[None, None]).values())


def test_a_sobel_filter_is_an_edge_and_a_line_detector_a_bar() -> None:
    sobel = np.array([[1, 2, 1], [0, 0, 0], [-1, -2, -1]])
    line = np.array([[-1, 2, -1], [-1, 2, -1], [-1, 2, -1]])
    found = development.likeness(np.stack([sobel, line])[:, None])
    assert found["edge"][0] > 0.9 and found["bar"][1] > 0.9

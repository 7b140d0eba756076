"""Topic 10: the lecture's integers, and torch's own convolution and pooling beside ours."""

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from filterlab.lecture import edge_filter
from filterlab.lecture.context import Context


def test_every_integer_of_the_window(mnist_root: Path) -> None:
    context = Context(mnist_root, quick=True, record=lambda record: None)
    cut = edge_filter.window(context.test.images[0, 0])
    assert cut.tolist() == [[0] * 6, [0] * 6, [0, 0, 3, 7, 6, 6], [0, 0, 9, 10, 10, 10], [0, 0, 3, 4, 3, 4]]
    filtered = edge_filter.correlate(cut, edge_filter.EDGE)
    assert filtered.tolist() == [[3, 7, 3, -1], [12, 17, 4, -1], [15, 21, 4, -1]]
    assert edge_filter.max_pool(filtered).tolist() == [[17, 17, 4], [21, 21, 4]]
    findings = edge_filter.apply_edge_filter(context)
    assert [check.says for check in findings.checks if not check.passed] == [] and len(findings.checks) == 5


def test_another_image_fails(mnist_root: Path) -> None:
    context = Context(mnist_root, quick=True, record=lambda record: None)
    context.test.images.setflags(write=False)
    assert edge_filter.window(context.test.images[17, 0]).tolist() != edge_filter.WINDOW  # another seven


def test_torchs_convolution_and_pooling_agree() -> None:
    draw = np.random.default_rng(0)
    image, weights = draw.integers(-9, 9, (11, 8)), draw.integers(-3, 3, (3, 2))
    ours = edge_filter.correlate(image, weights)
    given, filters = torch.from_numpy(image)[None, None].double(), torch.from_numpy(weights)[None, None].double()
    np.testing.assert_array_equal(ours, F.conv2d(given, filters)[0, 0].long().numpy())
    pooled = F.max_pool2d(torch.from_numpy(ours)[None].double(), 2, stride=1)[0].long().numpy()
    np.testing.assert_array_equal(edge_filter.max_pool(ours), pooled)

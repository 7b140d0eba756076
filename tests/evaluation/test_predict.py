import numpy as np
import pytest
import torch
from torch import nn

from filterlab.errors import UserError
from filterlab.evaluation.predict import predict


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten(), nn.Linear(4 * 36, 3))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images.float() / 255)


IMAGES = np.random.default_rng(0).integers(0, 256, (25, 1, 8, 8), dtype=np.uint8)


@pytest.mark.parametrize("batch_size", [1, 10, 25, 1000])
def test_every_image_counts_in_its_place_and_dropout_is_off(batch_size: int) -> None:
    network = Scaled().train()
    logits = predict(network, IMAGES, batch_size=batch_size)
    assert logits.shape == (25, 3) and logits.dtype == np.float32
    one_by_one = torch.cat([network(torch.from_numpy(image[None])) for image in IMAGES]).detach().numpy()
    np.testing.assert_allclose(logits, one_by_one, atol=1e-6)


def test_a_diverged_network_is_named_so() -> None:
    network = Scaled()
    network.layers[4].bias.data[1] = float("nan")
    with pytest.raises(UserError, match=r"25 of 25 images.*diverged"):
        predict(network, IMAGES)

"""A trained network with the scaling it was trained under."""

import torch
from torch import Tensor, nn


class Predictor(nn.Module):
    """Raw images in, logits out: what an artifact holds. `mean` and `std` (of pixels in [0, 1]) are buffers of shape ()."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        data_name: str,
        classes: list[str],
        shape: tuple[int, int, int],
        mean: float,
        std: float,
    ):
        """`shape` is an image's (C, H, W); `classes` name the K logits in their order."""
        super().__init__()
        self.network = network
        self.data_name = data_name
        self.classes = classes
        self.shape = shape
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W), uint8 in 0..255 or floats in [0, 1] -> float32 logits (N, K).

        Raises ValueError if the shape or the type is another; whether floats keep to [0, 1] is not checked.
        """
        if images.ndim != 4 or tuple(images.shape[1:]) != self.shape:
            raise ValueError(f"expected images of shape (N, {', '.join(map(str, self.shape))}), given {tuple(images.shape)}")
        if images.dtype == torch.uint8:
            images = images.float() / 255
        elif not images.is_floating_point():
            raise ValueError(f"expected uint8 in 0..255 or floats in [0, 1], given {images.dtype}")
        return self.network((images.float() - self.mean) / self.std).float()


def scaling(kind: str, *, mean: float, std: float) -> dict[str, float]:
    """`mean` and `std` of a Predictor whose trainer.scaling is `kind`; those given are of the training images' pixels / 255."""
    return {"mean": mean, "std": std} if kind == "standard" else {"mean": 0.0, "std": 1.0}

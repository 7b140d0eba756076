"""A trained network with the scaling it was trained under."""

import torch
from torch import Tensor, nn

Scale = float | list[float]  # of all channels, or one a channel


class Predictor(nn.Module):
    """Raw images in, logits out: what an artifact holds. `mean` and `std` (of pixels in [0, 1]) are buffers, () or (C, 1, 1)."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        data_name: str,
        classes: list[str],
        shape: tuple[int, int, int],
        mean: Scale,
        std: Scale,
    ):
        """`shape` is an image's (C, H, W); `classes` name the K logits in their order; mean, std: one number, or one a channel.

        Raises ValueError: they are of another number of channels.
        """
        super().__init__()
        self.network = network
        self.data_name = data_name
        self.classes = classes
        self.shape = shape
        for name, scale in [("mean", mean), ("std", std)]:
            if isinstance(scale, list) and len(scale) != shape[0]:
                raise ValueError(f"{name} has {len(scale)} numbers, expected one, or one for each of {shape[0]} channels")
            self.register_buffer(name, torch.tensor(scale).view(-1, 1, 1) if isinstance(scale, list) else torch.tensor(scale))

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


def scaling(kind: str, *, mean: Scale, std: Scale) -> dict[str, Scale]:
    """`mean` and `std` of a Predictor whose trainer.scaling is `kind`; those given are of the training images' pixels / 255.

    A channel whose pixels are all the same is only shifted.
    """
    if kind != "standard":
        return {"mean": 0.0, "std": 1.0}
    return {"mean": mean, "std": [number or 1.0 for number in std] if isinstance(std, list) else std}

"""An encoder that is public and stays as it is, and two learners on it: a head, and an adapter of low rank with a head.

`compare.py`, beside it, trains the encoder on images that are about nobody and writes it into `encoder.safetensors`; each learner is then
trained on people's images, in shards and slices.
"""

from math import isqrt
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn, optim

from sisa.torch import TorchLearner

ENCODER = Path(__file__).with_name("encoder.safetensors")
NUMBERS = 128
RANK = 4


class Encoder(nn.Module):
    """A square image of bytes, from 0 to 1, to 128 numbers that are not negative."""

    def __init__(self, pixels: int) -> None:
        super().__init__()
        side = isqrt(pixels)
        self.maps = nn.Sequential(
            *(nn.Unflatten(1, (1, side, side)), nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        )
        self.vector = nn.Linear(32 * (side // 4) ** 2, NUMBERS)

    def forward(self, images: torch.Tensor, adapter: nn.Module | None = None) -> torch.Tensor:
        maps = self.maps(images)
        numbers = self.vector(maps)
        return torch.relu(numbers if adapter is None else numbers + adapter(maps))


class Net(nn.Module):
    """The frozen encoder with a head, and with an adapter if `rank` is not 0."""

    def __init__(self, layout, rank: int) -> None:
        super().__init__()
        self.encoder = Encoder(len(layout.byte_scales))
        # The same each time: what is frozen is in no state.
        self.encoder.load_state_dict(load_file(ENCODER))
        self.adapter = None
        if rank:
            self.adapter = nn.Sequential(
                nn.Linear(self.encoder.vector.in_features, rank, bias=False), nn.Linear(rank, NUMBERS, bias=False)
            )
            # At first the encoder is as it was.
            nn.init.zeros_(self.adapter[1].weight)
        self.head = nn.Linear(NUMBERS, layout.outputs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(images, self.adapter))


def adam(parameters):
    return optim.Adam(parameters, 2e-3)


def learner(rank: int) -> TorchLearner:
    return TorchLearner(
        lambda layout: Net(layout, rank), adam, nn.functional.cross_entropy, batch=64, frozen="encoder.", code=[str(ENCODER)]
    )


head = learner(0)
lora = learner(RANK)

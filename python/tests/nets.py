"""Learners for `test_torch.py`, as a person writes them: small modules, each a global of this file."""

from __future__ import annotations

import os
import time

import torch
from torch import nn

import sisa.torch


class Net(nn.Module):
    """Six numbers to two classes."""

    def __init__(self, kind: str, inputs: int) -> None:
        super().__init__()
        self.kind = kind
        parts = {
            "mlp": [nn.Linear(inputs, 16), nn.ReLU(), nn.Linear(16, 2)],
            "clock": [nn.Linear(inputs, 16), nn.ReLU(), nn.Linear(16, 2)],
            "generator": [nn.Linear(inputs, 16), nn.ReLU(), nn.Linear(16, 2)],
            "mixed": [
                nn.Unflatten(1, (inputs, 1)),
                nn.Linear(1, 8),
                nn.TransformerEncoderLayer(8, 2, 16, dropout=0.2, batch_first=True),
                nn.Flatten(),
                nn.Unflatten(1, (1, 8 * inputs)),
                nn.Conv1d(1, 2, 3, padding=1),
                nn.Flatten(),
                nn.BatchNorm1d(16 * inputs),
                nn.Dropout(0.3),
                nn.Linear(16 * inputs, 2),
            ],
            "frozen": [nn.Linear(inputs, 16), nn.ReLU(), nn.Linear(16, 2)],
            "late": [nn.Linear(inputs, 16), nn.ReLU(), nn.Linear(16, 2)],
            "dropout": [nn.Linear(inputs, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 2)],
            "batchnorm": [nn.Linear(inputs, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Linear(16, 2)],
            "cnn": [
                nn.Unflatten(1, (1, 2, inputs // 2)),
                nn.Conv2d(1, 8, 3, padding=1),
                nn.ReLU(),
                nn.MaxPool2d(2),
                nn.Flatten(),
                nn.Linear(8 * (inputs // 4), 2),
            ],
            "transformer": [
                nn.Unflatten(1, (inputs, 1)),
                nn.Linear(1, 8),
                nn.TransformerEncoderLayer(8, 2, 16, dropout=0.2, batch_first=True),
                nn.Flatten(),
                nn.Linear(8 * inputs, 2),
            ],
        }["mixed" if kind == "mortal" else kind]
        self.body = nn.Sequential(*parts)
        if kind == "frozen":
            # A backbone that is public: here, of a formula.
            with torch.no_grad():
                self.body[0].weight.copy_(torch.arange(16.0 * inputs).reshape(16, inputs).sin())
                self.body[0].bias.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.kind == "clock":
            x = x + time.time_ns() % 1000
        if self.kind == "generator":
            made = torch.Generator()
            made.seed()
            x = x + torch.rand(x.shape, generator=made)
        # Made-up rows of columns without a declared range are at most 1.
        if self.kind == "late" and x.abs().max() > 1.5:
            x = x + time.time_ns() % 1000
        if self.kind == "mortal" and self.training and os.path.exists("fault"):
            os.remove("fault")
            os.kill(os.getpid(), 9)
        return self.body(x)


def _adam(parameters):
    return torch.optim.Adam(parameters, 1e-2)


def _decay(optimizer):
    return torch.optim.lr_scheduler.StepLR(optimizer, 3, 0.9)


def _make(kind: str, **settings) -> sisa.torch.TorchLearner:
    return sisa.torch.TorchLearner(lambda layout: Net(kind, layout.numbers), _adam, nn.functional.cross_entropy, 16, **settings)


class Mortal(sisa.torch.TorchLearner):
    """Dies at the message whose number is in the file `messages`, which counts down from process to process."""

    def environment(self):
        _message()
        return super().environment()

    def init(self, layout, seed):
        _message()
        return super().init(layout, seed)

    def step(self, layout, step, state, batches):
        def each():
            for batch in batches:
                _message()
                yield batch
            _message()

        _message()
        return super().step(layout, step, state, each())


def _message():
    if os.path.exists("messages"):
        with open("messages") as file:
            left = int(file.read()) - 1
        with open("messages", "w") as file:
            file.write(str(left))
        if left == 0:
            os.remove("messages")
            os.kill(os.getpid(), 9)


mlp = _make("mlp", scheduler=_decay, profile="portable")
mixed = _make("mixed")
clock = _make("clock")
generator = _make("generator")
frozen = _make("frozen", frozen="body.0.")
late = _make("late")
insisted = _make("late", replay=False)
mortal = _make("mortal")
doomed = Mortal(lambda layout: Net("mixed", layout.numbers), _adam, nn.functional.cross_entropy, 64)
dropout = _make("dropout")
batchnorm = _make("batchnorm")
cnn = _make("cnn", scheduler=_decay)
transformer = _make("transformer")

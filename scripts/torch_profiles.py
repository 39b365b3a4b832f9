"""Which profile of `sisa.torch` gives equal bits on which CPUs, as far as one machine can tell.

    python scripts/torch_profiles.py

Trains two steps on made-up rows with each kind of module in a process of its own, with each profile, on the CPU as it is and as if it were a
lesser one: torch, oneDNN, MKL and the C library are told to leave instructions out that such a CPU does not have. Prints the first digits of the
digest of all parameters and moments. A row of equal digests means that the profile hides the difference. What only another vendor's CPU would
show, this does not.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

#: What a lesser CPU would not offer to each library. torch falls back to `default` where there is no AVX2.
GLIBC = "glibc.cpu.hwcaps="
CPUS: dict[str, dict[str, str]] = {
    "as it is": {},
    "AVX2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "GLIBC_TUNABLES": GLIBC + "-AVX512F,-AVX512VL,-AVX512BW,-AVX512DQ,-AVX512CD",
    },
    "SSE4": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "GLIBC_TUNABLES": GLIBC + "-AVX512F,-AVX512VL,-AVX512BW,-AVX512DQ,-AVX512CD,-AVX2,-AVX,-FMA,-FMA4",
    },
}


def digests() -> dict[str, str]:
    """The first digits of the state after two steps, by kind of module."""
    import numpy as np
    from torch import nn

    import sisa.torch
    from sisa import worker

    layout = worker.Layout("classes", 10, 64, [None] * 64, [], [], [], None, 32, {})

    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.last = nn.LSTM(8, 16, batch_first=True), nn.Linear(16, 10)

        def forward(self, x):
            return self.last(self.lstm(x.unflatten(1, (8, 8)))[0][:, -1])

    image = nn.Unflatten(1, (1, 8, 8))
    modules = {
        "MLP, relu": lambda: nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)),
        "MLP, tanh, layer norm, GELU": lambda: nn.Sequential(
            nn.Linear(64, 64), nn.Tanh(), nn.LayerNorm(64), nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 10)
        ),
        "CNN": lambda: nn.Sequential(image, nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(144, 10)),
        "CNN, batch norm": lambda: nn.Sequential(
            image, nn.Conv2d(1, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(144, 10)
        ),
        "LSTM": Recurrent,
        "transformer layer, dropout": lambda: nn.Sequential(
            nn.Unflatten(1, (4, 16)), nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), nn.Flatten(), nn.Linear(64, 10)
        ),
    }
    x = np.random.default_rng(0).standard_normal((96, 64)).astype(np.float32)
    none = np.zeros((96, 0), np.uint32)
    found = {}
    for name, module in modules.items():
        adam = lambda parameters: sisa.torch.torch.optim.Adam(parameters, 1e-2)  # noqa: E731
        learner = sisa.torch.TorchLearner(module, adam, nn.functional.cross_entropy, 32)
        state = learner.init(layout, bytes(32))
        for step in (1, 2):
            batches = (
                worker.Batch(layout, x[at : at + 32], none[:32], none[:32].astype(np.uint8), np.arange(at, at + 32, dtype=np.uint32) % 10, 0.0)
                for at in range(0, 96, 32)
            )
            state = learner.step(layout, worker.Step(step, 2, 96, bytes([step] * 32)), state, batches)
        found[name] = hashlib.sha256(state).hexdigest()[:6]
    return found


def main() -> None:
    """All profiles on all CPUs."""
    if sys.argv[1:] == ["digests"]:
        print(json.dumps(digests()))
        return
    import sisa.torch

    base = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    print(f"torch {sisa.torch.torch.__version__}, {sisa.torch.torch.backends.cpu.get_cpu_capability()}\n")
    print(f"| profile | module | {' | '.join(CPUS)} | equal |\n| --- | --- |{' --- |' * (len(CPUS) + 1)}")
    for profile, variables in sisa.torch.PROFILES.items():
        told = []
        for name, lesser in CPUS.items():
            # What a profile sets can't be raised above what the CPU has: of the two, the lesser counts.
            both = {**variables, **lesser} if name == "SSE4" else {**lesser, **variables}
            environment = {**os.environ, **base, **both}
            asked = subprocess.run([sys.executable, __file__, "digests"], env=environment, capture_output=True, text=True, check=True)
            told.append(json.loads(asked.stdout))
        for module in told[0]:
            row = [each[module] for each in told]
            equal = "all" if len(set(row)) == 1 else "AVX-512 and AVX2" if row[0] == row[1] else "none"
            print(f"| {profile} | {module} | {' | '.join(row)} | {equal} |", flush=True)


if __name__ == "__main__":
    main()

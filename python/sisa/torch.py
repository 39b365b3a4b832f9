"""PyTorch modules under the same stores, ledger and deletions (docs/OWN-MODELS.md).

    # net.py
    learner = sisa.torch.TorchLearner(module=Net, optimizer=adam, loss=nn.functional.cross_entropy, batch=64)

    ws = sisa.Workspace("work", learner=learner)
    ws.train(table, label="sick", subject="person")
    ws.delete(["p7"])
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from safetensors.torch import load as _tensors_of
from safetensors.torch import save as _bytes_of

from . import _own
from .worker import Batch, Layout, Step

#: What a profile sets in the worker's environment before torch is imported.
PROFILES: dict[str, dict[str, str]] = {
    # As fast as the machine is. Its bits are those of this kind of CPU.
    "machine": {},
    # Gives AVX-512 up, and MKL's own paths: the same bits with AVX-512 and with AVX2 (scripts/torch_profiles.py); the probe looks each time.
    "portable": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "COMPATIBLE"},
}


class TorchLearner:
    """A `torch.nn.Module` with its optimizer and loss, as a learner whose states are bytes.

    Every step begins from the bytes of a state and a seed of its own, so a step that is trained
    again draws what it drew before. A state holds parameters, buffers, the optimizer's and the
    scheduler's state.

    Args:
        module: makes the module, without arguments or with the `Layout` of the rows. It is called in
            every worker, after the generators are seeded.
        optimizer: makes the optimizer of the parameters that are given to it.
        loss: of the module's output and the labels (int64 classes or float32 numbers), a scalar.
        batch: rows of a batch.
        frozen: prefixes of names of parameters and buffers that are not trained and not in states.
            The module must load them itself, the same ones each time, from what is public.
        profile: ``machine``, or ``portable``: slower, and the same bits on CPUs with AVX2 and with AVX-512.
        threads: of each worker. Part of the recipe: another number gives other bits.
        scheduler: makes a scheduler of the optimizer, which is stepped after every batch.
        inputs: makes the arguments of the module from a `Batch`; by default `dense`.
        answers: makes probabilities (or numbers) from the module's output; by default a softmax, or
            the output as it is.
        device: ``cpu`` or ``cuda``.
        code: further files that decide what is computed, beside the one in which the learner is.
        replay: False records that training again may give other bytes, and turns what enforces it off:
            deterministic algorithms. Deletions stay exact by construction; docs/OWN-MODELS.md says
            what is given up.
    """

    def __init__(
        self,
        module: Callable[..., torch.nn.Module],
        optimizer: Callable[[Iterable[torch.nn.Parameter]], torch.optim.Optimizer],
        loss: Callable[[Any, torch.Tensor], torch.Tensor],
        batch: int = 256,
        *,
        frozen: Sequence[str] | str = (),
        profile: str = "machine",
        threads: int = 1,
        scheduler: Callable[[torch.optim.Optimizer], Any] | None = None,
        inputs: Callable[[Batch], tuple[torch.Tensor, ...]] | None = None,
        answers: Callable[[Any], torch.Tensor] | None = None,
        device: str = "cpu",
        code: Sequence[str] = (),
        replay: bool = True,
    ) -> None:
        if profile not in PROFILES:
            raise ValueError(f"profile is {profile!r}; allowed is {' or '.join(PROFILES)}")
        self.module, self.optimizer, self.loss, self.batch = module, optimizer, loss, batch
        self.frozen = (frozen,) if isinstance(frozen, str) else tuple(frozen)
        self.profile, self.threads, self.scheduler = profile, threads, scheduler
        self.inputs, self.answers, self.device, self.code = inputs or dense, answers, torch.device(device), tuple(code)
        self.replay = replay
        self._prepared = False

    def variables(self) -> dict[str, str]:
        """What is set in the environment of workers."""
        threads = {"OMP_NUM_THREADS": str(self.threads), "MKL_NUM_THREADS": str(self.threads), "OMP_WAIT_POLICY": "PASSIVE"}
        return {**threads, "CUBLAS_WORKSPACE_CONFIG": ":4096:8", **PROFILES[self.profile]}

    # What a worker asks.

    def environment(self) -> dict[str, str]:
        """Versions, threads, instruction set, flags."""
        for key, value in self.variables().items():
            if os.environ.get(key) != value:
                raise RuntimeError(f"{key} is not {value} here; write `variables = {_own.toml(self.variables())}` under [learner]")
        self._prepare()
        told = {
            "python": ".".join(map(str, sys.version_info[:2])),
            "torch": torch.__version__,
            "build": hashlib.blake2b(torch.__config__.show().encode(), digest_size=8).hexdigest(),
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "threads": str(torch.get_num_threads()),
            "profile": self.profile,
            "device": str(self.device),
        }
        if self.device.type == "cuda":
            told["gpu"] = f"{torch.cuda.get_device_name()} {torch.cuda.get_device_capability()}"
            told["cuda"] = f"{torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
        return told

    def init(self, layout: Layout, seed: bytes) -> bytes:
        self._prepare()
        self._seed(seed)
        module = self._module(layout)
        optimizer = self.optimizer(_trained(module))
        return self._save(module, optimizer, self.scheduler(optimizer) if self.scheduler else None)

    def step(self, layout: Layout, step: Step, state: bytes, batches: Iterator[Batch]) -> bytes:
        self._prepare()
        module, optimizer, scheduler = self._load(layout, state)
        # After loading, which makes a module and so draws.
        self._seed(step.seed)
        self._train_mode(module)
        for batch in batches:
            optimizer.zero_grad(set_to_none=True)
            output = module(*(tensor.to(self.device) for tensor in self.inputs(batch)))
            self.loss(output, _labels(batch).to(self.device)).backward()
            optimizer.step()
            if scheduler is not None:
                scheduler.step()
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                raise ArithmeticError(f"training diverged at step {step.index}: {name} is not finite; lower the rate")
        return self._save(module, optimizer, scheduler)

    def load(self, layout: Layout, state: bytes) -> torch.nn.Module:
        self._prepare()
        return self._load(layout, state)[0].eval()

    def scores(self, layout: Layout, loaded: torch.nn.Module, batch: Batch) -> np.ndarray[Any, Any]:
        with torch.inference_mode():
            output = loaded(*(tensor.to(self.device) for tensor in self.inputs(batch)))
            if self.answers is not None:
                output = self.answers(output)
            elif layout.task == "classes":
                output = torch.softmax(output.float(), 1)
            scores: np.ndarray[Any, Any] = output.float().reshape(len(batch), layout.outputs).cpu().numpy()
            return scores

    # Of states.

    def _prepare(self) -> None:
        if self._prepared:
            return
        torch.set_num_threads(self.threads)
        if torch.get_num_interop_threads() != 1:
            torch.set_num_interop_threads(1)
        torch.use_deterministic_algorithms(self.replay)
        torch.utils.deterministic.fill_uninitialized_memory = True
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
        self._prepared = True

    @staticmethod
    def _seed(seed: bytes) -> None:
        """All generators that a module may draw from without making its own."""
        number = int.from_bytes(seed[:8], "little")
        torch.manual_seed(number >> 1)
        random.seed(number)
        np.random.seed(number & 0xFFFF_FFFF)

    def _module(self, layout: Layout) -> torch.nn.Module:
        takes = [p for p in inspect.signature(self.module).parameters.values() if p.default is p.empty and p.kind < p.VAR_POSITIONAL]
        module = self.module(layout) if takes else self.module()
        for name, parameter in module.named_parameters():
            if self._is_frozen(name):
                parameter.requires_grad_(False)
        return module.to(self.device)

    def _is_frozen(self, name: str) -> bool:
        return name.startswith(self.frozen) if self.frozen else False

    def _train_mode(self, module: torch.nn.Module) -> None:
        """All but what is frozen, whose buffers must stay as they are."""
        module.train()
        for name, part in module.named_modules():
            if name and (self._is_frozen(name) or self._is_frozen(name + ".")):
                part.eval()

    def _save(self, module: torch.nn.Module, optimizer: torch.optim.Optimizer, scheduler: Any) -> bytes:
        # Copies: tied weights share memory, which the format refuses.
        def copy(tensor: torch.Tensor) -> torch.Tensor:
            return tensor.detach().cpu().clone().contiguous()

        tensors = {f"m.{name}": copy(tensor) for name, tensor in module.state_dict().items() if not self._is_frozen(name)}
        told = optimizer.state_dict()
        scalars: dict[str, Any] = {"groups": told["param_groups"], "slots": {}}
        for at, slots in told["state"].items():
            for name, value in slots.items():
                key = f"o.{at}.{name}"
                if torch.is_tensor(value):
                    tensors[key] = copy(value)
                else:
                    scalars["slots"][key] = value
        if scheduler is not None:
            scalars["scheduler"] = {key: value for key, value in scheduler.state_dict().items() if not callable(value)}
        # One key of metadata: safetensors writes several in an order that differs from process to process.
        return _bytes_of(tensors, metadata={"sisa": json.dumps(scalars, sort_keys=True)})

    def _load(self, layout: Layout, state: bytes) -> tuple[torch.nn.Module, torch.optim.Optimizer, Any]:
        length = int.from_bytes(state[:8], "little")
        scalars = json.loads(json.loads(state[8 : 8 + length])["__metadata__"]["sisa"])
        tensors = _tensors_of(state)
        # What the module draws while it is made is replaced, and no draw of a step follows from it.
        self._seed(bytes(32))
        module = self._module(layout)
        own = {name[2:]: tensor for name, tensor in tensors.items() if name.startswith("m.")}
        lacking, unknown = module.load_state_dict(own, strict=False)
        if unknown or not all(self._is_frozen(name) for name in lacking):
            raise ValueError(f"a state of another module: lacking {lacking}, unknown {unknown}")
        optimizer = self.optimizer(_trained(module))
        slots: dict[int, dict[str, Any]] = {}
        moments = {key: value for key, value in tensors.items() if key.startswith("o.")}
        for key, value in {**moments, **scalars["slots"]}.items():
            _, at, name = key.split(".", 2)
            slots.setdefault(int(at), {})[name] = value
        optimizer.load_state_dict({"state": slots, "param_groups": scalars["groups"]})
        scheduler = None
        if self.scheduler is not None:
            scheduler = self.scheduler(optimizer)
            # Making one takes a first step of it.
            optimizer.load_state_dict({"state": slots, "param_groups": scalars["groups"]})
            scheduler.load_state_dict(scalars["scheduler"])
        return module, optimizer, scheduler


def _trained(module: torch.nn.Module) -> list[torch.nn.Parameter]:
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def _labels(batch: Batch) -> torch.Tensor:
    if batch.labels is None:
        raise ValueError("rows that are trained on have labels")
    return torch.from_numpy(batch.labels.astype(np.int64 if batch.layout.task == "classes" else np.float32))


def dense(batch: Batch) -> tuple[torch.Tensor, ...]:
    """The module's arguments: one float32 matrix of numbers (those with a declared range from 0 to 1, what is missing 0), bytes
    times their scales and 1 where a number with an indicator is missing; and, if there are any, the categories as int64.
    """
    layout, parts = batch.layout, []
    if layout.numbers:
        low = np.array([0 if ends is None else ends[0] for ends in layout.ranges], np.float32)
        width = np.array([1 if ends is None else ends[1] - ends[0] for ends in layout.ranges], np.float32)
        scaled = (batch.numbers - low) / width
        parts.append(np.where(np.isnan(scaled), np.float32(0), scaled))
    if layout.byte_scales:
        # In two steps: by one, NumPy would convert piece by piece.
        plain = batch.bytes.astype(np.float32)
        plain *= layout.scales
        parts.append(plain)
    if layout.indicators:
        parts.append(np.isnan(batch.numbers[:, layout.indicators]).astype(np.float32))
    matrix = parts[0] if len(parts) == 1 else np.concatenate(parts, 1) if parts else np.zeros((len(batch), 0), np.float32)
    numbers = (torch.from_numpy(np.ascontiguousarray(matrix, np.float32)),)
    return (*numbers, torch.from_numpy(batch.categories.astype(np.int64))) if layout.categories else numbers

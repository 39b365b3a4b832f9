"""Shards trained by whatever runs functions elsewhere: Ray, Dask, or an executor of `concurrent.futures` (docs/CLUSTER.md).

    import ray, sisa
    from sisa import distributed

    ray.init()
    ws = sisa.Workspace("folder", wait=True)
    ws.import_table("visits.csv")
    distributed.train(ws)  # a task a shard, by Ray

    ws.delete(["p7"], defer=True)  # in effect here and now
    distributed.repair(ws)  # only the shards that it touched go out

Whatever runs the tasks, how often, in which order, and whatever it loses: the workspace has the
bytes of one process. A worker gets the rows of one shard and keys derived for this very work, and
neither key of the workspace; it writes nothing to a disk. What comes back after a deletion or a
batch that concerns it is refused, and packed again.
"""

from __future__ import annotations

import functools
import queue
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from . import _errors, _sisa
from ._calls import Listener, converged

if TYPE_CHECKING:
    from . import answers
    from ._workspace import Workspace

__all__ = ["Submit", "ray", "repair", "train", "train_bundle"]

#: Starts a call of a function with one argument elsewhere, and returns what stands for its result: `Executor.submit`, a Dask client's
#: `submit`, or what `ray` returns.
Submit: TypeAlias = Callable[[Callable[[bytes], bytes], bytes], Any]

#: Called whenever a shard is done with, with how many are and how many there are.
Told: TypeAlias = "Callable[[int, int], object] | None"


def train_bundle(bundle: bytes, *, threads: int = 1) -> bytes:
    """Trains what `Workspace.pack` packed: bytes in, checkpoints out. Needs no workspace, and keeps nothing.

    Raises:
        InputError: the bundle is damaged, or of another version.
    """
    with Listener(None) as listener:
        return _sisa.train_bundle(bundle, threads, listener)


def ray(**options: Any) -> Submit:
    """Runs every bundle as a task of Ray, on one CPU and started again when a worker dies, unless `options` say otherwise.

    Args:
        options: of `ray.remote`: `num_cpus`, `max_retries`, `scheduling_strategy`, ..
    """
    try:
        import ray as engine  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError("Ray is not installed: pip install 'sisa-unlearn[ray]'") from error
    task = engine.remote(**{"num_cpus": 1, "max_retries": 3, **options})(_task)
    return lambda function, bundle: task.remote(bundle)


def _task(bundle: bytes) -> bytes:
    return train_bundle(bundle)


def train(ws: Workspace, submit: Submit | None = None, *, retries: int = 3, at_once: int = 64, told: Told = None) -> answers.Distributed:
    """Trains what the newest model lacks, a bundle a shard; it serves once it is whole.

    Args:
        ws: the workspace, in which records and a recipe are (`Workspace.import_table`). Open it
            with `wait=True` where others write too.
        submit: runs the bundles; Ray without it.
        retries: how often a shard whose task failed is packed and sent again.
        at_once: bundles that are out at the same time; each holds the rows of its shard.
        told: called with how many shards are done with, and how many there are.

    Raises:
        DivergedError: a shard came to numbers that are not finite.
    """
    return _Driver(ws, submit or ray(), False, retries, at_once, told).run()


def repair(ws: Workspace, submit: Submit | None = None, *, retries: int = 3, at_once: int = 64, told: Told = None) -> answers.Distributed:
    """Trains what deletions left missing of the model in service, and closes the requests that wait for it. See `train`."""
    return _Driver(ws, submit or ray(), True, retries, at_once, told).run()


class _Driver:
    """Sends bundles out and takes checkpoints back. Holds a bundle no longer than it takes to hand it over."""

    def __init__(self, ws: Workspace, submit: Submit, serving: bool, retries: int, at_once: int, told: Told) -> None:
        if at_once < 1:
            raise ValueError("at_once: at least one bundle must be out")
        self.ws, self.submit, self.serving, self.retries, self.at_once, self.told = ws, submit, serving, retries, at_once, told
        self.failed: dict[int, int] = {}
        self.answer: dict[str, Any] = {
            "shards": 0,
            "bundles": 0,
            "bytes_out": 0,
            "bytes_back": 0,
            "published": 0,
            "overtaken": 0,
            "diverged": [],
            "repaired": [],
            "complete": True,
        }

    def run(self) -> answers.Distributed:
        touched: set[int] = set()
        while True:
            diverged = {one["shard"] for one in self.answer["diverged"]}
            shards = [shard for shard in self.ws.to_train(serving=self.serving) if shard not in diverged]
            if not shards:
                break
            touched.update(shards)
            self._round(shards)
        self.answer["shards"] = len(touched)
        self.answer["complete"] = not self.answer["diverged"]
        return cast("answers.Distributed", converged(self.answer))

    def _round(self, shards: list[int]) -> None:
        """Every shard once, and those again whose task failed. What a deletion overtook is for the next round."""
        waiting, done, out = list(reversed(shards)), 0, 0
        came: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        while waiting or out:
            while waiting and out < self.at_once:
                shard = waiting.pop()
                if self._send(shard, came):
                    out += 1
                else:
                    done += 1
            if not out:
                break
            shard, future = came.get()
            out -= 1
            try:
                made = future.result()
            except _errors.SisaError:
                raise
            except Exception:
                self.failed[shard] = self.failed.get(shard, 0) + 1
                if self.failed[shard] > self.retries:
                    raise
                waiting.append(shard)
                continue
            # With it goes the last reference to the bundle: a repair is not told while somebody holds rows for us.
            del future
            self._take(made)
            done += 1
            if self.told is not None:
                self.told(done, len(shards))

    def _send(self, shard: int, came: queue.SimpleQueue[tuple[int, Any]]) -> bool:
        bundle = self.ws.pack(shard, serving=self.serving)
        if bundle is None:
            return False
        self.answer["bundles"] += 1
        self.answer["bytes_out"] += len(bundle)
        handle = self.submit(train_bundle, bundle)
        # Of a reference of Ray the future of it; all others are futures.
        future = handle.future() if hasattr(handle, "future") else handle
        future.add_done_callback(functools.partial(_arrived, came, shard))
        return True

    def _take(self, made: bytes) -> None:
        self.answer["bytes_back"] += len(made)
        unpacked = self.ws.unpack(made)
        for count in ("published", "overtaken"):
            self.answer[count] += unpacked[count]
        self.answer["repaired"] += unpacked["repaired"]
        if unpacked["diverged"]:
            self.answer["diverged"].append({"shard": unpacked["shard"], "message": unpacked["diverged"]})


def _arrived(came: queue.SimpleQueue[tuple[int, Any]], shard: int, future: Any) -> None:
    came.put((shard, future))

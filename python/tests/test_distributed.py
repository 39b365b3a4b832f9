"""Shards trained elsewhere: by an executor's processes, by Dask, by Ray. The bytes are those of one process.

Ray is asked only where it is installed; `scripts/cluster` installs it.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import CONFIG, digest, numbers

import sisa
from sisa import distributed

LINEAR = CONFIG.format(learner="linear").replace("shards = 2", "shards = 4") + """
optimizer = { kind = "sgd", momentum = 0.9 }
rate = 0.01
decay = "constant"
l2 = 0.0001
batch = 16
[schedule]
kind = "replay"
epochs = 4
"""


@pytest.fixture
def pair(tmp_path: Path) -> tuple[sisa.Workspace, sisa.Workspace]:
    """One that a process trained, and one with records alone."""
    one, many = (sisa.Workspace(tmp_path / name, threads=1, wait=True) for name in ("one", "many"))
    one.train(numbers(), config=LINEAR, seed=1)
    told = many.import_table(numbers(), config=LINEAR, seed=1)
    assert told["to_train"] == [0, 1, 2, 3] and told["imported"] is not None
    return one, many


def here(function: object, bundle: bytes) -> concurrent.futures.Future[bytes]:
    """Runs it at once."""
    future: concurrent.futures.Future[bytes] = concurrent.futures.Future()
    try:
        future.set_result(distributed.train_bundle(bundle))
    except Exception as error:
        future.set_exception(error)
    return future


def _histories(one: sisa.Workspace, many: sisa.Workspace, submit: distributed.Submit) -> None:
    told = distributed.train(many, submit)
    assert (told["shards"], told["bundles"], told["published"], told["complete"]) == (4, 4, 12, True)
    assert digest(one.path) == digest(many.path)
    one.delete([17])
    request = many.delete([17], defer=True)["request"]
    told = distributed.repair(many, submit)
    assert (told["shards"], told["repaired"]) == (1, [request])
    assert digest(one.path) == digest(many.path)
    assert distributed.repair(many, submit)["bundles"] == 0
    assert many.verify(retrain=True)["same"]


def test_processes_that_share_nothing(pair: tuple[sisa.Workspace, sisa.Workspace]) -> None:
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        _histories(*pair, pool.submit)


def test_failures_are_tried_again_and_no_more_than_is_asked(pair: tuple[sisa.Workspace, sisa.Workspace]) -> None:
    one, many = pair
    calls = 0

    def shaky(function: object, bundle: bytes) -> concurrent.futures.Future[bytes]:
        nonlocal calls
        calls += 1
        if calls % 2:
            future: concurrent.futures.Future[bytes] = concurrent.futures.Future()
            future.set_exception(ConnectionError("gone"))
            return future
        return here(function, bundle)

    with pytest.raises(ConnectionError):
        distributed.train(many, shaky, retries=0)
    seen: list[tuple[int, int]] = []
    distributed.train(many, shaky, at_once=1, told=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert digest(one.path) == digest(many.path)


def test_what_comes_after_a_deletion_is_refused_and_sent_again(pair: tuple[sisa.Workspace, sisa.Workspace]) -> None:
    one, many = pair
    for subject in (3, 90):
        one.delete([subject])
    sent = 0

    def late(function: object, bundle: bytes) -> concurrent.futures.Future[bytes]:
        nonlocal sent
        sent, future = sent + 1, here(function, bundle)
        # All are out, and none is back.
        for subject in (3, 90) if sent == 4 else ():
            sisa.Workspace(many.path, wait=True).delete([subject], defer=True)
        return future

    told = distributed.train(many, late)
    assert told["overtaken"] > 0 and len(told["repaired"]) == 2, told
    assert digest(one.path) == digest(many.path)


def test_damage_is_an_error_that_says_what_to_do(pair: tuple[sisa.Workspace, sisa.Workspace]) -> None:
    _, many = pair
    bundle = many.pack(0)
    assert bundle is not None
    with pytest.raises(sisa.InputError, match=r"damaged at byte(?s:.*)pack\(shard\)"):
        distributed.train_bundle(bundle[:-1])
    with pytest.raises(sisa.InputError, match="not trained yet"):
        many.unpack(bundle)
    with pytest.raises(sisa.InputError, match="shards 0 to 3"):
        many.pack(4)
    with pytest.raises(ValueError, match="at_once"):
        distributed.train(many, here, at_once=0)


def test_training_a_bundle_writes_no_file(pair: tuple[sisa.Workspace, sisa.Workspace], tmp_path: Path) -> None:
    """In a process in which the first byte that is written to a file ends it."""
    _, many = pair
    (tmp_path / "bundle").write_bytes(many.pack(0) or b"")
    code = (
        "import resource, sys, sisa.distributed; bundle = open(sys.argv[1], 'rb').read(); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); sys.stdout.buffer.write(sisa.distributed.train_bundle(bundle))"
    )
    done = subprocess.run([sys.executable, "-B", "-c", code, str(tmp_path / "bundle")], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert many.unpack(done.stdout)["published"] == 3


def test_dask(pair: tuple[sisa.Workspace, sisa.Workspace]) -> None:
    dask = pytest.importorskip("distributed")
    with dask.Client(n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as client:
        _histories(*pair, client.submit)


# Ray.


@pytest.fixture(scope="module")
def engine() -> Iterator[object]:
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error", _node_ip_address="127.0.0.1")
    yield ray
    ray.shutdown()


def test_ray(pair: tuple[sisa.Workspace, sisa.Workspace], engine: object) -> None:
    _histories(*pair, distributed.ray())


def test_ray_is_what_is_taken_if_nothing_is_named(pair: tuple[sisa.Workspace, sisa.Workspace], engine: object) -> None:
    one, many = pair
    distributed.train(many)
    assert digest(one.path) == digest(many.path)


def test_a_worker_of_ray_is_killed_in_the_middle(pair: tuple[sisa.Workspace, sisa.Workspace], engine: object, tmp_path: Path) -> None:
    import ray

    one, many = pair
    died = tmp_path / "died"

    @ray.remote(num_cpus=1, max_retries=3)
    def deadly(bundle: bytes, shard: int) -> bytes:
        made = distributed.train_bundle(bundle)
        if not (died / str(shard)).exists():
            (died / str(shard)).mkdir(parents=True)
            os.kill(os.getpid(), signal.SIGKILL)
        return made

    sent = iter(range(100))
    distributed.train(many, lambda function, bundle: deadly.remote(bundle, next(sent)))
    assert len(list(died.iterdir())) == 4
    assert digest(one.path) == digest(many.path)


def test_a_result_of_ray_that_comes_after_a_deletion_is_refused(pair: tuple[sisa.Workspace, sisa.Workspace], engine: object) -> None:
    import ray

    one, many = pair
    out = {shard: ray.remote(distributed.train_bundle).remote(many.pack(shard)) for shard in many.to_train()}
    late = {shard: ray.get(made) for shard, made in out.items()}
    del out
    one.delete([17])
    many.delete([17], defer=True)
    told = [many.unpack(made) for made in late.values()]
    assert sum(one["overtaken"] for one in told) > 0
    assert distributed.repair(many)["complete"]
    assert digest(one.path) == digest(many.path)


# Recipes, where the program is there.

SCRIPTS = Path(__file__).parents[2] / "scripts"
needs_program = pytest.mark.skipif("SISA" not in os.environ, reason="SISA names no program")


def _sisa(*args: object) -> None:
    subprocess.run([os.environ["SISA"], "--quiet", *map(str, args)], check=True, timeout=120)


@needs_program
def test_the_recipe_for_slurm(pair: tuple[sisa.Workspace, sisa.Workspace], tmp_path: Path) -> None:
    """With a stand-in for `sbatch` that runs an array here, and of the first one loses a task."""
    one, many = pair
    (tmp_path / "bin").mkdir()
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.write_text(
        """#!/usr/bin/env bash
[ "$1" = --wait ] && [ "${2%%=*}" = --array ] && [ "$3" = --export=ALL ] || exit 64
echo "$2" >> "$(dirname "$0")/arrays"
array=${2#*=}; shift 3
[ -e "$(dirname "$0")/lost" ] || { touch "$(dirname "$0")/lost"; array=${array#*,}; }
for task in ${array//,/ }; do SLURM_ARRAY_TASK_ID=$task "$@" || exit 1; done
"""
    )
    sbatch.chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    run = [str(SCRIPTS / "slurm.sh"), many.path, str(tmp_path / "out")]
    subprocess.run(run, check=True, env=env, timeout=120)
    assert (tmp_path / "bin" / "arrays").read_text() == "--array=0,1,2,3\n--array=0\n"
    assert digest(one.path) == digest(many.path)
    for ws in (one, many):
        ws.delete([17], defer=ws is many)
    subprocess.run(run, check=True, env={**env, "SERVING": "1"}, timeout=120)
    assert digest(one.path) == digest(many.path)
    assert list((tmp_path / "out").iterdir()) == []


@needs_program
def test_the_recipe_for_kubernetes(pair: tuple[sisa.Workspace, sisa.Workspace], tmp_path: Path) -> None:
    """The manifest fits the published schema, and its command does what the page says, for every index."""
    validate = pytest.importorskip("kubernetes_validate")
    yaml = pytest.importorskip("yaml")
    manifest = yaml.safe_load((SCRIPTS / "kubernetes.yaml").read_text())
    validate.validate(manifest, "1.33", strict=True)
    with pytest.raises(validate.ValidationError):
        validate.validate({**manifest, "spec": {**manifest["spec"], "completion": 5}}, "1.33", strict=True)
    one, many = pair
    for shard in range(4):
        _sisa("-w", many.path, "shard", "pack", shard, "--out", tmp_path / f"{shard:04}.bundle")
    pod = manifest["spec"]["template"]["spec"]["containers"][0]
    script = pod["args"][0].replace("/bundles/", f"{tmp_path}/").replace("sisa --quiet", f"{os.environ['SISA']} --quiet")
    for index in (*range(manifest["spec"]["completions"]), 0):
        subprocess.run([*pod["command"], script], check=True, timeout=120, env={**os.environ, "JOB_COMPLETION_INDEX": str(index)})
    assert sorted(path.name for path in tmp_path.glob("*.bundle")) == []
    for made in sorted(tmp_path.glob("*.made")):
        assert many.unpack(made.read_bytes())["overtaken"] == 0
    assert digest(one.path) == digest(many.path)

"""The same jobs on this machine or on many, by Ray: the same results, and none is lost."""

import hashlib
import json
import os
import pickle
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import JsonValue

from gridhash import __version__
from gridhash.data.store.files import write_whole
from gridhash.errors import TrainingError

HERE = "local"
"""Address that starts Ray on this machine, on loopback alone, and ends it with the work."""
RETRIES = 3
"""Times that a job starts anew where its worker or node was lost, or a file out of reach."""
TICK_S = 1.0
ANSWER_S = 10.0

Job = dict[str, JsonValue]
"""Says what to do, in JSON alone; what all jobs share travels apart from it."""
Function = Callable[[Any, Job], JsonValue]
"""Does a job: called with what all jobs share, and the job. Stands at the top of a module."""


def nothing() -> None:
    """Do nothing between two looks at the work."""


@dataclass(frozen=True, kw_only=True)
class Workers:
    """Who does the jobs: this process, one after another, or a Ray cluster."""

    ray: str | None = None
    """Address of the cluster: `local`, HOST:PORT, or None for this process."""
    limit: int | None = None
    """Jobs at once, at most; as many as the cluster has CPUs where None."""

    def run(
        self,
        function: Function,
        jobs: Iterable[Job],
        *,
        shared: Any = None,
        tick: Callable[[], None] = nothing,
    ) -> Iterator[tuple[Job, JsonValue]]:
        """Yield each job with its result as soon as it is finished.

        `jobs` is asked for the next one only when a worker is free, after the caller has taken
        the results so far: a search may decide then. `tick` is called about once a second while
        a cluster works.

        Raises
        ------
        TrainingError
            If no cluster answers, its nodes run another gridhash, or a job lost its worker
            more often than `RETRIES`. What `function` raises is passed on.
        """
        if self.ray is None:
            return _run_here(function, jobs, shared)
        return _run_on_ray(function, jobs, shared, self, tick)


def map_jobs(
    function: Function,
    jobs: Sequence[Job],
    *,
    folder: Path,
    version: str,
    shared: Any = None,
    workers: Workers | None = None,
    finished: Callable[[Job, JsonValue], None] | None = None,
) -> list[JsonValue]:
    """Return the results of jobs in their order; those that `folder` holds are not done again.

    A result is a JSON file that is named by a hash of the function, the job and `version`, which
    must change with everything else that a result depends on: data, code, what is `shared`. Each is
    written as soon as it is there. `finished` is called with every job and result.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{content_key(function, job, version)}.json" for job in jobs]
    path_of = {json.dumps(job): path for job, path in zip(jobs, paths, strict=True)}
    missing = []
    for job, path in zip(jobs, paths, strict=True):
        if not path.exists():
            missing.append(job)
        elif finished is not None:
            finished(job, _read(path))
    for job, result in (workers or Workers()).run(function, missing, shared=shared):
        content = json.dumps({"job": job, "result": result}, indent=1, allow_nan=False)
        write_whole(path_of[json.dumps(job)], content.encode() + b"\n")
        if finished is not None:
            finished(job, result)
    return [_read(path) for path in paths]


def content_key(function: Function, job: Job, version: str) -> str:
    """Return the name under which the result of a job is kept."""
    name = f"{function.__module__}.{function.__qualname__}"
    text = json.dumps([name, version, job], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _read(path: Path) -> JsonValue:
    try:
        result: JsonValue = json.loads(path.read_text(encoding="utf-8"))["result"]
    except (ValueError, KeyError, TypeError) as err:
        raise TrainingError(f"{path} is no result of a job ({err}): remove it, and it is made "
                            "anew") from err  # fmt: skip
    return result


def _run_here(
    function: Function, jobs: Iterable[Job], shared: Any
) -> Iterator[tuple[Job, JsonValue]]:
    for job in jobs:
        for attempt in range(RETRIES + 1):
            try:
                result = function(shared, job)
                break
            except OSError:
                if attempt == RETRIES:
                    raise
        yield job, result


def _run_on_ray(
    function: Function,
    jobs: Iterable[Job],
    shared: Any,
    workers: Workers,
    tick: Callable[[], None],
) -> Iterator[tuple[Job, JsonValue]]:
    assert workers.ray is not None
    with _connected(workers.ray, workers.limit) as ray:
        task = ray.remote(_run_packed).options(
            num_cpus=1, max_retries=RETRIES, retry_exceptions=[OSError]
        )
        # As bytes, since arrays that Ray itself unpacks cannot be written.
        packed = ray.put((__version__, function, pickle.dumps(shared)))
        source = iter(jobs)
        running: dict[Any, Job] = {}
        more = True
        try:
            while more or running:
                while more and len(running) < _slots(ray, workers.limit):
                    job = next(source, None)
                    if job is None:
                        more = False
                    else:
                        running[task.remote(packed, job)] = job
                done, _ = ray.wait(list(running), timeout=TICK_S) if running else ([], [])
                tick()
                for ref in done:
                    job = running.pop(ref)
                    yield job, _result(ray, ref, job)
        finally:
            for ref in running:
                ray.cancel(ref, force=True)


def _run_packed(packed: tuple[str, Function, bytes], job: Job) -> JsonValue:
    """Do a job on a worker of the cluster."""
    version, function, shared = packed
    if version != __version__:
        raise TrainingError(
            f"a node of the cluster runs gridhash {__version__}, this machine {version}: install "
            "the same on all"
        )
    return function(pickle.loads(shared), job)


def _slots(ray: ModuleType, limit: int | None) -> int:
    """Return how many jobs may run at once: nodes come and go."""
    n_cpus = max(1, int(ray.cluster_resources().get("CPU", 1)))
    return n_cpus if limit is None else min(limit, n_cpus)


def _result(ray: ModuleType, ref: Any, job: Job) -> JsonValue:
    try:
        result: JsonValue = ray.get(ref)
    except ray.exceptions.RayTaskError as err:
        raise err.cause from err
    except ray.exceptions.RayError as err:
        raise TrainingError(
            f"the job {json.dumps(job)} lost its worker {RETRIES + 1} times, the last time: "
            f"{str(err).splitlines()[0]}"
        ) from err
    return result


@contextmanager
def _connected(address: str, limit: int | None) -> Iterator[ModuleType]:
    """Connect to a cluster for as long as the block runs; one that is connected stays so."""
    # Ray sends statistics to its makers unless this is set before it is imported.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Otherwise it warns of what it will do about GPUs one day, though no job asks for one.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if address == HERE:
        # Whatever the system: no cluster of several machines, hence every port on loopback.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    import ray

    if ray.is_initialized():
        yield ray
        return
    if address != HERE:
        _require_answer(address)
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address == HERE:
        options |= {"include_dashboard": False, "num_cpus": limit}
    try:
        ray.init(address=address, **options)
    except (ConnectionError, RuntimeError, ValueError) as err:
        raise _unreachable(address, err) from err
    try:
        yield ray
    finally:
        ray.shutdown()


def _require_answer(address: str) -> None:
    """Raise unless something listens at HOST:PORT: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise TrainingError(f"--ray {address}: write HOST:PORT of the head node, or {HERE}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S).close()
    except (OSError, OverflowError) as err:
        raise _unreachable(address, err) from err


def _unreachable(address: str, err: Exception) -> TrainingError:
    return TrainingError(
        f"--ray {address}: no Ray cluster answers ({str(err).splitlines()[0]}); start one with "
        f"`ray start --head --port 6379` and name its HOST:6379, or use --ray {HERE} for the cores "
        "of this machine"
    )

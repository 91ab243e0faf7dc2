"""Jobs give the same results here and on a cluster, and a lost node loses none of them."""

import io
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from gridhash.envs.open_scenario import ScenarioRequest
from gridhash.errors import TrainingError
from gridhash.training.cluster import RETRIES, Job, Workers, content_key, map_jobs


def squared(shared: Any, job: Job) -> Any:
    """Leave a mark that the job was begun, take a moment, return the square over three."""
    x = job["x"]
    assert isinstance(x, int)
    folder = Path(shared["marks"])
    (folder / f"{x}-{os.getpid()}-{time.time_ns()}").touch()
    time.sleep(shared["seconds"])
    return {"x": x, "square": x * x / 3.0}


def jobs(n: int) -> list[Job]:
    return [{"x": x} for x in range(n)]


def shared(folder: Path, seconds: float = 0.0) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    return {"marks": str(folder), "seconds": seconds}


def begun(folder: Path) -> list[int]:
    """Return the jobs that were begun, as often as they were."""
    return sorted(int(path.name.split("-")[0]) for path in folder.iterdir())


def test_finished_jobs_are_not_done_again(tmp_path: Path) -> None:
    marks, folder = tmp_path / "marks", tmp_path / "results"
    first = map_jobs(squared, jobs(3), folder=folder, version="1", shared=shared(marks))

    again = map_jobs(squared, jobs(5), folder=folder, version="1", shared=shared(marks))

    assert first == again[:3] == [{"x": x, "square": x * x / 3.0} for x in range(3)]
    assert begun(marks) == [0, 1, 2, 3, 4]
    map_jobs(squared, jobs(1), folder=folder, version="2", shared=shared(marks))
    assert begun(marks) == [0, 0, 1, 2, 3, 4]


def test_results_come_in_the_order_of_the_jobs(tmp_path: Path) -> None:
    folder, work = tmp_path / "results", shared(tmp_path / "marks")
    map_jobs(squared, [{"x": 2}], folder=folder, version="1", shared=work)

    results = map_jobs(squared, jobs(4), folder=folder, version="1", shared=work)

    assert [result["x"] for result in results if isinstance(result, dict)] == [0, 1, 2, 3]


def test_a_damaged_result_is_named(tmp_path: Path) -> None:
    work = shared(tmp_path / "marks")
    map_jobs(squared, jobs(1), folder=tmp_path, version="1", shared=work)
    path = tmp_path / f"{content_key(squared, {'x': 0}, '1')}.json"
    path.write_text("{")

    with pytest.raises(TrainingError, match=f"{path} is no result of a job"):
        map_jobs(squared, jobs(1), folder=tmp_path, version="1", shared=work)


def test_a_job_is_tried_anew_where_a_file_was_out_of_reach(tmp_path: Path) -> None:
    calls: list[Job] = []

    def flaky(_: Any, job: Job) -> Any:
        calls.append(job)
        if len(calls) <= RETRIES:
            raise OSError("stale file handle")
        return job["x"]

    assert list(Workers().run(flaky, jobs(1))) == [({"x": 0}, 0)]
    assert len(calls) == RETRIES + 1


def test_the_next_job_is_asked_for_when_the_last_has_been_taken(tmp_path: Path) -> None:
    taken: list[int] = []

    def asked() -> Iterator[Job]:
        for x in range(3):
            assert len(taken) == x
            yield {"x": x}

    for job, _ in Workers().run(squared, asked(), shared=shared(tmp_path)):
        taken.append(int(str(job["x"])))

    assert taken == [0, 1, 2]


def test_a_cluster_that_does_not_answer_is_one_error() -> None:
    pytest.importorskip("ray")
    with pytest.raises(TrainingError, match=r"127\.0\.0\.1:1: no Ray cluster answers \(.*refused"):
        list(Workers(ray="127.0.0.1:1").run(squared, jobs(1)))
    with pytest.raises(TrainingError, match="--ray auto: write HOST:PORT of the head node"):
        list(Workers(ray="auto").run(squared, jobs(1)))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes of one core each on this machine."""
    pytest.importorskip("ray", reason="the extra `cluster` is not installed")
    import ray
    from ray.cluster_utils import Cluster

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    nodes = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    nodes.add_node(num_cpus=1)
    assert nodes.address.startswith("127.0.0.1:")
    yield nodes
    nodes.shutdown()


LITTLE = """
hidden = [8]
validate_every = 1
[imitation]
n_samples = 200
n_price_shifts = 2
n_epochs = 1
batch_size = 100
[ppo]
n_iterations = 2
n_critic_iterations = 1
n_envs = 2
n_steps = 16
batch_size = 32
episode_days = 0.25
"""


def test_a_search_on_a_cluster_is_the_search_of_one_process(cluster: Any, tmp_path: Path) -> None:
    pytest.importorskip("stable_baselines3")
    pytest.importorskip("optuna")
    from gridhash.training.tune import TuneOptions, tune

    settings = tmp_path / "settings.toml"
    settings.write_text(LITTLE, encoding="utf-8")
    found = []
    for name, workers in (("here", Workers()), ("there", Workers(ray=cluster.address, limit=1))):
        study = tune(
            ScenarioRequest(start="2018-01-08", end="2018-03-01"),
            TuneOptions(
                folder=tmp_path / name,
                n_trials=2,
                settings=settings,
                validate_from="2018-02-06",
                test_from="2018-02-21",
                workers=workers,
            ),
            console=Console(file=io.StringIO()),
        )
        found.append([(trial.params, trial.value) for trial in study.trials])

    assert found[0] == found[1]
    assert (tmp_path / "here" / "study.db").exists()
    assert (tmp_path / "there" / "study.journal").exists()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # Ray leaves its processes to its reaper
def test_a_node_that_dies_loses_no_job_and_changes_no_result(cluster: Any, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    alone = map_jobs(squared, jobs(12), folder=here, version="1", shared=shared(tmp_path / "a"))
    marks = tmp_path / "b"
    seen: list[Job] = []

    def kill_after_four(job: Job, _: Any) -> None:
        seen.append(job)
        if len(seen) == 4:
            node = next(iter(cluster.worker_nodes))
            cluster.remove_node(node, allow_graceful=False)

    with_ray = map_jobs(
        squared,
        jobs(12),
        folder=there,
        version="1",
        shared=shared(marks, seconds=0.4),
        workers=Workers(ray=cluster.address),
        finished=kill_after_four,
    )

    assert with_ray == alone
    assert len(seen) == 12
    assert len({name.split("-")[1] for name in os.listdir(marks)}) >= 2  # both nodes worked
    assert set(begun(marks)) == set(range(12))
    assert {p.name: p.read_bytes() for p in here.iterdir()} == {
        p.name: p.read_bytes() for p in there.iterdir()
    }

"""The plays of an evaluation as jobs: on a cluster, and not again where they are finished."""

import base64
import hashlib
import io
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
from pydantic import JsonValue

import gridhash
from gridhash.agents.bound import Bound, WindowBound, perfect_foresight_bound
from gridhash.agents.policy import Policy
from gridhash.envs.scenario import Scenario
from gridhash.training.cluster import Job, Workers, map_jobs
from gridhash.training.contenders import Contender
from gridhash.training.play import PolicyRun, play
from gridhash.training.spans import Rows

BOUND = "perfect-foresight bound"
SOURCES = ("", "data", "envs", "agents", "training")
"""Folders of the package whose code a play may depend on."""


@dataclass(frozen=True, kw_only=True)
class PlayWork:
    """What the plays of one span share."""

    scenario: Scenario
    rows: Rows
    policies: Mapping[str, Policy]
    """By the name of their play."""


@dataclass(frozen=True, kw_only=True)
class Plays:
    """What was played on one span."""

    runs: Mapping[str, PolicyRun]
    bound: Bound


def play_all(
    scenario: Scenario,
    contenders: Sequence[Contender],
    rows: Rows,
    *,
    folder: Path,
    workers: Workers,
    progress: Callable[[str, int, int], None] | None = None,
) -> Plays:
    """Play every policy over `rows`, and bound them, one job each; finished ones lie in `folder`.

    A play is that of `gridhash.training.play.play` to the last bit.
    """
    policies = {contender.run_name: contender.policy for contender in contenders}
    jobs: list[Job] = [{"play": BOUND}]  # the longest first
    jobs += [{"play": name, "policy": _hash(policy)} for name, policy in policies.items()]
    n_done = 0

    def count(job: Job, result: JsonValue) -> None:
        nonlocal n_done
        n_done += 1
        if progress is not None:
            progress("plays on the cluster", n_done, len(jobs))

    bound, *plays = map_jobs(
        play_job,
        jobs,
        folder=folder,
        version=_version(scenario, rows),
        shared=PlayWork(scenario=scenario, rows=rows, policies=policies),
        workers=workers,
        finished=count,
    )
    runs = {name: _run(name, play) for name, play in zip(policies, plays, strict=True)}
    return Plays(runs=runs, bound=_bound(bound))


def play_job(work: PlayWork, job: Job) -> JsonValue:
    """Return the play, or the bound, that a job names: intervals as Parquet in base 64."""
    name = job["play"]
    if name == BOUND:
        bound = perfect_foresight_bound(work.scenario, work.rows, opens_accounts=True)
        return {"rows": list(bound.rows), "windows": [asdict(one) for one in bound.windows]}
    assert isinstance(name, str)
    run = play(work.scenario, work.policies[name], work.rows)
    intervals = io.BytesIO()
    run.frame.to_parquet(intervals, compression="zstd")
    return {
        "liability": run.liability,
        "intervals": base64.b64encode(intervals.getvalue()).decode(),
    }


def _run(name: str, result: JsonValue) -> PolicyRun:
    assert isinstance(result, dict)
    liability, intervals = result["liability"], result["intervals"]
    assert isinstance(liability, float)
    assert isinstance(intervals, str)
    frame = pd.read_parquet(io.BytesIO(base64.b64decode(intervals)))
    return PolicyRun(name=name, frame=frame, liability=liability)


def _bound(result: JsonValue) -> Bound:
    assert isinstance(result, dict)
    windows = result["windows"]
    assert isinstance(windows, list)
    return Bound(
        rows=_rows(result["rows"]),
        windows=tuple(
            WindowBound(**(one | {"rows": _rows(one["rows"])}))  # type: ignore[arg-type]
            for one in windows
            if isinstance(one, dict)
        ),
    )


def _rows(value: JsonValue) -> Rows:
    assert isinstance(value, list)
    first, last = value
    assert isinstance(first, int)
    assert isinstance(last, int)
    return first, last


def source_hash() -> str:
    """Return a hash of the code that a play may depend on."""
    digest = hashlib.sha256()
    root = Path(gridhash.__file__).parent
    for name in SOURCES:
        for path in sorted((root / name).glob("*.py" if name == "" else "**/*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _version(scenario: Scenario, rows: Rows) -> str:
    market = hashlib.sha256(scenario.market.tobytes()).hexdigest()
    return f"{source_hash()} {market} {rows} {scenario.site.model_dump_json()}"


def _hash(content: object) -> str:
    return hashlib.sha256(pickle.dumps(content)).hexdigest()[:16]

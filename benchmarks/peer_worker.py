"""Steps per second of one environment, in this process and interpreter; writes JSON.

    python benchmarks/peer_worker.py CASE --output FILE

Started by `benchmarks/peers.py`, for a peer with the interpreter of that peer's virtual
environment. Packages of peers are imported by name, inside the function that needs them.
"""

import argparse
import importlib
import importlib.metadata
import json
import math
import os
import platform
import random
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

OURS_ID = "gridhash.envs.registration:gridhash/JapanPilot-v0"
OURS_LABEL = "gridhash/JapanPilot-v0"

N_ACTIONS = 64
STEPS_PER_CLOCK_READING = 8
CITYLEARN_DATASET = "citylearn/data/citylearn_challenge_2022_phase_1/"
WEATHER = (
    "outdoor_dry_bulb_temperature",
    "outdoor_relative_humidity",
    "diffuse_solar_irradiance",
    "direct_solar_irradiance",
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One environment, ready to step."""

    environment: str
    distribution: str
    observation: str
    action: str
    actions: list[Any]
    reset: Callable[[], object]
    step: Callable[[Any], bool]
    """Takes an action; says whether the episode ended and `reset` is due."""
    sites: int = 1


def n_numbers(space: Any) -> int:
    """Return how many numbers one element of a space (or list of spaces) holds."""
    if isinstance(space, list | tuple):
        return sum(n_numbers(part) for part in space)
    if isinstance(space, gymnasium.spaces.Dict):
        return sum(n_numbers(part) for part in space.spaces.values())
    return math.prod(space.shape) if space.shape else 1


def size(space: Any) -> str:
    """Return the size of a space in words."""
    # By attribute: python-microgrid still uses the spaces of gym.
    return f"1 of {space.n}" if hasattr(space, "n") else str(n_numbers(space))


def gym_case(env: Any, environment: str, distribution: str) -> Case:
    """Return a case for an environment with Gymnasium's interface."""
    env.action_space.seed(0)

    def step(action: Any) -> bool:
        _, _, terminated, truncated, _ = env.step(action)
        return bool(terminated or truncated)

    return Case(
        environment=environment,
        distribution=distribution,
        observation=size(env.observation_space),
        action=size(env.action_space),
        actions=[env.action_space.sample() for _ in range(N_ACTIONS)],
        reset=env.reset,
        step=step,
    )


def ours_single() -> Case:
    env = gymnasium.make(OURS_ID)
    return gym_case(env, f"{OURS_LABEL}, one site, `gymnasium.make`", "gridhash")


def ours_batched(n_sites: int) -> Case:
    env: Any = gymnasium.make_vec(OURS_ID, n_sites, vectorization_mode="vector_entry_point")
    env.action_space.seed(0)

    def step(action: Any) -> bool:
        env.step(action)  # sites that end start anew inside
        return False

    return Case(
        environment=f"{OURS_LABEL}, {n_sites:,} sites, `gymnasium.make_vec`",
        distribution="gridhash",
        observation=size(env.single_observation_space),
        action=size(env.single_action_space),
        actions=[env.action_space.sample() for _ in range(16)],
        reset=env.reset,
        step=step,
        sites=n_sites,
    )


def sustaingym_building() -> Case:
    building = importlib.import_module("sustaingym.envs.building")
    parameters = building.ParameterGenerator(
        building="OfficeSmall", weather="Hot_Dry", location="Tucson"
    )
    env = building.BuildingEnv(parameters)
    return gym_case(env, "BuildingEnv, OfficeSmall in Tucson", "sustaingym")


def sustaingym_cogen() -> Case:
    env = importlib.import_module("sustaingym.envs.cogen").CogenEnv()
    return gym_case(env, "CogenEnv", "sustaingym")


def sustaingym_ev(*, project: bool) -> Case:
    charging = importlib.import_module("sustaingym.envs.evcharging")
    env = charging.EVChargingEnv(
        charging.RealTraceGenerator("caltech", "Summer 2021"), project_action_in_env=project
    )
    how = "actions projected (its default)" if project else "actions not projected"
    case = gym_case(env, f"EVChargingEnv, Caltech, {how}", "sustaingym")
    step = case.step
    # It scales the action it is given in place, so that a stored one would change.
    return Case(**{**vars(case), "step": lambda action: step(action.copy())})


def citylearn() -> Case:
    schema = citylearn_dataset(Path(sys.prefix) / "data")
    env = importlib.import_module("citylearn.citylearn").CityLearnEnv(
        str(schema), central_agent=True
    )
    (space,) = env.action_space
    space.seed(0)

    def step(action: Any) -> bool:
        _, _, terminated, truncated, _ = env.step(action)
        return bool(terminated or truncated)

    return Case(
        environment="2022 challenge, phase 1: 5 buildings, central agent",
        distribution="citylearn",
        observation=size(env.observation_space),
        action=size(space),
        actions=[[space.sample()] for _ in range(N_ACTIONS)],
        reset=env.reset,
        step=step,
    )


def citylearn_dataset(folder: Path) -> Path:
    """Give the data set of the 2.1.2 wheel in `folder` the names 3.x reads; return its schema.

    Version 2 read columns by position and named forecasts by hours ahead, version 3 reads them
    by name and numbers the forecasts; the values stay as they are.
    """

    def numbered(name: str) -> list[str]:
        return [f"{name}_predicted_{i}" for i in (1, 2, 3)]

    columns = {
        "Building": [
            *("month", "hour", "day_type", "daylight_savings_status"),
            *("indoor_dry_bulb_temperature", "average_unmet_cooling_setpoint_difference"),
            *("indoor_relative_humidity", "non_shiftable_load", "dhw_demand"),
            *("cooling_demand", "heating_demand", "solar_generation"),
        ],
        "carbon": ["carbon_intensity"],
        "pricing": ["electricity_pricing", *numbered("electricity_pricing")],
        "weather": [*WEATHER, *(name for column in WEATHER for name in numbered(column))],
    }
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.namelist():
            if not member.startswith(CITYLEARN_DATASET):
                continue
            name, text = Path(member).name, archive.read(member).decode()
            if name == "schema.json":
                for hours, number in ((6, 1), (12, 2), (24, 3)):
                    text = text.replace(f'predicted_{hours}h"', f'predicted_{number}"')
            else:
                (header,) = (columns[start] for start in columns if name.startswith(start))
                found, rows = text.split("\n", 1)
                if found.count(",") + 1 != len(header):
                    raise ValueError(f"{name} has the columns {found}, {len(header)} are known")
                text = f"{','.join(header)}\n{rows}"
            (folder / name).write_text(text, encoding="utf-8")
    return folder / "schema.json"


def python_microgrid() -> Case:
    env = importlib.import_module("pymgrid.envs").DiscreteMicrogridEnv.from_scenario(
        microgrid_number=0
    )

    def step(action: Any) -> bool:
        _, _, done, _ = env.step(action)
        return bool(done)

    return Case(
        environment="DiscreteMicrogridEnv, scenario 0",
        distribution="python-microgrid",
        observation=size(env.observation_space),
        action=size(env.action_space),
        actions=[env.action_space.sample() for _ in range(N_ACTIONS)],
        reset=env.reset,
        step=step,
    )


def ev2gym() -> Case:
    root = Path(str(importlib.import_module("ev2gym").__file__)).parent
    os.chdir(root.parent)  # its data paths are relative to the current folder
    env = importlib.import_module("ev2gym.models.ev2gym_env").EV2Gym(
        config_file=str(root / "example_config_files" / "V2GProfitMax.yaml"),
        state_function=importlib.import_module("ev2gym.rl_agent.state").V2G_profit_max,
        reward_function=importlib.import_module("ev2gym.rl_agent.reward").profit_maximization,
        save_replay=False,
        save_plots=False,
        verbose=False,
    )
    return gym_case(env, "V2GProfitMax, 25 chargers", "ev2gym")


def gym_anm() -> Case:
    importlib.import_module("gym_anm")
    return gym_case(gymnasium.make("gym_anm:ANM6Easy-v0"), "ANM6Easy-v0", "gym-anm")


def grid2op() -> Case:
    package = importlib.import_module("grid2op")
    backend = importlib.import_module("lightsim2grid").LightSimBackend()
    compat = importlib.import_module("grid2op.gym_compat")
    grid = package.make("l2rpn_case14_sandbox", test=True, backend=backend)
    env = compat.GymEnv(grid)
    env.observation_space = compat.BoxGymObsSpace(grid.observation_space)
    env.action_space = compat.DiscreteActSpace(grid.action_space)
    return gym_case(env, "l2rpn_case14_sandbox, lightsim2grid", "grid2op")


CASES: dict[str, Callable[[], Case]] = {
    "gridhash-1024": lambda: ours_batched(1024),
    "gridhash-256": lambda: ours_batched(256),
    "gridhash-single": ours_single,
    "sustaingym-building": sustaingym_building,
    "sustaingym-cogen": sustaingym_cogen,
    "sustaingym-ev": lambda: sustaingym_ev(project=True),
    "sustaingym-ev-raw": lambda: sustaingym_ev(project=False),
    "citylearn": citylearn,
    "python-microgrid": python_microgrid,
    "ev2gym": ev2gym,
    "gym-anm": gym_anm,
    "grid2op": grid2op,
}


def timed_run(case: Case, first: int, run_s: float) -> tuple[int, int, float, float]:
    """Step for about `run_s` seconds; return steps, resets, and seconds by wall and CPU clock.

    An episode goes on from one run to the next, so that resets count as often as they occur.
    """
    steps = resets = 0
    actions, n_actions = case.actions, len(case.actions)
    start_cpu = time.process_time()
    start = now = time.perf_counter()
    while now - start < run_s:
        for _ in range(STEPS_PER_CLOCK_READING):
            if case.step(actions[(first + steps) % n_actions]):
                case.reset()
                resets += 1
            steps += 1
        now = time.perf_counter()
    return steps, resets, now - start, time.process_time() - start_cpu


def measure(case: Case, *, runs: int, run_s: float) -> dict[str, Any]:
    """Warm up, take the timed runs, and return what the page needs."""
    random.seed(0)
    np.random.seed(0)  # several peers draw from the global generator
    case.reset()
    first, *_ = timed_run(case, 0, run_s)
    rates, cpu_rates, n_resets = [], [], 0
    for _ in range(runs):
        steps, resets, wall_s, cpu_s = timed_run(case, first, run_s)
        first += steps
        n_resets += resets
        rates.append(steps * case.sites / wall_s)
        cpu_rates.append(steps * case.sites / cpu_s)
    return {
        "environment": case.environment,
        "distribution": case.distribution,
        "version": importlib.metadata.version(case.distribution),
        "observation": case.observation,
        "action": case.action,
        "steps_per_s": rates,
        "steps_per_cpu_s": cpu_rates,
        "resets": n_resets,
        "python": platform.python_version(),
    }


def main() -> None:
    """Measure one case on one core."""
    parser = argparse.ArgumentParser(description="Steps per second of one environment")
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--runs", type=int, default=3, help="timed runs (default 3)")
    parser.add_argument("--run-s", type=float, default=3.0, help="seconds per run (default 3)")
    options = parser.parse_args()
    pinned = hasattr(os, "sched_setaffinity")
    if pinned:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    output = options.output.resolve()  # a peer may change the current folder
    result = measure(CASES[options.case](), runs=options.runs, run_s=options.run_s)
    output.write_text(json.dumps(result | {"pinned": pinned}), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Environment steps per second: batched kernel, single environment, and PPO on our `VecEnv`.

    python benchmarks/env_speed.py            table
    python benchmarks/env_speed.py --json     the same as JSON

A step is one dispatch interval of one site with its full observation and a fresh random action.
The site is the scenario JapanPilot, four groups with all its physics and programs; beside it
stands `japan_pilot`, the same site without them. What the numbers mean: `benchmarks/README.md`.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from gridhash.config import load_site
from gridhash.data.synthetic import synthetic_japan
from gridhash.envs import registration
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.named_scenario import open_named_scenario
from gridhash.envs.scenario import Scenario, build_scenario

SCENARIO = "JapanPilot"
FIRST_STEP = """
import time
start = time.perf_counter()
import gymnasium
import numpy as np
import gridhash.envs.registration
env = gymnasium.make("gridhash/JapanPilot-v0")
env.reset(seed=0)
env.step(np.zeros(env.action_space.shape, dtype=np.float32))
print(time.perf_counter() - start)
"""
RESIDENT_GROWTH = """
from pathlib import Path
import resource
import numpy as np
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.named_scenario import open_named_scenario

def resident_mib():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20

def play(n_sites):
    sites = BatchedSite(scenario, n_sites, EpisodeRules())
    sites.draw_starts(np.arange(n_sites), np.random.default_rng(0))
    for _ in range(100):
        sites.step(np.zeros((n_sites, sites.n_actions)))
    return sites

scenario = open_named_scenario("JapanPilot", years=1)
one = play(1)
before = resident_mib()
many = play(1024)
print(resident_mib() - before)
"""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured figure over several repeats."""

    name: str
    unit: str
    best: float
    median: float
    repeats: int


def figure(
    name: str, unit: str, values: Sequence[float], *, lower_is_better: bool = False
) -> Figure:
    """Return best and median of repeated measurements."""
    best = min(values) if lower_is_better else max(values)
    return Figure(
        name=name, unit=unit, best=best, median=statistics.median(values), repeats=len(values)
    )


def seconds(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Return how long a piece of work takes [s]."""
    start = clock()
    work()
    return clock() - start


def batched_run(
    scenario: Scenario, n_sites: int, *, steps: int, threads: int = 1
) -> tuple[Callable[[], None], Callable[[], None], int]:
    """Return what starts N sites anew, what steps them, and the steps that this makes.

    Every step of every site has a new action.
    """
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1.0, 1.0, (16, n_sites, scenario.n_groups))
    n_steps = max(1, steps // n_sites)
    sites = BatchedSite(scenario, n_sites, EpisodeRules(episode_days=30.0), threads=threads)

    def start() -> None:
        sites.draw_starts(np.arange(n_sites), rng)

    def run() -> None:
        for k in range(n_steps):
            sites.step(actions[k % 16])

    return start, run, n_steps * n_sites


def batched_steps(
    scenario: Scenario, n_sites: int, *, label: str, repeats: int, steps: int
) -> list[Figure]:
    """Measure `BatchedSite.step` by the wall and the CPU clock.

    On a busy machine the second tells what a core of its own would give.
    """
    start, run, n_steps = batched_run(scenario, n_sites, steps=steps)
    name = f"{label}, {n_sites} sites"
    figures = []
    for title, clock in ((name, time.perf_counter), (f"{name}, CPU clock", time.thread_time)):
        rates = []
        for _ in range(repeats + 1):
            start()
            rates.append(n_steps / seconds(run, clock))
        figures.append(figure(title, "steps/s", rates[1:]))
    return figures


def thread_scaling(scenario: Scenario, n_sites: int, *, repeats: int, steps: int) -> list[Figure]:
    """Measure N sites on one and on two threads in turns; and the ratio."""
    runs = [batched_run(scenario, n_sites, steps=steps, threads=threads) for threads in (1, 2)]
    rates: list[list[float]] = [[], []]
    for _ in range(repeats + 1):
        for (start, run, n_steps), own in zip(runs, rates, strict=True):
            start()
            own.append(n_steps / seconds(run))
    ratios = [two / one for one, two in zip(*rates, strict=True)][1:]
    return [
        figure(f"batched kernel, {n_sites} sites, 2 threads", "steps/s", rates[1][1:]),
        figure(f"2 threads per 1, {n_sites} sites", "1", ratios),
    ]


def single_steps(*, repeats: int, steps: int) -> Figure:
    """Measure one environment of `gymnasium.make`, one Python call per step."""
    registration.register()
    env = gymnasium.make(f"gridhash/{SCENARIO}-v0", episode_days=30.0)
    env.reset(seed=0)
    shape = (16, *(env.action_space.shape or ()))
    actions = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)

    def run() -> None:
        for k in range(steps):
            env.step(actions[k % 16])

    rates = []
    for _ in range(repeats + 1):
        env.reset()
        rates.append(steps / seconds(run))
    return figure("single environment", "steps/s", rates[1:])


def idle_vec_env(like: Any) -> Any:
    """Return a `VecEnv` of the same shapes whose steps cost next to nothing."""
    from stable_baselines3.common.vec_env import VecEnv

    class IdleVecEnv(VecEnv):
        render_mode = None

        def __init__(self) -> None:
            super().__init__(like.num_envs, like.observation_space, like.action_space)
            self._observation = like.reset()
            self._reward = np.zeros(self.num_envs, dtype=np.float32)
            self._done = np.zeros(self.num_envs, dtype=bool)
            self._infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]

        def reset(self) -> npt.NDArray[np.float32]:
            return np.array(self._observation)

        def step_async(self, actions: npt.NDArray[np.float32]) -> None:
            pass

        def step_wait(self) -> Any:
            return self._observation, self._reward, self._done, self._infos

        def close(self) -> None:
            pass

        def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
            return [getattr(like, attr_name)] * len(list(self._get_indices(indices)))

        def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
            raise NotImplementedError

        def env_method(self, method_name: str, *args: Any, indices: Any = None, **kw: Any) -> Any:
            raise NotImplementedError

        def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
            return [False] * len(list(self._get_indices(indices)))

    return IdleVecEnv()


def ppo_rates(scenario: Scenario, *, n_envs: int, repeats: int) -> list[Figure]:
    """Measure PPO on our `VecEnv` and on one that does nothing, in turns; and their ratio."""
    import torch
    from stable_baselines3 import PPO

    from gridhash.training.vec_env import SiteVecEnv

    torch.set_num_threads(2)
    n_steps = 16
    ours = SiteVecEnv(scenario, n_envs, EpisodeRules(episode_days=7.0), seed=0)
    models = {
        name: PPO(
            "MlpPolicy",
            env,
            n_steps=n_steps,
            batch_size=n_steps * n_envs,
            n_epochs=4,
            policy_kwargs={"net_arch": [64, 64], "activation_fn": torch.nn.ReLU},
            device="cpu",
            seed=0,
        )
        for name, env in (("ours", ours), ("idle", idle_vec_env(ours)))
    }
    rates: dict[str, list[float]] = {"ours": [], "idle": []}
    total = 4 * n_steps * n_envs
    for repeat in range(repeats + 1):
        order = list(models) if repeat % 2 else list(reversed(models))
        for name in order:
            model = models[name]

            def learn(model: Any = model) -> None:
                model.learn(total, reset_num_timesteps=False)

            rate = total / seconds(learn)
            if repeat:  # the first warms up
                rates[name].append(rate)
    ratios = [a / b for a, b in zip(rates["ours"], rates["idle"], strict=True)]
    return [
        figure(f"PPO on our VecEnv, {n_envs} sites", "steps/s", rates["ours"]),
        figure(f"PPO on a do-nothing VecEnv, {n_envs} sites", "steps/s", rates["idle"]),
        figure("PPO, ours per do-nothing", "1", ratios),
    ]


def in_new_process(program: str) -> float:
    """Return the number that a program prints."""
    command = [sys.executable, "-c", program]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def first_step_s(repeats: int) -> Figure:
    """Measure a new process from its first import to its first step, with numba's cache warm."""
    values = [in_new_process(FIRST_STEP) for _ in range(repeats + 1)]
    return figure("first import to first step", "s", values[1:], lower_is_better=True)


@contextmanager
def on_one_core() -> Iterator[bool]:
    """Keep this process on its last allowed core; yields whether the system can."""
    if not hasattr(os, "sched_setaffinity"):
        yield False
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield True
    finally:
        os.sched_setaffinity(0, allowed)


def peak_memory_mib() -> float:
    """Return the greatest resident memory of this process so far [MiB]."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024.0 if sys.platform != "darwin" else 1024.0**2)


def measure(*, repeats: int, quick: bool, with_ppo: bool) -> dict[str, Any]:
    """Return every figure and what it was measured on."""
    steps = 40_000 if quick else 400_000
    site, trace = load_site("japan_pilot"), synthetic_japan(seed=1)
    scenario, plain = open_named_scenario(SCENARIO, years=1), build_scenario(site, trace)
    with on_one_core() as pinned:
        figures = [
            figure_
            for label, what, sizes in (
                ("batched kernel", scenario, (256, 512, 1024)),
                (f"{site.name}, plain", plain, (256, 1024)),
            )
            for n_sites in sizes
            for figure_ in batched_steps(what, n_sites, label=label, repeats=repeats, steps=steps)
        ]
        kernel_memory_mib = peak_memory_mib()
        figures.append(single_steps(repeats=repeats, steps=steps // 40))
        builds_s = [seconds(lambda: build_scenario(scenario.site, scenario.trace))]
        builds_s += [
            seconds(lambda: build_scenario(scenario.site, scenario.trace))
            for _ in range(0 if quick else repeats)
        ]
        name = f"build {SCENARIO}, {scenario.trace.n_rows} periods"
        figures.append(figure(name, "s", builds_s, lower_is_better=True))
        figures.append(first_step_s(1 if quick else 3))
    for n_sites in (1024, 4096):
        figures += thread_scaling(scenario, n_sites, repeats=repeats, steps=steps)
    if with_ppo:
        figures += ppo_rates(scenario, n_envs=1024, repeats=1 if quick else repeats)
    memory = {"kernel": kernel_memory_mib, "all": peak_memory_mib()}
    if Path("/proc/self/statm").exists():
        memory["1024 sites"] = in_new_process(RESIDENT_GROWTH)
    return {
        "scenario": SCENARIO,
        "groups": scenario.n_groups,
        "features": len(scenario.features),
        "figures": [asdict(f) for f in figures],
        "peak_memory_mib": memory,
        "pinned_to_one_core": pinned,
        "load_average": os.getloadavg()[0],
        "processor": processor(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def processor() -> str:
    """Return the processor's name."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [
                line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
            ]
    except OSError:
        names = []
    return names[0] if names else platform.processor()


def print_table(result: dict[str, Any]) -> None:
    """Print the figures as a table."""
    core = "one core" if result["pinned_to_one_core"] else "not pinned to one core"
    print(
        f"{result['scenario']}: {result['groups']} groups, {result['features']} features; "
        f"{result['processor']}, {core}, load average {result['load_average']:.1f}"
    )
    print(f"{'':44} {'best':>12} {'median':>12}")
    for line in result["figures"]:
        digits = 0 if line["unit"] == "steps/s" else 3
        values = "".join(f" {line[name]:12,.{digits}f}" for name in ("best", "median"))
        print(f"{line['name']:44}{values} {line['unit']}  ({line['repeats']} runs)")
    for name, mib in result["peak_memory_mib"].items():
        print(f"{'memory, ' + name:44} {mib:12,.1f} MiB")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Environment steps per second on this machine")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work: a smoke test")
    parser.add_argument("--no-ppo", action="store_true", help="leave out Stable-Baselines3")
    parser.add_argument("--repeats", type=int, default=7, help="runs of each figure (default 7)")
    options = parser.parse_args()
    result = measure(
        repeats=max(1, options.repeats), quick=options.quick, with_ppo=not options.no_ppo
    )
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        print_table(result)


if __name__ == "__main__":
    main()

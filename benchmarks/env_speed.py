"""Environment steps per second: batched kernel, single environment, and PPO on our `VecEnv`.

    python benchmarks/env_speed.py            table
    python benchmarks/env_speed.py --json     the same as JSON

A step is one dispatch interval of one site (default: `japan_pilot`, four groups) with its full
observation and a fresh random action. What the numbers mean: `benchmarks/README.md`.
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
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gridhash.config import load_site
from gridhash.data.synthetic import synthetic_japan
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.mining_site_env import MiningSiteEnv
from gridhash.envs.scenario import Scenario, build_scenario

FIRST_STEP = """
import time
start = time.perf_counter()
import numpy as np
from gridhash.config import load_site
from gridhash.data.synthetic import synthetic_japan
from gridhash.envs.mining_site_env import MiningSiteEnv
env = MiningSiteEnv(site=load_site("japan_pilot"), trace=synthetic_japan(seed=1))
env.reset(seed=0)
env.step(np.zeros(4, dtype=np.float32))
print(time.perf_counter() - start)
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


def batched_steps(scenario: Scenario, n_sites: int, *, repeats: int, steps: int) -> list[Figure]:
    """Measure `BatchedSite.step` with a new action at every step, by the wall and the CPU clock.

    On a busy machine the second tells what a core of its own would give.
    """
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1.0, 1.0, (16, n_sites, scenario.n_groups))
    n_steps = max(1, steps // n_sites)
    sites = BatchedSite(scenario, n_sites, EpisodeRules(episode_days=30.0))

    def run() -> None:
        for k in range(n_steps):
            sites.step(actions[k % 16])

    name = f"batched kernel, {n_sites} sites"
    figures = []
    for label, clock in ((name, time.perf_counter), (f"{name}, CPU clock", time.thread_time)):
        rates = []
        for _ in range(repeats + 1):
            sites.draw_starts(np.arange(n_sites), rng)
            rates.append(n_steps * n_sites / seconds(run, clock))
        figures.append(figure(label, "steps/s", rates[1:]))
    return figures


def single_steps(scenario: Scenario, *, repeats: int, steps: int) -> Figure:
    """Measure `MiningSiteEnv.step`, one Python call per step."""
    env = MiningSiteEnv(scenario, episode_days=30.0)
    env.reset(seed=0)
    actions = np.random.default_rng(0).uniform(-1, 1, (16, scenario.n_groups)).astype(np.float32)

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

    torch.set_num_threads(1)
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


def first_step_s(repeats: int) -> Figure:
    """Measure a new process from its first import to its first step, with numba's cache warm."""
    command = [sys.executable, "-c", FIRST_STEP]
    values = [
        float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for _ in range(repeats + 1)
    ]
    return figure("first import to first step", "s", values[1:], lower_is_better=True)


def pin_to_one_core() -> bool:
    """Keep this process on its last allowed core; return whether the system can."""
    if not hasattr(os, "sched_setaffinity"):
        return False
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    return True


def peak_memory_mib() -> float:
    """Return the greatest resident memory of this process so far [MiB]."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024.0 if sys.platform != "darwin" else 1024.0**2)


def measure(*, repeats: int, quick: bool, with_ppo: bool) -> dict[str, Any]:
    """Return every figure and what it was measured on."""
    pinned = pin_to_one_core()
    steps = 40_000 if quick else 400_000
    site, trace = load_site("japan_pilot"), synthetic_japan(seed=1)
    scenario = build_scenario(site, trace)
    figures = [
        figure_
        for n_sites in (256, 1024)
        for figure_ in batched_steps(scenario, n_sites, repeats=repeats, steps=steps)
    ]
    kernel_memory_mib = peak_memory_mib()
    figures.append(single_steps(scenario, repeats=repeats, steps=steps // 40))
    builds_s = [seconds(lambda: build_scenario(site, trace)) for _ in range(repeats)]
    figures.append(
        figure(f"build a scenario of {trace.n_rows} periods", "s", builds_s, lower_is_better=True)
    )
    figures.append(first_step_s(1 if quick else 3))
    if with_ppo:
        figures += ppo_rates(scenario, n_envs=1024, repeats=1 if quick else repeats)
    return {
        "site": site.name,
        "groups": scenario.n_groups,
        "features": len(scenario.features),
        "figures": [asdict(f) for f in figures],
        "peak_memory_mib": {"kernel": kernel_memory_mib, "all": peak_memory_mib()},
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
        f"{result['site']}: {result['groups']} groups, {result['features']} features; "
        f"{result['processor']}, {core}, load average {result['load_average']:.1f}"
    )
    print(f"{'':44} {'best':>12} {'median':>12}")
    for line in result["figures"]:
        digits = 0 if line["unit"] == "steps/s" else 3
        values = "".join(f" {line[name]:12,.{digits}f}" for name in ("best", "median"))
        print(f"{line['name']:44}{values} {line['unit']}  ({line['repeats']} runs)")
    memory = result["peak_memory_mib"]
    print(f"{'peak memory, kernel / all':44} {memory['kernel']:12,.0f} {memory['all']:12,.0f} MiB")


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

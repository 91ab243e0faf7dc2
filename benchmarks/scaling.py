"""How much faster a Ray cluster of two workers does the jobs of an evaluation than one of one.

    python benchmarks/scaling.py [--jobs 8] [--rounds 2]

A job plays the day-ahead plan over a year of hours of the embedded sample. Clusters of one and of
two workers on this machine take turns, so that other load meets both; their start and imports are
not counted. The last line names that load: two workers cannot be twice as fast where other
programs leave less than two cores; the CPU seconds of a job say what free cores would give.
"""

import argparse
import os
import time
from typing import Any

from gridhash.agents.day_ahead_dp import DayAheadDP
from gridhash.envs.open_scenario import ScenarioRequest, open_scenario
from gridhash.training.cluster import HERE, Job, Workers
from gridhash.training.play import play


def timed_play(scenario: Any, _: Job) -> Any:
    """Return profit, the instants of begin and end [s], and CPU seconds of one play."""
    begin, cpu = time.time(), time.process_time()
    run = play(scenario, DayAheadDP(scenario.site), (scenario.first_row, scenario.n_rows))
    return [run.profit, begin, time.time(), time.process_time() - cpu]


def seconds(n_workers: int, n_jobs: int, scenario: Any) -> tuple[float, float, set[float]]:
    """Return wall seconds from the first begin to the last end, CPU seconds a job, the profits."""
    jobs: list[Job] = [{"job": number} for number in range(n_jobs)]
    results: list[Any] = [
        result
        for _, result in Workers(ray=HERE, limit=n_workers).run(timed_play, jobs, shared=scenario)
    ]
    wall_s = max(end for _, _, end, _ in results) - min(begin for _, begin, _, _ in results)
    return wall_s, sum(cpu for *_, cpu in results) / n_jobs, {profit for profit, *_ in results}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure two workers against one.")
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    scenario = open_scenario(ScenarioRequest())
    load_before = os.getloadavg()[0]
    ratios, by_cpu, profits = [], [], set()
    for _ in range(options.rounds):
        wall_s, cpu_s = {}, {}
        for n_workers in (1, 2):
            wall_s[n_workers], cpu_s[n_workers], found = seconds(n_workers, options.jobs, scenario)
            profits |= found
            print(
                f"{n_workers} worker(s): {options.jobs} jobs in {wall_s[n_workers]:.1f} s, "
                f"{cpu_s[n_workers]:.2f} CPU-s a job",
                flush=True,
            )
        ratios.append(wall_s[1] / wall_s[2])
        by_cpu.append(2 * cpu_s[1] / cpu_s[2])
    for clock, figures in (("the wall clock", ratios), ("CPU seconds, as on free cores", by_cpu)):
        print(f"2 workers per 1 by {clock}: {', '.join(f'{one:.2f}' for one in figures)}")
    print(f"same result of every job: {len(profits) == 1}")
    print(
        f"load average {load_before:.1f} before, {os.getloadavg()[0]:.1f} after, on "
        f"{os.cpu_count()} cores"
    )


if __name__ == "__main__":
    main()

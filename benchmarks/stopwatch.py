"""Wall and CPU time of repeated work."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Times:
    """Quantiles of what was repeated [ms]."""

    n: int
    wall_p50: float
    wall_p99: float
    cpu_p50: float
    cpu_p99: float

    def row(self, name: str) -> str:
        """Return the row of the table."""
        figures = (self.wall_p50, self.wall_p99, self.cpu_p50, self.cpu_p99)
        return f"| {name} | {self.n:,} | " + " | ".join(f"{own:.2f}" for own in figures) + " |"


class Stopwatch:
    """Collects wall and CPU time of repeated work."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []

    @contextmanager
    def lap(self) -> Iterator[None]:
        """Time the body."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.cpu.append(1e3 * (time.process_time() - cpu))
        self.wall.append(1e3 * (time.perf_counter() - wall))

    def times(self) -> Times:
        """Return the quantiles."""
        wall, cpu = np.percentile(self.wall, [50, 99]), np.percentile(self.cpu, [50, 99])
        return Times(
            n=len(self.wall),
            wall_p50=float(wall[0]),
            wall_p99=float(wall[1]),
            cpu_p50=float(cpu[0]),
            cpu_p99=float(cpu[1]),
        )

"""Processor time of one day's forecast from one issue time, of 15 and of 5 minutes.

    python benchmarks/forecasts.py       table

A random walk, 80 days learned, 200 rounds of trees; finding what is known is included.
"""

import statistics
import time

import numpy as np
import pandas as pd

from gridhash.data.forecasts.forecast import forecast
from gridhash.data.forecasts.quantile_model import fit_quantile_model
from gridhash.data.forecasts.sampling import TrainingOptions
from gridhash.data.forecasts.series import Series, known_at
from gridhash.data.splits import Span
from gridhash.time_grid import grid

N_RUNS = 20
START = pd.Timestamp("2024-01-01T00:00Z")
END = START + pd.Timedelta(days=110)
LEARNED = Span(START, START + pd.Timedelta(days=80))


def day_ms(period_s: int) -> float:
    """Return the median processor time of one day's forecast [ms]."""
    starts = grid(START, END, period_s)
    series = {
        "x": Series(
            name="x",
            starts=starts,
            values=np.random.default_rng(1).normal(size=len(starts)).cumsum(),
            available_at=starts + pd.Timedelta(seconds=period_s),
            period_s=period_s,
        )
    }
    n_steps = 86400 // period_s
    options = TrainingOptions(n_steps=n_steps, timezone="UTC", seed=1, max_samples=20_000)
    model = fit_quantile_model(series, [LEARNED], target="x", options=options)
    took = []
    for issued_at in grid(LEARNED.end, END, 86400)[:N_RUNS]:
        begun = time.process_time()
        forecast(model, known_at(series, issued_at), n_steps)
        took.append((time.process_time() - begun) * 1000)
    return statistics.median(took)


def main() -> None:
    """Print the table."""
    print(f"| one day from one issue time | CPU ms, median of {N_RUNS} |\n|---|---|")
    for period_s in (900, 300):
        print(f"| {86400 // period_s} steps of {period_s // 60} min | {day_ms(period_s):.1f} |")


if __name__ == "__main__":
    main()

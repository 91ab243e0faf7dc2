"""A trace on a finer grid: every value is held within its own interval."""

from dataclasses import replace

import numpy as np
import pandas as pd

from gridhash.data.trace import Trace
from gridhash.errors import TimeGridError
from gridhash.time_grid import grid


def finer(trace: Trace, period_s: int) -> Trace:
    """Return the trace on intervals of `period_s` [s], each with the value that it lies in.

    Right for what is a mean or a price of its interval. A value that is known when its interval
    ends stays known at that instant, so that no part of it is known earlier than the whole.

    Raises
    ------
    TimeGridError
        If `period_s` does not divide the trace's own.
    """
    if period_s < 1 or trace.period_s % period_s:
        raise TimeGridError(
            f"{trace.source}: intervals of {trace.period_s} s cannot be cut into {period_s} s"
        )
    parts = trace.period_s // period_s
    if parts == 1:
        return trace
    rows = np.repeat(np.arange(trace.n_rows), parts)
    starts = grid(trace.start, trace.end, period_s)
    distinct = {id(known): known[rows] for known in trace.available_at.values()}
    return replace(
        trace,
        frame=pd.DataFrame(
            {name: trace.frame[name].to_numpy()[rows] for name in trace.frame.columns},
            index=starts,
        ),
        period_s=period_s,
        available_at={name: distinct[id(known)] for name, known in trace.available_at.items()},
        notes=(*trace.notes, f"values of {trace.period_s} s held on intervals of {period_s} s"),
    )

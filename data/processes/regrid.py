"""A trace on a finer grid."""

from dataclasses import replace

import numpy as np
import pandas as pd

from gridhash.data.trace import Trace
from gridhash.errors import TimeGridError
from gridhash.time_grid import grid


def regrid(trace: Trace, period_s: int) -> Trace:
    """Return the trace with each period's means repeated on a finer grid.

    Each part is known when the whole was: the mean of an hour not before the hour has ended.

    Raises
    ------
    TimeGridError
        If the new period does not divide the trace's.
    """
    if period_s <= 0 or trace.period_s % period_s:
        raise TimeGridError(
            f"{trace.source}: period_s {period_s} does not divide that of the trace, "
            f"{trace.period_s}; choose a divisor"
        )
    n_parts = trace.period_s // period_s
    if n_parts == 1:
        return trace
    index = grid(trace.start, trace.end, period_s)
    rows = np.repeat(np.arange(trace.n_rows), n_parts)
    columns = {name: trace.column(name)[rows] for name in trace.frame.columns}
    distinct = {id(known): known[rows] for known in trace.available_at.values()}
    return replace(
        trace,
        frame=pd.DataFrame(columns, index=index),
        period_s=period_s,
        available_at={name: distinct[id(known)] for name, known in trace.available_at.items()},
        notes=(*trace.notes, f"means of {trace.period_s} s repeated on a grid of {period_s} s"),
    )

"""Rigs of one group by age, in dispatch intervals since they started or stopped.

Bucket `a` holds the rigs of age `a`, the last one all older rigs. Mostly one or two of a group's
buckets hold rigs, so the range that does is kept beside them.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from gridhash.envs.jit import counted, njit

Counts = npt.NDArray[np.uint32]
Buckets = np.recarray[Any, np.dtype[np.record]]
BUCKET = np.dtype([("rigs", np.float64), ("chip_c", np.float64)])
"""Rigs of one age and the temperature of their chips."""

# Columns of `FleetState.filled`; an empty range starts and ends at 0.
UP_FIRST, UP_END, DOWN_FIRST, DOWN_END = range(4)


@njit
def find_filled(buckets: Buckets, filled: Counts, column: int) -> None:
    """Write the range of buckets that hold rigs into `filled` at `column` and the next."""
    first, end = 0, 0
    for a in range(buckets.shape[0]):
        if buckets[a].rigs > 0.0:
            if end == 0:
                first = a
            end = a + 1
    filled[column] = first
    filled[column + 1] = end


@njit
def filled_range(filled: Counts, column: int) -> tuple[int, int]:
    """Return first and end of the buckets at `column` of `filled`.

    They are stored unsigned, which spares compiled code what `counted` does.
    """
    return int(np.intp(filled[column])), int(np.intp(filled[column + 1]))


@njit
def take_oldest(
    buckets: Buckets, filled: Counts, column: int, youngest: int, wanted: float
) -> tuple[float, float]:
    """Take rigs from buckets of age `youngest` on, the oldest first; return (rigs, mean °C)."""
    first, end = filled_range(filled, column)
    todo = wanted
    heat = 0.0
    rigs = 0.0
    for age in range(end - 1, max(first, youngest) - 1, -1):
        a = counted(age)
        taken = min(todo, buckets[a].rigs)
        if taken > 0.0:
            buckets[a].rigs -= taken
            heat += taken * buckets[a].chip_c
            rigs += taken
            todo -= taken
        if buckets[a].rigs > 0.0:
            break
        end = a
    if end == first:
        filled[column] = 0
        end = 0
    filled[column + 1] = end
    return rigs, heat / rigs if rigs > 0.0 else 0.0


@njit
def enter_youngest(
    buckets: Buckets, filled: Counts, column: int, rigs: float, chip_c: float
) -> None:
    """Put rigs into the bucket of age 0, which is empty."""
    if rigs > 0.0:
        buckets[0].rigs = rigs
        buckets[0].chip_c = chip_c
        _, end = filled_range(filled, column)
        filled[column] = 0
        filled[column + 1] = max(end, 1)


@njit
def merged(rigs: float, chip_c: float, more: float, more_c: float) -> tuple[float, float]:
    """Return rigs and mean temperature of two buckets together, of which one holds rigs."""
    both = rigs + more
    return both, (rigs * chip_c + more * more_c) / both

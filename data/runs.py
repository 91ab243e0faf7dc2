"""Runs of marked rows in a mask."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt


def runs(mask: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Yield first and one past the last of every run of marked rows.

    >>> list(runs(np.array([True, False, True, True])))
    [(0, 1), (2, 4)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def run_lengths(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Return the length of each run of marked rows, in order.

    >>> run_lengths(np.array([True, False, True, True])).tolist()
    [1, 2]
    """
    return np.array([stop - first for first, stop in runs(mask)], dtype=np.intp)

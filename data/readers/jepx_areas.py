"""Whether nine area prices fit the grid: a market split leaves areas of one price connected.

Where two areas have one price and no line between them is congested, the areas on the way have it
too. So the areas of one price are one connected part of the grid; of the 157,776 half hours of
fiscal years 2016-2024 that fails in 0.15 %. Swapped columns break it often: of random swaps of two
areas since fiscal year 2019, this finds 55 % in a single day, 83 % in a month and 96 % in a year,
and it refuses no day, week, month or year of the exchange's prices. Shikoku and Kyushu, both
behind Chugoku, cannot be told apart so.
"""

from itertools import combinations

import numpy as np
import numpy.typing as npt

_GRID = {
    "hokkaido": ("tohoku",),
    "tohoku": ("hokkaido", "tokyo"),
    "tokyo": ("tohoku", "chubu"),
    "chubu": ("tokyo", "hokuriku", "kansai"),
    "hokuriku": ("chubu", "kansai"),
    "kansai": ("chubu", "hokuriku", "chugoku", "shikoku"),
    "chugoku": ("kansai", "shikoku", "kyushu"),
    "shikoku": ("kansai", "chugoku"),
    "kyushu": ("chugoku",),
}
"""Area → areas it has a line to (OCCTO, interconnection lines between areas)."""

AREA_NAMES = tuple(_GRID)

FLOOR_PER_KWH = 0.01
"""Areas meet at the lowest price without being connected."""

MIN_SWAP_GAIN = 15
"""Three times what exchanging two columns gains in any day of fiscal years 2016-2024."""

MIN_PARTS = 40
MAX_PARTS_PER_ROW = 0.05
"""The worst day of those years has 7 parts too many, the worst month 22, or 1.5 % of its rows."""

_PAIRS = tuple(combinations(range(9), 2))


def area_problem(prices_per_kwh: npt.NDArray[np.float64]) -> tuple[int, str] | None:
    """Return the first row that shows misplaced area columns and what is wrong, or None.

    Parameters
    ----------
    prices_per_kwh
        (rows, 9) in the order of `AREA_NAMES`; NaN where an area is not traded.
    """
    patterns, rows, n_rows = np.unique(
        _equality(prices_per_kwh), return_index=True, return_counts=True
    )
    equal = np.tile(np.eye(9, dtype=bool), (len(patterns), 1, 1))
    for bit, (first, second) in enumerate(_PAIRS):
        equal[:, first, second] = equal[:, second, first] = patterns >> bit & 1
    parts = _surplus_parts(equal, list(range(9)))
    n_parts = int(parts @ n_rows)
    if n_parts < MIN_SWAP_GAIN:
        return None
    row = int(rows[parts > 0].min())
    swaps: list[tuple[int, tuple[int, int]]] = []
    for first, second in _PAIRS:
        order = list(range(9))
        order[first], order[second] = second, first
        swaps.append((int(_surplus_parts(equal, order) @ n_rows), (first, second)))
    n_left, (first, second) = min(swaps)
    is_swap = n_parts - n_left >= MIN_SWAP_GAIN and n_left <= n_parts / 2
    if not is_swap and n_parts < max(MIN_PARTS, MAX_PARTS_PER_ROW * len(prices_per_kwh)):
        return None
    return row, (
        f"{n_parts} times in {len(prices_per_kwh)} rows areas of one price are apart on the grid, "
        f"{n_left} times if {AREA_NAMES[first]} and {AREA_NAMES[second]} were exchanged: columns "
        "look swapped or shifted"
    )


def _equality(prices_per_kwh: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return for each row a bit per pair of areas: whether both have one price above the floor."""
    ticks = np.round(prices_per_kwh.T * 100)
    ticks[ticks <= FLOOR_PER_KWH * 100] = np.nan
    bits = np.zeros(len(prices_per_kwh), np.int64)
    for bit, (first, second) in enumerate(_PAIRS):
        bits |= (ticks[first] == ticks[second]).astype(np.int64) << bit
    return bits


def _surplus_parts(equal: npt.NDArray[np.bool_], order: list[int]) -> npt.NDArray[np.int64]:
    """Return how many more connected parts than prices each pattern has, column k being order[k].

    `equal` is (patterns, 9, 9). Each area adds 1 / size of its part, so the sum counts parts.
    """
    names = [AREA_NAMES[k] for k in order]
    near = np.array([[a == b or b in _GRID[a] for b in names] for a in names])
    reach = (equal & near).astype(np.float32)
    for _ in range(3):  # paths of up to 8 lines
        reach = (reach @ reach > 0).astype(np.float32)
    surplus = (1 / reach.sum(2)).sum(1) - (1 / equal.sum(2)).sum(1)
    result: npt.NDArray[np.int64] = np.round(surplus).astype(np.int64)
    return result

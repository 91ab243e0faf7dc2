"""Hashprice from the Bitcoin network's figures: what 1 PH/s earns in a day, before pool fees."""

from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from gridhash.errors import DataError
from gridhash.time_grid import require_aware
from gridhash.units import SECONDS_PER_DAY

Numbers = npt.NDArray[np.float64]

HASHES_PER_DIFFICULTY = 2.0**32
"""Expected hashes per block and unit of difficulty (Bitcoin's proof of work)."""

HASHES_PER_PETAHASH = 1e15
BLOCK_INTERVAL_S = 600.0
BLOCKS_PER_HALVING = 210_000
FIRST_SUBSIDY_SATOSHI = 50 * 100_000_000
SATOSHI_PER_BTC = 1e8

HALVINGS = (
    datetime(2012, 11, 28, 15, 24, 38, tzinfo=UTC),
    datetime(2016, 7, 9, 16, 46, 13, tzinfo=UTC),
    datetime(2020, 5, 11, 19, 23, 43, tzinfo=UTC),
    datetime(2024, 4, 20, 0, 9, 27, tzinfo=UTC),
)
"""Times in the headers of blocks 210,000, 420,000, 630,000 and 840,000."""

NEXT_HALVING_NOT_BEFORE = datetime(2028, 1, 1, tzinfo=UTC)
"""Block 1,050,000 is due in spring 2028; from here on only a height tells the subsidy."""


def subsidy_btc(height: int) -> float:
    """Return the newly issued coins of the block at a height [BTC].

    >>> subsidy_btc(839_999), subsidy_btc(840_000)
    (6.25, 3.125)
    """
    if height < 0:
        raise DataError(f"block height {height}: a height is 0 or more")
    n_halvings = height // BLOCKS_PER_HALVING
    return (FIRST_SUBSIDY_SATOSHI >> n_halvings if n_halvings < 64 else 0) / SATOSHI_PER_BTC


def subsidy_btc_at(instant: datetime) -> float:
    """Return the newly issued coins of a block found at an instant [BTC].

    Raises
    ------
    DataError
        If the instant is later than `NEXT_HALVING_NOT_BEFORE`: use `subsidy_btc` of the height.
    """
    if require_aware(instant, "instant") >= NEXT_HALVING_NOT_BEFORE:
        raise DataError(
            f"the subsidy at {instant} depends on when block 1,050,000 is found: give its height"
        )
    n_halvings = sum(instant >= halving for halving in HALVINGS)
    return subsidy_btc(n_halvings * BLOCKS_PER_HALVING)


def expected_hashprice(
    difficulty: Numbers,
    subsidy_btc_per_block: Numbers,
    fees_btc_per_block: Numbers,
    btc_price_usd: Numbers,
) -> Numbers:
    """Return the expected revenue of 1 PH/s for one day [USD/(PH/s)/day], element by element.

    A petahash per second finds ``86400·1e15/(D·2^32)`` blocks a day on average at difficulty D,
    each worth subsidy and fees.

    >>> expected_hashprice(*np.array([[110e12], [3.125], [0.05], [100_000.0]])).round(2).tolist()
    [58.06]
    """
    blocks_per_day = SECONDS_PER_DAY * HASHES_PER_PETAHASH / (difficulty * HASHES_PER_DIFFICULTY)
    return blocks_per_day * (subsidy_btc_per_block + fees_btc_per_block) * btc_price_usd


def realised_hashprice(
    issuance_btc: Numbers,
    fees_btc: Numbers,
    btc_price_usd: Numbers,
    network_hashrate_phs: Numbers,
) -> Numbers:
    """Return what 1 PH/s earned in a day on average [USD/(PH/s)/day], element by element.

    All coins of the day, issued and fees, times price, over the mean hash rate of the network.
    """
    return (issuance_btc + fees_btc) * btc_price_usd / network_hashrate_phs


def difficulty_of(network_hashrate_phs: Numbers, blocks_per_day: Numbers) -> Numbers:
    """Return the difficulty at which a hash rate finds so many blocks a day."""
    hashes_per_day = network_hashrate_phs * HASHES_PER_PETAHASH * SECONDS_PER_DAY
    return hashes_per_day / (HASHES_PER_DIFFICULTY * blocks_per_day)

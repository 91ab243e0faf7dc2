"""Hashprice: subsidy by height and date, the formula, and the years of a real series."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gridhash.data.hashprice import (
    HALVINGS,
    difficulty_of,
    expected_hashprice,
    realised_hashprice,
    subsidy_btc,
    subsidy_btc_at,
)
from gridhash.errors import DataError


@pytest.mark.parametrize(
    ("height", "subsidy"),
    [(0, 50.0), (209_999, 50.0), (210_000, 25.0), (840_000, 3.125), (6_930_000, 0.0)],
)
def test_subsidy_halves_every_210000_blocks(height: int, subsidy: float) -> None:
    assert subsidy_btc(height) == subsidy


def test_all_coins_are_just_under_21_million() -> None:
    total = sum(210_000 * subsidy_btc(i * 210_000) for i in range(64))

    assert total == pytest.approx(20_999_999.9769)


def test_subsidy_at_the_fourth_halving() -> None:
    assert subsidy_btc_at(datetime(2024, 4, 20, 0, 9, 26, tzinfo=UTC)) == 6.25
    assert subsidy_btc_at(HALVINGS[3]) == 3.125


def test_subsidy_after_the_next_halving_needs_a_height() -> None:
    with pytest.raises(DataError, match="give its height"):
        subsidy_btc_at(datetime(2028, 6, 1, tzinfo=UTC))


def test_negative_height_is_refused() -> None:
    with pytest.raises(DataError, match="-1"):
        subsidy_btc(-1)


def test_the_formula_gives_the_printed_quote_within_its_rounded_inputs() -> None:
    """Late November 2025: difficulty 152 T, fees 1 % of the subsidy, 91,000 USD; Luxor: 38.2."""
    subsidy = 3.125
    hashprice = expected_hashprice(*np.array([[152e12], [subsidy], [0.01 * subsidy], [91_000.0]]))

    assert hashprice.round(1).tolist() == [38.0]
    assert hashprice == pytest.approx(38.2, rel=0.01)


def test_at_144_blocks_a_day_expected_and_realised_agree() -> None:
    difficulty, price, fees = np.array([1e14]), np.array([60_000.0]), np.array([0.1])
    phs = difficulty * 2**32 / 600 / 1e15
    expected = expected_hashprice(difficulty, np.array([3.125]), fees, price)

    realised = realised_hashprice(np.array([144 * 3.125]), 144 * fees, price, phs)

    np.testing.assert_allclose(realised, expected, rtol=1e-12)
    np.testing.assert_allclose(difficulty_of(phs, np.array([144.0])), difficulty, rtol=1e-12)


def test_columns_of_the_reference_series_are_reproduced(reference_data: Path) -> None:
    frame = pd.read_csv(reference_data / "data" / "btc_network_daily_2015-2025-03.csv")
    columns = {name: frame[name].to_numpy(float) for name in frame.columns if name != "date_utc"}
    fees = frame["fees_btc"].rolling(7, min_periods=1).sum()
    fees_per_block = (fees / frame["blocks"].rolling(7, min_periods=1).sum()).to_numpy(float)

    realised = realised_hashprice(
        columns["issuance_btc"],
        columns["fees_btc"],
        columns["price_usd"],
        columns["hashrate_ths"] / 1000,
    )
    expected = expected_hashprice(
        columns["difficulty_blockchaincom"],
        columns["subsidy_btc_per_block"],
        fees_per_block,
        columns["price_usd"],
    )

    np.testing.assert_allclose(realised, columns["hashprice_usd_per_ph_day_actual"], rtol=2e-9)
    np.testing.assert_allclose(expected, columns["hashprice_usd_per_ph_day_diff"], rtol=2e-9)
    years = pd.Series(realised).groupby(frame["date_utc"].str[:4]).mean()
    assert years["2021":"2024"].round(1).tolist() == [315.3, 123.7, 75.0, 64.6]

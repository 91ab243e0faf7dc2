"""The embedded sample is the published series, and says whose it is."""

from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gridhash.data.samples import load_sample, sample_names
from gridhash.errors import DataError


def test_netherlands_2018_is_one_local_year_of_hours() -> None:
    trace = load_sample("nl_2018")

    assert trace.n_rows == 8760
    assert trace.start == pd.Timestamp("2018-01-01T00:00", tz="Europe/Amsterdam")
    assert trace.end == pd.Timestamp("2019-01-01T00:00", tz="Europe/Amsterdam")
    assert (trace.currency, trace.area, trace.period_s) == ("EUR", "Netherlands", 3600)


def test_median_price_is_the_one_the_preset_is_built_on() -> None:
    prices = load_sample("nl_2018").column("price_per_kwh")

    assert np.median(prices) == pytest.approx(0.05093, abs=1e-12)
    assert prices.mean() == pytest.approx(0.0525304, abs=1e-7)
    assert (prices.min(), prices.max()) == (0.00055, 0.175)


def test_two_loads_share_no_memory() -> None:
    first, second = load_sample("nl_2018"), load_sample("nl_2018")
    first.frame.iloc[:] = 9.0

    assert second.column("price_per_kwh").max() == 0.175
    assert load_sample("nl_2018").column("price_per_kwh").max() == 0.175


def test_unknown_sample_lists_the_samples() -> None:
    assert sample_names() == ["nl_2018"]
    with pytest.raises(DataError, match="unknown sample 'nl_2019'; there are nl_2018"):
        load_sample("nl_2019")


def test_attribution_names_publisher_and_licence_of_every_sample() -> None:
    folder = resources.files("gridhash.data.samples")
    text = (folder / "ATTRIBUTION.md").read_text(encoding="utf-8")

    assert "Bundesnetzagentur" in text
    assert "CC BY 4.0" in text
    for file in folder.iterdir():
        if file.name.endswith((".csv", ".json")):
            assert f"`{file.name}`" in text


def test_sample_agrees_with_the_reference_series(reference_data: Path) -> None:
    series = pd.read_parquet(
        reference_data / "data" / "smard_day_ahead_hourly_2015_2018_ccby4.parquet",
        columns=["Netherlands"],
    )["Netherlands"]
    trace = load_sample("nl_2018")

    np.testing.assert_allclose(
        trace.column("price_per_kwh"), series.loc[trace.starts] / 1000, atol=1e-7
    )

"""Figures of a description against numbers worked out by hand, and pictures that hold them."""

import io
import json
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from gridhash.data.describe import describe, timezone_of
from gridhash.data.describe_plots import draw
from gridhash.data.describe_text import duration_sketch, print_description
from gridhash.data.runs import run_lengths
from gridhash.data.source_table import Origin, SourceTable
from gridhash.errors import DataError
from gridhash.time_grid import grid

PRICE = "price_per_kwh@kyushu"


def table(
    values: dict[str, Any],
    *,
    start: str = "2024-03-31T15:00Z",
    period_s: int | None = 3600,
    drop: list[int] | None = None,
    currency: str | None = "JPY",
) -> SourceTable:
    n = len(next(iter(values.values())))
    first = pd.Timestamp(start)
    step_s = period_s or 3600
    index = grid(first, first + pd.Timedelta(seconds=n * step_s), step_s)
    frame = pd.DataFrame(values, index=index, dtype="float64").drop(index=index[drop or []])
    starts = pd.DatetimeIndex(frame.index)
    return SourceTable(
        dataset="test",
        frame=frame,
        period_s=period_s,
        currency=currency,
        origins=(Origin("own", "a.csv", "0"),),
        available_at=dict.fromkeys(values, starts),
    )


def test_statistics_are_those_of_the_values() -> None:
    detail = describe(table({PRICE: [-1.0, 0.0, 0.01, 2.0, 3.0, np.nan]})).detail

    assert (detail.n_values, detail.n_missing, detail.unit) == (5, 1, "JPY/kWh")
    assert detail.mean == pytest.approx(4.01 / 5)
    assert detail.sd == pytest.approx(np.std([-1.0, 0.0, 0.01, 2.0, 3.0], ddof=1))
    assert (detail.low, detail.p50, detail.high) == (-1.0, 0.01, 3.0)
    assert detail.p5 == pytest.approx(-0.8)
    assert detail.p95 == pytest.approx(2.8)
    assert detail.share_at_floor_frac == pytest.approx(3 / 5)
    assert detail.share_negative_frac == pytest.approx(1 / 5)


def test_missing_rows_and_values_are_gaps_with_their_ends() -> None:
    prices = np.arange(24.0)
    prices[[5, 23]] = np.nan
    found = describe(table({PRICE: prices}, drop=[6, 7, 12]))

    assert found.detail.n_missing == 5
    assert [(gap.start.hour, gap.end.hour, gap.n_missing) for gap in found.gaps] == [
        (20, 23, 3),
        (3, 4, 1),
        (14, 15, 1),
    ]


def test_runs_end_where_the_condition_or_the_data_does() -> None:
    prices = [0.01, 0.01, 5.0, 0.01, np.nan, 0.01, 0.01, 0.01, 5.0]
    runs = describe(table({PRICE: prices}, period_s=1800)).runs

    assert runs is not None
    assert (runs.condition, runs.n_runs) == ("≤ 0.01 JPY/kWh", 3)
    assert (runs.mean_h, runs.longest_h) == (1.0, 1.5)
    assert run_lengths(np.zeros(3, dtype=bool)).size == 0


def test_the_floor_of_jepx_is_none_of_other_markets() -> None:
    made = table({"price_per_kwh@nl": [0.005, -0.01, -0.02, 0.03]}, currency="EUR")
    found = describe(made)

    assert found.detail.share_at_floor_frac is None
    assert found.detail.share_negative_frac == 0.5
    assert found.runs is not None
    assert (found.runs.condition, found.runs.n_runs) == ("below 0 EUR/kWh", 1)
    assert found.runs.longest_h == 2.0


def test_runs_of_curtailment_are_above_zero_and_demand_has_none() -> None:
    curtailed, demand = "solar_curtailed_kw@kyushu", "demand_kw@kyushu"
    made = table({curtailed: [0.0, 7.0, 8.0, 0.0], demand: [9e6] * 4})
    runs = describe(made, curtailed).runs

    assert runs is not None
    assert (runs.condition, runs.n_runs, runs.longest_h) == ("> 0 kW", 1, 2.0)
    assert describe(made, demand).runs is None
    assert describe(made, demand).detail.share_at_floor_frac is None


def test_autocorrelation_of_a_daily_cycle_with_gaps() -> None:
    phase = np.arange(24 * 28) / 24 * 2 * np.pi
    found = describe(table({PRICE: 10 + 5 * np.sin(phase)}, drop=[30, 31, 200])).autocorrelations

    assert list(found) == ["1 h", "1 d", "7 d"]
    assert found["1 h"] == pytest.approx(np.cos(2 * np.pi / 24), abs=2e-3)
    assert found["1 d"] == pytest.approx(1.0)
    assert found["7 d"] == pytest.approx(1.0)


def test_constant_and_short_series_have_no_autocorrelation() -> None:
    assert describe(table({PRICE: [1.0] * 48})).autocorrelations == {}
    assert list(describe(table({PRICE: [1.0, 3.0, 2.0, 5.0]})).autocorrelations) == ["1 h"]


def test_year_means_are_by_local_year() -> None:
    """15:00 UTC on 31 December is midnight in Japan."""
    prices = np.r_[np.full(3, 1.0), np.full(24, 7.0)]
    found = describe(table({PRICE: prices}, start="2023-12-31T12:00Z")).year_means

    assert {year: mean for year, (mean, _) in found.items()} == {2023: 1.0, 2024: 7.0}
    assert found[2024][1] == pytest.approx(1 / 365)


@pytest.mark.parametrize(
    ("area", "expected"),
    [
        ("kyushu", "Asia/Tokyo"),
        ("system", "Asia/Tokyo"),
        ("de_lu", "Europe/Berlin"),
        ("se3", "Europe/Berlin"),
        ("vic1", "Australia/Melbourne"),
        ("hb_houston", "America/Chicago"),
        ("atlantis", "UTC"),
    ],
)
def test_time_zone_follows_the_name_of_the_area(area: str, expected: str) -> None:
    assert timezone_of(area) == expected


def test_column_is_chosen_by_name_or_quantity_and_the_price_comes_first() -> None:
    made = table({"demand_kw@kyushu": [1e6, 2e6], PRICE: [1.0, 2.0], "price_per_kwh@tokyo": [3, 4]})

    assert describe(made).column == PRICE
    assert describe(made, "demand_kw").column == "demand_kw@kyushu"
    with pytest.raises(DataError, match="2 columns price_per_kwh; choose one of price_per_kwh@ky"):
        describe(made, "price_per_kwh")
    with pytest.raises(DataError, match="no column solar_kw; choose one of demand_kw@kyushu"):
        describe(made, "solar_kw")


def test_column_without_values_is_refused_but_may_stand_beside_others() -> None:
    made = table({PRICE: [1.0, 2.0], "demand_kw@kyushu": [np.nan, np.nan]})

    assert describe(made).columns[1].n_missing == 2
    with pytest.raises(DataError, match="has no value"):
        describe(made, "demand_kw")


def test_figures_are_valid_json() -> None:
    made = table({PRICE: [1.0, np.nan, 2.0], "demand_kw@kyushu": [np.nan] * 3})
    found = json.loads(json.dumps(describe(made).as_dict(), allow_nan=False))

    assert (found["rows"], found["first"]) == (3, "2024-03-31T15:00:00+00:00")
    assert found["columns"][0]["mean"] == 1.5
    assert found["columns"][1]["mean"] is None
    assert found["gaps"] == [
        {
            "start": "2024-03-31T16:00:00+00:00",
            "end": "2024-03-31T17:00:00+00:00",
            "n_missing": 1,
        }
    ]


def test_duration_sketch_falls_from_high_to_low() -> None:
    lines = duration_sketch(np.arange(101.0), width=20, height=4).splitlines()

    assert lines[0].startswith("        99 │")
    assert lines[4] == "         0 └" + "─" * 20
    heights = [sum(line[12 + place] == "█" for line in lines[:4]) for place in range(20)]
    assert heights == sorted(heights, reverse=True)
    assert (heights[0], heights[-1]) == (3, 0)
    assert "highest 100, lowest 0" in lines[-1]


def test_duration_sketch_of_equal_or_negative_values_stands() -> None:
    assert "highest 5, lowest 5" in duration_sketch(np.full(10, 5.0))
    assert "highest 0, lowest 0" in duration_sketch(np.zeros(3))
    assert (
        duration_sketch(np.array([-5.0, np.nan, 3.0])).splitlines()[10].startswith("    -4.992 └")
    )


def test_text_shows_figures_and_gaps_within_the_width() -> None:
    prices = np.round(10 + 5 * np.sin(np.arange(24 * 400) / 4), 2)
    prices[100:110] = np.nan
    made = table({PRICE: prices, "imbalance_shortage_price_per_kwh@kyushu": prices})
    console = Console(width=100, record=True, file=io.StringIO())
    print_description(describe(made), console)
    text = console.export_text()

    assert max(len(line) for line in text.splitlines()) <= 100
    for part in ("9,600 rows of 3600 s", "Asia/Tokyo", "1 gap in", "2024-04-04 19:00", "█", "2025"):
        assert part in text


@pytest.mark.parametrize("period_s", [300, None])
def test_picture_is_drawn_for_every_step(tmp_path: Path, period_s: int | None) -> None:
    n = 300
    values = np.r_[np.full(n // 2, 0.01), np.linspace(1, 30, n - n // 2)]
    values[40:50] = np.nan
    made = table({PRICE: values, "demand_kw@kyushu": values * 1e5}, period_s=period_s)
    draw(describe(made), tmp_path / "a.png")
    image = matplotlib.image.imread(tmp_path / "a.png")

    assert image.shape[:2] == (1210, 1430)
    red = (image[..., 0] > 0.7) & (image[..., 1] < 0.2)
    assert red.any()


def test_picture_of_days_of_23_and_25_hours(tmp_path: Path) -> None:
    prices = np.arange(24.0 * 220) / 5280
    draw(
        describe(table({"price_per_kwh@nl": prices}, start="2018-03-23T23:00Z", currency="EUR")),
        tmp_path / "a.png",
    )

    assert (tmp_path / "a.png").stat().st_size > 20_000


def test_picture_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    found = describe(table({PRICE: [1.0, 2.0]}))

    with pytest.raises(DataError, match=r"choose one of these suffixes"):
        draw(found, tmp_path / "a.xyz")
    with pytest.raises(DataError, match=r"cannot be written"):
        draw(found, tmp_path / "missing" / "a.png")


def test_figures_of_real_prices_are_those_published(reference_data: Path) -> None:
    """Kyushu, fiscal year 2023: table 4.1 of the calibration figures."""
    frame = pd.read_parquet(reference_data / "data" / "jepx_spot_30min_fy2016-fy2024.parquet")
    year = frame.loc["2023-03-31T15:00Z":"2024-03-31T14:30Z", ["kyushu"]]
    made = table(
        {PRICE: np.round(year["kyushu"].to_numpy(dtype="float64"), 2)},
        start="2023-03-31T15:00Z",
        period_s=1800,
    )
    found = describe(made)
    detail, runs = found.detail, found.runs

    assert detail.mean == pytest.approx(9.14, abs=0.005)
    assert detail.sd == pytest.approx(5.00, abs=0.005)
    assert detail.p95 == pytest.approx(16.5, abs=0.05)
    assert detail.high == pytest.approx(50, abs=0.5)
    assert detail.share_at_floor_frac == pytest.approx(0.124, abs=0.0005)
    assert runs is not None
    assert runs.mean_h == pytest.approx(5.4, abs=0.05)

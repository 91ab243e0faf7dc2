"""The fidelity report measures what it says, and the shipped years hold to it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gridhash.data.fidelity import Check, FidelityReport, fidelity, target_file, targets
from gridhash.data.fidelity_page import page
from gridhash.data.fidelity_statistics import (
    curtailment_statistics,
    market_statistics,
    pooled_price_statistics,
    yearly_price_statistics,
)
from gridhash.data.runs import run_lengths
from gridhash.data.synthetic import areas
from gridhash.errors import DataError
from gridhash.time_grid import grid


def days(first: str, n: int, period_s: int = 1800) -> pd.DatetimeIndex:
    start = pd.Timestamp(first, tz="Asia/Tokyo")
    return grid(start, start + pd.Timedelta(days=n), period_s)


PAGE = Path(__file__).parents[2] / "docs" / "results" / "fidelity.md"


def test_kyushu_passes() -> None:
    report = fidelity("kyushu", range(6))

    # Six draws are noisier than the twenty of the page, which pass without exception.
    assert len(report.failures) <= 0.05 * len(report.checks), str(report)
    assert len(report.checks) > 100


def test_the_published_page_was_made_with_twenty_seeds_and_says_what_fails() -> None:
    text = PAGE.read_text(encoding="utf-8")

    assert "| kyushu | " in text
    assert text.count("**FAIL**") == sum(
        len(row.split("|")[4].split(" · ")) for row in text.splitlines() if _is_failing(row)
    )
    assert all((PAGE.parent / "fidelity" / f"{a}-price.png").exists() for a in ("kyushu", "tokyo"))


def _is_failing(row: str) -> bool:
    cells = row.split("|")
    return len(cells) == 6 and cells[1].strip() in areas() and cells[4].strip() != "none"


def test_every_statistic_of_the_tables_has_a_target_in_every_area() -> None:
    least = {"year mean", "ACF 168 h", "> 30: mean h", "days with 0.01, month 12", "retarget sd"}

    assert set(target_file()["areas"]) == set(areas())
    for area in areas():
        found = targets(area)["targets"]
        assert least <= set(found)
        assert len(found) > 100 or area != "kyushu"
        assert all(tolerance >= 0.0 for _, tolerance in found.values())


def test_printed_tables_are_the_targets() -> None:
    kyushu, tokyo = (targets(area)["targets"] for area in ("kyushu", "tokyo"))

    assert kyushu["ACF 24 h"][0] == pytest.approx(0.751, abs=5e-4)
    assert kyushu["log residual sd"][0] == pytest.approx(0.671, abs=5e-4)
    assert kyushu["P(curtailed | price ≤ 0.5)"][0] == pytest.approx(0.69, abs=0.01)
    assert kyushu["curtailed h a year"][0] == pytest.approx(914, abs=1)
    assert tokyo["> 20: episodes a year"][0] == pytest.approx(205.3)


def test_a_constant_shift_of_every_price_fails() -> None:
    report = fidelity("kyushu", range(2))
    moved = [
        Check(c.name, c.target, c.achieved + 3.0, c.spread, c.tolerance)
        for c in report.checks
        if c.name.endswith("mean")
    ]

    assert not any(check.passes for check in moved if check.name.startswith("spring"))


def test_a_statistic_that_was_not_measured_fails() -> None:
    assert not Check("x", 0.0, float("nan"), float("nan"), 1.0).passes


def test_runs_end_where_the_condition_does() -> None:
    flags = np.array([True, True, False, True, False, False, True])

    assert run_lengths(flags).tolist() == [2, 1, 1]
    assert run_lengths(~flags).tolist() == [1, 2]
    assert run_lengths(np.zeros(3, dtype=bool)).size == 0


def test_yearly_statistics_weigh_years_by_their_length() -> None:
    starts = days("2023-04-01", 366 + 183)
    price = np.where(np.arange(len(starts)) < 366 * 48, 10.0, 40.0)
    price[:8] = 0.01

    found = yearly_price_statistics(starts, price)

    assert found["year mean"] == pytest.approx(price.mean())
    assert found["year max"] == pytest.approx((366 * 10 + 183 * 40) / 549)
    assert found["share > 30"] == pytest.approx(183 / 549)
    assert found["run at 0.01, mean h"] == 4.0


def test_pooled_statistics_of_a_known_series() -> None:
    starts = days("2023-04-01", 730)
    local = starts.tz_convert("Asia/Tokyo")
    noon = np.asarray((local.month == 4) & (local.hour == 12))
    price = np.where(noon, 0.01, np.where(local.hour == 18, 25.0, 10.0))

    found = pooled_price_statistics(starts, price)

    assert found["days with 0.01, month 4"] == 1.0
    assert found["days with 0.01, month 5"] == 0.0
    assert found["> 20: mean h"] == 1.0
    assert found["> 20: episodes a year"] == pytest.approx(365)
    assert found["> 30: episodes a year"] == 0.0
    assert found["log residual sd"] == pytest.approx(0.0, abs=1e-9)


def test_curtailment_statistics_of_a_known_series() -> None:
    starts = days("2023-01-01", 365, 3600)
    local = starts.tz_convert("Asia/Tokyo")
    on = np.asarray((local.hour >= 10) & (local.hour < 14) & (local.day_of_year % 2 == 0))
    price = np.where(on & (local.hour == 12), 0.01, 10.0)

    found = curtailment_statistics(starts, price, np.where(on, 100.0, 0.0))

    assert found["curtailment episode, mean h"] == 4.0
    assert found["P(price ≤ 0.5 | curtailed)"] == pytest.approx(0.25)
    assert found["P(curtailed | price ≤ 0.5)"] == 1.0
    assert found["P(curtailed day | after one)"] == 0.0
    assert found["P(curtailed day | after none)"] == 1.0
    assert found["curtailed GWh a year"] == pytest.approx(182 * 4 * 0.1)


def test_the_same_function_gives_the_tables_figures_on_real_prices(reference_data: object) -> None:
    jepx = pd.read_parquet(f"{reference_data}/data/jepx_spot_30min_fy2016-fy2024.parquet")
    index = days("2023-04-01", 366)
    price = jepx["kyushu"].reindex(index).to_numpy(dtype="float64")

    found = yearly_price_statistics(index, price)

    assert found["year mean"] == pytest.approx(9.1382, abs=1e-4)
    assert found["year sd"] == pytest.approx(5.0004, abs=1e-4)
    assert found["share at 0.01"] == pytest.approx(0.1240, abs=1e-4)
    assert found["run at 0.01, mean h"] == pytest.approx(5.3645, abs=1e-4)


def test_market_statistics_of_a_square_wave() -> None:
    price = np.tile(np.r_[np.full(12, -5.0), np.full(36, 20.0)], 50)

    found = market_statistics(price, 300)

    assert found["share < 0"] == 0.25
    assert found["< 0: mean h"] == 1.0
    assert found["mean"] == pytest.approx(13.75)


def test_the_page_names_every_failure() -> None:
    checks = (Check("good", 1.0, 1.0, 0.1, 0.1), Check("bad", 1.0, 2.0, 0.1, 0.1))
    reports = [FidelityReport("kyushu", 2, checks), FidelityReport("chubu", 2, checks[1:])]
    frame = pd.DataFrame({"aim": [1.0], "real": [np.nan], "synthetic": [1.1]}, index=["mean"])

    text = page(reports, ["kyushu"], {"ercot": frame}, with_series=False)

    assert "| kyushu | 2 | 1 | bad |" in text
    assert "| bad | 1.000 | 2.000 ± 0.100 | 0.100 | **FAIL** |" in text
    assert "### Chubu" in text
    assert "| mean | 1.000 |  | 1.100 |" in text
    assert "no raw series" in text


def test_unknown_areas_and_single_seeds_are_refused() -> None:
    with pytest.raises(DataError, match="no synthetic area 'okinawa'"):
        fidelity("okinawa")
    with pytest.raises(DataError, match="at least two"):
        fidelity("kyushu", [1])

"""Synthetic markets: negative prices, spikes, memory; refitted to a trace by one call."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gridhash.data.fidelity_statistics import market_statistics
from gridhash.data.samples import load_sample
from gridhash.data.synthetic_market import (
    fit_market,
    market_preset,
    market_presets,
    synthetic_market,
)
from gridhash.data.trace import Trace
from gridhash.errors import DataError, TimeGridError

START = pd.Timestamp("2024-01-01", tz="UTC")


def draws(
    preset: str, n_days: int, n_seeds: int
) -> list[np.ndarray[tuple[int], np.dtype[np.float64]]]:
    return [
        synthetic_market(preset=preset, start=START, n_days=n_days, seed=seed).column(
            "price_per_kwh"
        )
        * 1000.0
        for seed in range(n_seeds)
    ]


@pytest.mark.parametrize(
    ("preset", "mean", "sd", "below_zero", "highest"),
    [("ercot", 29.4, 68.0, 0.025, 4965.0), ("vic", 80.0, 347.0, 0.235, 17500.0)],
)
def test_presets_have_the_published_figures(
    preset: str, mean: float, sd: float, below_zero: float, highest: float
) -> None:
    prices = np.concatenate(draws(preset, 365, 8))

    assert prices.mean() == pytest.approx(mean, rel=0.1)
    assert prices.std() == pytest.approx(sd, rel=0.25)
    assert (prices < 0).mean() == pytest.approx(below_zero, rel=0.2)
    assert prices.max() == pytest.approx(highest, rel=1e-6)


def test_the_dutch_preset_goes_below_zero_and_is_known_the_day_before() -> None:
    prices = np.concatenate(draws("nl", 365, 4))
    trace = synthetic_market(preset="nl", start=START, n_days=7, seed=0)

    assert (prices < 0).mean() == pytest.approx(0.052, rel=0.25)
    assert (trace.available_at["price_per_kwh"] < trace.starts).all()


@pytest.mark.parametrize(
    ("preset", "file_name", "column"),
    [
        ("ercot", "ercot_hubavg_rt15_da_temp_2024.parquet", "rt_usd_per_mwh"),
        ("vic", "nem_vic1_5min_2024-12_2025-05.parquet", "price_aud_per_mwh"),
    ],
)
def test_memory_and_spikes_are_near_the_real_series(
    preset: str, file_name: str, column: str, reference_data: Path
) -> None:
    real = pd.read_parquet(reference_data / "data" / file_name)[column].to_numpy(dtype="float64")
    period_s = market_preset(preset).period_s
    wanted = market_statistics(real, period_s)
    found = pd.DataFrame([market_statistics(p, period_s) for p in draws(preset, 182, 4)]).mean()

    assert found["ACF of ranks, 1 step"] == pytest.approx(wanted["ACF of ranks, 1 step"], abs=0.03)
    assert found["ACF of ranks, 1 h"] == pytest.approx(wanted["ACF of ranks, 1 h"], abs=0.06)
    assert found["ACF of ranks, 1 d"] == pytest.approx(wanted["ACF of ranks, 1 d"], abs=0.18)
    # A few spikes make up the correlation of prices themselves, and differ from draw to draw.
    assert found["ACF 1 step"] == pytest.approx(wanted["ACF 1 step"], abs=0.2)
    assert found["above p99: mean h"] == pytest.approx(wanted["above p99: mean h"], rel=0.6)


def test_same_arguments_give_the_same_bits() -> None:
    first, again, other = (
        synthetic_market(preset="ercot", start=START, n_days=3, seed=seed) for seed in (1, 1, 2)
    )

    assert first.frame.to_numpy().tobytes() == again.frame.to_numpy().tobytes()
    assert (first.column("price_per_kwh") != other.column("price_per_kwh")).any()


@pytest.mark.parametrize("period_s", [300, 900, 3600])
@pytest.mark.parametrize("preset", market_presets())
def test_every_preset_in_every_period(preset: str, period_s: int) -> None:
    trace = synthetic_market(preset=preset, period_s=period_s, start=START, n_days=30, seed=4)

    assert trace.period_s == period_s
    assert trace.n_rows == 30 * 86400 // period_s
    assert (trace.available_at["price_per_kwh"] >= trace.starts).all() or preset == "nl"


def test_hours_are_means_of_their_five_minutes() -> None:
    fine, coarse = (
        synthetic_market(preset="vic", period_s=period_s, start=START, n_days=5, seed=9)
        for period_s in (300, 3600)
    )

    means = fine.column("price_per_kwh").reshape(-1, 12).mean(axis=1)
    assert coarse.column("price_per_kwh") == pytest.approx(means)


def test_a_fit_keeps_the_distribution_and_uses_nothing_else() -> None:
    trace = load_sample("nl_2018")
    first_half = trace.between(trace.start, trace.start + pd.Timedelta(days=180))
    market = fit_market(first_half, timezone="Europe/Amsterdam", day_ahead=True)
    doubled = trace.frame["price_per_kwh"].to_numpy().copy()
    doubled[180 * 24 :] *= 2.0
    later = trace.with_columns({"price_per_kwh": doubled})
    again = fit_market(
        later.between(trace.start, trace.start + pd.Timedelta(days=180)),
        timezone="Europe/Amsterdam",
        day_ahead=True,
    )
    prices = np.concatenate(
        [
            synthetic_market(parameters=market, start=trace.start, n_days=180, seed=seed).column(
                "price_per_kwh"
            )
            for seed in range(6)
        ]
    )

    real = first_half.column("price_per_kwh")
    assert prices.mean() == pytest.approx(real.mean(), rel=0.06)
    assert prices.std() == pytest.approx(real.std(), rel=0.15)
    for name in ("level_by_hour", "spread_by_hour", "memory_weight", "score", "price_per_mwh"):
        assert (getattr(market, name) == getattr(again, name)).all()


def test_memory_weights_are_those_of_a_known_process() -> None:
    rng = np.random.default_rng(0)
    rho = np.exp(-1 / 12.0)
    values = [0.0]
    for shock in rng.standard_normal(24 * 400 - 1):
        values.append(rho * values[-1] + np.sqrt(1 - rho**2) * shock)
    starts = pd.date_range("2024-01-01", periods=len(values), freq="h", tz="UTC", unit="s")
    trace = Trace.from_prices(
        starts,
        0.05 + 0.01 * np.array(values),
        published_at=starts,
        period_s=3600,
        currency="EUR",
        area="test",
        source="test",
    )

    market = fit_market(trace, timezone="UTC")

    assert market.memory_weight.sum() == pytest.approx(1.0)
    assert market.memory_weight[2:5].sum() > 0.9


def test_wrong_arguments_say_what_to_do() -> None:
    with pytest.raises(DataError, match="choose one of ercot, vic, nl"):
        synthetic_market(preset="caiso", start=START, n_days=1, seed=0)
    with pytest.raises(DataError, match="either a preset or parameters"):
        synthetic_market(start=START, n_days=1, seed=0)
    with pytest.raises(TimeGridError, match="none of"):
        synthetic_market(preset="vic", period_s=600, start=START, n_days=1, seed=0)
    with pytest.raises(TimeGridError, match="time zone"):
        synthetic_market(preset="vic", start=pd.Timestamp("2024-01-01"), n_days=1, seed=0)
    with pytest.raises(TimeGridError, match="at least 1"):
        synthetic_market(preset="vic", start=START, n_days=0, seed=0)
    short = synthetic_market(preset="nl", start=START, n_days=20, seed=0)
    with pytest.raises(DataError, match="fewer than 28 days"):
        fit_market(short, timezone="UTC")


def test_a_year_of_five_minutes_is_made_within_half_a_second() -> None:
    durations_s = []
    for seed in range(2):
        before = time.process_time()
        synthetic_market(preset="vic", start=START, n_days=365, seed=seed)
        durations_s.append(time.process_time() - before)

    assert min(durations_s) < 0.5

"""What a process says before an instant rests on nothing that is known after it."""

import numpy as np
import pandas as pd
import pytest

from gridhash.config_processes import (
    AncillaryProcess,
    BasePointProcess,
    DemandProcess,
    DrDownProcess,
    DrUpProcess,
    ImbalanceProcess,
    IrradianceProcess,
    PauseOrderProcess,
    ProcessSettings,
    RealTimeProcess,
    WeatherProcess,
)
from gridhash.data.processes.add import add_processes
from gridhash.data.processes.common import LABEL
from gridhash.data.trace import Trace
from gridhash.time_grid import epoch_s, grid, published_the_day_before

ZONE = "Asia/Tokyo"
MONTHS = tuple(range(1, 13))
SETTINGS = ProcessSettings(
    timezone=ZONE,
    weather=WeatherProcess(climate="fukuoka"),
    demand=DemandProcess(area="kyushu"),
    irradiance=IrradianceProcess(
        latitude=33.6, longitude=130.4, pv_peak_kw=900.0, contract_power_kw=4500.0
    ),
    pause_orders=PauseOrderProcess(per_year=150.0, months=MONTHS),
    dr_down=DrDownProcess(per_year=100.0, most_per_year=100, months=MONTHS),
    dr_up=DrUpProcess(call_probability=0.9, months=MONTHS),
    imbalance=ImbalanceProcess(),
    base_points=BasePointProcess(),
    ancillary=AncillaryProcess(deployments_per_year=900.0),
)


def japanese_trace(*, with_demand: bool, n_days: int = 45) -> Trace:
    start = pd.Timestamp("2024-04-01", tz=ZONE)
    starts = grid(start, start + pd.Timedelta(days=n_days), 1800)
    rng = np.random.default_rng(5)
    hour = np.asarray(starts.tz_convert(ZONE).hour)
    is_noon = (hour >= 10) & (hour < 14) & np.repeat(rng.random(n_days) < 0.6, 48)
    price = np.where(is_noon, 0.01, rng.uniform(8.0, 14.0, len(starts)) + 3.0 * (hour == 18))
    trace = Trace.from_prices(
        starts,
        price,
        published_at=published_the_day_before(
            starts, timezone=ZONE, at=pd.Timestamp("12:00").time()
        ),
        period_s=1800,
        currency="JPY",
        area="kyushu",
        source="test",
    )
    columns = {"surplus_frac": is_noon * rng.uniform(0.0, 1.0, len(starts))}
    if with_demand:
        columns["demand_kw"] = 9e6 + 2e6 * np.sin(hour / 4.0) + rng.normal(0.0, 4e5, len(starts))
    return trace.with_columns(columns)


def poisoned(trace: Trace, at_s: int) -> Trace:
    """Return the trace with other values wherever they become known after an instant."""
    rng = np.random.default_rng(99)
    columns = {}
    for name in trace.frame.columns:
        values = trace.column(name)
        later = epoch_s(trace.available_at[name]) > at_s
        columns[name] = np.where(later, rng.permutation(values), values)
    return trace.with_columns(columns, available_at=trace.available_at)


def drawn_columns(before: Trace, after: Trace) -> list[str]:
    return [name for name in after.frame.columns if name not in before.frame.columns]


@pytest.mark.parametrize("with_demand", [True, False])
@pytest.mark.parametrize("own_demand", [True, False])
def test_nothing_known_at_an_instant_changes_with_what_comes_later(
    with_demand: bool, own_demand: bool
) -> None:
    settings = SETTINGS if own_demand else SETTINGS.model_copy(update={"demand": None})
    trace = japanese_trace(with_demand=with_demand)
    usual = add_processes(trace, settings, 3)
    changed = set()
    for hours in (24 * 9 + 10.5, 24 * 20 + 13, 24 * 31 + 16, 24 * 36 + 19):
        at_s = int(trace.start.timestamp() + hours * 3600)
        other = add_processes(poisoned(trace, at_s), settings, 3)
        for name in drawn_columns(trace, usual):
            known = usual.available_at[name]
            assert other.available_at[name].equals(known)
            held = epoch_s(known) <= at_s
            assert np.array_equal(usual.column(name)[held], other.column(name)[held]), name
            if not np.array_equal(usual.column(name), other.column(name)):
                changed.add(name)

    # The poison reached what is derived from the trace at all.
    assert changed >= {
        "dr_up_call",
        "imbalance_shortage_price_per_kwh",
        "imbalance_surplus_price_per_kwh",
    }
    if with_demand or not own_demand:
        assert changed >= {"pause_order", "dr_down_call"}


def test_real_time_prices_rest_on_no_later_day_ahead_price() -> None:
    start = pd.Timestamp("2024-07-01", tz="UTC")
    starts = grid(start, start + pd.Timedelta(days=10), 900)
    price = np.repeat(np.random.default_rng(1).lognormal(-3.6, 0.8, 240), 4)
    trace = Trace.from_prices(
        starts,
        price,
        published_at=published_the_day_before(
            starts, timezone="America/Chicago", at=pd.Timestamp("13:30").time()
        ),
        period_s=900,
        currency="USD",
        area="ercot",
        source="test",
    )
    settings = ProcessSettings(
        timezone="America/Chicago", real_time=RealTimeProcess(market="ercot")
    )
    name = "real_time_price_per_kwh"
    usual = add_processes(trace, settings, 4)
    at_s = int(start.timestamp()) + 5 * 86400
    other = add_processes(poisoned(trace, at_s), settings, 4)
    held = epoch_s(usual.available_at[name]) <= at_s

    assert np.array_equal(usual.column(name)[held], other.column(name)[held])
    assert not np.array_equal(usual.column(name), other.column(name))
    assert (usual.available_at[name] == starts + pd.Timedelta(seconds=900)).all()


def test_every_drawn_column_is_labelled_and_known_in_order() -> None:
    trace = japanese_trace(with_demand=False)
    result = add_processes(trace, SETTINGS, 3)
    drawn = drawn_columns(trace, result)
    labels = [note.removeprefix(LABEL) for note in result.notes if note.startswith(LABEL)]

    assert len(drawn) == 13
    for name in drawn:
        assert any(name in label.split(":")[0] for label in labels), name
    assert all("seed 3" in label for label in labels if "behind_meter_pv_frac" not in label)


def test_same_seed_same_bits_and_one_process_leaves_the_others() -> None:
    trace = japanese_trace(with_demand=True, n_days=20)
    first, again = add_processes(trace, SETTINGS, 3), add_processes(trace, SETTINGS, 3)
    other = add_processes(trace, SETTINGS, 4)
    without = add_processes(
        trace, SETTINGS.model_copy(update={"weather": None, "irradiance": None, "dr_up": None}), 3
    )

    pd.testing.assert_frame_equal(first.frame, again.frame, check_exact=True)
    for name in drawn_columns(trace, without):
        assert np.array_equal(first.column(name), without.column(name)), name
    for name in ("ghi_w_per_m2", "outdoor_temp_c", "base_point_frac", "ancillary_price_per_kw_h"):
        assert not np.array_equal(first.column(name), other.column(name)), name


def test_a_held_column_is_kept_and_noted() -> None:
    trace = japanese_trace(with_demand=True)
    result = add_processes(trace, SETTINGS, 3)

    assert np.array_equal(result.column("demand_kw"), trace.column("demand_kw"))
    assert "demand_kw: kept as it is, not drawn" in result.notes

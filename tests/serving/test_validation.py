import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridhash.config import SiteConfig
from gridhash.data.trace import Trace
from gridhash.serving.snapshot import RigReading
from gridhash.serving.validation import (
    Reason,
    Sample,
    SignalDoor,
    SignalLimits,
    check_market,
    check_reading,
    price_limits,
)

NOW = datetime(2024, 4, 2, 12, tzinfo=UTC)
JPY = price_limits("JPY", max_age_s=7200.0)


def door() -> SignalDoor:
    return SignalDoor(
        {"price": JPY, "demand": SignalLimits(low=0, high=2e8, max_age_s=600, usual=1e7)}
    )


def sample(value: float = 10.0, age_s: float = 0.0, name: str = "price") -> Sample:
    return Sample(name=name, value=value, at=NOW - timedelta(seconds=age_s))


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (sample(math.nan), Reason.NOT_A_NUMBER),
        (sample(math.inf), Reason.NOT_A_NUMBER),
        (sample(-math.inf), Reason.NOT_A_NUMBER),
        (sample("12"), Reason.NOT_A_NUMBER),  # type: ignore[arg-type]
        (sample(True), Reason.NOT_A_NUMBER),
        (sample(1e9), Reason.OUT_OF_RANGE),
        (sample(-1e9), Reason.OUT_OF_RANGE),
        (sample(1e7 * 1e-3, name="demand"), Reason.UNIT),
        (sample(1e7 * 1e3, name="demand"), Reason.OUT_OF_RANGE),
        (sample(age_s=7201.0), Reason.STALE),
        (sample(age_s=-301.0), Reason.TO_COME),
        (sample(age_s=60.0), Reason.OUT_OF_ORDER),
        (sample(11.0, age_s=30.0), Reason.DUPLICATE),
        (sample(name="other"), Reason.OTHER_SERIES),
        (Sample(name="price", value=1.0, at=NOW.replace(tzinfo=None)), Reason.NO_TIME_ZONE),
    ],
)
def test_what_is_no_sample_is_refused_with_its_reason_and_changes_nothing(
    bad: Sample, reason: Reason
) -> None:
    gate = door()
    assert gate.check(sample(9.0, age_s=30.0), NOW) is None
    refused = gate.check(bad, NOW)
    assert refused is not None
    assert refused.reason is reason
    last = gate.last("price")
    assert last is not None
    assert last.value == 9.0
    assert gate.check(sample(8.0, age_s=1.0), NOW) is None


@given(st.lists(st.tuples(st.floats(), st.integers(-4000, 9000)), max_size=40))
def test_what_passes_is_finite_plausible_and_in_order(tried: list[tuple[float, int]]) -> None:
    gate, passed = door(), []
    for value, age_s in tried:
        own = sample(value, age_s=float(age_s))
        if gate.check(own, NOW) is None:
            passed.append(own)
    assert all(JPY.low <= own.value <= JPY.high for own in passed)
    assert [own.at for own in passed] == sorted({own.at for own in passed})


def reading(at_s: float, **fields: object) -> RigReading:
    values: dict[str, object] = {"rig_id": "a", "read_at": NOW + timedelta(seconds=at_s)}
    return RigReading(**(values | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize("power_w", [-1.0, 8064.0 * 1000, 8.064e4])
def test_a_power_that_no_rig_draws_is_no_power(power_w: float) -> None:
    checked = check_reading(reading(0.0, power_w=power_w, chip_temp_c=60.0), None, 8.064)
    assert checked.power_w is None
    assert checked.chip_temp_c == 60.0
    assert checked.not_numbers == (f"power_w={power_w:g}",)


def test_a_temperature_that_cannot_be_is_dropped_and_the_power_kept() -> None:
    checked = check_reading(reading(0.0, power_w=8000.0, chip_temp_c=65535.0), None, 8.064)
    assert (checked.power_w, checked.chip_temp_c) == (8000.0, None)


def test_a_reading_that_is_plausible_stays_the_same_object() -> None:
    own = reading(0.0, power_w=8000.0, chip_temp_c=60.0)
    assert check_reading(own, None, 8.064) is own


def test_a_rig_whose_own_clock_stands_still_tells_no_power() -> None:
    first = reading(0.0, power_w=8000.0, rig_clock_at=NOW, uptime_s=5.0)
    frozen = reading(40.0, power_w=8000.0, rig_clock_at=NOW, uptime_s=5.0)
    soon = reading(5.0, power_w=8000.0, rig_clock_at=NOW, uptime_s=5.0)
    counting = reading(40.0, power_w=8000.0, rig_clock_at=NOW, uptime_s=45.0)
    mute = reading(40.0, power_w=8000.0)
    assert check_reading(frozen, first, 8.064).power_w is None
    for own in (soon, counting, mute):
        assert check_reading(own, first, 8.064).power_w == 8000.0


def trace(days: int, price: float, currency: str = "JPY", start: str = "2024-04-01") -> Trace:
    starts = pd.date_range(start, periods=48 * days, freq="30min", tz="UTC", unit="s")
    return Trace.from_prices(
        starts,
        np.full(48 * days, price),
        published_at=starts.normalize() - pd.Timedelta(hours=12),
        period_s=1800,
        currency=currency,
        area="kyushu",
        source="test",
    )


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (trace(4, 0.3, "EUR"), Reason.OTHER_SERIES),
        (trace(1, 10.0, start="2024-03-20"), Reason.STALE),
        (trace(2, 10.0), Reason.OUT_OF_ORDER),
        (trace(4, 0.01), Reason.UNIT),
        (trace(4, 12.0), None),
    ],
)
def test_a_series_is_held_against_site_clock_and_what_was_known(
    small_site: SiteConfig, new: Trace, reason: Reason | None
) -> None:
    refused = check_market(new, trace(3, 10.0), small_site, NOW)
    assert (None if refused is None else refused.reason) is reason

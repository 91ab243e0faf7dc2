from datetime import UTC, datetime, time

import numpy as np
import pandas as pd
import pytest

from gridhash.time_grid import epoch_s, grid, published_the_day_before, require_aware


def test_grid_holds_starts_in_utc_without_the_end() -> None:
    starts = grid(
        pd.Timestamp("2024-04-01", tz="Asia/Tokyo"),
        pd.Timestamp("2024-04-02", tz="Asia/Tokyo"),
        1800,
    )

    assert len(starts) == 48
    assert str(starts.tz) == "UTC"
    assert starts[0] == pd.Timestamp("2024-03-31T15:00Z")
    assert starts[-1] == pd.Timestamp("2024-04-01T14:30Z")
    assert starts.unit == "s"


@pytest.mark.parametrize(
    ("day", "next_day", "hours"),
    [
        ("2024-03-31", "2024-04-01", 23),
        ("2024-10-27", "2024-10-28", 25),
        ("2024-06-01", "2024-06-02", 24),
    ],
)
def test_a_local_day_has_as_many_hours_as_the_clock_gives_it(
    day: str, next_day: str, hours: int
) -> None:
    zone = "Europe/Berlin"
    starts = grid(pd.Timestamp(day, tz=zone), pd.Timestamp(next_day, tz=zone), 3600)

    assert len(starts) == hours
    assert (np.diff(epoch_s(starts)) == 3600).all()


def test_prices_of_a_japanese_day_are_published_at_noon_of_the_day_before() -> None:
    """Midnight in Tokyo is 15:00 UTC of the day before; the slots of a UTC day straddle two."""
    starts = grid(pd.Timestamp("2024-04-01T12:00Z"), pd.Timestamp("2024-04-01T18:00Z"), 1800)
    known = published_the_day_before(starts, timezone="Asia/Tokyo", at=time(12, 30))

    assert (known[:6] == pd.Timestamp("2024-03-31T03:30Z")).all()
    assert (known[6:] == pd.Timestamp("2024-04-01T03:30Z")).all()


@pytest.mark.parametrize(
    ("delivered", "published"),
    [
        ("2024-03-31T12:00+02:00", "2024-03-30T13:00+01:00"),  # the clock goes forward that night
        ("2024-03-31T00:30+01:00", "2024-03-30T13:00+01:00"),
        ("2024-04-01T00:00+02:00", "2024-03-31T13:00+02:00"),
        ("2024-10-27T02:30+02:00", "2024-10-26T13:00+02:00"),  # the hour that comes twice
        ("2024-10-27T02:30+01:00", "2024-10-26T13:00+02:00"),
        ("2024-10-28T05:00+01:00", "2024-10-27T13:00+01:00"),
        ("2024-01-01T00:00+01:00", "2023-12-31T13:00+01:00"),
    ],
)
def test_publication_is_at_local_time_on_both_sides_of_a_clock_change(
    delivered: str, published: str
) -> None:
    starts = pd.DatetimeIndex([pd.Timestamp(delivered)]).tz_convert("UTC")
    known = published_the_day_before(starts, timezone="Europe/Berlin", at=time(13))

    assert known[0] == pd.Timestamp(published)
    assert str(known.tz) == "UTC"


def test_epoch_counts_whole_seconds_whatever_the_unit() -> None:
    index = pd.DatetimeIndex(["1970-01-01T00:00:01Z", "2024-04-01T00:00:00Z"])

    for unit in ("s", "ms", "ns"):
        assert epoch_s(index.as_unit(unit)).tolist() == [1, 1711929600]
    assert epoch_s(index).dtype == np.int64


def test_an_instant_without_time_zone_is_refused_by_name() -> None:
    aware = datetime(2024, 4, 1, tzinfo=UTC)

    assert require_aware(aware, "start") is aware
    with pytest.raises(ValueError, match="start has no time zone: 2024-04-01 00:00:00"):
        require_aware(aware.replace(tzinfo=None), "start")

"""Which part of a trace teaches, which chooses and which judges."""

import datetime

import pandas as pd

from gridhash.data.splits import MIN_EMBARGO
from gridhash.envs.named_scenario import Rows, Spans
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.errors import DataError
from gridhash.units import SECONDS_PER_DAY

__all__ = ["Rows", "Spans", "ending_before", "spans_by_date"]


def spans_by_date(
    scenario: Scenario, *, validate_from: str | None = None, test_from: str | None = None
) -> Spans:
    """Return the spans that begin at local dates; 8/12 and 9/12 of the trace where not given.

    Each boundary is a local midnight of the site; what teaches and what chooses lose the embargo
    of `gridhash.data.splits` at their end. For a calendar year the default is January to August,
    September, October to December.

    Raises
    ------
    DataError
        If a date is malformed, or a span would be shorter than a week.
    """
    zone = scenario.site.timezone
    first = scenario.first_row
    validate = _boundary(scenario, validate_from, 8, zone)
    test = _boundary(scenario, test_from, 9, zone)
    embargo = round(MIN_EMBARGO.total_seconds() / scenario.trace.period_s)
    spans = Spans(
        train=(first, validate - embargo),
        validate=(validate, test - embargo),
        test=(test, scenario.n_rows),
    )
    for name in ("train", "validate", "test"):
        low, high = getattr(spans, name)
        days = (high - low) * scenario.trace.period_s / SECONDS_PER_DAY
        if days < 7:
            embargoed = "" if name == "test" else f" without an embargo of {MIN_EMBARGO.days}"
            raise DataError(
                f"the span to {name} holds {max(days, 0):.1f} days of {scenario.trace.source}"
                f"{embargoed}; at least 7 are needed: give a longer file or other dates"
            )
    return spans


def ending_before(scenario: Scenario, row: int) -> Scenario:
    """Return the scenario as if its data ended before `row`.

    Nobody who plays it can see anything later, not even a price that is published ahead.
    """
    trace = scenario.trace
    if row == scenario.n_rows:
        return scenario
    return build_scenario(scenario.site, trace.between(trace.start, trace.starts[row]))


def _boundary(scenario: Scenario, date: str | None, twelfths: int, zone: str) -> int:
    if date is not None:
        try:
            midnight = pd.Timestamp(datetime.date.fromisoformat(date), tz=zone)
        except ValueError as err:
            raise DataError(f"{date!r} is no date; write it as 2018-09-01") from err
        return scenario.row_at(midnight)
    start = scenario.trace.start.tz_convert(zone)
    end = scenario.trace.end.tz_convert(zone)
    months = round((end - start).days / 30.44)
    if months >= 12:
        instant = (start + pd.DateOffset(months=months * twelfths // 12)).normalize()
    else:
        instant = (start + (end - start) * twelfths / 12).normalize()
    return scenario.row_at(instant)

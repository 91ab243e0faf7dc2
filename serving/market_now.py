"""Which market prices hold now: those of today, or a past span replayed as if it were today.

A replay moves the prices to the present, not the clock to the past: rigs, journal and minimum
times stay on real time, and the observation keeps the calendar of the span that is replayed.
"""

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd

from gridhash.envs.scenario import Scenario
from gridhash.errors import ConfigError, DataError


@dataclass(frozen=True, kw_only=True)
class MarketNow:
    """A scenario on real time."""

    scenario: Scenario
    """Its trace holds the present."""
    shift: timedelta | None = None
    """Real time less market time; None if the prices are those of today."""

    @property
    def is_replay(self) -> bool:
        """Whether the prices are of another time."""
        return self.shift is not None

    def market_time(self, instant: datetime) -> datetime:
        """Return the market's local time at an instant."""
        zone = ZoneInfo(self.scenario.site.timezone)
        return (instant - (self.shift or timedelta())).astimezone(zone)


def market_now(scenario: Scenario, now: datetime, *, replay_from: str | None) -> MarketNow:
    """Return the scenario for decisions from now on.

    Parameters
    ----------
    replay_from
        Market time of `now`, as ``2018-10-24T18:00``, local at the site unless it says otherwise.
        The market runs ahead of it by less than one dispatch interval, so that both grids agree.

    Raises
    ------
    DataError
        If no price of the scenario holds at that time.
    ConfigError
        If `replay_from` is no time.
    """
    if replay_from is None:
        _check_covers(scenario, now, "now is")
        return MarketNow(scenario=scenario)
    instant = replay_instant(replay_from, scenario)
    _check_covers(scenario, instant, "--replay-from is")
    step_s = math.lcm(scenario.site.dispatch_interval_s, 60)
    shift = timedelta(seconds=(now - instant).total_seconds() // step_s * step_s)
    trace = scenario.trace
    moved = replace(
        trace,
        frame=trace.frame.set_axis(trace.starts + pd.Timedelta(shift)),
        available_at={name: at + pd.Timedelta(shift) for name, at in trace.available_at.items()},
        source=f"replay of {trace.source}",
    )
    return MarketNow(scenario=replace(scenario, trace=moved), shift=shift)


def _check_covers(scenario: Scenario, instant: datetime, what: str) -> None:
    trace, zone = scenario.trace, ZoneInfo(scenario.site.timezone)
    first = trace.starts[scenario.first_row].to_pydatetime()
    if first <= instant < trace.end:
        return
    texts = [f"{at.astimezone(zone):%Y-%m-%dT%H:%M%z}" for at in (first, trace.end, instant)]
    raise DataError(
        f"{trace.source} can be decided on from {texts[0]} (a day after its first price) to "
        f"{texts[1]}, and {what} {texts[2]}: give --prices a file that reaches from yesterday to "
        f"today or later, or try these prices with --replay-from {texts[0]}"
    )


def replay_instant(text: str, scenario: Scenario) -> datetime:
    """Return the market time that a replay begins at; local at the site unless it says otherwise.

    Raises
    ------
    ConfigError
        If it is no time.
    """
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as err:
        raise ConfigError(
            f"--replay-from {text!r} is no time; write it as 2018-10-24T18:00"
        ) from err
    if instant.utcoffset() is None:
        instant = instant.replace(tzinfo=ZoneInfo(scenario.site.timezone))
    return instant

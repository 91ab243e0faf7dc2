"""What a picture of a day shows, read off a scenario and a table of what was played."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.data.processes.common import LABEL
from gridhash.data.trace import Trace
from gridhash.envs import columns as c
from gridhash.envs.ledger import LEDGER
from gridhash.envs.observation import (
    BREAK_EVEN,
    N_SITE_ROW,
    PUBLISHED_H,
    horizon_periods,
)
from gridhash.envs.parameters import Floats, Ints
from gridhash.envs.scenario import Scenario
from gridhash.units import SECONDS_PER_HOUR

SPANS = (
    (c.PAUSE, "pause order"),
    (c.REDUCTION_CALL, "call to reduce"),
    (c.INCREASE_CALL, "call to increase"),
    (c.DEPLOYED, "held capacity called"),
    (c.TRANSMISSION_WEIGHT, "transmission peak"),
    (c.CAPACITY_WEIGHT, "capacity peak"),
)
"""Market columns that are above zero while an event lasts, and what it is called."""
CENTS_BELOW = 1.0
"""A price level below which prices are told per MWh [currency/kWh]."""


@dataclass(frozen=True)
class Event:
    """Something that lasted from one interval to another."""

    label: str
    first: int
    end: int


@dataclass(frozen=True, kw_only=True)
class DayView:
    """Series of T intervals and what was known ahead at their end."""

    scenario: Scenario
    title: str
    starts: pd.DatetimeIndex
    """(T,) local time."""
    now: pd.Timestamp
    """End of the last interval, local time."""
    profit: Floats
    price: Floats
    """(T,) at the market, in `price_unit`."""
    all_in: Floats
    break_even: Floats
    best_break_even_ratio: float
    """Break-even of the most efficient rigs at their most efficient level per `break_even`."""
    ahead: Floats
    """All-in prices of the periods from `now` on that are published; a forecast of what will be
    paid where `ahead_is_forecast`."""
    ahead_starts: pd.DatetimeIndex
    group_kw: Floats
    """(T, G) setpoints; less where rigs that start do not draw all of it yet."""
    rest_kw: Floats
    """(T,) cooling, standby, and what rigs draw beside their setpoint."""
    surplus_kw: Floats
    pv_kw: Floats
    base_point_kw: Floats
    outdoor_c: Floats
    coolant_c: Floats
    """(T,) hottest loop."""
    chip_c: Floats
    tripped: npt.NDArray[np.bool_]
    events: tuple[Event, ...]
    lines: dict[str, Floats]
    """Ledger line to signed amounts (T,), largest first; lines without amounts are left out."""
    price_unit: str
    synthetic: tuple[str, ...]
    """Columns of the trace that are drawn, not measured."""

    @property
    def zone(self) -> ZoneInfo:
        """Time zone of the site."""
        return ZoneInfo(self.scenario.site.timezone)

    @property
    def ahead_is_forecast(self) -> bool:
        """Whether the price that settles is known only in its period or after it."""
        return self.scenario.site.tariff.price_known != "published"

    @property
    def edges(self) -> pd.DatetimeIndex:
        """Starts of the intervals and the end of the last, (T + 1,)."""
        return pd.DatetimeIndex([*self.starts, self.now])


def view_day(
    scenario: Scenario, frame: pd.DataFrame, *, title: str, now: pd.Timestamp | None = None
) -> DayView:
    """Return what to draw of a table of `PlayRecord.frame` or `PolicyRun.frame`.

    `now` is needed only where the table has no rows: the start of the episode.
    """
    site, zone = scenario.site, scenario.site.timezone
    starts = pd.DatetimeIndex(frame.index).tz_convert(zone)
    if len(starts):
        now = starts[-1] + pd.Timedelta(seconds=site.dispatch_interval_s)
    assert now is not None
    now = now.tz_convert(zone)
    seconds = (starts - scenario.trace.start).total_seconds().to_numpy()
    rows = (seconds // scenario.trace.period_s).astype(np.int64)
    market = scenario.market[rows]
    scale, unit = price_scale(scenario)
    extra = market[:, c.ADDER] + scenario.programs.levy_per_kwh + market[:, c.CARBON_COST]
    price = market[:, c.PRICE]
    ahead = published_ahead(scenario, now)
    names = [group.name for group in site.groups]
    group_kw = np.stack([_column(frame, f"setpoint_kw_{name}") for name in names], axis=1)
    wanted_kw = group_kw.sum(axis=1)
    drawn_kw = np.minimum(wanted_kw, _column(frame, "rig_kw"))
    group_kw *= (drawn_kw / np.maximum(wanted_kw, 1e-9))[:, None]

    def hottest(what: str) -> Floats:
        series = [_column(frame, f"{what}_{name}") for name in names]
        return np.asarray(np.max(series, axis=0))

    return DayView(
        scenario=scenario,
        title=title,
        starts=starts,
        now=now,
        profit=_column(frame, "profit"),
        price=price * scale,
        all_in=(price + extra) * scale,
        break_even=scenario.rows[rows, BREAK_EVEN].astype(np.float64) * scale,
        best_break_even_ratio=best_break_even_ratio(scenario),
        ahead=ahead * scale,
        ahead_starts=pd.date_range(now, periods=len(ahead), freq=_period(scenario)),
        group_kw=group_kw,
        rest_kw=_column(frame, "site_kw") - drawn_kw,
        surplus_kw=market[:, c.SURPLUS],
        pv_kw=market[:, c.PV],
        base_point_kw=market[:, c.BASE_POINT],
        outdoor_c=market[:, c.OUTDOOR],
        coolant_c=hottest("coolant_temp_c"),
        chip_c=hottest("chip_temp_c"),
        tripped=_column(frame, "tripped_groups") > 0.0,
        events=_events(market, _column(frame, "tripped_groups")),
        lines=_ledger_lines(frame),
        price_unit=f"{site.currency}/{unit}",
        synthetic=synthetic_columns(scenario.trace),
    )


def _column(frame: pd.DataFrame, name: str) -> Floats:
    return np.asarray(frame[name].to_numpy(dtype=np.float64))


def _period(scenario: Scenario) -> pd.Timedelta:
    return pd.Timedelta(seconds=scenario.trace.period_s)


def price_scale(scenario: Scenario) -> tuple[float, str]:
    """Return what prices per kWh are multiplied by for display, and the energy they are then per.

    Per MWh where the break-even lies below `CENTS_BELOW`, as markets quote it there.
    """
    value = float(np.median(scenario.rows[:, BREAK_EVEN]))
    return (1000.0, "MWh") if value < CENTS_BELOW else (1.0, "kWh")


def best_break_even_ratio(scenario: Scenario) -> float:
    """Return the highest break-even of any rig at any level per that of the site at nameplate."""
    params = scenario.params
    top_phs, top_kw = (
        float((params.n_rigs * levels[:, -1]).sum())
        for levels in (params.level_phs, params.level_kw)
    )
    return float((params.level_phs / params.level_kw).max()) / (top_phs / top_kw)


def published_ahead(scenario: Scenario, now: pd.Timestamp) -> Floats:
    """Return the all-in prices known at `now`, from its period on [currency/kWh].

    Those of the observation, so nothing that a policy could not know is shown.
    """
    row = int((now - scenario.trace.start).total_seconds() // scenario.trace.period_s)
    if row >= scenario.n_rows:
        return np.zeros(0)
    features = scenario.rows[row].astype(np.float64)
    known = round(
        features[PUBLISHED_H] * SECONDS_PER_HOUR / scenario.site.market.settlement_period_s
    )
    n_ahead = min(known, horizon_periods(scenario.site))
    ratios = features[N_SITE_ROW : N_SITE_ROW + n_ahead]
    return np.asarray(ratios * features[BREAK_EVEN])


def _events(market: Floats, tripped: Floats) -> tuple[Event, ...]:
    found = [(label, market[:, column] > 0.0) for column, label in SPANS]
    found.append(("temperature trip", tripped > 0.0))
    return tuple(
        Event(label, int(first), int(end))
        for label, lasts in found
        for first, end in zip(*_runs(lasts), strict=True)
    )


def _runs(lasts: npt.NDArray[np.bool_]) -> tuple[Ints, Ints]:
    """Return first and end of every stretch of True."""
    change = np.diff(np.concatenate([[False], lasts, [False]]).astype(np.int8))
    return np.flatnonzero(change == 1), np.flatnonzero(change == -1)


def _ledger_lines(frame: pd.DataFrame) -> dict[str, Floats]:
    signed = {term.name: term.sign * _column(frame, term.name) for term in LEDGER}
    used = {name: amounts for name, amounts in signed.items() if np.any(amounts)}
    return dict(sorted(used.items(), key=lambda line: -float(np.abs(line[1]).sum())))


def synthetic_columns(trace: Trace) -> tuple[str, ...]:
    """Return the columns that the trace's notes mark as drawn or derived."""
    marked = [note.removeprefix(LABEL) for note in trace.notes if note.startswith(LABEL)]
    names = [name.strip() for note in marked for name in note.partition(": ")[0].split(",")]
    return tuple(name for name in dict.fromkeys(names) if name in trace.frame)

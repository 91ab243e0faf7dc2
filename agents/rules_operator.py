"""Rules as an operator writes them down: a weekly schedule, calls alone, and all means at once."""

import numpy as np

from gridhash.agents.calendar_features import Calendar, calendar_of
from gridhash.agents.policy import ObservationReader, Observations
from gridhash.agents.rules import Parameter, column, nameplate_frac, within
from gridhash.agents.rules_programs import (
    capped_by_merit,
    peak_is_likely,
    rig_cap_kw,
)
from gridhash.agents.start_stop_action import StartStopAction, fitting_kind
from gridhash.config import SiteConfig
from gridhash.envs.action import ActionKind
from gridhash.envs.parameters import Floats, Ints
from gridhash.units import HOURS_PER_DAY

ALL_HOURS = float(2**24 - 1)
"""Every hour of the day, as `StaticSchedule` writes hours."""
SCHEDULES = tuple(
    f"{season}_{day}"
    for season in ("winter", "spring", "summer", "autumn")
    for day in ("weekday", "weekend")
)
"""Parameters of `StaticSchedule`: winter is December to February."""


class StaticSchedule:
    """Every rig at nameplate in fixed hours of the day, by season and weekday or weekend.

    Parameters
    ----------
    winter_weekday, winter_weekend, ...
        One per season and kind of day (`SCHEDULES`): the hours of work as a sum of powers of two,
        1 for the local hour from midnight on, 2 for the next, up to 2^23. A whole number.

    Raises
    ------
    ConfigError
        If a parameter is out of range.
    """

    name = "static_schedule"
    action_kind = ActionKind.POWER

    def __init__(
        self,
        site: SiteConfig,
        *,
        winter_weekday: Parameter = ALL_HOURS,
        winter_weekend: Parameter = ALL_HOURS,
        spring_weekday: Parameter = ALL_HOURS,
        spring_weekend: Parameter = ALL_HOURS,
        summer_weekday: Parameter = ALL_HOURS,
        summer_weekend: Parameter = ALL_HOURS,
        autumn_weekday: Parameter = ALL_HOURS,
        autumn_weekend: Parameter = ALL_HOURS,
    ) -> None:
        self.winter_weekday = within("winter_weekday", winter_weekday, 0.0, ALL_HOURS)
        self.winter_weekend = within("winter_weekend", winter_weekend, 0.0, ALL_HOURS)
        self.spring_weekday = within("spring_weekday", spring_weekday, 0.0, ALL_HOURS)
        self.spring_weekend = within("spring_weekend", spring_weekend, 0.0, ALL_HOURS)
        self.summer_weekday = within("summer_weekday", summer_weekday, 0.0, ALL_HOURS)
        self.summer_weekend = within("summer_weekend", summer_weekend, 0.0, ALL_HOURS)
        self.autumn_weekday = within("autumn_weekday", autumn_weekday, 0.0, ALL_HOURS)
        self.autumn_weekend = within("autumn_weekend", autumn_weekend, 0.0, ALL_HOURS)
        hours = np.array(np.broadcast_arrays(*(getattr(self, name) for name in SCHEDULES)))
        self._hours = hours.reshape(len(SCHEDULES), -1).astype(np.int64)
        self._reader = ObservationReader(site)
        self._load_frac = nameplate_frac(self._reader)

    def act(self, observation: Observations) -> Floats:
        """Return nameplate or zero for every group."""
        hour, schedule = schedule_hours(calendar_of(self._reader, observation))
        site = np.arange(len(hour)) if self._hours.shape[1] > 1 else 0
        works = (self._hours[schedule, site] >> hour) & 1
        return np.where(works[:, None] > 0, self._load_frac, 0.0)


def schedule_hours(calendar: Calendar) -> tuple[Ints, Ints]:
    """Return the local hour of the day and the index into `SCHEDULES`, (N,) each."""
    return np.floor(calendar.hour).astype(np.int64), 2 * calendar.season(4) + calendar.weekend


class DemandResponseOnly:
    """Runs at nameplate whatever energy costs, except while the utility calls.

    It reduces for a call by what was promised and stops for an order to pause.

    Parameters
    ----------
    depth
        Share of the commitment to reduce by.
    lead_h
        Begin this long before a call or an order that is announced [h].

    Raises
    ------
    ConfigError
        If a parameter is out of range.
    """

    name = "demand_response_only"
    action_kind = ActionKind.POWER

    def __init__(
        self, site: SiteConfig, *, depth: Parameter = 1.0, lead_h: Parameter = 0.25
    ) -> None:
        self.depth = within("depth", depth, 0.0, 2.0)
        self.lead_h = within("lead_h", lead_h, 0.0, HOURS_PER_DAY)
        self._reader = ObservationReader(site)
        self._load_frac = nameplate_frac(self._reader)

    def act(self, observation: Observations) -> Floats:
        """Return the wanted power of every group."""
        reader = self._reader
        wanted = np.tile(self._load_frac, (len(reader.check(observation)), 1))
        if reader.has("reduction_call_now"):
            called = (reader.value(observation, "reduction_call_now") > 0.0) | (
                reader.value(observation, "reduction_call_in_h") <= self.lead_h
            )
            promised = self.depth * reader.value(observation, "committed_frac")
            allowed = reader.value(observation, "baseline_frac") - promised
            reduced = capped_by_merit(wanted, rig_cap_kw(reader, allowed), reader)
            wanted = np.where(called[:, None], reduced, wanted)
        if reader.has("pause_now"):
            paused = (reader.value(observation, "pause_now") > 0.0) | (
                reader.value(observation, "pause_in_h") <= self.lead_h
            )
            wanted = np.where(paused[:, None], 0.0, wanted)
        return wanted


class CombinedRule:
    """Hysteresis, look-ahead, peak shaving and patience before calls in one: an honest opponent.

    A stopped group starts where price *and* look-ahead speak for it, a running one goes on where
    either does. Where tariff or programs shape the supply curve it acts by shadow price, so that
    surplus, panels, base points and calls are answered as the level rule answers them.

    Parameters
    ----------
    start_ratio, stop_ratio
        As `Hysteresis`, of the price named next; `start_ratio` up to 3 leaves starts to the
        look-ahead.
    ahead_weight
        Share of the next period's price, or its forecast, in that price; the rest is the newest
        one. In [0, 1]: where prices are known late, the newest says little of the present.
    start_worth, keep_worth
        As `LookAheadRule`: -1 and 1 leave the decision to the price alone.
    demand_ratio, month_ratio
        As `PeakShaver`: everything stops while a coincident peak is likely.
    lead_h
        No rig starts this long before a pause or a call to reduce that is announced [h].

    Raises
    ------
    ConfigError
        If a parameter is out of range.
    """

    name = "combined_rule"

    def __init__(
        self,
        site: SiteConfig,
        *,
        start_ratio: Parameter = 0.9,
        stop_ratio: Parameter = 1.15,
        ahead_weight: Parameter = 0.0,
        start_worth: Parameter = -1.0,
        keep_worth: Parameter = 1.0,
        demand_ratio: Parameter = 0.97,
        month_ratio: Parameter = 0.95,
        lead_h: Parameter = 0.25,
    ) -> None:
        self.start_ratio = within("start_ratio", start_ratio, 0.0, 3.0)
        self.stop_ratio = within("stop_ratio", stop_ratio, 0.0, 20.0)
        self.ahead_weight = within("ahead_weight", ahead_weight, 0.0, 1.0)
        self.start_worth = within("start_worth", start_worth, -1.0, 1.0)
        self.keep_worth = within("keep_worth", keep_worth, -1.0, 1.0)
        self.demand_ratio = within("demand_ratio", demand_ratio, 0.0, 3.0)
        self.month_ratio = within("month_ratio", month_ratio, 0.0, 3.0)
        self.lead_h = within("lead_h", lead_h, 0.0, HOURS_PER_DAY)
        self._start_below, self._keep_up_to = column(start_ratio), column(stop_ratio)
        self._start_above, self._keep_above = column(start_worth), column(keep_worth)
        self._weight_ahead, self._weight_now = column(ahead_weight), 1.0 - column(ahead_weight)
        self._reader = ObservationReader(site)
        self._action = StartStopAction(self._reader, fitting_kind(site))
        self._orders = [
            name for name in ("pause_in_h", "reduction_call_in_h") if self._reader.has(name)
        ]
        self._ahead = "price_ratio_001" if self._reader.n_prices > 1 else "price_ratio_000"

    @property
    def action_kind(self) -> ActionKind:
        """By shadow price where the supply curve has a shape of its own."""
        return self._action.kind

    def act(self, observation: Observations) -> Floats:
        """Return the action of every group."""
        reader = self._reader
        newest = reader.value(observation, "price_ratio_000")[:, None]
        ahead = reader.value(observation, self._ahead)[:, None]
        price = self._weight_now * newest + self._weight_ahead * ahead
        price = price / self._action.lowest_ratio
        worth = reader.of_groups(observation, "run_worth")
        keep = (price <= self._keep_up_to) | (worth > self._keep_above)
        start = (price < self._start_below) & (worth > self._start_above)
        for order in self._orders:
            in_h = reader.value(observation, order)
            start &= ((in_h > self.lead_h) | (in_h <= 0.0))[:, None]
        action = self._action(observation, keep, start)
        if not reader.has("demand_ratio"):
            return action
        likely = peak_is_likely(reader, observation, self.demand_ratio, self.month_ratio)
        return np.where(likely[:, None], self._action.off(), action)

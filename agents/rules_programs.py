"""Rules for tariffs and programs: what an operator would do by hand, with numbers to tune.

Each starts from the level rule of the observation (``rule_load_frac``) and is a pure function of
it. On a site without the block that a rule is for, it is the level rule. The action of shadow price
zero already reckons with surplus, panels, base points and calls
(`gridhash.envs.supply_curve`); these rules say how much of that simple means achieve.
"""

from functools import reduce

import numpy as np
import numpy.typing as npt

from gridhash.agents.calendar_features import calendar_of
from gridhash.agents.policy import ObservationReader, Observations
from gridhash.agents.rules import Parameter, nameplate_frac, within
from gridhash.config import SiteConfig
from gridhash.envs.action import ActionKind
from gridhash.envs.levels import full_power_kw
from gridhash.envs.parameters import Floats
from gridhash.units import HOURS_PER_DAY

_DEMAND_AHEAD = ("demand_ratio", "demand_ratio_1h", "demand_ratio_2h", "demand_ratio_3h")


def capped_by_merit(load_frac: Floats, cap_kw: Floats, reader: ObservationReader) -> Floats:
    """Return the load of each group with no more rig power in all than a cap.

    The most efficient groups keep theirs. `load_frac` is (N, G) per full power of the group,
    `cap_kw` (N,).
    """
    params = reader.params
    full_kw = full_power_kw(params)
    left_kw = np.maximum(cap_kw, 0.0)
    capped = np.zeros_like(load_frac)
    for g in params.merit_order:
        taken_kw = np.minimum(load_frac[:, g] * full_kw[g], left_kw)
        capped[:, g] = taken_kw / full_kw[g]
        left_kw = left_kw - taken_kw
    return capped


def rig_cap_kw(reader: ObservationReader, site_frac: Floats) -> Floats:
    """Return the rig power that goes with a site power per contract power, (N,) [kW]."""
    params = reader.params
    return np.asarray(site_frac * (params.contract_power_kw / params.pue_for_planning))


def peak_is_likely(
    reader: ObservationReader,
    observation: Observations,
    demand_ratio: Parameter,
    month_ratio: Parameter,
) -> npt.NDArray[np.bool_]:
    """Return for every site whether a coincident peak of the system may be near, (N,).

    In months with such peaks, where area demand, now or expected within three hours, reaches
    `demand_ratio` of the highest of 30 days, and now `month_ratio` of the highest of this month.
    Never on a site without coincident peaks.
    """
    if not reader.has("demand_ratio"):
        return np.zeros(len(reader.check(observation)), dtype=np.bool_)
    ratio = reduce(np.maximum, [reader.value(observation, name) for name in _DEMAND_AHEAD])
    likely = (
        (reader.value(observation, "peak_month") > 0.0)
        & (ratio >= demand_ratio)
        & (reader.value(observation, "demand_month_ratio") >= month_ratio)
    )
    return np.asarray(likely)


class PeakShaver:
    """The level rule, off while a coincident peak of the system is likely.

    Parameters
    ----------
    demand_ratio
        Area demand, now or expected within three hours, per highest of 30 days, from which a peak
        is likely.
    month_ratio
        Area demand per highest of this month so far that must hold too. Both count in months with
        coincident peaks alone.
    free_frac
        Site power per contract power that is always allowed. Above it the site draws no more than
        the demand that its own demand charge bills anyway; 1 leaves that charge alone.

    Raises
    ------
    ConfigError
        If a parameter is out of range.
    """

    name = "peak_shaver"
    action_kind = ActionKind.POWER

    def __init__(
        self,
        site: SiteConfig,
        *,
        demand_ratio: Parameter = 0.97,
        month_ratio: Parameter = 0.95,
        free_frac: Parameter = 1.0,
    ) -> None:
        self.demand_ratio = within("demand_ratio", demand_ratio, 0.0, 3.0)
        self.month_ratio = within("month_ratio", month_ratio, 0.0, 3.0)
        self.free_frac = within("free_frac", free_frac, 0.0, 1.0)
        self._reader = ObservationReader(site)

    def act(self, observation: Observations) -> Floats:
        """Return the wanted power of every group."""
        reader = self._reader
        wanted = reader.of_groups(observation, "rule_load_frac")
        if reader.has("month_peak_frac") and np.any(np.asarray(self.free_frac) < 1.0):
            billed = np.maximum(
                reader.value(observation, "month_peak_frac"),
                reader.value(observation, "ratchet_frac"),
            )
            allowed = np.where(self.free_frac < 1.0, np.maximum(billed, self.free_frac), np.inf)
            wanted = capped_by_merit(wanted, rig_cap_kw(reader, allowed), reader)
        likely = peak_is_likely(reader, observation, self.demand_ratio, self.month_ratio)
        return np.where(likely[:, None], 0.0, wanted)


class CallResponder:
    """The level rule, held below the baseline less what was promised through calls to reduce.

    Parameters
    ----------
    depth
        Share of the commitment to reduce by.
    lead_h
        Begin this long before a call that is announced [h]: ramps and minimum times need it.

    Raises
    ------
    ConfigError
        If a parameter is out of range.
    """

    name = "call_responder"
    action_kind = ActionKind.POWER

    def __init__(
        self, site: SiteConfig, *, depth: Parameter = 1.0, lead_h: Parameter = 0.25
    ) -> None:
        self.depth = within("depth", depth, 0.0, 2.0)
        self.lead_h = within("lead_h", lead_h, 0.0, HOURS_PER_DAY)
        self._reader = ObservationReader(site)

    def act(self, observation: Observations) -> Floats:
        """Return the wanted power of every group."""
        reader = self._reader
        wanted = reader.of_groups(observation, "rule_load_frac")
        if not reader.has("reduction_call_now"):
            return wanted
        called = (reader.value(observation, "reduction_call_now") > 0.0) | (
            reader.value(observation, "reduction_call_in_h") <= self.lead_h
        )
        promised = self.depth * reader.value(observation, "committed_frac")
        allowed = reader.value(observation, "baseline_frac") - promised
        reduced = capped_by_merit(wanted, rig_cap_kw(reader, allowed), reader)
        return np.where(called[:, None], reduced, wanted)


class SurplusFollower:
    """Runs on surplus and panels alone, whatever the grid costs.

    Parameters
    ----------
    share
        Of the newest reading that is used; below 1 leaves room for it to fall before the next.
    least_frac
        Surplus and panels per contract power below which nothing runs.

    Raises
    ------
    ConfigError
        If a parameter is out of range.
    """

    name = "surplus_follower"
    action_kind = ActionKind.POWER

    def __init__(
        self, site: SiteConfig, *, share: Parameter = 1.0, least_frac: Parameter = 0.05
    ) -> None:
        self.share = within("share", share, 0.0, 2.0)
        self.least_frac = within("least_frac", least_frac, 0.0, 1.0)
        self._reader = ObservationReader(site)

    def act(self, observation: Observations) -> Floats:
        """Return the wanted power of every group."""
        reader = self._reader
        supply = reader.value(observation, "surplus_frac")
        if reader.has("quota_left_frac"):
            supply = np.where(reader.value(observation, "quota_left_frac") > 0.0, supply, 0.0)
        if reader.has("pv_frac"):
            supply = supply + reader.value(observation, "pv_frac")
        supply = np.where(supply >= self.least_frac, self.share * supply, 0.0)
        everything = np.ones((len(supply), reader.n_groups))
        return capped_by_merit(everything, rig_cap_kw(reader, supply), reader)


class TimeOfUse:
    """A schedule by the clock: every rig at nameplate in its hours, nothing outside.

    Parameters
    ----------
    from_hour, to_hour
        Local hours [from, to) of work; over midnight if `to_hour` is the lower one, all day if
        both are the same.
    weekends
        From 0.5 on Saturdays and Sundays are worked whole (holidays are not known here); below,
        as other days.

    Raises
    ------
    ConfigError
        If a parameter is out of range.
    """

    name = "time_of_use"
    action_kind = ActionKind.POWER

    def __init__(
        self,
        site: SiteConfig,
        *,
        from_hour: Parameter = 22.0,
        to_hour: Parameter = 8.0,
        weekends: Parameter = 1.0,
    ) -> None:
        self.from_hour = within("from_hour", from_hour, 0.0, HOURS_PER_DAY)
        self.to_hour = within("to_hour", to_hour, 0.0, HOURS_PER_DAY)
        self.weekends = within("weekends", weekends, 0.0, 1.0)
        self._reader = ObservationReader(site)
        self._load_frac = nameplate_frac(self._reader)

    def act(self, observation: Observations) -> Floats:
        """Return nameplate or zero for every group."""
        calendar = calendar_of(self._reader, observation)
        # Hours since work began, around the clock.
        since = (calendar.hour - self.from_hour) % HOURS_PER_DAY
        length = np.asarray((self.to_hour - self.from_hour) % HOURS_PER_DAY)
        works = since < np.where(length > 0.0, length, HOURS_PER_DAY)
        works |= (np.asarray(self.weekends) >= 0.5) & calendar.weekend
        return np.where(works[:, None], self._load_frac, 0.0)


class BasePointFollower:
    """Asks for the base point, whatever energy costs.

    Parameters
    ----------
    edge
        Where in the tolerance to aim: 0 the base point itself, 1 its upper edge, -1 the lower one.

    Cooling is that of `pue_for_planning`.

    Raises
    ------
    ConfigError
        If a parameter is out of range.
    """

    name = "base_point_follower"
    action_kind = ActionKind.POWER

    def __init__(self, site: SiteConfig, *, edge: Parameter = 0.0) -> None:
        self.edge = within("edge", edge, -1.0, 1.0)
        self._reader = ObservationReader(site)
        self._block = site.programs.base_point

    def act(self, observation: Observations) -> Floats:
        """Return the wanted power of every group."""
        reader = self._reader
        if self._block is None:
            return reader.of_groups(observation, "rule_load_frac")
        base = reader.value(observation, "base_point_frac")
        fixed = self._block.tolerance_kw / reader.params.contract_power_kw
        tolerance = np.maximum(fixed, self._block.tolerance_frac * base)
        aim = base + self.edge * tolerance
        everything = np.ones((len(base), reader.n_groups))
        return capped_by_merit(everything, rig_cap_kw(reader, aim), reader)

"""Why a policy decides as it does at one instant: the decision, its limits, the rules beside it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gridhash.agents.policy import ObservationReader, Policy
from gridhash.agents.rules import LevelRule, LookAheadRule
from gridhash.envs import columns as c
from gridhash.envs.action import ActionKind
from gridhash.envs.day_view import SPANS
from gridhash.envs.scenario import Scenario
from gridhash.envs.state import RUNNING, SETPOINT_KW
from gridhash.training.explain_curve import Curve, Kink, curve_of, site_power_kw
from gridhash.training.explain_sensitivity import Influence, influences
from gridhash.training.explain_state import (
    DAYS_BEFORE,
    Choice,
    Instant,
    choice_of,
    play_to,
    rig_cap_kw,
)
from gridhash.units import HOURS_PER_DAY, SECONDS_PER_HOUR

FORMAT_VERSION = 1
AHEAD = (("pause", "pause order"), ("reduction_call", "call to reduce"),
         ("increase_call", "call to consume"))  # fmt: skip
"""Events in the observation, and what they are called."""
FAR_H = 48.0


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What published prices say of a rig of one group, from now to where their sign turns."""

    value_per_kwh: float
    """What a kWh of the site earns with the group at full load."""
    price_per_kwh: float
    pays: bool
    """Running pays at the present price."""
    until: pd.Timestamp | None
    """When that turns; None if not within the published prices."""
    hours: float
    """To there, or to the end of what is published."""
    per_rig: float
    """What running a rig to there earns (is lost, if negative) [currency]."""
    start_cost_per_rig: float
    plan_worth: float | None
    """What running now is worth over stopping by the look-ahead plan, in costs of a start."""


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """A decision and everything beside it."""

    instant: Instant
    policy: Choice
    level_rule: Choice
    look_ahead: Choice
    curve: Curve
    kink: Kink | None
    """Where the supply curve holds the policy's power."""
    cap: tuple[float, str]
    """The most that all rigs may draw [kW], and by what."""
    events: tuple[str, ...]
    """What lasts now or is known to come."""
    outlooks: tuple[Outlook, ...]
    """Of every group."""
    influences: tuple[Influence, ...]

    @property
    def scenario(self) -> Scenario:
        """The site and its market."""
        return self.instant.scenario


def explain(
    scenario: Scenario,
    policy: Policy,
    at: pd.Timestamp,
    *,
    days_before: float = DAYS_BEFORE,
    progress: Callable[[int, int], None] | None = None,
) -> Explanation:
    """Play a policy to an instant and explain what it decides there.

    Raises
    ------
    DataError
        If the instant lies outside what can be played.
    PolicyError
        If the policy gives no usable action.
    """
    instant = play_to(scenario, policy, at, days_before=days_before, progress=progress)
    choice = choice_of(instant, policy)
    curve = curve_of(instant)
    return Explanation(
        instant=instant,
        policy=choice,
        level_rule=choice_of(instant, LevelRule(scenario.site)),
        look_ahead=choice_of(instant, LookAheadRule(scenario.site)),
        curve=curve,
        kink=curve.kink_at(site_power_kw(instant, choice)),
        cap=rig_cap_kw(instant),
        events=_events(instant),
        outlooks=tuple(_outlook(instant, g) for g in range(scenario.n_groups)),
        influences=influences(instant, policy, choice),
    )


def _events(instant: Instant) -> tuple[str, ...]:
    """Return what lasts now, and what is known to come within two days."""
    found = [f"{label} now" for column, label in SPANS if instant.market[column] > 0.0]
    if instant.scenario.programs.has_base_point:
        found.append(f"base point {instant.market[c.BASE_POINT]:,.0f} kW")
    for stem, label in AHEAD:
        wait_h, lasts_h = instant.feature(f"{stem}_in_h"), instant.feature(f"{stem}_left_h")
        if wait_h is not None and lasts_h is not None and 0.0 < wait_h < FAR_H:
            found.append(f"{label} in {wait_h:.1f} h, for {lasts_h:.1f} h")
    return tuple(found)


def _outlook(instant: Instant, g: int) -> Outlook:
    scenario, params = instant.scenario, instant.scenario.params
    reader = ObservationReader(scenario.site)
    published_h = instant.feature("published_h") or 0.0
    period_h = scenario.trace.period_s / SECONDS_PER_HOUR
    n_known = max(1, min(round(published_h / period_h), reader.n_prices))
    prices = reader.prices_per_kwh(instant.observation)[0, :n_known]
    top = int(params.n_levels[g]) - 1
    rig_kw, rig_phs = float(params.level_kw[g, top]), float(params.level_phs[g, top])
    revenue = float(reader.revenue_per_phs_day(instant.observation)[0])
    value = revenue * rig_phs / (HOURS_PER_DAY * rig_kw * params.pue_for_planning)
    pays = value > prices
    same = int(np.argmax(pays != pays[0])) if (pays != pays[0]).any() else n_known
    hours = np.full(same, period_h)
    gone_h = float(instant.state.substep[0] * params.interval_s / SECONDS_PER_HOUR)
    hours[0] -= gone_h
    starts = scenario.trace.starts
    turns = instant.row + same
    until = None
    if same < n_known and turns < len(starts):
        until = starts[turns].tz_convert(scenario.site.timezone)
    x = instant.feature(f"run_worth_{scenario.site.groups[g].name}")
    return Outlook(
        value_per_kwh=value,
        price_per_kwh=float(prices[0]),
        pays=bool(pays[0]),
        until=until,
        hours=float(hours.sum()),
        per_rig=float((hours * (value - prices[:same])).sum() * rig_kw * params.pue_for_planning),
        start_cost_per_rig=float(params.start_cost[g]),
        plan_worth=None if x is None or abs(x) >= 1.0 else x / (1.0 - abs(x)),
    )


def explanation_dict(found: Explanation) -> dict[str, Any]:
    """Return an explanation as JSON can hold it; money in `currency`, power in kW."""
    scenario, instant = found.scenario, found.instant
    site = scenario.site
    market = instant.market
    return {
        "format_version": FORMAT_VERSION,
        "site": site.name,
        "at": instant.at.isoformat(),
        "currency": site.currency,
        "price_per_kwh": float(market[c.SEEN_PRICE]),
        "all_in_per_kwh": float(market[c.SEEN_ALL_IN]),
        "surplus_kw": float(market[c.SEEN_SURPLUS]),
        "events": list(found.events),
        "rig_cap_kw": found.cap[0],
        "rig_cap_by": found.cap[1],
        "kink": None if found.kink is None else found.kink._asdict(),
        "choices": [
            _choice_dict(found, choice)
            for choice in (found.policy, found.level_rule, found.look_ahead)
        ],
        "groups": [
            {
                "group": group.name,
                "running": float(instant.state.group[0, g, RUNNING]),
                "setpoint_before_kw": float(instant.state.group[0, g, SETPOINT_KW]),
                **_outlook_dict(found.outlooks[g]),
            }
            for g, group in enumerate(site.groups)
        ],
        "supply": [
            {
                "start_kw": segment.start_kw,
                "end_kw": segment.end_kw if math.isfinite(segment.end_kw) else None,
                "price_per_kwh": segment.price_per_kwh,
            }
            for segment in found.curve.supply
        ],
        "demand": [
            block._asdict() | {"group": site.groups[block.group].name}
            for block in found.curve.demand
        ],
        "influences": [
            {
                "features": one.group,
                "n_features": one.n_features,
                "power_kw": one.power_kw,
                "action": one.action.tolist(),
                "slope_per_spread": one.slope,
            }
            for one in found.influences
        ],
    }


def _choice_dict(found: Explanation, choice: Choice) -> dict[str, Any]:
    shadow = choice.shadow_per_kwh(found.scenario)
    return {
        "policy": choice.name,
        "kind": ActionKind(choice.kind).name.lower(),
        "action": choice.action.tolist(),
        "shadow_per_kwh": None if shadow is None else shadow.tolist(),
        "wanted_kw": choice.wanted_kw.tolist(),
        "setpoint_kw": choice.setpoint_kw.tolist(),
        "limits": list(choice.limits),
    }


def _outlook_dict(outlook: Outlook) -> dict[str, Any]:
    values = dict(vars(outlook))
    values["until"] = None if outlook.until is None else outlook.until.isoformat()
    return values

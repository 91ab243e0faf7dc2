"""Base points: the power that the utility asks for, period by period."""

import numpy as np

from gridhash.config import SiteConfig
from gridhash.config_processes import BasePointProcess
from gridhash.data.processes.common import Array, labelled, stream, with_notice
from gridhash.data.processes.reach import reach_of, within_reach
from gridhash.data.trace import Trace
from gridhash.errors import ConfigError

COLUMN = "base_point_frac"
RAMP_SHARE = 0.6
"""Share of the changes that are ramps; the others go as fast as the limit allows; assumed."""


def with_base_points(
    trace: Trace, settings: BasePointProcess, *, seed: int, site: SiteConfig | None = None
) -> Trace:
    """Return the trace with `base_point_frac`, known one period ahead or `notice_s`.

    Segments follow each other: a target (zero, full, or even between), reached in a ramp of drawn
    speed or as fast as the limit allows, and held for an exponential time. Full is `highest_kw`,
    else the contract power; `within_reach` moves each, given those before it, into what the `site`
    can promise (`gridhash.data.processes.reach`).

    Raises
    ------
    DataError
        If the trace holds the column already.
    ConfigError
        If the settings need a site and none is given, or ask for more than its contract power.
    """
    limit = settings.ramp_frac_per_min * trace.period_s / 60.0
    values = _path(trace.n_rows, trace.period_s, limit, settings, stream(seed, COLUMN))
    words = "contract power"
    if settings.within_reach or settings.highest_kw is not None:
        values, words = _of_site(values, settings, site, trace.period_s)
    notice_s = trace.period_s if settings.notice_s is None else settings.notice_s
    note = (
        f"holds of {settings.mean_hold_min:g} min on average, ramps and jumps within "
        f"{settings.ramp_frac_per_min:g} of full power a minute, targets zero "
        f"{settings.zero_share:g} and full {settings.full_share:g} of the time, full is {words}, "
        f"notice {notice_s} s, seed {seed}"
    )
    return labelled(trace, {COLUMN: values}, {COLUMN: with_notice(trace, notice_s)}, note)


def _of_site(
    values: Array, settings: BasePointProcess, site: SiteConfig | None, period_s: int
) -> tuple[Array, str]:
    """Return shares of full power as shares of contract power, within reach if so set; in words."""
    if site is None:
        raise ConfigError(
            "processes.base_points: within_reach and highest_kw need the site that follows; give "
            "it as site, or leave both out"
        )
    contract_kw = site.limits.contract_power_kw
    highest_kw = contract_kw if settings.highest_kw is None else settings.highest_kw
    if highest_kw > contract_kw:
        raise ConfigError(
            f"processes.base_points.highest_kw {highest_kw:g} is above the contract power of the "
            f"site, {contract_kw:g} kW: lower it"
        )
    values = values * (highest_kw / contract_kw)
    if not settings.within_reach:
        return values, f"{highest_kw:g} kW"
    reach = reach_of(site, nameplate_kw=highest_kw, period_s=period_s)
    return within_reach(values, reach), f"{highest_kw:g} kW, moved to what {site.name} can reach"


def _path(
    n_rows: int,
    period_s: int,
    limit: float,
    settings: BasePointProcess,
    rng: np.random.Generator,
) -> Array:
    """Return base points [n_rows] that move by at most `limit` a row."""
    path = np.empty(n_rows)
    value, row = _target(settings, rng), 0
    slowest = min(limit, period_s / 60.0 / settings.slowest_ramp_min)
    while row < n_rows:
        hold = 1 + round(rng.exponential(settings.mean_hold_min) * 60.0 / period_s)
        stop = min(row + hold, n_rows)
        path[row:stop] = value
        row = stop
        target = _target(settings, rng)
        step = rng.uniform(slowest, limit) if rng.random() < RAMP_SHARE else limit
        while row < n_rows and abs(target - value) > step:
            value = min(max(value + (step if target > value else -step), 0.0), 1.0)
            path[row] = value
            row += 1
        value = target
    return path


def _target(settings: BasePointProcess, rng: np.random.Generator) -> float:
    kind, level = rng.random(2).tolist()
    if kind < settings.zero_share:
        return 0.0
    return 1.0 if kind < settings.zero_share + settings.full_share else float(level)

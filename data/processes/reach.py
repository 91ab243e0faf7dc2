"""What power a site can promise to reach next, and base points that ask for no more.

Who sends base points knows the range that a site declares, as a market does of its resources
(ERCOT: lowest and highest sustained limit, ramp rate), and stays within it. Here the range follows
from minimum times, the lowest work level, start-up and ramps, reckoned period by period along the
base points themselves for a fleet that runs as many rigs as each of them carries. A base point so
depends on those before it alone.
"""

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from gridhash.config import SiteConfig
from gridhash.data.processes.common import Array
from gridhash.units import W_PER_KW


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How far a site can move from one period of the base point to the next.

    Attributes
    ----------
    nameplate_frac
        Highest base point, per contract power.
    running_frac
        Site power of all rigs at their top level, cooling as planned, per contract power.
    floor
        Power of a rig at its lowest level per that at its top level.
    first_draw
        What a rig draws in the period in which it starts, per its later power.
    n_up, n_down
        Periods from a start until a stop is allowed, and from a stop until a start is.
    ramp_up_frac, ramp_down_frac
        Most that the site may rise and fall from period to period, per contract power.
    """

    nameplate_frac: float
    running_frac: float
    floor: float
    first_draw: float
    n_up: int
    n_down: int
    ramp_up_frac: float = math.inf
    ramp_down_frac: float = math.inf


def reach_of(site: SiteConfig, *, nameplate_kw: float, period_s: int) -> Reach:
    """Return the reach of a site; of its groups the slowest and least flexible one counts.

    `period_s` is how long a base point holds [s].
    """
    groups, limits = site.groups, site.limits
    levels = [site.levels_of(group) for group in groups]
    rigs_kw = sum(g.n_rigs * g.rig_power_w * own[-1] for g, own in zip(groups, levels, strict=True))
    contract_kw = limits.contract_power_kw
    per_period = period_s / 60.0 / contract_kw
    return Reach(
        nameplate_frac=nameplate_kw / contract_kw,
        running_frac=rigs_kw / W_PER_KW * site.pue_for_planning / contract_kw,
        floor=max(own[0] / own[-1] for own in levels),
        first_draw=1.0 - min(max(g.boot_s for g in groups) / period_s, 1.0),
        n_up=max(math.ceil(g.min_up_s / period_s) for g in groups),
        n_down=max(math.ceil(g.min_down_s / period_s) for g in groups),
        ramp_up_frac=limits.ramp_up_kw_per_min * per_period,
        ramp_down_frac=limits.ramp_down_kw_per_min * per_period,
    )


def within_reach(wanted: Array, reach: Reach) -> Array:
    """Return base points as near to those wanted as the site can promise, (rows,) each.

    Both per contract power. The fleet begins with all rigs at rest and free to start. A site all of
    whose rigs run declares its nameplate. Where minimum times keep more running than a ramp
    allows, they count first, as in the site's limits.
    """
    path = np.empty_like(wanted)
    # Shares of all rigs: started, and stopped, in the periods in which they may not turn back.
    young: deque[float] = deque([0.0] * max(reach.n_up - 1, 0))
    resting: deque[float] = deque([0.0] * max(reach.n_down - 1, 0))
    running, last, full, floor = 0.0, 0.0, reach.running_frac, reach.floor
    for row, asked in enumerate(wanted):
        startable = max(1.0 - running - sum(resting), 0.0)
        least = min(sum(young), running) * floor * full
        most = (running + startable * reach.first_draw) * full
        if running > 1.0 - 1e-9:
            most = reach.nameplate_frac
        near = min(max(asked, last - reach.ramp_down_frac), last + reach.ramp_up_frac)
        last = path[row] = min(max(near, least), most, reach.nameplate_frac)
        carried = last / full / floor
        started = min(max(carried - running, 0.0), startable)
        stopped = max(running - carried, 0.0)
        running = min(running + started - stopped, 1.0)
        for moves, now in ((young, started), (resting, stopped)):
            moves.append(now)
            moves.popleft()
    return path

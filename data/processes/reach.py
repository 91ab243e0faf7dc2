"""What power a site can promise to reach next, and base points that ask for no more.

Who sends base points knows the range that a site declares, as a market does of its resources
(ERCOT: lowest and highest sustained limit, ramp rate), and stays within it. Here the range follows
from minimum times, the lowest work level and start-up, reckoned interval by interval along the
base points themselves for a fleet that runs as many rigs as each of them carries.
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
    """How far a site can move from one dispatch interval to the next.

    Attributes
    ----------
    nameplate_frac
        Highest base point, per contract power.
    running_frac
        Site power of all rigs at their top level, cooling as planned, per contract power.
    floor
        Power of a rig at its lowest level per that at its top level.
    first_draw
        What a rig draws in the interval in which it starts, per its later power.
    n_up, n_down
        Intervals from a start until a stop is allowed, and from a stop until a start is.
    """

    nameplate_frac: float
    running_frac: float
    floor: float
    first_draw: float
    n_up: int
    n_down: int


def reach_of(site: SiteConfig, *, nameplate_kw: float) -> Reach:
    """Return the reach of a site; of its groups the slowest and least flexible one counts."""
    groups, interval_s = site.groups, site.dispatch_interval_s
    levels = [site.levels_of(group) for group in groups]
    rigs_kw = sum(g.n_rigs * g.rig_power_w * own[-1] for g, own in zip(groups, levels, strict=True))
    contract_kw = site.limits.contract_power_kw
    return Reach(
        nameplate_frac=nameplate_kw / contract_kw,
        running_frac=rigs_kw / W_PER_KW * site.pue_for_planning / contract_kw,
        floor=max(own[0] / own[-1] for own in levels),
        first_draw=1.0 - min(max(g.boot_s for g in groups) / interval_s, 1.0),
        n_up=max(math.ceil(g.min_up_s / interval_s) for g in groups),
        n_down=max(math.ceil(g.min_down_s / interval_s) for g in groups),
    )


def within_reach(wanted: Array, reach: Reach) -> Array:
    """Return base points as near to those wanted as the site can promise, (rows,) each.

    Both per contract power. The fleet begins with all rigs at rest and free to start. A site all of
    whose rigs run declares its nameplate.
    """
    path = np.empty_like(wanted)
    # Shares of all rigs: started, and stopped, in the intervals in which they may not turn back.
    young: deque[float] = deque([0.0] * max(reach.n_up - 1, 0))
    resting: deque[float] = deque([0.0] * max(reach.n_down - 1, 0))
    running, full, floor = 0.0, reach.running_frac, reach.floor
    for row, asked in enumerate(wanted):
        startable = max(1.0 - running - sum(resting), 0.0)
        least = min(sum(young), running) * floor * full
        most = (running + startable * reach.first_draw) * full
        if running > 1.0 - 1e-9:
            most = reach.nameplate_frac
        path[row] = min(max(asked, least), most, reach.nameplate_frac)
        carried = path[row] / full / floor
        started = min(max(carried - running, 0.0), startable)
        stopped = max(running - carried, 0.0)
        running = min(running + started - stopped, 1.0)
        for moves, now in ((young, started), (resting, stopped)):
            moves.append(now)
            moves.popleft()
    return path

"""How much more than the coldest chips rigs draw at least, once their group has run for a while.

Fans hold a loop at its setpoint, so a group that has run for an hour is not as cold as the coldest
chip can be (`gridhash.agents.coldest`). Let a share o of a group's rigs have run throughout the
last intervals: in each of them the group's heat lay between theirs at the lowest level and that of
all rigs at the highest. The range is cut into pieces; in a piece no chip gets colder than under its
least heat with the fans that its greatest asks for, since chips and loop are cooperative in heat
and, above their sink, fall with heat rejection (as there). The coldest of all pieces, interval by
interval from the coldest state, bounds what the chips of those rigs are: theta(o), rising in o.

What they draw more than at the coldest chip is then at least u o d(o), with u their mean power
named and d what theta(o) adds to power per power named. It is bilinear; with ``o d(o) >= s o - r``
it is at least ``s u o - r u``, linear in their power `u o`, and u is at most the top level.

Where theta takes a rig to have drawn the lowest level, what it drew more in the interval before
warms its own chip at once: by `rise` of its power per power above that level named.
"""

from dataclasses import dataclass

import numpy as np

from gridhash.agents.rig_class import RigClass
from gridhash.envs.columns import OUTDOOR, WET_BULB
from gridhash.envs.jit import njit
from gridhash.envs.parameters import Floats
from gridhash.envs.scenario import Scenario
from gridhash.envs.thermal import loop_decay, open_loop_after

LASTS_S = 3600.0
"""How long rigs must have run: longer is warmer, but counts later after a start."""
SHARES = np.array([0.03, 0.06, 0.09, 0.12, 0.16, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7, 1.0])
"""Shares o at which theta is evaluated."""
TIGHT_AT = 0.8
"""Share of full power at which the line below o d(o) is highest."""
STEEPER = np.linspace(1.0, 1.6, 13)
"""Slopes that such a line may have, per d(1)."""
N_PIECES = 48
LEAST_FRAC = 0.5
"""`gridhash.envs.thermal.temperature_power_frac` is never less, and a straight line above it."""
ROUNDING_K = 1e-6


@dataclass(frozen=True)
class LastingWarmth:
    """Least additional power of rigs of a class that have run for some intervals, T intervals."""

    lasts: int
    """Intervals of full power before the present one that a rig must have run."""
    slope: Floats
    """(T,) of it over the power named of such rigs, s."""
    offset: Floats
    """(T,) taken off it, per power named of all rigs at their top level, r."""
    rise: float
    """Share by which a rig draws more for each kilowatt above the lowest level that it was named
    in the interval before [1/kW]."""


def lasting_warmth(
    scenario: Scenario,
    rows: tuple[int, int],
    rigs: RigClass,
    coldest_c: tuple[Floats, Floats],
) -> LastingWarmth | None:
    """Return what a class draws more in a window; None if its power does not follow its chips.

    `coldest_c`, (T,) each, is what no chip and what no loop is colder than.
    """
    params = scenario.params
    if rigs.power_per_k == 0.0 or rigs.fails or params.heat_rejection_kw_per_k.min() <= 0.0:
        return None
    market, steps = scenario.market[rows[0] : rows[1]], scenario.steps_per_row
    sink_c, wetted = rigs.sink(market[:, OUTDOOR], market[:, WET_BULB])
    lasts = max(round(LASTS_S / params.interval_s), 1)
    cold_frac = rigs.cold_fracs(coldest_c[0])[-1]
    least_kw = float(rigs.level_kw[0] * cold_frac.min())
    more = np.full((len(SHARES), len(cold_frac)), np.inf)
    for g in rigs.groups:
        for own, share in zip(more, SHARES, strict=True):
            n_rigs = float(params.n_rigs[g])
            heat_kw = np.geomspace(share * least_kw, rigs.most_heat_kw, N_PIECES + 1) * n_rigs
            chip_c = np.full(len(cold_frac), -np.inf)
            _warm_chips(
                sink_c,
                wetted * params.heat_rejection_min_kw_per_k[g],
                wetted * params.heat_rejection_kw_per_k[g],
                float(params.coolant_setpoint_c[g]),
                heat_kw,
                n_rigs,
                params.chip_to_coolant_k_per_kw[g],
                params.rig_heat_capacity_kj_per_k[g],
                params.loop_heat_capacity_kj_per_k[g],
                params.interval_s,
                steps,
                least_kw,
                lasts,
                coldest_c[0],
                coldest_c[1],
                np.empty((len(sink_c), N_PIECES)),
                np.empty((len(sink_c), N_PIECES, 4)),
                chip_c,
            )
            warmth = rigs.power_per_k * (chip_c - ROUNDING_K - rigs.power_reference_c)
            own[:] = np.minimum(own, np.maximum(1.0 + warmth, LEAST_FRAC) - cold_frac)
    more = np.maximum.accumulate(np.maximum(more, 0.0))
    # Between two shares d is at least that of the lower one, and nothing below the first.
    before = np.concatenate([np.zeros((1, more.shape[1])), more[:-1]])
    slope, offset = more[-1], np.full(len(cold_frac), np.inf)
    for steeper in STEEPER:
        own_slope = steeper * more[-1]
        own_offset = ((own_slope - before) * SHARES[:, None]).max(axis=0)
        better = TIGHT_AT * own_slope - own_offset > TIGHT_AT * slope - offset
        slope = np.where(better, own_slope, slope)
        offset = np.where(better, own_offset, offset)
    clipped = cold_frac.min() <= LEAST_FRAC
    rise = rigs.power_per_k * rigs.chip_rise_k_per_kw * float(cold_frac.min())
    return LastingWarmth(lasts=lasts, slope=slope, offset=offset, rise=0.0 if clipped else rise)


@njit
def _warm_chips(
    sink_c: Floats,
    least_kw_per_k: Floats,
    most_kw_per_k: Floats,
    setpoint_c: float,
    heat_kw: Floats,
    n_rigs: float,
    chip_to_coolant_k_per_kw: float,
    rig_heat_capacity_kj_per_k: float,
    loop_heat_capacity_kj_per_k: float,
    interval_s: float,
    steps_per_row: int,
    own_kw: float,
    lasts: int,
    coldest_chip_c: Floats,
    coldest_loop_c: Floats,
    rejection: Floats,
    decay: Floats,
    chip_c: Floats,
) -> None:
    """Write theta at the start of each interval that has `lasts` before it, (T,) [°C].

    Sinks and heat rejections are by row; `heat_kw` are the edges of the pieces; `own_kw` is the
    least heat of one of the rigs. `rejection`, (rows, pieces), and `decay`, (rows, pieces, 4), are
    memory to work in.
    """
    n_rows, n_pieces = sink_c.shape[0], heat_kw.shape[0] - 1
    for r in range(n_rows):
        difference_k = setpoint_c - sink_c[r]
        for k in range(n_pieces):
            held = most_kw_per_k[r]
            if difference_k > 0.0:
                wanted = max(heat_kw[k + 1] / difference_k, least_kw_per_k[r])
                held = min(wanted, most_kw_per_k[r])
            rejection[r, k] = held
            own = loop_decay(
                n_rigs,
                held,
                chip_to_coolant_k_per_kw,
                rig_heat_capacity_kj_per_k,
                loop_heat_capacity_kj_per_k,
                interval_s,
            )
            for j in range(4):
                decay[r, k, j] = own[j]
    own_decay = np.exp(-interval_s / (chip_to_coolant_k_per_kw * rig_heat_capacity_kj_per_k))
    for t in range(lasts, chip_c.shape[0]):
        x, y = coldest_chip_c[t - lasts], coldest_loop_c[t - lasts]
        own_c = x
        for s in range(t - lasts, t):
            r = s // steps_per_row
            coldest_sink_c = min(sink_c[r], x, y)
            least_x, least_y, least_own_c = np.inf, np.inf, np.inf
            for k in range(n_pieces):
                mean_kw = heat_kw[k] / n_rigs
                after = open_loop_after(
                    x,
                    y,
                    mean_kw,
                    n_rigs,
                    coldest_sink_c,
                    rejection[r, k],
                    chip_to_coolant_k_per_kw,
                    (decay[r, k, 0], decay[r, k, 1], decay[r, k, 2], decay[r, k, 3]),
                )
                settled_k = (own_kw - mean_kw) * chip_to_coolant_k_per_kw
                own_after_c = after[0] + settled_k + (own_c - x - settled_k) * own_decay
                least_x = min(least_x, after[0])
                least_y = min(least_y, after[1])
                least_own_c = min(least_own_c, own_after_c)
            x, y, own_c = least_x, least_y, least_own_c
        chip_c[t] = own_c

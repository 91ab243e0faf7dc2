"""What a policy says, and what it means in kilowatts.

Three kinds of action, each one number per rig group:

``shadow_price`` in [-1, 1]
    added to the energy price of the group, in units of its break-even; the merit-order dispatch
    does the rest. Zero is the closed-form level rule. An operator can read it: +0.2 means "a kWh
    is worth 20 % of break-even more than its price now".
``power`` in [0, 1]
    wanted rig power per full power of the group. For kilowatts wrap the environment:
    ``gymnasium.wrappers.RescaleAction(env, 0.0, full_power_kw(params))``.
``levels`` in 0 … number of work levels of the group
    0 is off, k is all rigs of the group at their level k. `gridhash.envs.limits.level_masks` tells
    which are worth saying; `gridhash.envs.levels` numbers all combinations, for algorithms that
    know one discrete action only.

Numbers outside their range are clipped; NaN is refused before it comes here.
"""

import hashlib
import json
from enum import IntEnum

from gridhash.config import SiteConfig
from gridhash.envs.columns import REVENUE, SEEN_ALL_IN, SEEN_SURPLUS
from gridhash.envs.dispatch import dispatch_by_merit
from gridhash.envs.jit import njit
from gridhash.envs.levels import level_power_kw, top_level_kw
from gridhash.envs.parameters import Floats, SiteParameters


class ActionKind(IntEnum):
    """How the numbers of an action are meant."""

    SHADOW_PRICE = 0
    POWER = 1
    LEVELS = 2

    @property
    def low(self) -> float:
        """Least value of each number."""
        return -1.0 if self is ActionKind.SHADOW_PRICE else 0.0


SHADOW_PRICE, POWER, LEVELS = (int(kind) for kind in ActionKind)
"""The same as compiled code knows them."""


def action_hash(site: SiteConfig, kind: ActionKind) -> str:
    """Return a hash of the action table; a bundle made for another table is refused."""
    names = [group.name for group in site.groups]
    table: list[object]
    if kind is ActionKind.LEVELS:
        table = [kind.name, names, [len(site.levels_of(group)) + 1 for group in site.groups]]
    else:
        table = [kind.name, names, [kind.low, 1.0]]
    return hashlib.sha256(json.dumps(table).encode()).hexdigest()


@njit
def wanted_power(
    params: SiteParameters,
    market: Floats,
    row: int,
    kind: int,
    action: Floats,
    scratch: Floats,
    wanted_kw: Floats,
) -> None:
    """Write the rig power per group that an action asks for, (G,); `scratch` is (5, G).

    An index of kind ``levels`` comes as a float and means the nearest whole number.
    """
    n_groups = params.groups.shape[0]
    if kind == LEVELS:
        for g in range(n_groups):
            index = int(min(max(float(action[g]), 0.0), float(params.groups[g].n_levels)) + 0.5)
            wanted_kw[g] = level_power_kw(params, g, index)
        return
    if kind == POWER:
        for g in range(n_groups):
            share = min(max(float(action[g]), 0.0), 1.0)
            wanted_kw[g] = share * params.groups[g].n_rigs * top_level_kw(params, g)
        return
    for g in range(n_groups):
        scratch[0, g] = (
            min(max(float(action[g]), -1.0), 1.0) * params.groups[g].shadow_scale_per_kwh
        )
    dispatch_by_merit(
        params,
        market[row, SEEN_ALL_IN],
        market[row, SEEN_SURPLUS],
        market[row, REVENUE],
        scratch[0],
        wanted_kw,
        scratch[2],
    )

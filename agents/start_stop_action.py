"""From the wish to run or to rest to an action: as power, or as the least shadow price.

A policy that decides on starts and stops alone says for each group whether running rigs go on
(`keep`) and whether stopped ones start (`start`). As *power* the group runs at the level of the
level rule, at least at its lowest. As *shadow price* it is moved only as far as the wish asks:
zero where the supply curve agrees, so that surplus, panels, base points and calls stay with the
curve (`gridhash.envs.supply_curve`).
"""

import numpy as np
import numpy.typing as npt

from gridhash.agents.policy import ObservationReader, Observations
from gridhash.config import SiteConfig
from gridhash.envs.action import ActionKind
from gridhash.envs.jit import njit
from gridhash.envs.parameters import Floats, Ints, compile_site
from gridhash.envs.program_parameters import compile_programs

Wish = npt.NDArray[np.bool_]
"""(N, G) for every group of every site."""
MARGIN = 1e-4
"""By which a shadow price passes the kink that it is to pass, per break-even; float32 is finer."""
WHOLE = 1.0 - 1e-6
"""Share of running rigs from which the whole group runs."""
MOSTLY_RUNNING = 0.5
"""Share of running rigs from which the wish to keep is that of the whole group: a shadow price
cannot hold a part of a group."""


def fitting_kind(site: SiteConfig) -> ActionKind:
    """Return the kind of action in which starts and stops of a site are best said.

    Shadow prices where a block of tariff or programs shapes the supply curve; else power, which
    knows no bound on what it holds through.
    """
    programs = compile_programs(site, compile_site(site), first_start_s=0)
    shaped = (
        programs.always_shapes_supply or programs.has_reduction or programs.increase_max_kw > 0.0
    )
    return ActionKind.SHADOW_PRICE if shaped else ActionKind.POWER


class StartStopAction:
    """Turns wishes into actions of one kind, (N, G)."""

    def __init__(self, reader: ObservationReader, kind: ActionKind) -> None:
        self._reader = reader
        self.kind = kind
        kw, phs = reader.params.level_kw, reader.params.level_phs
        self._floor_frac = np.array(kw[:, 0] / kw[:, -1])
        self._scale_per_kwh = np.array(reader.params.shadow_scale_per_kwh)
        self._price_column = reader.column("price_ratio_000")
        self._break_even_column = reader.column("break_even_per_kwh")
        self._running_columns = reader.group_columns("running_frac")
        self._rule_columns = reader.group_columns("rule_load_frac")
        self.lowest_ratio = reader.level_break_even_ratio(kw[:, 0], phs[:, 0])
        """(G,) break-even of each group at its lowest level per that of the site."""

    def __call__(self, observation: Observations, keep: Wish, start: Wish) -> Floats:
        """Return the action; where `start` holds the whole group runs, whatever `keep` says."""
        self._reader.check(observation)
        if self.kind is ActionKind.POWER:
            return self._power(observation, keep, start)
        return self._shadow_price(observation, keep, start)

    def off(self) -> float:
        """Return the action of a group that is not to run whatever it gains."""
        return 0.0 if self.kind is ActionKind.POWER else 1.0

    def _power(self, observation: Observations, keep: Wish, start: Wish) -> Floats:
        action = np.empty(keep.shape)
        write_power(
            observation,
            self._price_column,
            self._running_columns,
            self._rule_columns,
            keep,
            start,
            self.lowest_ratio,
            self._floor_frac,
            action,
        )
        return action

    def _shadow_price(self, observation: Observations, keep: Wish, start: Wish) -> Floats:
        action = np.empty(keep.shape)
        write_shadow_price(
            observation,
            self._price_column,
            self._break_even_column,
            self._running_columns,
            keep,
            start,
            self.lowest_ratio,
            self._scale_per_kwh,
            action,
        )
        return action


@njit
def write_power(
    observation: Observations,
    price_column: int,
    running_columns: Ints,
    rule_columns: Ints,
    keep: Wish,
    start: Wish,
    lowest_ratio: Floats,
    floor_frac: Floats,
    action: Floats,
) -> None:
    """Write the power of every group per its full power, (N, G), to `action`.

    Below full running the kernel spreads power over all rigs that may start, so that a share that
    is kept can be held at the lowest level only; a group that runs entirely takes any load.
    """
    for site in range(len(observation)):
        price = np.float64(observation[site, price_column])
        for g in range(len(lowest_ratio)):
            rule = np.float64(observation[site, rule_columns[g]])
            running = np.float64(observation[site, running_columns[g]])
            wanted = 0.0
            if start[site, g] or (keep[site, g] and running > WHOLE):
                wanted = max(rule, floor_frac[g])
            elif keep[site, g]:
                wanted = running * floor_frac[g]
            if price >= lowest_ratio[g]:  # beyond break-even the level rule takes surplus alone
                wanted = max(wanted, rule)
            action[site, g] = wanted


@njit
def write_shadow_price(
    observation: Observations,
    price_column: int,
    break_even_column: int,
    running_columns: Ints,
    keep: Wish,
    start: Wish,
    lowest_ratio: Floats,
    scale_per_kwh: Floats,
    action: Floats,
) -> None:
    """Write the shadow price of every group per its scale, (N, G), to `action`."""
    for site in range(len(observation)):
        price = np.float64(observation[site, price_column])
        break_even = np.float64(observation[site, break_even_column])
        for g in range(len(lowest_ratio)):
            running = np.float64(observation[site, running_columns[g]])
            # The group's lowest block runs on grid power where its value less shadow is above
            # price.
            gain = lowest_ratio[g] - price
            if start[site, g] or (keep[site, g] and running > MOSTLY_RUNNING):
                shadow = min(gain - MARGIN, 0.0)
            else:
                shadow = max(gain + MARGIN, 0.0)
            action[site, g] = min(max(shadow * break_even / scale_per_kwh[g], -1.0), 1.0)

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
from gridhash.envs.parameters import Floats, compile_site
from gridhash.envs.program_parameters import compile_programs

Wish = npt.NDArray[np.bool_]
"""(N, G) for every group of every site."""
MARGIN = 1e-4
"""By which a shadow price passes the kink that it is to pass, per break-even; float32 is finer."""
MOSTLY_RUNNING = 0.5
"""Share of running rigs from which the wish to keep is that of the whole group: a shadow price
cannot hold a part of a group."""


def power_without_starts(running_frac: Floats, load_frac: Floats, floor_frac: Floats) -> Floats:
    """Return the action that keeps a share of rigs at a load without starting others.

    Below full running the kernel spreads power over all rigs that may start, so that a share can
    be held at the lowest level only; a group that runs entirely takes any load. All (N, G), per
    full power of the group.
    """
    whole = running_frac > 1.0 - 1e-6
    return np.where(whole, np.maximum(load_frac, floor_frac), running_frac * floor_frac)


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
        self._floor_frac = kw[:, 0] / kw[:, -1]
        self._scale_per_kwh = reader.params.shadow_scale_per_kwh
        self.lowest_ratio = reader.level_break_even_ratio(kw[:, 0], phs[:, 0])
        """(G,) break-even of each group at its lowest level per that of the site."""

    def __call__(self, observation: Observations, keep: Wish, start: Wish) -> Floats:
        """Return the action; where `start` holds the whole group runs, whatever `keep` says."""
        if self.kind is ActionKind.POWER:
            return self._power(observation, keep, start)
        return self._shadow_price(observation, keep, start)

    def off(self) -> float:
        """Return the action of a group that is not to run whatever it gains."""
        return 0.0 if self.kind is ActionKind.POWER else 1.0

    def _power(self, observation: Observations, keep: Wish, start: Wish) -> Floats:
        reader = self._reader
        rule = reader.of_groups(observation, "rule_load_frac")
        running = reader.of_groups(observation, "running_frac")
        full = np.maximum(rule, self._floor_frac)
        held = power_without_starts(running, rule, self._floor_frac)
        wanted = np.where(start, full, np.where(keep, held, 0.0))
        # Beyond break-even the level rule takes surplus alone.
        price = reader.value(observation, "price_ratio_000")[:, None]
        return np.where(price >= self.lowest_ratio, np.maximum(wanted, rule), wanted)

    def _shadow_price(self, observation: Observations, keep: Wish, start: Wish) -> Floats:
        reader = self._reader
        running = reader.of_groups(observation, "running_frac") > MOSTLY_RUNNING
        runs = start | (keep & running)
        price = reader.value(observation, "price_ratio_000")[:, None]
        # The group's lowest block runs on grid power where its value less shadow is above price.
        gain = self.lowest_ratio - price
        shadow = np.where(runs, np.minimum(gain - MARGIN, 0.0), np.maximum(gain + MARGIN, 0.0))
        break_even = reader.value(observation, "break_even_per_kwh")[:, None]
        scaled = shadow * break_even / self._scale_per_kwh
        # `np.clip` gives the same, but takes twice as long for a batch of one.
        return np.asarray(np.minimum(np.maximum(scaled, -1.0), 1.0))

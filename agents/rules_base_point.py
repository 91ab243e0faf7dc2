"""The rule that tracks a base point: how many rigs run, at which level, as the fleet allows now.

A group whose setpoint lies below the lowest level of all its rigs runs fewer of them, each at that
level (`gridhash.envs.fleet`). So a group is raised above its lowest level only once all rigs that
may start are started, and how far running groups are raised before others start is a choice: many
rigs at low levels hash more per kWh and can go further up, few rigs at high levels start less.
"""

import numpy as np

from gridhash.agents.policy import ObservationReader, Observations
from gridhash.agents.rules import Parameter, within
from gridhash.config import SiteConfig
from gridhash.envs.action import ActionKind
from gridhash.envs.levels import full_power_kw
from gridhash.envs.parameters import Floats, SiteParameters


class BasePointTracker:
    """Meets the base point by work levels, starts and stops, reckoning with cooling and start-up.

    Parameters
    ----------
    lean
        Share of the tolerance by which it aims beside the base point: above it while the next kWh
        earns more than it costs, else below.
    raise_first
        Position between lowest (0) and top level (1) up to which running groups are raised before
        rigs of the next group start. 0 runs as many rigs as the base point carries.

    It reads from the observation which rigs run, are within minimum times, and may start; rigs
    that start draw less in their first interval, so that the others draw more. Pumps, standby and,
    at the last temperature read, fans of dry coolers are reckoned with; other cooling is taken as
    these.

    Raises
    ------
    ConfigError
        If a parameter is out of range.
    """

    name = "base_point_tracker"
    action_kind = ActionKind.POWER

    def __init__(
        self, site: SiteConfig, *, lean: Parameter = 0.5, raise_first: Parameter = 0.0
    ) -> None:
        self.lean = within("lean", lean, 0.0, 1.0)
        self.raise_first = within("raise_first", raise_first, 0.0, 1.0)
        self._reader = ObservationReader(site)
        self._block = site.programs.base_point
        self._merit_kw, self._merit_ratio = _merit_curve(self._reader)

    def act(self, observation: Observations) -> Floats:
        """Return the wanted power of every group."""
        reader = self._reader
        if self._block is None:
            return reader.of_groups(observation, "rule_load_frac")
        params = reader.params
        base_kw = reader.value(observation, "base_point_frac") * params.contract_power_kw
        tolerance_kw = np.maximum(self._block.tolerance_kw, self._block.tolerance_frac * base_kw)
        price_ratio = reader.value(observation, "price_ratio_000")
        last = len(self._merit_ratio) - 1
        block = np.searchsorted(self._merit_kw, base_kw / params.pue_for_planning)
        earns = self._merit_ratio[np.minimum(block, last)] > price_ratio
        aim_kw = base_kw + self.lean * tolerance_kw * np.where(earns, 1.0, -1.0)
        # What is not rigs follows from how they run: reckoned once with the plan's, then with it.
        wanted = self._share_out(observation, aim_kw / params.pue_for_planning)
        around_kw = _around_rigs_kw(params, wanted, reader.value(observation, "outdoor_temp_c"))
        return self._share_out(observation, aim_kw - around_kw)

    def _share_out(self, observation: Observations, rigs_kw: Floats) -> Floats:
        """Return power per full power, (N, G), with which running rigs draw `rigs_kw`, (N,)."""
        reader, params = self._reader, self._reader.params
        full_kw = full_power_kw(params)
        floor = params.level_kw[:, 0] / params.level_kw[np.arange(len(full_kw)), -1]
        running = reader.of_groups(observation, "running_frac")
        free = running - reader.of_groups(observation, "locked_up_frac")
        startable = reader.of_groups(observation, "startable_frac")
        drawn = params.start_power_frac[:, 0]
        wanted_kw = np.maximum(rigs_kw, 0.0)

        floor_kw = full_kw * floor
        surplus_kw = (running * floor_kw).sum(axis=1) - wanted_kw
        stopped_kw = np.zeros_like(running)
        for g in reversed(params.merit_order):
            stopped_kw[:, g] = np.clip(surplus_kw, 0.0, free[:, g] * floor_kw[g])
            surplus_kw = surplus_kw - stopped_kw[:, g]

        # Groups with nothing left to start may be raised. Of the others no more rigs start than can
        # stay, once they draw their whole power, without exceeding what is wanted.
        room_kw = full_kw * (1.0 - floor)
        started = np.zeros_like(running)
        whole = startable <= 0.0
        raised_kw = np.where(whole, running, 0.0) * room_kw
        staying_kw = (running * floor_kw).sum(axis=1)
        at_floor_kw = staying_kw.copy()
        for g in params.merit_order:
            missing_kw = wanted_kw - staying_kw - self.raise_first * raised_kw.sum(axis=1)
            room = np.maximum(startable[:, g] * floor_kw[g], 1e-9)
            share = np.clip(missing_kw / room, 0.0, 1.0)
            started[:, g] = np.where(whole[:, g], 0.0, share * startable[:, g])
            staying_kw += started[:, g] * floor_kw[g]
            at_floor_kw += started[:, g] * floor_kw[g] * drawn[g]
            whole[:, g] |= share >= 1.0
            own_kw = (running[:, g] + started[:, g] * drawn[g]) * room_kw[g]
            raised_kw[:, g] = np.where(whole[:, g], own_kw, 0.0)
        room = np.maximum(raised_kw.sum(axis=1), 1e-9)
        position = np.clip((wanted_kw - at_floor_kw) / room, 0.0, 1.0)
        level = floor + (1.0 - floor) * np.where(whole, position[:, None], 0.0)
        return np.asarray((running + started) * level - stopped_kw / full_kw)


def _merit_curve(reader: ObservationReader) -> tuple[Floats, Floats]:
    """Return, by merit, rig power up to each block's end [kW] and its break-even per the site's."""
    params = reader.params
    blocks = [(g, k) for g, n in enumerate(params.n_levels) for k in range(n)]
    ratio = np.array([params.block_phs_per_kw[one] for one in blocks]) / reader.site_phs_per_kw
    kw = np.array([params.block_kw[one] for one in blocks])
    order = np.argsort(-ratio, kind="stable")
    return np.cumsum(kw[order]), ratio[order]


def _around_rigs_kw(params: SiteParameters, wanted: Floats, outdoor_c: Floats) -> Floats:
    """Return what standing rigs, pumps and fans draw beside running rigs, (N,) [kW].

    `wanted` is (N, G) per full power. Fans hold the loop at its setpoint
    (`gridhash.envs.thermal.held_heat_rejection`).
    """
    groups = params.groups
    full_kw = full_power_kw(params)
    floor = params.level_kw[:, 0] * params.n_rigs / full_kw
    standing = np.clip(1.0 - wanted / floor, 0.0, 1.0)
    pumps_kw = np.where(wanted > 1e-6, groups["pump_kw"], groups["pump_idle_kw"])
    above_k = np.maximum(groups["coolant_setpoint_c"] - outdoor_c[:, None], 1e-3)
    most = groups["heat_rejection_kw_per_k"]
    least = groups["heat_rejection_min_kw_per_k"]
    held = np.clip(wanted * full_kw / above_k, least, most)
    turning_kw = groups["fan_kw"] * (held / most) ** (3.0 / groups["heat_rejection_exponent"])
    fans_kw = np.where(held > least, turning_kw, groups["fan_min_kw"])
    standby_kw = standing * params.n_rigs * groups["standby_kw"]
    return np.asarray((pumps_kw + fans_kw + standby_kw).sum(axis=1))

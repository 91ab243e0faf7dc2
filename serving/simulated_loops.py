"""The coolant loops around simulated rigs, by the environment's own thermal relations.

A simulated rig knows its coolant as one temperature; here that temperature follows the heat that
the rigs of its group truly give off and the weather. Call `update` while the clock stands, for
instance as `after_tick` of `gridhash.serving.simulated_run.run_simulated`.
"""

from collections.abc import Callable
from datetime import datetime

from gridhash.config import RigGroupConfig, SiteConfig
from gridhash.envs.columns import OUTDOOR
from gridhash.envs.scenario import Scenario
from gridhash.envs.thermal import (
    fan_power_kw,
    heat_rejection_at,
    held_heat_rejection,
    loop_after,
    pump_power_kw,
)
from gridhash.serving.clock import Clock
from gridhash.serving.simulated_fleet import SimulatedFleet
from gridhash.serving.simulated_model import WorkState
from gridhash.serving.simulated_rig import SimulatedRig
from gridhash.units import SECONDS_PER_HOUR, energy_kwh

STEP_S = 60.0
"""Loops are brought up to date at most so often; their time constant is 80 s and more."""


class SimulatedLoop:
    """The loop of one group: its temperature, and the energy of its fans and pumps."""

    def __init__(self, group: RigGroupConfig, rigs: list[SimulatedRig], now: datetime) -> None:
        self._group = group
        self._rigs = rigs
        self._at = now
        self._heat_kwh = sum(rig.energy_kwh() for rig in rigs)
        self.coolant_c = rigs[0].coolant_c
        self.cooling_kwh = 0.0

    def update(self, now: datetime, outdoor_temp_c: float) -> None:
        """Move the loop on to now under the mean heat since the last time."""
        elapsed_s = (now - self._at).total_seconds()
        if elapsed_s <= 0.0:
            return
        cooling, n_rigs = self._group.cooling, len(self._rigs)
        heat_kwh = sum(rig.energy_kwh() for rig in self._rigs)
        heat_kw = (heat_kwh - self._heat_kwh) * SECONDS_PER_HOUR / elapsed_s
        least_kw_per_k = heat_rejection_at(
            cooling.heat_rejection_kw_per_k,
            cooling.fan_min_speed_frac,
            cooling.heat_rejection_exponent,
        )
        rejection_kw_per_k = held_heat_rejection(
            heat_kw,
            outdoor_temp_c,
            cooling.coolant_setpoint_c,
            least_kw_per_k,
            cooling.heat_rejection_kw_per_k,
        )
        _, self.coolant_c = loop_after(
            sum(rig.chip_temp_c() for rig in self._rigs) / n_rigs,
            self.coolant_c,
            heat_kw / n_rigs,
            float(n_rigs),
            outdoor_temp_c,
            rejection_kw_per_k,
            cooling.chip_to_coolant_k_per_kw,
            cooling.rig_heat_capacity_kj_per_k,
            cooling.loop_heat_capacity_kj_per_k,
            elapsed_s,
        )
        fans_kw = fan_power_kw(
            cooling.fan_kw,
            rejection_kw_per_k / cooling.heat_rejection_kw_per_k,
            cooling.heat_rejection_exponent,
        )
        runs = any(rig.state is not WorkState.IDLE for rig in self._rigs)
        flow_frac = 1.0 if runs else cooling.pump_idle_flow_frac
        self.cooling_kwh += energy_kwh(
            fans_kw + pump_power_kw(cooling.pump_kw, flow_frac), elapsed_s
        )
        self._at, self._heat_kwh = now, heat_kwh
        for rig in self._rigs:
            rig.set_coolant(self.coolant_c)


class SimulatedLoops:
    """The loops of all groups of a fleet."""

    def __init__(
        self,
        site: SiteConfig,
        fleet: SimulatedFleet,
        clock: Clock,
        outdoor_temp_c: Callable[[datetime], float],
    ) -> None:
        """Start at the coolant temperature of the rigs.

        Parameters
        ----------
        outdoor_temp_c
            Outdoor temperature at an instant.
        """
        self._clock = clock
        self._outdoor_temp_c = outdoor_temp_c
        self._updated_at = clock.now()
        self.loops = {
            group.name: SimulatedLoop(
                group,
                [rig for rig in fleet.rigs.values() if rig.group.name == group.name],
                self._updated_at,
            )
            for group in site.groups
        }

    @property
    def cooling_kwh(self) -> float:
        """Energy of all fans and pumps so far [kWh]."""
        return sum(loop.cooling_kwh for loop in self.loops.values())

    def update(self, *_: object) -> None:
        """Move all loops on to the clock's instant, if long enough has gone by."""
        now = self._clock.now()
        if (now - self._updated_at).total_seconds() < STEP_S:
            return
        self._updated_at = now
        for loop in self.loops.values():
            loop.update(now, self._outdoor_temp_c(now))


def outdoor_of(scenario: Scenario) -> Callable[[datetime], float]:
    """Return the outdoor temperature of a scenario at an instant, the last one beyond its end."""
    start, period_s = scenario.trace.start.to_pydatetime(), scenario.trace.period_s

    def outdoor_temp_c(at: datetime) -> float:
        row = int((at - start).total_seconds() // period_s)
        return float(scenario.market[min(max(row, 0), scenario.n_rows - 1), OUTDOOR])

    return outdoor_temp_c

"""Rolling planning: a linear program over what is known and expected, anew at every decision.

Model-predictive control with the bound's building blocks (`gridhash.agents.plan_program`): from the
observation alone come the fleet, published prices, calls, orders, peaks and accounts; a forecaster
adds what is uncertain. The first interval of the plan is executed. Rolling windows make policies,
no bounds. Ramps, derating and the inertia of loops are left to the limits, which act after every
policy.
"""

from enum import StrEnum

import numpy as np

from gridhash.agents.linear_program import LinearProgram, WarmStart
from gridhash.agents.outlook import Forecaster, Outlook, Persistence
from gridhash.agents.plan_program import PlanColumns, PlanSite, add_plan
from gridhash.agents.plan_steps import PlanSteps, plan_steps
from gridhash.agents.plan_view import FleetView, class_power, fleet_view, plan_classes
from gridhash.agents.policy import ObservationReader, Observations
from gridhash.config import SiteConfig
from gridhash.envs.action import ActionKind
from gridhash.envs.levels import full_power_kw
from gridhash.envs.parameters import Floats
from gridhash.envs.program_parameters import compile_programs
from gridhash.errors import ConfigError
from gridhash.units import SECONDS_PER_HOUR


class Variant(StrEnum):
    """What of an outlook a plan is made on."""

    POINT = "point"
    """Its expectation."""
    QUANTILE = "quantile"
    """One path: a quantile of prices, and of surplus and panels the opposite one."""
    SCENARIO = "scenario"
    """A few paths at once, which share their first interval: a two-stage program."""


class RollingPlanner:
    """Plans the next hours and does the first interval of the plan.

    Parameters
    ----------
    forecaster
        Of what is uncertain; `gridhash.agents.outlook.Persistence` where None.
    quantile
        Of prices, for that variant.
    horizon_h
        How far a plan looks, at most as far as the forecaster does [h].
    replan_every
        Dispatch intervals from plan to plan; between them the plan is followed, unless time has
        jumped. Above 1 the policy remembers its plan of each site, and is no pure function of the
        observation.

    Raises
    ------
    ConfigError
        If a parameter is out of range.
    """

    name = "mpc"
    action_kind = ActionKind.POWER

    def __init__(
        self,
        site: SiteConfig,
        *,
        forecaster: Forecaster | None = None,
        variant: Variant = Variant.POINT,
        quantile: float = 0.5,
        horizon_h: float = 24.0,
        replan_every: int = 1,
    ) -> None:
        if not 0.0 <= quantile <= 1.0:
            raise ConfigError(f"quantile must lie within 0 … 1: {quantile}")
        if horizon_h <= 0.0 or replan_every < 1:
            raise ConfigError(
                f"horizon_h {horizon_h} must be above 0 and replan_every {replan_every} 1 or more"
            )
        reader = ObservationReader(site)
        self.name = "mpc" if variant is Variant.POINT else f"mpc_{variant}"
        self._reader = reader
        self._site = PlanSite(
            reader=reader,
            programs=compile_programs(site, reader.params, first_start_s=0),
            classes=plan_classes(reader.params),
        )
        self._forecaster = Persistence(reader) if forecaster is None else forecaster
        self._variant, self._quantile = variant, quantile
        self._horizon_h, self._replan_every = horizon_h, replan_every
        self._full_kw = full_power_kw(reader.params)
        self._interval_h = reader.params.interval_s / SECONDS_PER_HOUR
        self._warm = WarmStart()
        self._plans: dict[int, tuple[float, list[Floats]]] = {}

    def act(self, observation: Observations) -> Floats:
        """Return the wanted power of every group, a share of its full power."""
        self._reader.check(observation)
        return np.stack(
            [self._decide(site, observation[site : site + 1]) for site in range(len(observation))]
        )

    def _decide(self, site: int, observation: Observations) -> Floats:
        hour = self._hour(observation)
        due, actions = self._plans.get(site, (0.0, []))
        if not actions or abs((hour - due + 12.0) % 24.0 - 12.0) > 0.5 * self._interval_h:
            actions = self._plan(observation)
        self._plans[site] = (hour + self._interval_h) % 24.0, actions[1:]
        return actions[0]

    def _hour(self, observation: Observations) -> float:
        """Return the local time of day of a decision [h]."""
        reader = self._reader
        angle = np.arctan2(
            reader.value(observation, "hour_sin")[0], reader.value(observation, "hour_cos")[0]
        )
        left = self._left(observation)
        gone = reader.params.intervals_per_period - left
        return float(angle / (2.0 * np.pi) * 24.0) % 24.0 + gone * self._interval_h

    def _left(self, observation: Observations) -> int:
        """Return how many dispatch intervals are left of the present settlement period."""
        minutes = float(self._reader.value(observation, "minutes_left")[0])
        return max(round(minutes / 60.0 / self._interval_h), 1)

    def steps(self, observation: Observations) -> PlanSteps:
        """Return the intervals of the plan of one site, observation (1, F)."""
        return plan_steps(
            left=self._left(observation),
            per_row=self._reader.params.intervals_per_period,
            interval_h=self._interval_h,
            horizon_h=self._horizon_h,
            longest=self._forecaster.longest,
        )

    def _outlook(self, observation: Observations, steps: PlanSteps) -> Outlook:
        outlook = self._forecaster.outlook(observation, steps.horizon)
        if self._variant is Variant.QUANTILE:
            return outlook.quantile(self._quantile)
        if self._variant is Variant.SCENARIO:
            return outlook.strata(self._interval_h * self._reader.params.intervals_per_period)
        return outlook.mean()

    def _plan(self, observation: Observations) -> list[Floats]:
        """Return the actions of the next intervals, (G,) each, of one site."""
        steps = self.steps(observation)
        outlook = self._outlook(observation, steps)
        fleet = fleet_view(self._reader, self._site.classes, observation)
        program = LinearProgram()
        paths = []
        for path, chance in enumerate(outlook.chance):
            program.weight = float(chance)
            paths.append(add_plan(program, self._site, steps, fleet, observation, outlook, path))
        n = min(self._replan_every, int((steps.intervals.hours < 1.5 * self._interval_h).sum()))
        for other in paths[1:]:
            self._share_first(program, paths[0], other, n)
        x = program.solve(warm=self._warm).columns
        return [self._action(fleet, paths[0], x, t) for t in range(n)]

    def _share_first(
        self, program: LinearProgram, one: PlanColumns, other: PlanColumns, n: int
    ) -> None:
        """Add that two paths have the same rigs at the same levels in their first intervals."""
        for a, b in zip(one.rigs, other.rigs, strict=True):
            for own, its in [
                (a.starts, b.starts),
                *zip(a.by_age[-1], b.by_age[-1], strict=True),
            ]:
                same = program.add_rows(n, lower=0.0, upper=0.0)
                program.add_entries(same, own[:n], 1.0)
                program.add_entries(same, its[:n], -1.0)

    def _action(self, fleet: FleetView, columns: PlanColumns, x: Floats, t: int) -> Floats:
        rig_kw = np.zeros(len(self._full_kw))
        for rigs, own in zip(self._site.classes, columns.rigs, strict=True):
            running, power_kw = float(x[own.running[t]]), own.rig_kw(x, rigs.level_kw)[t]
            for g, kw in class_power(fleet, rigs, running=running, power_kw=power_kw).items():
                rig_kw[g] = kw
        return np.clip(rig_kw / self._full_kw, 0.0, 1.0)

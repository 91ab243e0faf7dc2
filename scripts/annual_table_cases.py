"""The cases of the annual table: idealised sites, the real year and who plays it."""

from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gridhash.agents.day_ahead_dp import DayAheadDP, decision_advantages
from gridhash.agents.policy import ObservationReader, Observations, Policy
from gridhash.agents.rules import AlwaysOn, BreakEvenOnOff, Hysteresis, LevelRule
from gridhash.agents.tuning import grid
from gridhash.config import SiteConfig, load_site, parse_site
from gridhash.data.readers.recognise import open_prices
from gridhash.data.synthetic import synthetic_japan
from gridhash.data.trace import Trace
from gridhash.envs.action import ActionKind
from gridhash.envs.parameters import Floats
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.errors import DataError
from gridhash.time_grid import published_the_day_before
from gridhash.training.play import play
from gridhash.training.spans import Rows

REFERENCE = Path("data") / "jepx_spot_30min_fy2016-fy2024.parquet"
ZONE = "Asia/Tokyo"
WEATHER_SEED = 0
ORACLE = "perfect_foresight"
PUE = 1.04
RATIOS = grid(
    start_ratio=(0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0),
    stop_ratio=(1.0, 1.05, 1.1, 1.15, 1.2, 1.3, 1.5, 2.0),
)
"""Thresholds among which hysteresis is tuned in-sample."""

PUBLISHED = {
    AlwaysOn.name: -52.1,
    BreakEvenOnOff.name: 48.3,
    LevelRule.name: 54.2,
    Hysteresis.name: 54.9,
    DayAheadDP.name: 55.3,
    ORACLE: 55.3,
}
"""Kyushu FY2023 as published [million JPY a year]."""
PUBLISHED_STARTS = {LevelRule.name: 640, ORACLE: 356}
"""Fleet starts a year as published."""


@dataclass(frozen=True, kw_only=True)
class Idealisation:
    """Something that the published model leaves out or simplifies, as keys of the site file."""

    dropped: str
    """What holds once it is dropped."""
    site: dict[str, Any] = field(default_factory=dict)
    mining: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, Any] = field(default_factory=dict)
    groups: dict[str, Any] = field(default_factory=dict)
    cooling: dict[str, Any] = field(default_factory=dict)

    def applied_to(self, site: SiteConfig) -> SiteConfig:
        """Return the site with these keys changed, validated anew."""
        values = site.model_dump()
        values |= self.site
        values["mining"] |= self.mining
        values["limits"] |= self.limits
        for group in values["groups"]:
            group |= self.groups
            group["cooling"] |= self.cooling
        return parse_site(values, origin=f"{site.name} without: {self.dropped}")


RIG_W = 8064.0
IDEALISATIONS = (
    Idealisation(dropped="0.3 % of shares stale", mining={"stale_frac": 0.0}),
    Idealisation(
        dropped="efficiency curve 0.65 + 0.35 p", groups={"curve_a": 0.752, "curve_b": 0.248}
    ),
    Idealisation(dropped="JPY 10,000 per fleet start", site={"start_cost_per_fleet_start": 5000.0}),
    Idealisation(
        dropped="20 W per stopped rig", groups={"standby_w": round(0.01 * PUE * RIG_W, 4)}
    ),
    Idealisation(
        dropped="fans and pumps by their laws",
        site={"pue_for_planning": 1.0},
        groups={"rig_power_w": PUE * RIG_W},
        cooling={"fan_kw": 0.0, "pump_kw": 0.0},
    ),
    Idealisation(dropped="dispatch every 5 min", site={"dispatch_interval_s": 1800}),
    Idealisation(dropped="30 s boot, 60 s warm-up", groups={"boot_s": 0.0, "warm_up_s": 0.0}),
    Idealisation(dropped="30 min up, 20 min down", groups={"min_up_s": 0.0, "min_down_s": 0.0}),
    Idealisation(
        dropped="contract of 4,520 kW, ramps",
        limits={
            "contract_power_kw": 10_000.0,
            "ramp_up_kw_per_min": 10_000.0,
            "ramp_down_kw_per_min": 10_000.0,
        },
    ),
)
"""In the order in which the bridge drops them; the last step of the bridge is weather."""


def site_with(idealisations: tuple[Idealisation, ...]) -> SiteConfig:
    """Return `japan_pilot` at its work levels 0.5 to 1.0, with these idealisations."""
    pilot = load_site("japan_pilot")
    pilot = parse_site(pilot.model_dump() | {"use_work_levels": True}, origin=pilot.name)
    return reduce(lambda site, one: one.applied_to(site), idealisations, pilot)


def fiscal_year_prices(
    path: Path, fiscal_year: int, *, area: str = "kyushu", n_years: int = 1
) -> Trace:
    """Return the day-ahead prices of fiscal years and the day before them.

    Parameters
    ----------
    path
        A Parquet file with half-hour starts `ts_utc` and one column per area [JPY/kWh], or a
        publisher's file that gridhash reads.

    Raises
    ------
    DataError
        If the file lacks the area or the span.
    """
    start = pd.Timestamp(fiscal_year, 3, 31, tz=ZONE)
    end = pd.Timestamp(fiscal_year + n_years, 4, 1, tz=ZONE)
    if path.suffix != ".parquet":
        return open_prices(path, area=area, start=start, end=end)
    frame = pd.read_parquet(path)
    if area not in frame:
        raise DataError(f"{path} has no column {area!r}; it holds {', '.join(frame.columns)}")
    prices = frame[area].loc[start : end - pd.Timedelta(seconds=1)]
    starts = pd.DatetimeIndex(prices.index)
    return Trace.from_prices(
        starts,
        prices.astype(float).round(2),  # the file holds float32, the tick is 0.01
        published_at=published_the_day_before(
            starts, timezone=ZONE, at=load_site("japan_pilot").market.price_published_local
        ),
        period_s=1800,
        currency="JPY",
        area=area,
        source=path.name,
    )


def with_synthetic_weather(trace: Trace, fiscal_year: int) -> Trace:
    """Return the trace with a synthetic year's outdoor temperature; its day before as its first."""
    year = synthetic_japan(
        area=trace.area, fiscal_year_start=fiscal_year, seed=WEATHER_SEED
    ).column("outdoor_temp_c")
    return trace.with_columns({"outdoor_temp_c": np.concatenate([year[:48], year])})


def year_of(scenario: Scenario) -> Rows:
    """Return the rows of the fiscal year: all but the day before it."""
    return scenario.first_row, scenario.n_rows


class ForesightPlan:
    """The start/stop plan that knows every price of the span, played from its first interval.

    Exact where rigs have no minimum times and cooling is that of the planning PUE; else a good
    plan. Not a function of the observation alone: it counts the intervals that it has played.
    """

    name = ORACLE
    action_kind = ActionKind.POWER

    def __init__(self, scenario: Scenario, rows: Rows) -> None:
        self._reader = ObservationReader(scenario.site)
        self._floor_frac = scenario.params.level_kw[:, 0] / scenario.params.level_kw[:, -1]
        plan = decision_advantages(scenario, rows)
        self._keep, self._start = plan.keep >= 0.0, plan.start > 0.0
        self._step = 0

    def act(self, observation: Observations) -> Floats:
        """Return the wanted power of every group, (1, G)."""
        running = self._reader.of_groups(observation, "running_frac") > 0.5
        load_frac = self._reader.of_groups(observation, "rule_load_frac")
        runs = np.where(running, self._keep[self._step], self._start[self._step])
        self._step += 1
        return np.where(runs, np.maximum(load_frac, self._floor_frac), 0.0)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What a policy earned in a year and how often the fleet started."""

    profit_mjpy: float
    fleet_starts: float


def annual_figures(scenario: Scenario, policies: list[Policy]) -> dict[str, Figures]:
    """Play each policy over the fiscal year, from a fleet at rest."""
    figures = {}
    for policy in policies:
        run = play(scenario, policy, year_of(scenario))
        figures[policy.name] = Figures(
            profit_mjpy=run.profit / 1e6,
            fleet_starts=float(run.frame["rigs_started"].sum()) / scenario.site.n_rigs,
        )
    return figures


def policies_of(scenario: Scenario, tuned: Hysteresis) -> list[Policy]:
    """Return the policies of the table in its order."""
    site = scenario.site
    return [
        AlwaysOn(site),
        BreakEvenOnOff(site),
        LevelRule(site),
        tuned,
        DayAheadDP(site),
        ForesightPlan(scenario, year_of(scenario)),
    ]


def bridge_steps(trace: Trace, fiscal_year: int) -> list[tuple[str, Scenario]]:
    """Return the published idealisation, then each step of the bridge to the preset."""
    steps = [("as published", build_scenario(site_with(IDEALISATIONS), trace))]
    for k, one in enumerate(IDEALISATIONS, start=1):
        steps.append((one.dropped, build_scenario(site_with(IDEALISATIONS[k:]), trace)))
    weather = with_synthetic_weather(trace, fiscal_year)
    steps.append(("outdoor temperature (synthetic year)", build_scenario(site_with(()), weather)))
    return steps

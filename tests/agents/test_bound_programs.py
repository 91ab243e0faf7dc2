"""Nothing exceeds the bound of a site with tariff and programs; each line is as tight as stated."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from gridhash.agents import bound as bound_module
from gridhash.agents.bound import perfect_foresight_bound
from gridhash.agents.liability import peaks_of, remaining_liability
from gridhash.agents.linear_program import LinearProgram
from gridhash.agents.mpc import RollingPlanner
from gridhash.agents.policy import Policy
from gridhash.agents.roster import POLICIES, build_policy
from gridhash.config import SiteConfig, parse_site
from gridhash.data.trace import Trace
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.columns import CAPACITY_WEIGHT, TRANSMISSION_WEIGHT
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.envs.state import RUNNING
from gridhash.time_grid import grid, published_the_day_before

EditSite = Callable[..., SiteConfig]
Floats = npt.NDArray[np.float64]
Changes = dict[str, Any]


class Fickle:
    """Power at random, often kept."""

    name = "fickle"
    action_kind = ActionKind.POWER

    def __init__(self, n_groups: int, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._action = np.zeros((1, n_groups))

    def act(self, observation: npt.NDArray[np.float32]) -> Floats:
        drawn = np.clip(self._rng.uniform(-0.7, 1.7, self._action.shape), 0.0, 1.0)
        keep = self._rng.random(self._action.shape) < 0.8
        self._action = np.where(keep, self._action, drawn)
        return self._action


def scenario_from(
    site: SiteConfig, prices: npt.ArrayLike, columns: Mapping[str, npt.ArrayLike], start: str
) -> Scenario:
    """Return whole days from a local midnight on."""
    prices = np.asarray(prices, dtype=float)
    period_s = site.market.settlement_period_s
    begin = pd.Timestamp(start, tz=site.timezone)
    starts = grid(begin, begin + pd.Timedelta(seconds=period_s * len(prices)), period_s)
    trace = Trace.from_prices(
        starts,
        prices,
        published_at=published_the_day_before(
            starts, timezone=site.timezone, at=site.market.price_published_local
        ),
        period_s=period_s,
        currency=site.currency,
        area=site.area,
        source="test",
    )
    return build_scenario(site, trace.with_columns(dict(columns)))


def random_blocks(rng: np.random.Generator, period_s: int, interval_s: int) -> Changes:
    """Return tariff and programs, each block present with an even chance."""

    def on() -> bool:
        return bool(rng.random() < 0.5)

    tariff: Changes = {}
    balancing = on()
    if balancing:
        tariff["contract"] = "balancing"
        tariff["balancing"] = {
            "bias_limit_frac": float(rng.choice([0.0, 0.05])),
            "bias_penalty_per_kwh": float(rng.choice([0.0, 10.0])),
        }
    elif on():
        tariff["power_purchase"] = {
            "volume_kw": float(rng.choice([1500.0, 6000.0])),
            "price_per_kwh": 8.0,
            "resale_fee_per_kwh": float(rng.choice([0.0, 1.0])),
        }
    if on():
        tariff["time_of_use"] = {
            "replaces": "nothing" if balancing else str(rng.choice(["price", "nothing"])),
            "otherwise_per_kwh": 1.0,
            "bands": [{"from_hour": 8, "to_hour": 22, "price_per_kwh": 6.0}],
        }
    if on():
        metering_s = [m for m in (900, 1800, 3600) if m % interval_s == 0]
        metering_s = [m for m in metering_s if m % period_s == 0 or period_s % m == 0]
        tariff["demand_charge"] = {
            "per_kw_month": float(rng.choice([20.0, 420.0])),
            "metering_period_s": int(rng.choice(metering_s)),
            "ratchet_months": int(rng.choice([1, 2, 12])),
            "ratchet_frac": float(rng.choice([0.5, 1.0])),
            "peak_before_kw": float(rng.choice([0.0, 2500.0, 4300.0])),
        }
    if on():
        tariff["behind_meter_pv"] = {
            "cost_per_kwh": float(rng.choice([0.0, 3.0])),
            "export_price_per_kwh": float(rng.choice([-1.0, 6.0])),
        }
    if on():
        tariff["capacity_contribution"] = {"per_kw_month": 30.0}
    if on():
        tariff["surplus_quota_kwh_per_day"] = float(rng.choice([2e3, 3e4]))
    if on():
        tariff["renewable_levy_per_kwh"] = 4.18
    if on():
        tariff["carbon_price_per_t"] = 5000.0
    programs: Changes = {}
    if on():
        programs["demand_increase"] = {"pay_per_kwh": 8.0, "max_kw": float(rng.choice([800, 4e3]))}
    if on():
        programs["pause_orders"] = {
            "pause_power_kw": float(rng.choice([0.0, 200.0, 2000.0])),
            "pay_per_h": 3000.0,
            "penalty_per_kwh": 50.0,
        }
    if on():
        programs["base_point"] = {"penalty_per_kwh": float(rng.choice([3.0, 30.0]))}
    else:
        if on():
            programs["demand_reduction"] = {
                "committed_kw": float(rng.choice([1000.0, 4000.0])),
                "capacity_pay_per_kw_month": 400.0,
                "energy_pay_per_kwh": float(rng.choice([0.0, 25.0])),
                "penalty_per_kwh": float(rng.choice([0.0, 60.0])),
                "baseline_limit": str(rng.choice(["rule", "none"])),
            }
        if on():
            programs["ancillary"] = {"held_kw": 1500.0, "shortfall_penalty_per_kw_h": 20.0}
    return {"tariff": tariff, "programs": programs}


def random_columns(rng: np.random.Generator, n: int, per_hour: int) -> dict[str, Floats]:
    """Return every column that a tariff or program reads."""

    def spells(share: float) -> Floats:
        on = rng.random(n // (2 * per_hour) + 1) < share
        return np.repeat(on, 2 * per_hour)[:n].astype(float)

    def uniform(low: float, high: float) -> Floats:
        return np.asarray(rng.uniform(low, high, n))

    shortage = uniform(-5.0, 30.0)
    gap = uniform(-4.0, 8.0) if rng.random() < 0.5 else uniform(0.0, 8.0)
    return {
        "surplus_frac": uniform(0, 1) * (rng.random(n) < 0.4),
        "outdoor_temp_c": uniform(-10, float(rng.choice([25, 60]))),
        "relative_humidity_frac": uniform(0.2, 1.0),
        "hashprice_usd_per_phs_day": uniform(30, 50),
        "imbalance_shortage_price_per_kwh": shortage,
        "imbalance_surplus_price_per_kwh": shortage - gap,
        "behind_meter_pv_frac": uniform(0, 0.8) * spells(0.5),
        "carbon_g_per_kwh": uniform(0, 800),
        "pause_order": spells(0.1),
        "dr_down_call": spells(0.1),
        "dr_up_call": spells(0.2),
        "base_point_frac": np.round(uniform(0, 1.0), 1),
        "ancillary_price_per_kw_h": uniform(0, 5),
        "ancillary_deployed_frac": spells(0.1) * 0.5,
    }


def with_random_physics(site: SiteConfig, rng: np.random.Generator) -> SiteConfig:
    """Return a site with physics that a site may have, each with an even chance or less."""
    own: Changes = {}
    cooling: Changes = {}
    if rng.random() < 0.5:
        own["power_per_k"] = float(rng.choice([0.0025, 0.01]))
        own["power_reference_c"] = float(rng.choice([40.0, 65.0]))
    if rng.random() < 0.3:
        cooling["kind"] = "wet_tower"
        cooling["spray_off_below_c"] = 2.0
        cooling["spray_off_rejection_frac"] = 0.4
    if rng.random() < 0.3:
        cooling["freeze_protect_c"] = 10.0
        cooling["freeze_heater_kw"] = 60.0
        cooling["coolant_start_min_c"] = 5.0
    if rng.random() < 0.3:
        own["failures"] = {"hazard_ref_per_h": 2e-3, "failed_per_start": 0.01, "repair_h": 6.0}
    values = site.model_dump(exclude_unset=True)
    values["groups"] = [
        group | own | {"cooling": group["cooling"] | cooling} for group in values["groups"]
    ]
    return parse_site(values, origin="test")


INTERVALS = ((900, 1800), (450, 900), (900, 3600))
"""Seconds of a dispatch interval and of a settlement period."""


def random_problem(
    seed: int,
    sites: tuple[SiteConfig, SiteConfig],
    edit_site: EditSite,
    *,
    physics: bool = False,
    days: int = 3,
    intervals: tuple[tuple[int, int], ...] = INTERVALS,
) -> Scenario:
    """Return days over the end of a month under random tariff and programs."""
    rng = np.random.default_rng(seed)
    interval_s, period_s = intervals[int(rng.integers(len(intervals)))]
    changes: Changes = {
        "dispatch_interval_s": interval_s,
        "market.settlement_period_s": period_s,
        "market.surplus_price_per_kwh": float(rng.choice([-1.0, 0.0, 1.0, 6.0])),
        "start_cost_per_fleet_start": float(rng.choice([0.0, 5e3, 40e3])),
        "limits.contract_power_kw": float(rng.choice([3000.0, 4520.0, 6000.0])),
        "groups.*.min_up_s": float(rng.choice([0, 1800, 5400])),
        "groups.*.min_down_s": float(rng.choice([0, 1200, 3600])),
        "groups.*.warm_up_s": float(rng.choice([0, 60, 900])),
        **random_blocks(rng, period_s, interval_s),
    }
    site = edit_site(sites[seed % 2], changes)
    if physics:
        site = with_random_physics(site, rng)
    per_day = 86400 // period_s
    n = days * per_day
    level = site.break_even_per_kwh(site.groups[0]) - site.market.adders_per_kwh
    prices = level * (1.0 + 0.8 * rng.standard_normal(n))
    prices[rng.random(n) < 0.1] = -30.0
    scenario = scenario_from(
        site, prices, random_columns(rng, n, per_day // 24), str(rng.choice(DAYS))
    )
    if rng.random() < 0.5:  # a month of demand is too long for a test: draw the weights themselves
        weight = rng.uniform(0, 40, (n, 2)) * (rng.random((n, 2)) < 0.02)
        scenario.market[:, [TRANSMISSION_WEIGHT, CAPACITY_WEIGHT]] = weight
    return scenario


DAYS = ("2024-06-29", "2024-06-30", "2024-07-02")
"""Over a weekend; with a month's end inside, at the first playable row, and with none."""


def play(
    policy: Policy, scenario: Scenario, rows: tuple[int, int], running_frac: float
) -> tuple[float, float]:
    """Return ledger profit and remaining liability of a play that opens its accounts in row one."""
    rules = EpisodeRules(action_kind=policy.action_kind, episode_days=1 / 24)
    sites = BatchedSite(scenario, 1, rules)
    sites.start_at(rows[0], running_frac=running_frac)
    opened = peaks_of(sites)
    observation = sites.observe()
    profit = 0.0
    for _ in range((rows[1] - rows[0]) * scenario.steps_per_row):
        output = sites.step(policy.act(observation))
        profit += float(output.profit[0])
        observation = output.observation
    return profit, remaining_liability(sites, opened)


@pytest.mark.parametrize("physics", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_no_policy_exceeds_the_bound_of_a_site_with_programs(
    seed: int, physics: bool, japan: SiteConfig, japan_levels: SiteConfig, edit_site: EditSite
) -> None:
    scenario = random_problem(seed, (japan, japan_levels), edit_site, physics=physics)
    site, rows = scenario.site, (scenario.first_row, scenario.n_rows)
    policies: list[Policy] = [build_policy(name, site) for name in POLICIES]
    policies.append(Fickle(len(site.groups), seed))
    policies.append(RollingPlanner(site, horizon_h=6.0, replan_every=3))

    opened = perfect_foresight_bound(scenario, rows, opens_accounts=True).value
    unknown = perfect_foresight_bound(scenario, rows).value
    short = perfect_foresight_bound(scenario, rows, window_days=0.7).value

    plays = {p.name: play(p, scenario, rows, k % 3 / 2) for k, p in enumerate(policies)}
    slack = 1e-6 * scenario.params.reward_scale
    assert max(ledger - later for ledger, later in plays.values()) <= opened + slack, plays
    assert max(ledger for ledger, _ in plays.values()) <= min(unknown, short) + slack, plays
    shares_slack = 2e-3 * max(abs(unknown), scenario.params.reward_scale)  # as near as is sought
    assert opened <= unknown + shares_slack
    if not physics:  # a short window may be less cold, and so tighter
        assert unknown <= short + shares_slack


def test_no_policy_exceeds_the_bound_on_two_hundred_short_problems(
    japan: SiteConfig, japan_levels: SiteConfig, edit_site: EditSite
) -> None:
    names = ("always_on", "level_rule", "look_ahead_rule", "day_ahead_dp")
    for seed in range(1000, 1200):
        scenario = random_problem(
            seed,
            (japan, japan_levels),
            edit_site,
            physics=seed % 4 == 0,
            days=2,
            intervals=((1800, 3600),),
        )
        rows = (scenario.first_row, scenario.n_rows)
        policies = [build_policy(name, scenario.site) for name in names]
        policies.append(Fickle(scenario.n_groups, seed))

        bound = perfect_foresight_bound(scenario, rows, opens_accounts=True).value

        plays = {p.name: play(p, scenario, rows, seed % 3 / 2) for p in policies}
        best = max(ledger - later for ledger, later in plays.values())
        assert best <= bound + 1e-6 * scenario.params.reward_scale, (seed, plays)


class PinnedProgram(LinearProgram):
    """A program whose running rigs, starts and rig power are those of a play."""

    pins: ClassVar[dict[int, Floats]] = {}
    """By block of columns: the third to fifth are running rigs, starts and rig power."""

    def __init__(self) -> None:
        super().__init__()
        self._block = -1

    def add_columns(self, n: int, **bounds: Any) -> npt.NDArray[np.int64]:
        self._block += 1
        if self._block in self.pins:
            pin, slack = self.pins[self._block], 1e-6
            bounds["lower"] = np.maximum(bounds["lower"], pin - slack)
            bounds["upper"] = np.minimum(bounds["upper"], pin + slack)
        return super().add_columns(n, **bounds)


EXACT: dict[str, Changes] = {
    "nothing": {},
    "power_purchase": {
        "tariff": {
            "power_purchase": {
                "volume_kw": 2000.0,
                "price_per_kwh": 8.0,
                "resale_fee_per_kwh": 1.0,
            }
        }
    },
    "time_of_use": {
        "tariff": {
            "time_of_use": {"bands": [{"from_hour": 8, "to_hour": 22, "price_per_kwh": 9.0}]}
        }
    },
    "demand_charge": {
        "tariff": {
            "demand_charge": {
                "per_kw_month": 420.0,
                "metering_period_s": 1800,
                "peak_before_kw": 2500.0,
            }
        }
    },
    "demand_charge_of_a_month_alone": {
        "tariff": {"demand_charge": {"per_kw_month": 420.0, "ratchet_months": 1}}
    },
    "demand_charge_that_counts_a_part_of_two_months_before": {
        "tariff": {
            "demand_charge": {
                "per_kw_month": 420.0,
                "ratchet_months": 3,
                "ratchet_frac": 0.8,
                "peak_before_kw": 3500.0,
            }
        }
    },
    "power_factor": {
        "tariff": {
            "demand_charge": {
                "per_kw_month": 420.0,
                "metering_period_s": 1800,
                "power_factor": 0.93,
                "base_power_factor": 0.85,
            }
        }
    },
    "balancing": {
        "tariff": {
            "contract": "balancing",
            "balancing": {"bias_limit_frac": 0.01, "bias_penalty_per_kwh": 10.0},
        }
    },
    "panels": {"tariff": {"behind_meter_pv": {"export_price_per_kwh": 2.0}}},
    "capacity_contribution": {"tariff": {"capacity_contribution": {"per_kw_month": 30.0}}},
    "levy_and_carbon": {"tariff": {"renewable_levy_per_kwh": 4.18, "carbon_price_per_t": 5000.0}},
    "pause_orders": {
        "programs": {
            "pause_orders": {"pause_power_kw": 5.0, "pay_per_h": 3e3, "penalty_per_kwh": 50.0}
        }
    },
    "ancillary": {
        "programs": {"ancillary": {"held_kw": 1500.0, "shortfall_penalty_per_kw_h": 20.0}}
    },
    "base_point": {"programs": {"base_point": {"penalty_per_kwh": 30.0}}},
}
"""Blocks whose every line is exact where prices are positive and no call is out."""


MONTH_ENDS = {
    "inside": ("2024-06-29", 0),
    "at_the_first_row": ("2024-06-30", 0),
    "at_the_last_row": ("2024-06-29", 48),
    "nowhere": ("2024-07-02", 1),
}
"""Where a month ends in a span: local day before it, rows of the data behind it."""


@pytest.mark.parametrize(
    ("block", "month_end"),
    [
        (block, where)
        for block in EXACT
        for where in MONTH_ENDS
        if where == "inside" or block.startswith(("demand", "balancing"))
    ],
)
def test_a_play_earns_what_the_program_says_of_it(
    block: str,
    month_end: str,
    japan_levels: SiteConfig,
    edit_site: EditSite,
    free_starts: Changes,
    free_cooling: Changes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start, left_over = MONTH_ENDS[month_end]
    changes = {"dispatch_interval_s": 900, **free_starts, **free_cooling, **EXACT[block]}
    site = edit_site(japan_levels, changes)
    rng = np.random.default_rng(1)
    columns = random_columns(rng, 144, 2)
    columns["imbalance_surplus_price_per_kwh"] = columns["imbalance_shortage_price_per_kwh"] - 2.0
    columns["ancillary_deployed_frac"] = np.zeros(144)
    if block == "panels":  # beside cheaper surplus the kernel still takes them first
        columns["surplus_frac"] = np.zeros(144)
    scenario = scenario_from(site, rng.uniform(4.0, 25.0, 144), columns, start)
    rows = (scenario.first_row, scenario.n_rows - left_over)
    sites = BatchedSite(
        scenario, 1, EpisodeRules(action_kind=ActionKind.POWER, episode_days=1 / 24)
    )
    sites.start_at(rows[0])
    opened = peaks_of(sites)
    fickle = Fickle(1, 3)
    earned, plays = 0.0, []
    for _ in range((rows[1] - rows[0]) * scenario.steps_per_row):
        output = sites.step(np.tile(fickle.act(sites.observe()), (1, 4)))
        running = sites.state.summary[0, :, RUNNING].sum()
        plays.append((running, output.record[0, 6], output.record[0, 1]))
        earned += float(output.profit[0])
    earned -= remaining_liability(sites, opened)
    pins = np.array(plays)
    monkeypatch.setattr(bound_module, "LinearProgram", PinnedProgram)
    monkeypatch.setattr(PinnedProgram, "pins", {2 + k: pins[:, k] for k in range(3)})

    monkeypatch.setattr(bound_module, "month_windows", lambda scenario, rows, length: [rows])

    program = perfect_foresight_bound(scenario, rows, opens_accounts=True).value

    assert program == pytest.approx(earned, rel=1e-6)


@pytest.mark.parametrize("seed", range(12))
def test_every_play_earns_no_more_than_the_program_says_of_it(
    seed: int,
    japan: SiteConfig,
    japan_levels: SiteConfig,
    edit_site: EditSite,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scenario = random_problem(seed + 500, (japan, japan_levels), edit_site)
    rows = (scenario.first_row + seed % 3, scenario.n_rows)
    sites = BatchedSite(
        scenario, 1, EpisodeRules(action_kind=ActionKind.POWER, episode_days=1 / 24)
    )
    sites.start_at(rows[0], running_frac=seed % 2)
    opened = peaks_of(sites)
    fickle = Fickle(4, seed)
    earned, plays = 0.0, []
    for _ in range((rows[1] - rows[0]) * scenario.steps_per_row):
        output = sites.step(fickle.act(sites.observe()))
        running = sites.state.summary[0, :, RUNNING].sum()
        plays.append((running, output.record[0, 6], output.record[0, 1]))
        earned += float(output.profit[0])
    earned -= remaining_liability(sites, opened)
    pins = np.array(plays)
    monkeypatch.setattr(bound_module, "LinearProgram", PinnedProgram)
    monkeypatch.setattr(PinnedProgram, "pins", {2 + k: pins[:, k] for k in range(3)})
    monkeypatch.setattr(bound_module, "month_windows", lambda scenario, rows, length: [rows])

    program = perfect_foresight_bound(scenario, rows, opens_accounts=True).value

    assert earned <= program + 1e-6 * scenario.params.reward_scale * len(pins)

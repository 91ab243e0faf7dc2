"""Nothing exceeds the bound, and the bound is no higher than it must be."""

from collections.abc import Callable
from dataclasses import replace
from itertools import cycle
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridhash.agents import bound as bound_module
from gridhash.agents.bound import perfect_foresight_bound
from gridhash.agents.day_ahead_dp import DayAheadDP, decision_advantages
from gridhash.agents.linear_program import LinearProgram
from gridhash.agents.policy import Policy
from gridhash.agents.rig_class import RigClass, rig_classes
from gridhash.agents.roster import POLICIES, build_policy
from gridhash.config import SiteConfig, parse_site
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.parameters import compile_site
from gridhash.envs.scenario import Scenario
from gridhash.envs.state import RUNNING
from gridhash.envs.thermal import fan_power_kw, held_heat_rejection
from gridhash.errors import DataError, SolverError

EditSite = Callable[..., SiteConfig]
MakeScenario = Callable[..., Scenario]
Play = Callable[..., float]
Floats = npt.NDArray[np.float64]


class Fickle:
    """Power at random, often kept, so that starts, stops and locks of every age occur."""

    name = "fickle"
    action_kind = ActionKind.POWER

    def __init__(self, shape: tuple[int, int], seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._action = np.zeros(shape)

    def act(self, observation: npt.NDArray[np.float32]) -> Floats:
        drawn = np.clip(self._rng.uniform(-0.7, 1.7, self._action.shape), 0.0, 1.0)
        keep = self._rng.random(self._action.shape) < 0.8
        self._action = np.where(keep, self._action, drawn)
        return self._action


class Foresight:
    """Plays the perfect-foresight plan of each group."""

    name = "foresight"
    action_kind = ActionKind.POWER

    def __init__(self, scenario: Scenario) -> None:
        plan = decision_advantages(scenario, (scenario.first_row, scenario.n_rows))
        self._plan, self._t = plan, -1

    def act(self, observation: npt.NDArray[np.float32]) -> Floats:
        self._t += 1
        return np.asarray(self._plan.start[self._t] > 0.0, dtype=float)[None]


@pytest.fixture(scope="module")
def random_problem(
    japan: SiteConfig,
    japan_levels: SiteConfig,
    edit_site: EditSite,
    make_scenario: MakeScenario,
    make_prices: Callable[..., Any],
) -> Callable[..., Scenario]:
    """Return a maker of short problems with every feature of a site, by seed."""

    def make(seed: int, *, alike: bool = False) -> Scenario:
        rng = np.random.default_rng(seed)
        site = japan_levels if seed % 2 else japan
        changes: dict[str, Any] = {
            "dispatch_interval_s": int(rng.choice([300, 450, 900])),
            "market.settlement_period_s": int(rng.choice([900, 1800, 3600])),
            "market.adders_per_kwh": float(rng.choice([0.0, 5.5])),
            "market.surplus_price_per_kwh": float(rng.choice([-1.0, 0.0, 1.0, 6.0])),
            "start_cost_per_fleet_start": float(rng.choice([0.0, 5e3, 40e3])),
            "pue_for_planning": float(rng.uniform(1.0, 1.06)),
            "limits.contract_power_kw": float(rng.choice([3000.0, 4520.0, 6000.0])),
            "limits.ramp_up_kw_per_min": float(rng.choice([60.0, 4000.0])),
            "groups.*.min_up_s": float(rng.choice([0, 1800, 5400])),
            "groups.*.min_down_s": float(rng.choice([0, 1200, 3600])),
            "groups.*.boot_s": float(rng.choice([0, 30, 400])),
            "groups.*.warm_up_s": float(rng.choice([0, 60, 900])),
            "groups.*.cooling.coolant_setpoint_c": float(rng.uniform(25, 45)),
        }
        if rng.random() < 0.5:
            changes["groups.*.optional_work_levels"] = (0.5, 0.8, 1.0, 1.1)
        for g in range(4):
            if rng.random() < 0.5 and not alike:
                changes[f"groups.{g}.rig_hashrate_ths"] = float(rng.uniform(350, 520))
                changes[f"groups.{g}.standby_w"] = float(rng.uniform(0, 300))
                changes[f"groups.{g}.cooling.fan_kw"] = float(rng.uniform(0, 60))
                changes[f"groups.{g}.cooling.fan_min_speed_frac"] = float(rng.uniform(0, 0.4))
        site = edit_site(site, changes)
        prices = make_prices(site, days=3, seed=seed) * rng.choice([1.0, 1.3])
        prices[rng.random(len(prices)) < 0.1] = -30.0
        columns = {
            "surplus_frac": rng.uniform(0, 1, len(prices)) * (rng.random(len(prices)) < 0.4),
            "outdoor_temp_c": rng.uniform(-10, rng.choice([25, 60]), len(prices)),
            "hashprice_usd_per_phs_day": rng.uniform(30, 50, len(prices)),
        }
        return make_scenario(site, prices, columns)

    return make


@pytest.mark.parametrize("seed", range(16))
def test_no_policy_exceeds_the_bound(
    seed: int, random_problem: Callable[..., Scenario], play_policy: Play
) -> None:
    scenario = random_problem(seed)
    site, rows = scenario.site, (scenario.first_row, scenario.n_rows)
    policies: list[Policy] = [build_policy(name, site) for name in POLICIES]
    policies += [Fickle((1, len(site.groups)), seed), Foresight(scenario)]

    bounds = [perfect_foresight_bound(scenario, rows, window_days=days).value for days in (2, 0.3)]

    profits = {
        (policy.name, running): play_policy(policy, scenario, rows, running_frac=running)
        for policy, running in zip(policies, cycle((0.0, 1.0, 0.5)), strict=False)
    }
    scale = scenario.params.reward_scale
    assert max(profits.values()) <= bounds[0] + 1e-6 * scale, profits
    assert bounds[0] <= bounds[1] + 1e-6 * scale


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


@pytest.mark.parametrize("seed", range(24))
def test_every_play_is_a_point_of_the_program_and_earns_no_more_than_it_says(
    seed: int, random_problem: Callable[..., Scenario], monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = random_problem(seed, alike=True)
    start, first, last = scenario.first_row, scenario.first_row + 3, scenario.n_rows
    skipped = (first - start) * scenario.steps_per_row
    sites = BatchedSite(
        scenario, 2, EpisodeRules(action_kind=ActionKind.POWER, episode_days=1 / 24)
    )
    sites.start_at(start, running_frac=(seed % 3) / 2)
    fickle = Fickle((2, 4), seed)
    profit, plays = [], []
    for _ in range((last - start) * scenario.steps_per_row):
        action = fickle.act(sites.observe())
        action[0] = action[0, 0]  # all groups of the first site act alike
        output = sites.step(action)
        running = sites.state.summary[:, :, RUNNING].sum(axis=1)
        plays.append(np.stack([running, output.record[:, 6], output.record[:, 1]]))
        profit.append(output.profit.copy())
    pins = np.stack(plays)[skipped:]
    earned = np.sum(profit[skipped:], axis=0)
    scale = scenario.params.reward_scale * len(pins)
    monkeypatch.setattr(bound_module, "LinearProgram", PinnedProgram)

    for i in range(2):
        monkeypatch.setattr(PinnedProgram, "pins", {2 + k: pins[:, k, i] for k in range(3)})
        program = perfect_foresight_bound(scenario, (first, last)).value

        assert earned[i] <= program + 1e-6 * scale
        if i == 0:
            assert program <= earned[i] + 0.03 * scale


@pytest.mark.parametrize(("site_name", "share"), [("japan", 0.99), ("japan_levels", 0.985)])
def test_a_plan_over_published_prices_comes_near_the_bound(
    site_name: str,
    share: float,
    request: pytest.FixtureRequest,
    make_scenario: MakeScenario,
    make_prices: Callable[..., Any],
    play_policy: Play,
) -> None:
    site: SiteConfig = request.getfixturevalue(site_name)
    scenario = make_scenario(site, make_prices(site, days=6, seed=7))
    rows = (scenario.first_row, scenario.n_rows)

    bound = perfect_foresight_bound(scenario, rows)

    assert share < play_policy(DayAheadDP(site), scenario, rows, running_frac=1.0) / bound.value < 1


@pytest.mark.parametrize("levels", [False, True])
@pytest.mark.parametrize(
    ("min_up_s", "min_down_s", "boot_s", "warm_up_s"),
    [(0, 0, 0, 0), (1800, 1200, 30, 60), (3600, 5400, 400, 500)],
)
def test_bound_is_the_plan_of_one_group_whose_cooling_is_free(
    min_up_s: float,
    min_down_s: float,
    boot_s: float,
    warm_up_s: float,
    levels: bool,
    single_group: SiteConfig,
    free_cooling: dict[str, Any],
    edit_site: EditSite,
    make_scenario: MakeScenario,
    make_prices: Callable[..., Any],
) -> None:
    site = edit_site(
        single_group,
        {
            **free_cooling,
            "use_work_levels": levels,
            "groups.*.min_up_s": min_up_s,
            "groups.*.min_down_s": min_down_s,
            "groups.*.boot_s": boot_s,
            "groups.*.warm_up_s": warm_up_s,
        },
    )
    scenario = make_scenario(site, make_prices(site, days=4, seed=11))
    rows = (scenario.first_row, scenario.n_rows)
    plan = decision_advantages(scenario, rows)
    per_rig = max(plan.value_running[0, 1:].max(), plan.value_stopped[0, 1:].max())

    bound = perfect_foresight_bound(scenario, rows)

    assert bound.value == pytest.approx(per_rig * site.groups[0].n_rigs, rel=1e-6)
    assert bound.planned == pytest.approx(bound.value, rel=1e-9)


def test_one_profitable_hour_is_what_paper_and_pencil_say(
    single_group: SiteConfig, edit_site: EditSite, make_scenario: MakeScenario
) -> None:
    site = edit_site(single_group, {"groups.*.n_rigs": 100, "outdoor_temp_c": 20.0})
    scenario = make_scenario(site, np.full(96, 2.0))
    hash_revenue = 100 * 0.48 / 24 * 38.0 * 150.0 * 0.98 * 0.997
    heat_kw = 100 * 8.064
    fans_kw = 27.15 * (heat_kw / (40.0 - 20.0) / 108.85) ** (3 / 0.8)
    site_kw = heat_kw + fans_kw + 13.07

    bound = perfect_foresight_bound(scenario, (48, 50))

    assert bound.value == pytest.approx(hash_revenue - site_kw * (2.0 + 5.5), rel=1e-9)


def test_windows_cover_the_span_and_add_up(lively_scenario: Scenario) -> None:
    calls: list[tuple[int, int]] = []
    rows = (60, 205)

    bound = perfect_foresight_bound(
        lively_scenario, rows, window_days=1.0, progress=lambda *done: calls.append(done)
    )

    assert [w.rows for w in bound.windows] == [(60, 108), (108, 156), (156, 204), (204, 205)]
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    alone = [perfect_foresight_bound(lively_scenario, w.rows).value for w in bound.windows]
    assert bound.value == pytest.approx(sum(alone), rel=1e-9)
    assert bound.value >= perfect_foresight_bound(lively_scenario, rows).value


def test_identical_groups_may_be_one(
    japan_levels: SiteConfig,
    edit_site: EditSite,
    make_scenario: MakeScenario,
    make_prices: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    groups = japan_levels.model_dump()["groups"][1:]
    site = edit_site(japan_levels, {"groups": groups})
    scenario = make_scenario(site, make_prices(site, days=2, seed=3))
    rows = (scenario.first_row, scenario.n_rows)
    (together,) = rig_classes(scenario.params)
    third = replace(together, n_rigs=together.n_rigs / 3)
    assert together.n_rigs == 402

    merged = perfect_foresight_bound(scenario, rows).value
    monkeypatch.setattr(bound_module, "rig_classes", lambda params: [third] * 3)
    apart = perfect_foresight_bound(scenario, rows).value

    assert merged == pytest.approx(apart, rel=1e-9)


def test_unlike_rigs_or_loops_are_not_merged(japan: SiteConfig, edit_site: EditSite) -> None:
    hotter = edit_site(japan, {"groups.0.cooling.coolant_setpoint_c": 42.0})
    dearer = edit_site(hotter, {"groups.3.standby_w": 30.0})

    assert [c.n_rigs for c in rig_classes(compile_site(japan))] == [537]
    assert [c.n_rigs for c in rig_classes(compile_site(hotter))] == [135, 402]
    assert [c.n_rigs for c in rig_classes(compile_site(dearer))] == [135, 268, 134]


@settings(max_examples=300)
@given(
    fan_kw=st.floats(0, 0.5),
    rejection_kw_per_k=st.floats(0.1, 2.0),
    min_speed=st.floats(0, 1),
    exponent=st.floats(0.3, 1.0),
    setpoint_c=st.floats(20, 50),
    outdoor_c=st.floats(-20, 60),
    top_kw=st.floats(1.0, 12.0),
)
def test_tangents_lie_below_the_fan_law_and_the_chord_above(
    fan_kw: float,
    rejection_kw_per_k: float,
    min_speed: float,
    exponent: float,
    setpoint_c: float,
    outdoor_c: float,
    top_kw: float,
) -> None:
    least = min_speed**exponent
    rigs = RigClass(
        n_rigs=1.0,
        level_kw=np.array([top_kw]),
        level_phs=np.array([0.4]),
        standby_kw=0.0,
        start_cost=0.0,
        n_up_lock=0,
        n_down_lock=0,
        power_frac=np.zeros(0),
        hash_frac=np.zeros(0),
        coolant_setpoint_c=setpoint_c,
        fan_exponent=3.0 / exponent,
        fan_kw=(fan_kw, fan_kw),
        rejection_kw_per_k=(rejection_kw_per_k, rejection_kw_per_k),
        least_rejection_frac=(least, least),
        pump_kw=(0.0, 0.0),
        pump_idle_kw=0.0,
    )
    outdoor = np.array([outdoor_c])
    heats = np.linspace(0.0, top_kw, 41)
    law = np.array(
        [
            fan_power_kw(
                fan_kw,
                held_heat_rejection(
                    heat,
                    outdoor_c,
                    setpoint_c,
                    rejection_kw_per_k * least,
                    rejection_kw_per_k,
                )
                / rejection_kw_per_k,
                exponent,
            )
            for heat in heats
        ]
    )
    below = np.max([a[0] + b[0] * heats for a, b in rigs.fan_tangents(outdoor, np.ones(1))], axis=0)
    intercept, slope = rigs.fan_chord(outdoor, np.ones(1))

    assert (below <= law + 1e-9).all()
    assert (intercept[0] + slope[0] * heats >= law - 1e-9).all()
    if setpoint_c - outdoor_c > 1.1 * top_kw / rejection_kw_per_k:
        assert below[-1] == pytest.approx(law[-1], rel=1e-6, abs=1e-9)


def test_a_program_without_solution_is_an_error() -> None:
    program = LinearProgram()
    x = program.add_columns(1, lower=0.0, upper=1.0, gain=1.0)
    program.add_entries(program.add_rows(1, lower=2.0), x, 1.0)

    with pytest.raises(SolverError, match=r"Infeasible.* 1 columns and 1 rows"):
        program.solve()


@pytest.mark.parametrize("seed", range(5))
def test_certificate_is_above_every_feasible_point_and_at_the_optimum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, gain = rng.uniform(0, 1, (6, 9)), rng.uniform(-0.2, 1, 9)
    program = LinearProgram()
    x = program.add_columns(9, lower=0.0, upper=1.0, gain=gain)
    rows = program.add_rows(6, upper=1.5)
    program.add_entries(np.repeat(rows, 9), np.tile(x, 6), a.ravel())

    solution = program.solve()

    points = rng.uniform(0, 1, (2000, 9)) ** 3
    feasible = points[(points @ a.T <= 1.5).all(axis=1)]
    assert len(feasible) > 10
    assert (feasible @ gain).max() <= solution.upper_bound
    assert solution.upper_bound == pytest.approx(solution.value, rel=1e-6)
    assert (a @ solution.columns <= 1.5 + 1e-6).all()


@pytest.mark.parametrize(
    ("rows", "days", "message"),
    [((50, 50), 7.0, "50 to 50"), ((48, 999), 7.0, "999"), ((48, 96), 0.001, "no settlement")],
)
def test_spans_that_cannot_be_bounded_are_refused(
    rows: tuple[int, int], days: float, message: str, lively_scenario: Scenario
) -> None:
    with pytest.raises(DataError, match=message):
        perfect_foresight_bound(lively_scenario, rows, window_days=days)


def test_a_frost_long_ago_does_not_loosen_the_bound_of_rigs_whose_power_follows_their_chips(
    japan_levels: SiteConfig, make_scenario: MakeScenario
) -> None:
    """Warm rigs draw more: after days at 30 °C it is all the same what was before."""
    values = japan_levels.model_dump(exclude_unset=True)
    leaky = {"power_per_k": 0.0025, "power_reference_c": 65.0}
    site = parse_site(
        values | {"groups": [group | leaky for group in values["groups"]]}, origin="test"
    )
    prices = np.full(7 * 48, 8.0)
    bounds = []
    for frost_c in (30.0, -10.0):
        outdoor_c = np.where(np.arange(len(prices)) < 3 * 48, frost_c, 30.0)
        scenario = make_scenario(site, prices, {"outdoor_temp_c": outdoor_c})
        rows = (6 * 48, 7 * 48)
        bounds.append(perfect_foresight_bound(scenario, rows).value)
        early = perfect_foresight_bound(scenario, (2 * 48, 3 * 48)).value

    assert bounds[0] == bounds[1]
    assert early > bounds[0]

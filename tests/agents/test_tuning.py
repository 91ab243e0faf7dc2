"""Tuning gives every rule the same number of plays and picks what earns most of them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gridhash.agents import roster, tuning
from gridhash.agents.policy import Policy
from gridhash.agents.roster import POLICIES, baseline_policies, combined_from, search_space
from gridhash.agents.rule_registry import RULES, Range
from gridhash.agents.rules import Hysteresis, LevelRule, LookAheadRule
from gridhash.agents.rules_operator import SCHEDULES, CombinedRule
from gridhash.agents.rules_programs import BasePointFollower, TimeOfUse
from gridhash.agents.tuning import (
    Parameters,
    SearchBudget,
    best_of,
    grid,
    play_profits,
    tune,
    tune_schedule,
)
from gridhash.config import SiteConfig
from gridhash.envs.scenario import Scenario
from gridhash.errors import ConfigError

EditSite = Callable[..., SiteConfig]
MakeScenario = Callable[..., Scenario]
Play = Callable[..., float]
SMALL = SearchBudget(n_wide=4, n_near=4)


@pytest.fixture
def followed(
    japan_levels: SiteConfig, edit_site: EditSite, make_scenario: MakeScenario
) -> Scenario:
    """Return three days of a site with base points under a small penalty."""
    site = edit_site(japan_levels, {"programs": {"base_point": {"penalty_per_kwh": 3.0}}})
    rng = np.random.default_rng(0)
    points = np.repeat(rng.uniform(0.1, 0.9, 24), 6)
    return make_scenario(site, rng.uniform(3, 25, 144), {"base_point_frac": points})


@pytest.fixture
def wavy(
    japan: SiteConfig, make_scenario: MakeScenario, make_prices: Callable[..., Any]
) -> Scenario:
    """Return five days of wavy prices, without blocks."""
    return make_scenario(japan, make_prices(japan, days=5, seed=2))


def rows_of(scenario: Scenario) -> tuple[int, int]:
    return scenario.first_row, scenario.n_rows


def test_the_candidate_that_earns_most_alone_is_picked(wavy: Scenario, play_policy: Play) -> None:
    candidates = grid(start_ratio=(0.6, 0.8, 0.95, 1.0), stop_ratio=(1.0, 1.1, 1.4))

    tuned = best_of(wavy, rows_of(wavy), Hysteresis, candidates)

    alone = [play_policy(Hysteresis(wavy.site, **one), wavy, rows_of(wavy)) for one in candidates]
    best = candidates[int(np.argmax(alone))]
    assert {"start_ratio": tuned.start_ratio, "stop_ratio": tuned.stop_ratio} == best
    assert max(alone) > min(alone)
    assert max(alone) > play_policy(LevelRule(wavy.site), wavy, rows_of(wavy))


def test_every_candidate_of_a_batch_earns_what_it_earns_alone(
    followed: Scenario, play_policy: Play
) -> None:
    edges = np.array([-0.8, 0.0, 0.8])
    together = play_profits(
        followed, rows_of(followed), BasePointFollower(followed.site, edge=edges), 3
    )

    alone = [
        play_policy(BasePointFollower(followed.site, edge=float(edge)), followed, rows_of(followed))
        for edge in edges
    ]

    assert together == pytest.approx(alone, rel=1e-12)


def test_the_search_improves_on_defaults_and_known_candidates(wavy: Scenario) -> None:
    rows = rows_of(wavy)
    space = RULES[Hysteresis.name].parameters
    known = ({"start_ratio": 0.6, "stop_ratio": 1.6},)

    tuned = tune(wavy, rows, Hysteresis, space, budget=SearchBudget(8, 8), known=known)

    tried = [Hysteresis(wavy.site), Hysteresis(wavy.site, **known[0]), tuned]
    default, given, best = (play_profits(wavy, rows, one, 1)[0] for one in tried)
    assert best >= max(default, given)
    assert all(space[name].low <= getattr(tuned, name) <= space[name].high for name in space)


def test_the_same_search_gives_the_same_rule(wavy: Scenario) -> None:
    space = RULES[LookAheadRule.name].parameters
    first, second = (
        tune(wavy, rows_of(wavy), LookAheadRule, space, budget=SMALL) for _ in range(2)
    )

    assert (first.start_worth, first.keep_worth) == (second.start_worth, second.keep_worth)


def test_every_rule_with_parameters_gets_the_same_number_of_plays(
    followed: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    plays: dict[str, int] = {}

    def counted(
        scenario: Scenario,
        rows: tuple[int, int],
        make: Callable[..., Any],
        candidates: list[Parameters],
    ) -> Any:
        name = make(scenario.site, **candidates[0]).name
        plays[name] = plays.get(name, 0) + len(candidates)
        return np.arange(len(candidates), dtype=float)

    monkeypatch.setattr(tuning, "profits_of", counted)
    monkeypatch.setattr(roster, "tune_stochastic_dp", lambda *_, **__: LevelRule(followed.site))
    policies = baseline_policies(followed, rows_of(followed), budget=SearchBudget(8, 4))

    assert plays == {name: 12 for name in policies if name in RULES and RULES[name].parameters}
    assert len(plays) == 10


@pytest.mark.parametrize("name", [name for name, maker in RULES.items() if maker.parameters])
def test_every_range_holds_its_default_and_is_one_that_the_rule_takes(
    name: str, japan: SiteConfig
) -> None:
    maker = RULES[name]
    for which in ("low", "default", "high"):
        values = {key: getattr(one, which) for key, one in maker.parameters.items()}
        assert maker.make(japan, **values).name == name
    assert all(one.low <= one.default <= one.high for one in maker.parameters.values())
    default = maker.make(japan)
    for key, one in maker.parameters.items():
        assert getattr(default, key) == one.default


def test_a_schedule_works_the_hours_that_were_cheap(
    japan: SiteConfig, make_scenario: MakeScenario
) -> None:
    """July: dear but for 10 to 14 h on weekdays and 2 to 4 h on weekends."""
    day = np.full(48, 60.0)
    workday, weekend = day.copy(), day.copy()
    workday[20:28] = 2.0
    weekend[4:8] = 2.0
    week = np.concatenate([*[workday] * 5, weekend, weekend])  # 1 July 2024 is a Monday
    scenario = make_scenario(japan, np.concatenate([week, week]))

    tuned = tune_schedule(scenario, (scenario.first_row, scenario.n_rows))

    assert tuned.summer_weekday == sum(2**hour for hour in range(10, 14))
    assert tuned.summer_weekend == sum(2**hour for hour in range(2, 4))
    # A season that the span lacks works the hours that were cheap on all days together.
    others = {getattr(tuned, name) for name in SCHEDULES if "summer" not in name}
    assert len(others) == 1


def test_a_combined_rule_begins_where_its_parts_ended(japan: SiteConfig) -> None:
    parts: dict[str, Policy] = {
        Hysteresis.name: Hysteresis(japan, start_ratio=0.7, stop_ratio=1.4),
        LookAheadRule.name: LookAheadRule(japan, start_worth=0.4, keep_worth=-0.1),
    }

    space = search_space(CombinedRule.name, japan)
    assert not {"demand_ratio", "month_ratio", "lead_h"} & set(space)
    by_price, by_worth = (CombinedRule(japan, **one) for one in combined_from(parts, space))

    assert (by_price.start_ratio, by_price.stop_ratio) == (0.7, 1.4)
    assert (by_price.start_worth, by_price.keep_worth) == (-1.0, 1.0)
    assert (by_worth.start_worth, by_worth.keep_worth) == (0.4, -0.1)


def test_baselines_hold_the_tuned_rule_and_not_the_default(
    followed: Scenario, play_policy: Play
) -> None:
    rows = rows_of(followed)

    baselines = baseline_policies(followed, rows, budget=SMALL)

    schedule = baselines[TimeOfUse.name]
    default = POLICIES[TimeOfUse.name](followed.site)
    assert isinstance(schedule, TimeOfUse)
    assert play_policy(schedule, followed, rows) >= play_policy(default, followed, rows)
    assert BasePointFollower.name in baselines


@pytest.mark.parametrize("values", [{"n_wide": 0}, {"n_near": -1}, {"near_frac": 0.0}])
def test_a_search_without_plays_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="n_wide >= 1"):
        SearchBudget(**values)


def test_a_rule_without_parameters_is_not_searched(wavy: Scenario) -> None:
    assert tune(wavy, rows_of(wavy), LevelRule, {}).name == "level_rule"
    assert Range(0.0, 1.0, 0.5).default == 0.5

"""Tuning picks what earns most, and what it tries is what the rules take."""

from collections.abc import Callable

import numpy as np
import pytest

from gridhash.agents.roster import POLICIES, baseline_policies
from gridhash.agents.rule_registry import RULES
from gridhash.agents.rules_programs import BasePointFollower, TimeOfUse
from gridhash.agents.tuning import GRIDS, grid, tune
from gridhash.config import SiteConfig
from gridhash.envs.scenario import Scenario

EditSite = Callable[..., SiteConfig]
MakeScenario = Callable[..., Scenario]
Play = Callable[..., float]


@pytest.fixture
def followed(
    japan_levels: SiteConfig, edit_site: EditSite, make_scenario: MakeScenario
) -> Scenario:
    """Return three days of a site with base points under a small penalty."""
    site = edit_site(japan_levels, {"programs": {"base_point": {"penalty_per_kwh": 3.0}}})
    rng = np.random.default_rng(0)
    points = np.repeat(rng.uniform(0.1, 0.9, 24), 6)
    return make_scenario(site, rng.uniform(3, 25, 144), {"base_point_frac": points})


def test_the_rule_that_earns_most_alone_is_picked(followed: Scenario, play_policy: Play) -> None:
    rows = (followed.first_row, followed.n_rows)
    candidates = grid(edge=(-0.8, 0.0, 0.8))

    tuned = tune(followed, rows, BasePointFollower, candidates)

    assert isinstance(tuned, BasePointFollower)
    alone = {
        one["edge"]: play_policy(BasePointFollower(followed.site, **one), followed, rows)
        for one in candidates
    }
    assert alone[tuned.edge] == max(alone.values()) > min(alone.values())


@pytest.mark.parametrize("name", list(GRIDS))
def test_every_parameter_tried_is_one_that_the_rule_takes(name: str, japan: SiteConfig) -> None:
    assert all(set(one) <= set(RULES[name].parameters) for one in GRIDS[name])
    made = [RULES[name].make(japan, **one) for one in GRIDS[name]]
    assert {rule.name for rule in made} == {name}


def test_baselines_hold_the_tuned_rule_and_not_the_default(
    followed: Scenario, play_policy: Play
) -> None:
    rows = (followed.first_row, followed.n_rows)

    baselines = baseline_policies(followed, rows)

    schedule = baselines[TimeOfUse.name]
    default = POLICIES[TimeOfUse.name](followed.site)
    assert isinstance(schedule, TimeOfUse)
    assert play_policy(schedule, followed, rows) >= play_policy(default, followed, rows)
    assert BasePointFollower.name in baselines

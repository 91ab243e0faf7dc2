import re

import numpy as np
import pytest

from gridhash.agents.rules import LevelRule
from gridhash.config_scenario import load_scenario_config, scenario_names
from gridhash.envs.observation import observation_table
from gridhash.envs.scenario import Scenario
from gridhash.errors import PolicyError
from gridhash.training.ablation import FEATURE_GROUPS, WithoutFeatures, features_of, without
from gridhash.training.contenders import contender_of


@pytest.mark.parametrize("name", scenario_names())
def test_every_feature_belongs_to_one_group(name: str) -> None:
    site = load_scenario_config(name).site

    for feature in observation_table(site):
        groups = [g for g, pattern in FEATURE_GROUPS.items() if re.fullmatch(pattern, feature.name)]
        assert len(groups) == 1, f"{feature.name} is in {groups}"


class Echo:
    """A policy whose action is what it sees."""

    name = "learned"
    action_kind = LevelRule.action_kind

    def act(self, observation: np.ndarray) -> np.ndarray:
        return observation.astype(np.float64)


def test_features_of_a_group_read_zero_and_the_others_as_they_are(scenario: Scenario) -> None:
    columns = features_of("calendar", scenario.site)
    observation = np.ones((2, len(scenario.features)), dtype=np.float32)

    seen = WithoutFeatures(Echo(), columns).act(observation)

    assert (seen[:, columns] == 0.0).all()
    assert np.delete(seen, columns, axis=1).min() == 1.0
    assert observation.min() == 1.0
    names = [scenario.features[k].name for k in columns]
    assert names[:2] == ["hour_sin", "hour_cos"]


def test_a_blind_contender_says_so_and_stays_blind_at_another_site(scenario: Scenario) -> None:
    blind = without(contender_of(LevelRule(scenario.site)), ["weather", "heat"], scenario.site)

    assert blind.note == "without weather, heat"
    assert isinstance(blind.policy, WithoutFeatures)
    assert isinstance(blind.at(scenario.site).policy, WithoutFeatures)


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ("tea", "no group of features is called 'tea'"),
        ("calls", "has no feature of the group calls; it has calendar, price, "),
    ],
)
def test_a_group_that_is_not_there_is_refused(group: str, message: str, scenario: Scenario) -> None:
    with pytest.raises(PolicyError, match=message):
        features_of(group, scenario.site)

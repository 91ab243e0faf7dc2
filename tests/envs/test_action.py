from collections.abc import Callable

import gymnasium
import numpy as np
import numpy.typing as npt
import pytest

from gridhash.config import SiteConfig
from gridhash.envs.action import ActionKind, action_hash, wanted_power
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.levels import full_power_kw
from gridhash.envs.mining_site_env import MiningSiteEnv
from gridhash.envs.parameters import compile_site
from gridhash.envs.scenario import Scenario
from gridhash.errors import PolicyError

MakeScenario = Callable[..., Scenario]


def wanted(scenario: Scenario, kind: ActionKind, action: list[float]) -> npt.NDArray[np.float64]:
    """Return the wanted share of full rig power of each group at the first row."""
    params, scratch = scenario.params, np.full((5, 4), np.nan)
    out = np.empty(4)
    wanted_power(
        params, scenario.market, scenario.first_row, int(kind), np.array(action), scratch, out
    )
    return np.asarray(out / (params.n_rigs * params.level_kw[:, -1]))


def test_power_is_a_share_of_full_power_and_is_clipped(
    japan: SiteConfig, make_scenario: MakeScenario
) -> None:
    shares = wanted(make_scenario(japan), ActionKind.POWER, [-0.5, 0.25, 1.0, 7.0])

    assert shares == pytest.approx([0.0, 0.25, 1.0, 1.0])


def test_zero_shadow_price_is_the_level_rule_and_one_is_a_break_even(
    japan: SiteConfig, make_scenario: MakeScenario
) -> None:
    """Break-even is 13.54 JPY all-in; at 13.0 + 5.5 the rule stops, at 7.5 + 5.5 it runs."""
    break_even = japan.break_even_per_kwh(japan.groups[0])
    dear, cheap = make_scenario(japan, prices=13.0), make_scenario(japan, prices=7.5)

    assert wanted(dear, ActionKind.SHADOW_PRICE, [0.0] * 4) == pytest.approx([0.0] * 4)
    assert wanted(cheap, ActionKind.SHADOW_PRICE, [0.0] * 4) == pytest.approx([1.0] * 4)
    enough = (18.5 - break_even) / break_even
    raised = wanted(dear, ActionKind.SHADOW_PRICE, [-enough - 1e-6, -enough + 1e-6, -1.0, -9.0])
    assert raised == pytest.approx([1.0, 0.0, 1.0, 1.0])
    margin = (break_even - 13.0) / break_even
    lowered = wanted(cheap, ActionKind.SHADOW_PRICE, [margin - 1e-6, margin + 1e-6, 1.0, 9.0])
    assert lowered == pytest.approx([1.0, 0.0, 0.0, 0.0])


def test_a_shadow_price_is_clipped_at_one_break_even(
    japan: SiteConfig, make_scenario: MakeScenario
) -> None:
    """At 25.0 + 5.5 JPY a kWh costs more than twice the break-even of 13.54 JPY."""
    beyond = make_scenario(japan, prices=25.0)

    assert wanted(beyond, ActionKind.SHADOW_PRICE, [-1.0, -1.3, -9.0, 0.0]).tolist() == [0.0] * 4


def test_levels_are_off_or_all_rigs_at_one_level_and_are_clipped(
    japan_levels: SiteConfig, make_scenario: MakeScenario
) -> None:
    """The levels of the preset are 0.5 to 1.0 in steps of 0.1."""
    scenario = make_scenario(japan_levels)

    assert wanted(scenario, ActionKind.LEVELS, [0, 1, 2, 6]) == pytest.approx([0, 0.5, 0.6, 1.0])
    assert wanted(scenario, ActionKind.LEVELS, [-3, 7, 1e300, 5]) == pytest.approx([0, 1, 1, 0.9])


def test_a_group_with_fewer_levels_is_clipped_at_its_own(japan_levels: SiteConfig) -> None:
    params = compile_site(japan_levels)
    params.groups.n_levels = [6, 1, 3, 6]
    said, wanted_kw = np.full(4, 6.0), np.empty(4)
    wanted_power(
        params, np.zeros((1, 9)), 0, int(ActionKind.LEVELS), said, np.empty((5, 4)), wanted_kw
    )

    assert wanted_kw / full_power_kw(params) == pytest.approx([1.0, 0.5, 0.7, 1.0])


def test_levels_that_are_no_numbers_are_refused(
    japan: SiteConfig, make_scenario: MakeScenario
) -> None:
    rules = EpisodeRules(action_kind=ActionKind.LEVELS, episode_days=1.0)
    sites = BatchedSite(make_scenario(japan), 1, rules)
    sites.start_at(sites.scenario.first_row)

    with pytest.raises(PolicyError, match="group loop_b is nan"):
        sites.step(np.array([[0.0, np.nan, 1.0, 1.0]]))


def test_the_environment_takes_levels(
    japan_levels: SiteConfig, make_scenario: MakeScenario
) -> None:
    env = MiningSiteEnv(make_scenario(japan_levels), action_kind="levels", episode_days=1.0)
    env.action_space.seed(1)

    assert env.action_space == gymnasium.spaces.MultiDiscrete([7, 7, 7, 7])
    env.reset(seed=0, options={"start": env.scenario.trace.starts[48], "running_frac": 1.0})
    _, _, _, _, info = env.step(np.array([6, 1, 1, 6]))
    full_kw = full_power_kw(env.scenario.params)
    assert info["setpoint_kw"] == pytest.approx(float(full_kw @ [1.0, 0.5, 0.5, 1.0]))
    env.step(env.action_space.sample())


def test_a_wrapper_of_gymnasium_gives_power_in_kilowatts(
    japan: SiteConfig, make_scenario: MakeScenario
) -> None:
    env = MiningSiteEnv(make_scenario(japan), action_kind="power", episode_days=1.0)
    full_kw = full_power_kw(env.scenario.params).astype(np.float32)
    in_kw: gymnasium.Env[npt.NDArray[np.float32], npt.NDArray[np.float32]]
    in_kw = gymnasium.wrappers.RescaleAction(env, np.zeros_like(full_kw), full_kw)

    in_kw.reset(seed=0, options={"start": env.scenario.trace.starts[48]})
    _, _, _, _, info = in_kw.step(np.array([400.0, 0.0, 120.0, 1000.0], dtype=np.float32))
    assert info["setpoint_kw"] == pytest.approx(1520.0, rel=1e-6)


def test_action_hash_covers_the_levels_of_each_group(
    japan: SiteConfig, japan_levels: SiteConfig, edit_site: Callable[..., SiteConfig]
) -> None:
    fewer = edit_site(japan_levels, {"groups.2.optional_work_levels": [0.5, 1.0]})

    assert len({action_hash(site, ActionKind.LEVELS) for site in (japan, japan_levels, fewer)}) == 3
    assert action_hash(japan, ActionKind.POWER) == action_hash(japan_levels, ActionKind.POWER)


def test_action_hash_of_a_bundle_made_before_is_still_right(japan: SiteConfig) -> None:
    """These were written into manifests; another value would refuse every bundle."""
    assert action_hash(japan, ActionKind.SHADOW_PRICE).startswith("450ebae1a308871d")
    assert action_hash(japan, ActionKind.POWER).startswith("e10d07ffa0c3e61a")


def test_action_hash_tells_kinds_and_groups_apart(
    japan: SiteConfig, edit_site: Callable[..., SiteConfig]
) -> None:
    hashes = {
        action_hash(japan, ActionKind.POWER),
        action_hash(japan, ActionKind.SHADOW_PRICE),
        action_hash(edit_site(japan, {"groups.0.name": "loop_z"}), ActionKind.POWER),
    }

    assert len(hashes) == 3
    assert action_hash(japan, ActionKind.POWER) == action_hash(
        edit_site(japan, {"groups.0.n_rigs": 3}), ActionKind.POWER
    )

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from gridhash.config import SiteConfig
from gridhash.envs.action import ActionKind, action_hash, wanted_power
from gridhash.envs.scenario import Scenario

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

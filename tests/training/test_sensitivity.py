from dataclasses import replace

import numpy as np
import pytest

from gridhash.agents.day_ahead_dp import DayAheadDP
from gridhash.agents.rules import Hysteresis, LevelRule
from gridhash.config import load_site, parse_site
from gridhash.data.synthetic import synthetic_japan
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.errors import ConfigError
from gridhash.training.contenders import contender_of
from gridhash.training.hashprice_card import (
    given_card,
    replays_hashprice,
    stated_card,
    with_fixed_hashprice,
)
from gridhash.training.sensitivity import scaled_hashprice, sensitivity, variants
from gridhash.training.spans import Rows


@pytest.fixture(scope="module")
def drawn() -> Scenario:
    """Return a site with work levels on prices whose hashprice is drawn."""
    trace = synthetic_japan(area="kyushu", seed=0)
    site = parse_site(load_site("japan_pilot").model_dump() | {"use_work_levels": True}, origin="")
    return build_scenario(site, trace.between(trace.start, trace.starts[48 * 12]))


def test_a_site_of_on_off_rigs_varies_start_cost_and_hashprice_alone(scenario: Scenario) -> None:
    assert [name for name, _ in variants(scenario)] == [
        "start cost × 0.5", "start cost × 2", "hashprice -40 %", "hashprice +40 %",
    ]  # fmt: skip


def test_each_variant_changes_what_it_says(drawn: Scenario) -> None:
    found = dict(variants(drawn))

    assert list(found)[:2] == ["slope b -0.10", "slope b +0.10"]
    slopes = [found[f"slope b {sign}0.10"].site.groups[0].curve_b for sign in "-+"]
    own = drawn.site.groups[0].curve_b
    assert slopes == pytest.approx([own - 0.1, own + 0.1])
    doubled = found["start cost × 2"].site.start_cost_per_fleet_start
    assert doubled == 2.0 * drawn.site.start_cost_per_fleet_start
    cheap = found["hashprice -40 %"]
    path = drawn.trace.column("hashprice_usd_per_phs_day")
    assert cheap.trace.column("hashprice_usd_per_phs_day") == pytest.approx(0.6 * path)
    assert cheap.site.mining.hashprice_usd_per_phs_day == pytest.approx(
        0.6 * drawn.site.mining.hashprice_usd_per_phs_day
    )


def test_rules_know_the_changed_site_and_keep_their_parameters(scenario: Scenario) -> None:
    rule = contender_of(Hysteresis(scenario.site, start_ratio=0.93, stop_ratio=1.08))
    changed = scaled_hashprice(scenario, 1.4).site

    again = rule.at(changed).policy

    assert isinstance(again, Hysteresis)
    assert (again.start_ratio, again.stop_ratio) == (0.93, 1.08)


def test_dear_hashes_earn_more_and_every_variant_has_its_own_gap(
    scenario: Scenario, ten_days: Rows
) -> None:
    rows = (ten_days[0], ten_days[0] + 96)
    contenders = [contender_of(p) for p in (LevelRule(scenario.site), DayAheadDP(scenario.site))]

    found = {variant.name: variant for variant in sensitivity(scenario, contenders, rows)}

    profits = {
        name: next(s.profit for s in variant.scores if s.name == "level_rule")
        for name, variant in found.items()
    }
    assert profits["hashprice -40 %"] < profits["hashprice +40 %"]
    for variant in found.values():
        rule, planner = variant.scores
        assert rule.over_rule.estimate == 0.0
        assert planner.over_rule.estimate == pytest.approx(planner.profit - rule.profit)


def test_the_card_of_a_fixed_hashprice_is_that_of_the_site_file(scenario: Scenario) -> None:
    card = stated_card(scenario, (24, 100))

    assert card.fixed
    assert card.usd_per_phs_day == scenario.site.mining.hashprice_usd_per_phs_day
    assert card.sentence.startswith("27.45 USD/(PH/s)/day at 0.85 EUR per USD, assumed, undated: ")


def test_a_hashprice_that_is_drawn_stays_and_its_range_is_told(drawn: Scenario) -> None:
    rows = (48, 480)
    card = stated_card(drawn, rows)

    assert not replays_hashprice(drawn)
    assert not card.fixed
    path = drawn.trace.column("hashprice_usd_per_phs_day")[slice(*rows)]
    assert card.low_usd_per_phs_day == path.min()
    assert "on average" in card.sentence
    assert "drawn by the scenario" in card.sentence


def test_a_real_series_of_hashprices_is_not_replayed(scenario: Scenario) -> None:
    past = np.linspace(2000.0, 1000.0, scenario.n_rows)
    trace = scenario.trace.with_columns({"hashprice_usd_per_phs_day": past})
    replayed = build_scenario(scenario.site, trace)
    assert replays_hashprice(replayed)

    fixed = with_fixed_hashprice(replayed)

    card = stated_card(fixed, (24, 100))
    assert card.fixed
    assert card.usd_per_phs_day == scenario.site.mining.hashprice_usd_per_phs_day
    assert fixed.market == pytest.approx(scenario.market)


def test_a_given_hashprice_is_stated_with_its_day(scenario: Scenario) -> None:
    fixed = with_fixed_hashprice(scenario, usd_per_phs_day=41.0)
    card = given_card(fixed, (24, 100), as_of=None)

    assert card.usd_per_phs_day == 41.0
    dated = replace(card, as_of=scenario.trace.start.date())
    assert "as of 2017-12-31: given to the command" in dated.sentence
    with pytest.raises(ConfigError, match="must be above zero"):
        with_fixed_hashprice(scenario, usd_per_phs_day=-1.0)

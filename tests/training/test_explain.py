"""An explanation is of the decision that was made, and names what truly holds it."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from gridhash.agents.numpy_policy import MlpPolicy, mlp_shapes
from gridhash.agents.policy import ObservationReader, Policy
from gridhash.agents.rules import AlwaysOff, AlwaysOn, LevelRule, LookAheadRule
from gridhash.config import parse_site
from gridhash.envs import columns as c
from gridhash.envs.action import ActionKind
from gridhash.envs.named_scenario import open_named_scenario
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.envs.state import TRIPPED
from gridhash.errors import ConfigError, DataError
from gridhash.training.explain import explain, explanation_dict
from gridhash.training.explain_picture import write_explanation_picture
from gridhash.training.explain_state import choice_of, limits_in_words, play_to
from gridhash.training.explain_text import binding, comparison, explanation_text, implied_shadow
from gridhash.training.play import play

ZONE = "Europe/Amsterdam"
CHEAP, DEAR = 0.02, 0.12


def network(scenario: Scenario, **weights: Any) -> MlpPolicy:
    rng = np.random.default_rng(6)
    n_features = len(scenario.features)
    shapes = mlp_shapes(n_features, (), scenario.n_groups)
    arrays = {name: 0.05 * rng.standard_normal(shape) for name, shape in shapes.items()}
    arrays["normalise.scale"] = np.ones(n_features)
    arrays["normalise.center"] = (
        scenario.rows[1000 : 1000 + 200].mean(axis=0)[:1].repeat(n_features)
    )
    arrays |= weights
    own = {name: array.astype(np.float32) for name, array in arrays.items()}
    return MlpPolicy(own, name="drawn", action_kind=ActionKind.SHADOW_PRICE, clip=5.0)


class Schedule:
    """Full power within the minutes of an hour that are given, nothing in the others."""

    name = "schedule"
    action_kind = ActionKind.POWER

    def __init__(self, scenario: Scenario, first_min: float, last_min: float) -> None:
        reader = ObservationReader(scenario.site)
        self._column = reader.column("minutes_left")
        self._n_groups = scenario.n_groups
        self._within = (60.0 - last_min, 60.0 - first_min)

    def act(self, observation: np.ndarray) -> np.ndarray:
        left = observation[:, self._column]
        on = (left > self._within[0]) & (left <= self._within[1])
        return np.repeat(on.astype(float)[:, None], self._n_groups, axis=1)


def with_prices(scenario: Scenario, prices: list[float], **changes: Any) -> Scenario:
    """Return five days around the turn of spring with these prices from noon of the third on."""
    trace = scenario.trace.between(scenario.trace.starts[2000], scenario.trace.starts[2120])
    values = np.full(trace.n_rows, CHEAP)
    values[60 : 60 + len(prices)] = prices
    site = parse_site(scenario.site.model_dump() | changes, origin="test")
    return build_scenario(site, trace.with_columns({"price_per_kwh": values}))


def instant_of(scenario: Scenario, row: int, minutes: int = 0) -> pd.Timestamp:
    return scenario.trace.starts[row] + pd.Timedelta(minutes=minutes)


@pytest.mark.parametrize("at", ["2018-10-12T12:50", "2018-10-13T07:03", "2018-10-28T02:30+01:00"])
def test_what_is_explained_is_what_the_play_did(scenario: Scenario, at: str) -> None:
    instant = pd.Timestamp(at)
    instant = instant.tz_localize(ZONE) if instant.tzinfo is None else instant.tz_convert(ZONE)
    for policy in (network(scenario), LookAheadRule(scenario.site), LevelRule(scenario.site)):
        found = explain(scenario, policy, instant, days_before=1.0)

        row = scenario.row_at(instant)
        run = play(scenario, policy, (row - 24, row + 2)).frame
        done = run.loc[: found.instant.at].iloc[-1]
        names = [group.name for group in scenario.site.groups]
        assert found.instant.at <= instant < found.instant.at + pd.Timedelta(minutes=5)
        np.testing.assert_array_equal(
            found.policy.setpoint_kw, [done[f"setpoint_kw_{name}"] for name in names]
        )
        np.testing.assert_array_equal(
            found.instant.frame.loc[: found.instant.at, "profit"],
            run.loc[: found.instant.at, "profit"],
        )


def test_a_level_rule_differs_from_no_level_rule(scenario: Scenario) -> None:
    at = pd.Timestamp("2018-10-12T12:00", tz=ZONE)

    found = explain(scenario, LevelRule(scenario.site), at, days_before=1.0)

    assert (found.policy.setpoint_kw == found.level_rule.setpoint_kw).all()
    np.testing.assert_array_equal(found.policy.shadow_per_kwh(scenario), np.zeros(4))
    lines = comparison(found)
    assert lines[0].startswith("The level rule")
    assert lines[0].endswith("would set the same.")
    # Below break-even for two hours: too short to be worth a start.
    assert found.look_ahead.setpoint_kw.sum() == 0.0
    assert found.policy.setpoint_kw.sum() == pytest.approx(scenario.site.max_rig_kw)


def test_minimum_times_are_named_with_what_they_hold(scenario: Scenario) -> None:
    days = with_prices(scenario, [])
    policy = Schedule(days, 20.0, 30.0)  # starts at :20, wants to stop at :30

    up = explain(days, policy, instant_of(days, 70, 35), days_before=0.5)
    down = explain(days, policy, instant_of(days, 71, 20), days_before=0.5)

    assert up.policy.wanted_kw.sum() == 0.0
    assert up.policy.setpoint_kw.sum() > 0.0
    assert "minimum up time: rigs that started lately must run" in binding(up)
    assert "loop_a, loop_b, loop_c, loop_d" not in up.policy.limits[0]
    if down.policy.setpoint_kw.sum() < down.policy.wanted_kw.sum():
        assert "minimum down time" in binding(down)


def test_ramp_and_contract_are_named(scenario: Scenario) -> None:
    limits = scenario.site.limits.model_dump()
    slow = with_prices(scenario, [], limits=limits | {"ramp_up_kw_per_min": 20.0})
    small = with_prices(scenario, [], limits=limits | {"contract_power_kw": 2000.0})
    at = instant_of(slow, 30)

    ramped = explain(slow, AlwaysOn(slow.site), at, days_before=0.0)
    capped = explain(small, AlwaysOn(small.site), at, days_before=0.0)

    assert "ramp: power may rise by 100 kW an interval" in binding(ramped)
    assert "contract power: all rigs together at most" in binding(capped)
    assert capped.cap[0] < 2000.0


def test_a_trip_is_named_before_all_else(scenario: Scenario) -> None:
    instant = play_to(
        scenario,
        AlwaysOn(scenario.site),
        pd.Timestamp("2018-10-12T12:50", tz=ZONE),
        days_before=0.2,
    )
    instant.state.group[0, 1, TRIPPED] = 1.0

    choice = choice_of(instant, AlwaysOn(scenario.site))
    words = limits_in_words(instant, choice.wanted_kw, choice.setpoint_kw)

    assert choice.setpoint_kw[1] == 0.0
    assert words[1].startswith("temperature trip: no rig runs until the loop")
    assert words[0] == words[2] == ""


def test_where_surplus_ends_power_stops(scenario: Scenario) -> None:
    days = with_prices(scenario, [DEAR] * 30)
    surplus = np.full(days.trace.n_rows, 0.4)
    days = build_scenario(days.site, days.trace.with_columns({"surplus_frac": surplus}))

    found = explain(days, LevelRule(days.site), instant_of(days, 80), days_before=0.5)

    surplus_kw = 0.4 * days.site.limits.contract_power_kw
    assert found.kink is not None
    assert found.kink.site_kw == pytest.approx(surplus_kw)
    assert "surplus ends there" in binding(found)
    assert found.curve.supply[0].end_kw == pytest.approx(surplus_kw)
    assert found.curve.supply[1].price_per_kwh == pytest.approx(
        DEAR + days.site.market.adders_per_kwh, rel=1e-6
    )


def test_the_outlook_reckons_hours_and_money_of_a_rig(scenario: Scenario) -> None:
    days = with_prices(scenario, [DEAR, DEAR, DEAR])

    found = explain(days, AlwaysOff(days.site), instant_of(days, 60, 30), days_before=0.2)
    outlook = found.outlooks[0]

    group, market = days.site.groups[0], days.market[60]
    rig_kw = days.params.level_kw[0, -1] * days.site.pue_for_planning
    value = market[c.REVENUE] * days.params.level_phs[0, -1] / 24.0 / rig_kw
    price = DEAR + days.site.market.adders_per_kwh
    assert outlook.value_per_kwh == pytest.approx(value)
    assert outlook.price_per_kwh == pytest.approx(price, rel=1e-6)
    assert not outlook.pays
    assert outlook.hours == pytest.approx(2.5)
    assert outlook.until == days.trace.starts[63]
    assert outlook.per_rig == pytest.approx(2.5 * rig_kw * (value - price), rel=1e-5)
    assert outlook.start_cost_per_rig == pytest.approx(
        days.site.start_cost_per_fleet_start / days.site.n_rigs, rel=1e-6
    )
    low, high = implied_shadow(found, 0)
    assert low == pytest.approx(value - price, rel=1e-5)
    assert high == np.inf
    assert group.name in json.dumps(explanation_dict(found))


def test_only_what_is_read_moves_a_network(scenario: Scenario) -> None:
    names = [feature.name for feature in scenario.features]
    weight = np.zeros((scenario.n_groups, len(names)))
    weight[:, names.index("price_ratio_000")] = 0.25
    bias = np.zeros(scenario.n_groups)
    center = np.zeros(len(names))
    center[names.index("price_ratio_000")] = 1.0
    policy = network(
        scenario, **{"output.weight": weight, "output.bias": bias, "normalise.center": center}
    )

    found = explain(scenario, policy, pd.Timestamp("2018-10-12T12:50", tz=ZONE), days_before=0.5)

    first, *rest = found.influences
    seen = found.instant.feature("price_ratio_000")
    assert seen is not None
    assert first.group == "price now"
    assert first.slope == pytest.approx(0.25, rel=1e-3)
    np.testing.assert_allclose(first.action, 0.25 * (seen - 1.0), rtol=1e-4)
    assert all(one.slope == 0.0 and not one.action.any() for one in rest)
    assert sum(one.n_features for one in found.influences) == len(names)


@pytest.fixture(scope="module")
def pilot() -> Scenario:
    return open_named_scenario("JapanPilot", days=110)


def test_a_pause_order_binds_and_a_call_bends_the_curve(pilot: Scenario) -> None:
    starts = pilot.trace.starts
    paused = int(np.flatnonzero(pilot.market[:, c.PAUSE] > 0.0)[0])
    called = int(np.flatnonzero(pilot.market[:, c.REDUCTION_CALL] > 0.0)[0])
    to_consume = int(np.flatnonzero(pilot.market[:, c.INCREASE_CALL] > 0.0)[2])

    before = explain(pilot, LevelRule(pilot.site), starts[paused - 2], days_before=0.5)
    during = explain(pilot, AlwaysOn(pilot.site), starts[paused], days_before=0.5)
    call = explain(pilot, AlwaysOn(pilot.site), starts[called], days_before=0.5)
    more = explain(pilot, LevelRule(pilot.site), starts[to_consume], days_before=0.5)

    assert any(event.startswith("pause order in 1.0 h") for event in before.events)
    assert "pause order now" in during.events
    assert during.cap == (pilot.programs.pause_rig_cap_kw, "pause order of the utility")
    assert "pause order of the utility: all rigs together at most" in binding(during)
    assert "call to reduce now" in call.events
    price = pilot.market[called, c.SEEN_ALL_IN]
    assert call.curve.price_at(4000.0) > price + pilot.programs.reduction_pay_per_kwh
    assert "call to increase now" in more.events
    (kink,) = more.curve.kinks
    assert kink.reason == "surplus ends there"
    assert more.curve.price_at(kink.site_kw - 1.0) < more.curve.price_at(kink.site_kw + 1.0)


def test_it_is_told_in_words_in_json_and_in_a_picture(
    scenario: Scenario, pilot: Scenario, tmp_path: Path
) -> None:
    cases: list[tuple[Scenario, Policy]] = [
        (scenario, network(scenario)),
        (pilot, LookAheadRule(pilot.site)),
    ]
    for number, (own, policy) in enumerate(cases):
        found = explain(own, policy, own.trace.starts[3000], days_before=0.5)
        console = Console(width=130, record=True, file=io.StringIO())
        console.print(explanation_text(found))
        text = console.export_text()
        values = json.loads(json.dumps(explanation_dict(found), allow_nan=False))
        for words in ("A kWh costs", "loop_d", "The level rule", "The look-ahead rule"):
            assert words in text, words
        assert values["choices"][0]["setpoint_kw"] == found.policy.setpoint_kw.tolist()
        assert [one["policy"] for one in values["choices"][1:]] == ["level_rule", "look_ahead_rule"]
        write_explanation_picture(found, tmp_path / f"{number}.png")
        write_explanation_picture(found, tmp_path / f"{number}.svg")
        assert (tmp_path / f"{number}.png").stat().st_size > 20_000
        assert (tmp_path / f"{number}.svg").read_text(encoding="utf-8").count("<path") > 50
        with pytest.raises(ConfigError, match="says no picture format"):
            write_explanation_picture(found, tmp_path / "a.gif")


def test_instants_that_cannot_be_played_are_refused(scenario: Scenario) -> None:
    policy: Policy = LevelRule(scenario.site)

    with pytest.raises(DataError, match="cannot be explained: the first instant that can is 2018"):
        explain(scenario, policy, scenario.trace.starts[3])
    with pytest.raises(DataError, match="lies outside the data"):
        explain(scenario, policy, scenario.trace.end)
    last = explain(scenario, policy, scenario.trace.end - pd.Timedelta(minutes=1), days_before=0.1)
    assert last.instant.at == scenario.trace.end - pd.Timedelta(minutes=5)

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from gridhash.agents.bundle import load_bundle, write_bundle
from gridhash.agents.bundle_manifest import Provenance, RuleSpec
from gridhash.agents.policy import Observations
from gridhash.agents.rules import Hysteresis
from gridhash.agents.signing import PublicKey, generate_key
from gridhash.config import SiteConfig, load_site, parse_site
from gridhash.config_scenario import load_scenario_config
from gridhash.envs.action import ActionKind
from gridhash.envs.feature import Feature
from gridhash.envs.observation import observation_table
from gridhash.envs.parameters import Floats
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.errors import BundleError, PolicyError
from gridhash.training import transfer
from gridhash.training.contenders import learned_contenders, require_a_place
from gridhash.training.evaluate import Evaluation
from gridhash.training.play import play
from gridhash.training.results import read_results, results_of, scenario_entry, write_results
from gridhash.training.spans import Rows
from gridhash.training.transfer import TransferredPolicy, exchange_rate, transfer_between

JAPAN = load_site("japan_pilot")
EUROPE = load_site("europe_sample")
TEXAS = load_site("texas_air")


class Echo:
    """Says the first features that it sees, one per group."""

    name = "echo"

    def __init__(self, n_groups: int, kind: ActionKind = ActionKind.SHADOW_PRICE) -> None:
        self.n_groups, self.action_kind = n_groups, kind

    def act(self, observation: Observations) -> Floats:
        return observation[:, : self.n_groups].astype(np.float64)


def _between(source: SiteConfig, target: SiteConfig) -> TransferredPolicy:
    return TransferredPolicy(Echo(len(source.groups)), source=source, target=target)


def _observation(site: SiteConfig, **values: float) -> Observations:
    """Return one observation, price ratios counting the periods ahead and the rest drawn."""
    rng = np.random.default_rng(3)
    table = observation_table(site)
    drawn = rng.uniform([f.low for f in table], [f.high for f in table])
    named = {f.name: float(x) for f, x in zip(table, drawn, strict=True)}
    named |= {name: float(name[-3:]) for name in named if name.startswith("price_ratio_")}
    named |= {"minutes_left": site.market.settlement_period_s / 60.0} | values
    return np.array([list(named.values())], dtype=np.float32)


def _at(hour: float) -> dict[str, float]:
    angle = 2.0 * np.pi * hour / 24.0
    return {"hour_sin": float(np.sin(angle)), "hour_cos": float(np.cos(angle))}


def _named(site: SiteConfig, observation: Observations) -> dict[str, float]:
    names = [feature.name for feature in observation_table(site)]
    return dict(zip(names, observation[0].tolist(), strict=True))


def _prices(site: SiteConfig, seen: Observations) -> list[float]:
    return [v for name, v in _named(site, seen).items() if name.startswith("price_ratio_")]


def _scenario_site(name: str) -> SiteConfig:
    return load_scenario_config(name).site


@pytest.mark.parametrize(
    "site", [JAPAN, EUROPE, TEXAS, *map(_scenario_site, ("RealTimeErcot", "JapanPilot"))]
)
def test_at_its_own_site_a_policy_sees_and_does_the_same_to_the_bit(site: SiteConfig) -> None:
    policy, seen = _between(site, site), _observation(site)

    assert policy.observe(seen).tobytes() == seen.tobytes()
    assert policy.act(seen).tobytes() == policy.policy.act(seen).tobytes()
    assert (policy.transfer.filled, policy.transfer.unread) == ({}, ())


def test_kyushu_to_tokyo_needs_no_mapping() -> None:
    found = transfer_between(
        _scenario_site("SpotJapan"), _scenario_site("SpotTokyo"), ActionKind.SHADOW_PRICE
    )

    assert (found.filled, found.unread, found.converted) == ({}, (), ())
    assert found.currency_per_currency == 1.0
    assert found.note("JPY") == "its observation is mapped ()"


def test_half_hours_see_the_price_of_their_hour() -> None:
    policy = _between(JAPAN, EUROPE)

    first = policy.observe(_observation(EUROPE, minutes_left=45.0))
    second = policy.observe(_observation(EUROPE, minutes_left=25.0))

    assert _named(JAPAN, first)["minutes_left"] == 15.0
    assert _named(JAPAN, second)["minutes_left"] == 25.0
    assert _prices(JAPAN, first) == [k // 2 for k in range(72)]
    # The hour behind the horizon of 36 h is that of a day earlier.
    assert _prices(JAPAN, second) == [*((k + 1) // 2 for k in range(71)), 12.0]


def test_half_hours_see_the_mean_of_the_quarters_that_are_left() -> None:
    policy = _between(JAPAN, TEXAS)

    whole = policy.observe(_observation(TEXAS, **_at(10.5), minutes_left=10.0))
    half = policy.observe(_observation(TEXAS, **_at(10.75), minutes_left=10.0))

    assert _named(JAPAN, whole)["minutes_left"] == 25.0
    assert _named(JAPAN, half)["minutes_left"] == 10.0
    # Texas sees 24 h: from then on the same time a day earlier.
    day = [2 * k + 0.5 for k in range(48)]
    assert _prices(JAPAN, whole) == [*day, *day[:24]]
    assert _prices(JAPAN, half)[:3] == [0.0, 1.5, 3.5]
    assert _prices(JAPAN, half)[47:50] == [(93 + 94) / 2, (95 + 0) / 2, 1.5]


def test_hours_see_the_mean_of_four_quarters() -> None:
    seen = _between(EUROPE, TEXAS).observe(_observation(TEXAS, **_at(0.0)))

    assert _prices(EUROPE, seen)[:2] == [1.5, 5.5]


def test_amounts_are_converted_at_the_rate_of_both_site_files_and_ratios_are_not() -> None:
    there = _observation(EUROPE, price_per_kwh=0.05, break_even_per_kwh=0.06, published_h=20.0)

    policy = _between(JAPAN, EUROPE)
    seen = _named(JAPAN, policy.observe(there))

    rate = 150.0 / 0.85
    assert policy.transfer.currency_per_currency == rate == exchange_rate(JAPAN, EUROPE)
    assert policy.transfer.converted == ("price_per_kwh", "break_even_per_kwh")
    assert seen["price_per_kwh"] == pytest.approx(0.05 * rate, rel=1e-6)
    assert seen["break_even_per_kwh"] == pytest.approx(0.06 * rate, rel=1e-6)
    assert seen["run_worth_loop_b"] == _named(EUROPE, there)["run_worth_loop_b"]
    assert "1 EUR = 176.471 JPY fixed" in policy.transfer.note("EUR")


def test_a_site_that_reckons_in_another_currency_is_the_same_site(
    scenario: Scenario, ten_days: Rows
) -> None:
    site, trace, factor = scenario.site, scenario.trace, 170.0
    values = json.loads(site.model_dump_json())
    values["currency"] = "JPY"
    values["mining"]["currency_per_usd"] *= factor
    values["start_cost_per_fleet_start"] *= factor
    values["market"]["adders_per_kwh"] *= factor
    twin = build_scenario(
        parse_site(values, origin="twin"),
        replace(
            trace,
            currency="JPY",
            frame=trace.frame.assign(price_per_kwh=trace.column("price_per_kwh") * factor),
        ),
    )
    rows = (ten_days[0], ten_days[0] + 72)
    policy = Hysteresis(site, start_ratio=0.9, stop_ratio=1.1)

    here = play(scenario, policy, rows)
    there = play(twin, TransferredPolicy(policy, source=site, target=twin.site), rows)

    assert 0.0 < here.frame["site_kw"].mean() < 0.95 * here.frame["site_kw"].max()
    np.testing.assert_allclose(there.frame["site_kw"], here.frame["site_kw"], rtol=1e-9)
    assert there.profit == pytest.approx(factor * here.profit, rel=1e-6)


def test_groups_are_read_and_moved_by_their_order() -> None:
    policy = _between(JAPAN, TEXAS)
    seen = _named(JAPAN, policy.observe(_observation(TEXAS, chip_temp_c_hall_c=61.0)))

    assert policy.transfer.groups == dict(
        zip(("hall_a", "hall_b", "hall_c", "hall_d"), (g.name for g in JAPAN.groups), strict=True)
    )
    assert seen["chip_temp_c_loop_c"] == 61.0


def test_where_groups_are_not_as_many_each_takes_the_nearest() -> None:
    one = JAPAN.model_copy(update={"groups": JAPAN.groups[:1]})
    two = JAPAN.model_copy(update={"groups": JAPAN.groups[:2]})
    seen = _observation(JAPAN)

    assert np.ptp(_between(one, JAPAN).act(seen)) == 0.0
    own = two.groups
    spread = _between(two, JAPAN)
    assert list(spread.transfer.groups.values()) == [g.name for g in (own[0], own[0], *own[1:] * 2)]
    np.testing.assert_array_equal(spread.act(seen)[0, [0, 1]], seen[0, [0, 0]])


def test_what_the_site_lacks_is_nothing_and_what_the_policy_lacks_is_not_read() -> None:
    ercot = _scenario_site("RealTimeErcotCurrent")

    away = _between(ercot, TEXAS)
    seen = _named(ercot, away.observe(_observation(TEXAS, price_ratio_000=0.7)))

    assert (seen["held_price_ratio"], seen["peak_month"], seen["held_frac"]) == (0.0, 0.0, 0.0)
    assert seen["price_high_4h"] == np.float32(0.7)
    assert away.transfer.filled["price_high_4h"] == "price_ratio_000"
    there = _between(JAPAN, ercot).transfer
    assert {"held_price_ratio", "demand_ratio", "price_mean_1h"} <= set(there.unread)
    assert there.filled == {}
    assert "not read: price_mean_0.25h" in there.note("USD")


def test_a_block_whose_absence_has_no_value_is_refused() -> None:
    with pytest.raises(PolicyError, match="nothing that could stand for base_point_frac, next_bas"):
        _between(_scenario_site("BasePoint"), JAPAN)


def test_other_work_levels_are_refused_to_a_policy_that_chooses_them() -> None:
    levels = EUROPE.model_copy(update={"use_work_levels": True})

    with pytest.raises(PolicyError, match=r"work levels \(0.5, .*loop_a; group loop_a of japan_pi"):
        TransferredPolicy(Echo(4, ActionKind.LEVELS), source=levels, target=JAPAN)
    found = _between(levels, JAPAN).transfer
    assert found.other_levels == tuple(group.name for group in JAPAN.groups)
    assert "other work levels than it learned with: loop_a, loop_b" in found.note("JPY")


def test_prices_that_cannot_be_mapped_by_time_are_refused() -> None:
    def market(**changes: int) -> SiteConfig:
        return EUROPE.model_copy(update={"market": EUROPE.market.model_copy(update=changes)})

    with pytest.raises(
        PolicyError, match=r"of 1800 s, .* of 2700 s at europe_sample do not divide"
    ):
        _between(JAPAN, market(settlement_period_s=2700))
    with pytest.raises(PolicyError, match=r"europe_sample sees 12 h.*at least 24 h must be seen"):
        _between(JAPAN, market(horizon_h=12))


def test_a_feature_of_another_meaning_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def table(site: SiteConfig) -> tuple[Feature, ...]:
        found = observation_table(site)
        if site is JAPAN:
            return found
        return tuple(replace(f, unit="K") if f.name == "outdoor_temp_c" else f for f in found)

    monkeypatch.setattr(transfer, "observation_table", table)
    with pytest.raises(PolicyError, match="unit of feature outdoor_temp_c is 'K' at europe_sample"):
        _between(JAPAN, EUROPE)


@pytest.fixture
def bundle(tmp_path: Path) -> tuple[Path, list[PublicKey]]:
    key = generate_key(tmp_path / "key.pem")
    path = write_bundle(
        tmp_path,
        RuleSpec(rule="hysteresis", parameters={"start_ratio": 0.9, "stop_ratio": 1.1}),
        name="japan-seed0",
        site=JAPAN,
        key=key,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        provenance=Provenance(),
    )
    return path, [key.public]


def test_a_bundle_plays_where_it_does_not_fit_if_asked_to_and_is_still_refused_to_serve(
    bundle: tuple[Path, list[PublicKey]], scenario: Scenario, ten_days: Rows
) -> None:
    path, keys = bundle

    none, refused = learned_contenders([path], scenario, ten_days, keys)
    (one,), left = learned_contenders([path], scenario, ten_days, keys, zero_shot=True)

    assert none == []
    assert "currency is EUR at the site" in refused[str(path)]
    assert left == {}
    assert one.note.startswith("zero-shot: trained for japan_pilot")
    assert "1 EUR = 176.471 JPY fixed; prices of 3600 s read as 1800 s" in one.note
    assert one.transfer is not None
    assert one.at(scenario.site).policy.act(_observation(EUROPE)).shape == (1, 4)
    with pytest.raises(BundleError, match="evaluate it by a mapped observation with --zero-shot"):
        require_a_place(path, [EUROPE], keys)
    require_a_place(path, [EUROPE], keys, zero_shot=True)
    with pytest.raises(BundleError, match="does not fit site europe_sample"):
        load_bundle(path, site=EUROPE, trusted_keys=keys)


def test_a_bundle_that_cannot_be_mapped_says_why(bundle: tuple[Path, list[PublicKey]]) -> None:
    path, keys = bundle
    short = EUROPE.market.model_copy(update={"horizon_h": 12})
    site = EUROPE.model_copy(update={"market": short})

    with pytest.raises(BundleError, match="at least 24 h must be seen"):
        require_a_place(path, [site], keys, zero_shot=True)


def test_results_say_how_an_observation_was_mapped(evaluation: Evaluation, tmp_path: Path) -> None:
    found = transfer_between(JAPAN, EUROPE, ActionKind.SHADOW_PRICE)
    entry = scenario_entry(replace(evaluation, transfers={"learned": found}))
    write_results(results_of([entry]), tmp_path / "results.json")

    read = read_results(tmp_path).scenarios[0].transfers["learned"]

    assert read.currency_per_currency == found.currency_per_currency
    assert (read.settlement_period_s, read.filled) == ((1800, 3600), {})
    assert read.groups == {group.name: group.name for group in EUROPE.groups}

"""Scenarios on real series: what the files say, and how they are cut into spans."""

from pathlib import Path

import pandas as pd
import pytest

from gridhash.config_scenario import (
    has_real_series,
    load_scenario_config,
    parse_scenario,
    scenario_names,
)
from gridhash.config_trace import SERIES_PERIOD_S, ReferenceTrace
from gridhash.data.reference import SERIES
from gridhash.envs.named_scenario import open_named_scenario, randomised, row_spans
from gridhash.errors import ConfigError, DataError

PILOT = {"name": "Mine", "based_on": "JapanPilot"}


@pytest.mark.parametrize("name", scenario_names())
def test_every_scenario_can_be_played_on_a_real_series(name: str) -> None:
    plain, real = load_scenario_config(name), load_scenario_config(f"{name}@real")

    assert has_real_series(name)
    assert real.name == f"{name}@real"
    assert isinstance(real.trace, ReferenceTrace)
    assert real.trace.series in SERIES
    assert SERIES_PERIOD_S[real.trace.series] >= real.site.market.settlement_period_s
    assert real.site.programs == plain.site.programs
    assert real.value.synthetic != plain.value.synthetic


def test_the_spans_of_japan_are_those_that_were_set_before_anything_was_trained() -> None:
    for name in ("SpotJapan", "SpotTokyo", "SolarSurplus", "BasePoint", "JapanPilot", "MixedFleet"):
        spans = load_scenario_config(f"{name}@real").spans
        assert (str(spans.validation_from), str(spans.test_from)) == ("2021-04-01", "2022-04-01")
        assert spans.embargo_days >= 7
        assert not spans.exploratory
    assert load_scenario_config("RealTimeErcot@real").spans.exploratory
    assert load_scenario_config("RealTimeNemCurrent@real").spans.exploratory


def test_a_scenario_of_ones_own_inherits_the_real_series() -> None:
    own = parse_scenario(
        PILOT | {"real": {"spans": {"embargo_days": 14.0}}}, origin="mine", on_real_series=True
    )

    assert own.name == "Mine@real"
    assert own.trace == load_scenario_config("JapanPilot@real").trace
    assert own.spans.embargo_days == 14.0
    assert parse_scenario(PILOT, origin="mine").trace.source == "synthetic_japan"


def test_without_a_table_of_real_series_the_error_says_how_to_add_one(tmp_path: Path) -> None:
    config = load_scenario_config("SpotJapan").model_dump(exclude_unset=True, exclude={"site"})
    values = config | {"site": "japan_pilot"}

    with pytest.raises(ConfigError, match=r"mine has no table \[real\]"):
        parse_scenario(values, origin="mine", on_real_series=True)


def test_parts_of_the_test_must_rise() -> None:
    spans = {"test_parts_from": ["2025-04-01"]}
    with pytest.raises(ConfigError, match="test_from and test_parts_from must rise"):
        parse_scenario(PILOT | {"spans": spans}, origin="mine")


def test_the_parts_of_the_test_follow_each_other_and_make_it_up() -> None:
    config = parse_scenario(
        PILOT | {"spans": {"test_parts_from": ["2025-07-01", "2025-10-01"]}}, origin="mine"
    )
    scenario = open_named_scenario(config)
    spans = row_spans(scenario, config.spans)

    first, second, third = spans.test_parts
    assert (first[0], third[1]) == spans.test
    assert (first[1], second[1]) == (second[0], third[0])
    start = scenario.trace.starts[second[0]]
    assert start == pd.Timestamp("2025-07-01", tz="Asia/Tokyo")
    assert row_spans(scenario, load_scenario_config("JapanPilot").spans).test_parts == (spans.test,)


def test_without_the_files_the_scenario_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("GRIDHASH_REFERENCE_DATA", raising=False)
    with pytest.raises(DataError, match="GRIDHASH_REFERENCE_DATA is not set; needed are jepx"):
        open_named_scenario("JapanPilot@real")


def test_the_real_pilot_keeps_what_was_measured_and_draws_only_calls_and_weather(
    reference_data: Path,
) -> None:
    scenario = open_named_scenario("JapanPilot@real")
    notes = scenario.trace.notes

    drawn = {n.split(": ")[1] for n in notes if n.startswith("synthetic: ")}
    assert drawn == {
        "outdoor_temp_c",
        "relative_humidity_frac",
        "pause_order",
        "dr_down_call",
        "dr_up_call",
    }
    assert "demand_kw: kept as it is, not drawn" in notes
    calls = scenario.trace.frame["dr_down_call"].diff().eq(1).sum() / 7.75
    assert 5 < calls < 12, "about 8 calls a year"
    other = randomised("JapanPilot@real", 1, seed=3)[0].trace
    assert other.column("price_per_kwh").tobytes() == (
        scenario.trace.column("price_per_kwh").tobytes()
    )
    assert other.column("pause_order").tobytes() != scenario.trace.column("pause_order").tobytes()

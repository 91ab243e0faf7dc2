"""Named scenarios, and sites with prices, opened alike."""

import numpy as np
import pandas as pd
import pytest

from gridhash.config_scenario import load_scenario_config
from gridhash.envs.named_scenario import open_named_scenario, row_spans
from gridhash.envs.open_scenario import ScenarioRequest
from gridhash.envs.scenario import build_scenario
from gridhash.errors import ConfigError
from gridhash.training.opened import Opened, open_for_training
from gridhash.training.spans import ending_before, spans_by_date


@pytest.fixture(scope="module")
def pilot() -> Opened:
    return open_for_training("JapanPilot")


def test_a_named_scenario_comes_with_its_own_spans_and_settings(pilot: Opened) -> None:
    config = load_scenario_config("JapanPilot")

    assert pilot.name == "JapanPilot"
    assert pilot.config == config
    assert pilot.spans == row_spans(open_named_scenario("JapanPilot"), config.spans)
    start = pilot.scenario.trace.starts[pilot.spans.test[0]].tz_convert("Asia/Tokyo")
    assert start == pd.Timestamp("2025-04-01", tz="Asia/Tokyo")


def test_a_site_and_prices_are_cut_by_date() -> None:
    opened = open_for_training(ScenarioRequest(), test_from="2018-11-01")

    assert opened.config is None
    assert opened.name == "europe_sample"
    assert opened.spans == spans_by_date(opened.scenario, test_from="2018-11-01")
    assert opened.synthetic == ()


def test_what_is_drawn_or_derived_is_said(pilot: Opened) -> None:
    said = " ".join(pilot.synthetic)

    for column in ("price_per_kwh", "surplus_frac", "pause_order", "dr_down_call", "demand_kw"):
        assert column in said


def test_training_sees_nothing_of_the_held_out_span_of_a_scenario_with_processes(
    pilot: Opened,
) -> None:
    """Whatever the held-out span holds, what is trained on is the same to the bit."""
    first = pilot.spans.validate[1]
    trace = pilot.scenario.trace
    future = {
        name: np.concatenate([trace.column(name)[:first], trace.column(name)[first:][::-1]])
        for name in trace.frame.columns
    }
    other = build_scenario(pilot.scenario.site, trace.with_columns(future))
    seen, also = pilot.seen_in_training, ending_before(other, first)

    assert seen.n_rows == first
    assert seen.market.tobytes() == also.market.tobytes()
    assert seen.rows.tobytes() == also.rows.tobytes()
    assert seen.exogenous.calendar.tobytes() == also.exogenous.calendar.tobytes()


def test_variants_end_with_the_training_span_and_follow_from_their_seed(pilot: Opened) -> None:
    one, two = pilot.variants(2, seed=4, new_prices=False)
    again = pilot.variants(1, seed=4, new_prices=False)[0]

    assert one.n_rows == two.n_rows == pilot.taught.n_rows == pilot.spans.train[1]
    assert one.site == again.site
    assert one.site != two.site
    assert one.market.tobytes() == again.market.tobytes()


def test_dates_beside_a_named_scenario_are_refused() -> None:
    with pytest.raises(ConfigError, match="fixes its spans"):
        open_for_training("JapanPilot", test_from="2025-05-01")


def test_an_unknown_scenario_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match="JapanPilott; scenarios: BasePoint"):
        open_for_training("JapanPilott")

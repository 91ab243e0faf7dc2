"""The model case with its tariff and programs, served: what the policy sees and what is done."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gridhash.agents.policy import Observations
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.columns import PAUSE
from gridhash.envs.named_scenario import open_named_scenario
from gridhash.envs.parameters import Floats
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.serving.history import check_run
from gridhash.serving.replay import replay
from gridhash.serving.site_accounts import last_accounts
from tests.closed_loop.conftest import N_RIGS

Play = Callable[..., Any]
HOURS = 9.0
START = datetime(2023, 7, 11, 3, tzinfo=UTC)
"""Noon in Japan; the utility orders a pause from 16:00 to 19:30."""
PAUSE_H = (4.0, 7.5)


@pytest.fixture(scope="module")
def pilot() -> Scenario:
    whole = open_named_scenario("JapanPilot", days=120)
    trace = whole.trace.between(START - timedelta(days=20), START + timedelta(days=2))
    n_rigs = dict(zip((group.name for group in whole.site.groups), N_RIGS, strict=True))
    return build_scenario(whole.site.scaled_to(n_rigs), trace)


class Steady:
    """A policy of most of full power."""

    name = "steady"
    action_kind = ActionKind.POWER
    share = 0.8

    def act(self, observation: Observations) -> Floats:
        return np.full((len(observation), 4), self.share)


@pytest.fixture(scope="module")
def played(play: Play, pilot: Scenario) -> Any:
    return play(Steady(), HOURS, work_levels=True, on=pilot, start=START)


def of_kernel(played: Any) -> tuple[Any, Any]:
    """Return the observation and rig power, interval by interval, as the environment plays it."""
    rules = EpisodeRules(episode_days=HOURS / 24.0, action_kind=ActionKind.POWER)
    model = BatchedSite(played.scenario, 1, rules)
    row = played.scenario.row_at(pd.Timestamp(START))
    model.start_at(row, running_frac=1.0, coolant_c=40.0)
    seen, asked_kw = [], []
    for _ in range(round(HOURS * 12)):
        seen.append(model.observe()[0])
        model.step(np.full((1, 4), Steady.share))
        asked_kw.append(model.state.setpoint_kw[0].copy())
    return np.array(seen), np.array(asked_kw)


def decided(played: Any) -> tuple[Any, Any]:
    """Return the same as the journal has it."""
    frame = played.journal.frame("decisions", played.controller.run_id)
    texts = [json.loads(text) for text in frame.text]
    on_grid = [text for text in texts if pd.Timestamp(text["at"]).second == 0][: round(HOURS * 12)]
    seen = [np.frombuffer(bytes.fromhex(text["observation"]), "<f4") for text in on_grid]
    asked_kw = [[float.fromhex(own) for own in text["setpoint_kw"]] for text in on_grid]
    return np.array(seen), np.array(asked_kw)


def test_calls_and_a_pause_order_move_the_site_as_in_the_environment(played: Any) -> None:
    market = played.scenario.market
    row = played.scenario.row_at(pd.Timestamp(START))
    assert market[row : row + 18, PAUSE].sum() == 7.0
    _, modelled_kw = of_kernel(played)
    _, asked_kw = decided(played)
    rig_kw = played.site.groups[0].rig_power_w / 1000.0
    assert (np.abs(asked_kw - modelled_kw) <= rig_kw + 1e-6).all()
    paused = slice(int(12 * PAUSE_H[0]), int(12 * PAUSE_H[1]))
    cap_kw = played.site.programs.pause_orders.pause_power_kw
    assert (asked_kw[paused].sum(axis=1) <= cap_kw).all()
    assert asked_kw[: paused.start].sum(axis=1).max() > 3 * cap_kw


def test_what_the_policy_sees_of_peaks_and_calls_is_what_it_was_trained_on(played: Any) -> None:
    modelled, _ = of_kernel(played)
    seen, _ = decided(played)
    names = [feature.name for feature in played.scenario.features]
    exact = ("pause_now", "pause_in_h", "increase_call_now", "reduction_call_in_h",
             "committed_frac", "calls_failed", "metered_share", "ratchet_frac")  # fmt: skip
    for name in exact:
        column = names.index(name)
        np.testing.assert_allclose(seen[:, column], modelled[:, column], atol=1e-6, err_msg=name)
    # Rigs come back from a pause in packets, the environment's fluid all at once.
    for name, within in (("month_peak_frac", 0.06), ("metered_mean_frac", 0.2)):
        column = names.index(name)
        assert np.abs(seen[1:, column] - modelled[1:, column]).max() <= within, name


def test_the_journal_replays_and_no_promise_is_broken(played: Any) -> None:
    result = replay(played.journal, Steady())
    assert result.differences == ()
    assert result.n_decisions >= HOURS * 12
    assert check_run(played.journal, played.fleet).violations == ()


def test_the_accounts_of_the_month_are_in_the_journal(played: Any) -> None:
    kept = last_accounts(played.journal, played.site.name)
    assert kept is not None
    assert kept.period_start + kept.n_booked * timedelta(minutes=5) >= played.end - timedelta(
        minutes=10
    )

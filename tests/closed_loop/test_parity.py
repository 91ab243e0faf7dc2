"""The real loop against the environment: same site, same policy, same prices."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from gridhash.agents.policy import Observations, Policy
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.columns import PRICE, REVENUE
from gridhash.envs.kernel import RECORD
from gridhash.envs.parameters import Floats
from gridhash.serving.replay import replay

HOURS = 8.0
RIG_KW = 8.064
Play = Callable[..., Any]


class Shares:
    """A policy of odd shares of full power that change every hour; reads the time alone."""

    name = "shares"
    action_kind = ActionKind.POWER

    def act(self, observation: Observations) -> Floats:
        angle = np.arctan2(observation[:, 0], observation[:, 1])
        hour = np.floor(np.mod(angle, 2.0 * np.pi) * 24.0 / (2.0 * np.pi) + 1e-3)
        return np.mod(np.outer(hour, [0.37, 0.23, 0.61, 0.29]) + 0.2, 1.0)


def setpoints(played: Any) -> npt.NDArray[np.float64]:
    texts = played.journal.frame("decisions", played.controller.run_id).text
    return np.array([[float.fromhex(x) for x in json.loads(text)["setpoint_kw"]] for text in texts])


def kernel_run(played: Any, policy: Policy | None) -> tuple[npt.NDArray[np.float64], pd.DataFrame]:
    """Return the kernel's setpoints and records over the same hours."""
    kind = ActionKind.SHADOW_PRICE if policy is None else policy.action_kind
    rules = EpisodeRules(episode_days=HOURS / 24.0, action_kind=kind)
    model = BatchedSite(played.scenario, 1, rules)
    row = played.scenario.row_at(pd.Timestamp(played.start))
    model.start_at(row, running_frac=1.0, coolant_c=40.0)
    asked, records = [], []
    for _ in range(round(HOURS * 12)):
        market_row = played.scenario.market[model.state.row[0]]
        action = np.zeros((1, 4)) if policy is None else policy.act(model.observe())
        output = model.step(action)
        asked.append(model.state.setpoint_kw[0].copy())
        records.append(
            {
                **dict(zip(RECORD, output.record[0].tolist(), strict=True)),
                "price": market_row[PRICE] + played.site.market.adders_per_kwh,
                "revenue": market_row[REVENUE],
            }
        )
    return np.array(asked), pd.DataFrame(records)


@pytest.fixture(scope="module")
def by_rule(play: Play) -> Any:
    return play(None, HOURS)


@pytest.fixture(scope="module")
def by_shares(play: Play) -> Any:
    return play(Shares(), HOURS)


def test_replaying_the_journal_gives_the_same_bits(by_rule: Any, by_shares: Any) -> None:
    for played, policy in ((by_rule, None), (by_shares, Shares())):
        result = replay(played.journal, policy)
        assert result.n_decisions == HOURS * 12
        assert result.differences == ()


def test_setpoints_are_those_of_the_environment_within_one_rig(
    by_rule: Any, by_shares: Any
) -> None:
    for played, policy in ((by_rule, None), (by_shares, Shares())):
        modelled, _ = kernel_run(played, policy)
        apart = np.abs(setpoints(played)[: len(modelled)] - modelled)
        assert (apart <= RIG_KW + 1e-6).all()
        assert np.ptp(modelled, axis=0).min() > RIG_KW  # there was something to follow


def test_rigs_that_truly_run_are_those_of_the_environment_within_one_rig(by_shares: Any) -> None:
    modelled, _ = kernel_run(by_shares, Shares())
    names = [group.name for group in by_shares.site.groups]
    for step, wanted_kw in enumerate(modelled):
        settled_at = by_shares.start + timedelta(seconds=300 * step + 240)
        drawn_kw = np.zeros(len(names))
        for rig in by_shares.fleet.rigs.values():
            drawn_kw[names.index(rig.group.name)] += rig.true_power_w(settled_at) / 1000.0
        assert (np.abs(drawn_kw - wanted_kw) <= RIG_KW + 0.2).all(), (step, drawn_kw, wanted_kw)


def test_energy_hashes_and_profit_are_those_of_the_environment_within_one_percent(
    by_rule: Any,
) -> None:
    _, model = kernel_run(by_rule, None)
    instants = [by_rule.start + timedelta(seconds=300 * k) for k in range(len(model) + 1)]
    rigs = by_rule.fleet.rigs.values()
    energy_kwh = np.diff([sum(rig.energy_kwh(at) for rig in rigs) for at in instants])
    work_th = np.diff([sum(rig.work_th(at) for rig in rigs) for at in instants])
    phs_hours = work_th / 1000.0 / 3600.0
    assert model.rigs_stopped.sum() > 24.0
    assert model.rigs_started.sum() > 24.0
    modelled_kwh, modelled_phs_hours = model.rig_kw / 12.0, model.hashrate_phs / 12.0
    assert by_rule.loops.cooling_kwh == pytest.approx(model.cooling_kw.sum() / 12.0, rel=0.05)
    assert energy_kwh.sum() == pytest.approx(modelled_kwh.sum(), rel=0.01)
    assert phs_hours.sum() == pytest.approx(modelled_phs_hours.sum(), rel=0.01)
    profit = (phs_hours * model.revenue / 24.0 - energy_kwh * model.price).sum()
    modelled = (modelled_phs_hours * model.revenue / 24.0 - modelled_kwh * model.price).sum()
    assert profit == pytest.approx(modelled, rel=0.01)


def test_what_the_policy_sees_is_what_it_was_trained_on(by_rule: Any) -> None:
    rules = EpisodeRules(episode_days=HOURS / 24.0)
    model = BatchedSite(by_rule.scenario, 1, rules)
    model.start_at(
        by_rule.scenario.row_at(pd.Timestamp(by_rule.start)), running_frac=1.0, coolant_c=40.0
    )
    names = [feature.name for feature in by_rule.scenario.features]
    texts = by_rule.journal.frame("decisions", by_rule.controller.run_id).text
    apart = []
    for text in texts.iloc[: round(HOURS * 12)]:
        seen = np.frombuffer(bytes.fromhex(json.loads(text)["observation"]), "<f4")
        apart.append(np.abs(seen - model.observe()[0]))
        model.step(np.zeros((1, 4)))
    worst = dict(zip(names, np.max(apart, axis=0).tolist(), strict=True))
    print({k: v for k, v in worst.items() if v > 0})

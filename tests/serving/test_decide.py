import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gridhash.agents.policy import Observations
from gridhash.config import SiteConfig, load_site
from gridhash.data.trace import Trace
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.observation import table_hash
from gridhash.envs.parameters import Floats
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.errors import DataError, ServingError
from gridhash.serving.authority import Authority
from gridhash.serving.decide import LEVEL_RULE, Decision, decide
from gridhash.serving.journal import Journal
from gridhash.serving.replay import replay
from gridhash.serving.site_model import SiteModel
from gridhash.serving.site_state import GroupState, SiteSnapshot, market_row_at

START = pd.Timestamp("2024-04-01T00:00Z")
NOON = datetime(2024, 4, 2, 12, tzinfo=UTC)


class Told:
    """A policy that answers with what it is told to."""

    name = "told"
    action_kind = ActionKind.POWER

    def __init__(self, answer: Callable[[Observations], object]) -> None:
        self.answer = answer

    def act(self, observation: Observations) -> Floats:
        return self.answer(observation)  # type: ignore[return-value]


@pytest.fixture(scope="module")
def site() -> SiteConfig:
    return load_site("japan_pilot")


@pytest.fixture(scope="module")
def scenario(site: SiteConfig) -> Scenario:
    starts = pd.date_range(START, periods=48 * 4, freq="30min", unit="s")
    prices = 12.0 + 10.0 * np.sin(np.arange(48 * 4) / 7.0)
    trace = Trace.from_prices(
        starts,
        prices,
        published_at=starts.normalize() - pd.Timedelta(hours=12),
        period_s=1800,
        currency="JPY",
        area="kyushu",
        source="test",
    )
    return build_scenario(site, trace)


@pytest.fixture(scope="module")
def model(site: SiteConfig) -> SiteModel:
    return SiteModel.of(site)


def snapshot_of(played: BatchedSite, at: datetime, uncontrolled_kw: float = 0.0) -> SiteSnapshot:
    """Return the state of a simulated site as the controller would see it."""
    state = played.state
    return SiteSnapshot(
        at=at,
        substep=int(state.substep[0]),
        market=market_row_at(played.scenario, at),
        groups=tuple(
            GroupState(
                name=group.name,
                up=tuple(state.up[0, g].tolist()),
                down=tuple(state.down[0, g].tolist()),
                up_temp_c=tuple(state.up_temp_c[0, g].tolist()),
                down_temp_c=tuple(state.down_temp_c[0, g].tolist()),
                coolant_c=float(state.coolant_c[0, g]),
                rig_kw=float(state.rig_kw[0, g]),
                setpoint_kw=float(state.setpoint_kw[0, g]),
                tripped=bool(state.tripped[0, g]),
            )
            for g, group in enumerate(played.scenario.site.groups)
        ),
        uncontrolled_kw=uncontrolled_kw,
    )


def at_rest(scenario: Scenario, running_frac: float = 1.0) -> SiteSnapshot:
    played = BatchedSite(scenario, 1, EpisodeRules(episode_days=0.5))
    played.start_at(scenario.row_at(pd.Timestamp(NOON)), running_frac=running_frac)
    return snapshot_of(played, NOON)


@pytest.mark.parametrize("kind", list(ActionKind))
def test_observation_and_setpoint_are_those_of_training_to_the_bit(
    scenario: Scenario, model: SiteModel, kind: ActionKind
) -> None:
    played = BatchedSite(scenario, 1, EpisodeRules(episode_days=1.0, action_kind=kind))
    row = scenario.row_at(pd.Timestamp(NOON))
    played.start_at(row, running_frac=0.4)
    rng = np.random.default_rng(3)
    for step in range(200):
        at = NOON + step * timedelta(seconds=300)
        action = rng.uniform(-1.0, 1.0, (1, 4))
        policy = Told(always(action))
        policy.action_kind = kind
        observed = played.observe()
        decision = decide(snapshot_of(played, at), model, policy)
        played.step(action)
        assert np.frombuffer(decision.observation, "<f4").tolist() == observed[0].tolist()
        assert decision.setpoint_kw == tuple(played.state.setpoint_kw[0].tolist())
        assert decision.authority is Authority.POLICY


def test_without_a_policy_the_level_rule_decides(scenario: Scenario, model: SiteModel) -> None:
    zero = Told(lambda _: np.zeros((1, 4)))
    zero.action_kind = ActionKind.SHADOW_PRICE
    by_rule = decide(at_rest(scenario), model, None)
    assert by_rule.policy_name == LEVEL_RULE
    assert by_rule.setpoint_kw == decide(at_rest(scenario), model, zero).setpoint_kw


def always(answer: object) -> Callable[[Observations], object]:
    return lambda _: answer


def raises(_: Observations) -> object:
    raise RuntimeError("no idea")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (raises, "raised RuntimeError: no idea"),
        (lambda _: np.full((1, 4), np.nan), "nan"),
        (lambda _: np.full((1, 4), np.inf), "inf"),
        (lambda _: np.zeros((1, 3)), "shape"),
        (lambda _: np.array([[0.5, 1.0, 1e9, 0.5]]), "group 2 is 1e+09: power is within 0 and 1"),
        (lambda _: np.full((1, 4), -1.5), "group 0 is -1.5"),
        (lambda _: None, "no usable action"),
        (lambda _: [["a", "b", "c", "d"]], "no usable action"),
    ],
)
def test_a_policy_that_fails_is_replaced_in_the_same_call(
    scenario: Scenario, model: SiteModel, answer: Callable[[Observations], object], why: str
) -> None:
    snapshot = at_rest(scenario)
    decision = decide(snapshot, model, Told(answer))
    assert decision.authority is Authority.FALLBACK
    assert why in decision.reason
    assert "level rule decides" in decision.reason
    assert decision.setpoint_kw == decide(snapshot, model, None).setpoint_kw


def test_an_action_that_overshoots_is_clipped_as_in_training(
    scenario: Scenario, model: SiteModel
) -> None:
    snapshot = at_rest(scenario)
    full, more = (decide(snapshot, model, Told(always(np.full((1, 4), own)))) for own in (1.0, 1.9))
    assert more.authority is Authority.POLICY
    assert more.setpoint_kw == full.setpoint_kw
    assert more.action == full.action


def test_a_late_policy_is_replaced_at_its_deadline(scenario: Scenario, model: SiteModel) -> None:
    release = threading.Event()
    slow = Told(lambda _: release.wait(30.0))
    snapshot = at_rest(scenario)
    decision = decide(snapshot, model, slow, policy_deadline_s=0.05)
    release.set()
    assert decision.late
    assert decision.setpoint_kw == decide(snapshot, model, None).setpoint_kw
    asked = Told(raises)
    assert decide(snapshot, model, asked, was_late=True).to_text() == decision.to_text()


def test_a_policy_cannot_reach_into_the_next_decision(scenario: Scenario, model: SiteModel) -> None:
    def spoil(observation: Observations) -> object:
        observation[:] = np.nan
        return np.ones((1, 4))

    first = decide(at_rest(scenario), model, Told(spoil))
    assert np.isfinite(np.frombuffer(first.observation, "<f4")).all()


def test_what_uncontrolled_rigs_may_draw_is_taken_off_the_cap(
    scenario: Scenario, model: SiteModel
) -> None:
    full = Told(lambda _: np.ones((1, 4)))
    snapshot = at_rest(scenario)
    assert sum(decide(snapshot, model, full).setpoint_kw) == pytest.approx(537 * 8.064)
    tight = replace(snapshot, uncontrolled_kw=1000.0)
    decision = decide(tight, model, full)
    assert decision.rig_cap_kw == pytest.approx(model.params.rig_cap_kw - 1000.0)
    assert sum(decision.setpoint_kw) == pytest.approx(decision.rig_cap_kw)
    assert "power cap" in decision.reason


def test_without_a_price_the_last_setpoint_stays_within_the_limits(
    scenario: Scenario, model: SiteModel
) -> None:
    snapshot = replace(at_rest(scenario), market=None)
    asked = Told(raises)
    decision = decide(snapshot, model, asked)
    assert decision.authority is Authority.FALLBACK
    assert decision.setpoint_kw == tuple(group.setpoint_kw for group in snapshot.groups)
    capped = decide(replace(snapshot, uncontrolled_kw=4000.0), model, asked)
    assert sum(capped.setpoint_kw) == pytest.approx(capped.rig_cap_kw)


def test_outside_its_data_a_scenario_knows_nothing(scenario: Scenario) -> None:
    assert market_row_at(scenario, START.to_pydatetime()) is None
    assert market_row_at(scenario, scenario.trace.end.to_pydatetime()) is None
    assert market_row_at(scenario, NOON) is not None


def test_a_snapshot_comes_back_from_its_text_with_every_bit(scenario: Scenario) -> None:
    snapshot = replace(at_rest(scenario, running_frac=1.0 / 3.0), uncontrolled_kw=0.1 + 0.2)
    assert SiteSnapshot.from_text(snapshot.to_text()) == snapshot
    without = replace(snapshot, market=None)
    assert SiteSnapshot.from_text(without.to_text()) == without
    with pytest.raises(DataError, match="not a snapshot"):
        SiteSnapshot.from_text("{}")


def written(journal: Journal, site: SiteConfig, policy: str, decisions: list[Decision],
            snapshots: list[SiteSnapshot]) -> None:  # fmt: skip
    run_id = journal.append(
        "runs", at=NOON, mode="shadow", site_json=site.model_dump_json(), policy_name=policy,
        bundle_hash="", observation_hash=table_hash(site), versions="{}", note="",
    )  # fmt: skip
    for decision, snapshot in zip(decisions, snapshots, strict=True):
        text = snapshot.to_text()
        seen = journal.append(
            "snapshots", run_id=run_id, at=snapshot.at, input_hash=decision.input_hash, text=text
        )
        journal.append(
            "decisions", run_id=run_id, snapshot_id=seen, at=decision.at,
            policy_name=decision.policy_name, authority=decision.authority,
            setpoint_kw=sum(decision.setpoint_kw), reason=decision.reason,
            input_hash=decision.input_hash, text=decision.to_text(),
        )  # fmt: skip


def test_replay_finds_equal_decisions_and_the_one_that_is_not(
    tmp_path: Path, scenario: Scenario, site: SiteConfig, model: SiteModel
) -> None:
    policy = Told(lambda observation: np.full((1, 4), 0.3) + observation[:, :4] * 0.01)
    snapshots = [at_rest(scenario, running_frac=k / 7.0) for k in range(8)]
    decisions = [decide(snapshot, model, policy) for snapshot in snapshots]
    last = decisions[-1].setpoint_kw
    decisions[-1] = replace(
        decisions[-1], setpoint_kw=(float(np.nextafter(last[0], 1e9)), *last[1:])
    )
    with Journal(tmp_path / "journal.sqlite") as journal:
        written(journal, site, "told", decisions, snapshots)
        result = replay(journal, policy)
        assert (result.equal, result.different) == (7, 1)
        assert "setpoint_kw" in result.differences[0]
        with pytest.raises(ServingError, match="give the policy of the run"):
            replay(journal, None)


def test_a_policy_that_hangs_is_not_asked_again_until_it_has_ended(
    scenario: Scenario, model: SiteModel
) -> None:
    release = threading.Event()
    calls: list[threading.Thread] = []

    def hang(_: Observations) -> Floats:
        calls.append(threading.current_thread())
        assert release.wait(30.0)
        return np.zeros((1, 4))

    hung, snapshot = Told(hang), at_rest(scenario)
    first = decide(snapshot, model, hung, policy_deadline_s=0.05)
    again = decide(snapshot, model, hung, policy_deadline_s=30.0)
    assert len(calls) == 1
    assert calls[0].daemon
    assert first.late
    assert again.to_text() == first.to_text()
    other = decide(snapshot, model, Told(always(np.zeros((1, 4)))), policy_deadline_s=30.0)
    assert other.authority is Authority.POLICY
    release.set()
    calls[0].join(30.0)
    assert decide(snapshot, model, hung, policy_deadline_s=30.0).authority is Authority.POLICY

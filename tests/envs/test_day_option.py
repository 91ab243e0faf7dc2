"""The decisions of the day through every interface: Gymnasium, its vector form, functions."""

import warnings
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import VectorEnv

from gridhash.envs import functional
from gridhash.envs.accounts import NEXT_COMMITTED_KW
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.columns import GATE
from gridhash.envs.mining_site_env import MiningSiteEnv
from gridhash.envs.named_scenario import open_named_scenario
from gridhash.envs.scenario import Scenario
from gridhash.envs.vector_env import MiningSiteVectorEnv
from gridhash.errors import ConfigError, PolicyError

JAPAN = "gridhash.envs.registration:gridhash/JapanPilot-v0"
TWO_DAYS = 2 * 288
Array = npt.NDArray[Any]


def started(scenario: Scenario, **options: Any) -> MiningSiteEnv:
    env = gymnasium.make(JAPAN, scenario=scenario, episode_days=4.0, **options).unwrapped
    assert isinstance(env, MiningSiteEnv)
    env.reset(options={"start": scenario.trace.starts[scenario.first_row], "running_frac": 1.0})
    return env


def steps_to_gate(env: MiningSiteEnv) -> int:
    """Step with nothing said until the decisions are due; return how many steps it took."""
    assert isinstance(env.action_space, gymnasium.spaces.Box)
    nothing = np.zeros(env.action_space.shape, dtype=np.float32)
    for k in range(288):
        if env.gate_closes:
            return k
        env.step(nothing)
    raise AssertionError("no gate closes within a day")


@pytest.mark.parametrize("kind", ["shadow_price", "power"])
def test_the_default_played_is_the_default_not_exposed(kind: str, pilot: Scenario) -> None:
    exposed = started(pilot, action_kind=kind, day_decisions=True)
    plain = started(pilot, action_kind=kind)
    assert plain.action_space.shape == (4,)
    assert isinstance(exposed.action_space, gymnasium.spaces.Box)
    assert exposed.action_space.shape == (5,)
    assert exposed.action_space.low[4] == -1.0
    plain.action_space.seed(1)
    gates = 0
    for _ in range(TWO_DAYS):
        action = plain.action_space.sample()
        gates += exposed.gate_closes
        a, b = exposed.step(np.append(action, np.float32(0.0))), plain.step(action)
        assert a[0].tobytes() == b[0].tobytes()
        assert a[1:] == b[1:]
    assert gates == 2, "the gate closes once a day"


def test_what_is_said_while_no_gate_closes_changes_nothing(pilot: Scenario) -> None:
    said, silent = (started(pilot, day_decisions=True) for _ in range(2))
    rng = np.random.default_rng(3)
    for _ in range(TWO_DAYS):
        bid = 0.0 if said.gate_closes else rng.uniform(-1, 1)
        a = said.step(np.array([0, 0, 0, 0, bid], dtype=np.float32))
        b = silent.step(np.zeros(5, dtype=np.float32))
        assert a[0].tobytes() == b[0].tobytes()
        assert a[1:] == b[1:]


def test_what_is_said_at_the_gate_is_decided(pilot: Scenario) -> None:
    """An action of -0.75 bids a quarter; `decide_day` says the same in kW; later it is too late."""
    by_number, by_kw = started(pilot, day_decisions=True), started(pilot)
    assert steps_to_gate(by_number) == steps_to_gate(by_kw)
    quarter_kw = 0.25 * pilot.programs.committed_kw
    with pytest.raises(PolicyError, match="committed_kw must lie within"):
        by_kw.decide_day(committed_kw=2.0 * pilot.programs.committed_kw)
    by_kw.decide_day(committed_kw=quarter_kw)
    by_number.step(np.array([0, 0, 0, 0, -0.75], dtype=np.float32))
    by_kw.step(np.zeros(4, dtype=np.float32))
    for env in (by_number, by_kw):
        assert env._sites.accounts.value[0, NEXT_COMMITTED_KW] == quarter_kw
        with pytest.raises(PolicyError, match="not due"):
            env.decide_day(committed_kw=0.0)
    paid = []
    for _ in range(288):
        a = by_number.step(np.zeros(5, dtype=np.float32))
        b = by_kw.step(np.zeros(4, dtype=np.float32))
        assert a[0].tobytes() == b[0].tobytes()
        assert a[1:] == b[1:]
        paid.append(a[4]["reduction_capacity_pay"])
    assert paid[-1] == pytest.approx(0.25 * paid[0]), "capacity pay of the day that was decided"


def test_vector_and_functional_forms_take_the_same_action(pilot: Scenario) -> None:
    single = started(pilot, day_decisions=True)
    start = pilot.trace.starts[pilot.first_row]
    many = gymnasium.make_vec(
        JAPAN,
        num_envs=2,
        vectorization_mode="vector_entry_point",
        scenario=pilot,
        episode_days=4.0,
        day_decisions=True,
    ).unwrapped
    assert isinstance(many, MiningSiteVectorEnv)
    many.reset(options={"start": start, "running_frac": 1.0})
    state = functional.rest_state(pilot, pilot.first_row, running_frac=1.0)
    model = functional.model_of(pilot)
    rng = np.random.default_rng(5)
    for _ in range(TWO_DAYS):
        action = rng.uniform(-1, 1, 5).astype(np.float32)
        assert many.gate_closes.tolist() == [single.gate_closes] * 2
        a = single.step(action)
        b = many.step(np.tile(action, (2, 1)))
        state, output = functional.step(
            state, action[None], pilot.exogenous, model, day_decisions=True
        )
        assert a[0].tobytes() == b[0][1].tobytes() == output.observation[0].tobytes()
        assert a[1] == b[1][0] == output.reward[0]


def test_the_functional_decision_leaves_the_state_it_was_given(pilot: Scenario) -> None:
    model = functional.model_of(pilot)
    gate = pilot.first_row + int(
        np.flatnonzero(pilot.exogenous.calendar[pilot.first_row :, GATE] > 0)[0]
    )
    state = functional.rest_state(pilot, gate)
    after = functional.decided(state, pilot.exogenous, model, 0, committed_kw=1.0)
    assert after.accounts.value[0, NEXT_COMMITTED_KW] == 1.0
    assert state.accounts.value[0, NEXT_COMMITTED_KW] == pilot.programs.committed_kw
    late, _ = functional.step(state, np.zeros((1, 4)), pilot.exogenous, model)
    with pytest.raises(PolicyError, match="site 0 are not due"):
        functional.decided(late, pilot.exogenous, model, 0, committed_kw=1.0)
    with pytest.raises(PolicyError, match="reduction_bid is nan"):
        functional.step(state, [[0, 0, 0, 0, np.nan]], pilot.exogenous, model, day_decisions=True)
    with pytest.raises(PolicyError, match=r"shape \(1, 5\), expected \(1, 4\)"):
        functional.step(state, np.zeros((1, 5)), pilot.exogenous, model)


@pytest.mark.parametrize("kind", ["shadow_price", "power"])
@pytest.mark.parametrize("observation", ["flat", "dict"])
def test_the_checkers_find_nothing_with_the_option(
    observation: str, kind: str, pilot: Scenario
) -> None:
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if kind == "power":  # what is wanted in kilowatts has no sign
            warnings.filterwarnings("ignore", message="We recommend you to use a symmetric")
        env = gymnasium.make(
            JAPAN,
            scenario=pilot,
            observation=observation,
            action_kind=kind,
            day_decisions=True,
            episode_days=1.0,
        )
        check_env(env.unwrapped, skip_render_check=True)
        checker.check_env(env.unwrapped)


@pytest.mark.parametrize("form", ["levels", "flat_levels"])
def test_discrete_actions_cannot_carry_them_but_decide_beside(form: Any, pilot: Scenario) -> None:
    with pytest.raises(ConfigError, match="discrete levels cannot carry: use action_kind shadow"):
        MiningSiteEnv(pilot, action_kind=form, day_decisions=True)
    envs = MiningSiteVectorEnv(2, pilot, action_kind=form, episode_days=4.0)
    assert isinstance(envs, VectorEnv)
    local = pilot.trace.starts.tz_convert("Asia/Tokyo")
    gate = np.flatnonzero(pilot.exogenous.calendar[:, GATE] > 0)
    start = pd.Timestamp(local[gate[gate >= pilot.first_row][0]])
    envs.reset(options={"start": start})
    assert envs.gate_closes.all()
    envs.decide_day(1, committed_kw=0.0)
    assert envs._sites.accounts.value[:, NEXT_COMMITTED_KW].tolist() == [
        pilot.programs.committed_kw,
        0.0,
    ]


def test_a_site_without_decisions_of_the_day_refuses_the_option() -> None:
    spot = open_named_scenario("SpotJapan", days=10)
    with pytest.raises(ConfigError, match="the site decides nothing a day ahead"):
        MiningSiteEnv(spot, day_decisions=True)
    with pytest.raises(ConfigError, match="the site decides nothing a day ahead"):
        BatchedSite(spot, 1, EpisodeRules(day_decisions=True))


def test_an_episode_that_ends_with_the_data_is_reset_with_the_option(pilot: Scenario) -> None:
    last = pilot.n_rows - pilot.slots_per_day // 4
    envs = MiningSiteVectorEnv(
        2, pilot, day_decisions=True, episode_days=0.25, rows=(last, pilot.n_rows)
    )
    envs.reset(seed=0)
    action = np.zeros((2, 5), dtype=np.float32)
    ends = [envs.step(action)[3].tolist() for _ in range(75)]
    assert ends.index([True, True]) == 71
    assert ends[72] == [False, False]

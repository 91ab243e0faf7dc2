"""Learning from exact worths: what they are, that runs repeat, and that the rule is kept else."""

from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from gridhash.agents.day_ahead_dp import decision_advantages
from gridhash.agents.policy import ObservationReader
from gridhash.agents.relative_policy import RelativePolicy
from gridhash.agents.rules import Hysteresis
from gridhash.envs.named_scenario import open_named_scenario
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.errors import TrainingError
from gridhash.training.play import play
from gridhash.training.rig_worths import earned, rig_path, worths
from gridhash.training.spans import Spans

pytest.importorskip("stable_baselines3")

from gridhash.training import worth_learning
from gridhash.training.boosted_worths import at_hashprice, known_features
from gridhash.training.config import TrainingConfig
from gridhash.training.learn import Learned
from gridhash.training.tuned_rules import BestRule
from gridhash.training.worth_learning import learn_by_worths
from gridhash.training.worth_settings import WorthSettings, worth_settings_of

DAYS = 30
DAY_ROWS = 288
SPANS = Spans(
    train=(DAY_ROWS, 18 * DAY_ROWS),
    validate=(18 * DAY_ROWS, 26 * DAY_ROWS),
    test=(26 * DAY_ROWS, DAYS * DAY_ROWS),
)
QUICK = WorthSettings(
    hashprice_factors=(0.8, 1.0),
    network_factors=(0.9, 1.0),
    n_iterations=2,
    n_trees=20,
    n_per_leaf=50,
    n_epochs=2,
)
BEGINNING = TrainingConfig(seed=3, begin_at="best_rule")


@pytest.fixture(scope="module")
def month() -> Scenario:
    return open_named_scenario("RealTimeNem", days=DAYS)


def run(scenario: Scenario, folder: Path) -> Learned:
    rule = Hysteresis(scenario.site)
    profit = play(scenario, rule, SPANS.validate).profit
    start = BestRule(rule=rule, profit=profit, rules={rule.name: rule})
    console = Console(file=StringIO())
    return learn_by_worths(
        scenario, SPANS, BEGINNING, QUICK, folder, resume=False, console=console, start=start
    )


def test_worths_of_the_best_decisions_are_those_of_the_plan_with_all_prices_known(
    month: Scenario,
) -> None:
    """Policy iteration along a path ends where Bellman's equation does."""
    rows = SPANS.train
    path = rig_path(month, rows, 0)
    decided = np.zeros((2, rows[1] - rows[0]), dtype=np.bool_)
    for _ in range(50):
        found = worths(path, *decided)
        if np.array_equal(found > 0.0, decided):
            break
        decided = found > 0.0
    plan = decision_advantages(month, rows)
    np.testing.assert_allclose(found[0], plan.keep[:, 0], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found[1], plan.stopped[:, 0, -1], rtol=1e-9, atol=1e-9)
    now = np.full(decided.shape[1], True)
    assert earned(path, *decided) > earned(path, now, now)


def test_what_a_rig_earns_is_what_the_kernel_plays(month: Scenario) -> None:
    rule = Hysteresis(month.site, start_ratio=0.85, stop_ratio=1.2)
    path = rig_path(month, SPANS.train, 0)
    reader = ObservationReader(month.site)
    price = month.rows[slice(*SPANS.train), reader.column("price_ratio_000")]
    mine = earned(path, price <= 1.2, price < 0.85) * month.params.n_rigs.sum()
    assert mine == pytest.approx(play(month, rule, SPANS.train).profit, rel=0.01)


def test_prices_per_break_even_move_with_the_hashprice(month: Scenario) -> None:
    reader = ObservationReader(month.site)
    one, other = (known_features(reader, s.rows[300:400]) for s in (month, at_hashprice(month, 2)))
    inside = np.abs(one[:, 0]) < 5.0  # observed ratios end there
    np.testing.assert_allclose(other[inside, 0] * 2.0, one[inside, 0], rtol=1e-5)
    np.testing.assert_array_equal(other[:, -3:], one[:, -3:])


def test_a_run_repeats_to_the_bit_and_never_looks_at_the_held_out_span(
    month: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worth_learning, "gains", lambda *_: True)
    first = run(month, tmp_path / "first")
    cut = month.trace.between(month.trace.start, month.trace.starts[SPANS.validate[1]])
    other = run(build_scenario(month.site, cut), tmp_path / "other")
    assert sorted(first.policy.weights) == sorted(other.policy.weights)
    for name, array in first.policy.weights.items():
        np.testing.assert_array_equal(array, other.policy.weights[name])
    agreement = first.curve.query("phase == 'network'")["agreement"]
    assert agreement.iloc[-1] > 0.8
    with pytest.raises(TrainingError, match="holds a run already"):
        run(month, tmp_path / "first")


def test_the_rule_is_kept_where_weeks_show_no_gain(
    month: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worth_learning, "gains", lambda *_: False)
    learned = run(month, tmp_path)
    assert isinstance(learned.policy, RelativePolicy)
    assert learned.start is not None
    seen = np.zeros((1, ObservationReader(month.site).n_features), dtype=np.float32)
    np.testing.assert_array_equal(learned.policy.act(seen), learned.start.rule.act(seen))
    assert learned.validation["learned"] == learned.start.profit


def test_what_worths_do_not_know_is_refused(tmp_path: Path) -> None:
    ercot = open_named_scenario("RealTimeErcot", days=DAYS)
    with pytest.raises(TrainingError, match="programs or coincident peaks"):
        learn_by_worths(
            ercot, SPANS, BEGINNING, QUICK, tmp_path, resume=False, console=Console(file=StringIO())
        )


def test_scenarios_are_named_with_or_without_their_real_series() -> None:
    assert worth_settings_of("RealTimeNem@real") == worth_settings_of("RealTimeNem")
    assert worth_settings_of("RealTimeNem") is not None
    assert worth_settings_of("JapanPilot") is None
    assert worth_settings_of(None) is None

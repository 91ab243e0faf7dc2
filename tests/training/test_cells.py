"""Cells made, kept, resumed and found out of date, on half a year of the sample."""

import signal
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from gridhash.agents.bound import perfect_foresight_bound
from gridhash.agents.roster import tuned_policy
from gridhash.agents.rule_registry import build_rule, parameters_of
from gridhash.agents.rules import LevelRule
from gridhash.agents.tuning import SearchBudget
from gridhash.data.fetch.folder_lock import locked
from gridhash.envs.open_scenario import ScenarioRequest
from gridhash.errors import DataError, PolicyError, TrainingError
from gridhash.training import cell_keys, checkpoint
from gridhash.training.cell_keys import is_current, keys_of
from gridhash.training.cell_maker import CellMaker
from gridhash.training.cells import CellId, path_of, read_cell, write_cell
from gridhash.training.config import TrainingConfig
from gridhash.training.learn import Learned
from gridhash.training.make_results import Order, make_results, wanted_cells
from gridhash.training.play import play
from gridhash.training.tuned_rules import BestRule

CASE = "half-year"


@pytest.fixture(autouse=True)
def half_year(monkeypatch: pytest.MonkeyPatch) -> None:
    request = ScenarioRequest(prices="nl_2018", start="2018-01-01", end="2018-07-01")
    monkeypatch.setattr(cell_keys, "PLAIN_CASES", {CASE: request})


@pytest.fixture
def maker(tmp_path: Path) -> CellMaker:
    return CellMaker(
        CASE, folder=tmp_path / "cells", work=tmp_path / "work", console=Console(file=StringIO())
    )


def cell_id(policy: str, seed: int = 0) -> CellId:
    return CellId(scenario=CASE, policy=policy, seed=seed)


def test_a_cell_holds_what_was_played_and_reads_back(maker: CellMaker, tmp_path: Path) -> None:
    cell = maker.make(cell_id("level_rule"))
    scenario, spans = maker.opened.scenario, maker.opened.spans
    run = play(scenario, LevelRule(scenario.site), spans.test)

    assert read_cell(path_of(cell.id, maker.folder)) == cell
    assert cell.profit("test") == pytest.approx(run.profit, abs=0.01)
    assert cell.days().sum() == pytest.approx(run.profit, abs=0.1)
    (test,) = cell.of_role("test")
    assert (test.start, test.end) == ("2018-05-16T00:00:00+02:00", "2018-07-01T02:00:00+02:00")
    assert test.ledger["hash_revenue"] == pytest.approx(run.frame["hash_revenue"].sum(), abs=0.01)
    assert cell.metric("energy_mwh") == pytest.approx(run.frame["site_kw"].sum() / 12e3, rel=1e-5)
    decision_us = cell.metric("decision_us")
    assert decision_us is not None
    assert decision_us > 0
    assert cell.synthetic == ()
    assert [p.name for p in (tmp_path / "work").iterdir()] == ["locks"], "nothing is left behind"


def test_the_bound_is_kept_by_day_and_is_above_every_policy(maker: CellMaker) -> None:
    bound = maker.make(cell_id("bound"))
    rule = maker.make(cell_id("level_rule"))
    whole = perfect_foresight_bound(
        maker.opened.scenario, maker.opened.spans.test, opens_accounts=True
    )

    assert bound.profit("test") == pytest.approx(whole.value, abs=0.01)
    assert bound.days().size == rule.days().size
    assert bound.days().sum() == pytest.approx(whole.value, abs=0.1)
    assert bound.days().sum() > rule.days().sum()
    assert bound.profit("validate") is None


def test_a_cell_that_was_cut_off_goes_on_with_what_was_kept(
    maker: CellMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tuning and validation are not done again after a kill in the test."""
    tuned, played = [], []

    def counted_tune(*args: Any, **options: Any) -> Any:
        tuned.append(args[0])
        return tuned_policy(*args, **options, budget=SearchBudget(n_wide=2, n_near=0))

    def cut_off(scenario: Any, policy: Any, rows: Any, **options: Any) -> Any:
        played.append(rows)
        if rows == maker.opened.spans.test and len(played) == 2:
            raise KeyboardInterrupt
        return play(scenario, policy, rows, **options)

    monkeypatch.setattr("gridhash.training.cell_maker.play", cut_off)
    monkeypatch.setattr("gridhash.training.cell_maker.tuned_policy", counted_tune)
    with pytest.raises(KeyboardInterrupt):
        maker.make(cell_id("hysteresis"))
    cell = maker.make(cell_id("hysteresis"))

    assert tuned == ["hysteresis"]
    assert played == [maker.opened.spans.validate, maker.opened.spans.test, played[1]]
    assert set(cell.parameters) == {"start_ratio", "stop_ratio"}
    again = maker.make(cell_id("hysteresis"))
    assert [p.daily_profit for p in again.parts] == [p.daily_profit for p in cell.parts]


@pytest.mark.parametrize("newest_is_better", [True, False])
def test_rule_and_start_of_learning_are_chosen_alike_by_validation(
    maker: CellMaker, monkeypatch: pytest.MonkeyPatch, newest_is_better: bool
) -> None:
    """A rule is tuned on the whole span and on its newest year: neither side wins by that alone."""
    scenario, rows = maker.opened.scenario, maker.opened.spans.validate
    low, high = (
        build_rule("hysteresis", {"start_ratio": start, "stop_ratio": 1.2}, site=scenario.site)
        for start in (0.5, 1.0)
    )
    profit = {id(rule): play(scenario, rule, rows).profit for rule in (low, high)}
    worse, better = sorted((low, high), key=lambda rule: profit[id(rule)])
    newest, whole = (better, worse) if newest_is_better else (worse, better)
    start = BestRule(rule=newest, profit=profit[id(newest)], rules={"hysteresis": newest})
    monkeypatch.setattr(CellMaker, "_newest", lambda *_: start)
    monkeypatch.setattr("gridhash.training.cell_maker.tuned_policy", lambda *_, **__: whole)

    cell = maker.make(cell_id("hysteresis"))
    assert cell.parameters == parameters_of(better)
    begins = maker._start(TrainingConfig())
    assert begins is not None
    assert parameters_of(begins.rule) == parameters_of(better)
    assert begins.profit == pytest.approx(profit[id(better)], abs=0.01)


def test_a_cell_is_out_of_date_where_what_it_depends_on_changed(
    maker: CellMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = maker.make(cell_id("always_on"))
    assert is_current(cell.id, maker.folder)
    write_cell(replace(cell, key="other"), maker.folder)
    assert not is_current(cell.id, maker.folder)
    assert not is_current(cell_id("level_rule"), maker.folder)

    keys = {keys_of(cell_id(name, seed)).key for name in ("always_on", "bound") for seed in (0, 1)}
    assert len(keys) == 4
    names = cell_keys.policies_of(CASE)
    assert len({keys_of(cell_id(name)).key for name in names}) == len(names)
    assert keys_of(cell_id("learned", 1)).code != keys_of(cell_id("bound")).code
    other = ScenarioRequest(prices="nl_2018", start="2018-01-02", end="2018-07-01")
    monkeypatch.setattr(cell_keys, "PLAIN_CASES", {CASE: other})
    cell_keys._setting_and_data.cache_clear()
    assert keys_of(cell.id).key != cell.key


def test_the_learned_policy_is_trained_with_its_seed_and_resumed_where_a_checkpoint_is(
    maker: CellMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, bool]] = []

    def trained(
        scenario: Any, _spans: Any, config: TrainingConfig, folder: Path, *, resume: bool, **_: Any
    ) -> Learned:
        asked.append((config.seed, resume))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / checkpoint.FILE_NAME).touch()
        if len(asked) == 1:
            raise KeyboardInterrupt
        return learned_as_level_rule(scenario)

    monkeypatch.setattr("gridhash.training.cell_maker.learn", trained)
    with pytest.raises(KeyboardInterrupt):
        maker.make(cell_id("learned", 3))
    cell = maker.make(cell_id("learned", 3))

    assert asked == [(3, False), (3, True)]
    assert cell.settings["seed"] == 3
    assert path_of(cell.id, maker.folder).name == "half-year-learned-seed3.json"


def learned_as_level_rule(scenario: Any) -> Learned:
    policy: Any = LevelRule(scenario.site)
    return Learned(policy=policy, curve=pd.DataFrame(), validation={}, start=None)


@pytest.mark.usefixtures("quick_tuning")
def test_seeds_share_the_tuned_rules_that_they_begin_at(
    maker: CellMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts, tuned = [], []

    def counted(name: str, *args: Any, **given: Any) -> Any:
        tuned.append(name)
        return tuned_policy(name, *args, **given)

    def trained(scenario: Any, *_: Any, start: BestRule | None, **__: Any) -> Learned:
        starts.append(start)
        return learned_as_level_rule(scenario)

    def settings_of(one: CellId) -> TrainingConfig:
        return TrainingConfig(seed=one.seed, begin_at="best_rule")

    monkeypatch.setattr("gridhash.training.tuned_rules.tuned_policy", counted)
    monkeypatch.setattr("gridhash.training.cell_maker.learn", trained)
    monkeypatch.setattr("gridhash.training.cell_maker.training_settings", settings_of)
    for seed in (0, 1):
        maker.make(cell_id("learned", seed))
    first, second = starts

    assert first is not None
    assert second is not None
    assert len(tuned) == len(set(tuned)) == len(first.rules)
    assert (first.rule.name, first.profit) == (second.rule.name, second.profit)
    assert parameters_of(first.rule) == parameters_of(second.rule)


def test_results_are_made_once_and_a_scenario_that_fails_stops_no_other(tmp_path: Path) -> None:
    out = StringIO()
    console = Console(file=out, width=200)
    where: dict[str, Any] = {
        "cells": tmp_path / "cells",
        "work": tmp_path / "work",
        "page_at": tmp_path / "page.md",
        "console": console,
    }
    order = Order(scenarios=(CASE, "Nowhere"), policies=("always_off", "level_rule"))

    assert not make_results(order, **where), "one scenario does not exist"
    assert "Nowhere: no scenario and no file is called Nowhere" in out.getvalue()
    assert "| level rule |" in (tmp_path / "page.md").read_text("utf-8")
    made = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "cells").iterdir()}
    assert sorted(made) == ["half-year-always_off-seed0.json", "half-year-level_rule-seed0.json"]
    assert make_results(replace(order, scenarios=(CASE,)), **where)
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "cells").iterdir()} == made


def test_the_budget_ends_a_run_that_was_started_deaf_to_interrupts(tmp_path: Path) -> None:
    """As a shell starts it in the background; afterwards all is as before."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        is_whole = make_results(
            Order(scenarios=(CASE,), policies=("bound",), budget_s=0.05),
            cells=tmp_path / "cells",
            work=tmp_path / "work",
            page_at=tmp_path / "page.md",
            console=Console(file=StringIO()),
        )
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)

    assert not is_whole


def test_a_cell_that_another_process_makes_is_left_to_it(maker: CellMaker, tmp_path: Path) -> None:
    with (
        locked(tmp_path / "work" / "locks" / "half-year-always_off-seed0"),
        pytest.raises(TrainingError, match="always_off-seed0 is being made by another process"),
    ):
        maker.make(cell_id("always_off"))
    assert maker.make(cell_id("always_off")).profit("test") is not None


def test_seeds_are_for_the_learned_policy_alone() -> None:
    ids = wanted_cells(CASE, Order(scenarios=(CASE,), seeds=(0, 1, 2)))

    assert [one.seed for one in ids if one.policy == "learned"] == [0, 1, 2]
    assert sum(one.policy == "level_rule" for one in ids) == 1
    assert {"bound", "day_ahead_dp", "stochastic_dp", "hysteresis"} <= {one.policy for one in ids}


def test_what_is_no_cell_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("{}", "utf-8")
    with pytest.raises(DataError, match="is no result cell"):
        read_cell(path)
    path.write_text('{"format_version": 1}', "utf-8")
    with pytest.raises(DataError, match="another version"):
        read_cell(path)
    with pytest.raises(PolicyError, match="no policy is called 'ppo'"):
        keys_of(cell_id("ppo"))

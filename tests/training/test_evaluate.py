import json
import math
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from gridhash.agents.bound import Bound, WindowBound
from gridhash.agents.day_ahead_dp import DayAheadDP
from gridhash.agents.policy import Policy
from gridhash.agents.rules import AlwaysOn, LevelRule
from gridhash.envs.ledger import LEDGER
from gridhash.envs.scenario import Scenario
from gridhash.errors import PolicyError
from gridhash.training.evaluate import (
    Evaluation,
    PolicyScore,
    evaluate,
    results_dict,
    write_results,
)
from gridhash.training.spans import Rows


def _score(evaluation: Evaluation, name: str) -> PolicyScore:
    return next(score for score in evaluation.scores if score.name == name)


def test_results_hold_the_promised_keys_and_nothing_that_json_cannot(
    evaluation: Evaluation, tmp_path: Path
) -> None:
    write_results(evaluation, tmp_path / "new" / "results.json")

    def refuse(constant: str) -> None:
        pytest.fail(f"results.json holds {constant}")

    text = (tmp_path / "new" / "results.json").read_text(encoding="utf-8")
    results = json.loads(text, parse_constant=refuse)
    assert set(results) == {
        "format_version", "gridhash", "site", "currency", "area", "source", "start", "end",
        "start_cost_per_fleet_start", "bound", "policies",
    }  # fmt: skip
    assert results["format_version"] == 1
    assert results["currency"] == "EUR"
    assert results["start"] == "2018-10-23T22:00:00+00:00"
    assert results["end"] == "2018-11-02T23:00:00+00:00"
    for policy in results["policies"]:
        assert set(policy) == {field.name for field in fields(PolicyScore)}
        for name in ("over_rule", "gap_closed"):
            assert set(policy[name]) == {"estimate", "low", "high"}


def test_results_are_those_of_the_evaluation(evaluation: Evaluation) -> None:
    results = results_dict(evaluation)

    assert [p["name"] for p in results["policies"]] == [
        "always_on", "level_rule", "day_ahead_dp", "learned",
    ]  # fmt: skip
    for policy, run in zip(results["policies"], evaluation.runs, strict=True):
        assert policy["profit"] == pytest.approx(run.frame["profit"].sum())
    assert results["bound"] == evaluation.bound.value


def test_no_policy_passes_the_bound(evaluation: Evaluation) -> None:
    assert all(score.profit <= evaluation.bound.value for score in evaluation.scores)


def test_the_references_stand_at_the_ends_of_their_scales(evaluation: Evaluation) -> None:
    rule, planner = _score(evaluation, "level_rule"), _score(evaluation, "day_ahead_dp")

    assert rule.over_rule.estimate == rule.over_rule.low == rule.over_rule.high == 0.0
    assert rule.gap_closed is not None
    assert rule.gap_closed.estimate == 0.0
    assert planner.gap_closed is not None
    assert planner.gap_closed.estimate == 1.0
    assert _score(evaluation, "always_on").uplift_frac == pytest.approx(0.0, abs=1e-12)


def test_scores_follow_from_the_frame(evaluation: Evaluation, scenario: Scenario) -> None:
    for score in evaluation.scores:
        frame = evaluation.run(score.name).frame
        energy_kwh = (frame["site_kw"] / 12.0).sum()
        cost = sum(frame[t.name].sum() for t in LEDGER if t.sign < 0 and "wear" not in t.name)

        assert score.energy_mwh == pytest.approx(energy_kwh / 1000.0)
        assert score.effective_price_per_kwh == pytest.approx(cost / energy_kwh)
        assert score.load_frac == pytest.approx(frame["rig_kw"].mean() / scenario.site.max_rig_kw)
        assert score.surplus_captured_frac is None
        assert score.decision_us > 0.0
        assert score.max_chip_temp_c < 85.0
    assert _score(evaluation, "always_on").fleet_starts == pytest.approx(1.0)


def test_a_bound_that_is_known_is_not_sought_again(
    scenario: Scenario, ten_days: Rows, evaluation: Evaluation
) -> None:
    site = scenario.site
    rows = (ten_days[0], ten_days[0] + 48)
    known = Bound(rows=rows, windows=(WindowBound(rows=rows, value=1e6, planned=1e6),))

    result = evaluate(
        scenario, [AlwaysOn(site), LevelRule(site), DayAheadDP(site)], rows, bound=known
    )

    assert result.bound is known


def test_without_anything_to_win_there_is_no_share_of_it(
    scenario: Scenario, ten_days: Rows
) -> None:
    site = scenario.site
    rows = (ten_days[0], ten_days[0] + 48)
    low = Bound(rows=rows, windows=(WindowBound(rows=rows, value=-1e6, planned=-1e6),))

    result = evaluate(
        scenario, [AlwaysOn(site), LevelRule(site), DayAheadDP(site)], rows, bound=low
    )

    assert all(score.uplift_frac is None for score in result.scores)


def test_progress_names_every_policy_and_the_bound(scenario: Scenario, ten_days: Rows) -> None:
    site = scenario.site
    told: list[str] = []

    evaluate(
        scenario,
        [AlwaysOn(site), LevelRule(site), DayAheadDP(site)],
        (ten_days[0], ten_days[0] + 48),
        progress=lambda name, done, total: told.append(name),
    )

    assert list(dict.fromkeys(told)) == ["always_on", "level_rule", "day_ahead_dp", "bound"]


@pytest.mark.parametrize("missing", ["always_on", "level_rule", "day_ahead_dp"])
def test_a_missing_reference_is_refused_by_name(
    missing: str, scenario: Scenario, ten_days: Rows
) -> None:
    site = scenario.site
    policies: list[Policy] = [AlwaysOn(site), LevelRule(site), DayAheadDP(site)]

    with pytest.raises(PolicyError, match=f"{missing} is missing"):
        evaluate(scenario, [p for p in policies if p.name != missing], ten_days)


def test_two_policies_of_one_name_are_refused(scenario: Scenario, ten_days: Rows) -> None:
    site = scenario.site
    policies: list[Policy] = [AlwaysOn(site), LevelRule(site), DayAheadDP(site), LevelRule(site)]

    with pytest.raises(PolicyError, match="two policies are called level_rule"):
        evaluate(scenario, policies, ten_days)


def test_results_that_are_no_numbers_are_not_written(
    evaluation: Evaluation, tmp_path: Path
) -> None:
    broken = replace(
        evaluation, scores=(replace(evaluation.scores[0], profit=math.nan), *evaluation.scores[1:])
    )

    with pytest.raises(ValueError, match="not JSON compliant"):
        write_results(broken, tmp_path / "results.json")

    assert not (tmp_path / "results.json").exists()


def test_the_shares_of_the_bound_rise_with_profit(evaluation: Evaluation) -> None:
    ranked = sorted(evaluation.scores, key=lambda score: score.profit)
    shares = [score.uplift_frac for score in ranked if score.uplift_frac is not None]

    assert len(shares) == 4
    assert (np.diff(shares) > 0).all()
    assert shares[-1] <= 1.0

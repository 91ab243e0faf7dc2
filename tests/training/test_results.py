import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from gridhash.errors import DataError
from gridhash.training.evaluate import Evaluation
from gridhash.training.metrics import METRICS
from gridhash.training.results import (
    Results,
    across_scenarios,
    read_results,
    results_of,
    results_schema,
    scenario_entry,
    write_results,
)
from gridhash.training.run_comparison import compare_runs, comparison_table, settings_lines

SCHEMA = Path(__file__).parents[2] / "docs" / "reference" / "results.schema.json"


@pytest.fixture(scope="module")
def results(evaluation: Evaluation) -> Results:
    return results_of([scenario_entry(evaluation)], settings={"ablate": []})


def test_the_published_schema_is_that_of_the_models() -> None:
    assert json.loads(SCHEMA.read_text("utf-8")) == results_schema(), (
        "run python scripts/build_reference.py and commit docs/reference/results.schema.json"
    )


def test_what_is_written_follows_the_published_schema_and_reads_back_the_same(
    results: Results, tmp_path: Path
) -> None:
    write_results(results, tmp_path / "new" / "results.json")

    def refuse(constant: str) -> None:
        pytest.fail(f"results.json holds {constant}")

    text = (tmp_path / "new" / "results.json").read_text(encoding="utf-8")
    written = json.loads(text, parse_constant=refuse)
    schema = json.loads(SCHEMA.read_text("utf-8"))
    jsonschema.validate(written, schema)
    assert read_results(tmp_path / "new") == results
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["results.json"]


def test_the_schema_refuses_what_is_no_result(results: Results) -> None:
    schema = json.loads(SCHEMA.read_text("utf-8"))
    good = json.loads(results.model_dump_json())

    for key, value in (("format_version", 1), ("complete", "yes"), ("scenarios", [{}])):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(good | {key: value}, schema)
    with pytest.raises(jsonschema.ValidationError, match="'more' was unexpected"):
        jsonschema.validate(good | {"more": 1}, schema)


def test_results_are_those_of_the_evaluation(results: Results, evaluation: Evaluation) -> None:
    scenario = results.scenarios[0]

    assert scenario.currency == "EUR"
    assert scenario.start.isoformat() == "2018-10-23T22:00:00+00:00"
    assert scenario.end.isoformat() == "2018-11-02T23:00:00+00:00"
    assert (scenario.first_day.isoformat(), scenario.n_days) == ("2018-10-24", 10)
    assert scenario.bound == evaluation.bound.value
    assert scenario.hashprice.usd_per_phs_day == 27.4521
    assert scenario.hashprice.mark == "assumed"
    for policy, score in zip(scenario.policies, evaluation.scores, strict=True):
        assert set(policy.metrics) == {metric.name for metric in METRICS}
        profit = evaluation.run(score.name).frame["profit"].sum()
        assert policy.metrics["profit"] == pytest.approx(profit)
        assert sum(policy.seeds[0].daily_profit) == pytest.approx(profit)


def test_a_result_that_is_no_number_is_not_written(evaluation: Evaluation) -> None:
    score = evaluation.scores[0]
    broken = replace(score, metrics=score.metrics | {"profit": math.nan})

    with pytest.raises(ValidationError, match="finite number"):
        scenario_entry(replace(evaluation, scores=(broken, *evaluation.scores[1:])))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no JSON"),
        ('{"format_version": 1}', "format_version is 1; this gridhash reads version 2"),
        ("[]", "format_version is None"),
        ('{"format_version": 2}', "scenarios"),
    ],
)
def test_a_file_that_holds_no_results_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(text, encoding="utf-8")

    with pytest.raises(DataError, match=message):
        read_results(tmp_path)


def test_a_folder_without_results_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such file; `gridhash evaluate --out FOLDER`"):
        read_results(tmp_path)


def test_over_several_scenarios_policies_are_ranked_by_their_uplift(
    evaluation: Evaluation,
) -> None:
    first = scenario_entry(evaluation)
    second = first.model_copy(update={"name": "another"})

    across = {entry.name: entry for entry in across_scenarios([first, second])}

    assert across_scenarios([first]) == []
    learned = across["learned"]
    uplift = evaluation.score("learned").value("uplift_frac")
    assert learned.scores == {first.name: [uplift], "another": [uplift]}
    assert learned.iqm.estimate == pytest.approx(uplift)
    raw = first.policies[3].over_best_rule
    assert raw is not None
    assert learned.p_values[first.name] == pytest.approx(min(1.0, 2.0 * raw.p_value))
    assert across["always_on"].iqm.estimate == pytest.approx(0.0, abs=1e-12)
    assert across["level_rule"].p_values == {}


# Two runs side by side.


def _changed(results: Results, **updates: Any) -> Results:
    scenario = results.scenarios[0].model_copy(update=updates)
    return results.model_copy(update={"scenarios": [scenario]})


def test_a_run_beside_itself_has_no_differences(results: Results) -> None:
    comparison = compare_runs(results, results)

    assert [change.name for change in comparison.changes] == [
        "always_on", "level_rule", "day_ahead_dp", "learned",
    ]  # fmt: skip
    for change in comparison.changes:
        assert (change.change.low, change.change.estimate, change.change.high) == (0.0, 0.0, 0.0)
        assert change.corrected_p == 1.0
    assert settings_lines(comparison) == ["nothing was set otherwise"]


def test_days_of_two_runs_are_paired_and_policies_that_stand_alone_are_named(
    results: Results,
) -> None:
    policies = results.scenarios[0].policies
    richer = (
        policies[3]
        .seeds[0]
        .model_copy(update={"daily_profit": [x + 5.0 for x in policies[3].seeds[0].daily_profit]})
    )
    learned = policies[3].model_copy(update={"seeds": [richer]})
    other = _changed(results, policies=[*policies[:2], learned], start_cost_per_fleet_start=99.0)

    comparison = compare_runs(results, other)

    change = comparison.changes[-1]
    assert change.name == "learned"
    assert (change.change.low, change.change.high) == pytest.approx((50.0, 50.0))
    assert change.after - change.before == pytest.approx(50.0)
    assert change.corrected_p < 0.05
    name = results.scenarios[0].name
    assert comparison.only_first == (f"{name}: day_ahead_dp",)
    assert comparison.settings[f"{name}: start cost"] == ("30 EUR", "99 EUR")
    assert comparison_table(comparison).row_count == 3


@pytest.mark.parametrize(
    ("updates", "message"),
    [
        ({"name": "elsewhere"}, "hold other scenarios"),
        ({"n_days": 9}, "play other spans, 10 days from 2018-10-24 and 9 days"),
        ({"currency": "JPY"}, "is in EUR in one run and in JPY in the other"),
    ],
)
def test_runs_that_cannot_be_paired_are_refused(
    updates: dict[str, Any], message: str, results: Results
) -> None:
    with pytest.raises(DataError, match=message):
        compare_runs(results, _changed(results, **updates))

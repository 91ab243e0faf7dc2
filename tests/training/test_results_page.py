"""The page of results, from cells with profits that can be followed by hand."""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from gridhash.training.cells import Cell, CellId, CellPart
from gridhash.training.results_page import compared, is_rule, page, scenario_results

DAYS = 28


def cell(
    policy: str, test: Sequence[float], validation: float | None, *, seed: int = 0, name: str = "A"
) -> Cell:
    """Return a cell with two test parts of 14 days that earn alike each day."""
    parts = [
        CellPart(
            role="test",
            start=f"2022-0{k + 1}-01T00:00:00+09:00",
            end=f"2022-0{k + 1}-15T00:00:00+09:00",
            profit=14.0 * profit,
            daily_profit=(profit,) * 14,
            metrics={"fleet_starts": 3.0, "load_frac": 0.5, "decision_us": 12.0},
        )
        for k, profit in enumerate(test)
    ]
    if validation is not None:
        chosen = replace(parts[0], role="validate", profit=validation)
        parts.insert(0, chosen)
    return Cell(
        id=CellId(scenario=name, policy=policy, seed=seed),
        key="k",
        code="c",
        currency="JPY",
        source="somewhere",
        synthetic=("outdoor_temp_c: climate", "pause_order: drawn"),
        exploratory=False,
        spans={"train": ("2016-04-02", "2021-03-23")},
        parameters={"start_ratio": 1.25} if policy == "hysteresis" else {},
        settings={},
        made_in_s=61.0 if policy == "learned" else 0.0,
        parts=tuple(parts),
    )


@pytest.fixture
def cells() -> list[Cell]:
    """Validation prefers hysteresis of the rules and the day-ahead plan of all; the test not."""
    return [
        cell("always_on", (1.0, 1.0), 10.0),
        cell("level_rule", (12.0, 12.0), 20.0),
        cell("hysteresis", (10.0, 10.0), 30.0),
        cell("day_ahead_dp", (14.0, 14.0), 40.0),
        cell("learned", (15.0, 15.0), 50.0, seed=0),
        cell("learned", (17.0, 17.0), 50.0, seed=1),
        cell("bound", (20.0, 20.0), None),
    ]


def test_what_is_best_is_chosen_on_validation_and_never_on_the_test(cells: list[Cell]) -> None:
    (results,) = scenario_results(cells)
    rule, best = results.best(rules_only=True), results.best(rules_only=False)

    assert rule is not None
    assert best is not None
    assert (rule.id.policy, best.id.policy) == ("hysteresis", "day_ahead_dp")
    assert is_rule("hysteresis")
    assert not is_rule("day_ahead_dp")
    assert not is_rule("learned")


def test_gains_are_those_of_the_mean_of_seeds_over_all_parts(cells: list[Cell]) -> None:
    """(16 − 10) x 28 days over the rule, (16 − 14) x 28 over B*, 6 of 10 of the gap closed."""
    one = compared(scenario_results(cells)[0])

    assert one is not None
    assert one.over_rule.estimate == pytest.approx(6.0 * DAYS)
    assert one.over_best.estimate == pytest.approx(2.0 * DAYS)
    assert one.closed is not None
    assert one.closed.estimate == pytest.approx(0.6)
    assert one.over_rule.low < 6.0 * DAYS < one.over_rule.high, "two seeds differ"


def test_the_page_shows_every_seed_every_part_and_what_is_derived(cells: list[Cell]) -> None:
    text = page(cells, old={"A-bound-seed0"})

    assert "| [A](#a) | 28 | JPY | 28 | 336 | 280 (hysteresis) | 392 (day ahead dp) " in text
    assert "| 448 (2 seeds) | 560 | +168 [" in text
    for seed, profit, share in ((0, 210, "50.0%"), (1, 238, "70.0%")):
        assert re.search(rf"learned, seed {seed} \| 50 \| {profit} \| {profit} \| {share}", text)
    assert "| hysteresis | 30 | 140 | 140 | 0.0% | 50.0% | 6 |" in text
    assert "start_ratio 1.25" in text
    assert "| bound † | – | 280 | 280 | 100.0% |" in text
    assert "Drawn or derived: outdoor_temp_c; pause_order." in text
    assert "from 2022-01-01 | from 2022-02-01" in text


def test_exploratory_scenarios_are_marked_and_take_no_part_in_the_correction(
    cells: list[Cell],
) -> None:
    rng = np.random.default_rng(0)

    def noisy(one: Cell, name: str, exploratory: bool) -> Cell:
        parts = tuple(
            replace(part, daily_profit=tuple(rng.normal(part.daily_profit, 3.0)))
            for part in one.parts
        )
        return replace(one, id=replace(one.id, scenario=name), parts=parts, exploratory=exploratory)

    two = [noisy(one, name, False) for name in ("A", "B") for one in cells]
    text = page([*two, *(noisy(one, "C", True) for one in cells)], old=())
    rows = {name: text.split(f"| [{name}]")[1].split("\n")[0].split(" | ") for name in "ABC"}

    assert ", exploratory" in rows["C"][0]
    assert rows["C"][10] == "–"
    assert float(rows["A"][10]) < 1.0
    assert "**Exploratory.**" in text


def test_cells_of_other_days_and_unfinished_scenarios_are_no_comparison(cells: list[Cell]) -> None:
    other = cell("look_ahead_rule", (99.0,), 99.0)
    (results,) = scenario_results([*cells, other])

    assert other not in results.cells
    assert compared(scenario_results(cells[:4])[0]) is None
    assert "| – | – | – | – |" in page(cells[:4], old=())


def test_how_base_points_are_kept_stands_where_there_are_some(cells: list[Cell]) -> None:
    kept = {"base_points_met_frac": 0.9, "base_point_deviation_frac": 0.0168}

    def with_points(one: Cell) -> Cell:
        parts = [replace(part, metrics={**part.metrics, **kept}) for part in one.parts]
        return replace(one, parts=tuple(parts))

    lines = page([*map(with_points, cells[:-1]), cells[-1]], ()).splitlines()

    (header,) = [line for line in lines if line.startswith("| policy |")]
    assert "| base points met | mean distance | full load |" in header
    assert lines[lines.index(header) + 1].count("---") == header.count(" | ") + 1
    rows = [line for line in lines if line.startswith(("| level rule | 20", "| bound | –"))]
    assert [row.split(" | ")[5:7] for row in rows] == [["90.00%", "1.68%"], ["–", "–"]]
    assert "base points met" not in page(cells, ())

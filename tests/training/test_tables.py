import io
from dataclasses import replace

from rich.console import Console

from gridhash.training.evaluate import Evaluation
from gridhash.training.tables import score_table


def _printed(evaluation: Evaluation, width: int = 100) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(score_table(evaluation))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def _scaled(evaluation: Evaluation, factor: float, names: dict[str, str]) -> Evaluation:
    def scale(value: float) -> float:
        return value * factor

    return replace(
        evaluation,
        runs=tuple(replace(r, name=names.get(r.name, r.name)) for r in evaluation.runs),
        scores=tuple(
            replace(
                score,
                name=names.get(score.name, score.name),
                metrics=score.metrics | {"profit": scale(score.profit)},
                over_rule=replace(
                    score.over_rule,
                    estimate=scale(score.over_rule.estimate),
                    low=scale(score.over_rule.low),
                    high=scale(score.over_rule.high),
                ),
            )
            for score in evaluation.scores
        ),
    )


def test_the_table_fits_a_hundred_columns_with_nothing_cut_off(evaluation: Evaluation) -> None:
    for factor in (1.0, 900.0, 5000.0, 1e6):
        lines = _printed(_scaled(evaluation, factor, {"learned": "break_even_on_off"}))

        assert max(map(len, lines)) <= 100
        assert not any("…" in line for line in lines)
        assert sum(line.lstrip().startswith("break-even on/off") for line in lines) == 1


def test_policies_stand_by_falling_profit_with_the_bound_last(evaluation: Evaluation) -> None:
    lines = _printed(evaluation)
    ranked = sorted(evaluation.scores, key=lambda score: -score.profit)

    body = [line.split()[0] for line in lines if line.strip()]
    names = [name for name in body if name in ("day-ahead", "level", "learned", "always", "bound")]

    first_words = {"day_ahead_dp": "day-ahead", "level_rule": "level", "always_on": "always"}
    expected = [first_words.get(score.name, score.name) for score in ranked]
    assert names == [*expected, "bound"]


def test_numbers_end_in_the_same_column_as_their_header(evaluation: Evaluation) -> None:
    lines = _printed(evaluation)
    header = next(line for line in lines if line.lstrip().startswith("policy"))
    end = header.index("EUR") + 3

    for score in evaluation.scores:
        amount = f"{score.profit:,.0f}"
        assert any(line[:end].endswith(f" {amount}") for line in lines)


def test_the_header_names_the_currency_and_thousands_where_amounts_are_in_them(
    evaluation: Evaluation,
) -> None:
    small, large = _printed(evaluation), _printed(_scaled(evaluation, 5000.0, {}))

    assert any(line.count("EUR") == 2 and "1000" not in line for line in small)
    assert any(line.count("1000 EUR") == 2 for line in large)


def test_an_interval_is_half_its_width_beside_the_estimate(evaluation: Evaluation) -> None:
    gain = next(s for s in evaluation.scores if s.name == "learned").over_rule

    expected = f"{gain.estimate:+,.0f} ±{(gain.high - gain.low) / 2.0:,.0f}"

    assert any("learned" in line and expected in line for line in _printed(evaluation))


def test_brackets_in_a_name_are_no_markup(evaluation: Evaluation) -> None:
    lines = _printed(_scaled(evaluation, 1.0, {"learned": "learned [red]"}))

    assert any("learned [red]" in line for line in lines)

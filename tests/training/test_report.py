import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from gridhash.training.evaluate import Evaluation
from gridhash.training.metrics import METRICS
from gridhash.training.report import write_report
from gridhash.training.report_index import write_index
from gridhash.training.report_plots import busiest_week, difference_map, money_axis
from gridhash.training.report_policy import (
    RATIO_EDGES,
    power_by_price_and,
    regret_table,
    shadow_picture,
)
from gridhash.training.report_profiles import ledger_sums, running_by_ratio
from gridhash.training.report_svg import SCHEMES, spread
from gridhash.training.report_text import label, read, verdict
from gridhash.training.results import results_of, scenario_entry
from gridhash.training.sensitivity import Variant, VariantScore

HOSTILE = 'learned <script>alert("x")</script> & $\\frac{1}{0}$ "quoted"'
VOID = {"meta", "br", "hr", "img", "link", "input", "path", "use", "rect", "image", "circle"}

AsLearned = Callable[[Evaluation, str], Evaluation]


class Page(HTMLParser):
    """Text, table rows and attributes of a page; refuses tags that are not closed in order."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.rows: list[list[str]] = []
        self.said: list[str] = []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag == "small" and self.rows and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += "|"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("style", "script"):
            return
        self.said.append(data)
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data

    def row(self, name: str) -> list[str]:
        return next(row for row in self.rows if row and row[0] == name)

    @property
    def text(self) -> str:
        return " ".join(self.said)


def _write(evaluation: Evaluation, folder: Path) -> str:
    path = folder / "deep" / "report.html"
    write_report(evaluation, path, title="A test")
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def source(evaluation: Evaluation, tmp_path_factory: pytest.TempPathFactory) -> str:
    return _write(evaluation, tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def odd_source(evaluation: Evaluation, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a report of all that is unusual: hostile names, synthetic prices, no figures."""
    scenario = evaluation.scenario
    odd = replace(
        evaluation,
        scenario=replace(
            scenario,
            site=scenario.site.model_copy(update={"figures": ()}),
            trace=replace(scenario.trace, source="synthetic kyushu FY2024 seed 0"),
        ),
        runs=tuple(replace(r, name=HOSTILE) if r.name == "learned" else r for r in evaluation.runs),
        scores=tuple(
            replace(s, name=HOSTILE) if s.name == "learned" else s for s in evaluation.scores
        ),
    )
    curve = pd.DataFrame(
        {
            "phase": ["clone", "clone", "ppo"],
            "step": [1, 2, 1],
            "loss": [1.0, 0.5, np.nan],
            "validation_profit": [np.nan, np.nan, 900.0],
        }
    )
    path = tmp_path_factory.mktemp("odd") / "report.html"
    write_report(
        odd, path, title="<b>title</b> & more", training_curve=curve, notes=["a <note> & 'so'"]
    )
    return path.read_text(encoding="utf-8")


def _amount(value: float) -> str:
    return f"{round(value):,}".replace("-", "−")


def test_the_report_asks_nothing_of_the_network(source: str) -> None:
    page = Page(source)

    for name, value in page.attributes:
        if name in ("src", "href", "xlink:href", "data", "action", "srcset"):
            assert value.startswith(("#", "data:")), (name, value)
    assert "<script" not in source
    assert "@import" not in source
    assert "http" not in source
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)", source))


def test_the_report_is_one_file_of_moderate_size_and_the_same_each_time(
    source: str, evaluation: Evaluation, tmp_path: Path
) -> None:
    again = _write(evaluation, tmp_path)

    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.name for path in files] == ["report.html"]
    assert 50_000 < files[0].stat().st_size < 3_000_000
    assert again == source


def test_the_table_holds_the_numbers_of_results_json_by_falling_profit(
    source: str, evaluation: Evaluation
) -> None:
    page = Page(source)
    results = scenario_entry(evaluation).model_dump()

    bound = page.row("perfect-foresight bound")
    assert bound[1] == _amount(results["bound"])
    for policy in results["policies"]:
        row = page.row(label(policy["name"]))
        own = policy["metrics"]
        assert row[1] == _amount(own["profit"])
        assert row[5] == f"{own['energy_mwh']:,.0f}"
        assert row[6] == f"{1000.0 * own['effective_price_per_kwh']:,.2f}"
        assert row[7] == f"{100.0 * own['load_frac']:.1f} %"
        assert row[8] == f"{own['fleet_starts']:.1f}"
        assert row[9] == f"{own['wear_cycles_per_year']:.1f}"
        if policy["name"] != "level_rule":
            gain = policy["over_rule"]
            ends = " … ".join(f"{gain[k]:+,.0f}".replace("-", "−") for k in ("low", "high"))
            assert row[2].split("|")[1] == ends
    profits = [float(row[1].replace(",", "").replace("−", "-")) for row in page.rows[1:6]]
    assert profits == sorted(profits, reverse=True)


def test_the_learned_policy_is_marked_in_the_table(source: str) -> None:
    assert re.findall(r'<tr class="focus"><th scope="row">([^<]*)', source) == ["learned"]


def test_names_titles_and_notes_are_shown_and_never_run(odd_source: str) -> None:
    page = Page(odd_source)

    assert "<script" not in odd_source
    assert "<b>title" not in odd_source
    assert page.row(HOSTILE)
    assert "<b>title</b> & more" in page.text
    assert "a <note> & 'so'" in page.text


def test_light_and_dark_colours_are_roles_and_no_figure_names_one(source: str) -> None:
    figures = "".join(re.findall(r"<svg.*?</svg>", source, flags=re.S))

    assert "prefers-color-scheme:dark" in source
    assert "var(--focus)" in figures
    for colours in SCHEMES.values():
        assert colours[0] not in figures
        assert all(f":{colour};" in source for colour in colours)


def test_every_figure_stands_there_for_wide_and_narrow_screens_with_a_name(source: str) -> None:
    keys = [
        "seeds", "ledger", "cumulative", "week", "map", "duration", "regret", "regret_map",
        "heat_map", "hottest_day",
    ]  # fmt: skip

    assert re.findall(r'<section id="(\w+)"><h2>[^<]*</h2><figure>', source) == keys
    assert len(
        re.findall(r'<svg viewBox="[^"]*" role="img" aria-label="[^"]+">', source)
    ) == 2 * len(keys)


def test_ids_on_the_page_are_unique(source: str) -> None:
    ids = [value for name, value in Page(source).attributes if name == "id"]

    assert len(ids) == len(set(ids))


def test_a_training_curve_is_drawn_if_there_is_one(source: str, odd_source: str) -> None:
    assert '<section id="training">' not in source
    assert '<section id="training">' in odd_source
    assert "validation profit" in odd_source


def test_real_prices_are_real_and_synthetic_ones_simulated(source: str, odd_source: str) -> None:
    def box(kind: str, text: str) -> str:
        found: list[str] = re.findall(rf'<div class="{kind}">(.*?)</div>', text)
        return found[0]

    assert "SMARD day-ahead nl_2018.csv" in box("real", source)
    assert "synthetic kyushu" in box("simulated", odd_source)
    assert "synthetic" not in box("real", odd_source)


def test_every_figure_of_the_site_is_listed_with_its_mark_and_source(
    source: str, evaluation: Evaluation
) -> None:
    page = Page(source)

    assert evaluation.scenario.site.figures
    for figure in evaluation.scenario.site.figures:
        assert page.row(figure.figure)[1:] == [figure.mark, figure.source]


def test_a_site_without_sources_says_so(odd_source: str) -> None:
    assert "names no sources" in odd_source


def test_the_verdict_says_that_the_rule_wins_when_it_does(
    evaluation: Evaluation, as_learned: AsLearned
) -> None:
    first, second, third = verdict(read(as_learned(evaluation, "always_on")))

    assert first.startswith("The level rule wins: the learned policy earned")
    assert "is still ahead" in second
    assert third.startswith("Highest profit has the day-ahead DP")


def test_the_verdict_names_no_winner_between_equals(
    evaluation: Evaluation, as_learned: AsLearned
) -> None:
    first, _, _ = verdict(read(as_learned(evaluation, "level_rule")))

    assert first.startswith("No winner between the learned policy and the level rule: 0 EUR")
    assert "holds zero" in first


def test_the_verdict_does_not_claim_to_beat_the_planner_it_equals(
    evaluation: Evaluation, as_learned: AsLearned
) -> None:
    first, second, _ = verdict(read(as_learned(evaluation, "day_ahead_dp")))

    assert "more than the level rule" in first
    assert second.startswith("The day-ahead DP and the learned policy cannot be told apart")


def test_a_comparison_without_a_learned_policy_is_still_a_report(
    evaluation: Evaluation, tmp_path: Path
) -> None:
    rules = replace(
        evaluation,
        runs=tuple(r for r in evaluation.runs if r.name != "learned"),
        scores=tuple(s for s in evaluation.scores if s.name != "learned"),
    )

    source = _write(rules, tmp_path)

    assert read(rules).focus == "day_ahead_dp"
    assert "The day-ahead DP earned" in source
    assert '<section id="heat_map">' not in source


def test_the_busiest_week_is_seven_local_days_with_the_most_starts(evaluation: Evaluation) -> None:
    reading = read(evaluation)

    span = busiest_week(reading)

    starts = sum(reading.evaluation.run(name).frame["rigs_started"] for name in reading.shown)
    assert isinstance(starts, pd.Series)
    local = pd.DatetimeIndex(starts.index).tz_convert(reading.timezone)
    daily = starts.groupby(local.date).sum()
    assert len(set(local.date[span])) == 7
    assert local[span][0].hour == local[span][0].minute == 0
    assert starts.iloc[span].sum() == pytest.approx(daily.rolling(7).sum().max())


def test_the_ledger_adds_up_to_profit(evaluation: Evaluation) -> None:
    reading = read(evaluation)

    for score in evaluation.scores:
        assert sum(ledger_sums(reading, score.name).values()) == pytest.approx(score.profit)


def test_the_rule_runs_below_break_even_and_stands_above_it(evaluation: Evaluation) -> None:
    ratio, share = running_by_ratio(read(evaluation), "level_rule")

    assert (share[ratio < 0.9] > 0.95).all()
    assert (share[ratio > 1.1] < 0.05).all()


def test_the_difference_map_has_a_cell_for_every_hour_of_every_day(evaluation: Evaluation) -> None:
    table, days = difference_map(read(evaluation))

    learned = evaluation.run("learned").frame["rig_kw"]
    planner = evaluation.run("day_ahead_dp").frame["rig_kw"]
    assert table.shape == (24, 10)
    assert len(days) == 10
    first_hour = float((learned - planner).iloc[:12].mean()) / evaluation.scenario.site.max_rig_kw
    assert table[0, 0] == pytest.approx(first_hour)
    assert -1.0 <= np.nanmin(table) <= np.nanmax(table) <= 1.0


@pytest.mark.parametrize("top", [0.021, 0.1, 3.2, 9.0, 123_456.0])
def test_no_two_ticks_of_an_axis_read_the_same(top: float) -> None:
    axes = Figure().subplots()
    axes.plot([0.0, top])

    money_axis(axes)

    low, high = axes.get_ylim()
    ticks = [tick for tick in axes.get_yticks() if low <= tick <= high]
    words = [axes.yaxis.get_major_formatter()(tick, 0) for tick in ticks]
    assert len(set(words)) == len(words) >= 4


@given(
    heights=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8).map(sorted),
    gap=st.floats(0.01, 0.2),
)
def test_labels_are_moved_apart_in_their_order(heights: list[float], gap: float) -> None:
    moved = spread(heights, gap)

    assert len(moved) == len(heights)
    assert (np.diff(moved) >= gap - 1e-9).all()
    assert np.mean(moved) == pytest.approx(np.mean(heights))


def test_the_hashprice_is_stated_at_the_top(source: str, evaluation: Evaluation) -> None:
    header = source.partition("</header>")[0]

    assert "27.45 USD/(PH/s)/day at 0.85 EUR per USD, assumed, undated" in header
    assert evaluation.card.sentence in Page(source).text


def test_every_metric_stands_there_with_its_definition(source: str, evaluation: Evaluation) -> None:
    page = Page(source)

    for metric in METRICS:
        value = evaluation.score("learned").metrics[metric.name]
        rows = [row for row in page.rows if row and row[0].split("|")[0] == metric.label]
        others = [evaluation.score(n).metrics[metric.name] for n in ("always_on", "level_rule")]
        if value is None and others == [None, None]:
            assert rows == []
            continue
        assert rows[0][-1] == metric.definition


def test_the_policy_map_is_by_price_and_hour_where_there_is_no_surplus(
    evaluation: Evaluation,
) -> None:
    reading = read(evaluation)

    mean, edges, what, counts = power_by_price_and(reading, "level_rule")

    assert what.startswith("hour of the day")
    assert mean.shape == counts.shape == (24, len(RATIO_EDGES) - 1)
    assert len(edges) == 25
    assert counts.sum() == len(evaluation.run("level_rule").frame)
    cheap, dear = RATIO_EDGES[1:] <= 0.875, RATIO_EDGES[:-1] >= 1.125
    assert np.nanmin(mean[:, cheap]) > 0.9
    assert np.nanmax(mean[:, dear]) < 0.1
    whole = np.nansum(mean * counts) / counts.sum()
    assert whole == pytest.approx(evaluation.score("level_rule").value("load_frac"))


def test_the_regret_map_adds_up_to_what_was_lost_to_the_planner(evaluation: Evaluation) -> None:
    lost, months = regret_table(read(evaluation))

    assert lost.shape == (24, 2)
    assert months == ["2018-10", "2018-11"]
    behind = evaluation.score("day_ahead_dp").profit - evaluation.score("learned").profit
    assert lost.sum() == pytest.approx(behind)


def test_shadow_prices_are_drawn_of_a_policy_that_acts_by_them(evaluation: Evaluation) -> None:
    reading = read(evaluation)
    assert shadow_picture(reading) is None
    run = evaluation.run("learned")
    frame = run.frame.assign(shadow_price_per_kwh_loop_a=0.01, shadow_price_per_kwh_loop_b=-0.01)
    acting = replace(
        evaluation,
        runs=tuple(replace(r, frame=frame) if r.name == "learned" else r for r in evaluation.runs),
    )

    drawn = shadow_picture(read(acting))

    assert drawn is not None
    assert "held power back in 50 % of the time" in drawn.title
    assert "mean 0.00, from −10.00 to 10.00 EUR/MWh" in drawn.caption


def test_seeds_variants_and_caveats_are_shown_where_there_are_some(
    evaluation: Evaluation, tmp_path: Path
) -> None:
    score = evaluation.score("learned")
    seeds = tuple(replace(score.seeds[0], run_name=f"learned-seed{k}", seed=k) for k in range(3))
    gains = [
        VariantScore(name=s.name, profit=s.profit, over_rule=s.over_rule, gap_closed=s.gap_closed)
        for s in evaluation.scores
        if s.name != "always_on"
    ]
    several = replace(
        evaluation,
        scores=tuple(
            replace(s, seeds=seeds, note="zero-shot: trained elsewhere") if s is score else s
            for s in evaluation.scores
        ),
        runs=tuple(
            replace(r, name="learned-seed0") if r.name == "learned" else r for r in evaluation.runs
        ),
        sensitivity=(Variant(name="hashprice -40 %", scores=tuple(gains)),),
        not_played={"other.bundle": "12 features differ"},
        stopped=True,
    )

    page = Page(_write(several, tmp_path))

    assert page.row("learned, seed 2")[1] == _amount(score.profit)
    assert page.row("hashprice −40 %")
    assert "Learned: zero-shot: trained elsewhere." in page.text
    assert "other.bundle did not play: 12 features differ." in page.text
    assert "stopped before all had played" in page.text
    assert "means over 3 seeds" in page.text
    assert "the one that earned most, seed0" in page.text
    assert "circles: each training seed" in page.text


def test_the_page_above_several_reports_links_them_and_ranks_policies(
    evaluation: Evaluation, tmp_path: Path
) -> None:
    first = scenario_entry(evaluation)
    second = first.model_copy(update={"name": "another"})

    write_index(results_of([first, second]), tmp_path / "report.html")

    source = (tmp_path / "report.html").read_text(encoding="utf-8")
    page = Page(source)
    assert ("href", "another/report.html") in page.attributes
    assert page.row("day-ahead DP")[1].startswith("99")
    assert page.row("always on")[2:4] == ["0.0 %", "0.0 %"]
    assert '<section id="profiles">' in source

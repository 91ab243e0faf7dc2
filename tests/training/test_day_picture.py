"""A day of a scenario: which, under which rule, and the file it is drawn to."""

from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest

from gridhash.agents.roster import build_policy, policy_names
from gridhash.envs import columns as c
from gridhash.envs.day_view import best_break_even_ratio
from gridhash.envs.lively_day import lively_day, playable_days, rows_of_day
from gridhash.envs.named_scenario import open_named_scenario
from gridhash.envs.scenario import Scenario
from gridhash.errors import ConfigError, DataError
from gridhash.training.day_picture import PlayedDay, play_day, write_day_picture
from gridhash.training.play import play

DAYS = 40


@pytest.fixture(scope="module")
def pilot() -> Scenario:
    return open_named_scenario("JapanPilot", years=1, days=DAYS)


@pytest.fixture(scope="module")
def played(pilot: Scenario) -> PlayedDay:
    return play_day(pilot, date(2023, 5, 1))


@pytest.fixture(scope="module")
def europe() -> Scenario:
    """Some months over the change of the clock."""
    return open_named_scenario("DayAheadEurope", days=120)


def test_days_are_whole_and_local_also_where_the_clock_changes(europe: Scenario) -> None:
    days = playable_days(europe)
    rows = days.end_row - days.first_row
    starts = europe.trace.starts[days.first_row].tz_convert("Europe/Amsterdam")
    assert (starts == starts.normalize()).all()
    (spring,) = starts[rows == 23]
    assert (spring.month, spring.day_name()) == (3, "Sunday")
    assert spring.day > 24
    assert set(rows[starts != spring]) == {24}
    first, end = rows_of_day(europe, spring.date())
    assert end - first == 23


def test_a_lively_day_has_what_quiet_days_lack(pilot: Scenario) -> None:
    row, end = rows_of_day(pilot, lively_day(pilot))
    days = playable_days(pilot)
    kinds = [c.PAUSE, c.REDUCTION_CALL, c.INCREASE_CALL]

    def events(first: int, last: int) -> int:
        return int((pilot.market[first:last, kinds] > 0).any(axis=0).sum())

    most = max(events(a, b) for a, b in zip(days.first_row, days.end_row, strict=True))
    assert most > 0
    assert events(row, end) == most
    late = lively_day(pilot, days_before=30)
    assert (late - date(1970, 1, 1)).days >= days.number[30]
    assert lively_day(pilot, days_before=10_000) == lively_day(pilot)


def test_a_lively_day_moves_the_fleet_and_its_events_ask_for_more() -> None:
    """What was once drawn: a day of calls so dear that all rigs stood from morning to evening."""
    scenario = open_named_scenario("JapanPilot")
    row, end = rows_of_day(scenario, lively_day(scenario, days_before=27))
    day = scenario.market[row:end]
    load = day[:, c.RULE_LOAD] / scenario.site.limits.contract_power_kw
    assert load.max() > 0.9
    assert load.min() < 0.01
    assert 0.2 < load.mean() < 0.8
    assert (day[:, c.SURPLUS] > 0.0).any()
    asks_down = (day[:, [c.PAUSE, c.REDUCTION_CALL]] > 0.0).any(axis=1)
    assert (load[asks_down] > 0.1).any()


def test_a_lively_day_of_panels_has_sun_while_the_grid_is_too_dear() -> None:
    scenario = open_named_scenario("SolarSurplus", days=120)
    row, end = rows_of_day(scenario, lively_day(scenario))
    day = scenario.market[row:end]
    dear = day[:, c.RULE_LOAD] < 0.01 * scenario.site.limits.contract_power_kw
    assert day[dear, c.PV].sum() > 0.25 * day[:, c.PV].sum()


def test_the_rule_of_the_picture_is_the_best_of_its_days(pilot: Scenario) -> None:
    played = play_day(pilot, date(2023, 4, 30))
    row, end = rows_of_day(pilot, played.day)
    before = row - (played.n_days - 1) * 48
    profits = {
        name: play(pilot, build_policy(name, pilot.site), (before, end)).profit
        for name in policy_names(pilot.site)
        if name not in ("day_ahead_dp", "stochastic_dp")
    }
    assert played.run.name == max(profits, key=lambda name: profits[name])
    assert played.n_rules == len(profits)
    local = pd.DatetimeIndex(played.run.frame.index).tz_convert("Asia/Tokyo")
    assert len(local) == 288
    assert set(local.date) == {date(2023, 4, 30)}


def test_days_that_cannot_be_played_are_refused_with_those_that_can(pilot: Scenario) -> None:
    last = date(2023, 4, 1) + timedelta(days=DAYS - 1)
    for day in (date(2023, 4, 1), date(2035, 1, 1)):
        with pytest.raises(DataError, match=rf"{day} cannot be played: .* 2023-04-02 … {last}"):
            play_day(pilot, day)


@pytest.mark.parametrize(("suffix", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_a_picture_is_written_in_the_format_of_its_suffix(
    suffix: str, magic: bytes, pilot: Scenario, played: PlayedDay, tmp_path: Path
) -> None:
    path = tmp_path / f"day.{suffix}"
    write_day_picture(pilot, played, path, title="JapanPilot")
    content = path.read_bytes()
    assert content.startswith(magic)
    if suffix == "svg":
        text = content.decode()
        for part in ("local time, Asia/Tokyo", "synthetic, not measured", "JPY/kWh", "loop_d"):
            assert f"<!-- {part}" in text, "matplotlib names each text that it draws"


def test_what_is_no_picture_file_is_refused(
    pilot: Scenario, played: PlayedDay, tmp_path: Path
) -> None:
    (tmp_path / "folder.png").mkdir()
    for name, message in (
        ("day.gif", r"'\.gif' says no picture format; use one of \.png, \.svg, \.pdf"),
        ("day", "'' says no picture format"),
        ("lost/day.png", "there is no folder"),
        ("folder.png", "is a folder"),
    ):
        with pytest.raises(ConfigError, match=message):
            write_day_picture(pilot, played, tmp_path / name, title="JapanPilot")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]


def test_the_better_break_even_is_that_of_the_best_level(pilot: Scenario, europe: Scenario) -> None:
    params = pilot.params
    per_kw = params.level_phs / params.level_kw
    assert best_break_even_ratio(pilot) == pytest.approx(per_kw.max() / per_kw[0, -1])
    assert 1.0 < best_break_even_ratio(europe) < 1.6
    spot = open_named_scenario("SpotJapan", days=3)
    assert best_break_even_ratio(spot) == pytest.approx(1.0), "on/off rigs have one level"

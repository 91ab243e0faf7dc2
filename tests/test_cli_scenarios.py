"""The command that lists scenarios, shows one and draws a day of one."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from gridhash.cli import app
from gridhash.config_scenario import scenario_names
from gridhash.errors import GridhashError


@pytest.mark.parametrize("width", [80, 100])
def test_the_table_keeps_to_the_width_of_the_screen(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lines = CliRunner().invoke(app, ["scenarios"]).stdout.splitlines()
    assert max(map(len, lines)) <= width
    for name in scenario_names():
        (line,) = [line for line in lines if line.split(" ")[0] == name]
        assert " min " in line, "name, market, period and price stand on one line"
    rows = lines.index("") - 1
    assert rows <= 1.5 * len(scenario_names()), "few rows wrap"
    shown = CliRunner().invoke(app, ["scenarios", "JapanPilot"]).stdout.splitlines()
    assert max(len(line) for line in shown if "発" not in line) <= width


def test_a_scenario_is_shown_by_name_or_id_under_what_it_can_be_made_by() -> None:
    shown = {
        name: CliRunner().invoke(app, ["scenarios", name]).stdout
        for name in ("RealTimeNem", "gridhash/RealTimeNem-v0", "RealTimeNem@real")
    }
    by_name = shown["RealTimeNem"]
    assert by_name.startswith("gridhash/RealTimeNem-v0 ")
    assert shown["gridhash/RealTimeNem-v0"] == by_name
    assert shown["RealTimeNem@real"].startswith("RealTimeNem@real "), "it has no id"
    assert "NEM, Victoria" in by_name
    assert "texas_air" not in by_name.partition("Figures and their sources")[0]


def test_a_picture_of_a_day_is_drawn_by_the_command(tmp_path: Path) -> None:
    path = tmp_path / "day.png"
    arguments = ["scenarios", "SpotJapan", "--picture", str(path), "--day", "2026-02-04"]
    told = CliRunner().invoke(app, arguments)
    assert told.exit_code == 0, told.exception
    assert "SpotJapan on 2026-02-04 (local time, Asia/Tokyo)" in told.stdout
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Atlantis", "--picture", "a.png"], "no scenario and no file is called Atlantis"),
        (
            ["SpotJapan", "--picture", "a.gif"],
            "says no picture format; use one of .png, .svg, .pdf",
        ),
        (["SpotJapan", "--picture", "lost/a.png"], "there is no folder lost"),
        (["SpotJapan", "--picture", "a.png", "--day", "2035-01-01"], "2035-01-01 cannot be played"),
        (["SpotJapan", "--picture", "a.png", "--day", "soon"], "'soon' is no date"),
        (["SpotJapan", "--day", "2026-02-04"], "give --picture FILE too"),
        (["--picture", "a.png"], "--picture draws one scenario: name it"),
        (["SpotJapan", "--json", "--picture", "a.png"], "without --json"),
    ],
)
def test_a_picture_that_cannot_be_drawn_is_one_error(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["scenarios", *arguments])
    assert isinstance(result.exception, GridhashError)
    assert message in str(result.exception)
    assert list(tmp_path.iterdir()) == []

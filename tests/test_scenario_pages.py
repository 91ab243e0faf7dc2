"""The pages of the scenarios are what their files say, and so is the command that lists them."""

import importlib
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from gridhash.cli import app
from gridhash.config_scenario import load_scenario_config, parse_scenario, scenario_names

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "scripts"

PLAYED = {
    "start": "2025-03-31T15:00:00+00:00",
    "days": 30.0,
    "currency": "JPY",
    "policies": [
        {"name": "level_rule", "profit": 2e6, "load_frac": 0.5, "fleet_starts": 12.0},
        {"name": "always_on", "profit": -1e6, "load_frac": 1.0, "fleet_starts": 1.0},
    ],
    "bound": 3e6,
}


@pytest.fixture(scope="module")
def build_scenario_pages() -> Iterator[ModuleType]:
    sys.path.insert(0, str(SCRIPTS))
    yield importlib.import_module("build_scenario_pages")
    sys.path.remove(str(SCRIPTS))


def test_the_committed_pages_are_up_to_date(build_scenario_pages: ModuleType) -> None:
    file = ROOT / "docs" / "results" / "scenarios.json"
    results = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    wanted = build_scenario_pages.pages(results)
    present = {path.name: path.read_text("utf-8") for path in build_scenario_pages.FOLDER.iterdir()}

    assert sorted(present) == sorted(wanted), "run scripts/build_scenario_pages.py"
    old = [name for name in wanted if wanted[name] != present[name]]
    assert old == [], "run scripts/build_scenario_pages.py"


def test_a_page_gives_every_source_and_what_is_synthetic(build_scenario_pages: ModuleType) -> None:
    config = load_scenario_config("JapanPilot")
    page = build_scenario_pages.page(config, None)

    for figure in config.figures:
        assert f"| {figure.figure} | {figure.mark} | {figure.source} |" in page
    for text in config.value.synthetic:
        assert f"- {text}" in page
    assert "| `demand_reduction.committed_kw` | 1000 |" in page
    assert "Played over" not in page


def test_no_page_says_on_off_of_rigs_with_work_levels(build_scenario_pages: ModuleType) -> None:
    for config in map(load_scenario_config, scenario_names()):
        page = build_scenario_pages.page(config, None)
        setting = page[page.index("## Setting") : page.index("### Trace")]
        if max(len(config.site.levels_of(group)) for group in config.site.groups) > 1:
            assert "on/off" not in setting, config.name
            assert "load_levels | assumed | on/off only" not in page, config.name


def test_a_page_shows_figures_best_first_and_the_bound(
    build_scenario_pages: ModuleType,
) -> None:
    page = build_scenario_pages.page(load_scenario_config("SpotJapan"), PLAYED)

    assert "from 2025-04-01; profit in JPY" in page, "the local day"
    assert page.index("| level rule | 2,000,000 | 50.0% | 12 |") < page.index("| always on |")
    assert "| bound, all prices known | 3,000,000 |" in page


def blocks(language: str) -> list[str]:
    """Return the blocks of a language in the overview."""
    text = (ROOT / "docs" / "scenarios" / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_file_of_the_overview_is_a_scenario() -> None:
    (text,) = blocks("toml")
    config = parse_scenario(tomllib.loads(text), origin="docs/scenarios/README.md")

    assert config.site.max_rig_kw == pytest.approx(537 * 5.36)
    assert {group.load_levels for group in config.site.groups} == {(0.7, 1.0)}
    assert config.site.tariff.renewable_levy_per_kwh == 4.18


def test_the_python_of_the_overview_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("stable_baselines3")
    (file,) = blocks("toml")
    (tmp_path / "mine.toml").write_text(file, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "overview"}
    for block in blocks("python"):
        exec(compile(block, "docs/scenarios/README.md", "exec"), names)

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["mine", "level_rule"]
    assert all(line.endswith(" JPY") for line in lines)


def test_the_command_lists_every_scenario_and_shows_one() -> None:
    runner = CliRunner()
    listed = runner.invoke(app, ["scenarios"])
    assert listed.exit_code == 0
    assert all(name in listed.stdout for name in scenario_names())

    summary = json.loads(runner.invoke(app, ["scenarios", "--json"]).stdout)
    assert [entry["id"] for entry in summary] == [f"gridhash/{n}-v0" for n in scenario_names()]
    by_id = {entry["id"]: entry for entry in summary}
    assert by_id["gridhash/RealTimeErcot-v0"]["programs"] == ["coincident_peaks", "ancillary"]
    assert by_id["gridhash/RealTimeErcot-v0"]["price_known"] == "lagged"

    shown = runner.invoke(app, ["scenarios", "JapanPilot"]).stdout
    assert "pause_orders" in shown
    assert "2025-04-01" in shown
    config = json.loads(runner.invoke(app, ["scenarios", "JapanPilot", "--json"]).stdout)
    assert config["site"]["programs"]["demand_reduction"]["committed_kw"] == 1000.0


def test_an_unknown_scenario_is_one_error(capsys: pytest.CaptureFixture[str]) -> None:
    result = CliRunner().invoke(app, ["scenarios", "Atlantis"])

    assert "no scenario and no file is called Atlantis" in str(result.exception)
